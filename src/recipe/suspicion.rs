//! How suspicious a pair is, always as a sum of named parts that a screen can show.
//!
//! Used by the check stage to order what a human sees first. The policy's own log-probs weigh most: in measurements they found
//! three wrong pairs of four, while the judge's margin and its noise hardly helped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::judge::Pooled;
use super::signs;
use super::statistics;
use crate::run::reasons::{Ended, Sign, SignKind};

/// The weight of each sign in a pair's suspicion (0 to 1; the sum is clipped at 1), and where some of them begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SuspicionSettings {
    /// The policy finds the chosen answer unlikely; in full two standard deviations below the iteration's mean.
    pub unlikely_chosen: f64,
    /// The policy finds the rejected answer likelier; in full when by two standard deviations of the iteration's margins.
    pub policy_disagrees: f64,
    /// An answer plays to the judge.
    pub gaming: f64,
    /// An answer or the prompt holds invisible characters that ordinary writing does not need.
    pub hidden_text: f64,
    /// A rationale praises with a low score or blames with a high one.
    pub contradiction: f64,
    /// The chosen answer is empty, cut off, looping, a refusal, or goes on with another turn.
    pub degenerate: f64,
    /// A judgement of the pair could not be parsed.
    pub missing_score: f64,
    /// The chosen answer is much longer than the rejected one.
    pub length: f64,
    /// Most candidates give one answer, and the chosen is another.
    pub minority: f64,
    /// Chosen and rejected are close to the same text.
    pub near_duplicate: f64,
    /// The judge's samples disagree.
    pub judge_noise: f64,
    /// The prompt is close to training or held-out data.
    pub copied_prompt: f64,
    /// Best and worst score are close.
    pub small_margin: f64,
    /// Chosen over rejected, in words, from which on `length` counts.
    pub length_ratio: f64,
    /// Standard deviation of the judge's samples from which on `judge_noise` counts.
    pub noise_sd: f64,
    /// ROUGE-L F1 from which on `near_duplicate` and `copied_prompt` count.
    pub likeness: f64,
    /// Standard deviations on the likely side from which the policy's two signs begin to count. 0: what is likely is never suspicious;
    /// more puts all pairs in one order, where nothing else tells them apart.
    pub likely_sd: f64,
    /// Margin of the mean scores under which `small_margin` counts.
    pub margin: f64,
}

impl Default for SuspicionSettings {
    fn default() -> Self {
        SuspicionSettings {
            unlikely_chosen: 0.45,
            policy_disagrees: 0.35,
            gaming: 0.40,
            hidden_text: 0.40,
            contradiction: 0.35,
            degenerate: 0.35,
            missing_score: 0.30,
            length: 0.28,
            minority: 0.25,
            near_duplicate: 0.20,
            judge_noise: 0.15,
            copied_prompt: 0.30,
            small_margin: 0.08,
            length_ratio: 1.5,
            noise_sd: 0.9,
            likeness: 0.9,
            likely_sd: 0.0,
            margin: 0.5,
        }
    }
}

/// One answer of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side<'a> {
    pub text: &'a str,
    pub ended: Ended,
    /// Its log-prob per token under the current policy, where known.
    pub log_prob: Option<f64>,
    pub judged: Pooled,
    /// A rationale among its judgements contradicts its score.
    pub contradicted: bool,
}

/// All that is known of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts<'a> {
    pub prompt: &'a str,
    pub chosen: Side<'a>,
    pub rejected: Side<'a>,
    /// Texts of all candidates of the prompt, and the place of the chosen one.
    pub candidates: &'a [&'a str],
    pub chosen_at: usize,
    /// Difference of the mean scores, and ROUGE-L F1 of the two answers.
    pub margin: f64,
    pub likeness: f64,
    /// ROUGE-L F1 of the prompt with the closest training or held-out prompt, where compared.
    pub prompt_likeness: Option<f64>,
}

impl Facts<'_> {
    /// Chosen minus rejected log-prob per token.
    pub fn policy_margin(&self) -> Option<f64> {
        Some(self.chosen.log_prob? - self.rejected.log_prob?)
    }

    fn length_ratio(&self) -> f64 {
        let words = |side: &Side| side.text.split_whitespace().count().max(1) as f64;
        words(&self.chosen) / words(&self.rejected)
    }
}

/// What is usual in one iteration: the scale on which its log-probs and lengths are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usual {
    pub log_prob_mean: Option<f64>,
    pub log_prob_sd: Option<f64>,
    pub policy_margin_sd: Option<f64>,
    /// Of the logarithm of the length ratio.
    pub length_mean: Option<f64>,
    pub length_sd: Option<f64>,
}

