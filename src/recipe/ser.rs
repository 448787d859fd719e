//! A reward model that teaches itself (SER, arXiv 2411.00418): what it learns from first, which of its own labels it believes, when it
//! stops, and which loop counts.
//!
//! The engine asks, trains and measures. Here nobody knows what people said of a pair, but for the pairs of the seed share: a pool's
//! labels are compared with people's afterwards, by whoever reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::label_suspicion::LabelSuspicionSettings;
use crate::run::measures::{Calibration, CalibrationBin};
use crate::run::reasons::{Settled, SideOf};

/// How the loops go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SerSettings {
    /// Share of the human-labelled prompts whose labels are used; the others' pairs are the pool, without labels.
    pub seed_share: f64,
    /// Loops after the first training, at most.
    pub loops: u32,
    /// A label is believed where one answer's p is above `high` and the other's below `low`, …
    pub low: f64,
    pub high: f64,
    /// … or where the two are further apart than this. p = sigmoid(reward).
    pub gap: f64,
    /// Take p of the reward minus the mean reward of all answers in the pool. Training on pairs leaves open where 0 is; off as published.
    pub centre: bool,
    /// Look at the whole pool again in every loop: a label may change or be taken back. Off as published: a label stays.
    pub relabel: bool,
    /// Stop when a loop's accuracy is not better than the best before by more than this.
    pub min_gain: f64,
    /// So many loops in a row may fail to gain before the run stops.
    pub patience: u32,
    /// What makes a label suspicious, beside the signs in texts that count as for pairs (`suspicion`).
    pub suspicion: LabelSuspicionSettings,
}

impl Default for SerSettings {
    fn default() -> Self {
        SerSettings {
            seed_share: 0.15,
            loops: 3,
            low: 0.45,
            high: 0.55,
            gap: 0.3,
            centre: true,
            relabel: false,
            min_gain: 0.0,
            patience: 1,
            suspicion: LabelSuspicionSettings::default(),
        }
    }
}

/// Which prompts are the seed: the share of them, rounded up, that comes first by the hash of their content and the seed. It does not
/// depend on the order of the prompts.
pub fn seed_share(prompts: &[&str], share: f64, seed: u64) -> Vec<bool> {
    let hash = |prompt: &str| *blake3::hash(format!("{seed}\0{prompt}").as_bytes()).as_bytes();
    let mut order: Vec<usize> = (0..prompts.len()).collect();
    order.sort_by_key(|&at| hash(prompts[at]));
    let count = (share.clamp(0.0, 1.0) * prompts.len() as f64).ceil() as usize;
    let mut chosen = vec![false; prompts.len()];
    order.into_iter().take(count).for_each(|at| chosen[at] = true);
    chosen
}

/// Which of two answers stands first where nobody is to see who was preferred: by the hash of what they say.
pub fn stands_first(prompt: &str, a: &str, b: &str) -> bool {
    let hash = |answer: &str| *blake3::hash(format!("{prompt}\0{answer}").as_bytes()).as_bytes();
    hash(a) <= hash(b)
}

pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// p of each answer of the pool's pairs, from their rewards.
pub fn probabilities(rewards: &[(f64, f64)], settings: &SerSettings) -> Vec<(f64, f64)> {
    let known = rewards.iter().flat_map(|&(a, b)| [a, b]).filter(|reward| reward.is_finite());
    let (sum, count) = known.fold((0.0, 0u32), |(sum, count), reward| (sum + reward, count + 1));
    let middle = if settings.centre && count > 0 { sum / f64::from(count) } else { 0.0 };
    rewards.iter().map(|&(a, b)| (sigmoid(a - middle), sigmoid(b - middle))).collect()
}

