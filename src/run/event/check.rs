//! The gate before the optimiser: what was offered to humans, what they decided, and the set of pairs that was used.
//!
//! Payloads of `Event`; each field is documented in `runs/README.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::ids::{PromptId, RequestId, Seq};

/// The gate before DPO, or before a loop of the reward model, opened; humans may decide until it closes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpotCheckOpened {
    pub iteration: u32,
    /// At the gate of a reward model's own labels (iteration 0): the loop that learns from them.
    #[serde(default, rename = "loop", skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    pub gate: Gate,
    pub queue: Vec<Queued>,
    /// With a deadline: undecided pairs over this suspicion are left out when it passes.
    pub undecided_limit: f64,
}

/// What the gate does while pairs are undecided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Does not stop: every pair is used unless it was decided before.
    Off,
    /// Waits until the queue is decided or someone closes the gate.
    Wait,
    /// Waits so long, then goes on without the undecided pairs that are too suspicious.
    Deadline { seconds: f64 },
}

/// One pair offered to a human.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Queued {
    pub pair: PromptId,
    pub picked: Picked,
}

/// Why a pair is offered. Only the random ones estimate how many pairs are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Picked {
    Suspicious,
    Random,
    /// It stands in the evidence of an alarm.
    Evidence,
}

/// A human decided about one pair, or about many at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairDecided {
    pub decision: Decision,
    pub pairs: Vec<Decided>,
    pub by: String,
    pub request: RequestId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<VetoReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How long the pair was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Scores and roles were hidden.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// The filter that selected the pairs of a bulk decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Keep,
    /// The pair does not reach the optimiser.
    Veto,
    /// Chosen and rejected change places.
    Swap,
    /// Neither is better: the pair is dropped.
    Tie,
    /// A candidate gets another mean score and the four are paired anew.
    Edit {
        candidate: u32,
        score: f64,
    },
    /// Not now: the pair stays in the queue, at its end.
    Defer,
    /// Marked for later reading; changes nothing.
    Flag,
    /// Takes back the decision recorded at this seq.
    Undo {
        of: Seq,
    },
    /// Restores the decision recorded at this seq.
    Redo {
        of: Seq,
    },
}

/// What became of one pair by a decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    pub pair: PromptId,
    pub outcome: Outcome,
}

/// How a pair stands after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As the judge made it, not yet decided.
    Undecided,
    /// It will be used, in this direction.
    Use { chosen: u32, rejected: u32 },
    /// It will not be used.
    Drop,
}

/// Why a pair was vetoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VetoReason {
    /// The chosen answer is wrong.
    Wrong,
    /// It won by length only.
    Length,
    /// It speaks to the judge.
    Gaming,
    /// Broken, looping or off-topic text.
    Broken,
    /// The prompt itself is bad.
    Prompt,
    Other,
}

/// A remark, on a pair or on the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoteAdded {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PromptId>,
    pub text: String,
    pub by: String,
    pub request: RequestId,
}

/// The gate closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpotCheckClosed {
    pub iteration: u32,
    /// At the gate of a reward model's own labels (iteration 0): the loop that learns from them.
    #[serde(default, rename = "loop", skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    pub why: GateClosed,
    pub offered: u32,
    pub decided: u32,
    /// Of the random part: how many were decided, and how many of these were vetoed, swapped, tied or edited.
    pub random_decided: u32,
    pub random_bad: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateClosed {
    /// The gate was off.
    Off,
    /// The whole queue was decided.
    Decided,
    /// The deadline passed.
    Deadline,
    /// Somebody closed it.
    Asked { by: String },
}

/// The exact set of pairs that DPO will use, or of its own labels that a loop of the reward model will.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingSetFixed {
    pub iteration: u32,
    /// At the gate of a reward model's own labels (iteration 0): the loop that learns from them.
    #[serde(default, rename = "loop", skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    pub pairs: Vec<Used>,
    pub left_out: Vec<LeftOut>,
    /// BLAKE3 over the used pairs: prompt, chosen and rejected text, in order.
    pub hash: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Used {
    pub pair: PromptId,
    pub chosen: u32,
    pub rejected: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    pub pair: PromptId,
    pub why: LeftOutWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftOutWhy {
    /// A human vetoed it or called it a tie.
    Human,
    /// Undecided at the deadline, and too suspicious.
    UndecidedSuspicious,
}
