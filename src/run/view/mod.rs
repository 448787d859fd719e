//! The fold: a run as the sum of its entries. Live view, attach, replay, resume, status and reports are all this one function.
//!
//! `apply` is total: it reads no clock, draws no random number, touches no file and never fails. An entry that refers to something that
//! is not there is counted as an oddity and changes nothing else.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::run::curves::Curves;
use crate::run::entry::{Entry, Stamp};
use crate::run::event::*;
use crate::run::ids::{Model, PromptId, Seq, Stage};

mod decisions;
mod labels;
mod parts;
mod prompts;
mod repeats;
mod reward;
mod round;
mod samples;
mod stages;
mod teacher;

pub use decisions::DecisionView;
pub use labels::side_number;
pub use parts::*;
pub use prompts::{Block, Prompts};
pub use repeats::Repeats;
pub use reward::{FixedLabels, Labelled, RewardView};
pub use round::*;
pub use teacher::TeacherView;

/// Refused prompts and log lines that are kept for display.
const LATELY: usize = 200;

/// Everything that screens, reports and a resume need to know of a run, texts excepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// The last entry.
    pub seq: Seq,
    pub at: Stamp,
    pub first_at: Stamp,
    pub started: Option<Arc<RunStarted>>,
    /// The configuration in force: as started, or as a rollback changed it.
    pub config: Arc<serde_json::Value>,
    pub engine: Option<Arc<EngineAttached>>,
    pub state: State,
    pub iteration: u32,
    pub stages: Vector<StageSpan>,
    pub rounds: Vector<Round>,
    pub models: Vector<ModelView>,
    #[serde(skip)]
    pub curves: Curves,
    pub checkpoints: Vector<Arc<CheckpointSaved>>,
    pub alarms: OrdMap<String, AlarmView>,
    /// Every alarm that was ever raised, oldest first.
    pub alarm_log: Vector<(Seq, Stamp, Arc<AlarmRaised>)>,
    pub decisions: Vector<DecisionView>,
    pub notes: Vector<(Seq, Stamp, Arc<NoteAdded>)>,
    /// Places of the latest refused requests.
    pub refusals: Vector<(Seq, Arc<CommandRefused>)>,
    /// Up to which of its requests each writer has been answered.
    pub answered: OrdMap<String, u64>,
    pub rollbacks: Vector<Arc<RolledBack>>,
    pub last_sft: Option<Arc<SftStep>>,
    pub last_dpo: Option<Arc<DpoStep>>,
    pub last_rloo: Option<Arc<RlooStep>>,
    pub last_pair: Option<PromptId>,
    /// What was asked of a teacher, and what it cost.
    pub teacher: TeacherView,
    /// The reward model that judges, where one does.
    pub reward: RewardView,
    pub oddities: Oddities,
    /// Since when nothing could move: paused, or waiting for a human.
    held_since: Option<Stamp>,
    /// Microseconds that the run was held or had no engine, in all.
    pub held_us: i64,
}

