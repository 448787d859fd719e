//! Fine-tuning on replies: the mean over a batch's reply tokens of −log p, prompts not learnt from.

use anyhow::{Result, ensure};

use crate::train::batch::{self, Item, Sequence};
use crate::train::gradient::TokenLogProbs;
use crate::train::hand::pass::Manner;
use crate::train::log_probs;
use crate::train::losses;
use crate::train::parameters::Numbers;
use crate::train::state::Fingerprint;
use crate::train::step::{LessonSettings, Pupil, StepReport};
use crate::train::student::{Handle, Student};
use crate::train::workers::Workers;

#[derive(Debug)]
pub struct Sft {
    pub pupil: Pupil,
    examples: Vec<Sequence>,
    held_out: Vec<Sequence>,
    settings: LessonSettings,
}

impl Sft {
    pub fn new(
        student: impl Into<Student>,
        examples: Vec<Sequence>,
        held_out: Vec<Sequence>,
        settings: LessonSettings,
        workers: Workers,
    ) -> Result<Sft> {
        ensure!(!examples.is_empty(), "there are no examples to learn from");
        let steps = batch::steps(examples.len(), settings.batch, settings.epochs);
        Ok(Sft { pupil: Pupil::new(student, &settings, steps, workers), examples, held_out, settings })
    }

    pub fn step(&mut self) -> Result<StepReport> {
        let (report, gradient) = self.measure()?;
        self.pupil.apply(gradient, report)
    }

    /// Loss and gradient of the next step, which is not taken.
    pub fn measure(&self) -> Result<(StepReport, Numbers)> {
        let chosen = batch::of_step(self.examples.len(), self.settings.batch, self.pupil.taken, self.settings.seed);
        let rows: Vec<&Sequence> = chosen.iter().map(|&item| &self.examples[item]).collect();
        let items: Vec<Item<'_>> = rows.iter().map(|sequence| Item::text(sequence.read())).collect();
        let tokens: u64 = rows.iter().map(|sequence| u64::from(sequence.reply_tokens())).sum();
        let pads = self.pupil.student()?.pads();
        let parts = batch::deal(&items, self.pupil.workers.count(), self.settings.most_positions, pads);
        let (losses, gradient) = self.pupil.gradient(parts, |handle, group, sum| {
            let manner = self.settings.manner(self.pupil.taken, 0, group.first().copied().unwrap_or(0));
            let group: Vec<&Sequence> = group.into_iter().map(|item| rows[item]).collect();
            answers(handle, &group, tokens, manner, sum)
        })?;
        let report = StepReport { loss: losses.iter().sum(), tokens, batch: chosen, ..StepReport::default() };
        Ok((report, gradient))
    }

    /// A name for what is learnt and in which order.
    pub fn fingerprint(&self) -> String {
        let mut print = Fingerprint::default();
        print.number(self.settings.seed).number(self.settings.batch as u64).number(self.examples.len() as u64);
        self.examples.iter().for_each(|example| {
            print.sequence(example);
        });
        print.name()
    }

    /// Mean loss per reply token of the held-out examples.
    pub fn held_out(&self) -> Result<Option<f64>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let rows: Vec<&Sequence> = self.held_out.iter().collect();
        let scored =
            log_probs::log_probs(self.pupil.student()?, &rows, &self.pupil.workers, self.settings.most_positions)?;
        let tokens: usize = scored.iter().map(Vec::len).sum();
        Ok(Some(-scored.iter().map(|own| log_probs::sum(own)).sum::<f64>() / tokens.max(1) as f64))
    }
}

/// Loss of some examples of a batch that has so many reply tokens in all; the gradient is added to `sum`.
pub fn answers(
    handle: &Handle<'_>,
    sequences: &[&Sequence],
    batch_tokens: u64,
    manner: Manner,
    sum: &mut Numbers,
) -> Result<f64> {
    let derivative = |log_probs: &TokenLogProbs| {
        let by = losses::sft(0.0, batch_tokens).1 as f32;
        log_probs.iter().map(|own| vec![by; own.len()]).collect()
    };
    let scored = handle.gradient(sequences, manner, derivative, sum)?;
    Ok(scored.iter().map(|own| losses::sft(log_probs::sum(own), batch_tokens).0).sum())
}
