//! A reward model that is trained inside a run, and teaches itself: its steps, the labels that it gives, what each loop measured.
//!
//! Payloads of `Event`; each field is documented in `runs/README.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::ids::{Model, PromptId};
use crate::run::measures::{Agreement, Calibration};
use crate::run::number::Num;
use crate::run::reasons::{Settled, SideOf, Sign};

/// One optimiser step of a reward model: -log sigmoid(r_j - r_k), the mean over the step's pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RewardStep {
    pub iteration: u32,
    /// The reward model being made: `R0` learns from the seed share, `R1`, `R2`, … from labels of the one before too.
    pub model: Model,
    pub step: u64,
    pub of: u64,
    pub loss: Num,
    /// Mean rewards of the step's pairs before its update.
    pub reward_chosen: Num,
    pub reward_rejected: Num,
    /// Share of the step's pairs whose chosen reward is higher.
    pub accuracy: Num,
    pub grad_norm: Num,
    pub lr: Num,
    pub pairs: u32,
    pub tokens: u64,
    /// When a number was not finite and the step therefore not applied: its pairs, counted from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applied: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<Num>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// A reward model labelled the pool of pairs whose human labels it does not know. The next loop learns from what is believed, once
/// people had a chance to look: a label is a pair of iteration 0, named by its place in the pool (`0:37`), with the answers 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelfLabelled {
    pub iteration: u32,
    /// Who labelled.
    pub model: Model,
    /// The loop that learns from these labels, from 1.
    #[serde(rename = "loop")]
    pub number: u32,
    /// Pairs in the pool.
    pub pool: u32,
    /// The labels that are believed, earlier ones that stay included.
    pub labels: Vec<SelfLabel>,
    /// Of these the ones that were not believed before.
    pub new: u32,
    /// How many of them stand the other way round than people put the pair. Counted afterwards, for the reader: nothing in a run is
    /// decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flipped: Option<u32>,
    /// How well suspicion tells the flipped labels from the others: 1 always, 0.5 not at all. Counted afterwards too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspicion_auroc: Option<f64>,
}

/// One label that a reward model gave itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelfLabel {
    /// The pair's place in the pool.
    pub pair: u32,
    /// Which of the two answers, by where it stands; their order says nothing.
    pub better: SideOf,
    /// The reward of the first answer.
    pub first: Num,
    /// The reward of the second answer.
    pub second: Num,
    /// Words of the better answer over words of the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_ratio: Option<f64>,
    /// 0 to 1: the sum of its signs, from what the run may know. What people said of the pool is not among it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suspicion: f64,
    /// What makes it suspicious, named and weighed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// A text of a pair of the pool whose label is offered to humans: written once, before the gate opens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TextOffered {
    pub pair: PromptId,
    /// Which answer it is; absent for the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<SideOf>,
    pub text: String,
}

/// What a reward model is worth on held-out human rankings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RewardMeasured {
    pub iteration: u32,
    pub model: Model,
    /// The loop, from 0.
    #[serde(rename = "loop")]
    pub number: u32,
    /// Pairs with people's labels that it learnt from.
    pub human: u32,
    /// Pairs with labels of the reward model before that it learnt from, as humans left them.
    pub own: u32,
    /// Accuracy on the half of the held-out sets by which a loop is chosen, equal rewards counting half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deciding: Option<f64>,
    /// Pairs in that half.
    pub deciding_pairs: u32,
    /// On the other half, by which nothing is chosen.
    pub agreement: Agreement,
    /// Mean of -log sigmoid(r_j - r_k) there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Whether it is as sure as it is right, there.
    pub calibration: Calibration,
}

/// The loops have ended, and one of them counts: its model judges the candidates of every iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RewardChosen {
    pub iteration: u32,
    /// The model that judges.
    pub model: Model,
    /// Its loop, from 0.
    #[serde(rename = "loop")]
    pub number: u32,
    /// Loops after the first training.
    pub loops: u32,
    /// Why there was no further loop.
    pub why: Settled,
}
