//! The Llama once more, for sampling and scoring on a processor: plain slices, packed weights, pages of keys.
//!
//! It computes what [`Llama`](crate::model::llama::Llama) does, and is tested against it. A token's numbers depend only
//! on the tokens before it: not on the batch, the threads, the chunks of a prefill or the vector width.

use std::ops::Range;

use anyhow::Result;
use pulp::Arch;

use crate::model::packed::attention::{Attention, Scratch, Span, Task};
use crate::model::packed::crew::Crew;
use crate::model::packed::matrix::{Matrix, Padding, Part};
use crate::model::packed::pages::{PageId, Pages};
use crate::model::packed::row_sums::{LogTotal, Scaled, Scales};
use crate::model::packed::tile::{Finish, Left, PANEL, Row};
use crate::model::shape::Shape;
use crate::model::weights::{Tensor, TensorSource, Values};

#[derive(Debug, Clone)]
pub struct PackedLlama {
    pub shape: Shape,
    arch: Arch,
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: Vec<Row>,
    /// The output projection; a tied embedding is read back out of it.
    head: Matrix,
    frequencies: Vec<f32>,
    head_panels: usize,
}

#[derive(Debug, Clone)]
enum Embedding {
    Table(Tensor),
    Tied,
}

#[derive(Debug, Clone)]
struct Layer {
    input_norm: Vec<Row>,
    qkv: Matrix,
    output: Matrix,
    mlp_norm: Vec<Row>,
    gate_up: Matrix,
    down: Matrix,
}

/// Buffers that live from step to step, so that a step allocates nothing once they have grown.
#[derive(Debug, Default)]
pub struct Workspace {
    /// The residual stream of the last forward, panel by panel.
    x: Vec<Row>,
    /// What the rows are multiplied with in a norm.
    scales: Vec<f32>,
    normed: Vec<Row>,
    qkv: Vec<Row>,
    attended: Vec<Row>,
    gated: Vec<Row>,
    picked: Vec<Row>,
    logits: Vec<Row>,
    /// cos and sin of every position so far, `D / 2` each.
    turns: Vec<(f32, f32)>,
}

/// Rows of a norm that are worth another thread's help.
const ROWS_WORTH_HELP: usize = 64;
/// At most this many folded query rows in an attention task, so that its scores stay in the second-level cache.
const ATTENTION_ROWS: usize = 48;
/// Multiply-adds of attention that are worth another thread's help.
const WORTH_HELP: usize = 1 << 14;

