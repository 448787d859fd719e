//! How a judge agrees with a reference ranking of the same responses: every measure with its count and its policy on ties.
//!
//! Used by held-out evaluation of each model and by `metrics` on score files. The paper leaves ties and unparsed scores open, so
//! pairwise accuracy comes in three forms; the interval is taken over instructions, because responses of one are no independent draws.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seeds::{Seed, Stream};
use super::statistics::{kendall_tau_b, mean, percentile_of_sorted, spearman};
use crate::run::measures::{Agreement, Interval};

/// How agreement is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AgreementSettings {
    /// A mean score from here on is the judge's top score in 5-best (4.5: scores that round to 5).
    pub top_score: f64,
    /// Bootstrap resamples of the intervals.
    pub resamples: u32,
    /// The pooled correlations place responses without a score below all others, as the published pooled figures do;
    /// otherwise such responses are left out of them.
    pub pooled_unparsed_lowest: bool,
}

impl Default for AgreementSettings {
    fn default() -> Self {
        AgreementSettings { top_score: 5.0, resamples: 2000, pooled_unparsed_lowest: true }
    }
}

/// One response of an instruction, as both sides see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// The judge's mean score: higher is better. `None`: unparsed.
    pub judge: Option<f64>,
    /// The reference's rank: lower is better (the negative of a reference score will do). `None`: the reference has none.
    pub rank: Option<f64>,
}

/// All measures over a set of instructions. `seed` decides the bootstrap and nothing else.
pub fn agreement(instructions: &[Vec<Response>], settings: &AgreementSettings, seed: Seed) -> Agreement {
    let mut out = Agreement::default();
    let mut tallies = Vec::with_capacity(instructions.len());
    let (mut best, mut exact) = (0u32, 0u32);
    let (mut rhos, mut taus) = (Vec::new(), Vec::new());
    for responses in instructions {
        let both = responses.iter().filter(|one| one.judge.is_some() && one.rank.is_some()).count();
        out.prompts += u32::from(both > 0);
        out.responses += responses.len() as u32;
        out.unparsed += responses.iter().filter(|one| one.judge.is_none()).count() as u32;
        let tally = Tally::of(responses);
        out.pairs += tally.pairs;
        out.ties += tally.ties;
        out.unparsed_pairs += tally.unparsed;
        tallies.push(tally);

        let top = responses.iter().filter(|one| one.judge.is_some_and(|score| score >= settings.top_score));
        let first = responses.iter().filter_map(|one| one.rank).min_by(f64::total_cmp);
        for response in top {
            out.five_best_n += 1;
            best += u32::from(response.rank.is_some() && response.rank == first);
        }
        if both == responses.len() && both > 1 {
            let scores: Vec<f64> = responses.iter().filter_map(|one| one.judge).collect();
            let merits: Vec<f64> = responses.iter().filter_map(|one| one.rank).map(|rank| -rank).collect();
            if merits.iter().any(|merit| *merit != merits[0]) {
                out.exact_match_n += 1;
                exact += u32::from(same_order(&scores, &merits));
            }
            match (spearman(&scores, &merits), kendall_tau_b(&scores, &merits)) {
                (Some(rho), Some(tau)) => {
                    rhos.push(rho);
                    taus.push(tau);
                }
                _ => out.undefined += 1,
            }
        }
    }
    let all = Tally::sum(tallies.iter());
    out.pairwise_strict = all.strict();
    out.pairwise_half = all.half();
    out.pairwise_excluding = share(f64::from(all.right), all.decided());
    out.coverage = share(f64::from(all.decided()), all.pairs);
    // A judge without knowledge is right in half of the pairs on which it decides.
    out.chance_strict = out.coverage.map(|coverage| coverage / 2.0);
    out.five_best = share(f64::from(best), out.five_best_n);
    out.exact_match = share(f64::from(exact), out.exact_match_n);
    (out.spearman, out.spearman_n) = (mean(&rhos), rhos.len() as u32);
    (out.kendall, out.kendall_n) = (mean(&taus), taus.len() as u32);
    (out.pooled_spearman, out.pooled_kendall) = pooled(instructions, settings);
    (out.interval, out.interval_strict) = intervals(&tallies, settings.resamples, seed);
    out
}