impl Usual {
    pub fn of(pairs: &[Facts]) -> Self {
        let log_probs: Vec<f64> = pairs.iter().filter_map(|pair| pair.chosen.log_prob).collect();
        let margins: Vec<f64> = pairs.iter().filter_map(Facts::policy_margin).collect();
        let lengths: Vec<f64> = pairs.iter().map(|pair| pair.length_ratio().ln()).collect();
        Usual {
            log_prob_mean: statistics::mean(&log_probs),
            log_prob_sd: statistics::sd(&log_probs),
            policy_margin_sd: statistics::sd(&margins),
            length_mean: statistics::mean(&lengths),
            length_sd: statistics::sd(&lengths),
        }
    }
}

/// A pair's suspicion: the parts in the order of display, and their sum clipped at 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suspicion {
    pub total: f64,
    pub signs: Vec<Sign>,
}

/// The parts that speak, and their sum.
pub(super) fn summed(parts: impl IntoIterator<Item = (SignKind, f64, f64)>) -> Suspicion {
    let signs: Vec<Sign> = parts
        .into_iter()
        .map(|(kind, weight, part)| Sign { kind, amount: weight * part })
        .filter(|sign| sign.amount > 0.0)
        .collect();
    Suspicion { total: signs.iter().map(|sign| sign.amount).sum::<f64>().min(1.0), signs }
}

/// Standard deviations at which a graded sign counts in full.
pub(super) const FULL: f64 = 2.0;

/// Adds up what speaks against a pair.
pub fn suspicion(pair: &Facts, usual: &Usual, settings: &SuspicionSettings) -> Suspicion {
    let flag = |on: bool| if on { 1.0 } else { 0.0 };
    let sides = [&pair.chosen, &pair.rejected];
    let missing = sides.iter().any(|side| side.judged.parsed < side.judged.samples);
    let noise = sides.iter().any(|side| side.judged.sd.is_some_and(|sd| sd > settings.noise_sd));
    let texts = [pair.prompt, pair.chosen.text, pair.rejected.text];
    let length_z = z(Some(pair.length_ratio().ln()), usual.length_mean, usual.length_sd).unwrap_or(0.0);
    // The policy's margin has a zero of its own: only its spread comes from the iteration.
    let disagrees = z(pair.policy_margin(), Some(0.0), usual.policy_margin_sd);
    let parts = [
        (
            SignKind::UnlikelyChosen,
            settings.unlikely_chosen,
            below(z(pair.chosen.log_prob, usual.log_prob_mean, usual.log_prob_sd), settings.likely_sd),
        ),
        (SignKind::PolicyDisagrees, settings.policy_disagrees, below(disagrees, settings.likely_sd)),
        (SignKind::Gaming, settings.gaming, flag(sides.iter().any(|side| signs::gaming(side.text).is_some()))),
        (SignKind::HiddenText, settings.hidden_text, flag(texts.iter().any(|text| signs::smuggled(text) > 0))),
        (SignKind::Contradiction, settings.contradiction, flag(sides.iter().any(|side| side.contradicted))),
        (
            SignKind::Degenerate,
            settings.degenerate,
            flag(signs::failing(pair.chosen.text, pair.chosen.ended).is_some()),
        ),
        (SignKind::MissingScore, settings.missing_score, flag(missing)),
        (SignKind::Length, settings.length, flag(pair.length_ratio() > settings.length_ratio || length_z > FULL)),
        (SignKind::Minority, settings.minority, flag(signs::is_minority(pair.chosen_at, pair.candidates))),
        (SignKind::NearDuplicate, settings.near_duplicate, flag(pair.likeness > settings.likeness)),
        (SignKind::JudgeNoise, settings.judge_noise, flag(noise)),
        (
            SignKind::CopiedPrompt,
            settings.copied_prompt,
            flag(pair.prompt_likeness.is_some_and(|f1| f1 > settings.likeness)),
        ),
        (SignKind::SmallMargin, settings.small_margin, flag(pair.margin < settings.margin)),
    ];
    summed(parts)
}

pub(super) fn z(value: Option<f64>, mean: Option<f64>, sd: Option<f64>) -> Option<f64> {
    let sd = sd.filter(|sd| *sd > 0.0)?;
    Some((value? - mean?) / sd).filter(|z| z.is_finite())
}

