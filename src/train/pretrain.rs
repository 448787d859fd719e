//! Pretraining on whole documents: every token is learnt from, those of a prompt with less weight.
//!
//! `forge` makes the embedded model with it. The batch is always cut into the same parts, however many threads there are,
//! so that the weights depend on documents and seed alone.

use anyhow::{Result, ensure};

use crate::train::batch::{self, Item, Sequence};
use crate::train::gradient::TokenLogProbs;
use crate::train::hand::pass::Manner;
use crate::train::parameters::Numbers;
use crate::train::step::{LessonSettings, Pupil, StepReport};
use crate::train::student::{Handle, Student};
use crate::train::workers::Workers;

/// Parts of a batch whose gradients are added up in order.
const PARTS: usize = 2;

/// A document: all its tokens but the first are to be predicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    sequence: Sequence,
    /// The first token that counts in full.
    own: usize,
}

impl Document {
    /// Tokens before `own` count less.
    pub fn new(tokens: Vec<u32>, own: usize, most: usize) -> Result<Document> {
        let all = 0..tokens.len();
        ensure!(tokens.len() <= most, "a document of {} tokens is longer than {most}", tokens.len());
        Ok(Document { sequence: Sequence::new(tokens, all, most)?, own })
    }

    pub fn tokens(&self) -> usize {
        self.sequence.tokens.len()
    }

    /// The weights of the predicted tokens.
    fn weights(&self, prompt_weight: f64) -> Vec<f64> {
        self.sequence.reply.clone().map(|at| if at < self.own { prompt_weight } else { 1.0 }).collect()
    }
}

#[derive(Debug)]
pub struct Pretraining {
    pub pupil: Pupil,
    documents: Vec<Document>,
    settings: LessonSettings,
    /// Weight of a prompt's tokens; all others have 1.
    prompt_weight: f64,
}

impl Pretraining {
    pub fn new(
        student: impl Into<Student>,
        documents: Vec<Document>,
        settings: LessonSettings,
        prompt_weight: f64,
        workers: Workers,
    ) -> Result<Pretraining> {
        ensure!(!documents.is_empty(), "there are no documents to learn from");
        let steps = batch::steps(documents.len(), settings.batch, settings.epochs);
        Ok(Pretraining { pupil: Pupil::new(student, &settings, steps, workers), documents, settings, prompt_weight })
    }

    pub fn step(&mut self) -> Result<StepReport> {
        let chosen = batch::of_step(self.documents.len(), self.settings.batch, self.pupil.taken, self.settings.seed);
        let rows: Vec<&Document> = chosen.iter().map(|&item| &self.documents[item]).collect();
        let items: Vec<Item<'_>> = rows.iter().map(|row| Item::text(row.sequence.read())).collect();
        let tokens = rows.iter().map(|row| row.sequence.positions() as u64).sum();
        let total: f64 = rows.iter().flat_map(|row| row.weights(self.prompt_weight)).sum();
        let parts = batch::deal(&items, PARTS, self.settings.most_positions, self.pupil.student()?.pads());
        let (losses, gradient) = self.pupil.gradient(parts, |handle, group, sum| {
            let group: Vec<&Document> = group.into_iter().map(|item| rows[item]).collect();
            weighted(handle, &group, self.prompt_weight, total, sum)
        })?;
        self.pupil.apply(gradient, StepReport { loss: losses.iter().sum(), tokens, ..StepReport::default() })
    }
}

/// Loss Σ w·(−log p) / Σ w over a group of a batch whose weights sum to `total`; the gradient is added to `sum`.
fn weighted(
    handle: &Handle<'_>,
    group: &[&Document],
    prompt_weight: f64,
    total: f64,
    sum: &mut Numbers,
) -> Result<f64> {
    let weights: Vec<Vec<f64>> = group.iter().map(|document| document.weights(prompt_weight)).collect();
    let sequences: Vec<&Sequence> = group.iter().map(|document| &document.sequence).collect();
    let derivative = |_: &TokenLogProbs| {
        weights.iter().map(|own| own.iter().map(|weight| (-weight / total) as f32).collect()).collect()
    };
    let scored = handle.gradient(&sequences, Manner::default(), derivative, sum)?;
    let both = scored.iter().flatten().zip(weights.iter().flatten());
    Ok(both.map(|(&log_prob, weight)| -weight * f64::from(log_prob) / total).sum())
}
