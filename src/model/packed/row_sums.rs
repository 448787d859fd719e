//! What needs a sum over a whole row: the norm before each block, and the total that turns logits into log-probs.

use pulp::{Simd, WithSimd};

use crate::model::packed::lanes;
use crate::model::packed::tile::{PANEL, Row};

/// Rows divided by the root of their mean square, times a weight.
pub struct Norm<'a> {
    pub x: &'a [Row],
    pub rows: usize,
    pub weight: &'a [Row],
    pub hidden: usize,
    pub epsilon: f32,
    pub out: &'a mut [Row],
}

impl WithSimd for Norm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for row in 0..self.rows {
            // Rows are copied to locals: through references the compiler fears overlap and stays scalar.
            let mut squares = [0.0; PANEL];
            for panel in self.x.chunks_exact(self.rows) {
                let values = panel[row];
                for (square, value) in squares.iter_mut().zip(values) {
                    *square = value.mul_add(value, *square);
                }
            }
            let inverse = 1.0 / (lanes::sum(squares) / self.hidden as f32 + self.epsilon).sqrt();
            let panels = self.x.chunks_exact(self.rows).zip(self.out.chunks_exact_mut(self.rows)).zip(self.weight);
            for ((panel, out), &weight) in panels {
                let mut values = panel[row];
                for (value, weight) in values.iter_mut().zip(weight) {
                    *value *= inverse * weight;
                }
                out[row] = values;
            }
        }
    }
}

/// Log of the sum of exponentials of one row of logits.
pub struct LogTotal<'a> {
    pub logits: &'a [Row],
    pub rows: usize,
    pub row: usize,
    pub vocab: usize,
}

impl WithSimd for LogTotal<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f32 {
        let (whole, rest) = (self.vocab / PANEL, self.vocab % PANEL);
        let mut largest = [f32::NEG_INFINITY; PANEL];
        for (index, panel) in self.logits.chunks_exact(self.rows).enumerate() {
            let valid = if index < whole { PANEL } else { rest };
            for (largest, &logit) in largest.iter_mut().zip(&panel[self.row][..valid]) {
                *largest = if logit > *largest { logit } else { *largest };
            }
        }
        let largest = lanes::max(largest);
        let mut totals = [0.0; PANEL];
        for (index, panel) in self.logits.chunks_exact(self.rows).enumerate() {
            let valid = if index < whole { PANEL } else { rest };
            for (total, &logit) in totals.iter_mut().zip(&panel[self.row][..valid]) {
                *total += lanes::exp(logit - largest);
            }
        }
        // Through f64, so that the logarithm is the same wherever the library's is right to half a unit.
        largest + f64::from(lanes::sum(totals)).ln() as f32
    }
}