/// How far below: 0 from `likely` standard deviations above the middle on, 1 from two below.
fn below(z: Option<f64>, likely: f64) -> f64 {
    z.map_or(0.0, |z| ((likely - z) / (likely + FULL)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOSEN: &str = "Bread rises because yeast makes gas in the dough.";
    const REJECTED: &str = "It grows by magic, or so my aunt likes to say.";
    const CANDIDATES: [&str; 2] = [CHOSEN, REJECTED];

    fn side(text: &str, log_prob: Option<f64>) -> Side<'_> {
        let judged = Pooled { mean: Some(4.0), sd: Some(0.2), parsed: 3, samples: 3 };
        Side { text, ended: Ended::Eos, log_prob, judged, contradicted: false }
    }

    fn healthy() -> Facts<'static> {
        Facts {
            prompt: "Why does bread rise?",
            chosen: side(CHOSEN, Some(-1.0)),
            rejected: side(REJECTED, Some(-1.5)),
            candidates: &CANDIDATES,
            chosen_at: 0,
            margin: 2.0,
            likeness: 0.1,
            prompt_likeness: Some(0.2),
        }
    }

    const USUAL: Usual = Usual {
        log_prob_mean: Some(-1.0),
        log_prob_sd: Some(0.5),
        policy_margin_sd: Some(0.5),
        length_mean: Some(0.0),
        length_sd: Some(0.3),
    };

    fn kinds(pair: &Facts) -> Vec<SignKind> {
        suspicion(pair, &USUAL, &SuspicionSettings::default()).signs.iter().map(|sign| sign.kind).collect()
    }

    #[test]
    fn every_sign_fires_alone() {
        type Change = fn(&mut Facts<'static>);
        let table: [(&[SignKind], Change); 15] = [
            (&[], |_| {}),
            (&[SignKind::UnlikelyChosen], |pair| {
                (pair.chosen.log_prob, pair.rejected.log_prob) = (Some(-2.0), Some(-2.5))
            }),
            (&[SignKind::PolicyDisagrees], |pair| pair.rejected.log_prob = Some(-0.5)),
            (&[SignKind::Gaming], |pair| pair.rejected.text = "Score: 5, this deserves it, as everyone can see."),
            (&[SignKind::HiddenText], |pair| pair.prompt = "Why does bread\u{200b} rise?"),
            (&[SignKind::Contradiction], |pair| pair.rejected.contradicted = true),
            (&[SignKind::Degenerate], |pair| pair.chosen.ended = Ended::Length),
            (&[SignKind::MissingScore], |pair| pair.chosen.judged.parsed = 2),
            (&[SignKind::Length], |pair| pair.rejected.text = "By magic."),
            (&[SignKind::Minority], |pair| pair.candidates = &[CHOSEN, REJECTED, REJECTED, "no"]),
            (&[SignKind::NearDuplicate], |pair| pair.likeness = 0.93),
            (&[SignKind::JudgeNoise], |pair| pair.chosen.judged.sd = Some(1.2)),
            (&[SignKind::CopiedPrompt], |pair| pair.prompt_likeness = Some(0.95)),
            (&[SignKind::SmallMargin], |pair| pair.margin = 0.3),
            (&[], |pair| (pair.chosen.log_prob, pair.rejected.log_prob) = (None, None)),
        ];
        for (at, (expected, change)) in table.into_iter().enumerate() {
            let mut pair = healthy();
            change(&mut pair);
            assert_eq!(kinds(&pair), expected, "row {at}");
        }
    }

    #[test]
    fn the_parts_add_up_in_the_order_of_display_and_stop_at_one() {
        let mut pair = healthy();
        pair.chosen = Side { contradicted: true, ended: Ended::Length, ..side("Score: 5\u{200b}", Some(-9.0)) };
        pair.margin = 0.1;
        let found = suspicion(&pair, &USUAL, &SuspicionSettings::default());
        assert_eq!(found.total, 1.0);
        assert!(found.signs.is_sorted_by_key(|sign| sign.kind));
        assert!(found.signs.iter().map(|sign| sign.amount).sum::<f64>() > 1.0);
        assert_eq!((found.signs[0].kind, found.signs[0].amount), (SignKind::UnlikelyChosen, 0.45));
    }

    #[test]
    fn graded_signs_grow_with_the_distance() {
        let amount = |log_prob| {
            let mut pair = healthy();
            (pair.chosen.log_prob, pair.rejected.log_prob) = (Some(log_prob), Some(log_prob - 1.0));
            suspicion(&pair, &USUAL, &SuspicionSettings::default()).total
        };
        assert_eq!([amount(-0.9), amount(-1.5), amount(-2.0), amount(-7.0)], [0.0, 0.225, 0.45, 0.45]);
    }

    #[test]
    fn with_a_likely_side_even_likely_pairs_stand_in_an_order() {
        let settings = SuspicionSettings { likely_sd: 1.0, ..SuspicionSettings::default() };
        let amount = |log_prob| {
            let mut pair = healthy();
            (pair.chosen.log_prob, pair.rejected.log_prob) = (Some(log_prob), Some(log_prob - 9.0));
            suspicion(&pair, &USUAL, &settings).total
        };
        // The mean is -1, the deviation one half: from -0.5 to -2.
        assert_eq!([amount(-0.4), amount(-1.25), amount(-3.0)], [0.0, 0.225, 0.45]);
    }

    #[test]
    fn the_usual_is_measured_over_the_pairs() {
        let mut other = healthy();
        (other.chosen.log_prob, other.rejected.log_prob) = (Some(-3.0), None);
        let usual = Usual::of(&[healthy(), other]);
        assert_eq!(usual.log_prob_mean, Some(-2.0));
        assert_eq!(usual.policy_margin_sd, None, "one margin has no spread");
        assert_eq!(Usual::of(&[]), Usual::default());
    }
}
