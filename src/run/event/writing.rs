//! What was written and judged: judging examples, prompts, candidates, scores, pairs.
//!
//! Payloads of `Event`; each field is documented in `runs/README.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::ids::{Model, PromptId};
use crate::run::number::scored;
use crate::run::reasons::{Ended, NoPair, Refusal, Scored, Sign};

/// A judge's reply on a human-ranked response: to build judging examples, or to measure agreement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EftJudged {
    pub iteration: u32,
    /// Whose judgement.
    pub model: Model,
    /// True for the held-out set (evaluation), false for the set that examples are built from.
    pub held_out: bool,
    /// Place of the instruction in its set, and of the response in the instruction.
    pub set: u32,
    pub response: u32,
    pub sample: u32,
    pub reply: String,
    /// The score, or the reason why there is none.
    #[serde(with = "scored")]
    #[schemars(with = "serde_json::Value")]
    pub score: Scored,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// Judging examples were chosen from the baseline's judgements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EftFiltered {
    pub iteration: u32,
    pub judged: u64,
    pub kept: u64,
    pub unparsed: u64,
    /// The ranking disagreed with the human's.
    pub disagreed: u64,
    /// Left out to thin the most common score.
    pub thinned: u64,
    /// Counts of scores 0..=5 before and after thinning.
    pub histogram_before: [u32; 6],
    pub histogram_after: [u32; 6],
}

/// A new prompt was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptWritten {
    pub id: PromptId,
    pub text: String,
    /// Who wrote it.
    pub writer: Model,
    /// Highest ROUGE-L F1 against seeds and accepted prompts.
    pub likeness: f64,
    /// Which attempt of the iteration gave it.
    pub attempt: u64,
    /// Negative log-likelihood per token under its writer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nll: Option<f64>,
}

/// A new prompt was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptRefused {
    pub iteration: u32,
    pub attempt: u64,
    pub text: String,
    pub why: Refusal,
}

/// An answer was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CandidateSampled {
    pub prompt: PromptId,
    pub candidate: u32,
    pub text: String,
    /// Who wrote it; absent for the model itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    pub ended: Ended,
    pub tokens: u32,
    /// The sampled token ids: text alone can not always be turned back into them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_ids: Vec<u32>,
    /// The policy's own log-prob of the answer, mean per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprob_per_token: Option<f64>,
}

/// A judge's reply on a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CandidateJudged {
    pub prompt: PromptId,
    pub candidate: u32,
    pub sample: u32,
    /// The whole reply: rationale and score line.
    pub reply: String,
    /// The score, or the reason why there is none.
    #[serde(with = "scored")]
    #[schemars(with = "serde_json::Value")]
    pub score: Scored,
    /// Bytes of the reply in which the score stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<(u32, u32)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The rationale and the score say different things.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contradicts: bool,
}

/// Best and worst candidate became a preference pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairSelected {
    pub id: PromptId,
    pub chosen: u32,
    pub rejected: u32,
    /// Mean score of the chosen candidate; absent where no judge was asked, as for demonstrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_score: Option<f64>,
    /// Mean score of the rejected candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_score: Option<f64>,
    /// Mean score of every candidate, null where too few samples were parsed.
    pub means: Vec<Option<f64>>,
    /// Words of the chosen answer over words of the rejected one.
    pub length_ratio: f64,
    pub suspicion: f64,
    /// What the suspicion is made of.
    pub signs: Vec<Sign>,
}

/// A prompt gave no pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptSkipped {
    pub id: PromptId,
    pub why: NoPair,
    pub means: Vec<Option<f64>>,
}
