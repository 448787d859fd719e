//! The rewards of whole texts, forward and back: the hidden state of each text's last token times one vector.
//!
//! `train/reward.rs` says what is lost. The product has a single column, so it is a plain sum over the width, in f64.

use anyhow::{Result, ensure};

use crate::train::batch::Sequence;
use crate::train::hand::layout::Reading;
use crate::train::hand::net::Net;
use crate::train::hand::pass::Manner;
use crate::train::hand::projection::Sums;
use crate::train::parameters::Numbers;

/// Whole texts, of which the last token's state is asked for.
fn readings<'a>(sequences: &[&'a Sequence]) -> Vec<Reading<'a>> {
    let reading = |sequence: &&'a Sequence| Reading {
        tokens: sequence.whole(),
        picked: sequence.reply.end - 1..sequence.reply.end,
    };
    sequences.iter().map(reading).collect()
}

impl Net {
    fn rewards_of(&self, hidden: &[f32]) -> Vec<f64> {
        let score = &self.numbers[self.place.head];
        let product = |row: &[f32]| row.iter().zip(score).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
        hidden.chunks_exact(score.len()).map(product).collect()
    }

    /// The rewards of replies, read to their end.
    pub fn rewards(&self, sequences: &[&Sequence]) -> Result<Vec<f64>> {
        ensure!(self.shape.reward, "it is no reward model: it has no score");
        let course = self.course(&readings(sequences), Manner::default())?;
        Ok(self.with_scratch(|scratch| {
            let x = self.up(&course, scratch);
            let last = self.last(&x, &course.layout.picked, scratch);
            let rewards = self.rewards_of(&last.after);
            scratch.give_all([x, last.before, last.inverse, last.after]);
            rewards
        }))
    }

    /// Rewards, and the gradient of a loss added to `sum`. `derivative` gets the rewards and says ∂ loss / ∂ r of each.
    pub fn reward_gradient(
        &self,
        sequences: &[&Sequence],
        manner: Manner,
        derivative: impl FnOnce(&[f64]) -> Vec<f64>,
        sum: &mut Numbers,
    ) -> Result<Vec<f64>> {
        ensure!(self.shape.reward && self.adapters.is_none(), "a reward model is trained whole, and has a score");
        let course = self.course(&readings(sequences), manner)?;
        self.with_scratch(|scratch| {
            let (x, kept) = self.up_keeping(&course, manner.recompute, scratch);
            let last = self.last(&x, &course.layout.picked, scratch);
            let rewards = self.rewards_of(&last.after);
            let coefficients = derivative(&rewards);
            ensure!(
                coefficients.len() == rewards.len(),
                "{} derivatives for {} texts",
                coefficients.len(),
                rewards.len()
            );
            let (width, score) = (self.shape.hidden, &self.numbers[self.place.head]);
            let mut by_after = scratch.take(last.after.len());
            let rows = by_after.chunks_exact_mut(width).zip(last.after.chunks_exact(width));
            for ((by_row, row), &coefficient) in rows.zip(&coefficients) {
                let coefficient = coefficient as f32;
                by_row.iter_mut().zip(score).for_each(|(by, w)| *by = coefficient * w);
                sum[self.place.head].iter_mut().zip(row).for_each(|(by, x)| *by += coefficient * x);
            }
            let mut sums = Sums::Base(sum);
            self.down(&course, (x, kept, last, by_after), &mut sums, scratch);
            Ok(rewards)
        })
    }
}
