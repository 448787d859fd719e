//! The configuration of a run: one schema for the file, `--set`, the environment and the flags.
//!
//! The sections of the method are the settings structs of `recipe`; the rest is the engine's. Reading files and merging sources is the
//! command line's work. `paper` is the method's published numbers, `tiny` fits the embedded world.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::teaching::settings::{Recipe, TeacherSettings};
use crate::recipe::eft::EftSettings;
use crate::recipe::judge::JudgeSettings;
use crate::recipe::new_prompts::NewPromptSettings;
use crate::recipe::pairs::PairSettings;
use crate::recipe::prompt_filter::PromptFilterSettings;
use crate::recipe::prompts::TextSet;
use crate::recipe::ser::SerSettings;
use crate::recipe::spot_check::SpotCheckSettings;
use crate::recipe::suspicion::SuspicionSettings;
use crate::run::alarms::AlarmSettings;

mod presets;
mod training;

pub use training::*;

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    pub run: RunSettings,
    pub model: ModelSettings,
    pub data: DataSettings,
    /// Fine-tuning on human answers, and on answers and judgements (M1).
    pub sft: SftSettings,
    /// Which of the baseline's judgements become judging examples.
    pub eft: EftSettings,
    /// How new prompts are written.
    pub prompts: PromptsSettings,
    /// Which new prompts are refused.
    pub prompt_filter: PromptFilterSettings,
    pub candidates: CandidateSettings,
    pub judge: JudgeSettings,
    /// Somebody outside who judges or shows, for money.
    pub teacher: TeacherSettings,
    pub pairs: PairSettings,
    /// Weights of the signs that make a pair suspicious.
    pub suspicion: SuspicionSettings,
    pub gate: GateSettings,
    pub dpo: DpoSettings,
    /// Learning from rewards, in the place of preference training.
    pub rloo: RlooSettings,
    /// Training of a reward model, where one judges.
    pub reward: RewardSettings,
    /// How a reward model teaches itself (recipe `ser`).
    pub ser: SerSettings,
    /// Adapters of low rank instead of all weights.
    pub lora: LoraSettings,
    pub eval: EvalSettings,
    pub checkpoint: CheckpointSettings,
    /// Thresholds of the alarms.
    pub alarms: AlarmSettings,
    pub rehearsal: RehearsalSettings,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunSettings {
    /// The root seed; every other seed is derived from it.
    pub seed: u64,
    /// Iterations of self-rewarding: 2 ends at M3.
    pub iterations: u32,
    /// Who plays the model: `llama`, or `rehearsal` (scripted, no weights).
    pub policy: PolicyKind,
    /// Whose judgement or answers the pairs are made of: `self`, `teacher-reward`, `teacher-demo`, or `ser` (a reward model that is made
    /// from a share of people's labels, and teaches itself the rest).
    pub recipe: Recipe,
    /// Who judges candidates: `self`, `expected` (the model's mean score, no rationale written), `intrinsic` (how much likelier an
    /// answer is under the model than under M0: log-probs summed over its tokens, in nats, no prompt and no score read; pairs.min_margin
    /// is in nats then), `reward-model` (a model with a score in place of words, made from M1 and people's ranked answers; recipe ser
    /// implies it, and without that recipe it learns from all labels; pairs.min_margin is in log-odds then: sigmoid of the margin is how
    /// sure it is) or `teacher` (which recipe teacher-reward implies). Those without a rationale say the same each time:
    /// judge.samples = 1 is enough for them. Judging examples for M1 are written by the model itself with any of them.
    pub judge: JudgeKind,
}

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings {
            seed: 1,
            iterations: 2,
            policy: PolicyKind::Llama,
            recipe: Recipe::Own,
            judge: JudgeKind::SelfJudge,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    Llama,
    Rehearsal,
}

