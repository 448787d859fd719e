//! What every kind of step has in common: a batch cut up over workers, one update, and a report of both.
//!
//! `sft` and `dpo` say what is lost; here is how a loss becomes an update. A step whose numbers are not finite changes
//! nothing.

use anyhow::{Context, Result};

use crate::model::llama::Llama;
use crate::model::random;
use crate::train::dropout::Dropout;
use crate::train::optimizer::{self, Optimizer, OptimizerSettings};
use crate::train::parameters::{self, Numbers};
use crate::train::schedule::Schedule;
use crate::train::workers::Workers;

/// What a lesson of any kind is taught by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LessonSettings {
    pub optimizer: OptimizerSettings,
    pub schedule: Schedule,
    pub batch: usize,
    pub epochs: u32,
    /// Positions, padding included, that one worker computes at once: a bound on memory.
    pub most_positions: usize,
    /// Share of what the layers add that is dropped while learning; 0 drops nothing.
    pub dropout: f64,
    /// Order of the examples and masks of dropout follow from it.
    pub seed: u64,
}

impl LessonSettings {
    /// The dropout of one group of a step. Groups are told apart by their first item and their kind.
    pub fn dropout_of(&self, step: u64, kind: u64, first: usize) -> Option<Dropout> {
        let key = [step, kind, first as u64].into_iter().fold(self.seed ^ MASKS, random::derive);
        (self.dropout > 0.0).then_some(Dropout { rate: self.dropout.min(0.95), key })
    }
}

/// Masks and orders are drawn apart.
const MASKS: u64 = 0x006d_6173_6b73;

/// One optimiser step as it went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    pub loss: f64,
    pub lr: f64,
    /// Before clipping.
    pub grad_norm: f64,
    /// Tokens that were learnt from.
    pub tokens: u64,
    /// False when a number was not finite: the weights are then as before.
    pub applied: bool,
    pub preference: Option<PreferenceReport>,
}

/// Means over the pairs of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreferenceReport {
    pub pairs: u32,
    pub reward_chosen: f64,
    pub reward_rejected: f64,
    /// Share of pairs whose chosen reply has the higher reward, equal ones counting half.
    pub accuracy: f64,
    pub logp_chosen: f64,
    pub logp_rejected: f64,
    /// Sums over sums: long replies count as long as they are.
    pub logp_chosen_per_token: f64,
    pub logp_rejected_per_token: f64,
    pub reference_chosen_per_token: f64,
    /// KL(reference ‖ policy) per reply, estimated on this step's replies, which the reference wrote.
    pub kl: f64,
    /// The chosen replies' negative log-likelihood per token, before its weight.
    pub nll: f64,
    /// The loss on examples mixed in, if any.
    pub replay: Option<f64>,
    /// The largest |log-ratio| of policy and reference, in nats per reply.
    pub largest_log_ratio: f64,
}

/// The weights under training and all that changes with them.
#[derive(Debug)]
pub struct Pupil {
    /// Outside any graph; the only copy of the weights.
    llama: Option<Llama>,
    pub optimizer: Optimizer,
    pub workers: Workers,
    pub schedule: Schedule,
    pub steps: u64,
    /// Steps taken, applied or not.
    pub taken: u64,
}

impl Pupil {
    pub fn new(llama: Llama, settings: &LessonSettings, steps: u64, workers: Workers) -> Pupil {
        let optimizer = Optimizer::new(settings.optimizer, &llama);
        Pupil { llama: Some(llama), optimizer, workers, schedule: settings.schedule, steps, taken: 0 }
    }

    pub fn llama(&self) -> Result<&Llama> {
        self.llama
            .as_ref()
            .context("an update failed half-way, and the weights are gone; go on from the last checkpoint")
    }

    pub fn into_llama(self) -> Result<(Llama, Workers)> {
        let llama = self.llama.context("an update failed half-way, and the weights are gone")?;
        Ok((llama, self.workers))
    }

    /// Works on each worker's part of the batch, each part with a graph of its own, and adds the gradients up in the order
    /// of the parts.
    pub fn gradient<T: Send, R: Send>(
        &self,
        parts: Vec<Vec<T>>,
        work: impl Fn(&Llama, T) -> Result<(R, Numbers)> + Sync,
    ) -> Result<(Vec<R>, Numbers)> {
        let llama = self.llama()?;
        let parts: Vec<(Llama, Vec<T>)> = parts.into_iter().map(|part| (llama.clone(), part)).collect();
        let done = self.workers.each(parts, |(llama, items)| -> Result<(Vec<R>, Option<Numbers>)> {
            let (mut outcomes, mut sum) = (Vec::new(), None);
            for item in items {
                let (outcome, gradient) = work(&llama, item)?;
                outcomes.push(outcome);
                add(&mut sum, gradient);
            }
            Ok((outcomes, sum))
        });
        let (mut outcomes, mut sum) = (Vec::new(), None);
        for part in done {
            let (own, gradient) = part?;
            outcomes.extend(own);
            if let Some(gradient) = gradient {
                add(&mut sum, gradient);
            }
        }
        Ok((outcomes, sum.context("a step without examples has no gradient")?))
    }

    /// Takes the step if its numbers are finite. Fills in what the report says of the optimiser.
    pub fn apply(&mut self, gradient: &Numbers, mut report: StepReport) -> Result<StepReport> {
        report.lr = self.schedule.at(self.taken, self.steps);
        report.grad_norm = optimizer::norm(gradient);
        report.applied = report.loss.is_finite() && report.grad_norm.is_finite();
        self.taken += 1;
        if report.applied {
            let llama = self.llama.take().context("there are no weights to change")?;
            let Pupil { optimizer, workers, .. } = self;
            self.llama = Some(optimizer.update(llama, gradient, report.grad_norm, report.lr, workers)?);
        }
        Ok(report)
    }
}

fn add(sum: &mut Option<Numbers>, gradient: Numbers) {
    match sum {
        Some(sum) => parameters::add(sum, &gradient),
        None => *sum = Some(gradient),
    }
}
