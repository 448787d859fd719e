//! A weight matrix in panels of 32 output columns, ready for the kernel, and its product spread over threads.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::model::packed::lanes;
use crate::model::packed::tile::{Finish, Left, PANEL, Product, Right, Row, Start};
use crate::model::weights::{Tensor, Values};

/// Multiply-adds that are worth waking another thread for (some 30 microseconds of one core).
const WORTH_A_THREAD: usize = 1 << 20;
/// Rows of one task when there are many: their 32 columns of input and output stay in the second-level cache.
const TASK_ROWS: usize = 192;

/// A weight `[out, in]` and its bias.
pub type Part<'a> = (&'a Tensor, Option<&'a Tensor>);

#[derive(Debug, Clone)]
pub struct Matrix {
    values: Panels,
    bias: Option<Vec<Row>>,
    pub k_panels: usize,
    pub panels: usize,
}

#[derive(Debug, Clone)]
enum Panels {
    F32(Vec<f32>),
    /// Pairs of bf16, see the kernel.
    Bf16(Vec<u32>),
}

/// Where an output column or an input of a projection goes when heads are padded to whole panels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padding {
    pub dim: usize,
    pub padded: usize,
}

impl Padding {
    pub const NONE: Padding = Padding { dim: PANEL, padded: PANEL };

    pub fn head(head_dim: usize) -> Padding {
        Padding { dim: head_dim, padded: head_dim.next_multiple_of(PANEL) }
    }

    pub fn place(self, index: usize) -> usize {
        index / self.dim * self.padded + index % self.dim
    }

    /// Room for `count` values, in whole panels.
    pub fn panels(self, count: usize) -> usize {
        (count.div_ceil(self.dim) * self.padded).div_ceil(PANEL)
    }
}

