//! The fold's handling of progress: engines, stages, steps, the training set, and going back.

use std::sync::Arc;

use imbl::OrdMap;

use crate::run::curves::Signal;
use crate::run::entry::Stamp;
use crate::run::event::*;
use crate::run::ids::{Model, RequestId, Seq, Stage};
use crate::run::view::{ModelView, PromptView, Round, RunView, StageSpan, Standing, State};

impl RunView {
    pub(super) fn attached(&mut self, event: &EngineAttached, previous: Stamp, at: Stamp) -> bool {
        if event.attempt > 1 {
            // Nobody worked between the last entry and now.
            let since = self.held_since.take().unwrap_or(previous);
            self.add_held((at.0 - since.0).max(0));
            self.oddities.resumes += 1;
            self.teacher.spending.give_up_open();
            if !matches!(self.state, State::Finished) {
                self.state = State::Running;
            }
            if self.open_gate().is_some() {
                self.state = State::Waiting;
                self.held_since = Some(at);
            }
        }
        self.engine = Some(Arc::new(event.clone()));
        true
    }

    pub(super) fn release(&mut self, at: Stamp) {
        if let Some(since) = self.held_since.take() {
            self.add_held((at.0 - since.0).max(0));
        }
    }

    pub(super) fn add_held(&mut self, us: i64) {
        self.held_us += us;
        if let Some(span) = self.stages.back_mut().filter(|span| span.finished.is_none()) {
            span.held_us += us;
        }
    }

    pub(super) fn stage_started(&mut self, seq: Seq, at: Stamp, event: &StageStarted) -> bool {
        self.iteration = event.iteration;
        if matches!(self.state, State::Fresh | State::Stopped(_)) {
            self.state = State::Running;
        }
        self.stages.push_back(StageSpan {
            iteration: event.iteration,
            stage: event.stage,
            model: event.model,
            total: event.total,
            done: 0,
            started_seq: seq,
            started: at,
            finished: None,
            held_us: 0,
            worked_us: 0,
            last_done: at,
            pace: Vec::new(),
        });
        true
    }

    pub(super) fn stage_finished(&mut self, at: Stamp, event: &StageFinished) -> bool {
        let same = |span: &&mut StageSpan| span.iteration == event.iteration && span.stage == event.stage;
        let Some(span) = self.stages.back_mut().filter(same) else { return false };
        span.done = event.done;
        span.finished = Some(at);
        span.worked_us = (at.0 - span.started.0 - span.held_us).max(0);
        let judged = event.stage == Stage::Judge;
        let last = event.stage == Stage::Eval;
        self.in_round(event.iteration, |round| {
            if judged {
                round.judge.forget_texts();
            }
            if last {
                round.finished_at = Some(at);
            }
        })
    }

    /// A decision can also be taken back: the check's progress is what stands.
    pub(super) fn check_progressed(&mut self) {
        let Some(round) = self.rounds.get(self.iteration as usize) else { return };
        let tally = round.check();
        if let Some(span) = self.stages.back_mut().filter(|span| span.stage == Stage::Check && span.finished.is_none())
        {
            span.done = u64::from(tally.decided);
            span.total = u64::from(tally.offered);
        }
    }

    /// One more item of the stage is done.
    pub(super) fn one_done(&mut self, at: Stamp) -> bool {
        let Some(done) = self.stages.back().map(|span| span.done + 1) else { return false };
        self.done(at, done)
    }

    pub(super) fn done(&mut self, at: Stamp, done: u64) -> bool {
        let Some(span) = self.stages.back_mut() else { return false };
        span.done = done;
        span.total = span.total.max(done);
        span.worked_us = (at.0 - span.started.0 - span.held_us).max(0);
        span.last_done = at;
        span.note_pace();
        true
    }

    pub(super) fn sft_step(&mut self, at: Stamp, event: &SftStep) -> bool {
        let mut push = |signal, y: f64| self.curves.push(event.model, signal, event.step, at.0, y);
        push(Signal::SftLoss, event.loss.0);
        push(Signal::LearningRate, event.lr.0);
        push(Signal::GradNorm, event.grad_norm.0);
        for (signal, value) in
            [(Signal::HeldOutLoss, event.held_out_loss), (Signal::TokensPerSecond, event.tokens_per_s)]
        {
            if let Some(value) = value {
                push(signal, value.0);
            }
        }
        if let Some(bytes) = event.memory_bytes {
            push(Signal::Memory, bytes as f64);
        }
        self.last_sft = Some(Arc::new(event.clone()));
        self.done(at, event.step)
    }

