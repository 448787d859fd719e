//! The fold's reward model: its last step, what each loop learnt from and measured, and which one judges.

use std::sync::Arc;

use imbl::Vector;
use serde::{Deserialize, Serialize};

use crate::run::curves::Signal;
use crate::run::entry::Stamp;
use crate::run::event::{RewardChosen, RewardMeasured, RewardStep, SelfLabelled, SpotCheckClosed};
use crate::run::ids::{Model, Seq};
use crate::run::view::RunView;

/// How a reward model stands, loop by loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RewardView {
    pub last: Option<Arc<RewardStep>>,
    pub labelled: Vector<Labelled>,
    pub measured: Vector<Arc<RewardMeasured>>,
    pub chosen: Option<Arc<RewardChosen>>,
}

/// Counts of the labels that a loop learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Labelled {
    /// The loop that learns from them, and who labelled.
    pub number: u32,
    pub by: Model,
    /// Where it was recorded: labels of this place are believed now.
    pub seq: Seq,
    pub pool: u32,
    pub kept: u32,
    pub new: u32,
    /// Against people's labels, counted afterwards.
    pub flipped: Option<u32>,
    /// How well suspicion tells those from the others.
    pub suspicion_auroc: Option<f64>,
    /// What people did at the gate, once it has closed.
    pub check: Option<Arc<SpotCheckClosed>>,
    /// What is learnt from, once that is fixed.
    pub fixed: Option<FixedLabels>,
}

/// The labels that a loop learns from, as humans left them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedLabels {
    pub used: u32,
    pub left_out: u32,
    /// Used the other way round than the reward model labelled them.
    pub turned: u32,
}

impl FixedLabels {
    /// `2 left out, 1 turned`; nothing where people changed nothing.
    pub fn says(&self) -> Option<String> {
        let parts = [(self.left_out, "left out"), (self.turned, "turned")];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl Labelled {
    pub fn left(&self) -> u32 {
        self.pool.saturating_sub(self.kept)
    }

    /// Share of the labels that people would have given too.
    pub fn right(&self) -> Option<f64> {
        let flipped = self.flipped.filter(|_| self.kept > 0)?;
        Some(1.0 - f64::from(flipped) / f64::from(self.kept))
    }
}

impl RewardView {
    /// Whether a reward model is or was made.
    pub fn is_used(&self) -> bool {
        self.last.is_some()
    }

    pub fn of_loop(&self, number: u32) -> Option<&RewardMeasured> {
        self.measured.iter().find(|measured| measured.number == number).map(Arc::as_ref)
    }

    pub fn labels_of(&self, number: u32) -> Option<&Labelled> {
        self.labelled.iter().find(|labelled| labelled.number == number)
    }

    /// The loops' labels and accuracies in a few words each, loop 0 first.
    pub fn says(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        let mut parts = Vec::new();
        for measured in &self.measured {
            let accuracy = measured.agreement.pairwise_half.map_or("–".to_string(), percent);
            let within = measured.agreement.interval;
            let within = within.map_or(String::new(), |i| format!(" ({}–{})", percent(i.low), percent(i.high)));
            parts.push(format!("R{} {accuracy}{within}", measured.number));
        }
        if let Some(labelled) = self.labelled.last() {
            let flipped = labelled.flipped.map_or(String::new(), |flipped| format!(", {flipped} flipped"));
            parts.push(format!("{} kept{flipped}, {} left", labelled.kept, labelled.left()));
            parts.extend(labelled.fixed.and_then(|fixed| Some(format!("by people {}", fixed.says()?))));
        }
        parts.extend(self.chosen.as_ref().map(|chosen| format!("{} judges: {}", chosen.model, chosen.why.says())));
        parts
    }
}

impl RunView {
    pub(super) fn reward_step(&mut self, at: Stamp, event: &RewardStep) -> bool {
        let mut push = |signal, y: f64| self.curves.push(event.model, signal, event.step, at.0, y);
        push(Signal::RewardLoss, event.loss.0);
        push(Signal::RewardAccuracy, event.accuracy.0);
        push(Signal::RewardChosen, event.reward_chosen.0);
        push(Signal::RewardRejected, event.reward_rejected.0);
        push(Signal::RewardMargin, event.reward_chosen.0 - event.reward_rejected.0);
        push(Signal::GradNorm, event.grad_norm.0);
        push(Signal::LearningRate, event.lr.0);
        if let Some(speed) = event.tokens_per_s {
            push(Signal::TokensPerSecond, speed.0);
        }
        if let Some(bytes) = event.memory_bytes {
            push(Signal::Memory, bytes as f64);
        }
        self.reward.last = Some(Arc::new(event.clone()));
        self.done(at, event.step)
    }

    pub(super) fn self_labelled(&mut self, seq: Seq, event: &SelfLabelled) -> bool {
        self.reward.labelled.retain(|known| known.number != event.number);
        self.reward.labelled.push_back(Labelled {
            number: event.number,
            by: event.model,
            seq,
            pool: event.pool,
            kept: event.labels.len() as u32,
            new: event.new,
            flipped: event.flipped,
            suspicion_auroc: event.suspicion_auroc,
            check: None,
            fixed: None,
        });
        self.in_round(event.iteration, |round| round.labelled(seq, event))
    }

    pub(super) fn reward_measured(&mut self, event: &RewardMeasured) -> bool {
        self.reward.measured.retain(|known| known.number != event.number);
        self.reward.measured.push_back(Arc::new(event.clone()));
        true
    }
}