impl PackedLlama {
    /// Packs tensor by tensor: a source on disk is never in memory as a whole beside its packed form.
    pub fn pack(crew: &Crew, shape: &Shape, source: &impl TensorSource) -> Result<PackedLlama> {
        let head_padding = Padding::head(shape.head_dim);
        let layer = |index: usize| -> Result<Layer> {
            let read = |part: &str| source.tensor(&format!("model.layers.{index}.{part}"));
            let bias = |part: &str, present: bool| -> Result<_> {
                if present { read(&format!("{part}.bias")).map(Some) } else { Ok(None) }
            };
            let matrix = |parts: &[&str], biased: bool, pack: &dyn Fn(&[Part<'_>]) -> Matrix| -> Result<Matrix> {
                let weights = parts.iter().map(|part| read(&format!("{part}.weight"))).collect::<Result<Vec<_>>>()?;
                let biases = parts.iter().map(|part| bias(part, biased)).collect::<Result<Vec<_>>>()?;
                let pairs = weights.iter().zip(&biases).map(|(weight, bias)| (weight.as_ref(), bias.as_deref()));
                Ok(pack(&pairs.collect::<Vec<_>>()))
            };
            let none = Padding::NONE;
            let heads_out = |parts: &[Part<'_>]| Matrix::pack(crew, parts, head_padding, none);
            let heads_in = |parts: &[Part<'_>]| Matrix::pack(crew, parts, none, head_padding);
            let gated = |parts: &[Part<'_>]| Matrix::interleave(crew, parts[0], parts[1]);
            let plain = |parts: &[Part<'_>]| Matrix::pack(crew, parts, none, none);
            let attention = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
            Ok(Layer {
                input_norm: pad(&read("input_layernorm.weight")?.values.to_f32()),
                qkv: matrix(&attention, shape.attention_bias, &heads_out)?,
                output: matrix(&["self_attn.o_proj"], shape.attention_bias, &heads_in)?,
                mlp_norm: pad(&read("post_attention_layernorm.weight")?.values.to_f32()),
                gate_up: matrix(&["mlp.gate_proj", "mlp.up_proj"], shape.mlp_bias, &gated)?,
                down: matrix(&["mlp.down_proj"], shape.mlp_bias, &plain)?,
            })
        };
        shape.ensure_it_writes()?;
        let plain = |tensor: &Tensor| Matrix::pack(crew, &[(tensor, None)], Padding::NONE, Padding::NONE);
        let embedding = source.tensor("model.embed_tokens.weight")?;
        let (embedding, head) = if shape.tied {
            (Embedding::Tied, plain(&embedding))
        } else {
            let head = source.tensor("lm_head.weight")?;
            (Embedding::Table(embedding.into_owned()), plain(&head))
        };
        Ok(PackedLlama {
            shape: shape.clone(),
            arch: Arch::new(),
            embedding,
            layers: (0..shape.layers).map(layer).collect::<Result<_>>()?,
            norm: pad(&source.tensor("model.norm.weight")?.values.to_f32()),
            head,
            frequencies: shape.rope.inverse_frequencies(shape.head_dim),
            head_panels: shape.head_dim.div_ceil(PANEL),
        })
    }

    /// Bytes of packed weights that a step reads.
    pub fn bytes(&self) -> usize {
        let layer = |l: &Layer| l.qkv.bytes() + l.output.bytes() + l.gate_up.bytes() + l.down.bytes();
        self.layers.iter().map(layer).sum::<usize>() + self.head.bytes()
    }

    /// True when all matrices are held as bf16.
    pub fn is_bf16(&self) -> bool {
        let all = |l: &Layer| l.qkv.is_bf16() && l.output.is_bf16() && l.gate_up.is_bf16() && l.down.is_bf16();
        self.layers.iter().all(all) && self.head.is_bf16()
    }

    /// Runs the new tokens of some spans through all layers, writing their keys and values into the spans' pages.
    pub fn forward(&self, crew: &Crew, spans: &[Span<'_>], tokens: &[u32], pages: &mut Pages, work: &mut Workspace) {
        let rows = tokens.len();
        let width = self.shape.hidden.div_ceil(PANEL);
        work.x.resize(width * rows, [0.0; PANEL]);
        let embed = |(panel, out): (usize, &mut [Row])| {
            for (out, &token) in out.iter_mut().zip(tokens) {
                *out = self.embedded(token as usize, panel);
            }
        };
        crew.share(work.x.chunks_exact_mut(rows).enumerate(), embed);
        let seen = spans.iter().map(|span| span.first + span.count).max().unwrap_or(0);
        self.extend_turns(seen, &mut work.turns);
        for (index, layer) in self.layers.iter().enumerate() {
            self.norm(crew, &work.x, rows, &layer.input_norm, &mut work.scales, &mut work.normed);
            work.qkv.resize(layer.qkv.panels * rows, [0.0; PANEL]);
            let left = Left::panels(&work.normed, rows, width);
            layer.qkv.product(crew, self.arch, left, &mut work.qkv, Finish::Store);
            self.rotate_and_store(crew, index, spans, rows, pages, &mut work.qkv, &work.turns);
            self.attend(crew, index, spans, rows, pages, &work.qkv, &mut work.attended);
            let group = self.shape.group() * self.head_panels;
            let (inner, outer, step) = (group, rows * group, group);
            let left = Left { values: &work.attended, rows, k_panels: layer.output.k_panels, inner, outer, step };
            layer.output.product(crew, self.arch, left, &mut work.x, Finish::Add);

            self.norm(crew, &work.x, rows, &layer.mlp_norm, &mut work.scales, &mut work.normed);
            work.gated.resize(layer.gate_up.panels * rows, [0.0; PANEL]);
            layer.gate_up.gated_product(crew, self.arch, Left::panels(&work.normed, rows, width), &mut work.gated);
            // The gated values stand in every second panel.
            let k_panels = layer.down.k_panels;
            let left = Left { values: &work.gated, rows, k_panels, inner: 1, outer: 2 * rows, step: 1 };
            layer.down.product(crew, self.arch, left, &mut work.x, Finish::Add);
        }
    }

    /// Logits after some rows of the last forward: panel by panel, `picked.len()` rows each, padded to whole panels.
    pub fn logits<'w>(&self, crew: &Crew, batch: usize, picked: &[usize], work: &'w mut Workspace) -> &'w [Row] {
        let width = self.shape.hidden.div_ceil(PANEL);
        work.picked.clear();
        for panel in 0..width {
            work.picked.extend(picked.iter().map(|&row| work.x[panel * batch + row]));
        }
        self.norm(crew, &work.picked, picked.len(), &self.norm, &mut work.scales, &mut work.normed);
        work.logits.resize(self.head.panels * picked.len(), [0.0; PANEL]);
        let left = Left::panels(&work.normed, picked.len(), width);
        self.head.product(crew, self.arch, left, &mut work.logits, Finish::Store);
        &work.logits
    }

    /// One row of logits as a plain vector of the vocabulary.
    pub fn gather_logits(&self, logits: &[Row], rows: usize, row: usize, into: &mut Vec<f32>) {
        into.clear();
        into.extend(logits.chunks_exact(rows).flat_map(|panel| panel[row]).take(self.shape.vocab));
    }

    /// Log of the sum of exponentials of one row of logits: what turns logits into log-probs.
    pub fn log_total(&self, logits: &[Row], rows: usize, row: usize) -> f32 {
        self.arch.dispatch(LogTotal { logits, rows, row, vocab: self.shape.vocab })
    }

    /// One panel of a token's embedding.
    fn embedded(&self, token: usize, panel: usize) -> Row {
        let table = match &self.embedding {
            Embedding::Tied => return self.head.inputs(token, panel),
            Embedding::Table(table) => table,
        };
        let hidden = self.shape.hidden;
        let range = token * hidden + panel * PANEL..token * hidden + ((panel + 1) * PANEL).min(hidden);
        let mut row = [0.0; PANEL];
        match &table.values {
            Values::F32(values) => row[..range.len()].copy_from_slice(&values[range]),
            Values::Bf16(values) => row.iter_mut().zip(&values[range]).for_each(|(to, from)| *to = from.to_f32()),
        }
        row
    }

    fn norm(&self, crew: &Crew, x: &[Row], rows: usize, weight: &[Row], scales: &mut Vec<f32>, out: &mut Vec<Row>) {
        out.resize(x.len(), [0.0; PANEL]);
        scales.resize(rows, 0.0);
        let (hidden, epsilon) = (self.shape.hidden, self.shape.rms_eps);
        let scale = |(part, out): (usize, &mut [f32])| {
            let first = part * ROWS_WORTH_HELP;
            self.arch.dispatch(Scales { x, rows, first, hidden, epsilon, out });
        };
        let panels = x.chunks_exact(rows).zip(weight).zip(out.chunks_exact_mut(rows));
        if rows <= ROWS_WORTH_HELP {
            scale((0, scales));
            panels.for_each(|((x, weight), out)| self.arch.dispatch(Scaled { x, scales, weight, out }));
        } else {
            crew.share(scales.chunks_mut(ROWS_WORTH_HELP).enumerate(), scale);
            crew.share(panels, |((x, weight), out)| self.arch.dispatch(Scaled { x, scales, weight, out }));
        }
    }

    fn extend_turns(&self, positions: usize, turns: &mut Vec<(f32, f32)>) {
        let half = self.frequencies.len();
        for position in turns.len() / half..positions {
            turns.extend(self.frequencies.iter().map(|frequency| {
                // The product in f32 as transformers has it, its sine and cosine as exact as may be.
                let angle = f64::from(position as f32 * frequency);
                (angle.cos() as f32, angle.sin() as f32)
            }));
        }
    }

    /// Turns queries in place, and writes turned keys and plain values into the pages.
    #[expect(clippy::too_many_arguments, reason = "all that one step of a layer touches")]
    fn rotate_and_store(
        &self,
        crew: &Crew,
        layer: usize,
        spans: &[Span<'_>],
        rows: usize,
        pages: &mut Pages,
        qkv: &mut [Row],
        turns: &[(f32, f32)],
    ) {
        let (shape, width) = (&self.shape, self.head_panels * rows);
        let half = shape.head_dim / 2;
        let turned_heads = shape.heads + shape.kv_heads;
        let turn_head = |head: &mut [Row]| {
            let mut row = 0;
            for span in spans {
                for position in span.first..span.first + span.count {
                    turn(head, rows, row, &turns[position * half..(position + 1) * half]);
                    row += 1;
                }
            }
        };
        let (turned, values) = qkv.split_at_mut(turned_heads * width);
        if rows * turned_heads < 512 {
            turned.chunks_exact_mut(width).for_each(turn_head);
        } else {
            crew.share(turned.chunks_exact_mut(width), turn_head);
        }
        self.store(crew, layer, spans, rows, pages, (&turned[shape.heads * width..], values));
    }

    /// Writes keys and values into the pages, each page by whoever takes it.
    fn store(
        &self,
        crew: &Crew,
        layer: usize,
        spans: &[Span<'_>],
        rows: usize,
        pages: &mut Pages,
        (keys, values): (&[Row], &[Row]),
    ) {
        let mut lent = Vec::new();
        let mut row = 0;
        for span in spans {
            let (mut position, end) = (span.first, span.first + span.count);
            while position < end {
                let slots = position % PANEL..PANEL.min(position % PANEL + end - position);
                let id = span.table[position / PANEL];
                let count = slots.len();
                lent.push((id, pages.lend(id), row, slots));
                (position, row) = (position + count, row + count);
            }
        }
        let places: Vec<usize> = (0..self.shape.kv_heads).map(|head| pages.place(layer, head)).collect();
        let width = self.head_panels * rows;
        let write = |(_, page, row, slots): &mut (PageId, Vec<Row>, usize, Range<usize>)| {
            for (head, &place) in places.iter().enumerate() {
                let new = |panel: usize| {
                    let first = head * width + panel * rows + *row;
                    first..first + slots.len()
                };
                let (key_rows, value_rows) = page[place..].split_at_mut(self.head_panels * PANEL);
                for panel in 0..self.head_panels {
                    let keys = &keys[new(panel)];
                    for (lane, to) in key_rows[panel * PANEL..(panel + 1) * PANEL].iter_mut().enumerate() {
                        for (to, key) in to[slots.clone()].iter_mut().zip(keys) {
                            *to = key[lane];
                        }
                    }
                    value_rows[panel * PANEL..][slots.clone()].copy_from_slice(&values[new(panel)]);
                }
            }
        };
        if lent.len() == 1 {
            lent.iter_mut().for_each(write);
        } else {
            crew.share(lent.iter_mut(), write);
        }
        lent.into_iter().for_each(|(id, page, ..)| pages.take_back(id, page));
    }

    #[expect(clippy::too_many_arguments, reason = "all that one step of a layer touches")]
    fn attend(
        &self,
        crew: &Crew,
        layer: usize,
        spans: &[Span<'_>],
        rows: usize,
        pages: &Pages,
        qkv: &[Row],
        out: &mut Vec<Row>,
    ) {
        let shape = &self.shape;
        let group = shape.group();
        out.resize(shape.heads * self.head_panels * rows, [0.0; PANEL]);
        let attention = Attention {
            pages,
            layer,
            queries: qkv,
            batch: rows,
            group,
            head_panels: self.head_panels,
            scale: 1.0 / (shape.head_dim as f32).sqrt(),
        };
        let tile = (ATTENTION_ROWS / group).max(1);
        let mut tasks = Vec::new();
        let mut amount = 0;
        let mut rest = out.as_mut_slice();
        for head in 0..shape.kv_heads {
            let mut row = 0;
            for span in spans {
                let mut done = 0;
                while done < span.count {
                    let rows = tile.min(span.count - done);
                    let (own, others) = rest.split_at_mut(rows * group * self.head_panels);
                    rest = others;
                    let first = span.first + done;
                    tasks.push(Task { table: span.table, first, rows, row, head, out: own });
                    amount += rows * group * (first + rows) * shape.head_dim * 2;
                    row += rows;
                    done += rows;
                }
            }
        }
        if amount < WORTH_HELP {
            let mut scratch = Scratch::default();
            tasks.into_iter().for_each(|task| attention.run(self.arch, task, &mut scratch));
        } else {
            crew.share_with(Scratch::default, tasks.into_iter(), |scratch, task| {
                attention.run(self.arch, task, scratch);
            });
        }
    }
}

/// Rotary positions of one row of one head: element i turns with element i + D/2.
fn turn(head: &mut [Row], rows: usize, row: usize, turns: &[(f32, f32)]) {
    let half = turns.len();
    if half.is_multiple_of(PANEL) {
        let (left, right) = head.split_at_mut(half / PANEL * rows);
        for (panel, turns) in turns.as_chunks::<PANEL>().0.iter().enumerate() {
            let (left, right) = (&mut left[panel * rows + row], &mut right[panel * rows + row]);
            for ((left, right), (cos, sin)) in left.iter_mut().zip(right).zip(turns) {
                (*left, *right) = (*left * cos - *right * sin, *right * cos + *left * sin);
            }
        }
    } else {
        for (i, (cos, sin)) in turns.iter().enumerate() {
            let place = |i: usize| (i / PANEL * rows + row, i % PANEL);
            let ((left_row, left), (right_row, right)) = (place(i), place(i + half));
            let (a, b) = (head[left_row][left], head[right_row][right]);
            head[left_row][left] = a * cos - b * sin;
            head[right_row][right] = b * cos + a * sin;
        }
    }
}

fn pad(values: &[f32]) -> Vec<Row> {
    let mut rows = vec![[0.0; PANEL]; values.len().div_ceil(PANEL)];
    rows.as_flattened_mut()[..values.len()].copy_from_slice(values);
    rows
}
