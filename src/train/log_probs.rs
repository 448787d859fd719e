//! Log-probs of many replies: the same function for the policy, for its reference and for held-out data.

use anyhow::Result;

use crate::train::batch::Sequence;
use crate::train::gradient::TokenLogProbs;
use crate::train::student::Student;
use crate::train::workers::Workers;

/// Scores replies in order, in groups of at most so many positions.
pub fn log_probs(
    student: &Student,
    sequences: &[&Sequence],
    workers: &Workers,
    most_positions: usize,
) -> Result<TokenLogProbs> {
    student.each(sequences, Sequence::read, workers, most_positions, |handle, group| handle.log_probs(group))
}

/// The log-prob of a whole reply, added up in f64.
pub fn sum(tokens: &[f32]) -> f64 {
    tokens.iter().map(|&token| f64::from(token)).sum()
}
