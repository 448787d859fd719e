//! The linter of a run: every failure signal that needs no tensor, as a pure function of the view.
//!
//! The engine calls it at fixed moments, records what is new and pauses on errors before the optimiser sees the data. To add an alarm, write
//! one rule in `judge.rs`, `evaluation.rs`, `texts.rs` or `learning.rs`, its limit here, and its line in `runs/README.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::event::{AlarmRaised, Level};
use crate::run::number::Num;
use crate::run::view::{Round, RunView};

mod evaluation;
mod judge;
mod learning;
mod teacher;
mod texts;

/// Thresholds of the alarms. No paper gives them; they are proposals, and all of them settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AlarmSettings {
    /// Pause the run on an ERROR alarm until somebody answers.
    pub pause: bool,
    /// Replies, candidates or prompts that must be there before a share of them means anything.
    pub min_count: u32,
    /// Share of judge replies without a score: warn, and stop.
    pub unparsed_warn: f64,
    pub unparsed_stop: f64,
    /// Share of replies with several, impossible or garbled scores.
    pub ambiguous: f64,
    /// Pairs of an iteration in which an answer speaks to the judge: warn; chosen answers that do, and win by it: stop.
    pub gaming_pairs: u32,
    /// Share of the most common score, and rise of the mean score per iteration.
    pub saturation_share: f64,
    pub saturation_rise: f64,
    /// Share of the most common score among held-out responses.
    pub saturation_held_out: f64,
    /// Pairs per prompt; and its fall against the iteration before, as a factor.
    pub yield_low: f64,
    pub yield_fall: f64,
    /// Share of pairs whose margin is under two standard errors.
    pub noisy_pairs: f64,
    /// Rank correlation of two successive judges on the anchor items; and drift of their mean.
    pub anchor_tau: f64,
    pub anchor_drift: f64,
    /// Rank correlation of two successive models' intrinsic rewards on the same candidates.
    pub consistency_tau: f64,
    /// Share of pairwise verdicts that survive a swap; and distance of the first place's share from one half.
    pub order_consistency: f64,
    pub order_share: f64,
    /// Share of texts that were cut off.
    pub truncated: f64,
    /// Share of judgements whose rationale contradicts the score; and of rationales given before, word for word.
    pub contradictions: f64,
    pub repeated_rationales: f64,
    /// Share of pairs whose chosen answer is longer; rank correlation of score and length; growth of length per iteration.
    pub chosen_longer: f64,
    pub length_rho: f64,
    pub length_growth: f64,
    /// Fall of distinct-2 per iteration; share of near-duplicate candidates; share of texts without an end; repeated 4-grams.
    pub distinct_fall: f64,
    pub near_duplicates: f64,
    pub endless: f64,
    pub repetition: f64,
    /// Share of refused prompts; share of the most common opening; share of contaminated prompts.
    pub refused_prompts: f64,
    pub top_opening: f64,
    pub contaminated: f64,
    /// Fall of the mean margin per iteration, as a factor.
    pub margin_fall: f64,
    /// Lower end of the interval of bad pairs in the random part of the spot check.
    pub bad_pairs: f64,
    /// Loss over its own average; gradient norm.
    pub loss_spike: f64,
    pub grad_norm: f64,
    /// Reward accuracy that is too good too early (share of the steps); loss that is too low.
    pub early_accuracy: f64,
    pub early_share: f64,
    pub low_loss: f64,
    /// Fall of the chosen answers' log-prob per token below the reference's, in nats.
    pub chosen_fall: f64,
    /// Distance of the first DPO loss from ln 2; where rewards are learnt from, of the first KL from 0.
    pub start: f64,
    /// While rewards are learnt from: KL from the reference per answer, in nats; and the share of prompts whose answers all have the same
    /// reward.
    pub sample_kl: f64,
    pub flat_prompts: f64,
}

impl Default for AlarmSettings {
    fn default() -> Self {
        AlarmSettings {
            pause: true,
            min_count: 50,
            unparsed_warn: 0.02,
            unparsed_stop: 0.10,
            ambiguous: 0.05,
            gaming_pairs: 3,
            saturation_share: 0.60,
            saturation_rise: 0.3,
            saturation_held_out: 0.6,
            yield_low: 0.40,
            yield_fall: 0.5,
            noisy_pairs: 0.5,
            anchor_tau: 0.3,
            anchor_drift: 0.3,
            consistency_tau: 0.3,
            order_consistency: 0.7,
            order_share: 0.1,
            truncated: 0.05,
            contradictions: 0.01,
            repeated_rationales: 0.5,
            chosen_longer: 0.6,
            length_rho: 0.3,
            length_growth: 0.25,
            distinct_fall: 0.2,
            near_duplicates: 0.10,
            endless: 0.2,
            repetition: 0.2,
            refused_prompts: 0.8,
            top_opening: 0.25,
            contaminated: 0.01,
            margin_fall: 0.5,
            bad_pairs: 0.10,
            loss_spike: 5.0,
            grad_norm: 100.0,
            early_accuracy: 0.98,
            early_share: 0.2,
            low_loss: 0.05,
            chosen_fall: 0.3,
            start: 0.02,
            sample_kl: 10.0,
            flat_prompts: 0.5,
        }
    }
}

/// The lamp on the Live screen that an alarm belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lamp {
    Parse,
    Ties,
    Length,
    Saturation,
    Diversity,
    Dpo,
    Human,
    System,
}