/// What the model says of a pair, where its learning status allows to believe it.
pub fn believed((first, second): (f64, f64), settings: &SerSettings) -> Option<SideOf> {
    let beats = |p: f64, other: f64| (p > settings.high && other < settings.low) || p - other > settings.gap;
    match (beats(first, second), beats(second, first)) {
        (true, false) => Some(SideOf::First),
        (false, true) => Some(SideOf::Second),
        // Neither; both is only possible with thresholds that contradict each other, and then nothing is known.
        (false, false) | (true, true) => None,
    }
}

/// By how much the probabilities of the answer that is labelled better, and of the other, pass the thresholds: below 0 the label would
/// not be believed.
pub fn slack((better, other): (f64, f64), settings: &SerSettings) -> f64 {
    (better - settings.high).min(settings.low - other).max(better - other - settings.gap)
}

/// The pool's labels after a loop: new ones where the model may be believed, earlier ones where they stay.
pub fn labels(before: &[Option<SideOf>], p: &[(f64, f64)], settings: &SerSettings) -> Vec<Option<SideOf>> {
    let now = p.iter().map(|&pair| believed(pair, settings));
    let before = before.iter().copied().chain(std::iter::repeat(None));
    now.zip(before).map(|(now, before)| if settings.relabel { now } else { before.or(now) }).collect()
}

/// Whether there is another loop after these, whose accuracies are given from loop 0 on. `left` is how many pairs of the pool have no
/// label yet.
pub fn settled(accuracies: &[Option<f64>], left: usize, settings: &SerSettings) -> Option<Settled> {
    let done = accuracies.len().saturating_sub(1) as u32;
    let since = accuracies.len() as u32 - 1 - best(accuracies, settings.min_gain).unwrap_or(0) as u32;
    if done >= settings.loops {
        Some(Settled::LoopsDone)
    } else if done > 0 && since >= settings.patience.max(1) {
        Some(Settled::NoGain)
    } else if done > 0 && left == 0 && !settings.relabel {
        Some(Settled::PoolEmpty)
    } else {
        None
    }
}

/// The loop that counts: the first that no later one beats by more than `min_gain`. A loop that lost accuracy is gone back on.
pub fn best(accuracies: &[Option<f64>], min_gain: f64) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (at, accuracy) in accuracies.iter().enumerate() {
        if let Some(accuracy) = *accuracy
            && best.is_none_or(|(_, most)| accuracy > most + min_gain)
        {
            best = Some((at, accuracy));
        }
    }
    best.map(|(at, _)| at)
}

