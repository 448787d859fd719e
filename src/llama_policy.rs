//! The engine's policy with a real Llama: it writes with packed weights and learns with differentiable ones.
//!
//! Glue only. One set of weights is held: in the module while nothing is learnt, in the lesson while something is; the packed
//! form that writes is made when it is needed and dropped when weights are about to change. No tensor leaves this module.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;

use crate::engine::policy::{
    Ask, Example, Flow, GroupsReport, Identity, Lesson, LogProb, Policy, PreferenceReport, Reply, RewardReport, Seat,
    StepReport,
};
use crate::engine::settings::Settings;
use crate::model::device::{self, Chosen, DeviceChoice};
use crate::model::folder::{self, Companions, Folder};
use crate::model::packed::engine::EngineSettings;
use crate::model::sampler::{Sampler, SamplerSettings};
use crate::model::shape::Shape;
use crate::model::tokenizer::Tokenizer;
use crate::train::adapter_folder;
use crate::train::batch::Sequence;
use crate::train::log_probs;
use crate::train::lora::Adapters;
use crate::train::reward;
use crate::train::state;
use crate::train::student::Student;
use crate::train::workers::Workers;

mod lesson;
mod writing;

pub use lesson::most_positions;
use lesson::{Course, Habits};

/// A model that writes and learns in this process.
#[derive(Debug)]
pub struct LlamaPolicy {
    base: PathBuf,
    chosen: Chosen,
    threads: usize,
    habits: Habits,
    model: Option<Model>,
    course: Option<Course>,
}

/// A loaded model. Its weights are away while a lesson has them.
#[derive(Debug)]
struct Model {
    shape: Shape,
    tokenizer: Tokenizer,
    companions: Companions,
    weights: Option<(Student, Workers)>,
    /// The folder that the weights were read from: what adapters are beside.
    path: PathBuf,
    /// The adapters of the last lesson, which are part of the weights by now.
    adapters: Option<Adapters>,
    sampler: Option<Sampler>,
}

impl LlamaPolicy {
    /// With the base model in this folder. Nothing is loaded yet.
    pub fn new(settings: &Settings, base: &Path) -> Result<LlamaPolicy> {
        let choice: DeviceChoice = settings.model.device.parse().map_err(anyhow::Error::msg).context("model.device")?;
        Ok(LlamaPolicy {
            base: base.to_owned(),
            chosen: device::choose(choice)?,
            threads: settings.model.threads as usize,
            habits: Habits::new(settings),
            model: None,
            course: None,
        })
    }

    fn model(&self) -> Result<&Model> {
        self.model.as_ref().context("no model has been loaded")
    }

    /// Asks something of whole dialogues, of the weights as they are: those of the lesson under way, else the model's.
    fn ask<T>(
        &self,
        items: &[Example],
        ask: impl FnOnce(&Student, &[&Sequence], &Workers, usize) -> Result<T>,
    ) -> Result<T> {
        let model = self.model()?;
        let (student, workers) = match &self.course {
            Some(course) => (course.pupil().student()?, &course.pupil().workers),
            None => model.weights()?,
        };
        let sequences = lesson::sequences(&model.tokenizer, items, model.shape.max_positions)?;
        let rows: Vec<&Sequence> = sequences.iter().collect();
        ask(student, &rows, workers, lesson::most_positions(&model.shape))
    }
}

impl Model {
    /// A model's folder, or an adapter's with the model that it names.
    fn open(path: &Path, device: &Device, workers: Workers) -> Result<Model> {
        if adapter_folder::is_adapter(path) {
            let mut model = Model::open_whole(&adapter_folder::base_of(path)?, device, workers)?;
            let adapters = adapter_folder::read(path, &model.shape)?;
            let (student, _) = model.weights.as_mut().context("the weights are away")?;
            student.attach(adapters)?;
            model.adapters = student.merge();
            return Ok(model);
        }
        Model::open_whole(path, device, workers)
    }

    fn open_whole(path: &Path, device: &Device, workers: Workers) -> Result<Model> {
        let folder = Folder::open(path)?;
        let tokenizer = Tokenizer::open(path)?;
        let (words, rows) = (tokenizer.vocabulary(), folder.shape.vocab);
        ensure!(words <= rows, "the tokenizer has {words} words, the model's embedding {rows} rows");
        let student = Student::load(&folder.shape, &folder, device)?;
        Ok(Model {
            companions: folder.companions()?,
            shape: folder.shape,
            tokenizer,
            weights: Some((student, workers)),
            path: path.canonicalize()?,
            adapters: None,
            sampler: None,
        })
    }

