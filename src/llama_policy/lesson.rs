//! The engine's lessons in the trainers' terms: texts to tokens, settings to settings.

use anyhow::{Result, ensure};

use super::Model;
use crate::engine::policy::{self, Example, Lesson, Preference};
use crate::engine::settings::{
    self, DpoSettings, Loss, Reference, RewardSettings, RlooSettings, Settings, SftSettings,
};
use crate::model::chat_template::Turn;
use crate::model::shape::Shape;
use crate::model::tokenizer::Tokenizer;
use crate::recipe::rloo::Rule as PushRule;
use crate::train::batch::Sequence;
use crate::train::dpo::{self, Dpo, Pair};
use crate::train::lora::LoraSettings;
use crate::train::losses::PreferenceLoss;
use crate::train::optimizer::{OptimizerSettings, Rule};
use crate::train::reward::{self, Ranked, Reward};
use crate::train::rloo::{self, Answer, Rloo};
use crate::train::schedule::{Curve, Schedule};
use crate::train::sft::Sft;
use crate::train::step::{LessonSettings, Pupil, StepReport};
use crate::train::student::Student;
use crate::train::workers::Workers;

/// Activations that one worker holds at once, about.
const ACTIVATION_BYTES: usize = 1 << 30;

/// A lesson under way.
#[derive(Debug)]
pub enum Course {
    Sft(Sft),
    Dpo(Dpo),
    Reward(Reward),
    Rloo(Rloo),
}

impl Course {
    pub fn step(&mut self) -> Result<StepReport> {
        match self {
            Course::Sft(sft) => sft.step(),
            Course::Dpo(dpo) => dpo.step(),
            Course::Reward(reward) => reward.step(),
            Course::Rloo(rloo) => rloo.step(),
        }
    }

    pub fn held_out(&self) -> Result<Option<f64>> {
        match self {
            Course::Sft(sft) => sft.held_out(),
            Course::Dpo(dpo) => dpo.held_out(),
            Course::Reward(reward) => reward.held_out(),
            Course::Rloo(_) => Ok(None),
        }
    }

    pub fn fingerprint(&self) -> String {
        match self {
            Course::Sft(sft) => sft.fingerprint(),
            Course::Dpo(dpo) => dpo.fingerprint(),
            Course::Reward(reward) => reward.fingerprint(),
            Course::Rloo(rloo) => rloo.fingerprint(),
        }
    }

    pub fn pupil(&self) -> &Pupil {
        match self {
            Course::Sft(sft) => &sft.pupil,
            Course::Dpo(dpo) => &dpo.pupil,
            Course::Reward(reward) => &reward.pupil,
            Course::Rloo(rloo) => &rloo.pupil,
        }
    }

    pub fn pupil_mut(&mut self) -> &mut Pupil {
        match self {
            Course::Sft(sft) => &mut sft.pupil,
            Course::Dpo(dpo) => &mut dpo.pupil,
            Course::Reward(reward) => &mut reward.pupil,
            Course::Rloo(rloo) => &mut rloo.pupil,
        }
    }

    pub fn into_weights(self) -> Result<(Student, Workers)> {
        match self {
            Course::Sft(sft) => sft.pupil.into_student(),
            Course::Dpo(dpo) => dpo.pupil.into_student(),
            Course::Reward(reward) => reward.pupil.into_student(),
            Course::Rloo(rloo) => rloo.pupil.into_student(),
        }
    }
}

/// A lesson in tokens, before it has the weights.
pub enum Plan {
    Sft { examples: Vec<Sequence>, held_out: Vec<Sequence>, settings: LessonSettings },
    Dpo { pairs: Vec<Pair>, held_out: Vec<Pair>, replay: Vec<Sequence>, settings: dpo::DpoSettings },
    Reward { pairs: Vec<Ranked>, settings: reward::RewardSettings },
    Rloo { groups: Vec<rloo::Group>, settings: rloo::RlooSettings },
}

impl Plan {
    pub fn course(self, student: Student, workers: Workers) -> Result<Course> {
        Ok(match self {
            Plan::Sft { examples, held_out, settings } => {
                Course::Sft(Sft::new(student, examples, held_out, settings, workers)?)
            }
            Plan::Reward { pairs, settings } => {
                Course::Reward(Reward::new(student, pairs, Vec::new(), settings, workers)?)
            }
            Plan::Rloo { groups, settings } => Course::Rloo(Rloo::new(student, groups, settings, workers)?),
            Plan::Dpo { pairs, held_out, replay, settings } => {
                Course::Dpo(Dpo::new(student, pairs, held_out, replay, settings, workers)?)
            }
        })
    }
}

/// What of the settings is the same for every lesson of a run.
#[derive(Clone, Debug)]
pub struct Habits {
    pub reference: Reference,
    pub adapters: Option<LoraSettings>,
    pub recompute: bool,
}

impl Habits {
    pub fn new(settings: &Settings) -> Habits {
        let settings::LoraSettings { rank, alpha, dropout, targets } = settings.lora.clone();
        let targets = targets.split(',').map(|target| target.trim().to_owned()).filter(|t| !t.is_empty()).collect();
        let adapters = LoraSettings { rank: rank as usize, alpha, dropout, targets };
        Habits {
            reference: settings.dpo.reference,
            adapters: (rank > 0).then_some(adapters),
            recompute: settings.model.recompute,
        }
    }

