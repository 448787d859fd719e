//! Chooses one preference pair among a prompt's candidates, or says why there is none.
//!
//! Used by the pairs stage, again whenever a human edits a score, and once more over an iteration's pairs when the policy's
//! own margins are known. Decides over plain values; a missing score takes no part.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::judge::Pooled;
use crate::run::reasons::{Ended, NoPair};
use crate::text::likeness;

/// Which candidates become a pair. The defaults are the paper's rule (best against worst, equal scores give no pair).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PairSettings {
    /// Smallest difference of the mean scores. 0: any difference will do.
    pub min_margin: f64,
    /// Meta-Rewarding's length control, 0 to 1: the chosen answer is the shortest of those whose score lies within this part of
    /// the range below the best, the rejected one the longest within the same part above the worst. 0: off.
    pub length_rho: f64,
    /// Chosen and rejected that are more alike than this (ROUGE-L F1) teach nothing.
    pub max_likeness: f64,
    /// Skip the prompt when its chosen or rejected answer was cut off by the length limit.
    pub skip_truncated: bool,
    /// Share of an iteration's pairs to drop, those whose chosen answer the policy itself finds least likely against the rejected.
    pub drop_low_policy_margin: f64,
}

impl Default for PairSettings {
    fn default() -> Self {
        PairSettings {
            min_margin: 0.0,
            length_rho: 0.0,
            max_likeness: 0.95,
            skip_truncated: true,
            drop_low_policy_margin: 0.0,
        }
    }
}

/// One candidate as the choice sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<'a> {
    /// The judge's mean score, where it has one.
    pub mean: Option<f64>,
    /// A human's score in its place.
    pub edited: Option<f64>,
    pub text: &'a str,
    pub ended: Ended,
}

impl Candidate<'_> {
    pub fn score(&self) -> Option<f64> {
        self.edited.or(self.mean).filter(|score| score.is_finite())
    }
}

/// The pair, as places among the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    pub chosen: usize,
    pub rejected: usize,
    /// Difference of the scores.
    pub margin: f64,
    /// ROUGE-L F1 of the two.
    pub likeness: f64,
}

/// Means that differ by less than this differ by rounding only.
const SAME: f64 = 1e-9;

/// Best against worst. Among equals the first stands, so that the choice depends on nothing else.
pub fn choose_pair(candidates: &[Candidate], settings: &PairSettings) -> Result<Choice, NoPair> {
    const NEEDED: u32 = 2;
    let scored: Vec<(usize, f64)> =
        candidates.iter().enumerate().filter_map(|(at, candidate)| Some((at, candidate.score()?))).collect();
    let too_few = NoPair::TooFewScores { scored: scored.len() as u32, needed: NEEDED };
    if scored.len() < NEEDED as usize {
        return Err(too_few);
    }
    // `reduce` keeps the first of equals.
    let best = scored.iter().copied().reduce(|a, b| if b.1 > a.1 + SAME { b } else { a }).ok_or(too_few.clone())?;
    let worst = scored.iter().copied().reduce(|a, b| if b.1 < a.1 - SAME { b } else { a }).ok_or(too_few)?;
    if best.1 - worst.1 <= SAME {
        return Err(NoPair::Tie);
    }
    let (best, worst) = if settings.length_rho > 0.0 {
        length_controlled(candidates, &scored, (best, worst), settings.length_rho)
    } else {
        (best, worst)
    };
    let margin = best.1 - worst.1;
    if margin <= SAME {
        return Err(NoPair::Tie);
    }
    if margin + SAME < settings.min_margin {
        return Err(NoPair::SmallMargin { margin, needed: settings.min_margin });
    }
    let likeness = fit_to_learn_from(&candidates[best.0], &candidates[worst.0], settings)?;
    Ok(Choice { chosen: best.0, rejected: worst.0, margin, likeness })
}

/// A teacher's answer against the model's own, by who wrote them. Nobody has scored them, so there is no margin.
pub fn demonstrated(own: &Candidate, taught: &Candidate, settings: &PairSettings) -> Result<Choice, NoPair> {
    let likeness = fit_to_learn_from(taught, own, settings)?;
    Ok(Choice { chosen: 1, rejected: 0, margin: f64::NAN, likeness })
}

/// The likeness of two answers that differ enough to teach something, or why they do not.
fn fit_to_learn_from(chosen: &Candidate, rejected: &Candidate, settings: &PairSettings) -> Result<f64, NoPair> {
    if [chosen, rejected].iter().any(|side| side.text.trim().is_empty()) {
        return Err(NoPair::Empty);
    }
    if settings.skip_truncated && [chosen, rejected].iter().any(|side| side.ended == Ended::Length) {
        return Err(NoPair::Truncated);
    }
    // Texts without a word (only signs) have no ROUGE-L, but may still be the same text.
    let same = chosen.text.trim() == rejected.text.trim();
    let likeness = if same { 1.0 } else { likeness::rouge_l(chosen.text, rejected.text) };
    if same || likeness > settings.max_likeness {
        return Err(NoPair::NearDuplicate { likeness });
    }
    Ok(likeness)
}