impl Matrix {
    /// Packs one or more `[out, in]` tensors whose outputs follow one another, each starting on a panel.
    /// bf16 is used where it holds every value exactly: half the memory, the same bits.
    pub fn pack(parts: &[Part<'_>], outputs: Padding, inputs: Padding) -> Matrix {
        let columns = (0..parts.len()).flat_map(|part| {
            let rows = parts[part].0.dims[0];
            let mut columns = vec![None; outputs.panels(rows) * PANEL];
            (0..rows).for_each(|row| columns[outputs.place(row)] = Some((part, row)));
            columns
        });
        Matrix::pack_columns(parts, &columns.collect::<Vec<_>>(), inputs)
    }

    /// Gate and up projection in turns, panel by panel, so that one task holds both halves of what it multiplies.
    pub fn interleave(gate: Part<'_>, up: Part<'_>) -> Matrix {
        let rows = gate.0.dims[0];
        let column = |column: usize| {
            let (panel, lane) = (column / PANEL, column % PANEL);
            let row = panel / 2 * PANEL + lane;
            (row < rows).then_some((panel % 2, row))
        };
        let columns: Vec<_> = (0..2 * rows.next_multiple_of(PANEL)).map(column).collect();
        Matrix::pack_columns(&[gate, up], &columns, Padding::NONE)
    }

    /// Each packed column is a row of one of the parts, or nothing.
    fn pack_columns(parts: &[Part<'_>], columns: &[Option<(usize, usize)>], inputs: Padding) -> Matrix {
        let width = parts.first().map_or(0, |(tensor, _)| tensor.dims[1]);
        let (k_panels, panels) = (inputs.panels(width), columns.len() / PANEL);
        let block = k_panels * PANEL * PANEL;
        let each_weight = |panel: usize, put: &mut dyn FnMut(usize, usize, f32)| {
            for (lane, column) in columns[panel * PANEL..(panel + 1) * PANEL].iter().enumerate() {
                let Some((part, row)) = *column else { continue };
                for k in 0..width {
                    put(inputs.place(k), lane, value(parts[part].0, row * width + k));
                }
            }
        };
        let values = if parts.iter().all(|(tensor, _)| tensor.values.fits_bf16()) {
            let mut words = vec![0; panels * block / 2];
            words.par_chunks_mut(block / 2).enumerate().for_each(|(panel, words)| {
                each_weight(panel, &mut |k, lane, value| {
                    let (word, shift) = (lane % (PANEL / 2), lane / (PANEL / 2) * 16);
                    words[k * (PANEL / 2) + word] |= (value.to_bits() >> 16) << shift;
                });
            });
            Panels::Bf16(words)
        } else {
            let mut values = vec![0.0; panels * block];
            values.par_chunks_mut(block).enumerate().for_each(|(panel, values)| {
                each_weight(panel, &mut |k, lane, value| values[k * PANEL + lane] = value);
            });
            Panels::F32(values)
        };
        let bias = parts.iter().any(|(_, bias)| bias.is_some()).then(|| {
            let mut rows = vec![[0.0; PANEL]; panels];
            for (at, column) in columns.iter().enumerate() {
                if let Some((part, row)) = *column
                    && let Some(bias) = parts[part].1
                {
                    rows[at / PANEL][at % PANEL] = value(bias, row);
                }
            }
            rows
        });
        Matrix { values, bias, k_panels, panels }
    }

    pub fn is_bf16(&self) -> bool {
        matches!(self.values, Panels::Bf16(_))
    }

    pub fn bytes(&self) -> usize {
        match &self.values {
            Panels::F32(values) => values.len() * 4,
            Panels::Bf16(values) => values.len() * 4,
        }
    }

    /// The weights of one output: row `column` of the unpacked matrix. An embedding that is tied is read this way.
    pub fn output(&self, column: usize, into: &mut [Row], stride: usize) {
        let (panel, lane) = (column / PANEL, column % PANEL);
        for p in 0..self.k_panels {
            let first = (panel * self.k_panels + p) * PANEL;
            for (k, to) in into[p * stride].iter_mut().enumerate() {
                *to = match &self.values {
                    Panels::F32(values) => values[(first + k) * PANEL + lane],
                    Panels::Bf16(values) => {
                        let word = values[(first + k) * (PANEL / 2) + lane % (PANEL / 2)];
                        f32::from_bits(if lane < PANEL / 2 { word << 16 } else { word & 0xffff_0000 })
                    }
                };
            }
        }
    }

    /// `out = left × self`, or added to it. The output is panel by panel, the rows of a panel together.
    pub fn product(&self, arch: Arch, left: Left<'_>, out: &mut [Row], finish: Finish) {
        self.spread(left, out, 1, |panels, rows, out, stride| self.part(arch, left, panels, rows, out, stride, finish));
    }

    /// The product with an interleaved gate-and-up matrix, and silu(gate) ∘ up left in every gate panel.
    pub fn gated_product(&self, arch: Arch, left: Left<'_>, out: &mut [Row]) {
        self.spread(left, out, 2, |panels, rows, out, stride| {
            self.part(arch, left, panels, rows.clone(), out, stride, Finish::Store);
            arch.dispatch(GateAll { out, stride, rows: rows.len() });
        });
    }

    /// Cuts the output into tasks of whole panels (in steps of `unit`) and, when rows are many, blocks of rows.
    /// A task gets its panels, its rows, its output and the distance of two panels in that.
    fn spread(
        &self,
        left: Left<'_>,
        out: &mut [Row],
        unit: usize,
        work: impl Fn(std::ops::Range<usize>, std::ops::Range<usize>, &mut [Row], usize) + Sync,
    ) {
        let (rows, threads) = (left.rows, rayon::current_num_threads());
        let out = &mut out[..rows * self.panels];
        let amount = rows * self.panels * PANEL * self.k_panels * PANEL;
        if threads == 1 || amount < WORTH_A_THREAD {
            // Still in blocks of rows, for the caches' sake; one task otherwise.
            if rows <= TASK_ROWS {
                return work(0..self.panels, 0..rows, out, rows);
            }
        }
        // Several tasks a thread even out a thread that is held up, fewer for small work where each costs.
        let wanted = if amount < 16 * WORTH_A_THREAD { threads } else { 4 * threads };
        let step = self.panels.div_ceil(wanted).next_multiple_of(unit);
        if rows <= TASK_ROWS {
            let chunks = out.par_chunks_mut(step * rows).enumerate();
            return chunks.for_each(|(index, out)| {
                let first = index * step;
                work(first..first + out.len() / rows, 0..rows, out, rows);
            });
        }
        if unit == 1 {
            let panels = out.par_chunks_mut(rows).enumerate();
            panels.for_each(|(panel, out)| {
                out.par_chunks_mut(TASK_ROWS).enumerate().for_each(|(block, out)| {
                    let first = block * TASK_ROWS;
                    work(panel..panel + 1, first..first + out.len(), out, out.len());
                });
            });
        } else {
            out.par_chunks_mut(unit * rows).enumerate().for_each(|(index, out)| {
                let first = index * unit;
                // Both panels of a pair are split at the same rows; the pieces are worked on in place.
                work(first..first + unit, 0..rows, out, rows);
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a task is a rectangle of one product; naming it twice helps nobody")]
    fn part(
        &self,
        arch: Arch,
        left: Left<'_>,
        panels: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
        out: &mut [Row],
        stride: usize,
        finish: Finish,
    ) {
        let left = Left { values: &left.values[rows.start * left.step..], rows: rows.len(), ..left };
        let start = match &self.bias {
            Some(bias) => Start::Bias(&bias[panels.clone()]),
            None => Start::Zero,
        };
        let block = self.k_panels * PANEL * PANEL;
        let count = panels.len();
        match &self.values {
            Panels::F32(values) => Product {
                left,
                right: Right::Contiguous { values: &values[panels.start * block..panels.end * block], stride: block },
                panels: count,
                start,
                finish,
                out,
                stride,
            }
            .run(arch),
            Panels::Bf16(values) => Product {
                left,
                right: Right::Contiguous {
                    values: &values[panels.start * block / 2..panels.end * block / 2],
                    stride: block / 2,
                },
                panels: count,
                start,
                finish,
                out,
                stride,
            }
            .run(arch),
        }
    }
}

struct GateAll<'a> {
    out: &'a mut [Row],
    stride: usize,
    rows: usize,
}

impl WithSimd for GateAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for pair in self.out.chunks_exact_mut(2 * self.stride) {
            let (gate, up) = pair.split_at_mut(self.stride);
            for (gate, up) in gate.iter_mut().zip(up).take(self.rows) {
                lanes::silu_times(gate, up);
            }
        }
    }
}

fn value(tensor: &Tensor, index: usize) -> f32 {
    match &tensor.values {
        Values::F32(values) => values[index],
        Values::Bf16(values) => values[index].to_f32(),
    }
}
