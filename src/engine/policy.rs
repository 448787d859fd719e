//! The seams of a run: a policy that writes and learns, and a judge that scores. No tensor crosses them.
//!
//! The engine speaks to these traits only. The scripted rehearsal is one policy, the embedded Llama another; a judge may be the policy
//! itself or somebody else, and nothing here may assume which.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::run::event::{Event, FaultKind, Finish};
use crate::run::reasons::{Ended, Scored, Unscored};
use crate::run::view::RunView;

/// Whether to go on. A pause is waited out inside the seat; `Stop` means: leave now, in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    Go,
    Stop,
}

/// How to sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    pub temperature: f64,
    pub top_p: f64,
    pub max_tokens: u32,
    pub stop: Vec<String>,
}

/// One text to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// What the user says, or the text to go on from.
    pub text: String,
    /// Go on from the text itself, without a chat template.
    pub continues: bool,
    /// The part of the text, in bytes, that other asks of the same call share; its work can be done once.
    pub shared_prefix: usize,
    pub sampling: Sampling,
    /// The seed of this text alone: the reply must not depend on what else is in the batch.
    pub seed: u64,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub text: String,
    pub ended: Ended,
    pub tokens: u32,
    pub token_ids: Vec<u32>,
    /// The writer's own log-prob, mean per token.
    pub logprob_per_token: Option<f64>,
}

/// Where finished work is put down, in any order; between tokens and items it says whether to go on.
pub trait Seat<T> {
    fn finished(&mut self, index: usize, item: T) -> Result<Flow>;
    /// The text of an unfinished item so far, for whoever looks.
    fn writing(&mut self, index: usize, text: &str) -> Result<Flow>;

    /// Where work that costs money is written down before it is used. A seat without one takes no such work.
    fn till(&mut self) -> Option<&mut dyn Till> {
        None
    }
}

/// Where money is counted: the journal, as far as paid work needs it.
pub trait Till {
    fn view(&self) -> &RunView;
    /// Seconds since this engine began.
    fn uptime(&self) -> f64;
    fn record(&mut self, event: Event) -> Result<()>;
    /// Makes what was recorded survive a power cut.
    fn sync(&mut self) -> Result<()>;
    /// What the journal holds as the answer to this request.
    fn answer(&self, key: &str) -> Option<Taught>;
    /// Answers requests of people and says whether to go on; unlike a seat it never waits.
    fn look(&mut self) -> Result<Flow>;
    /// Tells whoever looks what the run waits for.
    fn waits_for(&mut self, what: Option<String>);
}

/// One prompt for a teacher.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherCall {
    pub text: String,
    pub sampling: Sampling,
    pub seed: u64,
}

/// What a teacher answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Taught {
    pub text: String,
    pub finish: Finish,
    /// Tokens of the request and of the answer, where the endpoint says.
    pub usage: Option<(u64, u64)>,
    /// Which model answered, by its own account.
    pub version: String,
    pub took_ms: u64,
}

/// Why a teacher did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// In words, without anything secret.
    pub says: String,
    /// How long the endpoint asks to wait.
    pub wait_ms: Option<u64>,
    /// The endpoint may have worked on it, and may charge for that.
    pub charged: bool,
}

/// Somebody outside who answers prompts for money. Asked from several threads at once.
pub trait Teacher: Send + Sync {
    /// Model and endpoint, without anything secret.
    fn name(&self) -> &str;

    fn ask(&self, call: &TeacherCall) -> Result<Taught, Fault>;
}

/// A prompt with an answer to learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    pub prompt: String,
    pub reply: String,
}

/// A pair to learn from, with the reference's log-probs of both answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Preference {
    pub prompt: String,
    pub chosen: String,
    pub rejected: String,
    pub reference_chosen: f64,
    pub reference_rejected: f64,
    /// Tokens of the two answers as the reference counted them.
    pub chosen_tokens: u32,
    pub rejected_tokens: u32,
}

/// One answer to a prompt, with what it was worth to a judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewarded {
    pub reply: String,
    /// As the judge gave it.
    pub reward: f64,
    /// As it counts.
    pub worth: f64,
    /// The log-prob of the whole reply under the reference, which wrote it, and its tokens there.
    pub reference: f64,
    pub tokens: u32,
}

/// The answers to one prompt, to learn from together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub prompt: String,
    pub answers: Vec<Rewarded>,
}

/// Two answers to one prompt as a reward model reads them, the better one first.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    pub chosen: Example,
    pub rejected: Example,
}

/// What to learn. The order of examples within an epoch follows from the seed.
#[derive(Clone, Debug, PartialEq)]
pub enum Lesson {
    Answers {
        examples: Vec<Example>,
        held_out: Vec<Example>,
        settings: super::settings::SftSettings,
        seed: u64,
    },
    Preferences {
        pairs: Vec<Preference>,
        held_out: Vec<Preference>,
        /// Judging examples to mix in.
        replay: Vec<Example>,
        settings: Box<super::settings::DpoSettings>,
        seed: u64,
    },
    /// Answers and their rewards, prompt by prompt.
    Groups {
        groups: Vec<Group>,
        settings: super::settings::RlooSettings,
        seed: u64,
    },
    /// The model becomes a reward model: it scores answers and writes no more.
    Rewards {
        pairs: Vec<Ranked>,
        settings: super::settings::RewardSettings,
        seed: u64,
    },
}