    fn weights(&self) -> Result<(&Student, &Workers)> {
        let (student, workers) = self.weights.as_ref().context("the weights are being trained")?;
        Ok((student, workers))
    }

    /// From here on it scores texts and writes none.
    fn become_reward_model(&mut self) -> Result<()> {
        if self.shape.reward {
            return Ok(());
        }
        let (student, workers) = self.weights.take().context("the weights are away")?;
        let student = student.into_reward_model()?;
        self.shape = student.shape().clone();
        self.companions.config = Shape::as_reward_model(std::mem::take(&mut self.companions.config));
        self.adapters = None;
        self.weights = Some((student, workers));
        Ok(())
    }

    /// The packed form of the present weights.
    fn sampler(&mut self, threads: usize) -> Result<(&mut Sampler, &Tokenizer)> {
        let sampler = match self.sampler.take() {
            Some(sampler) => sampler,
            None => {
                let (student, _) = self.weights()?;
                student.rest();
                let weights = student.to_weights()?;
                let engine = EngineSettings { threads, ..EngineSettings::default() };
                Sampler::new(&weights, &self.shape, &SamplerSettings { engine, ..SamplerSettings::default() })?
            }
        };
        Ok((self.sampler.insert(sampler), &self.tokenizer))
    }

    fn log_probs(&self, sequences: &[Sequence]) -> Result<Vec<Vec<f32>>> {
        let (student, workers) = self.weights()?;
        let rows: Vec<&Sequence> = sequences.iter().collect();
        log_probs::log_probs(student, &rows, workers, lesson::most_positions(&self.shape))
    }
}

impl Policy for LlamaPolicy {
    fn identity(&self) -> Identity {
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        Identity {
            device: self.chosen.kind.to_string(),
            device_why: self.chosen.why.clone(),
            versions: vec![("selfreward".into(), env!("CARGO_PKG_VERSION").into()), ("burn".into(), "0.22.1".into())],
            threads: threads as u32,
        }
    }

    fn load(&mut self, folder: Option<&Path>) -> Result<()> {
        // Freed before the next is read: two models at once may be more than the memory holds.
        self.course = None;
        let workers = match self.model.take().and_then(|model| model.weights) {
            Some((_, workers)) => workers,
            None => Workers::new(self.threads)?,
        };
        self.model = Some(Model::open(folder.unwrap_or(&self.base), &self.chosen.device, workers)?);
        Ok(())
    }

    fn reply(&mut self, asks: &[Ask], seat: &mut dyn Seat<Reply>) -> Result<Flow> {
        let threads = self.threads;
        let model = self.model.as_mut().context("no model has been loaded")?;
        let (sampler, tokenizer) = model.sampler(threads)?;
        writing::reply(sampler, tokenizer, asks, seat)
    }

    fn log_probs(&mut self, items: &[Example]) -> Result<Vec<LogProb>> {
        let scored = self.ask(items, log_probs::log_probs)?;
        Ok(scored.iter().map(|own| LogProb { sum: log_probs::sum(own), tokens: own.len() as u32 }).collect())
    }

    fn rewards(&mut self, items: &[Example]) -> Result<Vec<f64>> {
        self.ask(items, reward::rewards)
    }

