//! What every kind of step has in common: a batch cut up over workers, one update, and a report of both.
//!
//! `sft` and `dpo` say what is lost; here is how a loss becomes an update. A step whose numbers are not finite changes
//! nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use pulp::Arch;

use crate::model::random;
use crate::recipe::rloo;
use crate::train::dropout::Dropout;
use crate::train::hand::lanes;
use crate::train::hand::pass::Manner;
use crate::train::optimizer::{self, Optimizer, OptimizerSettings};
use crate::train::parameters::Numbers;
use crate::train::schedule::Schedule;
use crate::train::student::{Handle, Student};
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
    /// Share of what adapters read that is dropped while learning.
    pub adapter_dropout: f64,
    /// Compute layers again on the way back instead of keeping them.
    pub recompute: bool,
    /// Order of the examples and masks of dropout follow from it.
    pub seed: u64,
}

impl LessonSettings {
    /// How one group of a step is computed. Groups are told apart by their first item and their kind.
    pub fn manner(&self, step: u64, kind: u64, first: usize) -> Manner {
        let key = [step, kind, first as u64].into_iter().fold(self.seed ^ MASKS, random::derive);
        let dropout = |rate: f64, key: u64| (rate > 0.0).then_some(Dropout { rate: rate.min(0.95), key });
        Manner {
            dropout: dropout(self.dropout, key),
            adapter_dropout: dropout(self.adapter_dropout, random::derive(key, 1)),
            recompute: self.recompute,
        }
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
    /// Which examples or pairs the step was computed on, counted from 0 in the order in which they were given.
    pub batch: Vec<usize>,
    /// Of these the pairs whose own loss was not finite.
    pub broken: Vec<usize>,
    pub preference: Option<PreferenceReport>,
    /// Of a reward model's step.
    pub reward: Option<RewardReport>,
    /// Of a step that learns from rewards.
    pub groups: Option<rloo::Summary>,
}

/// Means over the pairs of a reward model's step, before its update.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RewardReport {
    pub pairs: u32,
    pub reward_chosen: f64,
    pub reward_rejected: f64,
    /// Share of pairs whose chosen reply has the higher reward, equal ones counting half.
    pub accuracy: f64,
}

impl StepReport {
    /// When the step was not applied: whose numbers were not finite, or the whole batch where none stands out.
    pub fn not_applied(&self) -> Option<Vec<usize>> {
        let found = if self.broken.is_empty() { &self.batch } else { &self.broken };
        (!self.applied).then(|| found.clone())
    }
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
    /// The only copy of the weights.
    student: Option<Student>,
    pub optimizer: Optimizer,
    pub workers: Workers,
    pub schedule: Schedule,
    pub steps: u64,
    /// Steps taken, applied or not.
    pub taken: u64,
    /// Gradients of earlier steps, to be written over.
    spare: Mutex<Vec<Numbers>>,
}

const GONE: &str = "an update failed half-way, and the weights are gone; go on from the last checkpoint";

impl Pupil {
    pub fn new(student: impl Into<Student>, settings: &LessonSettings, steps: u64, workers: Workers) -> Pupil {
        let student = student.into();
        let optimizer = Optimizer::new(settings.optimizer, student.trained());
        let (schedule, spare) = (settings.schedule, Mutex::default());
        Pupil { student: Some(student), optimizer, workers, schedule, steps, taken: 0, spare }
    }

    pub fn student(&self) -> Result<&Student> {
        self.student.as_ref().context(GONE)
    }

    pub fn into_student(self) -> Result<(Student, Workers)> {
        Ok((self.student.context(GONE)?, self.workers))
    }

    /// Works on each worker's part of the batch and adds the gradients up in the order of the parts.
    pub fn gradient<T: Send, R: Send>(
        &self,
        parts: Vec<Vec<T>>,
        work: impl Fn(&Handle<'_>, T, &mut Numbers) -> Result<R> + Sync,
    ) -> Result<(Vec<R>, Numbers)> {
        let student = self.student()?;
        let parts: Vec<(Handle<'_>, Vec<T>)> = parts.into_iter().map(|part| (student.handle(), part)).collect();
        let done = self.workers.each(parts, |(handle, items)| -> Result<(Vec<R>, Numbers)> {
            let mut sum = self.spare().pop().unwrap_or_default();
            sum.iter_mut().for_each(|numbers| numbers.fill(0.0));
            let outcomes = items.into_iter().map(|item| work(&handle, item, &mut sum)).collect::<Result<Vec<R>>>()?;
            Ok((outcomes, sum))
        });
        let (mut outcomes, mut sums) = (Vec::new(), Vec::new());
        for part in done {
            let (own, sum) = part?;
            outcomes.extend(own);
            sums.push(sum);
        }
        let mut sums = sums.into_iter();
        let mut total = sums.next().context("a step without examples has no gradient")?;
        for sum in sums {
            add(&mut total, &sum, &self.workers);
            self.spare().push(sum);
        }
        Ok((outcomes, total))
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Numbers>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the step if its numbers are finite. Fills in what the report says of the optimiser.
    pub fn apply(&mut self, gradient: Numbers, mut report: StepReport) -> Result<StepReport> {
        report.lr = self.schedule.at(self.taken, self.steps);
        report.grad_norm = optimizer::norm(&gradient, &self.workers);
        report.applied = report.loss.is_finite() && report.grad_norm.is_finite();
        self.taken += 1;
        if report.applied {
            let student = self.student.take().context(GONE)?;
            let Pupil { optimizer, workers, .. } = self;
            let update =
                |weights: &mut Numbers| optimizer.update(weights, &gradient, report.grad_norm, report.lr, workers);
            self.student = Some(student.change(update)?);
        }
        self.spare().push(gradient);
        Ok(report)
    }
}

/// Adds one gradient to another, each parameter on one worker.
fn add(to: &mut Numbers, from: &Numbers, workers: &Workers) {
    let each = to.len().div_ceil(workers.count()).max(1);
    let parts = to.chunks_mut(each).zip(from.chunks(each)).collect();
    workers.each(parts, |(to, from): (&mut [Vec<f32>], &[Vec<f32>])| {
        to.iter_mut().zip(from).for_each(|(to, from)| lanes::add(Arch::new(), to, from));
    });
}
