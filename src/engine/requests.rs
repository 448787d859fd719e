//! Requests of humans, answered: each becomes exactly one event, or is refused with the reason.
//!
//! Called by the recorder at safe points. What a decision leads to is `recipe`'s rule; that it came in time is checked here.

use anyhow::Result;

use crate::engine::desk::CLOSE_THE_GATE;
use crate::engine::recorder::{Leaving, Recorder};
use crate::engine::settings::Settings;
use crate::recipe::pairs::{Candidate, choose_with_edit};
use crate::run::command::{Choice, Command, Decide, Received, Request, StopWhen};
use crate::run::event::*;
use crate::run::ids::{Model, PromptId, RequestId, Seq};
use crate::run::spending::Caps;
use crate::run::view::{PairView, State};

impl Recorder {
    pub(super) fn answer_requests(&mut self) -> Result<()> {
        let view = &self.view;
        for received in self.inbox.receive(|writer| view.answered(writer))? {
            self.answer_one(received)?;
        }
        Ok(())
    }

    fn answer_one(&mut self, received: Received) -> Result<()> {
        let Received { id, request } = received;
        let request = match request {
            Ok(request) => request,
            Err(why) => {
                let refused = CommandRefused {
                    by: id.writer.clone(),
                    request: id,
                    what: "an unreadable request".into(),
                    why: format!("it is no request that this program knows: {why}"),
                };
                return self.record(refused);
            }
        };
        let what = in_words(&request.command);
        let by = request.by.clone();
        match self.event_for(&id, request) {
            Ok(event) => self.record(event),
            Err(why) => self.record(CommandRefused { request: id, by, what, why }),
        }
    }

    /// The event that answers a request, or why it is refused.
    fn event_for(&mut self, id: &RequestId, request: Request) -> Result<Event, String> {
        let Request { by, command, .. } = request;
        let request = id.clone();
        let taken = |what: String| Event::from(RequestTaken { request: request.clone(), by: by.clone(), what });
        match &command {
            Command::Pause => match self.view.state {
                State::Paused(_) => Err("the run is paused already".into()),
                _ => Ok(Paused { why: PauseReason::Asked, by: Some(by), request: Some(request) }.into()),
            },
            Command::Resume => match self.view.state {
                State::Paused(PauseReason::Storage { .. }) => {
                    Err("the disk is full; the run goes on when there is space".into())
                }
                State::Paused(_) => Ok(Resumed { by: Some(by), request: Some(request) }.into()),
                _ => Err("the run is not paused".into()),
            },
            Command::Stop { when } => {
                if *when == StopWhen::Step {
                    self.leaving = Some(Leaving::Asked { why: format!("{by} asked to stop"), request: None });
                } else {
                    self.stop_when = Some((*when, request.clone(), by.clone()));
                }
                Ok(taken(in_words(&command)))
            }
            Command::Decide(decide) => self.decide(decide, by, request),
            Command::Undo { of } => self.take_back(*of, true, by, request),
            Command::Redo { of } => self.take_back(*of, false, by, request),
            Command::Note { pair, text } => {
                if let Some(pair) = pair {
                    self.pair_of(*pair)?;
                }
                Ok(NoteAdded { pair: *pair, text: text.clone(), by, request }.into())
            }
            Command::CloseGate => match self.view.open_gate() {
                // The desk remembers it until the gate has closed, also over a kill.
                Some(_) => Ok(taken(in_words(&command))),
                None => Err("no gate is open".into()),
            },
            Command::Snapshot => {
                if self.view.stage().is_none_or(|span| !span.stage.trains() || span.finished.is_some()) {
                    return Err("nothing is being trained: the journal itself is the position".into());
                }
                self.snapshot = Some((request.clone(), by.clone()));
                Ok(taken(in_words(&command)))
            }
            Command::Acknowledge { alarm } => match self.view.alarms.get(alarm) {
                Some(_) => Ok(AlarmCleared {
                    id: alarm.clone(),
                    iteration: self.view.iteration,
                    by: Some(by),
                    request: Some(request),
                }
                .into()),
                None => Err(format!("there is no alarm `{alarm}`")),
            },
            Command::Spend { calls, tokens, micros } => {
                let now = self.view.caps();
                let caps = Caps {
                    calls: calls.unwrap_or(now.calls),
                    tokens: tokens.unwrap_or(now.tokens),
                    micros: micros.unwrap_or(now.micros),
                };
                Ok(CapsChanged { caps, by, request }.into())
            }
            Command::Rollback { to, set } => self.roll_back(*to, set, by, request),
        }
    }

