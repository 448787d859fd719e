//! Causal attention of texts that stand one behind the other, forward and back. Weights are not kept but computed again.
//!
//! Each text sees itself only, so texts of different lengths need no padding. It knows no projection and no position:
//! queries and keys come turned.

use std::ops::Range;

use pulp::Arch;

use crate::train::hand::lanes;
use crate::train::hand::product::{Into, Matrix, product};
use crate::train::hand::scratch::Scratch;

/// Queries at a time: what they may not see yet is left out by blocks.
const BLOCK: usize = 64;

/// Sizes of one attention. A row of queries is all heads of one token.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub queries: usize,
    pub keys: usize,
    pub dim: usize,
}

impl Heads {
    fn scale(self) -> f32 {
        1.0 / (self.dim as f64).sqrt() as f32
    }

    pub fn query_width(self) -> usize {
        self.queries * self.dim
    }

    pub fn key_width(self) -> usize {
        self.keys * self.dim
    }
}

/// What attention reads: rows of turned queries, turned keys, and values.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
}

/// softmax(Q Kᵀ / √D) V of every text and head. `totals` keeps one number a head and token for the way back.
pub fn forward(
    heads: Heads,
    texts: &[Range<usize>],
    inputs: Inputs<'_>,
    out: &mut [f32],
    totals: &mut [f32],
    scratch: &mut Scratch,
) {
    let arch = Arch::new();
    let (wide, narrow, dim) = (heads.query_width(), heads.key_width(), heads.dim);
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut scores = scratch.take(BLOCK.min(longest) * longest);
    each_block(heads, texts, |head, key_head, text, block| {
        let (rows, seen) = (block.len(), block.end - text.start);
        let scores = &mut scores[..rows * seen];
        let queries = Matrix::wide(&inputs.q[block.start * wide + head * dim..], rows, dim, wide);
        let keys = Matrix::wide(&inputs.k[text.start * narrow + key_head * dim..], seen, dim, narrow);
        product(queries, keys.transposed(), 1.0, Into::new(scores, seen));
        let kept = &mut totals[head * inputs.q.len() / wide..][block.clone()];
        lanes::softmax(arch, scores, seen, block.start - text.start + 1, heads.scale(), kept);
        let values = Matrix::wide(&inputs.v[text.start * narrow + key_head * dim..], seen, dim, narrow);
        let out = Into::new(&mut out[block.start * wide + head * dim..], wide);
        product(Matrix::new(scores, rows, seen), values, 1.0, out);
    });
    scratch.give(scores);
}

/// Where the gradients of [`Inputs`] go; what was there is replaced.
#[derive(Debug)]
pub struct ByInputs<'a> {
    pub q: &'a mut [f32],
    pub k: &'a mut [f32],
    pub v: &'a mut [f32],
}

/// What the forward pass left, and the gradient that comes from above.
#[derive(Clone, Copy, Debug)]
pub struct Result<'a> {
    pub out: &'a [f32],
    pub totals: &'a [f32],
    pub by_out: &'a [f32],
}

pub fn backward(
    heads: Heads,
    texts: &[Range<usize>],
    inputs: Inputs<'_>,
    result: Result<'_>,
    by: ByInputs<'_>,
    scratch: &mut Scratch,
) {
    let arch = Arch::new();
    let (wide, narrow, dim, scale) = (heads.query_width(), heads.key_width(), heads.dim, heads.scale());
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut weights = scratch.take(BLOCK.min(longest) * longest);
    let mut by_weights = scratch.take(BLOCK.min(longest) * longest);
    by.k.fill(0.0);
    by.v.fill(0.0);
    each_block(heads, texts, |head, key_head, text, block| {
        let (rows, seen) = (block.len(), block.end - text.start);
        let (from_query, from_key) = (block.start * wide + head * dim, text.start * narrow + key_head * dim);
        let (weights, by_weights) = (&mut weights[..rows * seen], &mut by_weights[..rows * seen]);
        let queries = Matrix::wide(&inputs.q[from_query..], rows, dim, wide);
        let keys = Matrix::wide(&inputs.k[from_key..], seen, dim, narrow);
        let values = Matrix::wide(&inputs.v[from_key..], seen, dim, narrow);
        let by_out = Matrix::wide(&result.by_out[from_query..], rows, dim, wide);
        product(queries, keys.transposed(), 1.0, Into::new(weights, seen));
        let kept = &result.totals[head * inputs.q.len() / wide..][block.clone()];
        lanes::softmax_again(arch, weights, seen, block.start - text.start + 1, scale, kept);
        product(Matrix::new(weights, rows, seen).transposed(), by_out, 1.0, Into::added(&mut by.v[from_key..], narrow));
        product(by_out, values.transposed(), 1.0, Into::new(by_weights, seen));
        let (by_o, o) = (&result.by_out[from_query..], &result.out[from_query..]);
        lanes::softmax_back(arch, weights, by_weights, seen, scale, by_o, o, dim, wide);
        let by_scores = Matrix::new(by_weights, rows, seen);
        product(by_scores, keys, 1.0, Into::new(&mut by.q[from_query..], wide));
        product(by_scores.transposed(), queries, 1.0, Into::added(&mut by.k[from_key..], narrow));
    });
    scratch.give_all([weights, by_weights]);
}

/// Every block of queries of every text and head: query head, key head, text, block.
fn each_block(heads: Heads, texts: &[Range<usize>], mut work: impl FnMut(usize, usize, &Range<usize>, Range<usize>)) {
    let group = heads.queries / heads.keys;
    for text in texts {
        for head in 0..heads.queries {
            for start in text.clone().step_by(BLOCK) {
                work(head, head / group, text, start..(start + BLOCK).min(text.end));
            }
        }
    }
}
