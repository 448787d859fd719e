//! The loops between the products: norms, rotary turns, SiLU, softmax, each forward and back.
//!
//! Every loop is compiled for the vectors of the processor at hand. Sums run in a fixed order. It knows no layer.

use pulp::{Arch, NullaryFnOnce};

use crate::model::packed::lanes::{exp, sum as total};
use crate::model::packed::tile::PANEL;

/// Partial sums of a row, added up in a fixed order at its end.
const WIDTH: usize = PANEL;

/// A function whose body becomes vector instructions.
macro_rules! vectorised {
    ($($(#[$doc:meta])* pub fn $name:ident<'a>($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "an equation over slices: its letters are its arguments")]
        pub fn $name<'a>(arch: Arch, $($argument: $type),*) {
            struct Loop<'a> { $($argument: $type),* }
            impl NullaryFnOnce for Loop<'_> {
                type Output = ();
                #[inline(always)]
                fn call(self) {
                    let Loop { $($argument),* } = self;
                    $body
                }
            }
            arch.dispatch(Loop { $($argument),* });
        }
    )*};
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; WIDTH];
    let whole = a.len() / WIDTH * WIDTH;
    for (a, b) in a[..whole].chunks_exact(WIDTH).zip(b[..whole].chunks_exact(WIDTH)) {
        for i in 0..WIDTH {
            lanes[i] = a[i].mul_add(b[i], lanes[i]);
        }
    }
    let rest: f32 = a[whole..].iter().zip(&b[whole..]).map(|(a, b)| a * b).sum();
    total(lanes) + rest
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; WIDTH];
    let whole = row.len() / WIDTH * WIDTH;
    for part in row[..whole].chunks_exact(WIDTH) {
        for i in 0..WIDTH {
            lanes[i] = if part[i] > lanes[i] { part[i] } else { lanes[i] };
        }
    }
    lanes.into_iter().chain(row[whole..].iter().copied()).fold(f32::NEG_INFINITY, f32::max)
}

/// Each number to e^(number·scale − by), in place; their sum.
#[inline(always)]
fn exponentials(row: &mut [f32], scale: f32, by: f32) -> f32 {
    let mut lanes = [0.0; WIDTH];
    let whole = row.len() / WIDTH * WIDTH;
    let (body, rest) = row.split_at_mut(whole);
    for part in body.chunks_exact_mut(WIDTH) {
        for i in 0..WIDTH {
            part[i] = exp(part[i].mul_add(scale, -by));
            lanes[i] += part[i];
        }
    }
    let mut sum = total(lanes);
    for x in rest {
        *x = exp(x.mul_add(scale, -by));
        sum += *x;
    }
    sum
}

