//! The names by which a run speaks of its parts: iterations, stages, models, prompts, requests.
//!
//! Used by every module. A prompt has at most one pair, so a pair is named by its prompt.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The place of an entry in its journal, counted from 1 without gaps.
pub type Seq = u64;

/// Names a prompt, and the pair made from it: the iteration it was written in and its number there. Written `2:810`. Iteration 0 writes
/// none: its pairs are the pool that a reward model labels itself, numbered by their place, and a label has the name of its pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromptId {
    pub iteration: u32,
    pub number: u32,
}

impl PromptId {
    /// A pair of the pool, labelled by a reward model.
    pub fn is_label(self) -> bool {
        self.iteration == 0
    }
}

impl fmt::Display for PromptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.iteration, self.number)
    }
}

impl FromStr for PromptId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (iteration, number) = text.trim().trim_start_matches('#').split_once(':')?;
            Some(PromptId { iteration: iteration.parse().ok()?, number: number.parse().ok()? })
        };
        parse().ok_or_else(|| format!("`{text}` names no pair; write ITERATION:NUMBER, for example 2:810"))
    }
}

impl Serialize for PromptId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PromptId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = PromptId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("ITERATION:NUMBER")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PromptId, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_str(Visitor)
    }
}

impl JsonSchema for PromptId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PromptId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+:[0-9]+$" })
    }
}

/// What the engine is doing. Iteration 0 makes M1 from the human data; iteration t makes M(t+1) from M(t)'s own judgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Iteration 0: fine-tune the base on the human answers only.
    Baseline,
    /// Iteration 0: the baseline judges the ranked human data; what agrees with the human ranking is kept.
    Eft,
    /// Iteration 0: fine-tune the base on answers and judgements: M1.
    Sft,
    /// Iteration 0: a loop of the reward model, where one judges: it learns from people's labels, later from its own too.
    Reward,
    Prompts,
    Candidates,
    Judge,
    Pairs,
    Check,
    Dpo,
    /// The policy learns from the rewards of all candidates (RLOO), in the place of `Dpo`.
    Rloo,
    Eval,
}

impl Stage {
    pub const ALL: [Stage; 12] = [
        Stage::Baseline,
        Stage::Eft,
        Stage::Sft,
        Stage::Reward,
        Stage::Prompts,
        Stage::Candidates,
        Stage::Judge,
        Stage::Pairs,
        Stage::Check,
        Stage::Dpo,
        Stage::Rloo,
        Stage::Eval,
    ];

    /// Weights change in it, step by step.
    pub fn trains(self) -> bool {
        matches!(self, Stage::Baseline | Stage::Sft | Stage::Reward | Stage::Dpo | Stage::Rloo)
    }

    /// The word on the screen and in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Baseline => "baseline",
            Stage::Eft => "eft",
            Stage::Sft => "sft",
            Stage::Reward => "reward",
            Stage::Prompts => "prompts",
            Stage::Candidates => "candidates",
            Stage::Judge => "judge",
            Stage::Pairs => "pairs",
            Stage::Check => "check",
            Stage::Dpo => "dpo",
            Stage::Rloo => "rloo",
            Stage::Eval => "eval",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A model of the run. `Baseline` is the base fine-tuned on human answers only; `M(0)` is the base itself. `Reward` is a reward model,
/// numbered by its loop: it judges and writes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    Baseline,
    Reward(u32),
    M(u32),
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Model::Baseline => f.pad("SFT"),
            Model::M(number) => f.pad(&format!("M{number}")),
            Model::Reward(number) => f.pad(&format!("R{number}")),
        }
    }
}

impl FromStr for Model {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "SFT" => Ok(Model::Baseline),
            _ => {
                let number = |letter: char| text.strip_prefix(letter).and_then(|number| number.parse().ok());
                number('M')
                    .map(Model::M)
                    .or_else(|| number('R').map(Model::Reward))
                    .ok_or_else(|| format!("`{text}` names no model; write SFT, M0, M1, …"))
            }
        }
    }
}

impl Serialize for Model {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Model {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Model".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(SFT|[MR][0-9]+)$" })
    }
}

/// Names a request: who wrote it (the file in `control/`) and its number in that file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RequestId {
    pub writer: String,
    pub number: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.writer, self.number)
    }
}
