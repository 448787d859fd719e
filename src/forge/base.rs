//! M0: a Llama from random weights and one pass over the corpus.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use burn::tensor::DType;

use super::documents::{self, BOS, EOS, PAD, POSITIONS, Texts};
use super::{ForgeSettings, Progress};
use crate::microworld::World;
use crate::model::chat_template::Turn;
use crate::model::device::{self, DeviceChoice};
use crate::model::folder::{self, Companions};
use crate::model::llama::Llama;
use crate::model::packed::engine::EngineSettings;
use crate::model::pick::Sampling;
use crate::model::sampler::{Ask, Flow, Manner, Sampler, SamplerSettings};
use crate::model::shape::{Rope, Scaling, Shape};
use crate::model::tokenizer::Tokenizer;
use crate::model::weights::Weights;
use crate::recipe::seeds::Seed;
use crate::train::optimizer::{OptimizerSettings, Rule};
use crate::train::pretrain::Pretraining;
use crate::train::schedule::{Curve, Schedule};
use crate::train::step::LessonSettings;
use crate::train::workers::Workers;

/// Standard deviation of fresh weights.
const DEVIATION: f32 = 0.02;
/// Share of the steps in which the learning rate rises.
const WARMUP: f64 = 0.02;
/// The learning rate at the end, as a share of the highest.
const LAST: f64 = 0.01;
/// Positions that one thread computes at once: a bound on memory.
const MOST_POSITIONS: usize = 1 << 13;
/// Answers of the seed data are shorter.
const LONGEST_ANSWER: usize = 64;

/// The base model with its texts.
pub struct Base {
    pub texts: Texts,
    tokenizer: Tokenizer,
    shape: Shape,
    weights: Weights,
    companions: Companions,
}

pub fn pretrain(settings: &ForgeSettings, world: &World, tell: &mut dyn FnMut(Progress)) -> Result<Base> {
    let texts = Texts::load()?;
    let files = documents::tokenizer_files(&texts)?;
    let tokenizer = Tokenizer::from_files(&files)?;
    let documents = documents::documents(world, settings.documents, &texts, &tokenizer)?;
    tell(Progress::Corpus {
        documents: documents.len(),
        tokens: documents.iter().map(|document| document.tokens()).sum(),
        words: tokenizer.vocabulary(),
    });
    let shape = shape(settings, tokenizer.vocabulary());
    let seed = Seed::root(settings.seed).named("forge");
    let weights = Weights::random(&shape, DEVIATION, seed.named("weights").number())?;
    let device = device::choose(DeviceChoice::Cpu)?.device;
    let llama = Llama::load(&shape, &weights, DType::F32, &device)?;
    let lesson = LessonSettings {
        optimizer: OptimizerSettings { rule: Rule::Muon, ..OptimizerSettings::default() },
        schedule: Schedule { curve: Curve::Cosine, lr: settings.lr, lr_end: settings.lr * LAST, warmup: WARMUP },
        batch: settings.batch,
        epochs: 1,
        most_positions: MOST_POSITIONS,
        dropout: 0.0,
        adapter_dropout: 0.0,
        recompute: false,
        seed: seed.named("order").number(),
    };
    let workers = Workers::new(settings.threads)?;
    let mut lesson = Pretraining::new(llama, documents, lesson, settings.prompt_weight, workers)?;
    let steps = lesson.pupil.steps;
    for step in 1..=steps {
        let report = lesson.step()?;
        anyhow::ensure!(report.applied, "step {step} gave numbers that are not finite");
        tell(Progress::Step { step, steps, loss: report.loss, tokens: report.tokens });
    }
    let (student, _) = lesson.pupil.into_student()?;
    Ok(Base {
        texts,
        tokenizer,
        weights: student.to_weights()?,
        companions: Companions::of_new_model(&shape, files),
        shape,
    })
}

impl Base {
    pub fn save(&self, out: &Path) -> Result<()> {
        folder::save(out, &self.weights, &self.companions)
    }

    /// What the base answers, one answer a prompt, at temperature 1.
    pub fn answers(&self, prompts: &[String], threads: usize, seed: Seed) -> Result<Vec<String>> {
        let engine = EngineSettings { threads, ..EngineSettings::default() };
        let mut sampler =
            Sampler::new(&self.weights, &self.shape, &SamplerSettings { engine, ..SamplerSettings::default() })?;
        let manner = Arc::new(Manner {
            sampling: Sampling { temperature: 1.0, top_p: 1.0, ..Sampling::default() },
            max_tokens: LONGEST_ANSWER,
            eos: self.shape.eos.clone(),
            ..Manner::default()
        });
        let asks = prompts
            .iter()
            .zip(0..)
            .map(|(prompt, number)| {
                let prompt = self.tokenizer.prompt(&[Turn::new("user", prompt)])?;
                let key = seed.prompt(number).number();
                Ok(Ask { prompt: prompt.into(), manner: Arc::clone(&manner), key })
            })
            .collect::<Result<Vec<Ask>>>()?;
        let replies = sampler.run(&asks, Some(&self.tokenizer), |_| Flow::Go)?;
        replies.into_iter().map(|reply| Ok(reply.context("an answer was not finished")?.text)).collect()
    }
}

fn shape(settings: &ForgeSettings, vocab: usize) -> Shape {
    Shape {
        vocab,
        hidden: settings.hidden,
        mlp: settings.mlp,
        layers: settings.layers,
        heads: settings.heads,
        kv_heads: settings.heads,
        head_dim: settings.hidden / settings.heads,
        max_positions: POSITIONS,
        rms_eps: 1e-5,
        rope: Rope { theta: 10_000.0, scaling: Scaling::None },
        tied: true,
        reward: false,
        attention_bias: false,
        mlp_bias: false,
        bos: Some(BOS),
        eos: vec![EOS],
        pad: Some(PAD),
    }
}
