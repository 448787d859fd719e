//! AdamW, and Muon for the hidden matrices, over plain numbers; clipping by the norm of the whole gradient.
//!
//! One pass over memory a parameter, each parameter on one worker, so that the bits do not depend on scheduling. It knows
//! no loss and no schedule: a gradient and a learning rate in, changed weights out.

use anyhow::{Result, ensure};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::model::llama::Llama;
use crate::train::parameters::{self, Kind, Numbers, Parameter};
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
    pub fn new(settings: OptimizerSettings, llama: &Llama) -> Optimizer {
        let parameters = parameters::list(llama);
        let first = parameters.iter().map(|parameter| vec![0.0; parameter.len()]).collect();
        let is_muon = |parameter: &Parameter| settings.rule == Rule::Muon && parameter.kind == Kind::Hidden;
        let second = parameters
            .iter()
            .map(|parameter| if is_muon(parameter) { Vec::new() } else { vec![0.0; parameter.len()] })
            .collect();
        Optimizer { settings, parameters, first, second, updates: 0 }
    }

    /// Changes the weights by one update. The gradient was found finite before.
    pub fn update(&mut self, llama: Llama, gradient: &Numbers, norm: f64, lr: f64, workers: &Workers) -> Result<Llama> {
        ensure!(gradient.len() == self.parameters.len(), "the gradient is that of another model");
        self.updates += 1;
        let OptimizerSettings { clip, .. } = self.settings;
        // As PyTorch clips: a small number below, and never up.
        let scale = if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) as f32 } else { 1.0 };
        let (settings, updates) = (self.settings, self.updates);
        let device = llama.model.embed_tokens.weight.val().device();
        let (list, first, second) = (&self.parameters, &mut self.first, &mut self.second);
        parameters::change(llama, |weights| {
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
                jobs.into_iter().try_for_each(|job| job.run(&settings, updates, lr, scale, &device))
            });
            done.into_iter().collect()
        })
    }
}

/// The norm over all parameters together, added up in f64 in a fixed order.
pub fn norm(gradient: &Numbers) -> f64 {
    let square = |numbers: &Vec<f32>| numbers.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    gradient.iter().map(square).sum::<f64>().sqrt()
}

struct Job<'a> {
    parameter: &'a Parameter,
    weights: &'a mut Vec<f32>,
    gradient: &'a [f32],
    first: &'a mut Vec<f32>,
    second: &'a mut Vec<f32>,
}

impl Job<'_> {
    fn run(self, settings: &OptimizerSettings, updates: u64, lr: f64, scale: f32, device: &Device) -> Result<()> {
        let Job { parameter, weights, gradient, first, second } = self;
        let kind = parameter.kind;
        let decay = if kind.decays() { 1.0 - lr * settings.weight_decay } else { 1.0 } as f32;
        if settings.rule == Rule::Muon && kind == Kind::Hidden {
            let step = muon_direction(gradient, scale, first, &parameter.dims, settings.momentum as f32, device)?;
            // 0.2·√max(out, in): an update of the size that AdamW's has, so that one learning rate serves both.
            let longest = parameter.dims.iter().copied().max().unwrap_or(1);
            let by = (lr * 0.2 * (longest as f64).sqrt()) as f32;
            for (weight, step) in weights.iter_mut().zip(step) {
                *weight = *weight * decay - by * step;
            }
        } else {
            adamw(weights, gradient, scale, first, second, settings, updates, lr, decay);
        }
        Ok(())
    }
}

/// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w·(1 − η·λ) − η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε).
#[expect(
    clippy::too_many_arguments,
    reason = "an equation over one parameter's numbers; its letters are its arguments"
)]
fn adamw(
    weights: &mut [f32],
    gradient: &[f32],
    scale: f32,
    first: &mut [f32],
    second: &mut [f32],
    settings: &OptimizerSettings,
    updates: u64,
    lr: f64,
    decay: f32,
) {
    let correction = |beta: f64| 1.0 - beta.powi(updates.min(i32::MAX as u64) as i32);
    let by = (lr / correction(settings.beta1)) as f32;
    let root = correction(settings.beta2).sqrt().recip() as f32;
    let (beta1, beta2, epsilon) = (settings.beta1 as f32, settings.beta2 as f32, settings.epsilon as f32);
    let (rest1, rest2) = ((1.0 - settings.beta1) as f32, (1.0 - settings.beta2) as f32);
    let memory = first.iter_mut().zip(second.iter_mut());
    for ((weight, &gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(memory) {
        let gradient = gradient * scale;
        *first = beta1 * *first + rest1 * gradient;
        *second = beta2 * *second + rest2 * gradient * gradient;
        *weight = *weight * decay - by * *first / (second.sqrt() * root + epsilon);
    }
}

/// Muon: momentum b ← μb + (1−μ)g, u = (1−μ)g + μb, and the nearest matrix to u whose singular values are all about one,
/// by five steps of X ← aX + (bA + cA²)X with A = XXᵀ (Newton and Schulz), begun at u/‖u‖.
fn muon_direction(
    gradient: &[f32],
    scale: f32,
    momentum: &mut [f32],
    dims: &[usize],
    share: f32,
    device: &Device,
) -> Result<Vec<f32>> {
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
    let length = ahead.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt().max(1e-7) as f32;
    let x = Tensor::<2>::from_data(TensorData::new(ahead, [out, inner]), (device, DType::F32));
    let tall = out > inner;
    let mut x = if tall { x.transpose() } else { x }.div_scalar(length);
    let (a, b, c) = COEFFICIENTS;
    for _ in 0..STEPS {
        let gram = x.clone().matmul(x.clone().transpose());
        let mixed = gram.clone().mul_scalar(b) + gram.clone().matmul(gram).mul_scalar(c);
        x = x.clone().mul_scalar(a) + mixed.matmul(x);
    }
    parameters::numbers(if tall { x.transpose() } else { x })
}
