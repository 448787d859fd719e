//! One layer, forward and back: x + Attention(Norm(x)), then x + MLP(Norm(x)).
//!
//! What the way back needs is kept, or computed again from the layer's input where memory binds: the same functions in the
//! same order, so the same bits. It knows no loss.

use pulp::Arch;

use crate::model::random;
use crate::train::dropout::{self, Dropout};
use crate::train::hand::attention::{self, ByInputs, Heads, Inputs, Sight};
use crate::train::hand::lanes;
use crate::train::hand::layout::{Layout, Wanted};
use crate::train::hand::net::{LayerPlace, Net, ProjectionPlace};
use crate::train::hand::projection::{Projection, Sums};
use crate::train::hand::scratch::Scratch;

/// Which texts a pass is about, and how it computes.
#[derive(Debug)]
pub struct Course<'a> {
    pub net: &'a Net,
    pub layout: Layout,
    /// Of what the layers add.
    pub dropout: Option<Dropout>,
    /// Of what the adapters read.
    pub adapter_dropout: Option<Dropout>,
}

/// What the way back through a layer needs: its input, keys and values of all rows, everything else of the wanted ones.
#[derive(Debug)]
pub struct Kept {
    input: Vec<f32>,
    inverse: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    q: Vec<f32>,
    totals: Vec<f32>,
    attended: Vec<f32>,
    middle: Vec<f32>,
    inverse_of_middle: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl Kept {
    pub fn give_back(self, scratch: &mut Scratch) {
        let Kept { input, inverse, k, v, q, totals, attended, middle, inverse_of_middle, gate, up } = self;
        scratch.give_all([input, inverse, k, v, q, totals, attended, middle, inverse_of_middle, gate, up]);
    }
}

impl Course<'_> {
    fn heads(&self) -> Heads {
        let shape = &self.net.shape;
        Heads { queries: shape.heads, keys: shape.kv_heads, dim: shape.head_dim }
    }

    /// The rows whose output is read: after the last layer nobody asks for what only later tokens looked at.
    fn wanted(&self, layer: usize) -> &Wanted {
        if layer + 1 == self.net.shape.layers { &self.layout.last } else { &self.layout.all }
    }

    fn sight<'a>(&'a self, wanted: &'a Wanted) -> Sight<'a> {
        Sight { spans: &self.layout.spans, asking: &wanted.parts }
    }

    fn projection<'a>(&'a self, place: &'a ProjectionPlace) -> Projection<'a> {
        Projection::new(self.net, place, self.adapter_dropout)
    }

    fn place(&self, layer: usize) -> &LayerPlace {
        &self.net.place.layers[layer]
    }

    fn norm(&self, at: usize, x: &[f32], scratch: &mut Scratch) -> (Vec<f32>, Vec<f32>) {
        let (mut y, mut inverse) = (scratch.take(x.len()), scratch.take(x.len() / self.net.shape.hidden));
        let weight = &self.net.numbers[at];
        lanes::norm(Arch::new(), x, weight, self.net.shape.rms_eps, &mut inverse, &mut y);
        (y, inverse)
    }