/// Every rule: its id, its lamp, and what it watches in a few words.
pub const RULES: &[(&str, Lamp, &str)] = &[
    ("judge-parse", Lamp::Parse, "judge replies without a score"),
    ("judge-ambig", Lamp::Parse, "judge replies with several or impossible scores"),
    ("truncated", Lamp::Parse, "texts cut off by the length limit"),
    ("yield", Lamp::Ties, "prompts that give a pair"),
    ("margin", Lamp::Ties, "score margins of pairs shrink"),
    ("judge-sd", Lamp::Ties, "pairs whose margin is within the judge's noise"),
    ("len-bias", Lamp::Length, "longer answers win, or answers grow"),
    ("judge-sat", Lamp::Saturation, "one score dominates, or scores rise"),
    ("judge-drift", Lamp::Human, "the judge agrees less with held-out human rankings"),
    ("anchor-drift", Lamp::Human, "fixed items are judged differently than before"),
    ("consistency", Lamp::Human, "two successive models' rewards rank the same answers differently"),
    ("order-bias", Lamp::Human, "pairwise verdicts depend on the order"),
    ("gaming", Lamp::Human, "answers speak to the judge, and win by it"),
    ("contradiction", Lamp::Human, "rationales contradict scores, or repeat"),
    ("human", Lamp::Human, "humans find many bad pairs in the random part"),
    ("collapse", Lamp::Diversity, "answers become alike, endless or repetitive"),
    ("prompts", Lamp::Diversity, "new prompts are refused or all begin alike"),
    ("contamination", Lamp::Diversity, "new prompts repeat held-out data"),
    ("reward-loop", Lamp::Human, "a loop of the reward model lost accuracy"),
    ("nan", Lamp::Dpo, "a number of the optimiser is not finite"),
    ("spike", Lamp::Dpo, "loss or gradient jumps"),
    ("overfit", Lamp::Dpo, "preference training goes too far"),
    ("start", Lamp::Dpo, "the first DPO loss is not ln 2, or the first KL not 0"),
    ("reward-kl", Lamp::Dpo, "learning from rewards goes far from the reference"),
    ("reward-flat", Lamp::Dpo, "the answers to most prompts have the same reward"),
    ("teacher-changed", Lamp::System, "another model answers under the teacher's name"),
    ("teacher-overrun", Lamp::System, "calls cost more than was reserved for them"),
    ("sys-disk", Lamp::System, "little space is left on the disk"),
    ("sys-storage", Lamp::System, "the run folder cannot be written"),
];

/// The lamp of an alarm, by its id.
pub fn lamp(id: &str) -> Lamp {
    RULES.iter().find(|rule| rule.0 == id).map_or(Lamp::System, |rule| rule.1)
}

/// Everything that looks wrong in this view.
pub fn lint(view: &RunView, limits: &AlarmSettings) -> Vec<AlarmRaised> {
    let Some(round) = view.round(view.iteration) else { return Vec::new() };
    let mut lint = Lint { view, round, before: before(view), limits, found: Vec::new() };
    lint.judging();
    lint.pairing();
    lint.evaluation();
    lint.texts();
    lint.prompts();
    lint.steps();
    // Said until the iteration that the model's rewards are used in begins.
    if view.iteration == 0 {
        lint.lost_loop();
    }
    lint.teacher();
    lint.found
}

/// The last earlier iteration that has judged something.
fn before(view: &RunView) -> Option<&Round> {
    view.rounds.iter().take(view.iteration as usize).rev().find(|round| round.judge.replies > 0)
}

struct Lint<'a> {
    view: &'a RunView,
    round: &'a Round,
    before: Option<&'a Round>,
    limits: &'a AlarmSettings,
    found: Vec<AlarmRaised>,
}

/// What a rule found: the value against its threshold, where it looked, what it means and what to do.
struct Finding {
    level: Level,
    value: f64,
    threshold: f64,
    window: String,
    says: String,
    advice: &'static str,
    evidence: Vec<String>,
}

impl Lint<'_> {
    fn raise(&mut self, id: &str, finding: Finding) {
        // One alarm an id: the gravest, and the first of equals.
        if let Some(known) = self.found.iter_mut().find(|alarm| alarm.id == id) {
            if known.level >= finding.level {
                return;
            }
            known.level = finding.level;
            known.value = Num(finding.value);
            known.threshold = Num(finding.threshold);
            known.window = finding.window;
            known.says = finding.says;
            known.advice = finding.advice.into();
            known.evidence = finding.evidence;
            return;
        }
        self.found.push(AlarmRaised {
            id: id.into(),
            level: finding.level,
            iteration: self.view.iteration,
            value: Num(finding.value),
            threshold: Num(finding.threshold),
            window: finding.window,
            says: finding.says,
            advice: finding.advice.into(),
            evidence: finding.evidence,
        });
    }

    fn warn(&mut self, id: &str, value: f64, threshold: f64, window: String, says: String, advice: &'static str) {
        let finding = Finding { level: Level::Warn, value, threshold, window, says, advice, evidence: Vec::new() };
        self.raise(id, finding);
    }

    fn measured(&self, name: &str) -> Option<f64> {
        self.round.measured.get(name).copied().filter(|value| value.is_finite())
    }

    fn measured_before(&self, name: &str) -> Option<f64> {
        self.before?.measured.get(name).copied().filter(|value| value.is_finite())
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}
