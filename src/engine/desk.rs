//! The texts that the engine works with, as a second fold over the same entries: what a resume needs and a view does not hold.
//!
//! Holds the iteration under way, the prompts of all iterations, and the held-out answers that later models are compared with.

use std::collections::BTreeMap;

use crate::engine::policy::Taught;
use crate::run::event::{self, Event, SampleScored, TrainingSetFixed, Verdict};
use crate::run::ids::{Model, PromptId};
use crate::run::reasons::{Ended, Scored, SideOf, Unscored};

/// The words of a taken request to close the gate.
pub const CLOSE_THE_GATE: &str = "close the gate";

/// A candidate with its judgements.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub text: String,
    pub ended: Ended,
    pub tokens: u32,
    pub logprob_per_token: Option<f64>,
    pub judgements: Vec<Judged>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub reply: String,
    pub score: Scored,
    pub contradicts: bool,
}

/// An answer to a held-out instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOutAnswer {
    pub text: String,
    pub ended: Ended,
    pub oracle: Option<f64>,
}

/// What lies on the desk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desk {
    iteration: u32,
    /// Judge replies on the ranked training set: by set, response, sample.
    pub eft: BTreeMap<(u32, u32, u32), (String, Scored)>,
    /// Accepted prompts of the iteration, their likeness to others, and those of earlier iterations.
    pub prompts: Vec<String>,
    pub likeness: Vec<f64>,
    pub earlier_prompts: Vec<String>,
    pub attempts: u64,
    pub candidates: Vec<Vec<Candidate>>,
    pub training: Option<TrainingSetFixed>,
    pub references: BTreeMap<PromptId, (f64, f64)>,
    /// Answers that are learnt from by their rewards.
    pub samples: BTreeMap<PromptId, Vec<SampleScored>>,
    /// By model, temperature in tenths, item, in the order of answering.
    pub held_out: BTreeMap<(Model, u32, u32), HeldOutAnswer>,
    /// Scores on the held-out ranked set: by model, set, response, sample.
    pub held_out_scores: BTreeMap<(Model, u32, u32), Vec<Scored>>,
    /// By model, opponent, item and whether the model's answer came first.
    pub duels: BTreeMap<(Model, Model, u32, bool), Verdict>,
    /// The same as a teacher judged them.
    pub teacher_duels: BTreeMap<(Model, Model, u32, bool), Verdict>,
    /// A second judge's scores: by judge and what was judged, in the order of samples.
    pub second: BTreeMap<(String, event::Judged), Vec<Scored>>,
    /// Prompts of the iteration without a demonstration, by number.
    pub undemonstrated: BTreeMap<u32, Unscored>,
    /// What was paid for in the stage under way, by the request's key.
    pub taught: BTreeMap<String, Taught>,
    /// The pool's labels that a reward model believes, by place.
    pub self_labels: Vec<Option<SideOf>>,
    /// What the loop under way learns from: these labels, once its gate has closed as humans left them.
    pub learnt_labels: Vec<Option<SideOf>>,
    /// Who asked that the open gate be closed.
    pub closing: Option<String>,
    /// Held-out measures of trainings at their steps.
    pub held_out_progress: Vec<(Model, u64, f64)>,
    /// Attempt at which each accepted prompt was written.
    pub prompt_attempts: Vec<u64>,
    /// For how many prompts of the iteration it has been said whether they give a pair.
    pub paired: u32,
}