    /// The layer's output at the wanted rows in the place of its input, and what the way back needs.
    pub fn forward(&self, layer: usize, x: &mut Vec<f32>, scratch: &mut Scratch) -> Kept {
        let (arch, heads, place, wanted) = (Arch::new(), self.heads(), self.place(layer), self.wanted(layer));
        let (hidden, half, all, rows) = (self.net.shape.hidden, heads.dim / 2, &self.layout.all, wanted.count);
        let (normed, inverse) = self.norm(place.input_norm, x, scratch);
        let mut q = scratch.take(rows * heads.query_width());
        let mut k = scratch.take(all.count * heads.key_width());
        let mut v = scratch.take(all.count * heads.key_width());
        for (place, out) in [(&place.k, &mut k), (&place.v, &mut v)] {
            self.projection(place).forward(&normed, out, false, scratch);
        }
        // The buffer of the normed rows becomes the output's: the wanted ones are moved together in it first.
        let input = std::mem::replace(x, normed);
        if !wanted.all {
            let mut own = scratch.take(rows * hidden);
            wanted.gather(x, hidden, &mut own);
            scratch.give(std::mem::replace(x, own));
        }
        self.projection(&place.q).forward(x, &mut q, false, scratch);
        lanes::turn(arch, &mut q, heads.query_width(), half, &wanted.cosines, &wanted.sines, 1.0);
        lanes::turn(arch, &mut k, heads.key_width(), half, &all.cosines, &all.sines, 1.0);
        let mut attended = scratch.take(rows * heads.query_width());
        let mut totals = scratch.take(rows * heads.queries);
        let inputs = Inputs { q: &q, k: &k, v: &v };
        attention::forward(heads, self.sight(wanted), inputs, &mut attended, &mut totals, scratch);
        wanted.gather(&input, hidden, x);
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
        Kept { input, inverse, k, v, q, totals, attended, middle, inverse_of_middle, gate, up }
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

    /// From the gradient of the layer's output at the wanted rows that of its input, in place; gradients of weights are added
    /// to `sums`.
    pub fn backward(&self, layer: usize, kept: Kept, by_x: &mut Vec<f32>, sums: &mut Sums<'_>, scratch: &mut Scratch) {
        let (arch, heads, place, wanted) = (Arch::new(), self.heads(), self.place(layer), self.wanted(layer));
        let (hidden, all, rows) = (self.net.shape.hidden, &self.layout.all, wanted.count);
        let Kept { input, inverse, k, v, q, totals, attended, middle, inverse_of_middle, mut gate, mut up } = kept;

        let width = place.gate.outputs;
        let (mut h, mut by_h) = (scratch.take(rows * width), scratch.take(rows * width));
        lanes::gated(arch, &gate, &up, &mut h);
        self.add_back(&place.down, &h, by_x, &mut by_h, self.mask_of(layer, 1), sums, scratch);
        lanes::gated_back(arch, &by_h, &mut gate, &mut up);
        scratch.give_all([h, by_h]);
        let (mut normed, mut by_normed) = (scratch.take(rows * hidden), scratch.take(rows * hidden));
        lanes::norm_again(arch, &middle, &self.net.numbers[place.mlp_norm], &inverse_of_middle, &mut normed);
        self.projection(&place.gate).backward(&normed, &gate, &mut by_normed, false, sums, scratch);
        self.projection(&place.up).backward(&normed, &up, &mut by_normed, true, sums, scratch);
        self.norm_back(place.mlp_norm, &middle, &inverse_of_middle, &mut by_normed, by_x, sums);
        scratch.give_all([gate, up, middle, inverse_of_middle, normed]);

        let mut by_attended = scratch.take(attended.len());
        self.add_back(&place.o, &attended, by_x, &mut by_attended, self.mask_of(layer, 0), sums, scratch);
        let (mut by_q, mut by_k, mut by_v) = (scratch.take(q.len()), scratch.take(k.len()), scratch.take(v.len()));
        let inputs = Inputs { q: &q, k: &k, v: &v };
        let result = attention::Result { out: &attended, totals: &totals, by_out: &by_attended };
        let by = ByInputs { q: &mut by_q, k: &mut by_k, v: &mut by_v };
        attention::backward(heads, self.sight(wanted), inputs, result, by, scratch);
        let half = heads.dim / 2;
        lanes::turn(arch, &mut by_q, heads.query_width(), half, &wanted.cosines, &wanted.sines, -1.0);
        lanes::turn(arch, &mut by_k, heads.key_width(), half, &all.cosines, &all.sines, -1.0);

        let mut normed = scratch.take(input.len());
        lanes::norm_again(arch, &input, &self.net.numbers[place.input_norm], &inverse, &mut normed);
        if wanted.all {
            self.projection(&place.q).backward(&normed, &by_q, &mut by_normed, false, sums, scratch);
        } else {
            // Only wanted rows asked, and only they stand in the residual stream; the others were seen and no more.
            let mut own = scratch.take(rows * hidden);
            wanted.gather(&normed, hidden, &mut own);
            self.projection(&place.q).backward(&own, &by_q, &mut by_normed, false, sums, scratch);
            for narrow in [&mut by_normed, &mut *by_x] {
                let mut wide = scratch.take(input.len());
                wanted.scatter(narrow, hidden, &mut wide);
                scratch.give(std::mem::replace(narrow, wide));
            }
            scratch.give(own);
        }
        for (place, by) in [(&place.k, &by_k), (&place.v, &by_v)] {
            self.projection(place).backward(&normed, by, &mut by_normed, true, sums, scratch);
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
