//! How a set of texts or scores is spread: lengths, variety, score histograms, quality by an oracle.
//!
//! Used at the end of a stage and by evaluation. Every figure belongs to a whole set; what a single text shows is in `signs`.

use super::statistics::{entropy, mean, mean_interval, percentile_of_sorted, spearman, wilson};
use crate::run::measures::{Diversity, Interval, Lengths, OracleQuality, ScoreSpread};
use crate::run::reasons::{Ended, Scored};
use crate::text::likeness;

/// Words as a reader counts them: what stands between white space.
pub fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Lengths in words.
pub fn lengths(texts: &[&str]) -> Lengths {
    let mut words: Vec<f64> = texts.iter().map(|text| count_words(text) as f64).collect();
    words.sort_by(f64::total_cmp);
    let at = |share| percentile_of_sorted(&words, share).unwrap_or(0.0);
    Lengths { n: words.len() as u32, mean: mean(&words).unwrap_or(0.0), p50: at(0.5), p95: at(0.95) }
}

/// How varied the texts are. Distinct-n falls with the number of texts: compare sets of one size only.
pub fn diversity(texts: &[(&str, Ended)]) -> Diversity {
    let plain: Vec<&str> = texts.iter().map(|(text, _)| *text).collect();
    let repetitions: Vec<f64> = plain.iter().map(|text| likeness::repetition(text)).collect();
    let cut = texts.iter().filter(|(_, ended)| *ended == Ended::Length).count();
    Diversity {
        distinct_1: likeness::distinct(&plain, 1).unwrap_or(0.0),
        distinct_2: likeness::distinct(&plain, 2).unwrap_or(0.0),
        repetition: mean(&repetitions).unwrap_or(0.0),
        truncated: cut as f64 / texts.len().max(1) as f64,
    }
}

/// The judge's scores with the lengths (in words) of what they were given for.
pub fn score_spread(replies: &[(Scored, usize)]) -> ScoreSpread {
    let parsed: Vec<(f64, f64)> =
        replies.iter().filter_map(|(score, words)| Some((score.ok()?, *words as f64))).collect();
    let (scores, words): (Vec<f64>, Vec<f64>) = parsed.into_iter().unzip();
    let mut histogram = [0u32; 6];
    scores.iter().for_each(|score| histogram[score_class(*score)] += 1);
    ScoreSpread {
        histogram,
        unparsed: (replies.len() - scores.len()) as u32,
        mean: mean(&scores),
        entropy: entropy(&histogram),
        length_rho: spearman(&scores, &words),
    }
}

/// The score rounded to 0..=5.
pub fn score_class(score: f64) -> usize {
    score.round().clamp(0.0, 5.0) as usize
}

/// Oracle scores (0 to 5) of answers sampled at two temperatures, to the same held-out instructions. `None` without any.
pub fn oracle_quality(t07: &[f64], t10: &[f64]) -> Option<OracleQuality> {
    let perfect = |scores: &[f64]| scores.iter().filter(|score| **score >= 5.0).count() as u32;
    let share = |scores: &[f64]| f64::from(perfect(scores)) / scores.len() as f64;
    // One answer has a mean but no spread: its interval is all that a score can be.
    let around = |scores: &[f64]| mean_interval(scores).unwrap_or(Interval { low: 0.0, high: 5.0 });
    Some(OracleQuality {
        n: t07.len() as u32,
        mean_t07: mean(t07)?,
        perfect_t07: share(t07),
        mean_t10: mean(t10)?,
        perfect_t10: share(t10),
        mean_t07_interval: around(t07),
        perfect_t07_interval: wilson(perfect(t07), t07.len() as u32)?,
        mean_t10_interval: around(t10),
        perfect_t10_interval: wilson(perfect(t10), t10.len() as u32)?,
    })
}

