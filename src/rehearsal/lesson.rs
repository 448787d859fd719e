//! What training looks like in a rehearsal: losses that fall, margins that grow, and the ways in which they go wrong.

use super::Skill;
use crate::engine::policy::{Example, Group, GroupsReport, Lesson, PreferenceReport, Ranked, RewardReport, StepReport};
use crate::engine::settings::Story;
use crate::recipe::rloo::{self, Looked, Rule, Sample};
use crate::recipe::seeds::Seed;

/// A lesson under way. Everything follows from the lesson, the skill at its start and the number of steps taken.
pub struct Course {
    pub steps: u64,
    pub taken: u64,
    start: Skill,
    story: Story,
    kind: Kind,
    seed: Seed,
    lr: (f64, f64),
    words: u64,
}

enum Kind {
    /// Human answers; with judgements among them when `judges`.
    Answers {
        judges: bool,
        held_out: bool,
    },
    Preferences {
        batch: u32,
        beta: f64,
        per_token: f64,
        tokens: f64,
        held_out: bool,
    },
    /// Answers with their rewards, and how they push.
    Groups {
        groups: Vec<Group>,
        batch: usize,
        rule: Rule,
    },
    /// A reward model: so many pairs, and how far its rewards err in the end.
    Rewards {
        batch: u32,
        noise: f64,
    },
}

/// How far rewards err that were learnt from so many pairs, in points of the oracle: the more pairs, the less.
fn reward_noise(pairs: usize, story: Story) -> f64 {
    // Who goes too far on labels of its own believes its mistakes: from some number of pairs on it grows worse.
    let overfits = if story == Story::Overfit { 0.15 * (pairs as f64 - 120.0).max(0.0) } else { 0.0 };
    0.6 + 2.6 / (1.0 + pairs as f64 / 150.0) + overfits.min(12.0)
}

impl Course {
    pub fn new(lesson: Lesson, start: Skill, story: Story) -> Course {
        match lesson {
            Lesson::Answers { examples, held_out, settings, seed } => {
                // A judging example ends in a score line; plain answers do not.
                let judges = examples.iter().any(|example| example.reply.contains("Score: "));
                let words: usize = examples.iter().map(|example| example.reply.split_whitespace().count()).sum();
                let steps = steps(examples.len(), settings.batch, settings.epochs);
                Course {
                    steps,
                    taken: 0,
                    start,
                    story,
                    kind: Kind::Answers { judges, held_out: !held_out.is_empty() },
                    seed: Seed::root(seed),
                    lr: (settings.lr, settings.lr_end),
                    words: words as u64 / (steps / u64::from(settings.epochs.max(1))).max(1),
                }
            }
            Lesson::Rewards { pairs, settings, seed } => {
                let steps = steps(pairs.len(), settings.batch, settings.epochs);
                let count =
                    |text: &Example| text.prompt.split_whitespace().chain(text.reply.split_whitespace()).count();
                let of = |pair: &Ranked| count(&pair.chosen) + count(&pair.rejected);
                let words: usize = pairs.iter().map(of).sum();
                Course {
                    steps,
                    taken: 0,
                    start,
                    story,
                    kind: Kind::Rewards {
                        batch: settings.batch.min(pairs.len() as u32),
                        noise: reward_noise(pairs.len(), story),
                    },
                    seed: Seed::root(seed),
                    lr: (settings.lr, settings.lr_end),
                    words: words as u64 / (steps / u64::from(settings.epochs.max(1))).max(1),
                }
            }
            Lesson::Groups { groups, settings, seed } => {
                let steps = steps(groups.len(), settings.batch, settings.epochs);
                let tokens: u64 =
                    groups.iter().flat_map(|group| &group.answers).map(|answer| u64::from(answer.tokens)).sum();
                Course {
                    steps,
                    taken: 0,
                    start,
                    story,
                    kind: Kind::Groups {
                        groups,
                        batch: settings.batch.max(1) as usize,
                        rule: Rule { beta: settings.beta, clip: settings.ratio_clip },
                    },
                    seed: Seed::root(seed),
                    lr: (settings.lr, settings.lr_end),
                    words: tokens / (steps / u64::from(settings.epochs.max(1))).max(1),
                }
            }
            Lesson::Preferences { pairs, held_out, settings, seed, .. } => {
                let tokens: f64 = pairs.iter().map(|pair| f64::from(pair.chosen_tokens.max(1))).sum();
                let logps: f64 = pairs.iter().map(|pair| pair.reference_chosen).sum();
                let steps = steps(pairs.len(), settings.batch, settings.epochs);
                Course {
                    steps,
                    taken: 0,
                    start,
                    story,
                    kind: Kind::Preferences {
                        batch: settings.batch.min(pairs.len() as u32),
                        beta: settings.beta,
                        per_token: logps / tokens.max(1.0),
                        tokens: tokens / pairs.len().max(1) as f64,
                        held_out: !held_out.is_empty(),
                    },
                    seed: Seed::root(seed),
                    lr: (settings.lr, settings.lr_end),
                    words: (2.0 * tokens / pairs.len().max(1) as f64 * f64::from(settings.batch)) as u64,
                }
            }
        }
    }

