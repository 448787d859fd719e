//! The fold's handling of learning from rewards: answers as they count, and steps.

use std::sync::Arc;

use crate::run::curves::Signal;
use crate::run::entry::Stamp;
use crate::run::event::{Outcome, RlooStep, SamplesScored};
use crate::run::view::RunView;

impl RunView {
    /// Whether the policy learns from the rewards of all answers instead of from pairs.
    pub fn learns_from_rewards(&self) -> bool {
        self.config.pointer("/dpo/learn").and_then(|learn| learn.as_str()) == Some("rloo")
    }

    /// How the policy learns, in a word.
    pub fn learner(&self) -> &'static str {
        if self.learns_from_rewards() { "RLOO" } else { "DPO" }
    }

    pub(super) fn samples_scored(&mut self, event: &SamplesScored) -> bool {
        let of = |candidate: u32| event.samples.iter().find(|sample| sample.candidate == candidate);
        let fits = self.in_round(event.pair.iteration, |round| round.reference_scored += 1);
        fits & self.with_pair(event.pair, |pair| {
            let (chosen, rejected) = match pair.outcome {
                Outcome::Use { chosen, rejected } => (chosen, rejected),
                Outcome::Drop | Outcome::Undecided => (pair.chosen, pair.rejected),
            };
            let both = of(chosen).zip(of(rejected));
            pair.reference = both.map(|(chosen, rejected)| (chosen.reference.0, rejected.reference.0));
        })
    }

    pub(super) fn rloo_step(&mut self, at: Stamp, event: &RlooStep) -> bool {
        let mut push = |signal, y: f64| self.curves.push(event.model, signal, event.step, at.0, y);
        for (signal, value) in [
            (Signal::RlooLoss, event.loss),
            (Signal::SampleReward, event.reward),
            (Signal::RewardGain, event.gain),
            (Signal::SampleKl, event.kl),
            (Signal::AdvantageSpread, event.advantage_sd),
            (Signal::FlatPrompts, event.flat),
            (Signal::ClippedAnswers, event.clipped),
            (Signal::ReplyTokens, event.reply_tokens),
            (Signal::GradNorm, event.grad_norm),
            (Signal::LearningRate, event.lr),
        ] {
            push(signal, value.0);
        }
        let sometimes = [(Signal::KlHeldOut, event.kl_held_out), (Signal::TokensPerSecond, event.tokens_per_s)];
        for (signal, value) in sometimes.into_iter().filter_map(|(signal, value)| Some((signal, value?))) {
            push(signal, value.0);
        }
        if let Some(bytes) = event.memory_bytes {
            push(Signal::Memory, bytes as f64);
        }
        self.last_rloo = Some(Arc::new(event.clone()));
        self.done(at, event.step)
    }
}
