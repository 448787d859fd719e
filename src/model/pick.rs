//! From logits to one token: repetition penalty, temperature, top-k, top-p, min-p, and a draw.
//!
//! The order of the filters is that of transformers. A draw is a function of the logits, the settings and one number
//! in [0, 1): it keeps no state, and equal logits are told apart by the smaller token id.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use pulp::{Arch, Simd, WithSimd};

use crate::model::packed::lanes;

#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 always takes the likeliest token.
    pub temperature: f32,
    /// The smallest set of likeliest tokens that holds this much probability; 1 keeps all.
    pub top_p: f32,
    /// The number of likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Tokens at least this likely in proportion to the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Divides positive logits of tokens that already stand there, multiplies negative ones; 1 does nothing.
    pub repetition_penalty: f32,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, repetition_penalty: 1.0 }
    }
}

impl Sampling {
    pub const GREEDY: Sampling =
        Sampling { temperature: 0.0, top_p: 1.0, top_k: 0, min_p: 0.0, repetition_penalty: 1.0 };

    pub fn check(&self) -> Result<()> {
        let Sampling { temperature, top_p, min_p, repetition_penalty, .. } = *self;
        ensure!((0.0..=100.0).contains(&temperature), "temperature {temperature} is not between 0 and 100");
        ensure!(top_p > 0.0 && top_p <= 1.0, "top-p {top_p} is not above 0 and at most 1");
        ensure!((0.0..=1.0).contains(&min_p), "min-p {min_p} is not between 0 and 1");
        let penalty_fits = (0.01..=100.0).contains(&repetition_penalty);
        ensure!(penalty_fits, "repetition penalty {repetition_penalty} is not between 0.01 and 100");
        Ok(())
    }
}

/// Picks a token. The logits are changed on the way; `seen` are the tokens of prompt and reply so far.
pub fn pick(arch: Arch, logits: &mut [f32], sampling: &Sampling, seen: &BTreeSet<u32>, draw: f64) -> u32 {
    if sampling.repetition_penalty != 1.0 {
        for &token in seen {
            if let Some(logit) = logits.get_mut(token as usize) {
                let penalty = sampling.repetition_penalty;
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }
    let best = likeliest(logits);
    if sampling.temperature == 0.0 {
        return best as u32;
    }
    let largest = logits[best];
    arch.dispatch(Weigh { logits, largest, temperature: sampling.temperature });
    let weights = logits;
    if sampling.top_k == 0 && sampling.top_p >= 1.0 && sampling.min_p <= 0.0 {
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        return draw_from(weights.iter().copied().enumerate(), total, draw).unwrap_or(best) as u32;
    }
    let kept = filter(weights, sampling);
    let total: f64 = kept.iter().map(|&token| f64::from(weights[token as usize])).sum();
    let pairs = kept.iter().map(|&token| (token as usize, weights[token as usize]));
    draw_from(pairs, total, draw).unwrap_or(best) as u32
}

/// The index of the largest value, the first among equals.
pub fn likeliest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (index, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = index;
        }
    }
    best
}

/// The tokens that pass top-k, top-p and min-p, likeliest first.
fn filter(weights: &[f32], sampling: &Sampling) -> Vec<u32> {
    let likelier = |a: &u32, b: &u32| weights[*b as usize].total_cmp(&weights[*a as usize]).then(a.cmp(b));
    // The likeliest weighs exactly 1, so min-p compares with it directly.
    let mut kept: Vec<u32> =
        (0..weights.len() as u32).filter(|&token| weights[token as usize] >= sampling.min_p).collect();
    if sampling.top_k > 0 && sampling.top_k < kept.len() {
        kept.select_nth_unstable_by(sampling.top_k - 1, likelier);
        kept.truncate(sampling.top_k);
    }
    if sampling.top_p >= 1.0 {
        kept.sort_unstable_by(likelier);
        return kept;
    }
    // Before min-p: top-p takes its share of all that top-k left. Weights below min-p still count in the total.
    let total: f64 = if sampling.top_k > 0 {
        let mut sorted = kept.clone();
        sorted.sort_unstable_by(likelier);
        sorted.iter().map(|&token| f64::from(weights[token as usize])).sum()
    } else {
        weights.iter().map(|&weight| f64::from(weight)).sum()
    };
    // Sorting a large vocabulary for a handful of tokens would cost more than the model: sort the head, grow if short.
    let wanted = f64::from(sampling.top_p) * total;
    let mut head = 64;
    loop {
        let sorted = head.min(kept.len());
        if sorted < kept.len() {
            kept.select_nth_unstable_by(sorted - 1, likelier);
        }
        kept[..sorted].sort_unstable_by(likelier);
        let mut sum = 0.0;
        for (index, &token) in kept[..sorted].iter().enumerate() {
            sum += f64::from(weights[token as usize]);
            if sum >= wanted {
                kept.truncate(index + 1);
                return kept;
            }
        }
        if sorted == kept.len() {
            return kept;
        }
        head *= 8;
    }
}

