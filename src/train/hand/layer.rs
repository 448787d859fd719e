//! One layer, forward and back: x + Attention(Norm(x)), then x + MLP(Norm(x)).
//!
//! What the way back needs is kept, or computed again from the layer's input where memory binds: the same functions in the
//! same order, so the same bits. It knows no loss.

use std::ops::Range;

use pulp::Arch;

use crate::model::random;
use crate::train::dropout::{self, Dropout};
use crate::train::hand::attention::{self, ByInputs, Heads, Inputs};
use crate::train::hand::lanes;
use crate::train::hand::net::{LayerPlace, Net, ProjectionPlace};
use crate::train::hand::projection::{Projection, Sums};
use crate::train::hand::scratch::Scratch;

/// Which texts a pass is about, and how it computes.
#[derive(Debug)]
pub struct Course<'a> {
    pub net: &'a Net,
    pub texts: Vec<Range<usize>>,
    /// Turns of each position, D/2 numbers each.
    pub cosines: Vec<f32>,
    pub sines: Vec<f32>,
    /// Of what the layers add.
    pub dropout: Option<Dropout>,
    /// Of what the adapters read.
    pub adapter_dropout: Option<Dropout>,
}

/// What the way back through a layer needs.
#[derive(Debug)]
pub struct Kept {
    input: Vec<f32>,
    inverse: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    totals: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    inverse_of_middle: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl Kept {
    pub fn give_back(self, scratch: &mut Scratch) {
        let Kept { input, inverse, q, k, v, totals, attended, middle, inverse_of_middle, gate, up } = self;
        scratch.give_all([input, inverse, q, k, v, totals, attended, middle, inverse_of_middle, gate, up]);
    }
}

impl Course<'_> {
    fn heads(&self) -> Heads {
        let shape = &self.net.shape;
        Heads { queries: shape.heads, keys: shape.kv_heads, dim: shape.head_dim }
    }

    fn rows(&self) -> usize {
        self.texts.last().map_or(0, |text| text.end)
    }

    fn projection<'a>(&'a self, place: &'a ProjectionPlace) -> Projection<'a> {
        Projection::new(self.net, place, self.adapter_dropout)
    }

    fn place(&self, layer: usize) -> &LayerPlace {
        &self.net.place.layers[layer]
    }

    fn norm(&self, at: usize, x: &[f32], scratch: &mut Scratch) -> (Vec<f32>, Vec<f32>) {
        let (mut y, mut inverse) = (scratch.take(x.len()), scratch.take(self.rows()));
        let weight = &self.net.numbers[at];
        lanes::norm(Arch::new(), x, weight, self.net.shape.rms_eps, &mut inverse, &mut y);
        (y, inverse)
    }

    /// The layer's output in the place of its input, and what the way back needs.
    pub fn forward(&self, layer: usize, x: &mut Vec<f32>, scratch: &mut Scratch) -> Kept {
        let (arch, rows, heads, place) = (Arch::new(), self.rows(), self.heads(), self.place(layer));
        let half = heads.dim / 2;
        let (normed, inverse) = self.norm(place.input_norm, x, scratch);
        let mut q = scratch.take(rows * heads.query_width());
        let mut k = scratch.take(rows * heads.key_width());
        let mut v = scratch.take(rows * heads.key_width());
        for (place, out) in [(&place.q, &mut q), (&place.k, &mut k), (&place.v, &mut v)] {
            self.projection(place).forward(&normed, out, false, scratch);
        }
        for (x, width) in [(&mut q, heads.query_width()), (&mut k, heads.key_width())] {
            lanes::turn(arch, x, width, half, &self.cosines, &self.sines, 1.0);
        }
        let mut attended = scratch.take(rows * heads.query_width());
        let mut totals = scratch.take(rows * heads.queries);
        let inputs = Inputs { q: &q, k: &k, v: &v };
        attention::forward(heads, &self.texts, inputs, &mut attended, &mut totals, scratch);
        let input = std::mem::replace(x, normed);
        x.copy_from_slice(&input);
        self.add(&place.o, &attended, x, self.mask_of(layer, 0), scratch);

        let (normed, inverse_of_middle) = self.norm(place.mlp_norm, x, scratch);
        let width = place.gate.outputs;
        let (mut gate, mut up, mut h) =
            (scratch.take(rows * width), scratch.take(rows * width), scratch.take(rows * width));
        self.projection(&place.gate).forward(&normed, &mut gate, false, scratch);
        self.projection(&place.up).forward(&normed, &mut up, false, scratch);
        lanes::gated(arch, &gate, &up, &mut h);
        let middle = std::mem::replace(x, normed);
        x.copy_from_slice(&middle);
        self.add(&place.down, &h, x, self.mask_of(layer, 1), scratch);
        scratch.give(h);
        Kept { input, inverse, q, k, v, totals, attended, middle, inverse_of_middle, gate, up }
    }

    /// The key of a branch's mask.
    fn mask_of(&self, layer: usize, branch: u64) -> Option<Dropout> {
        self.dropout.map(|dropout| Dropout { key: random::derive(dropout.key, 2 * layer as u64 + branch), ..dropout })
    }

