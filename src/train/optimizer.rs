//! AdamW, and Muon for the hidden matrices, over plain numbers; clipping by the norm of the whole gradient.
//!
//! One pass over memory a parameter, each parameter on one worker, so that the bits do not depend on scheduling. It knows
//! no loss and no schedule: a gradient and a learning rate in, changed weights out.

use anyhow::{Result, ensure};
use pulp::{Arch, NullaryFnOnce};

use crate::train::hand::product::{Into, Matrix, product};
use crate::train::parameters::{Kind, Numbers, Parameter};
use crate::train::workers::Workers;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    AdamW,
    /// Muon for hidden matrices, AdamW for everything else.
    Muon,
}

/// The numbers that are not settings of a run are PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerSettings {
    pub rule: Rule,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Decoupled; not on norms, biases and embeddings.
    pub weight_decay: f64,
    /// Of Muon, with Nesterov's look ahead.
    pub momentum: f64,
    /// The gradient's norm over all parameters is clipped to this; 0 does not clip.
    pub clip: f64,
}

impl Default for OptimizerSettings {
    fn default() -> OptimizerSettings {
        OptimizerSettings {
            rule: Rule::AdamW,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            momentum: 0.95,
            clip: 1.0,
        }
    }
}

/// The optimiser with its memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    pub settings: OptimizerSettings,
    pub parameters: Vec<Parameter>,
    /// Mean of the gradients (AdamW) or momentum (Muon).
    pub first: Numbers,
    /// Mean of their squares; empty for Muon's matrices.
    pub second: Numbers,
    /// Updates made.
    pub updates: u64,
}

impl Optimizer {
    pub fn new(settings: OptimizerSettings, parameters: Vec<Parameter>) -> Optimizer {
        let first = parameters.iter().map(|parameter| vec![0.0; parameter.len()]).collect();
        let is_muon = |parameter: &Parameter| settings.rule == Rule::Muon && parameter.kind == Kind::Hidden;
        let second = parameters
            .iter()
            .map(|parameter| if is_muon(parameter) { Vec::new() } else { vec![0.0; parameter.len()] })
            .collect();
        Optimizer { settings, parameters, first, second, updates: 0 }
    }

    /// Changes the weights by one update. The gradient was found finite before.
    pub fn update(
        &mut self,
        weights: &mut Numbers,
        gradient: &Numbers,
        norm: f64,
        lr: f64,
        workers: &Workers,
    ) -> Result<()> {
        let same = gradient.len() == self.parameters.len() && weights.len() == self.parameters.len();
        ensure!(same, "the gradient is that of another model");
        self.updates += 1;
        let OptimizerSettings { clip, .. } = self.settings;
        // As PyTorch clips: a small number below, and never up.
        let scale = if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) as f32 } else { 1.0 };
        let (settings, updates) = (self.settings, self.updates);
        let (list, first, second) = (&self.parameters, &mut self.first, &mut self.second);
        let mut jobs: Vec<(usize, Vec<Job<'_>>)> = (0..workers.count()).map(|_| (0, Vec::new())).collect();
        let memory = first.iter_mut().zip(second.iter_mut());
        for (((parameter, weights), gradient), (first, second)) in
            list.iter().zip(weights.iter_mut()).zip(gradient).zip(memory)
        {
            let job = Job { parameter, weights, gradient, first, second };
            if let Some(least) = jobs.iter_mut().min_by_key(|(load, _)| *load) {
                least.0 += parameter.len();
                least.1.push(job);
            }
        }
        let parts = jobs.into_iter().map(|(_, jobs)| jobs).collect();
        let done = workers.each(parts, |jobs: Vec<Job<'_>>| -> Result<()> {
            jobs.into_iter().try_for_each(|job| job.run(&settings, updates, lr, scale))
        });
        done.into_iter().collect()
    }
}

/// The norm over all parameters together, added up in f64 in a fixed order, whoever adds.
pub fn norm(gradient: &Numbers, workers: &Workers) -> f64 {
    let each = gradient.len().div_ceil(workers.count()).max(1);
    let parts = gradient.chunks(each).collect();
    let squares = workers.each(parts, |part: &[Vec<f32>]| part.iter().map(|own| square(own)).collect::<Vec<f64>>());
    squares.concat().iter().sum::<f64>().sqrt()
}

