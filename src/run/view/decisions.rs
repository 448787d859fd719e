//! Human decisions in the fold: each changes its pairs, each can be taken back and restored, without limit.
//!
//! A pair's standing is always that of its latest decision that has not been undone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::run::entry::Stamp;
use crate::run::event::{Decided, Decision, Outcome, PairDecided, VetoReason};
use crate::run::ids::{PromptId, Seq};
use crate::run::view::{PairStatus, PairView, RunView};

/// One decision, on one pair or on many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionView {
    pub seq: Seq,
    pub at: Stamp,
    pub by: String,
    pub decision: Decision,
    pub pairs: Arc<[Decided]>,
    pub reason: Option<VetoReason>,
    pub took_ms: Option<u64>,
    pub blind: bool,
    pub undone: bool,
}

impl DecisionView {
    /// How a pair stands by this decision.
    pub fn status(&self) -> Option<PairStatus> {
        match self.decision {
            Decision::Keep => Some(PairStatus::Kept),
            Decision::Veto => Some(PairStatus::Vetoed),
            Decision::Swap => Some(PairStatus::Swapped),
            Decision::Tie => Some(PairStatus::Tied),
            Decision::Edit { .. } => Some(PairStatus::Edited),
            Decision::Defer => Some(PairStatus::Deferred),
            Decision::Flag | Decision::Undo { .. } | Decision::Redo { .. } => None,
        }
    }
}

impl RunView {
    pub fn decision(&self, seq: Seq) -> Option<&DecisionView> {
        let place = self.decisions.binary_search_by_key(&seq, |decision| decision.seq).ok()?;
        self.decisions.get(place)
    }

    /// The last decision of this person that stands (to undo), or the last undone one after it (to redo).
    pub fn last_of(&self, by: &str, undone: bool) -> Option<&DecisionView> {
        let mine = || self.decisions.iter().filter(|decision| decision.by == by && decision.status().is_some());
        if !undone {
            return mine().filter(|decision| !decision.undone).last();
        }
        // What was undone can be restored until this person decides something new.
        let newest_standing = mine().filter(|decision| !decision.undone).last().map_or(0, |decision| decision.seq);
        mine().find(|decision| decision.undone && decision.seq > newest_standing)
    }

    pub(super) fn decided(&mut self, seq: Seq, at: Stamp, event: &PairDecided) -> bool {
        match event.decision {
            Decision::Undo { of } => self.mark_undone(of, true),
            Decision::Redo { of } => self.mark_undone(of, false),
            Decision::Flag => {
                let mut fits = true;
                for decided in &event.pairs {
                    fits &= self.with_pair(decided.pair, |pair| pair.flagged = !pair.flagged);
                }
                fits
            }
            Decision::Keep
            | Decision::Veto
            | Decision::Swap
            | Decision::Tie
            | Decision::Edit { .. }
            | Decision::Defer => {
                self.decisions.push_back(DecisionView {
                    seq,
                    at,
                    by: event.by.clone(),
                    decision: event.decision,
                    pairs: event.pairs.clone().into(),
                    reason: event.reason,
                    took_ms: event.took_ms,
                    blind: event.blind,
                    undone: false,
                });
                let mut fits = true;
                for decided in &event.pairs {
                    fits &= self.with_pair(decided.pair, |pair| pair.history.push(seq));
                    self.restate(decided.pair);
                }
                fits
            }
        }
    }

    fn mark_undone(&mut self, of: Seq, undone: bool) -> bool {
        let Ok(place) = self.decisions.binary_search_by_key(&of, |decision| decision.seq) else { return false };
        let Some(decision) = self.decisions.get_mut(place) else { return false };
        decision.undone = undone;
        let pairs = decision.pairs.clone();
        for decided in pairs.iter() {
            self.restate(decided.pair);
        }
        true
    }

    /// Sets a pair's standing to that of its latest decision that stands.
    fn restate(&mut self, id: PromptId) {
        let Some(pair) = self.pair(id) else { return };
        let (status, outcome) = self.standing_without(pair, id, None);
        self.with_pair(id, |pair| {
            pair.status = status;
            pair.outcome = outcome;
        });
    }

    /// How a pair would stand if the decision at `without` did not: what an undo leads to.
    pub fn standing_without(&self, pair: &PairView, id: PromptId, without: Option<Seq>) -> (PairStatus, Outcome) {
        let latest = pair
            .history
            .iter()
            .rev()
            .filter(|&&seq| Some(seq) != without)
            .filter_map(|&seq| self.decision(seq))
            .find(|decision| !decision.undone);
        let Some(decision) = latest else { return (PairStatus::Auto, Outcome::Undecided) };
        let outcome = decision.pairs.iter().find(|decided| decided.pair == id).map(|decided| decided.outcome);
        (decision.status().unwrap_or(PairStatus::Auto), outcome.unwrap_or(Outcome::Undecided))
    }
}
