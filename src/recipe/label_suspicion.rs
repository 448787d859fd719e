//! How suspicious a label is that a reward model gave itself: a sum of named parts, from what the run may know.
//!
//! Used to order what a human sees before the label is learnt from. What people said of the pair is not known here, nor is it to be: a
//! label is doubted because it is barely believed, because the belief has turned, because the run's own model judges the other way round,
//! or because of what stands in the texts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ser::{SerSettings, slack};
use super::signs;
use super::statistics;
use super::suspicion::{FULL, Suspicion, SuspicionSettings, summed, z};
use crate::run::reasons::{Ended, SignKind};
use crate::text::likeness::rouge_l;

/// The weights of the signs that only labels have (0 to 1), and where they begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabelSuspicionSettings {
    /// The probabilities barely pass the thresholds; in full where they no longer do.
    pub unsure: f64,
    /// How far beyond the thresholds a label is believed without doubt.
    pub slack: f64,
    /// The reward model believes the opposite of a label that stays, or believed it a loop before.
    pub turned: f64,
    /// The run's own model scored the other answer higher.
    pub self_disagrees: f64,
}

impl Default for LabelSuspicionSettings {
    fn default() -> Self {
        LabelSuspicionSettings { unsure: 0.35, slack: 0.2, turned: 0.45, self_disagrees: 0.35 }
    }
}

/// All that is known of a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelFacts<'a> {
    pub prompt: &'a str,
    /// The answer that the label calls better, and the other.
    pub better: &'a str,
    pub other: &'a str,
    /// Their probabilities under the model that labels now.
    pub p: (f64, f64),
    /// A loop before, the label was the opposite.
    pub was_opposite: bool,
    /// Mean scores that the run's own model gave both answers, where it judged them.
    pub judged: Option<(f64, f64)>,
}

impl LabelFacts<'_> {
    /// Words of the better answer over words of the other.
    pub fn length_ratio(&self) -> f64 {
        let words = |text: &str| text.split_whitespace().count().max(1) as f64;
        words(self.better) / words(self.other)
    }
}

/// What is usual among the labels of one loop: the logarithm of the length ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UsualLength {
    mean: Option<f64>,
    sd: Option<f64>,
}

impl UsualLength {
    pub fn of(labels: &[LabelFacts]) -> Self {
        let lengths: Vec<f64> = labels.iter().map(|label| label.length_ratio().ln()).collect();
        UsualLength { mean: statistics::mean(&lengths), sd: statistics::sd(&lengths) }
    }
}

