//! Learning from the rewards of a prompt's answers (RLOO): what each answer counts, and the optimiser's steps.
//!
//! Payloads of `Event`; each field is documented in `runs/README.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::ids::{Model, PromptId};
use crate::run::number::Num;

/// The answers to one prompt as they will be learnt from: rewards as judge and people left them, and the reference's log-probs, computed
/// once before the first step. Answers without a score are not among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SamplesScored {
    /// The prompt, and with it the pair that stood for its answers at the gate.
    pub pair: PromptId,
    /// In the order of the candidates.
    pub samples: Vec<SampleScored>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SampleScored {
    pub candidate: u32,
    /// Its mean score; where people put the pair the other way round, the two answers have exchanged theirs.
    pub reward: Num,
    /// Log-prob of the whole answer under the reference, which wrote it.
    pub reference: Num,
}

/// One optimiser step on the rewards of answers: REINFORCE with the mean reward of a prompt's other answers as baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RlooStep {
    pub iteration: u32,
    pub model: Model,
    pub step: u64,
    pub of: u64,
    /// Mean over the step's answers of -min(r A, clip(r) A), with r the ratio of policy to reference and A the advantage: 0 at the first
    /// step, where no answer has moved.
    pub loss: Num,
    /// Mean reward of the step's answers, as the judge gave it.
    pub reward: Num,
    /// How much more than that the policy would get by now, estimated by weighing the same answers with r, prompt by prompt.
    pub gain: Num,
    /// KL(reference ‖ policy) per answer in nats, estimated on the step's answers by r - 1 - log r, which is never below 0. These are the
    /// answers that are learnt from; `kl_held_out` is a fair sample.
    pub kl: Num,
    /// KL(reference ‖ policy) per reply in nats on held-out prompts, after the step, where the step looked: as in `dpo_step`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_held_out: Option<Num>,
    /// Replies in that mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_held_out_n: Option<u32>,
    /// Standard deviation of the advantages, in the unit in which rewards count.
    pub advantage_sd: Num,
    /// Share of the step's prompts whose answers all have the same reward: they teach nothing.
    pub flat: Num,
    /// Share of the step's answers that had moved as far as they may, and pushed no further.
    pub clipped: Num,
    /// Mean tokens of the answers under the policy as it is by now: weighed with r.
    pub reply_tokens: Num,
    pub grad_norm: Num,
    pub lr: Num,
    /// Prompts in the step.
    pub prompts: u32,
    /// Their answers.
    pub samples: u32,
    /// Reply tokens in the step.
    pub tokens: u64,
    /// When a number was not finite and the step therefore not applied: the prompts that it came from, or all of the step where none
    /// stands out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applied: Vec<PromptId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<Num>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

impl RlooStep {
    /// Whether every number that the step was decided by is one.
    pub fn is_finite(&self) -> bool {
        [self.loss, self.grad_norm, self.kl].iter().all(|number| number.0.is_finite())
    }
}
