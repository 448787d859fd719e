//! Training inside a run: lessons, steps, checkpoints, the choice among them, and going on after an interruption.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::engine::checkpoints;
use crate::engine::divergence::Probe;
use crate::engine::drive::Engine;
use crate::engine::policy::{Example, Flow, Lesson, Preference};
use crate::engine::settings::Learn;
use crate::engine::step_event::{StepAt, step_event};
use crate::run::event::*;
use crate::run::ids::{Model, PromptId, Stage};
use crate::run::number::Num;

/// Pairs whose reference log-probs are computed at once.
pub(super) const REFERENCE_CHUNK: usize = 16;

pub(super) const NO_PAIR: &str = "no pair is left to train on: the judge gave ties or no scores, or every pair was vetoed. \
                                  Go back with `selfreward rollback` and other settings (more prompts, more judge samples)";

/// One training: what is made, of what, from where.
pub(super) struct Training {
    iteration: u32,
    stage: Stage,
    model: Model,
    from: Model,
    lesson: Lesson,
    /// The lesson's pairs in its order; of a lesson on rewards its prompts.
    pairs: Vec<PromptId>,
    /// What the divergence from the reference is measured on.
    probe: Option<Probe>,
    /// Judge the checkpoints by their held-out measure, higher being better; otherwise the last one is taken.
    choose: bool,
    patience: u32,
}

impl Training {
    /// A training whose last step is the model.
    pub(super) fn last_step(iteration: u32, stage: Stage, model: Model, from: Model, lesson: Lesson) -> Training {
        let (pairs, probe, choose, patience) = (Vec::new(), None, false, 0);
        Training { iteration, stage, model, from, lesson, pairs, probe, choose, patience }
    }

    /// The same, watched: what its examples are called, and where it is looked at how far it goes.
    pub(super) fn watched(self, pairs: Vec<PromptId>, probe: Option<Probe>) -> Training {
        Training { pairs, probe, ..self }
    }
}

impl Engine {
    /// The base fine-tuned on human answers only.
    pub(super) fn baseline(&mut self, has_begun: bool) -> Result<Flow> {
        let lesson = self.answers(self.materials.ift.clone(), 0, Stage::Baseline);
        self.train(Training::last_step(0, Stage::Baseline, Model::Baseline, Model::M(0), lesson), has_begun)
    }

    /// M1: the base fine-tuned on human answers and on judgements.
    pub(super) fn first_model(&mut self, has_begun: bool) -> Result<Flow> {
        let mut examples = self.materials.ift.clone();
        examples.extend(self.judging_examples()?);
        let lesson = self.answers(examples, 0, Stage::Sft);
        self.train(Training::last_step(0, Stage::Sft, Model::M(1), Model::M(0), lesson), has_begun)
    }

    fn answers(&self, examples: Vec<Example>, iteration: u32, stage: Stage) -> Lesson {
        Lesson::Answers {
            examples,
            held_out: self.materials.ift_held_out.clone(),
            settings: self.settings.sft.clone(),
            seed: self.seed(iteration, stage).number(),
        }
    }

    /// Preference training on the pairs that passed the gate.
    pub(super) fn preferences(&mut self, iteration: u32, has_begun: bool) -> Result<Flow> {
        let settings = self.weighed(iteration)?;
        let model = Model::M(iteration + 1);
        let from = Model::M(iteration);
        let set = self.desk().training.clone().context("the training set has not been fixed")?;
        if set.pairs.is_empty() {
            anyhow::bail!(NO_PAIR);
        }
        let seed = self.seed(iteration, Stage::Dpo).number();
        let (mut ids, mut probe) = (Vec::new(), None);
        let lesson = if settings.learn == Learn::Positive {
            let examples =
                set.pairs.iter().map(|used| self.side(used.pair, used.chosen)).collect::<Result<Vec<_>>>()?;
            let mut sft = self.settings.sft.clone();
            (sft.lr, sft.lr_end, sft.schedule, sft.epochs) =
                (settings.lr, settings.lr_end, settings.schedule, settings.epochs);
            Lesson::Answers { examples, held_out: Vec::new(), settings: sft, seed }
        } else {
            if self.reference(iteration, &set.pairs)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            probe = self.probe(iteration)?;
            let pairs = set.pairs.iter().map(|used| self.preference(used)).collect::<Result<Vec<_>>>()?;
            let learnt = set.pairs.iter().zip(&pairs).filter(|(_, pair)| !is_held_out(pair, settings.held_out_share));
            ids.extend(learnt.map(|(used, _)| used.pair));
            let (held_out, pairs) = hold_out(pairs, settings.held_out_share);
            let mut replay = if settings.eft_replay > 0 { self.judging_examples()? } else { Vec::new() };
            if !replay.is_empty() && self.settings.judges_itself() {
                replay.extend(self.sure_judgements(iteration, settings.own_judgements)?);
            }
            Lesson::Preferences { pairs, held_out, replay, settings: Box::new(settings.clone()), seed }
        };
        let choose = settings.learn == Learn::Dpo && settings.held_out_share > 0.0;
        let patience = settings.patience;
        let training =
            Training { iteration, stage: Stage::Dpo, model, from, lesson, pairs: ids, probe, choose, patience };
        self.train(training, has_begun)
    }

