//! What needs a sum over a whole row: the norm before each block, and the total that turns logits into log-probs.

use pulp::{Simd, WithSimd};

use crate::model::packed::lanes;
use crate::model::packed::tile::{PANEL, Row};

/// For some neighbouring rows, one divided by the root of their mean square.
pub struct Scales<'a> {
    pub x: &'a [Row],
    pub rows: usize,
    pub first: usize,
    pub hidden: usize,
    pub epsilon: f32,
    pub out: &'a mut [f32],
}

impl WithSimd for Scales<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (row, scale) in self.out.iter_mut().enumerate() {
            let mut squares = [0.0; PANEL];
            for panel in self.x.chunks_exact(self.rows) {
                // Rows are copied to locals: through references the compiler fears overlap and stays scalar.
                let values = panel[self.first + row];
                for (square, value) in squares.iter_mut().zip(values) {
                    *square = value.mul_add(value, *square);
                }
            }
            *scale = 1.0 / (lanes::sum(squares) / self.hidden as f32 + self.epsilon).sqrt();
        }
    }
}

/// One panel of rows, each times its scale and the panel's weights.
pub struct Scaled<'a> {
    pub x: &'a [Row],
    pub scales: &'a [f32],
    pub weight: &'a Row,
    pub out: &'a mut [Row],
}

impl WithSimd for Scaled<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let weights = *self.weight;
        for ((x, &scale), out) in self.x.iter().zip(self.scales).zip(self.out) {
            let mut values = *x;
            for (value, weight) in values.iter_mut().zip(weights) {
                *value *= scale * weight;
            }
            *out = values;
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
