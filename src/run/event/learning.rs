//! What the optimiser reported and what each finished model measured.
//!
//! Payloads of `Event`; each field is documented in `runs/README.md`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::ids::{Model, PromptId, RequestId, Stage};
use crate::run::measures::{Agreement, Diversity, HeadToHead, Hindsight, Lengths, OracleQuality, ScoreSpread};
use crate::run::number::Num;
use crate::run::reasons::Ended;

/// One optimiser step of fine-tuning on given answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SftStep {
    pub iteration: u32,
    /// The model being made.
    pub model: Model,
    pub step: u64,
    pub of: u64,
    /// Mean negative log-likelihood per reply token.
    pub loss: Num,
    pub lr: Num,
    /// Global gradient norm before clipping.
    pub grad_norm: Num,
    /// Reply tokens in the step.
    pub tokens: u64,
    /// When a number was not finite and the step therefore not applied: its examples, counted from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applied: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_loss: Option<Num>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<Num>,
    /// Peak resident memory so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// The reference's log-probs of one pair, computed once before the first step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReferenceScored {
    pub pair: PromptId,
    pub chosen: Num,
    pub rejected: Num,
}

/// One optimiser step of preference training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DpoStep {
    pub iteration: u32,
    pub model: Model,
    pub step: u64,
    pub of: u64,
    pub loss: Num,
    /// Implicit rewards: beta times the log-ratio of policy to reference.
    pub reward_chosen: Num,
    pub reward_rejected: Num,
    pub margin: Num,
    /// Share of the step's pairs whose chosen reward is higher.
    pub accuracy: Num,
    /// Log-probs of the whole answers, and per token.
    pub logp_chosen: Num,
    pub logp_rejected: Num,
    pub logp_chosen_per_token: Num,
    pub logp_rejected_per_token: Num,
    /// The chosen answers' log-prob per token under the reference.
    pub reference_chosen_per_token: Num,
    /// The reference's log-prob minus the policy's, mean over the step's replies, chosen and rejected alike: how far the policy has
    /// moved on what it learns from. The step's pairs are no fair sample; `kl_held_out` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl: Option<Num>,
    /// KL(reference ‖ policy) per reply in nats on a fixed set of held-out prompts, after the step, where the step looked: the mean of
    /// log p_reference - log p_policy over one reply each that the reference sampled at temperature 1. Unbiased, and noisy: it may be
    /// below 0. Replies that were cut off are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_held_out: Option<Num>,
    /// Replies in that mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_held_out_n: Option<u32>,
    pub grad_norm: Num,
    pub lr: Num,
    pub pairs: u32,
    pub tokens: u64,
    /// When a number was not finite and the step therefore not applied: the pairs that it came from, or all of the step where none
    /// stands out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applied: Vec<PromptId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_accuracy: Option<Num>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<Num>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// A model answered a held-out instruction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeldOutAnswered {
    pub iteration: u32,
    pub model: Model,
    pub item: u32,
    pub temperature: f64,
    pub text: String,
    pub ended: Ended,
    pub tokens: u32,
    /// What an exact oracle gives it, where the data has one. For the reader only: nothing in a run is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle: Option<f64>,
}

/// Two models' answers to one held-out instruction were compared in one order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Duelled {
    pub iteration: u32,
    pub model: Model,
    pub against: Model,
    pub item: u32,
    /// True when the model's own answer was shown first.
    pub first: bool,
    /// Who compared them; absent for the model itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
    pub reply: String,
    pub verdict: Verdict,
}

/// Which of two answers shown in order is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    First,
    Second,
    Tie,
    Unparsed,
}

/// Everything measured of one finished model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluated {
    pub iteration: u32,
    pub model: Model,
    /// Against the held-out human rankings.
    pub agreement: Agreement,
    /// Agreement restricted to pairs of nearly equal length (within 10%).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_matched: Option<f64>,
    pub scores: ScoreSpread,
    /// Rows: human rank class 1 (best), 2, 3, 4 and worse; columns: the judge's score rounded to 0..=5.
    pub confusion: [[u32; 6]; 4],
    /// Mean score and variance on the fixed anchor items, and rank correlation with the previous model's scores on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<Anchors>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle: Option<OracleQuality>,
    pub head_to_head: Vec<HeadToHead>,
    /// Of the answers to held-out instructions.
    pub lengths: Lengths,
    pub diversity: Diversity,
    /// How often the chosen answer of this model's training pairs was truly better, by the oracle, afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs_truly_better: Option<Share>,
    /// The oracle's view of all pairs of the iteration, of the queue and of people's decisions, afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindsight: Option<Hindsight>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Anchors {
    pub n: u32,
    pub mean: f64,
    pub variance: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tau_previous: Option<f64>,
}

/// A share with its count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    pub count: u32,
    pub n: u32,
}

/// A checkpoint is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointSaved {
    pub iteration: u32,
    pub stage: Stage,
    pub model: Model,
    pub step: u64,
    /// Its folder, relative to the run's.
    pub folder: String,
    pub bytes: u64,
    /// BLAKE3 of its weights.
    pub hash: String,
    /// True when it is the finished model, not a state in between.
    pub finished: bool,
    /// The request that asked for it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

/// A checkpoint could not be used; an older one was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointDamaged {
    pub folder: String,
    pub why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_instead: Option<String>,
}

/// Which state of a training became the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointChosen {
    pub iteration: u32,
    pub model: Model,
    pub step: u64,
    /// The measure that decided, and its value.
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Num>,
    /// Training ended before its last planned step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
}

/// After a crash, training goes on from a checkpoint: the steps after it will be repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepsAbandoned {
    pub iteration: u32,
    pub stage: Stage,
    pub model: Model,
    /// The last step that stands.
    pub after: u64,
}

/// Measures over the texts of one stage, by name: see `runs/README.md` for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    pub iteration: u32,
    pub stage: Stage,
    pub values: BTreeMap<String, Num>,
    /// Phrases that grew most against the earlier texts, with their log-odds (z).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phrases: Vec<Phrase>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phrase {
    pub text: String,
    pub z: Num,
}