/// The choice after a human gave candidate `at` another score.
pub fn choose_with_edit(
    candidates: &[Candidate],
    at: usize,
    score: f64,
    settings: &PairSettings,
) -> Result<Choice, NoPair> {
    let mut edited = candidates.to_vec();
    if let Some(candidate) = edited.get_mut(at) {
        candidate.edited = Some(score);
    }
    choose_pair(&edited, settings)
}

type Scored = (usize, f64);

/// Meta-Rewarding's rule: shortest of the top band against longest of the bottom band.
fn length_controlled(
    candidates: &[Candidate],
    scored: &[Scored],
    (best, worst): (Scored, Scored),
    rho: f64,
) -> (Scored, Scored) {
    let rho = rho.min(1.0);
    let top_from = (1.0 - rho) * best.1 + rho * worst.1 - SAME;
    let bottom_to = (1.0 - rho) * worst.1 + rho * best.1 + SAME;
    let length = |at: usize| candidates[at].text.chars().count();
    let top = scored.iter().copied().filter(|(_, score)| *score >= top_from);
    let bottom = scored.iter().copied().filter(|(_, score)| *score <= bottom_to);
    let shortest = top.reduce(|a, b| if length(b.0) < length(a.0) { b } else { a }).unwrap_or(best);
    let longest = bottom.reduce(|a, b| if length(b.0) > length(a.0) { b } else { a }).unwrap_or(worst);
    // Wide bands overlap, and then the two may stand the wrong way round: the plain choice is kept.
    if shortest.1 > longest.1 + SAME { (shortest, longest) } else { (best, worst) }
}

/// The cut over one iteration's pairs: `share` of those whose margin is known, lowest first (ties: later ones first).
/// A margin is the policy's log-prob per token of chosen minus rejected. Pairs without one stay.
pub fn cut_low_policy_margins(margins: &[Option<f64>], share: f64) -> Vec<Option<NoPair>> {
    let mut known: Vec<(usize, f64)> =
        margins.iter().enumerate().filter_map(|(at, margin)| Some((at, margin.filter(|m| !m.is_nan())?))).collect();
    known.sort_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    let dropped = (known.len() as f64 * share.clamp(0.0, 1.0) + SAME).floor() as usize;
    let cut = known.get(dropped).or(known.last()).map_or(0.0, |(_, margin)| *margin);
    let mut out = vec![None; margins.len()];
    for &(at, margin) in &known[..dropped] {
        out[at] = Some(NoPair::LowPolicyMargin { margin, cut });
    }
    out
}

