//! The labels that a reward model gives itself, as pairs of iteration 0: what it prefers, how surely, and what humans did with it.
//!
//! The pool's pairs keep their names through all loops, and so do decisions about them: what a human said of a pair stands until it is
//! taken back, whatever later models believe. Texts are known of the pairs that were offered.

use std::sync::Arc;

use crate::run::event::{Outcome, SelfLabel, SelfLabelled, SpotCheckClosed, TextOffered, TrainingSetFixed};
use crate::run::ids::{PromptId, Seq};
use crate::run::reasons::{Ended, SideOf};
use crate::run::view::reward::FixedLabels;
use crate::run::view::{CandidateView, JudgementView, PairStatus, PairView, PromptView, Round, RunView, Standing};

/// The answers of a pair of the pool, as candidates.
pub fn side_number(side: SideOf) -> u32 {
    match side {
        SideOf::First => 0,
        SideOf::Second => 1,
    }
}

impl RunView {
    /// What people did at a gate of labels.
    pub(super) fn labels_checked(&mut self, event: &SpotCheckClosed) {
        let labelled = self.reward.labelled.iter_mut().find(|labelled| Some(labelled.number) == event.number);
        if let Some(labelled) = labelled {
            labelled.check = Some(Arc::new(event.clone()));
        }
    }

    /// Which labels a loop learns from.
    pub(super) fn labels_fixed(&mut self, event: &TrainingSetFixed) {
        let Some(number) = event.number else { return };
        let turned = event.pairs.iter().filter(|used| {
            self.pair(used.pair).is_some_and(|pair| (pair.chosen, pair.rejected) == (used.rejected, used.chosen))
        });
        let turned = turned.count() as u32;
        let (used, left_out) = (event.pairs.len() as u32, event.left_out.len() as u32);
        if let Some(labelled) = self.reward.labelled.iter_mut().find(|labelled| labelled.number == number) {
            labelled.fixed = Some(FixedLabels { used, left_out, turned });
        }
    }
}

impl Round {
    /// A loop has labelled: what is no longer believed is no pair any more, unless a human has decided about it.
    pub(super) fn labelled(&mut self, seq: Seq, event: &SelfLabelled) {
        // What the loop before learnt from has been learnt: these labels are open.
        self.training = None;
        while self.prompts.len() < event.pool as usize {
            let candidates = vec![CandidateView::unread(), CandidateView::unread()];
            self.prompts.push(PromptView { seq: 0, candidates, standing: Standing::Open });
        }
        let mut labels = vec![None; event.pool as usize];
        for label in &event.labels {
            if let Some(place) = labels.get_mut(label.pair as usize) {
                *place = Some(label);
            }
        }
        for (number, label) in labels.into_iter().enumerate() {
            if let Some(prompt) = self.prompts.get_mut(number) {
                prompt.label(seq, label);
            }
        }
        self.pairs = self.pairs().count() as u32;
    }

    /// A text of the pool is at hand.
    pub(super) fn offered(&mut self, seq: Seq, event: &TextOffered) -> bool {
        let Some(prompt) = self.prompts.get_mut(event.pair.number as usize) else { return false };
        let Some(answer) = event.answer else {
            prompt.seq = seq;
            return true;
        };
        let Some(candidate) = prompt.candidates.get_mut(side_number(answer) as usize) else { return false };
        candidate.seq = seq;
        candidate.words = event.text.split_whitespace().count() as u32;
        true
    }
}

impl PromptView {
    fn label(&mut self, seq: Seq, label: Option<&SelfLabel>) {
        let known = match std::mem::replace(&mut self.standing, Standing::Open) {
            Standing::Pair(pair) => Some(pair),
            Standing::Open | Standing::Skipped { .. } => None,
        };
        let Some(label) = label else {
            // A machine does not take back what a human has said.
            if let Some(mut pair) = known.filter(|pair| pair.status.is_decided()) {
                pair.used = None;
                self.standing = Standing::Pair(pair);
            }
            return;
        };
        let rewards = [label.first.0, label.second.0];
        for (candidate, reward) in self.candidates.iter_mut().zip(rewards) {
            candidate.judgements = vec![JudgementView::new(seq, 0, Ok(reward))];
        }
        let (chosen, rejected) = match label.better {
            SideOf::First => (0, 1),
            SideOf::Second => (1, 0),
        };
        let (chosen_score, rejected_score) = (rewards[chosen as usize], rewards[rejected as usize]);
        let new = PairView {
            seq,
            chosen,
            rejected,
            margin: chosen_score - rejected_score,
            chosen_score,
            rejected_score,
            length_ratio: label.length_ratio.unwrap_or(f64::NAN),
            suspicion: label.suspicion,
            signs: label.signs.clone(),
            history: Vec::new(),
            status: PairStatus::Auto,
            outcome: Outcome::Undecided,
            flagged: false,
            notes: 0,
            used: None,
            reference: None,
        };
        let pair = match known {
            Some(known) => PairView {
                history: known.history,
                status: known.status,
                outcome: known.outcome,
                flagged: known.flagged,
                notes: known.notes,
                ..new
            },
            None => new,
        };
        self.standing = Standing::Pair(Box::new(pair));
    }
}

impl PairView {
    /// How probable the reward model finds it that the answer that it calls better is better; nothing for pairs that are no labels.
    pub fn probability(&self, id: PromptId) -> Option<f64> {
        id.is_label().then(|| 1.0 / (1.0 + (-self.margin).exp()))
    }
}

impl CandidateView {
    /// An answer of a pair of the pool that has not been offered: its text stands in the data that the run read.
    fn unread() -> CandidateView {
        let (seq, words, tokens, ended, logprob_per_token) = (0, 0, 0, Ended::Eos, None);
        CandidateView { seq, words, tokens, ended, logprob_per_token, judgements: Vec::new() }
    }
}