    fn begin(&mut self, lesson: Lesson, from: Option<(&Path, u64)>) -> Result<u64> {
        ensure!(self.course.is_none(), "a lesson is under way already");
        let model = self.model.as_mut().context("no model has been loaded")?;
        model.sampler = None;
        if matches!(lesson, Lesson::Rewards { .. }) {
            ensure!(self.habits.adapters.is_none(), "a reward model is trained whole: set lora.rank = 0");
            model.become_reward_model()?;
        }
        let seed = lesson::seed_of(&lesson);
        // Made while the weights that the lesson starts from are still here: they may be the reference.
        let plan = lesson::plan(lesson, model, &self.habits)?;
        let (student, workers) = model.weights.take().context("the weights are away")?;
        let student = match (from, &self.habits.adapters) {
            (from, Some(settings)) => {
                let mut student = student;
                let adapters = match from {
                    Some((folder, _)) => adapter_folder::read(folder, &model.shape)?,
                    None => Adapters::new(&model.shape, settings.clone(), seed)?,
                };
                ensure!(adapters.settings == *settings, "the checkpoint's adapters are other ones than lora.* says");
                student.attach(adapters)?;
                student
            }
            (None, None) => student,
            (Some((folder, _)), None) => {
                drop(student);
                let folder = Folder::open(folder)?;
                ensure!(folder.shape == model.shape, "the checkpoint {} is of another shape", folder.path.display());
                Student::load(&folder.shape, &folder, &self.chosen.device)?
            }
        };
        let mut course = plan.course(student, workers)?;
        if let Some((folder, step)) = from {
            let lesson = course.fingerprint();
            state::restore(folder, step, course.pupil_mut(), &lesson)
                .with_context(|| format!("going on from {}", folder.display()))?;
        }
        let steps = course.pupil().steps;
        self.course = Some(course);
        Ok(steps)
    }

    fn step(&mut self) -> Result<StepReport> {
        let course = self.course.as_mut().context("no lesson has begun")?;
        let begun = Instant::now();
        let report = course.step()?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(StepReport {
            loss: report.loss,
            lr: report.lr,
            grad_norm: report.grad_norm,
            tokens: report.tokens,
            tokens_per_s: (seconds > 0.0).then(|| report.tokens as f64 / seconds),
            memory_bytes: resident_bytes(),
            held_out: None,
            not_finite: report.not_applied(),
            preference: report.preference.map(|preference| PreferenceReport {
                reward_chosen: preference.reward_chosen,
                reward_rejected: preference.reward_rejected,
                accuracy: preference.accuracy,
                logp_chosen: preference.logp_chosen,
                logp_rejected: preference.logp_rejected,
                logp_chosen_per_token: preference.logp_chosen_per_token,
                logp_rejected_per_token: preference.logp_rejected_per_token,
                reference_chosen_per_token: preference.reference_chosen_per_token,
                kl: Some(preference.kl),
                pairs: preference.pairs,
            }),
            reward: report.reward.map(|reward| RewardReport {
                pairs: reward.pairs,
                reward_chosen: reward.reward_chosen,
                reward_rejected: reward.reward_rejected,
                accuracy: reward.accuracy,
            }),
            groups: report.groups.map(|groups| GroupsReport {
                prompts: groups.prompts,
                answers: groups.answers,
                reward: groups.reward,
                gain: groups.gain,
                kl: groups.kl,
                advantage_sd: groups.advantage_sd,
                flat: groups.flat,
                clipped: groups.clipped,
                reply_tokens: groups.reply_tokens,
            }),
        })
    }

    fn held_out(&mut self) -> Result<Option<f64>> {
        self.course.as_ref().context("no lesson has begun")?.held_out()
    }

    fn end(&mut self) -> Result<()> {
        let course = self.course.take().context("no lesson has begun")?;
        let model = self.model.as_mut().context("no model has been loaded")?;
        let (mut student, workers) = course.into_weights()?;
        model.adapters = student.merge();
        model.weights = Some((student, workers));
        Ok(())
    }

    fn save_adapter(&mut self, folder: &Path) -> Result<bool> {
        let model = self.model()?;
        let Some(adapters) = &model.adapters else { return Ok(false) };
        adapter_folder::write(folder, adapters, &model.path)?;
        Ok(true)
    }

    fn trains_adapters(&self) -> bool {
        self.habits.adapters.is_some()
    }

    fn save(&mut self, folder: &Path, training: bool) -> Result<()> {
        let model = self.model()?;
        let student = match &self.course {
            Some(course) => course.pupil().student()?,
            None => model.weights()?.0,
        };
        match student.adapters() {
            Some(adapters) => adapter_folder::write(folder, adapters, &model.path)?,
            None => folder::write_folder(folder, &student.to_weights()?, &model.companions)?,
        }
        if training {
            let course = self.course.as_ref().context("no lesson is under way")?;
            state::write(folder, course.pupil(), &course.fingerprint())?;
        }
        Ok(())
    }
}

/// Memory that this process has in use, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