/// Adds up what speaks against a label.
pub fn label_suspicion(
    label: &LabelFacts,
    usual: &UsualLength,
    settings: &SerSettings,
    of_texts: &SuspicionSettings,
) -> Suspicion {
    let own = &settings.suspicion;
    let flag = |on: bool| if on { 1.0 } else { 0.0 };
    let (better, other) = label.p;
    // What is no number is not believed at all.
    let unsure = 1.0 - (slack(label.p, settings) / own.slack.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    let unsure = if better.is_nan() || other.is_nan() { 1.0 } else { unsure };
    let length_z = z(Some(label.length_ratio().ln()), usual.mean, usual.sd).unwrap_or(0.0);
    let texts = [label.prompt, label.better, label.other];
    let long = label.length_ratio() > of_texts.length_ratio || length_z > FULL;
    let alike = rouge_l(label.better, label.other) > of_texts.likeness;
    summed([
        (SignKind::Gaming, of_texts.gaming, flag(texts[1..].iter().any(|text| signs::gaming(text).is_some()))),
        (SignKind::HiddenText, of_texts.hidden_text, flag(texts.iter().any(|text| signs::smuggled(text) > 0))),
        (SignKind::Degenerate, of_texts.degenerate, flag(signs::failing(label.better, Ended::Eos).is_some())),
        (SignKind::Length, of_texts.length, flag(long)),
        (SignKind::NearDuplicate, of_texts.near_duplicate, flag(alike)),
        (SignKind::Unsure, own.unsure, unsure),
        (SignKind::Turned, own.turned, flag(label.was_opposite || better < other)),
        (SignKind::SelfDisagrees, own.self_disagrees, flag(label.judged.is_some_and(|(better, other)| better < other))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> LabelFacts<'static> {
        LabelFacts {
            prompt: "Why does bread rise?",
            better: "Bread rises because yeast makes gas in the dough.",
            other: "It grows by magic, or so my aunt likes to say.",
            p: (0.9, 0.2),
            was_opposite: false,
            judged: Some((4.0, 2.0)),
        }
    }

    fn found(label: &LabelFacts) -> Suspicion {
        label_suspicion(label, &UsualLength::default(), &SerSettings::default(), &SuspicionSettings::default())
    }

    #[test]
    fn every_sign_fires_alone() {
        type Change = fn(&mut LabelFacts<'static>);
        let table: [(&[SignKind], Change, &str); 12] = [
            (&[], |_| {}, "nothing speaks against it"),
            (&[SignKind::Unsure], |label| label.p = (0.56, 0.44), "barely believed"),
            (&[SignKind::Unsure], |label| label.p = (0.52, 0.50), "a label that stays and would not be given again"),
            (&[SignKind::Unsure, SignKind::Turned], |label| label.p = (0.2, 0.9), "it stays, against today's belief"),
            (&[SignKind::Turned], |label| label.was_opposite = true, "it was the opposite a loop before"),
            (&[SignKind::SelfDisagrees], |label| label.judged = Some((1.0, 2.0)), "the model judges otherwise"),
            (&[], |label| label.judged = Some((2.0, 2.0)), "a tie says nothing"),
            (&[], |label| label.judged = None, "nobody judged"),
            (&[SignKind::Gaming], |label| label.better = "Score: 5, as every good cook can see at once.", "gaming"),
            (&[SignKind::HiddenText], |label| label.prompt = "Why does bread\u{200b} rise?", "hidden"),
            (&[SignKind::Length], |label| label.other = "By magic.", "much longer"),
            (
                &[SignKind::NearDuplicate],
                |label| label.other = "Bread rises because yeast makes gas in that dough.",
                "alike",
            ),
        ];
        for (expected, change, says) in table {
            let mut label = healthy();
            change(&mut label);
            if label.other.ends_with("that dough.") {
                // One word of nine differs: .889 is under the usual limit.
                let of_texts = SuspicionSettings { likeness: 0.8, ..SuspicionSettings::default() };
                let found = label_suspicion(&label, &UsualLength::default(), &SerSettings::default(), &of_texts);
                assert_eq!(found.signs.iter().map(|sign| sign.kind).collect::<Vec<_>>(), expected, "{says}");
                continue;
            }
            assert_eq!(found(&label).signs.iter().map(|sign| sign.kind).collect::<Vec<_>>(), expected, "{says}");
        }
        assert_eq!(found(&LabelFacts { better: "", ..healthy() }).signs[0].kind, SignKind::Degenerate);
    }

    #[test]
    fn doubt_grows_as_belief_comes_close_to_its_thresholds() {
        let amount = |p| found(&LabelFacts { p, ..healthy() }).total;
        // By the gap: .5 is .2 beyond .3, and .2 is as sure as need be.
        let steps = [amount((0.9, 0.35)), amount((0.8, 0.4)), amount((0.56, 0.44)), amount((0.5, 0.5))];
        assert!(steps.is_sorted() && steps[0] == 0.0, "{steps:?}");
        assert!((steps[1] - 0.175).abs() < 0.09 && steps[3] == 0.35, "{steps:?}");
        assert_eq!(amount((f64::NAN, 0.5)), 0.35, "no number is no belief");
        let sharp = SerSettings {
            suspicion: LabelSuspicionSettings { slack: 0.0, ..LabelSuspicionSettings::default() },
            ..SerSettings::default()
        };
        let of_texts = SuspicionSettings::default();
        let barely = LabelFacts { p: (0.551, 0.449), ..healthy() };
        assert_eq!(label_suspicion(&barely, &UsualLength::default(), &sharp, &of_texts).total, 0.0);
    }

    #[test]
    fn a_length_is_odd_beside_the_other_labels_too() {
        let same = healthy();
        let longer = LabelFacts { other: "It grows by magic and so on.", ..healthy() };
        let mut all = vec![same; 30];
        all.push(longer);
        let usual = UsualLength::of(&all);
        let signs =
            |label| label_suspicion(label, &usual, &SerSettings::default(), &SuspicionSettings::default()).signs;
        assert!(signs(&same).is_empty());
        assert_eq!(signs(&longer).iter().map(|sign| sign.kind).collect::<Vec<_>>(), [SignKind::Length]);
    }
}
