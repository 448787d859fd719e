//! One projection, forward and back: y = x Wᵀ + b, and with an adapter + s·(x' Aᵀ) Bᵀ, where x' is x with dropout.
//!
//! The dense change s·B A is never formed. Used by the layers.

use pulp::Arch;

use crate::model::random;
use crate::train::dropout::{self, Dropout};
use crate::train::hand::lanes;
use crate::train::hand::net::{Net, ProjectionPlace};
use crate::train::hand::product::{Into, Matrix, product};
use crate::train::hand::scratch::Scratch;
use crate::train::parameters::Numbers;

/// A projection of a net, ready to compute.
#[derive(Clone, Copy, Debug)]
pub struct Projection<'a> {
    place: &'a ProjectionPlace,
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    adapter: Option<Adapter<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Adapter<'a> {
    /// Its number; its matrices are the trained numbers 2·at and 2·at + 1.
    at: usize,
    /// `[r, in]`
    a: &'a [f32],
    /// `[out, r]`
    b: &'a [f32],
    rank: usize,
    scale: f32,
    dropout: Option<Dropout>,
}

impl<'a> Projection<'a> {
    /// `dropout` is that of the adapters; each gets masks of its own.
    pub fn new(net: &'a Net, place: &'a ProjectionPlace, dropout: Option<Dropout>) -> Projection<'a> {
        let adapter = net.adapters.as_ref().and_then(|adapters| {
            let at = adapters.place_of(&place.name)?;
            let own = |dropout: Dropout| Dropout { key: random::derive(dropout.key, at as u64), ..dropout };
            let (a, b) = (&adapters.numbers[2 * at][..], &adapters.numbers[2 * at + 1][..]);
            let rank = adapters.settings.rank;
            Some(Adapter { at, a, b, rank, scale: adapters.settings.scale(), dropout: dropout.map(own) })
        });
        let bias = place.bias.map(|bias| &net.numbers[bias][..]);
        Projection { place, weight: &net.numbers[place.weight], bias, adapter }
    }

    fn matrix(&self) -> Matrix<'a> {
        Matrix::new(self.weight, self.place.outputs, self.place.inputs)
    }

    /// y, or y added to what is in `out`.
    pub fn forward(&self, x: &[f32], out: &mut [f32], add: bool, scratch: &mut Scratch) {
        let ProjectionPlace { inputs, outputs, .. } = *self.place;
        let rows = x.len() / inputs;
        product(
            Matrix::new(x, rows, inputs),
            self.matrix().transposed(),
            1.0,
            Into { numbers: out, step: outputs, add },
        );
        if let Some(bias) = self.bias {
            lanes::add_to_rows(Arch::new(), out, bias);
        }
        if let Some(adapter) = &self.adapter {
            let thinned = adapter.thinned(x, scratch);
            let narrow = adapter.narrow(thinned.as_deref().unwrap_or(x), rows, inputs, scratch);
            let b = Matrix::new(adapter.b, outputs, adapter.rank).transposed();
            product(Matrix::new(&narrow, rows, adapter.rank), b, adapter.scale, Into::added(out, outputs));
            scratch.give(narrow);
            scratch.give_all(thinned);
        }
    }

    /// From ∂y the gradient of x, replacing or added to `by_x`, and those of what is trained, added to `sums`.
    pub fn backward(
        &self,
        x: &[f32],
        by_y: &[f32],
        by_x: &mut [f32],
        add: bool,
        sums: &mut Sums<'_>,
        scratch: &mut Scratch,
    ) {
        let ProjectionPlace { inputs, outputs, .. } = *self.place;
        let rows = x.len() / inputs;
        let by = Matrix::new(by_y, rows, outputs);
        product(by, self.matrix(), 1.0, Into { numbers: by_x, step: inputs, add });
        if let Sums::Base(sums) = sums {
            let weight = &mut sums[self.place.weight];
            product(by.transposed(), Matrix::new(x, rows, inputs), 1.0, Into::added(weight, inputs));
            if let Some(bias) = self.place.bias {
                lanes::add_rows(Arch::new(), &mut sums[bias], by_y);
            }
        }
        let (Some(adapter), Sums::Adapters(sums)) = (&self.adapter, sums) else { return };
        let rank = adapter.rank;
        let thinned = adapter.thinned(x, scratch);
        let input = thinned.as_deref().unwrap_or(x);
        let narrow = adapter.narrow(input, rows, inputs, scratch);
        let by_b = Into::added(&mut sums[2 * adapter.at + 1], rank);
        product(by.transposed(), Matrix::new(&narrow, rows, rank), adapter.scale, by_b);
        // The gradient of the narrow rows takes their place.
        let mut by_narrow = narrow;
        product(by, Matrix::new(adapter.b, outputs, rank), adapter.scale, Into::new(&mut by_narrow, rank));
        let narrow = Matrix::new(&by_narrow, rows, rank);
        let by_a = Into::added(&mut sums[2 * adapter.at], inputs);
        product(narrow.transposed(), Matrix::new(input, rows, inputs), 1.0, by_a);
        let a = Matrix::new(adapter.a, rank, inputs);
        match adapter.dropout {
            None => product(narrow, a, 1.0, Into::added(by_x, inputs)),
            Some(dropout) => {
                let mut by_input = scratch.take(x.len());
                product(narrow, a, 1.0, Into::new(&mut by_input, inputs));
                let mut mask = scratch.take(x.len());
                dropout::mask(dropout, &mut mask);
                lanes::add_thinned(Arch::new(), by_x, &by_input, &mask);
                scratch.give_all([by_input, mask]);
            }
        }
        scratch.give(by_narrow);
        scratch.give_all(thinned);
    }
}

impl Adapter<'_> {
    fn thinned(&self, x: &[f32], scratch: &mut Scratch) -> Option<Vec<f32>> {
        let dropout = self.dropout?;
        let (mut mask, mut thinned) = (scratch.take(x.len()), scratch.take(x.len()));
        dropout::mask(dropout, &mut mask);
        lanes::thinned(Arch::new(), &mut thinned, x, &mask);
        scratch.give(mask);
        Some(thinned)
    }

    /// x Aᵀ
    fn narrow(&self, x: &[f32], rows: usize, inputs: usize, scratch: &mut Scratch) -> Vec<f32> {
        let mut narrow = scratch.take(rows * self.rank);
        let a = Matrix::new(self.a, self.rank, inputs).transposed();
        product(Matrix::new(x, rows, inputs), a, 1.0, Into::new(&mut narrow, self.rank));
        narrow
    }
}

/// Where gradients are added up: those of all weights, or those of the adapters alone.
#[derive(Debug)]
pub enum Sums<'a> {
    Base(&'a mut Numbers),
    Adapters(&'a mut Numbers),
}

impl Sums<'_> {
    pub fn base(&mut self, at: usize) -> Option<&mut Vec<f32>> {
        match self {
            Sums::Base(numbers) => numbers.get_mut(at),
            Sums::Adapters(_) => None,
        }
    }
}