fn share(part: f64, whole: u32) -> Option<f64> {
    (whole > 0).then(|| part / f64::from(whole))
}

/// Pairs of one instruction (or of many) whose reference ranks differ, by what the judge says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    pairs: u32,
    right: u32,
    ties: u32,
    unparsed: u32,
}

impl Tally {
    fn of(responses: &[Response]) -> Self {
        let mut tally = Tally::default();
        for (at, a) in responses.iter().enumerate() {
            for b in &responses[..at] {
                let (Some(rank_a), Some(rank_b)) = (a.rank, b.rank) else { continue };
                if rank_a == rank_b {
                    continue;
                }
                tally.pairs += 1;
                match (a.judge, b.judge) {
                    (Some(a), Some(b)) if a == b => tally.ties += 1,
                    (Some(a), Some(b)) => tally.right += u32::from((a > b) == (rank_a < rank_b)),
                    _ => tally.unparsed += 1,
                }
            }
        }
        tally
    }

    fn sum<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Self {
        tallies.fold(Tally::default(), |sum, one| Tally {
            pairs: sum.pairs + one.pairs,
            right: sum.right + one.right,
            ties: sum.ties + one.ties,
            unparsed: sum.unparsed + one.unparsed,
        })
    }

    fn decided(&self) -> u32 {
        self.pairs - self.ties - self.unparsed
    }

    fn strict(&self) -> Option<f64> {
        share(f64::from(self.right), self.pairs)
    }

    fn half(&self) -> Option<f64> {
        share(f64::from(self.right) + f64::from(self.ties) / 2.0, self.pairs)
    }
}

/// The same order of every two, ties matching ties.
fn same_order(a: &[f64], b: &[f64]) -> bool {
    let compare = |x: f64, y: f64| x.partial_cmp(&y);
    (0..a.len()).all(|i| (0..i).all(|j| compare(a[i], a[j]) == compare(b[i], b[j])))
}

fn pooled(instructions: &[Vec<Response>], settings: &AgreementSettings) -> (Option<f64>, Option<f64>) {
    let (mut scores, mut merits) = (Vec::new(), Vec::new());
    for response in instructions.iter().flatten() {
        if settings.pooled_unparsed_lowest || (response.judge.is_some() && response.rank.is_some()) {
            // Only the order counts, so minus infinity is a place, not a value.
            scores.push(response.judge.unwrap_or(f64::NEG_INFINITY));
            merits.push(response.rank.map_or(f64::NEG_INFINITY, |rank| -rank));
        }
    }
    (spearman(&scores, &merits), kendall_tau_b(&scores, &merits))
}

/// 95% percentile intervals of the half-tie and the strict accuracy, instructions drawn with replacement.
fn intervals(tallies: &[Tally], resamples: u32, seed: Seed) -> (Option<Interval>, Option<Interval>) {
    let tallies: Vec<&Tally> = tallies.iter().filter(|tally| tally.pairs > 0).collect();
    // One instruction resamples to itself: an interval of no width would be a lie.
    if tallies.len() < 2 || resamples == 0 {
        return (None, None);
    }
    let mut stream: Stream = seed.named("bootstrap").stream();
    let (mut halves, mut stricts) = (Vec::new(), Vec::new());
    for _ in 0..resamples {
        let drawn = (0..tallies.len()).map(|_| tallies[stream.below(tallies.len())]);
        let sum = Tally::sum(drawn);
        halves.extend(sum.half());
        stricts.extend(sum.strict());
    }
    let interval = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        Some(Interval { low: percentile_of_sorted(&values, 0.025)?, high: percentile_of_sorted(&values, 0.975)? })
    };
    (interval(halves), interval(stricts))
}
