//! Attention over pages: scores, softmax and values of some rows of one sequence for one key-value head.
//!
//! Decoding is the case of one row, scoring and prefill that of many; both run the same sums in the same order, so a
//! cached decode gives the bits of a whole pass.

use pulp::{Arch, Simd, WithSimd};

use crate::model::packed::lanes;
use crate::model::packed::pages::{PageId, Pages};
use crate::model::packed::tile::{Finish, Left, PANEL, Product, Right, Row, Start};

/// Consecutive new tokens of one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    /// Position of the first.
    pub first: usize,
    pub count: usize,
    /// The pages of the whole sequence, those of the new tokens included.
    pub table: &'a [PageId],
}

/// Some tokens of a span, for one key-value head.
pub struct Task<'a> {
    pub table: &'a [PageId],
    /// Position of the first row.
    pub first: usize,
    pub rows: usize,
    /// Index of the first row in the batch.
    pub row: usize,
    pub head: usize,
    /// Rows of the batch by query heads of the group by panels of a head.
    pub out: &'a mut [Row],
}

/// A multiple of what the kernel takes together for one row.
const PAGES_TOGETHER: usize = 8;

/// Buffers of one thread, kept from task to task.
#[derive(Default)]
pub struct Scratch {
    queries: Vec<Row>,
    scores: Vec<Row>,
    mixed: Vec<Row>,
    totals: Vec<f32>,
}

pub struct Attention<'a> {
    pub pages: &'a Pages,
    pub layer: usize,
    /// Rotated queries: panel by panel, `batch` rows each.
    pub queries: &'a [Row],
    pub batch: usize,
    pub group: usize,
    pub head_panels: usize,
    pub scale: f32,
}

impl Attention<'_> {
    pub fn run(&self, arch: Arch, task: Task<'_>, scratch: &mut Scratch) {
        let folded = self.group * task.rows;
        self.fold_queries(&task, &mut scratch.queries);
        let pages = (task.first + task.rows).div_ceil(PANEL);
        scratch.scores.resize(pages * folded, [0.0; PANEL]);
        let left = Left::panels(&scratch.queries, folded, self.head_panels);
        // Several pages at once: a single row then has enough independent sums to keep the processor busy.
        for (index, ids) in task.table[..pages].chunks(PAGES_TOGETHER).enumerate() {
            let mut keys: [&[f32]; PAGES_TOGETHER] = [&[]; PAGES_TOGETHER];
            for (keys, &id) in keys.iter_mut().zip(ids) {
                *keys = self.pages.keys(id, self.layer, task.head).as_flattened();
            }
            let first = index * PAGES_TOGETHER * folded;
            Product {
                left,
                right: Right::Scattered(&keys[..ids.len()]),
                panels: ids.len(),
                start: Start::Zero,
                finish: Finish::Store,
                out: &mut scratch.scores[first..first + ids.len() * folded],
                stride: folded,
            }
            .run(arch);
        }
        scratch.totals.resize(folded, 0.0);
        arch.dispatch(Softmax {
            attention: self,
            task: &task,
            scores: &mut scratch.scores,
            totals: &mut scratch.totals,
        });

        scratch.mixed.clear();
        scratch.mixed.resize(self.head_panels * folded, [0.0; PANEL]);
        for (page, &id) in task.table[..pages].iter().enumerate() {
            let right = self.pages.values(id, self.layer, task.head).as_flattened();
            let left = Left::panels(&scratch.scores[page * folded..(page + 1) * folded], folded, 1);
            Product {
                left,
                right: Right::Contiguous { values: right, stride: PANEL * PANEL },
                panels: self.head_panels,
                start: Start::Output,
                finish: Finish::Store,
                out: &mut scratch.mixed,
                stride: folded,
            }
            .run(arch);
        }
        for (at, out) in task.out.iter_mut().enumerate() {
            let (index, panel) = (at / self.head_panels, at % self.head_panels);
            // The output is by row then head of the group; the folded rows are by head then row.
            let (row, head) = (index / self.group, index % self.group);
            let from = head * task.rows + row;
            let total = scratch.totals[from];
            for (out, value) in out.iter_mut().zip(scratch.mixed[panel * folded + from]) {
                *out = value / total;
            }
        }
    }

    /// The query heads of the group under one another, as rows of one left factor.
    fn fold_queries(&self, task: &Task<'_>, into: &mut Vec<Row>) {
        into.clear();
        for panel in 0..self.head_panels {
            for head in 0..self.group {
                let column = (task.head * self.group + head) * self.head_panels + panel;
                into.extend_from_slice(&self.queries[column * self.batch + task.row..][..task.rows]);
            }
        }
    }
}

struct Softmax<'a> {
    attention: &'a Attention<'a>,
    task: &'a Task<'a>,
    scores: &'a mut [Row],
    totals: &'a mut [f32],
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let folded = self.totals.len();
        for (row, total) in self.totals.iter_mut().enumerate() {
            let seen = self.task.first + row % self.task.rows + 1;
            *total = lanes::softmax_weights(self.scores, folded, row, seen, self.attention.scale);
        }
    }
}