impl RunView {
    /// Adds one entry.
    pub fn apply(&mut self, entry: &Entry) {
        let (seq, at) = (entry.seq, entry.at);
        if self.seq == 0 {
            self.first_at = at;
        }
        let previous = self.at;
        self.seq = seq;
        self.at = at;
        if let Some(request) = entry.event.answers() {
            self.answer(request);
        }
        let fits = match &entry.event {
            Event::RunStarted(event) => {
                self.config = Arc::new(event.config.clone());
                self.started = Some(Arc::new(*event.clone()));
                self.rounds = (0..=event.iterations).map(|iteration| Round { iteration, ..Round::default() }).collect();
                self.state = State::Running;
                true
            }
            Event::EngineAttached(event) => self.attached(event, previous, at),
            Event::TornTailSetAside(event) => {
                self.oddities.torn_bytes += event.bytes;
                true
            }
            Event::StageStarted(event) => self.stage_started(seq, at, event),
            Event::StageFinished(event) => self.stage_finished(at, event),
            Event::SftStep(event) => self.sft_step(at, event),
            Event::EftJudged(_) => self.one_done(at),
            Event::EftFiltered(event) => {
                self.in_round(event.iteration, |round| round.eft = Some(Arc::new(event.clone())))
            }
            Event::RewardStep(event) => self.reward_step(at, event),
            Event::RewardMeasured(event) => self.reward_measured(event),
            Event::SelfLabelled(event) => self.self_labelled(seq, event),
            Event::TextOffered(event) => self.in_round_if(event.pair.iteration, |round| round.offered(seq, event)),
            Event::RewardChosen(event) => {
                self.reward.chosen = Some(Arc::new(event.clone()));
                true
            }
            Event::PromptWritten(event) => self.prompt_written(seq, at, event),
            Event::PromptRefused(event) => self.in_round(event.iteration, |round| {
                *round.refused.entry(event.why.name().to_string()).or_default() += 1;
                round.refused_lately.push_back(seq);
                if round.refused_lately.len() > LATELY {
                    round.refused_lately.pop_front();
                }
                round.attempts = round.attempts.max(event.attempt + 1);
            }),
            Event::CandidateSampled(event) => {
                self.one_done(at) & self.in_round_if(event.prompt.iteration, |round| round.sampled(seq, event))
            }
            Event::CandidateJudged(event) => {
                let has_scale = self.has_scale();
                self.one_done(at)
                    & self.in_round_if(event.prompt.iteration, |round| round.judged(seq, event, has_scale))
            }
            Event::PairSelected(event) => {
                self.last_pair = Some(event.id);
                self.one_done(at) & self.in_round_if(event.id.iteration, |round| round.paired(seq, event))
            }
            Event::PromptSkipped(event) => {
                self.one_done(at)
                    & self.in_round_if(event.id.iteration, |round| {
                        *round.skipped.entry(event.why.name().to_string()).or_default() += 1;
                        match round.prompts.get_mut(event.id.number as usize) {
                            Some(prompt) => {
                                prompt.standing = Standing::Skipped { seq, why: event.why.name().to_string() };
                                true
                            }
                            None => false,
                        }
                    })
            }
            Event::TeacherAsked(event) => {
                self.teacher.asked(event);
                true
            }
            Event::TeacherAnswered(event) => self.teacher.answered(at, event),
            Event::TeacherFailed(event) => self.teacher.failed(event),
            Event::TeacherChanged(event) => {
                self.teacher.changes.push_back(Arc::new(event.clone()));
                true
            }
            Event::CapsChanged(event) => {
                self.teacher.caps = Some(event.caps);
                true
            }
            Event::SecondJudged(_) | Event::DemonstrationMissing(_) => self.one_done(at),
            Event::JudgesCompared(event) => {
                let again = |known: &JudgesCompared| {
                    (known.iteration, &known.judge, &known.reference)
                        == (event.iteration, &event.judge, &event.reference)
                };
                self.teacher.compared.retain(|known| !again(known));
                self.teacher.compared.push_back(Arc::new(*event.clone()));
                true
            }
            Event::SpotCheckOpened(event) => {
                if event.gate != Gate::Off {
                    self.state = State::Waiting;
                    self.held_since = Some(at);
                }
                self.in_round(event.iteration, |round| {
                    round.gate = Some(GateView {
                        opened_seq: seq,
                        opened: at,
                        gate: event.gate,
                        queue: event.queue.clone().into(),
                        undecided_limit: event.undecided_limit,
                        closed: None,
                    });
                })
            }
            Event::PairDecided(event) => {
                let fits = self.decided(seq, at, event);
                self.check_progressed();
                fits
            }
            Event::NoteAdded(event) => {
                self.notes.push_back((seq, at, Arc::new(event.clone())));
                event.pair.is_none_or(|pair| self.with_pair(pair, |pair| pair.notes += 1))
            }
            Event::SpotCheckClosed(event) => {
                self.release(at);
                self.state = State::Running;
                self.labels_checked(event);
                self.in_round_if(event.iteration, |round| match &mut round.gate {
                    Some(gate) => {
                        gate.closed = Some((at, Arc::new(event.clone())));
                        true
                    }
                    None => false,
                })
            }
            Event::TrainingSetFixed(event) => self.training_set_fixed(event),
            Event::ReferenceScored(event) => {
                let fits = self.in_round(event.pair.iteration, |round| round.reference_scored += 1);
                fits & self.with_pair(event.pair, |pair| pair.reference = Some((event.chosen.0, event.rejected.0)))
            }
            Event::DpoStep(event) => self.dpo_step(at, event),
            Event::SamplesScored(event) => self.samples_scored(event),
            Event::RlooStep(event) => self.rloo_step(at, event),
            Event::HeldOutAnswered(_) | Event::Duelled(_) => self.one_done(at),
            Event::Measured(event) => self.in_round(event.iteration, |round| {
                for (name, value) in &event.values {
                    round.measured.insert(name.clone(), value.0);
                }
                if !event.phrases.is_empty() {
                    round.phrases = Some(Arc::new(event.clone()));
                }
            }),
            Event::Evaluated(event) => {
                self.model_mut(event.model).evaluated = Some((seq, Arc::new(*event.clone())));
                true
            }
            Event::CheckpointSaved(event) => {
                if event.finished {
                    self.model_mut(event.model).folder = Some(event.folder.clone());
                }
                self.checkpoints.retain(|saved| saved.folder != event.folder);
                self.checkpoints.push_back(Arc::new(event.clone()));
                true
            }
            Event::CheckpointDamaged(event) => {
                self.oddities.damaged_checkpoints += 1;
                self.checkpoints.retain(|saved| saved.folder != event.folder);
                true
            }
            Event::CheckpointChosen(event) => {
                self.model_mut(event.model).chosen = Some(Arc::new(event.clone()));
                true
            }
            Event::StepsAbandoned(event) => {
                self.curves.truncate_after(event.model, event.after);
                if let Some(span) = self.stages.back_mut() {
                    span.done = event.after;
                }
                true
            }
            Event::AlarmRaised(event) => {
                let alarm = Arc::new(event.clone());
                self.alarm_log.push_back((seq, at, alarm.clone()));
                self.alarms.insert(event.id.clone(), AlarmView { seq, at, alarm, acknowledged: None });
                true
            }
            Event::AlarmCleared(event) => match &event.by {
                Some(by) => match self.alarms.get_mut(&event.id) {
                    Some(alarm) => {
                        alarm.acknowledged = Some(by.clone());
                        true
                    }
                    None => false,
                },
                None => self.alarms.remove(&event.id).is_some(),
            },
            Event::Paused(event) => {
                self.held_since = self.held_since.or(Some(at));
                self.state = State::Paused(event.why.clone());
                true
            }
            Event::Resumed(event) => {
                let waiting = self.rounds.get(self.iteration as usize).and_then(|round| round.gate.as_ref());
                if waiting.is_some_and(GateView::is_open) {
                    self.state = State::Waiting;
                } else {
                    self.release(at);
                    self.state = State::Running;
                }
                // Whoever resumes has seen what is wrong: the same alarms do not pause again.
                if let Some(by) = &event.by {
                    for id in self.alarms.keys().cloned().collect::<Vec<_>>() {
                        if let Some(alarm) = self.alarms.get_mut(&id) {
                            alarm.acknowledged.get_or_insert_with(|| by.clone());
                        }
                    }
                }
                true
            }
            Event::RequestTaken(_) => true,
            Event::CommandRefused(event) => {
                self.refusals.push_back((seq, Arc::new(event.clone())));
                if self.refusals.len() > LATELY {
                    self.refusals.pop_front();
                }
                true
            }
            Event::RolledBack(event) => {
                self.rolled_back(event);
                true
            }
            Event::Stopped(event) => {
                self.release(at);
                self.state = State::Stopped(event.why.clone());
                true
            }
            Event::RunFinished(_) => {
                self.release(at);
                self.state = State::Finished;
                true
            }
            Event::Failed(event) => {
                self.release(at);
                self.state = State::Failed(event.error.clone());
                true
            }
            Event::Unknown(_) => {
                *self.oddities.unknown.entry(entry.event.kind().to_string()).or_default() += 1;
                true
            }
        };
        self.oddities.stray += u64::from(!fits);
    }

