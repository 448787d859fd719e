//! A whole pass: texts to log-probs of their replies, and from what a loss says of each the way back to the weights.

use anyhow::{Result, ensure};
use pulp::Arch;

use crate::train::batch::Sequence;
use crate::train::dropout::Dropout;
use crate::train::gradient::TokenLogProbs;
use crate::train::hand::head::Head;
use crate::train::hand::lanes;
use crate::train::hand::layer::{Course, Kept};
use crate::train::hand::layout::{Layout, Reading};
use crate::train::hand::net::Net;
use crate::train::hand::projection::Sums;
use crate::train::hand::scratch::Scratch;
use crate::train::parameters::Numbers;

/// How a gradient is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Manner {
    /// Of what the layers add.
    pub dropout: Option<Dropout>,
    /// Of what the adapters read.
    pub adapter_dropout: Option<Dropout>,
    /// Keep each layer's input only and compute the rest again on the way back: a third more time, far less memory.
    pub recompute: bool,
}

/// What of some texts is to be predicted.
struct Targets {
    tokens: Vec<u32>,
    lengths: Vec<usize>,
}

impl Targets {
    fn new(sequences: &[&Sequence]) -> Targets {
        let replies = sequences.iter().flat_map(|sequence| &sequence.tokens[sequence.reply.clone()]);
        let lengths = sequences.iter().map(|sequence| sequence.reply.len()).collect();
        Targets { tokens: replies.copied().collect(), lengths }
    }

    fn by_sequence(&self, flat: &[f32]) -> TokenLogProbs {
        let mut rest = flat;
        let mut cut = |&length: &usize| {
            let (own, after) = rest.split_at(length);
            rest = after;
            own.to_vec()
        };
        self.lengths.iter().map(&mut cut).collect()
    }
}

/// The last hidden states of the picked rows, before and after the final norm.
pub(super) struct Last {
    pub(super) before: Vec<f32>,
    pub(super) inverse: Vec<f32>,
    pub(super) after: Vec<f32>,
}

/// What of the texts the log-probs of their replies depend on.
fn readings<'a>(sequences: &[&'a Sequence]) -> Vec<Reading<'a>> {
    let reading = |sequence: &&'a Sequence| Reading {
        tokens: sequence.read(),
        picked: sequence.reply.start - 1..sequence.reply.end - 1,
    };
    sequences.iter().map(reading).collect()
}