    fn pair_of(&self, id: PromptId) -> Result<&PairView, String> {
        self.view.pair(id).ok_or_else(|| format!("there is no pair {id}"))
    }

    /// Decisions are taken until the training set is fixed.
    fn still_open(&self, id: PromptId) -> Result<&PairView, String> {
        let pair = self.pair_of(id)?;
        let fixed = self.view.round(id.iteration).is_some_and(|round| round.training.is_some());
        if id.is_label() && (id.iteration != self.view.iteration || fixed) {
            return Err(format!("the gate has closed: the reward model has learnt from the labels, {id} among them"));
        }
        if id.iteration != self.view.iteration || fixed {
            return Err(format!("the gate of iteration {} has closed: pair {id} has been decided", id.iteration));
        }
        Ok(pair)
    }

    fn decide(&mut self, decide: &Decide, by: String, request: RequestId) -> Result<Event, String> {
        if decide.pairs.is_empty() {
            return Err("no pair is named".into());
        }
        let mut pairs = Vec::with_capacity(decide.pairs.len());
        for &id in &decide.pairs {
            let pair = self.still_open(id)?;
            if let Some(seen) = decide.seen {
                let last = pair.history.last().copied().unwrap_or(0);
                if last > seen {
                    let who = self.view.decision(last).map_or("somebody", |decision| decision.by.as_str());
                    return Err(format!("{who} decided pair {id} meanwhile ({})", pair.status.name()));
                }
            }
            pairs.push(Decided { pair: id, outcome: self.outcome(id, pair, decide.choice)? });
        }
        let decision = match decide.choice {
            Choice::Keep => Decision::Keep,
            Choice::Veto => Decision::Veto,
            Choice::Swap => Decision::Swap,
            Choice::Tie => Decision::Tie,
            Choice::Edit { candidate, score } => Decision::Edit { candidate, score },
            Choice::Defer => Decision::Defer,
            Choice::Flag => Decision::Flag,
        };
        Ok(PairDecided {
            decision,
            pairs,
            by,
            request,
            reason: decide.reason,
            note: decide.note.clone(),
            took_ms: decide.took_ms,
            blind: decide.blind,
            filter: decide.filter.clone(),
        }
        .into())
    }

    fn outcome(&self, id: PromptId, pair: &PairView, choice: Choice) -> Result<Outcome, String> {
        Ok(match choice {
            Choice::Keep => Outcome::Use { chosen: pair.chosen, rejected: pair.rejected },
            Choice::Swap => Outcome::Use { chosen: pair.rejected, rejected: pair.chosen },
            Choice::Veto | Choice::Tie => Outcome::Drop,
            Choice::Defer | Choice::Flag => pair.outcome,
            Choice::Edit { .. } if id.is_label() => {
                return Err(format!("label {id} has no score from 0 to 5: swap it or veto it"));
            }
            Choice::Edit { candidate, score } => {
                if !(0.0..=5.0).contains(&score) {
                    return Err(format!("{score} is no score between 0 and 5"));
                }
                let (Some(candidates), Some(means)) =
                    (self.desk.candidates.get(id.number as usize), self.means.get(&id))
                else {
                    return Err(format!("the candidates of pair {id} are no longer at hand"));
                };
                if candidate as usize >= candidates.len() {
                    return Err(format!("pair {id} has candidates 0 to {}", candidates.len() - 1));
                }
                let candidates: Vec<Candidate> = candidates
                    .iter()
                    .zip(means)
                    .map(|(candidate, &mean)| Candidate {
                        mean,
                        edited: None,
                        text: &candidate.text,
                        ended: candidate.ended,
                    })
                    .collect();
                match choose_with_edit(&candidates, candidate as usize, score, &self.pair_settings) {
                    Ok(choice) => Outcome::Use { chosen: choice.chosen as u32, rejected: choice.rejected as u32 },
                    Err(_) => Outcome::Drop,
                }
            }
        })
    }