    pub(super) fn side(&self, id: PromptId, candidate: u32) -> Result<Example> {
        let desk = self.desk();
        let prompt = desk.prompts.get(id.number as usize);
        let candidate = desk.candidates.get(id.number as usize).and_then(|all| all.get(candidate as usize));
        match (prompt, candidate) {
            (Some(prompt), Some(candidate)) => Ok(Example { prompt: prompt.clone(), reply: candidate.text.clone() }),
            _ => anyhow::bail!("the texts of pair {id} are not in the journal"),
        }
    }

    fn preference(&self, used: &Used) -> Result<Preference> {
        let chosen = self.side(used.pair, used.chosen)?;
        let rejected = self.side(used.pair, used.rejected)?;
        let &(reference_chosen, reference_rejected) =
            self.desk().references.get(&used.pair).with_context(|| format!("pair {} has no reference", used.pair))?;
        let tokens = |candidate: u32| {
            let all = self.desk().candidates.get(used.pair.number as usize);
            all.and_then(|all| all.get(candidate as usize)).map_or(0, |candidate| candidate.tokens)
        };
        Ok(Preference {
            prompt: chosen.prompt,
            chosen: chosen.reply,
            rejected: rejected.reply,
            reference_chosen,
            reference_rejected,
            chosen_tokens: tokens(used.chosen),
            rejected_tokens: tokens(used.rejected),
        })
    }

    /// The reference's log-probs of every pair, once, before the first step, by the same function as the policy's.
    fn reference(&mut self, iteration: u32, pairs: &[Used]) -> Result<Flow> {
        let model = self.reference_model(iteration);
        let missing: Vec<Used> =
            pairs.iter().copied().filter(|used| !self.desk().references.contains_key(&used.pair)).collect();
        if missing.is_empty() {
            return Ok(Flow::Go);
        }
        self.hold(model)?;
        for chunk in missing.chunks(REFERENCE_CHUNK) {
            let mut items = Vec::with_capacity(2 * chunk.len());
            for used in chunk {
                items.push(self.side(used.pair, used.chosen)?);
                items.push(self.side(used.pair, used.rejected)?);
            }
            let scored = self.policy.log_probs(&items)?;
            for (used, sides) in chunk.iter().zip(scored.chunks_exact(2)) {
                let event = ReferenceScored { pair: used.pair, chosen: Num(sides[0].sum), rejected: Num(sides[1].sum) };
                self.recorder.record(event)?;
            }
            if self.recorder.safe_point()? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Go)
    }