impl Desk {
    /// Adds one entry's text, if the engine needs it.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::StageStarted(event) if event.iteration != self.iteration => self.turn_to(event.iteration),
            Event::EftJudged(event) if event.held_out => {
                let scores = self.held_out_scores.entry((event.model, event.set, event.response)).or_default();
                scores.push(event.score);
            }
            Event::EftJudged(event) => {
                self.eft.insert((event.set, event.response, event.sample), (event.reply.clone(), event.score));
            }
            Event::PromptWritten(event) => {
                self.prompts.push(event.text.clone());
                self.likeness.push(event.likeness);
                self.candidates.push(Vec::new());
                self.prompt_attempts.push(event.attempt);
                self.attempts = self.attempts.max(event.attempt + 1);
            }
            Event::PromptRefused(event) => self.attempts = self.attempts.max(event.attempt + 1),
            Event::CandidateSampled(event) => {
                if let Some(candidates) = self.candidates.get_mut(event.prompt.number as usize) {
                    candidates.push(Candidate {
                        text: event.text.clone(),
                        ended: event.ended,
                        tokens: event.tokens,
                        logprob_per_token: event.logprob_per_token,
                        judgements: Vec::new(),
                    });
                }
            }
            Event::CandidateJudged(event) => {
                let candidates = self.candidates.get_mut(event.prompt.number as usize);
                if let Some(candidate) = candidates.and_then(|all| all.get_mut(event.candidate as usize)) {
                    let judged =
                        Judged { reply: event.reply.clone(), score: event.score, contradicts: event.contradicts };
                    candidate.judgements.push(judged);
                }
            }
            Event::PairSelected(_) | Event::PromptSkipped(_) => self.paired += 1,
            Event::TrainingSetFixed(event) if event.number.is_some() => {
                self.learnt_labels.fill(None);
                for used in &event.pairs {
                    if let Some(place) = self.learnt_labels.get_mut(used.pair.number as usize) {
                        *place = Some(if used.chosen == 0 { SideOf::First } else { SideOf::Second });
                    }
                }
            }
            Event::TrainingSetFixed(event) => self.training = Some(event.clone()),
            Event::ReferenceScored(event) => {
                self.references.insert(event.pair, (event.chosen.0, event.rejected.0));
            }
            Event::SamplesScored(event) => {
                self.samples.insert(event.pair, event.samples.clone());
            }
            Event::HeldOutAnswered(event) => {
                let answer = HeldOutAnswer { text: event.text.clone(), ended: event.ended, oracle: event.oracle };
                self.held_out.insert((event.model, tenths(event.temperature), event.item), answer);
            }
            Event::Duelled(event) => {
                let duels = if event.judge.is_some() { &mut self.teacher_duels } else { &mut self.duels };
                duels.insert((event.model, event.against, event.item, event.first), event.verdict);
            }
            Event::SecondJudged(event) => {
                self.second.entry((event.judge.clone(), event.of)).or_default().push(event.score);
            }
            Event::DemonstrationMissing(event) => {
                self.undemonstrated.insert(event.prompt.number, event.why);
            }
            Event::TeacherAnswered(event) => {
                let taught = Taught {
                    text: event.text.clone(),
                    finish: event.finish,
                    usage: event.metered.then_some((event.tokens_in, event.tokens_out)),
                    version: event.version.clone(),
                    took_ms: event.took_ms,
                };
                self.taught.insert(event.key.clone(), taught);
            }
            Event::SelfLabelled(event) => {
                self.self_labels = vec![None; event.pool as usize];
                for label in &event.labels {
                    if let Some(place) = self.self_labels.get_mut(label.pair as usize) {
                        *place = Some(label.better);
                    }
                }
                self.learnt_labels = self.self_labels.clone();
            }
            Event::RequestTaken(event) if event.what == CLOSE_THE_GATE => self.closing = Some(event.by.clone()),
            Event::SpotCheckOpened(_) | Event::SpotCheckClosed(_) => self.closing = None,
            // What was answered has been used by then.
            Event::StageFinished(_) => self.taught.clear(),
            Event::DpoStep(event) => {
                if let Some(value) = event.held_out_accuracy {
                    self.held_out_progress.push((event.model, event.step, value.0));
                }
            }
            Event::StepsAbandoned(event) => {
                self.held_out_progress.retain(|&(model, step, _)| model != event.model || step <= event.after);
            }
            Event::RolledBack(event) => {
                let Model::M(kept) = event.to else { return };
                let gone = |model: &Model| matches!(model, Model::M(number) if *number > kept);
                self.held_out.retain(|(model, ..), _| !gone(model));
                self.held_out_scores.retain(|(model, ..), _| !gone(model));
                self.duels.retain(|(model, ..), _| !gone(model));
                self.teacher_duels.retain(|(model, ..), _| !gone(model));
                self.taught.clear();
                self.closing = None;
                self.held_out_progress.retain(|(model, ..)| !gone(model));
                self.clear_iteration();
                self.iteration = kept;
            }
            // Everything else is no text, or belongs to the view.
            _ => {}
        }
    }

    fn turn_to(&mut self, iteration: u32) {
        self.earlier_prompts.append(&mut self.prompts);
        self.clear_iteration();
        self.eft.clear();
        self.iteration = iteration;
    }

    fn clear_iteration(&mut self) {
        self.prompts.clear();
        self.likeness.clear();
        self.prompt_attempts.clear();
        self.attempts = 0;
        self.candidates.clear();
        self.training = None;
        self.references.clear();
        self.samples.clear();
        self.second.retain(|(_, of), _| matches!(of, event::Judged::HeldOut { .. }));
        self.undemonstrated.clear();
        self.paired = 0;
    }
}

/// A temperature as a key.
pub fn tenths(temperature: f64) -> u32 {
    (temperature * 10.0).round() as u32
}
