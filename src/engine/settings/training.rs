//! Settings of each kind of training: fine-tuning on answers, preference training on pairs, learning from rewards, reward models.
//!
//! They stand field by field, though many are the same: each kind has the paper's defaults of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    Constant,
    Linear,
    Cosine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    Adamw,
    /// Muon for hidden matrices, AdamW for the rest.
    Muon,
}

/// What fine-tuning and preference training have in common. Defaults are the paper's SFT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SftSettings {
    pub lr: f64,
    /// Learning rate at the end of the schedule.
    pub lr_end: f64,
    pub schedule: Schedule,
    /// Share of the steps in which the learning rate rises from 0.
    pub warmup: f64,
    pub batch: u32,
    pub epochs: u32,
    pub dropout: f64,
    pub optimizer: Optimizer,
    pub weight_decay: f64,
    /// Global gradient norm is clipped to this; 0 does not clip.
    pub clip: f64,
    /// Longest example, in tokens.
    pub max_tokens: u32,
}

impl Default for SftSettings {
    fn default() -> Self {
        SftSettings {
            lr: 5.5e-6,
            lr_end: 1.1e-6,
            schedule: Schedule::Cosine,
            warmup: 0.0,
            batch: 16,
            epochs: 3,
            dropout: 0.1,
            optimizer: Optimizer::Adamw,
            weight_decay: 0.0,
            clip: 1.0,
            max_tokens: 2048,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The model that the iteration starts from.
    Previous,
    /// M1 for the whole run.
    First,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Learn {
    /// Preference training on pairs.
    Dpo,
    /// Fine-tuning on the chosen answers alone.
    Positive,
    /// REINFORCE with the rewards of all answers to a prompt (section `rloo`).
    Rloo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    Dpo,
    LengthNormalised,
    Simpo,
    Ipo,
}

/// Preference training. Defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DpoSettings {
    /// What is learnt from: pairs (`dpo`), their chosen answers alone (`positive`), or the rewards of all answers (`rloo`, whose numbers
    /// are those of the section `rloo`; of this one it takes kl_prompts and kl_every).
    pub learn: Learn,
    pub loss: Loss,
    pub beta: f64,
    /// Weight of the chosen answer's negative log-likelihood (Iterative RPO).
    pub nll_weight: f64,
    /// Conservative DPO: the share of pairs believed to be the wrong way round.
    pub label_smoothing: f64,
    /// Weigh the loss by how much this model's intrinsic rewards rank the candidates as the model before ranked them (CREAM): with C
    /// the mean of (Kendall's tau + 1) / 2 over the iteration's prompts, C counts for the pair and 1 - C for the reversed pair. Needs
    /// run.judge = "intrinsic" and the loss `dpo` or `length_normalised`. The model before M1 is the baseline.
    pub consistency: bool,
    /// Weight of an answer's tail beyond the shorter answer's length (LD-DPO); 1 is off.
    pub length_tail: f64,
    /// SimPO's target margin over beta.
    pub simpo_margin: f64,
    pub reference: Reference,
    /// Judging examples mixed into each step.
    pub eft_replay: u32,
    /// The model's own judgements of the iteration that join those examples, at most, where it judges itself: those of answers on
    /// which all of its samples agree, each score as often as any other where there are enough.
    pub own_judgements: u32,
    pub lr: f64,
    pub lr_end: f64,
    pub schedule: Schedule,
    pub warmup: f64,
    pub batch: u32,
    pub epochs: u32,
    pub dropout: f64,
    pub optimizer: Optimizer,
    pub weight_decay: f64,
    pub clip: f64,
    pub max_tokens: u32,
    /// Share of the pairs to hold out for a validation accuracy.
    pub held_out_share: f64,
    /// Held-out instructions on which the divergence from the reference is watched: on the reference's own answers at temperature 1.
    pub kl_prompts: u32,
    /// Steps between two looks at it; 0 never looks.
    pub kl_every: u32,
    /// Stop when the held-out accuracy has not risen at so many checkpoints; 0 never stops early.
    pub patience: u32,
}

impl Default for DpoSettings {
    fn default() -> Self {
        DpoSettings {
            learn: Learn::Dpo,
            loss: Loss::Dpo,
            beta: 0.1,
            nll_weight: 0.0,
            label_smoothing: 0.0,
            consistency: false,
            length_tail: 1.0,
            simpo_margin: 0.5,
            reference: Reference::Previous,
            eft_replay: 0,
            own_judgements: 0,
            lr: 1e-6,
            lr_end: 1e-7,
            schedule: Schedule::Linear,
            warmup: 0.0,
            batch: 16,
            epochs: 1,
            dropout: 0.1,
            optimizer: Optimizer::Adamw,
            weight_decay: 0.0,
            clip: 1.0,
            max_tokens: 2048,
            held_out_share: 0.05,
            kl_prompts: 16,
            kl_every: 10,
            patience: 2,
        }
    }
}

/// Learning from rewards (RLOO), where dpo.learn = "rloo": every candidate that has a score and whose prompt has a pair that passed the
/// gate pushes by how much better it is than the mean of its prompt's others. The reference is the model that wrote them. There is no
/// value model: PPO's has the size of the policy, and a learning rate of its own. Defaults are TRL's, where it has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RlooSettings {
    /// What a nat of log-prob away from the reference costs, in the unit in which rewards count.
    pub beta: f64,
    /// An answer whose probability has changed by this share in its good direction pushes no further; from 1 on this stops only those that
    /// grow likelier, and 0 lets all push.
    pub ratio_clip: f64,
    /// Count rewards in units of the spread of all advantages of the iteration.
    pub normalise: bool,
    /// No reward counts more than this, up or down from its prompt's mean; 0 does not clip.
    pub reward_clip: f64,
    pub lr: f64,
    pub lr_end: f64,
    pub schedule: Schedule,
    pub warmup: f64,
    /// Prompts in a step, each with all of its answers.
    pub batch: u32,
    pub epochs: u32,
    pub dropout: f64,
    pub optimizer: Optimizer,
    pub weight_decay: f64,
    pub clip: f64,
    pub max_tokens: u32,
}

impl Default for RlooSettings {
    fn default() -> Self {
        RlooSettings {
            beta: 0.05,
            ratio_clip: 0.2,
            normalise: true,
            reward_clip: 10.0,
            lr: 1e-6,
            lr_end: 1e-7,
            schedule: Schedule::Linear,
            warmup: 0.0,
            batch: 16,
            epochs: 1,
            dropout: 0.0,
            optimizer: Optimizer::Adamw,
            weight_decay: 0.0,
            clip: 1.0,
            max_tokens: 2048,
        }
    }
}

impl RlooSettings {
    /// For the embedded world, whose answers are short and few: the published clip lets them move hardly at all. The numbers were chosen on
    /// one seed: see assets/README.md.
    pub(super) fn tiny() -> RlooSettings {
        RlooSettings { lr: 1e-3, lr_end: 1e-4, epochs: 3, ratio_clip: 3.0, max_tokens: 256, ..RlooSettings::default() }
    }
}

/// Training a reward model on pairs. Defaults are those published with SER, adapters aside: a reward model is trained whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RewardSettings {
    pub lr: f64,
    pub lr_end: f64,
    pub schedule: Schedule,
    pub warmup: f64,
    /// Pairs in a step.
    pub batch: u32,
    pub epochs: u32,
    pub dropout: f64,
    pub optimizer: Optimizer,
    pub weight_decay: f64,
    pub clip: f64,
    /// Longest text, in tokens.
    pub max_tokens: u32,
    /// The share of the pairs believed to be the wrong way round.
    pub label_smoothing: f64,
}

