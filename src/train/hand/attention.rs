//! Causal attention of texts that stand one behind the other, forward and back. Weights are not kept but computed again.
//!
//! Each text sees itself only, its beginning included where that stands among another's rows; so texts of different lengths
//! need no padding. It knows no projection and no position:
//! queries and keys come turned.

use std::ops::Range;

use pulp::Arch;

use crate::train::hand::lanes;
use crate::train::hand::layout::{Layout, Span};
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

/// Who sees whom: every text, and which of its rows ask. Rows that ask stand one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    pub spans: &'a [Span],
    pub asking: &'a [Range<usize>],
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
    sight: Sight<'_>,
    inputs: Inputs<'_>,
    out: &mut [f32],
    totals: &mut [f32],
    scratch: &mut Scratch,
) {
    let arch = Arch::new();
    let (wide, narrow, dim) = (heads.query_width(), heads.key_width(), heads.dim);
    let asking = inputs.q.len() / wide;
    let longest = Layout::longest(sight.spans);
    let mut scores = scratch.take(BLOCK.min(longest) * longest);
    sight.each_block(heads, |head, key_head, block| {
        let (rows, seen) = (block.rows, block.seen());
        let scores = &mut scores[..rows * seen];
        let queries = Matrix::wide(&inputs.q[block.at * wide + head * dim..], rows, dim, wide);
        for (column, part) in block.parts() {
            let keys = Matrix::wide(&inputs.k[part.start * narrow + key_head * dim..], part.len(), dim, narrow);
            product(queries, keys.transposed(), 1.0, Into::new(&mut scores[column..], seen));
        }
        let kept = &mut totals[head * asking + block.at..][..rows];
        lanes::softmax(arch, scores, seen, seen + 1 - rows, heads.scale(), kept);
        let out = &mut out[block.at * wide + head * dim..];
        for (column, part) in block.parts() {
            let weights = Matrix::wide(&scores[column..], rows, part.len(), seen);
            let values = Matrix::wide(&inputs.v[part.start * narrow + key_head * dim..], part.len(), dim, narrow);
            product(weights, values, 1.0, Into { numbers: out, step: wide, add: column > 0 });
        }
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
    sight: Sight<'_>,
    inputs: Inputs<'_>,
    result: Result<'_>,
    by: ByInputs<'_>,
    scratch: &mut Scratch,
) {
    let arch = Arch::new();
    let (wide, narrow, dim, scale) = (heads.query_width(), heads.key_width(), heads.dim, heads.scale());
    let asking = inputs.q.len() / wide;
    let longest = Layout::longest(sight.spans);
    let mut weights = scratch.take(BLOCK.min(longest) * longest);
    let mut by_weights = scratch.take(BLOCK.min(longest) * longest);
    by.k.fill(0.0);
    by.v.fill(0.0);
    sight.each_block(heads, |head, key_head, block| {
        let (rows, seen) = (block.rows, block.seen());
        let from_query = block.at * wide + head * dim;
        let from_key = |part: &Range<usize>| part.start * narrow + key_head * dim;
        let (weights, by_weights) = (&mut weights[..rows * seen], &mut by_weights[..rows * seen]);
        let queries = Matrix::wide(&inputs.q[from_query..], rows, dim, wide);
        let by_out = Matrix::wide(&result.by_out[from_query..], rows, dim, wide);
        for (column, part) in block.parts() {
            let keys = Matrix::wide(&inputs.k[from_key(&part)..], part.len(), dim, narrow);
            product(queries, keys.transposed(), 1.0, Into::new(&mut weights[column..], seen));
        }
        let kept = &result.totals[head * asking + block.at..][..rows];
        lanes::softmax_again(arch, weights, seen, seen + 1 - rows, scale, kept);
        for (column, part) in block.parts() {
            let own = Matrix::wide(&weights[column..], rows, part.len(), seen).transposed();
            product(own, by_out, 1.0, Into::added(&mut by.v[from_key(&part)..], narrow));
            let values = Matrix::wide(&inputs.v[from_key(&part)..], part.len(), dim, narrow);
            product(by_out, values.transposed(), 1.0, Into::new(&mut by_weights[column..], seen));
        }
        let (by_o, o) = (&result.by_out[from_query..], &result.out[from_query..]);
        lanes::softmax_back(arch, weights, by_weights, seen, scale, by_o, o, dim, wide);
        for (column, part) in block.parts() {
            let by_scores = Matrix::wide(&by_weights[column..], rows, part.len(), seen);
            let keys = Matrix::wide(&inputs.k[from_key(&part)..], part.len(), dim, narrow);
            let by_q = Into { numbers: &mut by.q[from_query..], step: wide, add: column > 0 };
            product(by_scores, keys, 1.0, by_q);
            product(by_scores.transposed(), queries, 1.0, Into::added(&mut by.k[from_key(&part)..], narrow));
        }
    });
    scratch.give_all([weights, by_weights]);
}

/// Some queries of a text that are computed together.
struct Block<'a> {
    span: &'a Span,
    /// Where they stand among all that ask.
    at: usize,
    rows: usize,
    /// One behind its last row.
    end: usize,
}

impl Block<'_> {
    /// Tokens that its last row sees; each row before sees one less.
    fn seen(&self) -> usize {
        self.span.begun() + self.end - self.span.rows.start
    }

    /// The rows that are seen, in pieces that stand together, each with its first column among the scores.
    fn parts(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let own = self.span.rows.start..self.end;
        self.span.before.iter().cloned().chain([own]).scan(0, |column, part| {
            let first = *column;
            *column += part.len();
            Some((first, part))
        })
    }
}

impl Sight<'_> {
    /// Every block of queries of every text and head: query head, key head, block.
    fn each_block(&self, heads: Heads, mut work: impl FnMut(usize, usize, &Block<'_>)) {
        let group = heads.queries / heads.keys;
        let mut from = 0;
        for (span, asking) in self.spans.iter().zip(self.asking) {
            for head in 0..heads.queries {
                for start in asking.clone().step_by(BLOCK) {
                    let end = (start + BLOCK).min(asking.end);
                    let at = from + start - asking.start;
                    work(head, head / group, &Block { span, at, rows: end - start, end });
                }
            }
            from += asking.len();
        }
    }
}