    fn of(&self, lesson: LessonSettings) -> LessonSettings {
        let adapter_dropout = self.adapters.as_ref().map_or(0.0, |adapters| adapters.dropout);
        LessonSettings { adapter_dropout, recompute: self.recompute, ..lesson }
    }
}

/// The seed that a lesson's order follows from; fresh adapters follow from it too.
pub fn seed_of(lesson: &Lesson) -> u64 {
    match lesson {
        Lesson::Answers { seed, .. }
        | Lesson::Preferences { seed, .. }
        | Lesson::Groups { seed, .. }
        | Lesson::Rewards { seed, .. } => *seed,
    }
}

pub fn plan(lesson: Lesson, model: &Model, habits: &Habits) -> Result<Plan> {
    let reference = habits.reference;
    match lesson {
        Lesson::Answers { examples, held_out, settings, seed } => {
            let most = most_tokens(settings.max_tokens, &model.shape);
            Ok(Plan::Sft {
                examples: sequences(&model.tokenizer, &examples, most)?,
                held_out: sequences(&model.tokenizer, &held_out, most)?,
                settings: habits.of(answers_settings(&settings, &model.shape, seed)),
            })
        }
        Lesson::Preferences { pairs, held_out, replay, settings, seed } => {
            let most = most_tokens(settings.max_tokens, &model.shape);
            let tail = settings.length_tail;
            let pairs = pairs_of(model, &pairs, most, tail, reference)?;
            let held_out = pairs_of(model, &held_out, most, tail, reference)?;
            let replay = sequences(&model.tokenizer, &replay, most)?;
            let mut settings = preference_settings(&settings, &model.shape, seed);
            settings.lesson = habits.of(settings.lesson);
            Ok(Plan::Dpo { pairs, held_out, replay, settings })
        }
        Lesson::Groups { groups, settings, seed } => {
            let most = most_tokens(settings.max_tokens, &model.shape);
            let group = |group: &policy::Group| -> Result<rloo::Group> {
                let answer = |answer: &policy::Rewarded| {
                    let text = Example { prompt: group.prompt.clone(), reply: answer.reply.clone() };
                    let text = sequence(&model.tokenizer, &text, most)?;
                    Ok(Answer { text, reward: answer.reward, worth: answer.worth, reference: answer.reference })
                };
                group.answers.iter().map(answer).collect()
            };
            let groups = groups.iter().map(group).collect::<Result<Vec<_>>>()?;
            let lesson = habits.of(rloo_settings(&settings, &model.shape, seed));
            let rule = PushRule { beta: settings.beta, clip: settings.ratio_clip };
            Ok(Plan::Rloo { groups, settings: rloo::RlooSettings { lesson, rule } })
        }
        Lesson::Rewards { pairs, settings, seed } => {
            let most = most_tokens(settings.max_tokens, &model.shape);
            let side = |text: &Example| sequence(&model.tokenizer, text, most);
            let ranked = |pair: &policy::Ranked| -> Result<Ranked> {
                Ok(Ranked { chosen: side(&pair.chosen)?, rejected: side(&pair.rejected)? })
            };
            let pairs = pairs.iter().map(ranked).collect::<Result<Vec<_>>>()?;
            let lesson = habits.of(reward_settings(&settings, &model.shape, seed));
            let label_smoothing = settings.label_smoothing;
            Ok(Plan::Reward { pairs, settings: reward::RewardSettings { lesson, label_smoothing } })
        }
    }
}

pub fn sequences(tokenizer: &Tokenizer, examples: &[Example], most: usize) -> Result<Vec<Sequence>> {
    examples.iter().map(|example| sequence(tokenizer, example, most)).collect()
}

/// An example as tokens; one without a prompt is a whole text.
pub fn sequence(tokenizer: &Tokenizer, example: &Example, most: usize) -> Result<Sequence> {
    if example.prompt.is_empty() {
        let tokens = tokenizer.encode(&example.reply, true)?;
        let all = 0..tokens.len();
        return Sequence::new(tokens, all, most);
    }
    let turns = [Turn::new("user", &example.prompt), Turn::new("assistant", &example.reply)];
    let dialogue = tokenizer.dialogue(&turns)?;
    Sequence::new(dialogue.tokens, dialogue.reply, most)
}