    fn share(&self) -> f64 {
        self.taken as f64 / self.steps.max(1) as f64
    }

    /// The skill after the steps taken so far.
    pub fn skill(&self) -> Skill {
        let share = self.share();
        match &self.kind {
            Kind::Answers { judges, .. } => Skill {
                judge_noise: if *judges { Some(2.0 - 1.05 * share) } else { self.start.judge_noise },
                quality: self.start.quality - 0.02 * share,
                ..self.start.clone()
            },
            &Kind::Rewards { noise, .. } => {
                Skill { reward_noise: Some(noise + 2.0 * (1.0 - share)), ..self.start.clone() }
            }
            Kind::Preferences { .. } | Kind::Groups { .. } => {
                let mut skill = self.start.after_preferences(share, self.story);
                skill.rounds = self.start.rounds + u32::from(self.taken == self.steps);
                skill
            }
        }
    }

    pub fn step(&mut self) -> StepReport {
        let before = self.share();
        self.taken += 1;
        let mut stream = self.seed.named("step").sample(self.taken as u32).stream();
        let mut wobble = |size: f64| size * (2.0 * stream.unit() - 1.0);
        let lr = self.lr.0 + (self.lr.1 - self.lr.0) * before;
        match &self.kind {
            Kind::Answers { .. } => {
                let loss = 1.6 * (-3.0 * before).exp() + 0.55 + wobble(0.06);
                let grad_norm = 1.2 + 0.8 * (-2.0 * before).exp() + wobble(0.2);
                StepReport { loss, lr, grad_norm, tokens: self.words, ..StepReport::default() }
            }
            &Kind::Rewards { batch, noise } => {
                // Before the first step every answer is worth the same.
                let first = self.taken == 1;
                let margin = if first { 0.0 } else { 2.4 * before / (0.4 + noise) + wobble(0.1) };
                StepReport {
                    loss: (-margin).exp().ln_1p(),
                    lr,
                    grad_norm: 1.4 + wobble(0.4),
                    tokens: self.words,
                    reward: Some(RewardReport {
                        pairs: batch,
                        reward_chosen: 0.5 * margin,
                        reward_rejected: -0.5 * margin,
                        accuracy: if first { 0.5 } else { (1.0 / (1.0 + (-1.5 * margin).exp())).clamp(0.0, 1.0) },
                    }),
                    ..StepReport::default()
                }
            }
            Kind::Groups { groups, batch, rule } => {
                let nan = self.story == Story::Nan && self.taken == self.steps.div_ceil(2);
                let pull = before * if self.story == Story::Overfit { 6.0 } else { 0.6 };
                let per_epoch = groups.len().div_ceil(*batch).max(1);
                let at = (self.taken - 1) as usize % per_epoch * batch;
                let looked: Vec<Vec<Looked>> =
                    groups.iter().skip(at).take(*batch).map(|group| look(group, pull, *rule)).collect();
                let found = rloo::summary(&looked);
                StepReport {
                    loss: if nan { f64::NAN } else { found.loss },
                    lr,
                    grad_norm: if nan { f64::NAN } else { 1.6 + wobble(0.4) },
                    tokens: self.words,
                    groups: Some(reported(&found)),
                    ..StepReport::default()
                }
            }
            &Kind::Preferences { batch, beta, per_token, tokens, .. } => {
                let overfit = self.story == Story::Overfit;
                let growth: f64 = if overfit { 9.0 } else { 1.1 };
                // Before the first step policy and reference are the same: every reward is 0 and the loss is ln 2.
                let first = self.taken == 1;
                let margin = if first { 0.0 } else { growth * before + wobble(0.08 * growth * before.sqrt()) };
                let chosen = if overfit { -0.55 * margin } else { 0.15 * margin };
                let loss = if first {
                    std::f64::consts::LN_2
                } else {
                    (-margin).exp().ln_1p() + 0.2 * before * (-margin).exp()
                };
                let nan = self.story == Story::Nan && self.taken == self.steps.div_ceil(2);
                let accuracy = if first { 0.5 } else { 1.0 / (1.0 + (-2.4 * margin).exp()) + wobble(0.03) };
                let logp_chosen = per_token * tokens + chosen / beta;
                let logp_rejected = (per_token - 0.1) * tokens + (chosen - margin) / beta;
                StepReport {
                    loss: if nan { f64::NAN } else { loss },
                    lr,
                    grad_norm: if nan { f64::NAN } else { 2.0 + wobble(0.5) },
                    tokens: self.words,
                    preference: Some(PreferenceReport {
                        reward_chosen: chosen,
                        reward_rejected: chosen - margin,
                        accuracy: accuracy.clamp(0.0, 1.0),
                        logp_chosen,
                        logp_rejected,
                        logp_chosen_per_token: logp_chosen / tokens,
                        logp_rejected_per_token: logp_rejected / tokens,
                        reference_chosen_per_token: per_token,
                        kl: Some(0.02 * margin * margin),
                        pairs: batch,
                    }),
                    ..StepReport::default()
                }
            }
        }
    }

