//! Walks the plan: each stage that the journal does not show as finished is done, in order, until the run ends or must leave.
//!
//! What has been done is read from the view alone, so that a fresh start, a resume after a crash and a rollback are one path.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::engine::desk::Desk;
use crate::engine::materials::Materials;
use crate::engine::plan::plan;
use crate::engine::policy::{Flow, Judge, Policy, Teacher};
use crate::engine::recorder::{Leaving, Recorder};
use crate::engine::settings::Settings;
use crate::engine::teaching::settings::Recipe;
use crate::recipe::seeds::Seed;
use crate::run::command::StopWhen;
use crate::run::event::*;
use crate::run::ids::{Model, Stage};
use crate::run::view::{RunView, State};

/// How an engine's work ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Finished,
    /// In good order, before the end.
    Stopped(String),
}

/// A run in the making.
pub struct Engine {
    pub(super) recorder: Recorder,
    pub(super) policy: Box<dyn Policy>,
    /// The model's own judge.
    pub(super) judge: Box<dyn Judge>,
    /// Somebody outside, where the recipe asks for one.
    pub(super) teacher: Option<Arc<dyn Teacher>>,
    pub(super) settings: Settings,
    pub(super) materials: Materials,
    /// Which weights the policy holds: a folder of the run, or none for the base.
    pub(super) loaded: Option<Option<PathBuf>>,
}

impl Engine {
    pub fn new(
        recorder: Recorder,
        policy: Box<dyn Policy>,
        judge: Box<dyn Judge>,
        teacher: Option<Arc<dyn Teacher>>,
        settings: Settings,
        materials: Materials,
    ) -> Engine {
        Engine { recorder, policy, judge, teacher, settings, materials, loaded: None }
    }

    /// Works until the run is finished, stopped or failed. The last word is in the journal.
    pub fn run(mut self) -> Result<(Ended, RunView)> {
        let ended = loop {
            match self.walk() {
                Ok(Flow::Go) => {
                    if !matches!(self.recorder.view.state, State::Finished) {
                        let model = Model::M(self.settings.run.iterations + 1);
                        self.recorder.record(RunFinished { model })?;
                    }
                    break Ended::Finished;
                }
                Ok(Flow::Stop) => match self.recorder.take_leaving() {
                    Some(Leaving::Again) => {
                        let config = self.recorder.view.config.as_ref().clone();
                        self.settings = serde_json::from_value(config).context("reading the changed configuration")?;
                        self.recorder.pair_settings = self.settings.pairs.clone();
                        self.recorder.limits = self.settings.alarms.clone();
                        self.loaded = None;
                    }
                    Some(Leaving::Asked { why, request }) => {
                        self.recorder.record(Stopped { why: why.clone(), request })?;
                        break Ended::Stopped(why);
                    }
                    None => bail!("a stage stopped without saying why"),
                },
                Err(error) => {
                    // The journal says why before the process does; if it cannot, the error itself must do.
                    let failed = Failed { error: format!("{error:#}") };
                    if let Err(unsaid) = self.recorder.record(failed) {
                        return Err(error.context(format!("and it could not be recorded: {unsaid:#}")));
                    }
                    self.recorder.sync()?;
                    return Err(error);
                }
            }
        };
        Ok((ended, self.recorder.close()?))
    }

    fn walk(&mut self) -> Result<Flow> {
        if self.recorder.safe_point()? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        for planned in plan(&self.settings, &self.materials) {
            let span = self.recorder.view.stage_of(planned.iteration, planned.stage, planned.model);
            if span.is_some_and(|span| span.finished.is_some()) {
                continue;
            }
            let has_begun = span.is_some();
            if !has_begun && self.is_missed(planned) {
                continue;
            }
            if self.stage(planned, has_begun)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            self.recorder.reached(StopWhen::Stage);
            if planned.stage == Stage::Eval && planned.model == Model::M(planned.iteration + 1) {
                self.recorder.reached(StopWhen::Iteration);
            }
            if self.recorder.safe_point()? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Go)
    }

