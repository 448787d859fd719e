//! Elementwise mathematics over rows of 32 values: exponential, SiLU, norms, softmax.
//!
//! Written with fused multiply-adds and a fixed order of sums, so that every processor gives the same bits; loops over
//! 32 values become vector instructions by themselves inside a dispatch. It knows nothing of layers.

use crate::model::packed::tile::{PANEL, Row};

/// e^x to within two units in the last place, for x ≤ 88; below -87 it stays at about 1e-38.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding this pushes the fraction out of the mantissa: a rounding to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with few bits so that its product with n is exact.
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = r.mul_add(p, coefficient);
    }
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(power)
}

#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// `gate = silu(gate) * up`
#[inline(always)]
pub fn silu_times(gate: &mut Row, up: &Row) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = silu(*gate) * up;
    }
}

/// The sum of 32 lanes, by halves: the same tree everywhere.
#[inline(always)]
pub fn sum(mut lanes: Row) -> f32 {
    let mut width = PANEL / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
pub fn max(lanes: Row) -> f32 {
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// Scores to unnormalised weights e^(score·scale − max), in place; gives back their sum. The first `seen` positions
/// count, the rest become exactly zero, so that adding them changes no bit.
#[inline(always)]
pub fn softmax_weights(pieces: &mut [Row], stride: usize, row: usize, seen: usize, scale: f32) -> f32 {
    let used = seen.div_ceil(PANEL);
    let mut largest = [f32::NEG_INFINITY; PANEL];
    for page in 0..used {
        let piece = &mut pieces[page * stride + row];
        let valid = (seen - page * PANEL).min(PANEL);
        for score in &mut piece[valid..] {
            *score = f32::NEG_INFINITY;
        }
        for (largest, score) in largest.iter_mut().zip(piece) {
            *score *= scale;
            *largest = if *score > *largest { *score } else { *largest };
        }
    }
    let largest = max(largest);
    let mut total = [0.0; PANEL];
    for page in 0..used {
        let piece = &mut pieces[page * stride + row];
        for (total, score) in total.iter_mut().zip(piece) {
            // The comparison keeps what was masked at zero; the exponential alone would leave 1e-38.
            let weight = if *score == f32::NEG_INFINITY { 0.0 } else { exp(*score - largest) };
            *score = weight;
            *total += weight;
        }
    }
    for piece in pieces.chunks_mut(stride).skip(used) {
        piece[row] = [0.0; PANEL];
    }
    sum(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_three_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 3.0 * f64::from(f32::EPSILON), "{worst}");
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn softmax_ignores_what_is_not_seen() {
        let mut pieces = vec![[1.0; PANEL]; 6];
        pieces[2][4] = 3.0;
        pieces[2][5] = 1e30;
        let total = softmax_weights(&mut pieces, 2, 0, 37, 1.0);
        let expected = 36.0f32.mul_add((-2.0f32).exp(), 1.0);
        assert!((total - expected).abs() < 1e-4, "{total} {expected}");
        assert_eq!(pieces[2][5..], [0.0; 27]);
        assert_eq!(pieces[4], [0.0; 32]);
    }
}
