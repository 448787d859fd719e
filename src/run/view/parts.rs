//! The parts of a run's view that are not iterations: its state, its stages, its models, its alarms.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::run::entry::Stamp;
use crate::run::event::{AlarmRaised, CheckpointChosen, Evaluated, PauseReason};
use crate::run::ids::{Model, Seq, Stage};

/// What the run is doing, as far as its journal says. Whether an engine lives is not in the journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum State {
    #[default]
    Fresh,
    Running,
    Paused(PauseReason),
    /// The gate is open.
    Waiting,
    /// The engine left in good order.
    Stopped(String),
    Finished,
    Failed(String),
}

impl State {
    pub fn name(&self) -> &'static str {
        match self {
            State::Fresh => "fresh",
            State::Running => "running",
            State::Paused(_) => "paused",
            State::Waiting => "waiting",
            State::Stopped(_) => "stopped",
            State::Finished => "finished",
            State::Failed(_) => "failed",
        }
    }
}

/// One stage with its progress and times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageSpan {
    pub iteration: u32,
    pub stage: Stage,
    pub model: Model,
    pub total: u64,
    pub done: u64,
    pub started_seq: Seq,
    pub started: Stamp,
    pub finished: Option<Stamp>,
    /// Microseconds of it in which nothing could move.
    pub held_us: i64,
    /// Microseconds of work until the last item that was done, and when that was.
    pub worked_us: i64,
    pub last_done: Stamp,
    /// Items done at moments of work at least a second apart (microseconds of work, items), newest last: the recent pace.
    pub pace: Vec<(i64, u64)>,
}

/// Moments of the pace that are kept: about a minute.
const PACE: usize = 60;

impl StageSpan {
    pub(super) fn note_pace(&mut self) {
        if self.pace.last().is_none_or(|&(worked, _)| self.worked_us >= worked + 1_000_000) {
            if self.pace.len() == PACE {
                self.pace.remove(0);
            }
            self.pace.push((self.worked_us, self.done));
        }
    }
}

/// A model that the run has made or measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelView {
    pub model: Model,
    pub evaluated: Option<(Seq, Arc<Evaluated>)>,
    /// Its folder, once it is finished.
    pub folder: Option<String>,
    pub chosen: Option<Arc<CheckpointChosen>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmView {
    pub seq: Seq,
    pub at: Stamp,
    pub alarm: Arc<AlarmRaised>,
    pub acknowledged: Option<String>,
}

/// What the fold met and could not use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Oddities {
    /// Kinds of a newer program, counted.
    pub unknown: OrdMap<String, u64>,
    /// Entries that refer to something that is not there.
    pub stray: u64,
    pub torn_bytes: u64,
    pub damaged_checkpoints: u64,
    /// How often an engine had to take over.
    pub resumes: u32,
}