fn draw_from(weights: impl Iterator<Item = (usize, f32)>, total: f64, draw: f64) -> Option<usize> {
    let wanted = draw * total;
    let (mut sum, mut last) = (0.0, None);
    for (token, weight) in weights {
        sum += f64::from(weight);
        if weight > 0.0 {
            last = Some(token);
        }
        if sum > wanted {
            break;
        }
    }
    last
}

struct Weigh<'a> {
    logits: &'a mut [f32],
    largest: f32,
    temperature: f32,
}

impl WithSimd for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for logit in self.logits {
            *logit = lanes::exp((*logit - self.largest) / self.temperature);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chances(logits: &[f32], sampling: &Sampling) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        for i in 0..10_000 {
            let token = pick(Arch::new(), &mut logits.to_vec(), sampling, &BTreeSet::new(), f64::from(i) / 10_000.0);
            counts[token as usize] += 1e-4;
        }
        counts
    }

    #[test]
    fn each_filter_leaves_the_chances_that_it_should() {
        let logits: Vec<f32> = [0.1f32, 0.4, 0.3, 0.15, 0.05].iter().map(|p| p.ln() + 3.0).collect();
        let all = Sampling::default();
        for (name, sampling, expected) in [
            ("everything", all.clone(), vec![0.1, 0.4, 0.3, 0.15, 0.05]),
            ("greedy", Sampling::GREEDY, vec![0.0, 1.0, 0.0, 0.0, 0.0]),
            ("top-k", Sampling { top_k: 2, ..all.clone() }, vec![0.0, 4.0 / 7.0, 3.0 / 7.0, 0.0, 0.0]),
            ("top-p", Sampling { top_p: 0.75, ..all.clone() }, vec![0.0, 0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0.0]),
            ("min-p", Sampling { min_p: 0.3, ..all.clone() }, vec![0.0, 0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0.0]),
            (
                "top-p of what top-k left",
                Sampling { top_k: 3, top_p: 0.5, ..all.clone() },
                vec![0.0, 4.0 / 7.0, 3.0 / 7.0, 0.0, 0.0],
            ),
            (
                "temperature",
                Sampling { temperature: 0.5, top_k: 2, ..all },
                vec![0.0, 16.0 / 25.0, 9.0 / 25.0, 0.0, 0.0],
            ),
        ] {
            for (got, expected) in chances(&logits, &sampling).iter().zip(&expected) {
                assert!((got - expected).abs() < 2e-3, "{name}: {got} for {expected}");
            }
        }
    }

    #[test]
    fn a_penalty_pushes_down_what_was_seen_on_either_side_of_zero() {
        let sampling = Sampling { repetition_penalty: 2.0, ..Sampling::GREEDY };
        for (mut logits, seen, expected) in
            [(vec![3.0, 2.0], 0, 1), (vec![3.0, 1.0], 0, 0), (vec![-1.0, -1.5], 0, 1), (vec![-1.0, -3.0], 0, 0)]
        {
            assert_eq!(pick(Arch::new(), &mut logits, &sampling, &BTreeSet::from([seen]), 0.5), expected);
        }
    }

    #[test]
    fn equal_logits_go_to_the_smaller_id_and_a_large_vocabulary_is_cut_right() {
        assert_eq!(likeliest(&[1.0, 2.0, 2.0]), 1);
        let flat = vec![0.0; 5_000];
        let sampling = Sampling { top_p: 0.5, ..Sampling::default() };
        let mut largest = 0;
        for i in 0..500 {
            let draw = f64::from(i) / 500.0;
            largest = largest.max(pick(Arch::new(), &mut flat.clone(), &sampling, &BTreeSet::new(), draw));
        }
        assert!((2_480..2_500).contains(&largest), "{largest}");
    }
}
