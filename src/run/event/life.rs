//! The life of a run: started, attached, stages, alarms, pauses, requests, the end.
//!
//! Payloads of `Event`; each field is documented in `runs/README.md`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::ids::{Model, RequestId, Stage};
use crate::run::number::Num;

/// The run began. Always the first entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    /// The run's name, as its folder was first called.
    pub name: String,
    /// Program and version that wrote this journal.
    pub program: String,
    /// The whole configuration as started, with every default written out.
    pub config: serde_json::Value,
    /// BLAKE3 of the configuration.
    pub config_hash: String,
    /// The root seed; every other seed is derived from it.
    pub seed: u64,
    /// Who plays the model: `rehearsal` or `llama`.
    pub policy: String,
    /// Who judges: `self`, or another judge.
    pub judge: String,
    /// Whose judgement or answers the pairs are made of: `self`, `teacher-reward` or `teacher-demo`.
    #[serde(default = "own_recipe", skip_serializing_if = "is_own_recipe")]
    pub recipe: String,
    /// The last iteration: with 2 the run ends at M3.
    pub iterations: u32,
    /// What was read, by role (`ift`, `eft`, …).
    pub data: Vec<DataRead>,
    /// The stages to come, with how much each is expected to be.
    pub plan: Vec<Planned>,
}

/// Journals from before there were recipes.
fn own_recipe() -> String {
    "self".into()
}

/// Such a journal is written again as it was.
fn is_own_recipe(recipe: &str) -> bool {
    recipe == own_recipe()
}

/// One stage of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    pub iteration: u32,
    pub stage: Stage,
    pub model: Model,
    pub total: u64,
}

/// One set of human data, as read at the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DataRead {
    pub role: String,
    /// Where it came from: a path, or `embedded`.
    pub source: String,
    pub rows: u64,
    pub refused: u64,
    /// BLAKE3 of the rows as understood.
    pub hash: String,
}

/// An engine took the run: at the start and after every interruption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineAttached {
    pub pid: u32,
    pub host: String,
    /// 1 for the first engine of this run, 2 after the first resume, …
    pub attempt: u32,
    /// `cpu`, `cuda:0`, or `none` for a policy without weights.
    pub device: String,
    /// Why this device, in a sentence.
    pub device_why: String,
    /// Program and library versions.
    pub versions: BTreeMap<String, String>,
    pub threads: u32,
}

/// The journal ended in an unfinished line, which was moved to `journal.torn`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TornTailSetAside {
    pub file: String,
    pub bytes: u64,
}

/// A stage began, or began again after an interruption or a rollback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageStarted {
    pub iteration: u32,
    pub stage: Stage,
    /// The model that acts in it, or that is made by it (`baseline`, `sft`, `dpo`).
    pub model: Model,
    /// How many items or steps it will take, as far as known.
    pub total: u64,
}

/// A stage is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageFinished {
    pub iteration: u32,
    pub stage: Stage,
    pub model: Model,
    pub done: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// Something looks wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmRaised {
    /// The rule's name, for example `judge-parse`.
    pub id: String,
    pub level: Level,
    pub iteration: u32,
    pub value: Num,
    pub threshold: Num,
    /// What was looked at.
    pub window: String,
    /// What happened, in a sentence with the numbers.
    pub says: String,
    /// What to do, in one sentence.
    pub advice: String,
    /// Pairs, prompts, models or steps to look at.
    pub evidence: Vec<String>,
}

/// An alarm's rule no longer holds, or somebody acknowledged it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmCleared {
    pub id: String,
    pub iteration: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

/// The engine stands still: nothing is written or trained until it is told to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Paused {
    pub why: PauseReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    Asked,
    Alarm {
        id: String,
    },
    /// The journal or a checkpoint could not be written.
    Storage {
        error: String,
    },
    /// The teacher does not answer, or a cap leaves no room for another call.
    Teacher {
        error: String,
    },
}

/// A paused engine goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resumed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

/// A request that has no event of its own was done (close the gate, stop later, take a snapshot).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestTaken {
    pub request: RequestId,
    pub by: String,
    /// What was asked, in words.
    pub what: String,
}

/// A request was not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandRefused {
    pub request: RequestId,
    pub by: String,
    pub what: String,
    pub why: String,
}

/// The run went back to an earlier model and will redo the iterations after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolledBack {
    /// The model that stands; the iteration that follows it is redone.
    pub to: Model,
    pub by: String,
    pub request: RequestId,
    /// Changed settings, as `key=value`.
    pub set: Vec<String>,
    /// The configuration from here on.
    pub config: serde_json::Value,
    /// How many times the run has gone back, this time included; part of every derived seed.
    pub attempt: u32,
}

/// The engine left in good order before the end; `resume` goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stopped {
    pub why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

/// The run is done: every planned stage is finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunFinished {
    /// The last model.
    pub model: Model,
}

/// The engine gave up. `resume` tries again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    /// What failed, with its causes.
    pub error: String,
}