    /// The stage that is under way, or the last one.
    pub fn stage(&self) -> Option<&StageSpan> {
        self.stages.back()
    }

    /// The stage of this iteration, if it has begun.
    pub fn stage_of(&self, iteration: u32, stage: Stage, model: Model) -> Option<&StageSpan> {
        self.stages.iter().rev().find(|span| span.iteration == iteration && span.stage == stage && span.model == model)
    }

    pub fn round(&self, iteration: u32) -> Option<&Round> {
        self.rounds.get(iteration as usize)
    }

    /// The iterations whose prompts a model wrote: all but the first, whose pairs are people's.
    pub fn written(&self) -> impl DoubleEndedIterator<Item = &Round> + Clone {
        self.rounds.iter().skip(1)
    }

    pub fn pair(&self, id: PromptId) -> Option<&PairView> {
        self.round(id.iteration)?.pair(id.number)
    }

    pub fn model(&self, model: Model) -> Option<&ModelView> {
        self.models.iter().find(|view| view.model == model)
    }

    /// The gate that is open now.
    pub fn open_gate(&self) -> Option<&GateView> {
        self.round(self.iteration)?.gate.as_ref().filter(|gate| gate.is_open())
    }

    /// Up to which request this writer has been answered.
    pub fn answered(&self, writer: &str) -> u64 {
        self.answered.get(writer).copied().unwrap_or(0)
    }

    /// How many times the run has gone back; part of every derived seed.
    pub fn attempt(&self) -> u32 {
        self.rollbacks.last().map_or(0, |back| back.attempt)
    }

    /// Seconds of work up to `now`, waiting for humans and gaps between engines left out.
    pub fn worked_seconds(&self, now: Stamp) -> f64 {
        let held = self.held_since.map_or(0, |since| (now.0 - since.0).max(0));
        ((now.0 - self.first_at.0 - self.held_us - held).max(0)) as f64 / 1e6
    }

    fn in_round(&mut self, iteration: u32, change: impl FnOnce(&mut Round)) -> bool {
        self.in_round_if(iteration, |round| {
            change(round);
            true
        })
    }

    fn in_round_if(&mut self, iteration: u32, change: impl FnOnce(&mut Round) -> bool) -> bool {
        self.rounds.get_mut(iteration as usize).is_some_and(change)
    }

    fn with_pair(&mut self, id: PromptId, change: impl FnOnce(&mut PairView)) -> bool {
        match self.rounds.get_mut(id.iteration as usize).and_then(|round| round.pair_mut(id.number)) {
            Some(pair) => {
                change(pair);
                true
            }
            None => false,
        }
    }
}