vectorised! {
    /// y = w ∘ x·r with r = 1 / √(mean(x²) + ε) of each row; r is kept for the way back.
    pub fn norm<'a>(x: &'a [f32], weight: &'a [f32], epsilon: f32, inverse: &'a mut [f32], y: &'a mut [f32]) {
        let width = weight.len();
        for ((x, y), inverse) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(inverse) {
            let r = 1.0 / (dot(x, x) / width as f32 + epsilon).sqrt();
            *inverse = r;
            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                *y = x * r * weight;
            }
        }
    }

    /// y = w ∘ x·r again, r being known.
    pub fn norm_again<'a>(x: &'a [f32], weight: &'a [f32], inverse: &'a [f32], y: &'a mut [f32]) {
        let width = weight.len();
        for ((x, y), r) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(inverse) {
            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                *y = x * r * weight;
            }
        }
    }

    /// ∂x += r·(g − x·r²·mean(g∘x)) with g = ∂y∘w; ∂w += Σ ∂y∘x·r.
    pub fn norm_back<'a>(
        x: &'a [f32],
        weight: &'a [f32],
        inverse: &'a [f32],
        by_y: &'a mut [f32],
        by_x: &'a mut [f32],
        by_weight: &'a mut [f32],
    ) {
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(by_y.chunks_exact_mut(width));
        for (((x, by_y), by_x), &r) in rows.zip(by_x.chunks_exact_mut(width)).zip(inverse) {
            if !by_weight.is_empty() {
                for ((by_weight, by_y), x) in by_weight.iter_mut().zip(by_y.iter()).zip(x) {
                    *by_weight += by_y * x * r;
                }
            }
            for (by_y, weight) in by_y.iter_mut().zip(weight) {
                *by_y *= weight;
            }
            let shared = dot(by_y, x) / width as f32 * r * r;
            for ((by_x, by_y), x) in by_x.iter_mut().zip(by_y.iter()).zip(x) {
                *by_x += r * (by_y - x * shared);
            }
        }
    }

    /// Rotary positions, Hugging Face's layout: element i of a head turns together with element i + D/2. The tables hold
    /// D/2 numbers for each row of x; a `sign` of -1 turns back.
    pub fn turn<'a>(x: &'a mut [f32], width: usize, half: usize, cosines: &'a [f32], sines: &'a [f32], sign: f32) {
        let tables = cosines.chunks_exact(half).zip(sines.chunks_exact(half));
        for (x, (cosines, sines)) in x.chunks_exact_mut(width).zip(tables) {
            for head in x.chunks_exact_mut(2 * half) {
                let (left, right) = head.split_at_mut(half);
                for (((left, right), cosine), sine) in left.iter_mut().zip(right).zip(cosines).zip(sines) {
                    let (a, b, sine) = (*left, *right, sign * sine);
                    *left = a * cosine - b * sine;
                    *right = b * cosine + a * sine;
                }
            }
        }
    }

    /// h = silu(gate) ∘ up
    pub fn gated<'a>(gate: &'a [f32], up: &'a [f32], h: &'a mut [f32]) {
        for ((h, gate), up) in h.iter_mut().zip(gate).zip(up) {
            *h = gate / (1.0 + exp(-gate)) * up;
        }
    }

    /// From ∂h the gradients of gate and up, in their places. With s = σ(gate): silu' = s·(1 + gate·(1 − s)).
    pub fn gated_back<'a>(by_h: &'a [f32], gate: &'a mut [f32], up: &'a mut [f32]) {
        for ((by_h, gate), up) in by_h.iter().zip(gate).zip(up) {
            let s = 1.0 / (1.0 + exp(-*gate));
            let by_up = by_h * *gate * s;
            *gate = by_h * *up * s * (1.0 + *gate * (1.0 - s));
            *up = by_up;
        }
    }

    /// Scores to weights: row i of the block sees the first `seen + i` columns, e^(score·scale − m) over their sum. Keeps
    /// m + log of that sum of each row.
    pub fn softmax<'a>(scores: &'a mut [f32], columns: usize, seen: usize, scale: f32, totals: &'a mut [f32]) {
        for (row, (scores, kept)) in scores.chunks_exact_mut(columns).zip(totals).enumerate() {
            let (seen, unseen) = scores.split_at_mut((seen + row).min(columns));
            let most = largest(seen) * scale;
            let sum = exponentials(seen, scale, most);
            let by = 1.0 / sum;
            for weight in seen.iter_mut() {
                *weight *= by;
            }
            unseen.fill(0.0);
            *kept = most + sum.ln();
        }
    }

    /// The same weights again from the same scores and the totals that were kept.
    pub fn softmax_again<'a>(scores: &'a mut [f32], columns: usize, seen: usize, scale: f32, totals: &'a [f32]) {
        for (row, (scores, total)) in scores.chunks_exact_mut(columns).zip(totals).enumerate() {
            let (seen, unseen) = scores.split_at_mut((seen + row).min(columns));
            exponentials(seen, scale, *total);
            unseen.fill(0.0);
        }
    }

    /// From the gradient of weights that of scores, in place: p·(∂p − ∂o·o)·scale, row by row.
    pub fn softmax_back<'a>(
        weights: &'a [f32],
        by_weights: &'a mut [f32],
        columns: usize,
        scale: f32,
        by_out: &'a [f32],
        out: &'a [f32],
        width: usize,
        step: usize,
    ) {
        let outs = by_out.chunks(step).zip(out.chunks(step));
        for ((weights, by), (by_out, out)) in
            weights.chunks_exact(columns).zip(by_weights.chunks_exact_mut(columns)).zip(outs)
        {
            let shared = dot(&by_out[..width], &out[..width]);
            for (by, weight) in by.iter_mut().zip(weights) {
                *by = weight * (*by - shared) * scale;
            }
        }
    }

    /// Largest and log of the sum of exponentials of each row of logits.
    pub fn log_totals<'a>(logits: &'a [f32], columns: usize, totals: &'a mut [f32]) {
        for (row, total_of_row) in logits.chunks_exact(columns).zip(totals) {
            let most = largest(row);
            let mut lanes = [0.0; WIDTH];
            let whole = columns / WIDTH * WIDTH;
            for part in row[..whole].chunks_exact(WIDTH) {
                for i in 0..WIDTH {
                    lanes[i] += exp(part[i] - most);
                }
            }
            let rest: f32 = row[whole..].iter().map(|x| exp(x - most)).sum();
            *total_of_row = most + (total(lanes) + rest).ln();
        }
    }

    /// Logits to the gradient of Σ c·log p(target) by them, in place: −c·p everywhere; the targets are added elsewhere.
    pub fn log_softmax_back<'a>(logits: &'a mut [f32], columns: usize, totals: &'a [f32], coefficients: &'a [f32]) {
        for ((row, total), c) in logits.chunks_exact_mut(columns).zip(totals).zip(coefficients) {
            for x in row {
                *x = -c * exp(*x - total);
            }
        }
    }

    pub fn add<'a>(to: &'a mut [f32], from: &'a [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += from;
        }
    }

    /// to += from ∘ mask
    pub fn add_thinned<'a>(to: &'a mut [f32], from: &'a [f32], mask: &'a [f32]) {
        for ((to, from), mask) in to.iter_mut().zip(from).zip(mask) {
            *to += from * mask;
        }
    }

    /// to = from ∘ mask
    pub fn thinned<'a>(to: &'a mut [f32], from: &'a [f32], mask: &'a [f32]) {
        for ((to, from), mask) in to.iter_mut().zip(from).zip(mask) {
            *to = from * mask;
        }
    }

    /// One row added to each of many.
    pub fn add_to_rows<'a>(rows: &'a mut [f32], row: &'a [f32]) {
        for to in rows.chunks_exact_mut(row.len()) {
            for (to, from) in to.iter_mut().zip(row) {
                *to += from;
            }
        }
    }

    /// Sums over rows, added to one row.
    pub fn add_rows<'a>(to: &'a mut [f32], rows: &'a [f32]) {
        for row in rows.chunks_exact(to.len()) {
            for (to, from) in to.iter_mut().zip(row) {
                *to += from;
            }
        }
    }
}