impl Net {
    pub(super) fn course(&self, texts: &[Reading<'_>], manner: Manner) -> Result<Course<'_>> {
        for text in texts {
            let (length, most) = (text.tokens.len(), self.shape.max_positions);
            ensure!(length <= most, "{length} tokens are more than the model's {most}");
            let beyond = text.tokens.iter().find(|&&token| token as usize >= self.shape.vocab);
            ensure!(beyond.is_none(), "token {beyond:?} is beyond the vocabulary of {}", self.shape.vocab);
        }
        ensure!(texts.iter().any(|text| !text.tokens.is_empty()), "a batch needs at least one token");
        let Manner { dropout, adapter_dropout, .. } = manner;
        // Each text has masks of its own.
        let apart = dropout.is_some() || adapter_dropout.is_some();
        let frequencies = self.shape.rope.inverse_frequencies(self.shape.head_dim);
        Ok(Course { net: self, layout: Layout::new(texts, &frequencies, apart), dropout, adapter_dropout })
    }

    pub(super) fn embed(&self, tokens: &[u32], scratch: &mut Scratch) -> Vec<f32> {
        let (table, width) = (&self.numbers[self.place.embedding], self.shape.hidden);
        let mut x = scratch.take(tokens.len() * width);
        for (row, &token) in x.chunks_exact_mut(width).zip(tokens) {
            row.copy_from_slice(&table[token as usize * width..][..width]);
        }
        x
    }

    pub(super) fn last(&self, x: &[f32], picked: &[usize], scratch: &mut Scratch) -> Last {
        let width = self.shape.hidden;
        let mut before = scratch.take(picked.len() * width);
        for (row, &at) in before.chunks_exact_mut(width).zip(picked) {
            row.copy_from_slice(&x[at * width..][..width]);
        }
        let (mut inverse, mut after) = (scratch.take(picked.len()), scratch.take(before.len()));
        let weight = &self.numbers[self.place.norm];
        lanes::norm(Arch::new(), &before, weight, self.shape.rms_eps, &mut inverse, &mut after);
        Last { before, inverse, after }
    }

    fn head<'a>(&'a self, targets: &'a Targets) -> Head<'a> {
        Head { weight: &self.numbers[self.place.head], width: self.shape.hidden, targets: &targets.tokens }
    }

    /// Log-probs without a gradient.
    pub fn log_probs(&self, sequences: &[&Sequence]) -> Result<TokenLogProbs> {
        self.shape.ensure_it_writes()?;
        let course = self.course(&readings(sequences), Manner::default())?;
        let targets = Targets::new(sequences);
        Ok(self.with_scratch(|scratch| {
            let x = self.up(&course, scratch);
            let last = self.last(&x, &course.layout.picked, scratch);
            let (flat, _) = self.head(&targets).log_probs(&last.after, false, scratch);
            scratch.give_all([x, last.before, last.inverse, last.after]);
            targets.by_sequence(&flat)
        }))
    }

    /// Log-probs, and the gradient of a loss added to `sum`. `derivative` gets the log-probs and says ∂ loss / ∂ log p of
    /// every token.
    pub fn gradient(
        &self,
        sequences: &[&Sequence],
        manner: Manner,
        derivative: impl FnOnce(&TokenLogProbs) -> TokenLogProbs,
        sum: &mut Numbers,
    ) -> Result<TokenLogProbs> {
        self.shape.ensure_it_writes()?;
        let course = self.course(&readings(sequences), manner)?;
        let targets = Targets::new(sequences);
        self.with_scratch(|scratch| {
            let (x, kept) = self.up_keeping(&course, manner.recompute, scratch);
            let last = self.last(&x, &course.layout.picked, scratch);
            let head = self.head(&targets);
            let (flat, pieces) = head.log_probs(&last.after, true, scratch);
            let log_probs = targets.by_sequence(&flat);
            let coefficients = derivative(&log_probs).concat();
            ensure!(coefficients.len() == flat.len(), "{} derivatives for {} tokens", coefficients.len(), flat.len());
            let mut sums = if self.adapters.is_some() { Sums::Adapters(sum) } else { Sums::Base(sum) };
            let by_after = head.gradient(&last.after, &coefficients, pieces, sums.base(self.place.head), scratch);
            self.down(&course, (x, kept, last, by_after), &mut sums, scratch);
            Ok(log_probs)
        })
    }

    /// The hidden states of the last layer's wanted rows, nothing kept.
    pub(super) fn up(&self, course: &Course<'_>, scratch: &mut Scratch) -> Vec<f32> {
        let mut x = self.embed(&course.layout.tokens, scratch);
        for layer in 0..self.shape.layers {
            course.forward(layer, &mut x, scratch).give_back(scratch);
        }
        x
    }

    /// The same, with what the way back needs.
    pub(super) fn up_keeping(
        &self,
        course: &Course<'_>,
        recompute: bool,
        scratch: &mut Scratch,
    ) -> (Vec<f32>, Vec<Memory>) {
        let mut x = self.embed(&course.layout.tokens, scratch);
        let mut kept = Vec::with_capacity(self.shape.layers);
        for layer in 0..self.shape.layers {
            kept.push(if recompute {
                let mut input = scratch.take(x.len());
                input.copy_from_slice(&x);
                course.forward(layer, &mut x, scratch).give_back(scratch);
                Memory::Input(input)
            } else {
                Memory::All(Box::new(course.forward(layer, &mut x, scratch)))
            });
        }
        (x, kept)
    }

    /// From the gradient at the picked rows after the final norm back to all weights below it.
    pub(super) fn down(
        &self,
        course: &Course<'_>,
        (x, kept, last, mut by_after): (Vec<f32>, Vec<Memory>, Last, Vec<f32>),
        sums: &mut Sums<'_>,
        scratch: &mut Scratch,
    ) {
        let mut by_before = scratch.zeros(last.before.len());
        let (before, inverse) = (&last.before, &last.inverse);
        course.norm_back(self.place.norm, before, inverse, &mut by_after, &mut by_before, sums);
        // The output of the last layer is needed no more: its gradient takes its place.
        let mut by_x = x;
        by_x.fill(0.0);
        let width = self.shape.hidden;
        for (row, &at) in by_before.chunks_exact(width).zip(&course.layout.picked) {
            // Where texts part ways one row predicts the next token of each.
            lanes::add(Arch::new(), &mut by_x[at * width..][..width], row);
        }
        scratch.give_all([last.before, last.inverse, last.after, by_after, by_before]);
        for (layer, memory) in kept.into_iter().enumerate().rev() {
            let kept = match memory {
                Memory::All(kept) => *kept,
                Memory::Input(mut input) => {
                    let kept = course.forward(layer, &mut input, scratch);
                    scratch.give(input);
                    kept
                }
            };
            course.backward(layer, kept, &mut by_x, sums, scratch);
        }
        if let Some(table) = sums.base(self.place.embedding) {
            for (row, &token) in by_x.chunks_exact(width).zip(&course.layout.tokens) {
                lanes::add(Arch::new(), &mut table[token as usize * width..][..width], row);
            }
        }
        scratch.give(by_x);
    }
}

/// What is remembered of a layer.
pub(super) enum Memory {
    All(Box<Kept>),
    Input(Vec<f32>),
}