/// Share of pairs whose margin lies within two standard errors of the judge's means: chosen against rejected, each with
/// its standard deviation and number of parsed scores. `None` where no pair has both deviations.
pub fn noisy_pairs(pairs: &[(f64, Pooled, Pooled)]) -> Option<f64> {
    let noisy = |(margin, chosen, rejected): &(f64, Pooled, Pooled)| {
        let square = |side: &Pooled| Some(side.sd?.powi(2) / f64::from(side.parsed));
        Some(*margin < 2.0 * (square(chosen)? + square(rejected)?).sqrt())
    };
    let known: Vec<bool> = pairs.iter().filter_map(noisy).collect();
    (!known.is_empty()).then(|| known.iter().filter(|noisy| **noisy).count() as f64 / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates<'a>(rows: &[(Option<f64>, &'a str)]) -> Vec<Candidate<'a>> {
        rows.iter().map(|&(mean, text)| Candidate { mean, edited: None, text, ended: Ended::Eos }).collect()
    }

    const TEXTS: [&str; 4] = [
        "a long answer about many things and more",
        "short words",
        "some middle sized answer here",
        "nothing else at all",
    ];

    fn of(means: [Option<f64>; 4]) -> Vec<Candidate<'static>> {
        candidates(&[(means[0], TEXTS[0]), (means[1], TEXTS[1]), (means[2], TEXTS[2]), (means[3], TEXTS[3])])
    }

    fn places(found: Result<Choice, NoPair>) -> Result<(usize, usize), String> {
        found.map(|choice| (choice.chosen, choice.rejected)).map_err(|why| why.name().to_string())
    }

    #[test]
    fn best_against_worst_or_a_reason() {
        let none = None;
        let table = [
            ([Some(3.0), Some(4.0), Some(1.0), Some(2.0)], Ok((1, 2))),
            ([Some(4.0), Some(4.0), Some(1.0), Some(1.0)], Ok((0, 2))),
            ([Some(4.0); 4], Err("tie")),
            // A third of ten, added in another order.
            ([Some(0.1 + 0.2), Some(0.3), none, none], Err("tie")),
            ([Some(4.0), none, none, none], Err("too_few_scores")),
            ([none; 4], Err("too_few_scores")),
            // The unparsed one is not the lowest.
            ([none, Some(4.0), Some(2.0), none], Ok((1, 2))),
            ([Some(f64::NAN), Some(4.0), none, none], Err("too_few_scores")),
        ];
        for (means, expected) in table {
            assert_eq!(
                places(choose_pair(&of(means), &PairSettings::default())),
                expected.map_err(str::to_string),
                "{means:?}"
            );
        }
        assert_eq!(choose_pair(&[], &PairSettings::default()), Err(NoPair::TooFewScores { scored: 0, needed: 2 }));
    }

    #[test]
    fn a_pair_that_teaches_nothing_is_skipped_with_its_reason() {
        let pair = |chosen, rejected| candidates(&[(Some(5.0), chosen), (Some(1.0), rejected)]);
        let plain = PairSettings::default();
        assert_eq!(choose_pair(&pair("yes, of course", "  \n"), &plain), Err(NoPair::Empty));
        assert_eq!(
            choose_pair(&pair("The same words.", "the same words"), &plain),
            Err(NoPair::NearDuplicate { likeness: 1.0 })
        );
        assert_eq!(choose_pair(&pair("!?", "!?"), &plain), Err(NoPair::NearDuplicate { likeness: 1.0 }));
        let mut cut = pair("one answer", "another thing");
        cut[1].ended = Ended::Length;
        assert_eq!(choose_pair(&cut, &plain), Err(NoPair::Truncated));
        assert!(choose_pair(&cut, &PairSettings { skip_truncated: false, ..plain.clone() }).is_ok());
        let strict = PairSettings { min_margin: 0.6, ..plain };
        let close = of([Some(3.0), Some(3.5), None, None]);
        assert_eq!(choose_pair(&close, &strict), Err(NoPair::SmallMargin { margin: 0.5, needed: 0.6 }));
        let enough = of([Some(3.0), Some(3.6), None, None]);
        assert_eq!(places(choose_pair(&enough, &strict)), Ok((1, 0)), "a margin that equals the threshold is enough");
    }

    #[test]
    fn length_control_takes_the_shorter_good_and_the_longer_bad() {
        let settings = |rho| PairSettings { length_rho: rho, ..PairSettings::default() };
        let scored = of([Some(5.0), Some(4.6), Some(1.0), Some(1.2)]);
        assert_eq!(places(choose_pair(&scored, &settings(0.0))), Ok((0, 2)));
        assert_eq!(places(choose_pair(&scored, &settings(0.1))), Ok((1, 2)));
        assert_eq!(
            places(choose_pair(&scored, &settings(1.0))),
            Ok((0, 2)),
            "overlapping bands fall back to best against worst"
        );
    }

    #[test]
    fn an_edited_score_pairs_anew() {
        let scored = of([Some(3.0), Some(4.0), Some(1.0), None]);
        let settings = PairSettings::default();
        assert_eq!(places(choose_with_edit(&scored, 3, 5.0, &settings)), Ok((3, 2)));
        assert_eq!(places(choose_with_edit(&scored, 1, 0.0, &settings)), Ok((0, 1)));
        assert_eq!(
            places(choose_with_edit(&scored, 9, 0.0, &settings)),
            Ok((1, 2)),
            "no such candidate: nothing changes"
        );
    }

    #[test]
    fn the_lowest_policy_margins_are_cut() {
        let margins = [Some(0.5), None, Some(-1.0), Some(0.1), Some(-0.2)];
        let names = |share| cut_low_policy_margins(&margins, share).iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(names(0.0), [false; 5]);
        assert_eq!(names(0.3), [false, false, true, false, false]);
        assert_eq!(names(0.5), [false, false, true, false, true]);
        assert_eq!(names(1.0), [true, false, true, true, true]);
        assert_eq!(
            cut_low_policy_margins(&margins, 0.25)[2],
            Some(NoPair::LowPolicyMargin { margin: -1.0, cut: -0.2 })
        );
    }

    #[test]
    fn pairs_within_two_standard_errors_are_noisy() {
        let side = |sd| Pooled { mean: Some(4.0), sd, parsed: 4, samples: 4 };
        // Standard error of the difference: sqrt(1/4 + 1/4) = 0.71.
        let pair = |margin, sd| (margin, side(sd), side(sd));
        let pairs = [pair(1.0, Some(1.0)), pair(2.0, Some(1.0)), pair(0.5, Some(0.0)), pair(0.1, None)];
        assert_eq!(noisy_pairs(&pairs), Some(1.0 / 3.0));
        assert_eq!(noisy_pairs(&pairs[3..]), None);
    }
}