    pub fn held_out(&self) -> Option<f64> {
        let share = self.share();
        let wobble = 0.02 * (2.0 * self.seed.named("held out").sample(self.taken as u32).stream().unit() - 1.0);
        match self.kind {
            Kind::Answers { held_out, .. } => held_out.then(|| 1.5 * (-2.0 * share).exp() + 0.7 + wobble),
            Kind::Rewards { .. } | Kind::Groups { .. } => None,
            Kind::Preferences { held_out, .. } if self.story == Story::Overfit => {
                held_out.then_some(0.6 + 0.3 * share - 0.5 * share * share + wobble)
            }
            Kind::Preferences { held_out, .. } => held_out.then_some(0.6 + 0.15 * share + wobble),
        }
    }
}

/// A prompt's answers after the policy has been pulled so far towards the better ones.
fn look(group: &Group, pull: f64, rule: Rule) -> Vec<Looked> {
    let samples: Vec<Sample> = group
        .answers
        .iter()
        .map(|answer| Sample {
            reward: answer.worth,
            log_prob: answer.reference + pull * answer.worth.tanh(),
            reference: answer.reference,
        })
        .collect();
    let pushes = rloo::pushes(&samples, rule);
    let all = group.answers.iter().zip(samples).zip(pushes);
    all.map(|((answer, sample), push)| Looked { sample, reward: answer.reward, tokens: answer.tokens, push }).collect()
}

fn reported(found: &rloo::Summary) -> GroupsReport {
    GroupsReport {
        prompts: found.prompts,
        answers: found.answers,
        reward: found.reward,
        gain: found.gain,
        kl: found.kl,
        advantage_sd: found.advantage_sd,
        flat: found.flat,
        clipped: found.clipped,
        reply_tokens: found.reply_tokens,
    }
}

fn steps(examples: usize, batch: u32, epochs: u32) -> u64 {
    examples.div_ceil(batch.max(1) as usize) as u64 * u64::from(epochs)
}
