//! What an evaluation measures, as plain numbers with their counts: agreement with humans, quality, head-to-head.
//!
//! Computed by `recipe`, recorded in `Evaluated`, shown by screens and reports. A metric without enough data is absent, never 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// Wilson's 95% interval of a share: inside 0 to 1, and it says something even after 0 of n. None of none.
    pub fn wilson(count: u32, n: u32) -> Option<Interval> {
        if n == 0 {
            return None;
        }
        let (z, n) = (1.959_963_984_540_054_f64, f64::from(n));
        let share = f64::from(count) / n;
        let scale = 1.0 + z * z / n;
        let centre = (share + z * z / (2.0 * n)) / scale;
        let half = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        Some(Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
    }
}

/// How a judge's scores agree with a reference ranking of the same responses. The keys are those of `metrics --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Agreement {
    /// Instructions with at least one response on both sides.
    pub prompts: u32,
    /// Response pairs of one instruction whose reference ranks differ.
    pub pairs: u32,
    /// Share of pairs ordered as the reference orders them; a tie or an unparsed score is wrong.
    pub pairwise_strict: Option<f64>,
    /// The same with a judge's tie counted one half; unparsed is wrong.
    pub pairwise_half: Option<f64>,
    /// The same among pairs that are neither tied nor unparsed; `coverage` is their share.
    pub pairwise_excluding: Option<f64>,
    pub coverage: Option<f64>,
    /// Among responses that the judge gave its top score: share that the reference ranks best of their instruction.
    pub five_best: Option<f64>,
    pub five_best_n: u32,
    /// Share of fully parsed instructions whose whole ordering equals the reference's, ties matching ties.
    pub exact_match: Option<f64>,
    pub exact_match_n: u32,
    /// Mean of Spearman's rho per instruction where it is defined.
    pub spearman: Option<f64>,
    pub spearman_n: u32,
    /// Mean of Kendall's tau-b per instruction where it is defined.
    pub kendall: Option<f64>,
    pub kendall_n: u32,
    /// Fully parsed instructions on which the judge (or the reference) is constant, so that correlation is undefined.
    pub undefined: u32,
    /// Over all responses at once.
    pub pooled_spearman: Option<f64>,
    pub pooled_kendall: Option<f64>,
    /// Responses without a parsed judge score, and all responses.
    pub unparsed: u32,
    pub responses: u32,
    /// Pairs that the judge ties.
    pub ties: u32,
    /// Pairs with an unparsed side.
    pub unparsed_pairs: u32,
    /// What a judge without knowledge would reach in `pairwise_strict`, given its ties and unparsed scores.
    pub chance_strict: Option<f64>,
    /// 95% bootstrap over instructions of `pairwise_half`.
    pub interval: Option<Interval>,
    /// The same of `pairwise_strict`.
    pub interval_strict: Option<Interval>,
}

impl Agreement {
    /// A judge that gave no score at all agrees with nobody and disagrees with nobody: its shares are zeros that mean nothing.
    pub fn is_silent(&self) -> bool {
        self.responses > 0 && self.unparsed == self.responses
    }
}

/// Whether a reward model is as sure as it is right: over pairs, p = sigmoid(|r_j - r_k|) against how often it is right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Calibration {
    /// Expected calibration error: the mean over pairs of |how sure - how often right|, bin by bin.
    pub error: Option<f64>,
    /// From .5 to 1 in equal steps; bins without a pair have a count of 0.
    pub bins: Vec<CalibrationBin>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationBin {
    pub n: u32,
    /// Mean of p.
    pub sure: f64,
    /// Share of pairs on which it is right; equal rewards count half.
    pub right: f64,
}

/// Quality of answers to held-out instructions by an exact oracle, where the data has one. The model never sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OracleQuality {
    pub n: u32,
    pub mean_t07: f64,
    pub perfect_t07: f64,
    pub mean_t10: f64,
    pub perfect_t10: f64,
    /// 95% intervals (normal for means, Wilson for shares).
    pub mean_t07_interval: Interval,
    pub perfect_t07_interval: Interval,
    pub mean_t10_interval: Interval,
    pub perfect_t10_interval: Interval,
}

/// What an exact oracle says afterwards of the pairs behind a model: how good they were, and what looking at them was worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hindsight {
    /// New prompts of the iteration.
    pub prompts: u32,
    /// Those of them that make sense to the oracle.
    pub well_formed: u32,
    /// Pairs as the judge made them that can be graded.
    pub pairs: u32,
    /// Those of them whose chosen answer is truly better.
    pub better: u32,
    /// The most suspicious pairs that the gate offered.
    pub offered: u32,
    /// Those of them that were wrong.
    pub offered_wrong: u32,
    /// Pairs that people decided.
    pub decided: u32,
    /// Those of them that were then used otherwise or not at all.
    pub changed: u32,
    /// How well suspicion tells wrong pairs from right ones: the area under its ROC curve, one half by chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspicion_auroc: Option<f64>,
}

/// Answers of one model against another's on held-out instructions; both orders must agree for a win.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeadToHead {
    pub against: crate::run::ids::Model,
    /// Who compared: the judge in both orders, or an exact oracle.
    pub by: Referee,
    pub win: u32,
    pub tie: u32,
    pub lose: u32,
    /// Comparisons without a verdict in at least one order (counted as ties).
    pub unparsed: u32,
    /// Mean length of the two sides' answers, in words.
    pub words: f64,
    pub words_against: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Referee {
    Judge,
    Oracle,
    /// A teacher outside.
    Teacher,
}

/// Lengths of a set of texts, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lengths {
    pub n: u32,
    pub mean: f64,
    pub p50: f64,
    pub p95: f64,
}

/// How varied a set of texts is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diversity {
    pub distinct_1: f64,
    pub distinct_2: f64,
    /// Share of repeated 4-grams within a text, mean.
    pub repetition: f64,
    /// Share of texts that ended at the length limit.
    pub truncated: f64,
}

/// The judge's scores over a set of replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScoreSpread {
    /// Counts of scores rounded to 0..=5.
    pub histogram: [u32; 6],
    pub unparsed: u32,
    pub mean: Option<f64>,
    /// Entropy of the histogram, in bits.
    pub entropy: Option<f64>,
    /// Spearman's rho between score and length in words, over all replies.
    pub length_rho: Option<f64>,
}
