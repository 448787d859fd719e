//! A weight matrix in panels of 32 output columns, ready for the kernel, and its product spread over threads.

use pulp::{Arch, Simd, WithSimd};

use crate::model::packed::crew::Crew;
use crate::model::packed::lanes;
use crate::model::packed::tile::{Finish, Left, PANEL, Product, Right, Row, Start};
use crate::model::weights::{Tensor, Values};

/// Multiply-adds that are worth another thread's help (some microseconds of one core).
const WORTH_HELP: usize = 1 << 15;
const TASKS_PER_THREAD: usize = 4;
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
    pub fn pack(crew: &Crew, parts: &[Part<'_>], outputs: Padding, inputs: Padding) -> Matrix {
        let columns = (0..parts.len()).flat_map(|part| {
            let rows = parts[part].0.dims[0];
            let mut columns = vec![None; outputs.panels(rows) * PANEL];
            (0..rows).for_each(|row| columns[outputs.place(row)] = Some((part, row)));
            columns
        });
        Matrix::pack_columns(crew, parts, &columns.collect::<Vec<_>>(), inputs)
    }

    /// Gate and up projection in turns, panel by panel, so that one task holds both halves of what it multiplies.
    pub fn interleave(crew: &Crew, gate: Part<'_>, up: Part<'_>) -> Matrix {
        let rows = gate.0.dims[0];
        let column = |column: usize| {
            let (panel, lane) = (column / PANEL, column % PANEL);
            let row = panel / 2 * PANEL + lane;
            (row < rows).then_some((panel % 2, row))
        };
        let columns: Vec<_> = (0..2 * rows.next_multiple_of(PANEL)).map(column).collect();
        Matrix::pack_columns(crew, &[gate, up], &columns, Padding::NONE)
    }

    /// Each packed column is a row of one of the parts, or nothing.
    fn pack_columns(crew: &Crew, parts: &[Part<'_>], columns: &[Option<(usize, usize)>], inputs: Padding) -> Matrix {
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
            crew.share(words.chunks_mut(block / 2).enumerate(), |(panel, words)| {
                each_weight(panel, &mut |k, lane, value| {
                    let (word, shift) = (lane % (PANEL / 2), lane / (PANEL / 2) * 16);
                    words[k * (PANEL / 2) + word] |= (value.to_bits() >> 16) << shift;
                });
            });
            Panels::Bf16(words)
        } else {
            let mut values = vec![0.0; panels * block];
            crew.share(values.chunks_mut(block).enumerate(), |(panel, values)| {
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

    /// A panel of the weights of one output: part of row `column` of the unpacked matrix. A tied embedding is read this way.
    pub fn inputs(&self, column: usize, k_panel: usize) -> Row {
        let (panel, lane) = (column / PANEL, column % PANEL);
        let first = (panel * self.k_panels + k_panel) * PANEL;
        std::array::from_fn(|k| match &self.values {
            Panels::F32(values) => values[(first + k) * PANEL + lane],
            Panels::Bf16(values) => {
                let word = values[(first + k) * (PANEL / 2) + lane % (PANEL / 2)];
                f32::from_bits(if lane < PANEL / 2 { word << 16 } else { word & 0xffff_0000 })
            }
        })
    }

    /// `out = left × self`, or added to it. The output is panel by panel, the rows of a panel together.
    pub fn product(&self, crew: &Crew, arch: Arch, left: Left<'_>, out: &mut [Row], finish: Finish) {
        self.spread(crew, left, out, 1, |panels, rows, out, stride| {
            self.part(arch, left, panels, rows, out, stride, finish)
        });
    }

    /// The product with an interleaved gate-and-up matrix, and silu(gate) ∘ up left in every gate panel.
    pub fn gated_product(&self, crew: &Crew, arch: Arch, left: Left<'_>, out: &mut [Row]) {
        self.spread(crew, left, out, 2, |panels, rows, out, stride| {
            self.part(arch, left, panels, rows.clone(), out, stride, Finish::Store);
            arch.dispatch(GateAll { out, stride, rows: rows.len() });
        });
    }

    /// Cuts the output into tasks of whole panels (in steps of `unit`) and, when rows are many, blocks of rows.
    /// A task gets its panels, its rows, its output and the distance of two panels in that.
    fn spread(
        &self,
        crew: &Crew,
        left: Left<'_>,
        out: &mut [Row],
        unit: usize,
        work: impl Fn(std::ops::Range<usize>, std::ops::Range<usize>, &mut [Row], usize) + Sync,
    ) {
        let rows = left.rows;
        let out = &mut out[..rows * self.panels];
        let amount = rows * self.panels * PANEL * self.k_panels * PANEL;
        if rows <= TASK_ROWS {
            if crew.threads() == 1 || amount < WORTH_HELP {
                return work(0..self.panels, 0..rows, out, rows);
            }
            // Several tasks a thread even out a thread that is held up.
            let step = self.panels.div_ceil(TASKS_PER_THREAD * crew.threads()).next_multiple_of(unit);
            crew.share(out.chunks_mut(step * rows).enumerate(), |(index, out)| {
                let first = index * step;
                work(first..first + out.len() / rows, 0..rows, out, rows);
            });
        } else if unit == 1 {
            // In blocks of rows, for the caches' sake; one after the other where a panel can stay with its thread.
            let of_panel =
                |(panel, out)| <[Row]>::chunks_mut(out, TASK_ROWS).enumerate().map(move |block| (panel, block));
            let block = |(panel, (block, out)): (usize, (usize, &mut [Row]))| {
                let first = block * TASK_ROWS;
                work(panel..panel + 1, first..first + out.len(), out, out.len());
            };
            let panels = out.chunks_mut(rows).enumerate();
            if self.panels >= TASKS_PER_THREAD * crew.threads() {
                crew.share(panels, |panel| of_panel(panel).for_each(block));
            } else {
                crew.share(panels.flat_map(of_panel), block);
            }
        } else {
            // The panels of a unit are split at the same rows; the pieces are worked on in place.
            crew.share(out.chunks_mut(unit * rows).enumerate(), |(index, out)| {
                let first = index * unit;
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