    /// A gate of labels that a run of an earlier program passed without: its loop has begun.
    fn is_missed(&self, planned: Planned) -> bool {
        let Model::Reward(number) = planned.model else { return false };
        let learns = self.recorder.view.stage_of(0, Stage::Reward, Model::Reward(number + 1));
        planned.stage == Stage::Check && learns.is_some()
    }

    fn stage(&mut self, planned: Planned, has_begun: bool) -> Result<Flow> {
        let Planned { iteration, stage, model, .. } = planned;
        let doing = || format!("iteration {iteration}, stage {stage}, {model}");
        if !has_begun && !stage.trains() {
            let total = self.total(planned);
            self.recorder.record(StageStarted { iteration, stage, model, total })?;
        }
        let flow = match stage {
            Stage::Baseline => self.baseline(has_begun),
            Stage::Eft => self.eft(),
            Stage::Sft => self.first_model(has_begun),
            Stage::Reward => self.reward(model, has_begun),
            Stage::Prompts => self.prompts(iteration),
            Stage::Candidates => self.candidates(iteration),
            Stage::Judge => self.judging(iteration),
            Stage::Pairs => self.pairs(iteration),
            Stage::Check => match model {
                Model::Reward(number) => self.check_labels(number + 1),
                Model::Baseline | Model::M(_) => self.check(iteration),
            },
            Stage::Dpo => self.preferences(iteration, has_begun),
            Stage::Rloo => self.learn_from_rewards(iteration, has_begun),
            Stage::Eval => self.evaluate(iteration, model),
        }
        .with_context(doing)?;
        if flow == Flow::Go {
            let done = self.recorder.view.stage().map_or(0, |span| span.done);
            self.recorder.record(StageFinished { iteration, stage, model, done })?;
        }
        Ok(flow)
    }

    /// What is known when the stage begins is better than the plan's guess.
    fn total(&self, planned: Planned) -> u64 {
        let desk = &self.recorder.desk;
        let prompts = desk.prompts.len() as u64;
        let demo = self.settings.run.recipe == Recipe::TeacherDemo;
        let candidates = prompts * u64::from(self.settings.own_candidates() + u32::from(demo));
        let judges = self.settings.opinions();
        match planned.stage {
            Stage::Candidates => candidates,
            Stage::Judge => candidates * u64::from(self.settings.judge.samples) * judges,
            Stage::Pairs => prompts,
            // The loops have settled: there is nothing to look at.
            Stage::Check if planned.iteration == 0 && self.recorder.view.reward.chosen.is_some() => 0,
            _ => planned.total,
        }
    }

    /// The seed of a place in this run. Going back gives all later places other seeds.
    pub(super) fn seed(&self, iteration: u32, stage: Stage) -> Seed {
        let root = Seed::root(self.settings.run.seed);
        let root = match self.recorder.view.attempt() {
            0 => root,
            attempt if iteration > 0 => root.named(&format!("attempt {attempt}")),
            _ => root,
        };
        root.iteration(iteration).stage(stage)
    }

    /// Makes the policy hold this model.
    pub(super) fn hold(&mut self, model: Model) -> Result<()> {
        let folder = match model {
            Model::M(0) => None,
            _ => {
                let folder = self.recorder.view.model(model).and_then(|view| view.folder.clone());
                let folder = folder.with_context(|| format!("{model} has not been made yet"))?;
                Some(self.recorder.folder.path().join(folder))
            }
        };
        self.hold_folder(folder)
    }

    pub(super) fn hold_folder(&mut self, folder: Option<PathBuf>) -> Result<()> {
        if self.loaded.as_ref() != Some(&folder) {
            self.loaded = None;
            self.policy.load(folder.as_deref()).with_context(|| match &folder {
                Some(folder) => format!("loading {}", folder.display()),
                None => "loading the base model".into(),
            })?;
            self.loaded = Some(folder);
        }
        Ok(())
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.recorder.desk
    }
}
