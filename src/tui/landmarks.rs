//! What stands out in a journal while it is read: moments to jump to, and sentences for the log.
//!
//! Used by `source`, which calls both functions for every entry.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::run::entry::{Entry, Stamp};
use crate::run::event::{Event, Level};
use crate::run::ids::Seq;
use crate::tui::tell::{Weight, tell};

/// Something that one can jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub seq: Seq,
    pub at: Stamp,
    pub kind: MarkKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarkKind {
    Stage,
    Iteration,
    Decision,
    Alert(Level),
    Checkpoint,
    /// A number that is NaN or infinite.
    Nan,
    Pause,
    End,
}

/// An event that a log shows by itself, as a sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notable {
    pub seq: Seq,
    pub at: Stamp,
    pub weight: Weight,
    pub says: String,
}

/// Sentences that are kept; the oldest go first.
const NOTABLE: usize = 20_000;

/// Remembers the moment, if this entry is one to jump to.
pub fn mark(marks: &mut Vec<Mark>, entry: &Entry) {
    let kind = match &entry.event {
        Event::StageStarted(event) => {
            let new = event.iteration > 0 && event.stage == crate::run::ids::Stage::Prompts;
            if new { MarkKind::Iteration } else { MarkKind::Stage }
        }
        Event::PairDecided(_) => MarkKind::Decision,
        Event::AlarmRaised(event) => MarkKind::Alert(event.level),
        Event::CheckpointSaved(_) => MarkKind::Checkpoint,
        Event::Paused(_) => MarkKind::Pause,
        Event::RunFinished(_) | Event::Failed(_) | Event::Stopped(_) => MarkKind::End,
        Event::DpoStep(event) => {
            let finite = [event.loss, event.margin, event.logp_chosen, event.logp_rejected, event.grad_norm]
                .iter()
                .all(|value| value.0.is_finite());
            if finite {
                return;
            }
            MarkKind::Nan
        }
        Event::RlooStep(event) if !event.is_finite() => MarkKind::Nan,
        Event::SftStep(event) if !(event.loss.0.is_finite() && event.grad_norm.0.is_finite()) => MarkKind::Nan,
        _ => return,
    };
    marks.push(Mark { seq: entry.seq, at: entry.at, kind });
}

/// The entry as a sentence, if it is not one of thousands.
pub fn note(entry: &Entry) -> Option<Notable> {
    // Most entries are bulk: whether one is, is decided without making its sentence.
    let bulk = match &entry.event {
        Event::CandidateJudged(_)
        | Event::CandidateSampled(_)
        | Event::PromptWritten(_)
        | Event::PromptRefused(_)
        | Event::PairSelected(_)
        | Event::PromptSkipped(_)
        | Event::ReferenceScored(_)
        | Event::SamplesScored(_)
        | Event::EftJudged(_)
        | Event::HeldOutAnswered(_)
        | Event::Duelled(_)
        | Event::Measured(_) => true,
        Event::DpoStep(step) => step.loss.0.is_finite(),
        Event::RlooStep(step) => step.is_finite(),
        Event::SftStep(step) => step.loss.0.is_finite(),
        _ => false,
    };
    if bulk {
        return None;
    }
    let (weight, says) = tell(&entry.event);
    Some(Notable { seq: entry.seq, at: entry.at, weight, says })
}

/// Keeps a sentence; the oldest goes when there are too many.
pub fn remember(notable: &mut VecDeque<Notable>, new: Notable) {
    if notable.len() == NOTABLE {
        notable.pop_front();
    }
    notable.push_back(new);
}