/// Mean over prompts of Spearman's rho between score and length of its candidates, where defined.
/// Within prompts: across them, prompts that ask for more would pass for a judge that rewards more.
pub fn length_rho_within(prompts: &[Vec<(f64, usize)>]) -> Option<f64> {
    let rho = |candidates: &Vec<(f64, usize)>| {
        let (scores, words): (Vec<f64>, Vec<f64>) =
            candidates.iter().map(|&(score, words)| (score, words as f64)).unzip();
        spearman(&scores, &words)
    };
    mean(&prompts.iter().filter_map(rho).collect::<Vec<f64>>())
}

/// Share of a prompt's candidate pairs that are nearly the same text (ROUGE-L F1 over `limit`), over all prompts.
pub fn near_duplicates(prompts: &[Vec<&str>], limit: f64) -> Option<f64> {
    let (mut near, mut all) = (0u32, 0u32);
    for candidates in prompts {
        for (at, a) in candidates.iter().enumerate() {
            for b in &candidates[..at] {
                all += 1;
                near += u32::from(a == b || likeness::rouge_l(a, b) > limit);
            }
        }
    }
    (all > 0).then(|| f64::from(near) / f64::from(all))
}

/// Share of the most frequent beginning of `words` words among the prompts that are long enough to have one, and that beginning.
pub fn top_opening(prompts: &[&str], words: usize) -> Option<(String, f64)> {
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for prompt in prompts {
        let all = likeness::words(prompt);
        if let Some(opening) = all.get(..words) {
            *counts.entry(opening.join(" ")).or_default() += 1;
        }
    }
    let all: u32 = counts.values().sum();
    let (opening, count) = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)))?;
    Some((opening, f64::from(count) / f64::from(all)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::reasons::Unscored;

    #[test]
    fn lengths_and_variety_of_a_set() {
        let found = lengths(&["a b", "a b c d", "a"]);
        assert_eq!((found.n, found.mean, found.p50), (3, 7.0 / 3.0, 2.0));
        assert_eq!(lengths(&[]), Lengths::default());
        let varied = diversity(&[("a b", Ended::Eos), ("a c", Ended::Length)]);
        assert_eq!((varied.distinct_1, varied.distinct_2, varied.truncated), (0.75, 1.0, 0.5));
        assert_eq!(diversity(&[]), Diversity::default());
    }

    #[test]
    fn scores_are_spread_without_the_missing_ones() {
        let spread = score_spread(&[(Ok(4.6), 10), (Ok(1.0), 5), (Err(Unscored::Missing), 90), (Ok(5.0), 20)]);
        assert_eq!((spread.histogram, spread.unparsed), ([0, 1, 0, 0, 0, 2], 1));
        assert_eq!(spread.length_rho, Some(1.0));
        assert_eq!(score_spread(&[]), ScoreSpread::default());
    }

    #[test]
    fn oracle_quality_has_its_intervals() {
        let found = oracle_quality(&[5.0, 3.0, 4.0, 4.0], &[5.0; 4]).unwrap();
        assert_eq!((found.mean_t07, found.perfect_t07, found.perfect_t10), (4.0, 0.25, 1.0));
        assert!(found.mean_t07_interval.low < 4.0 && found.perfect_t10_interval.low < 0.7);
        assert_eq!(oracle_quality(&[], &[]), None);
    }

    #[test]
    fn what_a_set_of_prompts_or_candidates_repeats() {
        let prompts = ["What is the sea?", "what is the sky", "Name one river.", "Go"];
        assert_eq!(top_opening(&prompts, 3), Some(("what is the".to_string(), 2.0 / 3.0)));
        assert_eq!(top_opening(&[], 3), None);
        assert_eq!(near_duplicates(&[vec!["a b c", "a b c", "x"], vec!["!"]], 0.9), Some(1.0 / 3.0));
        assert_eq!(near_duplicates(&[], 0.9), None);
        let within = [vec![(1.0, 3), (2.0, 5)], vec![(5.0, 1), (1.0, 9)], vec![(2.0, 1), (2.0, 2)]];
        assert_eq!(length_rho_within(&within), Some(0.0));
    }
}