/// What one optimiser step reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    pub loss: f64,
    pub lr: f64,
    pub grad_norm: f64,
    pub tokens: u64,
    pub tokens_per_s: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub held_out: Option<f64>,
    /// When a number of the step is not finite, and the step therefore not applied: the examples or pairs of the lesson that it came
    /// from, counted from 0 in the lesson's order.
    pub not_finite: Option<Vec<usize>>,
    /// Of a preference step.
    pub preference: Option<PreferenceReport>,
    /// Of a reward model's step.
    pub reward: Option<RewardReport>,
    /// Of a step that learns from rewards.
    pub groups: Option<GroupsReport>,
}

/// What a step that learns from rewards looked at, before its update; each number is explained at the event `rloo_step`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupsReport {
    pub prompts: u32,
    pub answers: u32,
    pub reward: f64,
    pub gain: f64,
    pub kl: f64,
    pub advantage_sd: f64,
    pub flat: f64,
    pub clipped: f64,
    pub reply_tokens: f64,
}

/// Means over the pairs of a reward model's step, before its update.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RewardReport {
    pub pairs: u32,
    pub reward_chosen: f64,
    pub reward_rejected: f64,
    pub accuracy: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct PreferenceReport {
    pub reward_chosen: f64,
    pub reward_rejected: f64,
    pub accuracy: f64,
    pub logp_chosen: f64,
    pub logp_rejected: f64,
    pub logp_chosen_per_token: f64,
    pub logp_rejected_per_token: f64,
    pub reference_chosen_per_token: f64,
    pub kl: Option<f64>,
    pub pairs: u32,
}

/// Log-prob of a reply, whole, and its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogProb {
    pub sum: f64,
    pub tokens: u32,
}

impl LogProb {
    pub fn per_token(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.sum / f64::from(self.tokens))
    }
}

/// Who runs the model, and on what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    pub device: String,
    pub device_why: String,
    pub versions: Vec<(String, String)>,
    pub threads: u32,
}

/// A model that writes and learns. It holds one set of weights at a time.
pub trait Policy {
    fn identity(&self) -> Identity;

    /// Takes the weights in this folder; without one, the base model's.
    fn load(&mut self, folder: Option<&Path>) -> Result<()>;

    /// Writes every reply, each as soon as it is done.
    fn reply(&mut self, asks: &[Ask], seat: &mut dyn Seat<Reply>) -> Result<Flow>;

    /// Log-probs of given replies (or, with an empty prompt, of whole texts), in order; under a lesson, with the weights as they are.
    fn log_probs(&mut self, items: &[Example]) -> Result<Vec<LogProb>>;

    /// Rewards of given answers, in order. Only a reward model has them.
    fn rewards(&mut self, _items: &[Example]) -> Result<Vec<f64>> {
        bail!("this policy knows no reward models")
    }

    /// Prepares a lesson and says how many steps it takes. `from` continues a training from its checkpoint: the state after that step.
    fn begin(&mut self, lesson: Lesson, from: Option<(&Path, u64)>) -> Result<u64>;

    /// Takes the next step. A step whose numbers are not finite must be reported and not applied.
    fn step(&mut self) -> Result<StepReport>;

    /// The held-out measure of the lesson at this step, higher or lower being better as the lesson says: loss of answers, accuracy of
    /// preferences. None without held-out data.
    fn held_out(&mut self) -> Result<Option<f64>>;

    /// Ends the lesson; the weights stay.
    fn end(&mut self) -> Result<()>;

    /// Writes the adapters of the lesson that ended last into an empty folder; false when there were none.
    fn save_adapter(&mut self, _folder: &Path) -> Result<bool> {
        Ok(false)
    }

    /// Whether lessons train adapters.
    fn trains_adapters(&self) -> bool {
        false
    }

    /// Writes the weights into an empty folder as a model that others can load, and with `training` the state to go on from.
    fn save(&mut self, folder: &Path, training: bool) -> Result<()>;
}

/// Log-probs of these, one for each: with another number of them answers would get what belongs to others.
pub fn log_prob_of_each(policy: &mut dyn Policy, items: &[Example]) -> Result<Vec<LogProb>> {
    let scored = policy.log_probs(items)?;
    ensure!(scored.len() == items.len(), "{} log-probs for {} texts", scored.len(), items.len());
    Ok(scored)
}

/// One answer to score.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeAsk {
    pub prompt: String,
    pub answer: String,
    /// The answer's own seed: every sample of it reads the same text.
    pub seed: crate::recipe::seeds::Seed,
    pub sample: u32,
    /// The answer's log-prob under the base model, for a judge that reads it.
    pub base: Option<f64>,
}

/// What a judge says of one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The whole reply, empty for a judge that gives no reasons.
    pub reply: String,
    pub score: Scored,
    /// Bytes of the reply in which the score stands.
    pub span: Option<(u32, u32)>,
    pub truncated: bool,
    pub contradicts: bool,
}

impl Judgement {
    /// Of a judge that says a number and nothing else; what is no finite number is no score.
    pub fn of_number(reply: String, number: f64) -> Judgement {
        let score = if number.is_finite() { Ok(number) } else { Err(Unscored::NotANumber) };
        Judgement { reply, score, span: None, truncated: false, contradicts: false }
    }
}

/// Somebody who scores answers. It gets the policy to borrow, and may ignore it.
pub trait Judge {
    /// `self`, or who else.
    fn name(&self) -> &str;

    /// Whether it wants each answer's log-prob under the base model.
    fn reads_base(&self) -> bool {
        false
    }

    fn judge(&mut self, policy: &mut dyn Policy, asks: &[JudgeAsk], seat: &mut dyn Seat<Judgement>) -> Result<Flow>;
}