/// The sum of squares of some numbers.
pub fn square(numbers: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut lanes = [0.0_f64; LANES];
    let (whole, rest) = numbers.split_at(numbers.len() / LANES * LANES);
    for part in whole.chunks_exact(LANES) {
        for (lane, &x) in lanes.iter_mut().zip(part) {
            *lane += f64::from(x) * f64::from(x);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
}

struct Job<'a> {
    parameter: &'a Parameter,
    weights: &'a mut Vec<f32>,
    gradient: &'a [f32],
    first: &'a mut Vec<f32>,
    second: &'a mut Vec<f32>,
}

impl Job<'_> {
    fn run(self, settings: &OptimizerSettings, updates: u64, lr: f64, scale: f32) -> Result<()> {
        let Job { parameter, weights, gradient, first, second } = self;
        let kind = parameter.kind;
        let decay = if kind.decays() { 1.0 - lr * settings.weight_decay } else { 1.0 } as f32;
        if settings.rule == Rule::Muon && kind == Kind::Hidden {
            let step = muon_direction(gradient, scale, first, &parameter.dims, settings.momentum as f32)?;
            // 0.2·√max(out, in): an update of the size that AdamW's has, so that one learning rate serves both.
            let longest = parameter.dims.iter().copied().max().unwrap_or(1);
            let by = (lr * 0.2 * (longest as f64).sqrt()) as f32;
            for (weight, step) in weights.iter_mut().zip(step) {
                *weight = *weight * decay - by * step;
            }
        } else {
            let update = AdamW::new(settings, updates, lr, decay, scale);
            Arch::new().dispatch(Update { update, weights, gradient, first, second });
        }
        Ok(())
    }
}

/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w·(1 − η·λ) − η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε).
#[derive(Clone, Copy, Debug)]
struct AdamW {
    beta: [f32; 2],
    rest: [f32; 2],
    by: f32,
    root: f32,
    epsilon: f32,
    decay: f32,
    scale: f32,
}

impl AdamW {
    fn new(settings: &OptimizerSettings, updates: u64, lr: f64, decay: f32, scale: f32) -> AdamW {
        let OptimizerSettings { beta1, beta2, epsilon, .. } = *settings;
        let correction = |beta: f64| 1.0 - beta.powi(updates.min(i32::MAX as u64) as i32);
        AdamW {
            beta: [beta1 as f32, beta2 as f32],
            rest: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
            by: (lr / correction(beta1)) as f32,
            root: correction(beta2).sqrt().recip() as f32,
            epsilon: epsilon as f32,
            decay,
            scale,
        }
    }
}

/// One parameter's update, compiled for the vectors of the processor at hand.
struct Update<'a> {
    update: AdamW,
    weights: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl NullaryFnOnce for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Update { update, weights, gradient, first, second } = self;
        let AdamW { beta, rest, by, root, epsilon, decay, scale } = update;
        let memory = first.iter_mut().zip(second.iter_mut());
        for ((weight, &gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(memory) {
            let gradient = gradient * scale;
            *first = beta[0] * *first + rest[0] * gradient;
            *second = beta[1] * *second + rest[1] * gradient * gradient;
            *weight = *weight * decay - by * *first / (second.sqrt() * root + epsilon);
        }
    }
}

/// Muon: momentum b ← μb + (1−μ)g, u = (1−μ)g + μb, and the nearest matrix to u whose singular values are all about one,
/// by five steps of X ← aX + (bA + cA²)X with A = XXᵀ (Newton and Schulz), begun at u/‖u‖.
fn muon_direction(gradient: &[f32], scale: f32, momentum: &mut [f32], dims: &[usize], share: f32) -> Result<Vec<f32>> {
    const STEPS: usize = 5;
    const COEFFICIENTS: (f32, f32, f32) = (3.4445, -4.775, 2.0315);
    let (out, inner) = match *dims {
        [out, inner] => (out, inner),
        _ => anyhow::bail!("Muon is for matrices, not for {dims:?}"),
    };
    let mut ahead = Vec::with_capacity(gradient.len());
    for (memory, &gradient) in momentum.iter_mut().zip(gradient) {
        let gradient = gradient * scale;
        *memory += (1.0 - share) * (gradient - *memory);
        ahead.push(gradient + share * (*memory - gradient));
    }
    let length = square(&ahead).sqrt().max(1e-7) as f32;
    ahead.iter_mut().for_each(|x| *x /= length);
    let mut x = ahead;
    // The shorter side makes the smaller square: a tall matrix is worked on as its transpose, by steps alone.
    let tall = out > inner;
    let (rows, columns) = if tall { (inner, out) } else { (out, inner) };
    let (a, b, c) = COEFFICIENTS;
    let (mut gram, mut mixed, mut next) = (vec![0.0; rows * rows], vec![0.0; rows * rows], vec![0.0; x.len()]);
    for _ in 0..STEPS {
        let lying = |x| if tall { Matrix::new(x, out, inner).transposed() } else { Matrix::new(x, out, inner) };
        product(lying(&x), lying(&x).transposed(), 1.0, Into::new(&mut gram, rows));
        let square = Matrix::new(&gram, rows, rows);
        mixed.iter_mut().zip(&gram).for_each(|(mixed, gram)| *mixed = b * gram);
        product(square, square, c, Into::added(&mut mixed, rows));
        next.iter_mut().zip(&x).for_each(|(next, x)| *next = a * x);
        let mixed = Matrix::new(&mixed, rows, rows);
        if tall {
            product(Matrix::new(&x, out, inner), mixed.transposed(), 1.0, Into::added(&mut next, inner));
        } else {
            product(mixed, Matrix::new(&x, rows, columns), 1.0, Into::added(&mut next, columns));
        }
        std::mem::swap(&mut x, &mut next);
    }
    Ok(x)
}