    /// Trains from start or checkpoint to the finished model.
    pub(super) fn train(&mut self, training: Training, has_begun: bool) -> Result<Flow> {
        let Training { iteration, stage, model, from, lesson, pairs, probe, choose, patience } = training;
        if self.recorder.view.model(model).is_some_and(|view| view.folder.is_some()) {
            return Ok(Flow::Go);
        }
        checkpoints::sweep(&self.recorder.folder.checkpoints()).context("sweeping unfinished checkpoints")?;
        let newest = self.usable_checkpoint(stage, model)?;
        self.hold(from)?;
        let from_step = newest.as_ref().map_or(0, |(_, step)| *step);
        let steps = self.policy.begin(lesson, newest.as_ref().map(|(folder, step)| (folder.as_path(), *step)))?;
        // The weights change from here on.
        self.loaded = None;
        let done = self.recorder.view.stage_of(iteration, stage, model).map_or(0, |span| span.done);
        if !has_begun {
            self.recorder.record(StageStarted { iteration, stage, model, total: steps })?;
        } else if done > from_step {
            self.recorder.record(StepsAbandoned { iteration, stage, model, after: from_step })?;
        }
        let every = u64::from(self.settings.checkpoint.every.max(1));
        let mut progress = self.held_out_progress(model, from_step);
        let mut early = false;
        let mut last = from_step;
        for step in from_step + 1..=steps {
            let mut report = self.policy.step().with_context(|| format!("step {step} of {steps}"))?;
            let at_checkpoint = step % every == 0 || step == steps;
            if at_checkpoint {
                report.held_out = self.policy.held_out()?;
            }
            let divergence = match probe.as_ref().filter(|probe| probe.is_due(step, steps)) {
                Some(probe) => Some(probe.divergence(self.policy.as_mut())?),
                None => None,
            };
            self.recorder.show_pace(report.tokens_per_s, report.memory_bytes);
            let at = StepAt { iteration, model, step, of: steps };
            self.recorder.record(step_event(at, &report, divergence, &pairs))?;
            last = step;
            if let (true, Some(value)) = (at_checkpoint, report.held_out) {
                progress.push((step, value));
            }
            let flow = self.recorder.safe_point()?;
            let asked = self.recorder.take_snapshot();
            let leaves = flow == Flow::Stop;
            if (at_checkpoint && step < steps) || leaves || asked.is_some() {
                let saved = self.save_step(iteration, stage, model, step, asked.map(|(request, _)| request))?;
                self.retain(stage, model, &progress, choose)?;
                if leaves || saved == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            if choose && patience > 0 && has_stalled(&progress, patience) {
                early = step < steps;
                break;
            }
        }
        self.policy.end()?;
        self.finish_model(iteration, stage, model, last, &progress, choose, early)
    }

    /// Takes the best state as the model and makes it durable.
    #[expect(
        clippy::too_many_arguments,
        reason = "the end of one long function, named; a struct for it would be read once"
    )]
    fn finish_model(
        &mut self,
        iteration: u32,
        stage: Stage,
        model: Model,
        last: u64,
        progress: &[(u64, f64)],
        choose: bool,
        early: bool,
    ) -> Result<Flow> {
        let best = if choose { best(progress) } else { None };
        let (step, value) = best.map_or((last, None), |(step, value)| (step, Some(value)));
        if step != last {
            let folder = self.recorder.folder.path().join(step_folder(model, step));
            self.policy.load(Some(&folder)).with_context(|| format!("loading the best state, {}", folder.display()))?;
        }
        let by = if value.is_some() { "held-out accuracy" } else { "last step" };
        let chosen = CheckpointChosen { iteration, model, step, by: by.into(), value: value.map(Num), early };
        if self.recorder.view.model(model).is_none_or(|view| view.chosen.is_none()) {
            self.recorder.record(chosen)?;
        }
        let folder = format!("checkpoints/{model}");
        if self.save(&folder, step, false)?.is_none() {
            return Ok(Flow::Stop);
        }
        let path = self.recorder.folder.path().join(&folder);
        let manifest = checkpoints::verify(&path)?;
        self.recorder.record(CheckpointSaved {
            iteration,
            stage,
            model,
            step,
            folder,
            bytes: manifest.bytes(),
            hash: manifest.content_hash(),
            finished: true,
            request: None,
        })?;
        for saved in self.step_checkpoints(stage, model) {
            checkpoints::remove(&self.recorder.folder.path().join(&saved.folder))?;
        }
        self.loaded = Some(Some(path));
        Ok(Flow::Go)
    }

    fn save_step(
        &mut self,
        iteration: u32,
        stage: Stage,
        model: Model,
        step: u64,
        request: Option<crate::run::ids::RequestId>,
    ) -> Result<Flow> {
        let folder = step_folder(model, step);
        let Some(manifest) = self.save(&folder, step, true)? else { return Ok(Flow::Stop) };
        self.recorder.record(CheckpointSaved {
            iteration,
            stage,
            model,
            step,
            folder,
            bytes: manifest.bytes(),
            hash: manifest.content_hash(),
            finished: false,
            request,
        })?;
        Ok(Flow::Go)
    }

    /// Writes a checkpoint; while the disk is full the run waits, aloud. None when it was stopped meanwhile.
    fn save(&mut self, folder: &str, step: u64, training: bool) -> Result<Option<checkpoints::Manifest>> {
        let path = self.recorder.folder.path().join(folder);
        let Engine { recorder, policy, .. } = self;
        recorder.until_there_is_space(|| checkpoints::write(&path, step, |scratch| policy.save(scratch, training)))
    }

    /// Keeps the newest and the best of a training under way.
    fn retain(&mut self, stage: Stage, model: Model, progress: &[(u64, f64)], choose: bool) -> Result<()> {
        let saved = self.step_checkpoints(stage, model);
        let keep = self.settings.checkpoint.keep.max(1) as usize;
        let best = if choose { best(progress).map(|(step, _)| step) } else { None };
        for old in saved.iter().rev().skip(keep).filter(|old| Some(old.step) != best) {
            checkpoints::remove(&self.recorder.folder.path().join(&old.folder))?;
        }
        Ok(())
    }

    fn step_checkpoints(&self, stage: Stage, model: Model) -> Vec<CheckpointSaved> {
        let of_this =
            |saved: &&std::sync::Arc<CheckpointSaved>| saved.stage == stage && saved.model == model && !saved.finished;
        self.recorder.view.checkpoints.iter().filter(of_this).map(|saved| saved.as_ref().clone()).collect()
    }

    /// The newest checkpoint of this training that is whole; damaged ones are named.
    fn usable_checkpoint(&mut self, stage: Stage, model: Model) -> Result<Option<(PathBuf, u64)>> {
        let mut damaged: Vec<(String, String)> = Vec::new();
        let mut found = None;
        for saved in self.step_checkpoints(stage, model).iter().rev() {
            let path = self.recorder.folder.path().join(&saved.folder);
            if !path.exists() {
                continue; // removed when it was no longer needed
            }
            match checkpoints::verify(&path) {
                Ok(manifest) => {
                    found = Some((path, manifest.step));
                    break;
                }
                Err(error) => damaged.push((saved.folder.clone(), format!("{error:#}"))),
            }
        }
        let used = found.as_ref().and_then(|(path, _)| Some(format!("checkpoints/{}", path.file_name()?.to_str()?)));
        for (folder, why) in damaged {
            self.recorder.record(CheckpointDamaged { folder, why, used_instead: used.clone() })?;
        }
        Ok(found)
    }

    /// Held-out measures of this training so far, at its checkpoints.
    fn held_out_progress(&self, model: Model, up_to: u64) -> Vec<(u64, f64)> {
        let all = self.desk().held_out_progress.iter();
        all.filter(|(of, step, _)| *of == model && *step <= up_to).map(|&(_, step, value)| (step, value)).collect()
    }
}

fn step_folder(model: Model, step: u64) -> String {
    format!("checkpoints/{model}-step-{step:06}")
}

/// The best measure; of equals the later.
fn best(progress: &[(u64, f64)]) -> Option<(u64, f64)> {
    progress
        .iter()
        .copied()
        .filter(|(_, value)| value.is_finite())
        .max_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)))
}

/// The measure has not risen over its best for so many checkpoints.
fn has_stalled(progress: &[(u64, f64)], patience: u32) -> bool {
    let Some((best, _)) = best(progress) else { return false };
    progress.iter().filter(|(step, _)| *step > best).count() >= patience as usize
}

/// Holds pairs out by their content, so that the same pair is always on the same side.
pub fn hold_out(pairs: Vec<Preference>, share: f64) -> (Vec<Preference>, Vec<Preference>) {
    pairs.into_iter().partition(|pair| is_held_out(pair, share))
}

fn is_held_out(pair: &Preference, share: f64) -> bool {
    let hash = blake3::hash(format!("{}\0{}\0{}", pair.prompt, pair.chosen, pair.rejected).as_bytes());
    let word = u32::from_le_bytes(hash.as_bytes()[..4].try_into().unwrap_or_default());
    f64::from(word) / f64::from(u32::MAX) < share
}