impl PolicyKind {
    pub fn name(self) -> &'static str {
        match self {
            PolicyKind::Llama => "llama",
            PolicyKind::Rehearsal => "rehearsal",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JudgeKind {
    /// The model judges its own answers.
    #[serde(rename = "self")]
    SelfJudge,
    /// The model judges them by how likely it finds each score, without writing a rationale.
    #[serde(rename = "expected")]
    Expected,
    /// Its own gain in log-prob over the base is the reward.
    #[serde(rename = "intrinsic")]
    Intrinsic,
    /// A reward model that is made in the run judges them.
    #[serde(rename = "reward-model")]
    RewardModel,
    /// A teacher outside judges them.
    #[serde(rename = "teacher")]
    Teacher,
}

impl JudgeKind {
    pub fn name(self) -> &'static str {
        match self {
            JudgeKind::SelfJudge => "self",
            JudgeKind::Expected => "expected",
            JudgeKind::Intrinsic => "intrinsic",
            JudgeKind::RewardModel => "reward-model",
            JudgeKind::Teacher => "teacher",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModelSettings {
    /// The base model M0: a Hugging Face folder.
    pub base: Option<String>,
    /// The model that writes new prompts when `prompts.writer` is `fixed`; M0 if absent.
    pub writer: Option<String>,
    /// `auto`, `cpu`, `cuda` or `cuda:1`.
    pub device: String,
    /// Threads for arithmetic; 0 takes all cores.
    pub threads: u32,
    /// Training computes layers again on the way back instead of keeping them: a third slower, far less memory.
    pub recompute: bool,
}

impl Default for ModelSettings {
    fn default() -> Self {
        ModelSettings { base: None, writer: None, device: "auto".into(), threads: 0, recompute: false }
    }
}

/// Where the human data comes from. What is absent is taken from the embedded world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DataSettings {
    /// Instructions with human answers.
    pub ift: Option<String>,
    /// Prompts with several human-ranked responses, from which judging examples are built.
    pub eft: Option<String>,
    /// A folder that `selfreward forge` made: what is not named comes from it instead of from the embedded one.
    pub forged: Option<String>,
    /// How the people who labelled the embedded judging examples went about it.
    pub labels: Labels,
    /// Ready judging examples `{prompt, response, judgement}` instead of `eft`.
    pub eft_labelled: Option<String>,
    /// Ranked responses that a reward model learns from (run.judge = "reward-model"). Without it, those of `eft`.
    pub pairs: Option<String>,
    /// Ranked responses that are only measured on. Without it, a share of `eft` is held out.
    pub eft_held_out: Option<String>,
    /// Prompts that the models answer for evaluation. Without it, a share of `ift` is held out.
    pub instructions_held_out: Option<String>,
    /// Share of `eft` and `ift` to hold out, by content.
    pub held_out_share: f64,
    /// Which embedded texts a model reads: `full`, or `short` for a model of a few words.
    pub texts: TextSet,
    /// The judge's prompt, the comparison prompt and the prompt-writing prompt, where they are your own.
    pub judge_prompt: Option<String>,
    pub duel_prompt: Option<String>,
    pub write_prompt: Option<String>,
    /// Use at most so many rows of each set; 0 takes all.
    pub limit: u32,
}

impl Default for DataSettings {
    fn default() -> Self {
        DataSettings {
            ift: None,
            eft: None,
            forged: None,
            labels: Labels::Honest,
            eft_labelled: None,
            pairs: None,
            eft_held_out: None,
            instructions_held_out: None,
            held_out_share: 0.25,
            texts: TextSet::Full,
            judge_prompt: None,
            duel_prompt: None,
            write_prompt: None,
            limit: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    Honest,
    /// Two points too many for everything.
    Lenient,
    /// Length is taken for quality.
    LengthBiased,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptWriter {
    /// One model for the whole run, as in the paper.
    Fixed,
    /// The current model.
    Current,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PromptsSettings {
    /// New prompts per iteration.
    pub count: u32,
    /// Give up after so many attempts per wanted prompt.
    pub max_attempts: u32,
    pub writer: PromptWriter,
    /// Refuse prompts that an earlier iteration already had. Off where the world of prompts is small.
    pub unique_across_iterations: bool,
    #[serde(flatten)]
    pub request: NewPromptSettings,
}

impl Default for PromptsSettings {
    fn default() -> Self {
        PromptsSettings {
            count: 5000,
            max_attempts: 20,
            writer: PromptWriter::Fixed,
            unique_across_iterations: true,
            request: NewPromptSettings::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CandidateSettings {
    /// Answers to each prompt.
    pub n: u32,
    pub temperature: f64,
    pub top_p: f64,
    pub max_tokens: u32,
}

impl Default for CandidateSettings {
    fn default() -> Self {
        CandidateSettings { n: 4, temperature: 0.7, top_p: 0.9, max_tokens: 1024 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateMode {
    /// Every pair is used unless it was decided before.
    Off,
    /// Wait until the queue is decided or the gate is closed.
    Wait,
    /// Wait so long, then go on without the undecided pairs that are too suspicious.
    Deadline,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GateSettings {
    pub mode: GateMode,
    /// Seconds, or with a unit: `90s`, `30m`, `2h`.
    pub deadline: String,
    /// Undecided pairs over this suspicion are left out at the deadline.
    pub undecided_limit: f64,
    #[serde(flatten)]
    pub queue: SpotCheckSettings,
}

impl Default for GateSettings {
    fn default() -> Self {
        GateSettings {
            mode: GateMode::Deadline,
            deadline: "30m".into(),
            undecided_limit: 0.9,
            queue: SpotCheckSettings::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EvalSettings {
    /// Held-out instructions that each model answers; 0 takes all.
    pub instructions: u32,
    /// Held-out ranked sets that each model judges; 0 takes all.
    pub ranked: u32,
    /// How many of these the baseline judges, which has not learnt to judge; 0 takes all.
    pub ranked_baseline: u32,
    /// Ranked responses, the first of the held-out ones, whose scores are compared from model to model.
    pub anchors: u32,
    /// Answer the held-out instructions at 0.7 and 1.0, so many times each.
    pub answers: u32,
    pub max_tokens: u32,
    /// Let the judge compare each model's answers with those of the model before and of the baseline.
    pub head_to_head: bool,
    /// Resamples of the bootstrap.
    pub bootstrap: u32,
}

impl Default for EvalSettings {
    fn default() -> Self {
        EvalSettings {
            instructions: 256,
            ranked: 0,
            ranked_baseline: 0,
            anchors: 100,
            answers: 1,
            max_tokens: 1024,
            head_to_head: true,
            bootstrap: 1000,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CheckpointSettings {
    /// Steps between checkpoints while training.
    pub every: u32,
    /// Checkpoints of a training under way that are kept; every finished model is kept.
    pub keep: u32,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        CheckpointSettings { every: 200, keep: 2 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Story {
    Healthy,
    /// The judge loses the score format.
    Parse,
    /// The judge gives everything a five.
    Saturation,
    /// Longer answers win, and answers grow.
    Length,
    /// Preference training goes too far.
    Overfit,
    /// Answers become alike.
    Collapse,
    /// Answers speak to the judge.
    Gaming,
    /// A number of the optimiser is not finite.
    Nan,
}

impl std::str::FromStr for Story {
    type Err = String;

    fn from_str(text: &str) -> Result<Story, String> {
        serde_json::from_value(serde_json::Value::from(text))
            .map_err(|_| "write healthy, parse, saturation, length, overfit, collapse, gaming or nan".to_string())
    }
}

/// The scripted policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RehearsalSettings {
    pub story: Story,
    /// How fast it plays: 0 as fast as it can, 1 about as fast as a small model on a laptop.
    pub tempo: f64,
}

impl Default for RehearsalSettings {
    fn default() -> Self {
        RehearsalSettings { story: Story::Healthy, tempo: 0.0 }
    }
}

/// What the recipe makes of the settings.
impl Settings {
    /// The teacher's scores decide which candidates are a pair.
    pub fn teacher_judges(&self) -> bool {
        let recipe = self.run.recipe;
        recipe == Recipe::TeacherReward || (recipe == Recipe::Own && self.run.judge == JudgeKind::Teacher)
    }

    /// The teacher judges the held-out rankings too.
    pub fn teacher_holds_out(&self) -> bool {
        self.teacher_judges() && self.teacher.held_out
    }

    /// The teacher compares models. Without a teacher's recipe it does so where one is named.
    pub fn teacher_duels(&self) -> bool {
        self.teacher.head_to_head && !self.teacher.endpoint.is_empty()
    }

    pub fn asks_teacher(&self) -> bool {
        self.teacher_judges() || self.run.recipe == Recipe::TeacherDemo || self.teacher_duels()
    }

    /// The model's gain in log-prob is what its candidates are judged by.
    pub fn is_intrinsic(&self) -> bool {
        self.run.judge == JudgeKind::Intrinsic && !self.teacher_judges() && !self.is_reward_model()
    }

    /// The model scores its own candidates in words.
    pub fn judges_itself(&self) -> bool {
        self.run.judge == JudgeKind::SelfJudge && !self.teacher_judges() && !self.is_reward_model()
    }

    /// A reward model that is made in the run judges the candidates.
    pub fn is_reward_model(&self) -> bool {
        let judges = self.run.recipe == Recipe::Own && self.run.judge == JudgeKind::RewardModel;
        self.run.recipe == Recipe::Ser || judges
    }

    /// How its loops go: without the recipe `ser` it learns from all labels, once.
    pub fn loops(&self) -> SerSettings {
        match self.run.recipe {
            Recipe::Ser => self.ser.clone(),
            Recipe::Own | Recipe::TeacherReward | Recipe::TeacherDemo => {
                SerSettings { seed_share: 1.0, loops: 0, ..self.ser.clone() }
            }
        }
    }

    /// Who judges the candidates, as journal and screens name it.
    pub fn judge_name(&self) -> &'static str {
        if self.teacher_judges() {
            JudgeKind::Teacher.name()
        } else if self.is_reward_model() {
            JudgeKind::RewardModel.name()
        } else {
            self.run.judge.name()
        }
    }

    /// Says why these settings can not be run together, before anything is done by them.
    pub fn check(&self) -> Result<(), String> {
        if self.is_reward_model() {
            if self.lora.rank > 0 {
                return Err("a reward model is trained whole: set lora.rank = 0".into());
            }
            let ser = &self.ser;
            if !(0.0..=1.0).contains(&ser.seed_share) || ser.seed_share == 0.0 {
                return Err("ser.seed_share is a share of people's labels, above 0 and up to 1".into());
            }
            if ser.low > ser.high {
                return Err("ser.low is above ser.high: no answer could be neither".into());
            }
        }
        if self.run.recipe == Recipe::Ser && !matches!(self.run.judge, JudgeKind::SelfJudge | JudgeKind::RewardModel) {
            return Err("recipe ser judges by its reward model: leave run.judge, or set it to \"reward-model\"".into());
        }
        self.check_rloo()?;
        let dpo = &self.dpo;
        if !dpo.consistency {
            return Ok(());
        }
        if !self.is_intrinsic() {
            return Err("dpo.consistency needs run.judge = \"intrinsic\": it compares rewards of two models".into());
        }
        if !matches!(dpo.loss, Loss::Dpo | Loss::LengthNormalised) {
            return Err(
                "dpo.consistency needs dpo.loss = \"dpo\" or \"length_normalised\": it weighs the reversed pair".into(),
            );
        }
        if dpo.label_smoothing != 0.0 {
            return Err("dpo.consistency sets the label smoothing itself: leave dpo.label_smoothing at 0".into());
        }
        Ok(())
    }

    /// The policy learns from the rewards of all answers.
    pub fn learns_from_rewards(&self) -> bool {
        self.dpo.learn == Learn::Rloo
    }

    fn check_rloo(&self) -> Result<(), String> {
        if !self.learns_from_rewards() {
            return Ok(());
        }
        let rloo = &self.rloo;
        if self.run.recipe == Recipe::TeacherDemo {
            return Err(
                "dpo.learn = \"rloo\" needs scores, and recipe teacher-demo has none: nobody judges demonstrations"
                    .into(),
            );
        }
        if self.candidates.n < 2 {
            return Err("dpo.learn = \"rloo\" compares the answers to a prompt: set candidates.n to 2 or more".into());
        }
        if self.dpo.reference != Reference::Previous {
            return Err(
                "dpo.learn = \"rloo\" has the model that wrote the answers as its reference: leave dpo.reference"
                    .into(),
            );
        }
        if self.dpo.consistency {
            return Err("dpo.consistency weighs pairs: dpo.learn = \"rloo\" has none".into());
        }
        let numbers = [("beta", rloo.beta), ("ratio_clip", rloo.ratio_clip), ("reward_clip", rloo.reward_clip)];
        match numbers.into_iter().find(|(_, number)| !(number.is_finite() && *number >= 0.0)) {
            Some((name, number)) => Err(format!("rloo.{name} is {number}: it can not be below 0")),
            None => Ok(()),
        }
    }

    /// How often each candidate is judged by somebody: a teacher's judgements are followed by the model's own, intrinsic rewards by those
    /// of the model before.
    pub fn opinions(&self) -> u64 {
        1 + u64::from((self.teacher_judges() && self.teacher.compare) || self.is_intrinsic())
    }

    /// Answers that the model itself writes to each prompt: of a demonstration's pair it writes one.
    pub fn own_candidates(&self) -> u32 {
        if self.run.recipe == Recipe::TeacherDemo { 1 } else { self.candidates.n }
    }

    /// The recipe as journal and screens name it.
    pub fn recipe_name(&self) -> &'static str {
        if self.teacher_judges() { Recipe::TeacherReward.name() } else { self.run.recipe.name() }
    }
}