impl Default for RewardSettings {
    fn default() -> Self {
        RewardSettings {
            lr: 2e-5,
            lr_end: 0.0,
            schedule: Schedule::Linear,
            warmup: 0.0,
            batch: 40,
            epochs: 2,
            dropout: 0.1,
            optimizer: Optimizer::Adamw,
            weight_decay: 0.0,
            clip: 1.0,
            max_tokens: 512,
            label_smoothing: 0.0,
        }
    }
}

impl RewardSettings {
    /// For the embedded world: there is more to learn from its few pairs than one pass finds.
    pub(super) fn tiny() -> RewardSettings {
        RewardSettings {
            lr: 3e-4,
            lr_end: 3e-5,
            schedule: Schedule::Cosine,
            warmup: 0.1,
            batch: 16,
            epochs: 3,
            dropout: 0.0,
            max_tokens: 256,
            ..RewardSettings::default()
        }
    }
}

/// Training adapters of low rank beside frozen weights. Defaults are PEFT's, with all projections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoraSettings {
    /// Rank of the adapters; 0 trains all weights.
    pub rank: u32,
    /// Adapters count alpha over rank.
    pub alpha: f64,
    /// Share of what an adapter reads that is dropped while learning.
    pub dropout: f64,
    /// Projections with adapters: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj; comma between them.
    pub targets: String,
}

impl Default for LoraSettings {
    fn default() -> Self {
        LoraSettings {
            rank: 0,
            alpha: 16.0,
            dropout: 0.0,
            targets: "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj".into(),
        }
    }
}