    /// x += projection(y), thinned out.
    fn add(&self, place: &ProjectionPlace, y: &[f32], x: &mut [f32], dropout: Option<Dropout>, scratch: &mut Scratch) {
        let Some(dropout) = dropout else {
            return self.projection(place).forward(y, x, true, scratch);
        };
        let (mut out, mut mask) = (scratch.take(x.len()), scratch.take(x.len()));
        self.projection(place).forward(y, &mut out, false, scratch);
        dropout::mask(dropout, &mut mask);
        lanes::add_thinned(Arch::new(), x, &out, &mask);
        scratch.give_all([out, mask]);
    }

    /// From the gradient of the layer's output that of its input, in place; gradients of weights are added to `sums`.
    pub fn backward(&self, layer: usize, kept: Kept, by_x: &mut [f32], sums: &mut Sums<'_>, scratch: &mut Scratch) {
        let (arch, rows, heads, place) = (Arch::new(), self.rows(), self.heads(), self.place(layer));
        let Kept { input, inverse, q, k, v, totals, attended, middle, inverse_of_middle, mut gate, mut up } = kept;

        let width = place.gate.outputs;
        let (mut h, mut by_h) = (scratch.take(rows * width), scratch.take(rows * width));
        lanes::gated(arch, &gate, &up, &mut h);
        self.add_back(&place.down, &h, by_x, &mut by_h, self.mask_of(layer, 1), sums, scratch);
        lanes::gated_back(arch, &by_h, &mut gate, &mut up);
        scratch.give_all([h, by_h]);
        let (mut normed, mut by_normed) = (scratch.take(by_x.len()), scratch.take(by_x.len()));
        lanes::norm_again(arch, &middle, &self.net.numbers[place.mlp_norm], &inverse_of_middle, &mut normed);
        self.projection(&place.gate).backward(&normed, &gate, &mut by_normed, false, sums, scratch);
        self.projection(&place.up).backward(&normed, &up, &mut by_normed, true, sums, scratch);
        self.norm_back(place.mlp_norm, &middle, &inverse_of_middle, &mut by_normed, by_x, sums);
        scratch.give_all([gate, up, middle, inverse_of_middle]);

        let mut by_attended = scratch.take(attended.len());
        self.add_back(&place.o, &attended, by_x, &mut by_attended, self.mask_of(layer, 0), sums, scratch);
        let (mut by_q, mut by_k, mut by_v) = (scratch.take(q.len()), scratch.take(k.len()), scratch.take(v.len()));
        let inputs = Inputs { q: &q, k: &k, v: &v };
        let result = attention::Result { out: &attended, totals: &totals, by_out: &by_attended };
        let by = ByInputs { q: &mut by_q, k: &mut by_k, v: &mut by_v };
        attention::backward(heads, &self.texts, inputs, result, by, scratch);
        let half = heads.dim / 2;
        for (by, width) in [(&mut by_q, heads.query_width()), (&mut by_k, heads.key_width())] {
            lanes::turn(arch, by, width, half, &self.cosines, &self.sines, -1.0);
        }
        lanes::norm_again(arch, &input, &self.net.numbers[place.input_norm], &inverse, &mut normed);
        for (place, by, add) in [(&place.q, &by_q, false), (&place.k, &by_k, true), (&place.v, &by_v, true)] {
            self.projection(place).backward(&normed, by, &mut by_normed, add, sums, scratch);
        }
        self.norm_back(place.input_norm, &input, &inverse, &mut by_normed, by_x, sums);
        scratch.give_all([q, k, v, totals, attended, by_attended, by_q, by_k, by_v, normed, by_normed, input, inverse]);
    }

    /// The way back through [`Course::add`]: the gradient of y; that of x is `by_x` as it is.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the way there, and the two gradients")]
    fn add_back(
        &self,
        place: &ProjectionPlace,
        y: &[f32],
        by_x: &[f32],
        by_y: &mut [f32],
        dropout: Option<Dropout>,
        sums: &mut Sums<'_>,
        scratch: &mut Scratch,
    ) {
        let Some(dropout) = dropout else {
            return self.projection(place).backward(y, by_x, by_y, false, sums, scratch);
        };
        let (mut thinned, mut mask) = (scratch.take(by_x.len()), scratch.take(by_x.len()));
        dropout::mask(dropout, &mut mask);
        lanes::thinned(Arch::new(), &mut thinned, by_x, &mask);
        self.projection(place).backward(y, &thinned, by_y, false, sums, scratch);
        scratch.give_all([thinned, mask]);
    }

    pub fn norm_back(
        &self,
        at: usize,
        x: &[f32],
        inverse: &[f32],
        by_y: &mut [f32],
        by_x: &mut [f32],
        sums: &mut Sums<'_>,
    ) {
        let by_weight = sums.base(at).map(|numbers| &mut numbers[..]).unwrap_or_default();
        lanes::norm_back(Arch::new(), x, &self.net.numbers[at], inverse, by_y, by_x, by_weight);
    }
}