fn pairs_of(
    model: &Model,
    preferences: &[Preference],
    most: usize,
    tail: f64,
    reference: Reference,
) -> Result<Vec<Pair>> {
    let pair = |preference: &Preference| -> Result<Pair> {
        let side = |reply: &str| {
            let example = Example { prompt: preference.prompt.clone(), reply: reply.to_owned() };
            sequence(&model.tokenizer, &example, most)
        };
        Ok(Pair {
            chosen: side(&preference.chosen)?,
            rejected: side(&preference.rejected)?,
            reference_chosen: preference.reference_chosen,
            reference_rejected: preference.reference_rejected,
        })
    };
    let mut pairs = preferences.iter().map(pair).collect::<Result<Vec<_>>>()?;
    if tail != 1.0 && !pairs.is_empty() {
        // Sums are given, tokens are needed; the reference is here only where it is the model that the lesson starts from.
        ensure!(reference == Reference::Previous, "dpo.length_tail needs dpo.reference = \"previous\"");
        let rows: Vec<Sequence> = pairs.iter().flat_map(|pair| [pair.chosen.clone(), pair.rejected.clone()]).collect();
        let scored = model.log_probs(&rows)?;
        for (pair, sides) in pairs.iter_mut().zip(scored.chunks_exact(2)) {
            (pair.reference_chosen, pair.reference_rejected) =
                (pair.weighted(&sides[0], tail), pair.weighted(&sides[1], tail));
        }
    }
    Ok(pairs)
}

fn most_tokens(setting: u32, shape: &Shape) -> usize {
    (setting as usize).min(shape.max_positions)
}

/// How many positions one worker computes at once, so that what the graph keeps stays within bounds.
pub fn most_positions(shape: &Shape) -> usize {
    // Per position and layer: the layer's inputs and outputs several times, the MLP's, and a row of scores a head.
    let scores = shape.heads * shape.max_positions.min(512) * 3;
    let a_layer = 24 * shape.hidden + 6 * shape.mlp + scores;
    (ACTIVATION_BYTES / (4 * a_layer * shape.layers)).clamp(128, 1 << 16)
}

/// How one lesson of this shape is taught, before the user's habits.
fn lesson_settings(
    optimizer: OptimizerSettings,
    schedule: Schedule,
    (batch, epochs): (u32, u32),
    dropout: f64,
    shape: &Shape,
    seed: u64,
) -> LessonSettings {
    LessonSettings {
        optimizer,
        schedule,
        batch: batch as usize,
        epochs,
        most_positions: most_positions(shape),
        dropout,
        adapter_dropout: 0.0,
        recompute: false,
        seed,
    }
}

fn answers_settings(settings: &SftSettings, shape: &Shape, seed: u64) -> LessonSettings {
    let optimizer = optimizer(settings.optimizer, settings.weight_decay, settings.clip);
    let schedule = schedule(settings.schedule, settings.lr, settings.lr_end, settings.warmup);
    lesson_settings(optimizer, schedule, (settings.batch, settings.epochs), settings.dropout, shape, seed)
}

fn reward_settings(settings: &RewardSettings, shape: &Shape, seed: u64) -> LessonSettings {
    let optimizer = optimizer(settings.optimizer, settings.weight_decay, settings.clip);
    let schedule = schedule(settings.schedule, settings.lr, settings.lr_end, settings.warmup);
    lesson_settings(optimizer, schedule, (settings.batch, settings.epochs), settings.dropout, shape, seed)
}

fn rloo_settings(settings: &RlooSettings, shape: &Shape, seed: u64) -> LessonSettings {
    let optimizer = optimizer(settings.optimizer, settings.weight_decay, settings.clip);
    let schedule = schedule(settings.schedule, settings.lr, settings.lr_end, settings.warmup);
    lesson_settings(optimizer, schedule, (settings.batch, settings.epochs), settings.dropout, shape, seed)
}

fn preference_settings(settings: &DpoSettings, shape: &Shape, seed: u64) -> dpo::DpoSettings {
    let DpoSettings { beta, label_smoothing, simpo_margin: margin, .. } = *settings;
    let optimizer = optimizer(settings.optimizer, settings.weight_decay, settings.clip);
    let schedule = schedule(settings.schedule, settings.lr, settings.lr_end, settings.warmup);
    dpo::DpoSettings {
        lesson: lesson_settings(optimizer, schedule, (settings.batch, settings.epochs), settings.dropout, shape, seed),
        loss: match settings.loss {
            Loss::Dpo => PreferenceLoss::Dpo { beta, label_smoothing },
            Loss::LengthNormalised => PreferenceLoss::LengthNormalised { beta, label_smoothing },
            Loss::Simpo => PreferenceLoss::Simpo { beta, margin, label_smoothing },
            Loss::Ipo => PreferenceLoss::Ipo { beta },
        },
        nll_weight: settings.nll_weight,
        length_tail: settings.length_tail,
        replay: settings.eft_replay as usize,
    }
}

fn optimizer(rule: settings::Optimizer, weight_decay: f64, clip: f64) -> OptimizerSettings {
    let rule = match rule {
        settings::Optimizer::Adamw => Rule::AdamW,
        settings::Optimizer::Muon => Rule::Muon,
    };
    OptimizerSettings { rule, weight_decay, clip, ..OptimizerSettings::default() }
}

fn schedule(curve: settings::Schedule, lr: f64, lr_end: f64, warmup: f64) -> Schedule {
    let curve = match curve {
        settings::Schedule::Constant => Curve::Constant,
        settings::Schedule::Linear => Curve::Linear,
        settings::Schedule::Cosine => Curve::Cosine,
    };
    Schedule { curve, lr, lr_end, warmup }
}