    fn take_back(&mut self, of: Option<Seq>, undo: bool, by: String, request: RequestId) -> Result<Event, String> {
        let decision = match of {
            Some(seq) => self.view.decision(seq).ok_or_else(|| format!("there is no decision at {seq}"))?,
            None => self
                .view
                .last_of(&by, !undo)
                .ok_or_else(|| format!("there is no decision of {by} to {}", if undo { "undo" } else { "redo" }))?,
        };
        if decision.undone == undo {
            return Err(format!(
                "the decision at {} is {} already",
                decision.seq,
                if undo { "undone" } else { "in force" }
            ));
        }
        let mut pairs = Vec::with_capacity(decision.pairs.len());
        for decided in decision.pairs.iter() {
            let pair = self.still_open(decided.pair)?;
            let outcome = if undo {
                self.view.standing_without(pair, decided.pair, Some(decision.seq)).1
            } else {
                decided.outcome
            };
            pairs.push(Decided { pair: decided.pair, outcome });
        }
        let of = decision.seq;
        let decision = if undo { Decision::Undo { of } } else { Decision::Redo { of } };
        Ok(PairDecided {
            decision,
            pairs,
            by,
            request,
            reason: None,
            note: None,
            took_ms: None,
            blind: false,
            filter: None,
        }
        .into())
    }

    fn roll_back(&mut self, to: Model, set: &[String], by: String, request: RequestId) -> Result<Event, String> {
        let Model::M(kept) = to else { return Err("a run can go back to M1, M2, …".into()) };
        let folder = self.view.model(to).and_then(|model| model.folder.as_ref());
        if kept == 0 || folder.is_none() {
            return Err(format!("{to} is no finished model of this run"));
        }
        let last = self.view.started.as_ref().map_or(0, |started| started.iterations + 1);
        if kept >= last {
            return Err(format!("{to} is the last model: nothing follows it"));
        }
        let config = Settings::changed(&self.view.config, set)?;
        self.leaving = Some(Leaving::Again);
        let attempt = self.view.attempt() + 1;
        Ok(RolledBack { to, by, request, set: set.to_vec(), config, attempt }.into())
    }
}

/// A request as a person would say it.
fn in_words(command: &Command) -> String {
    match command {
        Command::Pause => "pause".into(),
        Command::Resume => "resume".into(),
        Command::Stop { when: StopWhen::Step } => "stop now".into(),
        Command::Stop { when: StopWhen::Stage } => "stop after the stage".into(),
        Command::Stop { when: StopWhen::Iteration } => "stop after the iteration".into(),
        Command::Decide(decide) => {
            let pairs = match decide.pairs.as_slice() {
                [pair] => format!("pair {pair}"),
                pairs => format!("{} pairs", pairs.len()),
            };
            match decide.choice {
                Choice::Keep => format!("keep {pairs}"),
                Choice::Veto => format!("veto {pairs}"),
                Choice::Swap => format!("swap {pairs}"),
                Choice::Tie => format!("call {pairs} a tie"),
                Choice::Edit { candidate, score } => format!("score candidate {candidate} of {pairs} as {score}"),
                Choice::Defer => format!("defer {pairs}"),
                Choice::Flag => format!("flag {pairs}"),
            }
        }
        Command::Undo { .. } => "undo".into(),
        Command::Redo { .. } => "redo".into(),
        Command::Note { .. } => "add a note".into(),
        Command::CloseGate => CLOSE_THE_GATE.into(),
        Command::Snapshot => "save a checkpoint".into(),
        Command::Acknowledge { alarm } => format!("acknowledge the alarm {alarm}"),
        Command::Spend { .. } => "change the caps of the teacher".into(),
        Command::Rollback { to, .. } => format!("go back to {to}"),
    }
}