    pub(super) fn dpo_step(&mut self, at: Stamp, event: &DpoStep) -> bool {
        let mut push = |signal, y: f64| self.curves.push(event.model, signal, event.step, at.0, y);
        push(Signal::DpoLoss, event.loss.0);
        push(Signal::RewardMargin, event.margin.0);
        push(Signal::RewardAccuracy, event.accuracy.0);
        push(Signal::RewardChosen, event.reward_chosen.0);
        push(Signal::RewardRejected, event.reward_rejected.0);
        push(Signal::LogpChosen, event.logp_chosen.0);
        push(Signal::LogpRejected, event.logp_rejected.0);
        push(Signal::LogpChosenPerToken, event.logp_chosen_per_token.0);
        push(Signal::LogpRejectedPerToken, event.logp_rejected_per_token.0);
        push(Signal::GradNorm, event.grad_norm.0);
        push(Signal::LearningRate, event.lr.0);
        for (signal, value) in [
            (Signal::Kl, event.kl),
            (Signal::KlHeldOut, event.kl_held_out),
            (Signal::HeldOutAccuracy, event.held_out_accuracy),
            (Signal::TokensPerSecond, event.tokens_per_s),
        ] {
            if let Some(value) = value {
                push(signal, value.0);
            }
        }
        if let Some(bytes) = event.memory_bytes {
            push(Signal::Memory, bytes as f64);
        }
        self.last_dpo = Some(Arc::new(event.clone()));
        self.done(at, event.step)
    }

    pub(super) fn prompt_written(&mut self, seq: Seq, at: Stamp, event: &PromptWritten) -> bool {
        self.one_done(at)
            & self.in_round_if(event.id.iteration, |round| {
                round.attempts = round.attempts.max(event.attempt + 1);
                if event.id.number as usize != round.prompts.len() {
                    return false;
                }
                round.prompts.push(PromptView { seq, candidates: Vec::new(), standing: Standing::Open });
                true
            })
    }

    pub(super) fn training_set_fixed(&mut self, event: &TrainingSetFixed) -> bool {
        self.labels_fixed(event);
        for (ids, used) in [
            (event.pairs.iter().map(|pair| pair.pair).collect::<Vec<_>>(), true),
            (event.left_out.iter().map(|pair| pair.pair).collect(), false),
        ] {
            for id in ids {
                self.with_pair(id, |pair| pair.used = Some(used));
            }
        }
        self.in_round(event.iteration, |round| round.training = Some(Arc::new(event.clone())))
    }

    pub(super) fn rolled_back(&mut self, event: &RolledBack) {
        let Model::M(kept) = event.to else { return };
        let gone = |model: Model| matches!(model, Model::M(number) if number > kept);
        for iteration in kept..self.rounds.len() as u32 {
            self.rounds[iteration as usize] = Round { iteration, ..Round::default() };
        }
        self.models.retain(|view| !gone(view.model));
        self.checkpoints.retain(|saved| !gone(saved.model));
        self.curves.forget(gone);
        self.stages.retain(|span| span.iteration < kept);
        self.alarms = OrdMap::new();
        self.teacher.compared.retain(|compared| compared.iteration < kept);
        self.last_dpo = None;
        self.last_rloo = None;
        self.last_pair = None;
        self.iteration = kept;
        self.config = Arc::new(event.config.clone());
        self.held_since = None;
        self.state = State::Running;
        self.rollbacks.push_back(Arc::new(event.clone()));
    }

    pub(super) fn answer(&mut self, request: &RequestId) {
        let last = self.answered.entry(request.writer.clone()).or_default();
        *last = (*last).max(request.number);
    }

    pub(super) fn model_mut(&mut self, model: Model) -> &mut ModelView {
        let place = match self.models.iter().position(|view| view.model == model) {
            Some(place) => place,
            None => {
                self.models.push_back(ModelView { model, evaluated: None, folder: None, chosen: None });
                self.models.len() - 1
            }
        };
        &mut self.models[place]
    }
}
