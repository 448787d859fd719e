//! Log-probs of many replies: the same function for the policy, for its reference and for held-out data.

use anyhow::Result;

use crate::train::batch::{Sequence, deal};
use crate::train::gradient::TokenLogProbs;
use crate::train::student::{Handle, Student};
use crate::train::workers::Workers;

/// Scores replies in order, in groups of at most so many positions.
pub fn log_probs(
    student: &Student,
    sequences: &[&Sequence],
    workers: &Workers,
    most_positions: usize,
) -> Result<TokenLogProbs> {
    let sizes: Vec<usize> = sequences.iter().map(|sequence| sequence.positions()).collect();
    let dealt = deal(&sizes, workers.count(), most_positions, student.pads());
    let parts: Vec<(Handle<'_>, Vec<Vec<usize>>)> =
        dealt.into_iter().map(|groups| (student.handle(), groups)).collect();
    let scored = workers.each(parts, |(handle, groups)| -> Result<Vec<(usize, Vec<f32>)>> {
        let mut scored = Vec::new();
        for group in groups {
            let rows: Vec<&Sequence> = group.iter().map(|&item| sequences[item]).collect();
            scored.extend(group.iter().copied().zip(handle.log_probs(&rows)?));
        }
        Ok(scored)
    });
    let mut all = vec![Vec::new(); sequences.len()];
    for part in scored {
        for (item, own) in part? {
            all[item] = own;
        }
    }
    Ok(all)
}

/// The log-prob of a whole reply, added up in f64.
pub fn sum(tokens: &[f32]) -> f64 {
    tokens.iter().map(|&token| f64::from(token)).sum()
}