/// How sure and how right: `pairs` are the log-odds r_j - r_k of the answer that people found better over the other.
pub fn calibration(pairs: &[f64], bins: usize) -> Calibration {
    let bins = bins.max(1);
    let mut found = vec![CalibrationBin::default(); bins];
    for &margin in pairs.iter().filter(|margin| margin.is_finite()) {
        let sure = sigmoid(margin.abs());
        let bin = &mut found[(((sure - 0.5) * 2.0 * bins as f64) as usize).min(bins - 1)];
        bin.n += 1;
        bin.sure += sure;
        bin.right += if margin > 0.0 { 1.0 } else { 0.5 * f64::from(u8::from(margin == 0.0)) };
    }
    let n: u32 = found.iter().map(|bin| bin.n).sum();
    let error: f64 = found.iter().map(|bin| (bin.sure - bin.right).abs()).sum();
    for bin in found.iter_mut().filter(|bin| bin.n > 0) {
        bin.sure /= f64::from(bin.n);
        bin.right /= f64::from(bin.n);
    }
    Calibration { error: (n > 0).then(|| error / f64::from(n)), bins: found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_share_is_as_large_as_asked_and_knows_no_order() {
        let prompts: Vec<String> = (0..200).map(|number| format!("prompt {number}")).collect();
        let all: Vec<&str> = prompts.iter().map(String::as_str).collect();
        for (share, count) in [(0.0, 0), (0.15, 30), (0.151, 31), (1.0, 200), (2.0, 200)] {
            assert_eq!(seed_share(&all, share, 7).iter().filter(|chosen| **chosen).count(), count, "{share}");
        }
        let chosen = seed_share(&all, 0.15, 7);
        let backwards: Vec<&str> = all.iter().rev().copied().collect();
        assert!(seed_share(&backwards, 0.15, 7).iter().rev().eq(&chosen), "the order of prompts does not count");
        assert_ne!(seed_share(&all, 0.15, 8), chosen, "the seed does");
        let smaller = seed_share(&all, 0.05, 7);
        assert!(
            smaller.iter().zip(&chosen).all(|(small, large)| !small || *large),
            "a larger share holds the smaller one"
        );
    }

    #[test]
    fn answers_stand_in_an_order_that_says_nothing_of_their_worth() {
        let first =
            (0..400).filter(|number| stands_first("p", &format!("good {number}"), &format!("bad {number}"))).count();
        assert!((150..250).contains(&first), "{first}");
        assert!(stands_first("p", "a", "b") != stands_first("p", "b", "a"));
    }

    #[test]
    fn a_label_is_believed_where_the_model_can_tell() {
        use SideOf::{First, Second};
        let settings = SerSettings::default();
        for (p, expected, says) in [
            ((0.56, 0.44), Some(First), "one good, one bad"),
            ((0.44, 0.56), Some(Second), "the other way round"),
            ((0.56, 0.46), None, "the other one is not bad"),
            ((0.54, 0.44), None, "the one is not good"),
            ((0.95, 0.64), Some(First), "both good, and far apart"),
            ((0.31, 0.0), Some(First), "both bad, and far apart"),
            ((0.30, 0.0), None, "not far enough"),
            ((0.5, 0.5), None, "the same"),
            ((f64::NAN, 0.1), None, "no number"),
        ] {
            assert_eq!(believed(p, &settings), expected, "{says}");
        }
        let contradicting = SerSettings { low: 0.9, high: 0.1, ..settings };
        assert_eq!(believed((0.5, 0.5), &contradicting), None);
    }

    #[test]
    fn slack_is_what_a_label_has_beyond_its_thresholds() {
        let settings = SerSettings::default();
        for (p, expected, says) in [
            ((0.60, 0.40), 0.05, "one good, one bad"),
            ((0.56, 0.30), 0.01, "the good one is barely good"),
            ((0.95, 0.60), 0.05, "both good, and far apart"),
            ((0.50, 0.50), -0.05, "nothing to believe"),
            ((0.10, 0.90), -0.45, "the other way round"),
        ] {
            assert!((slack(p, &settings) - expected).abs() < 1e-12, "{says}: {}", slack(p, &settings));
            assert_eq!(slack(p, &settings) > 0.0, believed(p, &settings) == Some(SideOf::First), "{says}");
        }
        assert!(slack((f64::NAN, 0.5), &settings).is_nan() || slack((f64::NAN, 0.5), &settings) < 0.0);
    }

    #[test]
    fn rewards_are_centred_where_that_is_asked() {
        let rewards = [(11.0, 9.0), (10.5, 9.5)];
        let centred = probabilities(&rewards, &SerSettings::default());
        assert!((centred[0].0 - sigmoid(1.0)).abs() < 1e-12 && (centred[1].1 - sigmoid(-0.5)).abs() < 1e-12);
        let plain = probabilities(&rewards, &SerSettings { centre: false, ..SerSettings::default() });
        assert!(plain.iter().all(|(a, b)| *a > 0.99 && *b > 0.99));
        assert!(probabilities(&[], &SerSettings::default()).is_empty());
    }

    #[test]
    fn labels_stay_or_are_given_anew() {
        use SideOf::{First, Second};
        let before = [Some(First), Some(First), None, None];
        let p = [(0.1, 0.9), (0.5, 0.5), (0.9, 0.1), (0.5, 0.5)];
        for (relabel, expected) in
            [(false, [Some(First), Some(First), Some(First), None]), (true, [Some(Second), None, Some(First), None])]
        {
            let settings = SerSettings { relabel, ..SerSettings::default() };
            assert_eq!(labels(&before, &p, &settings), expected);
            assert_eq!(labels(&[], &p, &settings), [Some(Second), None, Some(First), None], "nothing before");
        }
    }

    #[test]
    fn loops_end_for_one_of_three_reasons() {
        let settings = SerSettings { loops: 3, min_gain: 0.01, ..SerSettings::default() };
        for (accuracies, left, expected) in [
            (&[0.7][..], 100, None),
            (&[0.7], 0, None),
            (&[0.7, 0.75], 100, None),
            (&[0.7, 0.705], 100, Some(Settled::NoGain)),
            (&[0.7, 0.6], 100, Some(Settled::NoGain)),
            (&[0.7, 0.75], 0, Some(Settled::PoolEmpty)),
            (&[0.7, 0.75, 0.8, 0.85], 100, Some(Settled::LoopsDone)),
            (&[0.7, 0.75, 0.8, 0.2], 0, Some(Settled::LoopsDone)),
        ] {
            let accuracies: Vec<Option<f64>> = accuracies.iter().copied().map(Some).collect();
            assert_eq!(settled(&accuracies, left, &settings), expected, "{accuracies:?}, {left} left");
        }
        let patient = SerSettings { patience: 2, ..settings.clone() };
        assert_eq!(settled(&[Some(0.7), Some(0.6)], 9, &patient), None);
        assert_eq!(settled(&[Some(0.7), Some(0.6), Some(0.6)], 9, &patient), Some(Settled::NoGain));
        let again = SerSettings { relabel: true, ..settings.clone() };
        assert_eq!(settled(&[Some(0.7), Some(0.75)], 0, &again), None, "labels may still change");
        assert_eq!(settled(&[Some(0.7)], 9, &SerSettings { loops: 0, ..settings }), Some(Settled::LoopsDone));
    }

    #[test]
    fn a_loop_that_lost_is_gone_back_on() {
        for (accuracies, gain, expected) in [
            (&[Some(0.7), Some(0.8), Some(0.75)][..], 0.0, Some(1)),
            (&[Some(0.7), Some(0.6)], 0.0, Some(0)),
            (&[Some(0.7), Some(0.7)], 0.0, Some(0)),
            (&[Some(0.7), Some(0.705), Some(0.72)], 0.01, Some(2)),
            (&[None, Some(0.6)], 0.0, Some(1)),
            (&[None], 0.0, None),
            (&[], 0.0, None),
        ] {
            assert_eq!(best(accuracies, gain), expected, "{accuracies:?}");
        }
    }

    #[test]
    fn calibration_is_how_sure_against_how_right() {
        // Ten pairs at log-odds 2 (p = .881), eight of them right: one bin, off by .081.
        let pairs: Vec<f64> = (0..10).map(|at| if at < 8 { 2.0 } else { -2.0 }).collect();
        let found = calibration(&pairs, 5);
        assert_eq!(found.bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [0, 0, 0, 10, 0]);
        assert!((found.bins[3].right - 0.8).abs() < 1e-12 && (found.bins[3].sure - sigmoid(2.0)).abs() < 1e-12);
        assert!((found.error.unwrap() - (sigmoid(2.0) - 0.8)).abs() < 1e-12);
        // Equal rewards are a coin, and known to be one.
        let coin = calibration(&[0.0; 4], 5);
        assert_eq!((coin.bins[0].n, coin.bins[0].right, coin.error), (4, 0.5, Some(0.0)));
        // Without bound is as sure as can be; what is no number is left out.
        assert_eq!(calibration(&[f64::INFINITY, 900.0, f64::NAN], 5).bins[4].n, 1);
        assert_eq!(calibration(&[], 5).error, None);
    }
}
