//! Curves of a run: bounded series that thin themselves and lose no extreme and no NaN.
//!
//! Part of the fold; drawn by `tui`, written by reports. A series never holds more than `CAPACITY` spans, however long the run.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::run::ids::Model;

/// At most so many spans a series; when it is full, neighbours are merged.
pub const CAPACITY: usize = 1024;

/// What is plotted, per model in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Signal {
    SftLoss,
    HeldOutLoss,
    DpoLoss,
    RewardMargin,
    RewardAccuracy,
    RewardChosen,
    RewardRejected,
    LogpChosen,
    LogpRejected,
    LogpChosenPerToken,
    LogpRejectedPerToken,
    Kl,
    GradNorm,
    LearningRate,
    TokensPerSecond,
    HeldOutAccuracy,
    Memory,
    KlHeldOut,
    RewardLoss,
    RlooLoss,
    SampleReward,
    RewardGain,
    SampleKl,
    AdvantageSpread,
    FlatPrompts,
    ClippedAnswers,
    ReplyTokens,
}

impl Signal {
    pub const ALL: [Signal; 27] = [
        Signal::SftLoss,
        Signal::HeldOutLoss,
        Signal::RewardLoss,
        Signal::DpoLoss,
        Signal::RlooLoss,
        Signal::SampleReward,
        Signal::RewardGain,
        Signal::SampleKl,
        Signal::AdvantageSpread,
        Signal::FlatPrompts,
        Signal::ClippedAnswers,
        Signal::ReplyTokens,
        Signal::RewardMargin,
        Signal::RewardAccuracy,
        Signal::RewardChosen,
        Signal::RewardRejected,
        Signal::LogpChosen,
        Signal::LogpRejected,
        Signal::LogpChosenPerToken,
        Signal::LogpRejectedPerToken,
        Signal::Kl,
        Signal::KlHeldOut,
        Signal::GradNorm,
        Signal::LearningRate,
        Signal::TokensPerSecond,
        Signal::HeldOutAccuracy,
        Signal::Memory,
    ];

    /// The title of its chart.
    pub fn label(self) -> &'static str {
        match self {
            Signal::SftLoss => "SFT loss",
            Signal::HeldOutLoss => "held-out SFT loss",
            Signal::DpoLoss => "DPO loss",
            Signal::RlooLoss => "RLOO loss",
            Signal::SampleReward => "reward of answers",
            Signal::RewardGain => "reward gained",
            Signal::SampleKl => "KL on the answers",
            Signal::AdvantageSpread => "advantage spread",
            Signal::FlatPrompts => "prompts of equal rewards",
            Signal::ClippedAnswers => "answers clipped",
            Signal::ReplyTokens => "tokens an answer",
            Signal::RewardLoss => "reward model loss",
            Signal::RewardMargin => "reward margin",
            Signal::RewardAccuracy => "reward accuracy",
            Signal::RewardChosen => "reward chosen",
            Signal::RewardRejected => "reward rejected",
            Signal::LogpChosen => "log-prob chosen",
            Signal::LogpRejected => "log-prob rejected",
            Signal::LogpChosenPerToken => "log-prob/token chosen",
            Signal::LogpRejectedPerToken => "log-prob/token rejected",
            Signal::Kl => "KL on the step's pairs",
            Signal::KlHeldOut => "KL on held-out prompts",
            Signal::GradNorm => "gradient norm",
            Signal::LearningRate => "learning rate",
            Signal::TokensPerSecond => "tokens/s",
            Signal::HeldOutAccuracy => "held-out DPO accuracy",
            Signal::Memory => "memory",
        }
    }

    /// The name that TRL's logs use for it, where they have one.
    pub fn trl_name(self) -> Option<&'static str> {
        match self {
            Signal::SftLoss | Signal::DpoLoss | Signal::RewardLoss | Signal::RlooLoss => Some("loss"),
            Signal::HeldOutLoss => Some("eval_loss"),
            Signal::RewardMargin => Some("rewards/margins"),
            Signal::RewardAccuracy => Some("rewards/accuracies"),
            Signal::RewardChosen => Some("rewards/chosen"),
            Signal::RewardRejected => Some("rewards/rejected"),
            Signal::LogpChosen => Some("logps/chosen"),
            Signal::LogpRejected => Some("logps/rejected"),
            Signal::GradNorm => Some("grad_norm"),
            Signal::LearningRate => Some("learning_rate"),
            Signal::HeldOutAccuracy => Some("eval_rewards/accuracies"),
            Signal::SampleReward => Some("reward"),
            Signal::FlatPrompts => Some("frac_reward_zero_std"),
            Signal::ClippedAnswers => Some("clip_ratio/region_mean"),
            Signal::ReplyTokens => Some("completions/mean_length"),
            Signal::LogpChosenPerToken
            | Signal::LogpRejectedPerToken
            | Signal::Kl
            | Signal::RewardGain
            | Signal::SampleKl
            | Signal::AdvantageSpread
            | Signal::KlHeldOut
            | Signal::TokensPerSecond
            | Signal::Memory => None,
        }
    }
}

/// Neighbouring points of a series, summed up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// First and last x (a step), and the time of the last point in microseconds since 1970.
    pub first: u64,
    pub last: u64,
    pub at: i64,
    /// Over the finite points; meaningless when `finite` is 0.
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub finite: u32,
    /// Points that were NaN or infinite.
    pub broken: u32,
}

impl Span {
    pub fn mean(&self) -> Option<f64> {
        (self.finite > 0).then(|| self.sum / f64::from(self.finite))
    }

    fn merge(self, next: Span) -> Span {
        Span {
            first: self.first,
            last: next.last,
            at: next.at,
            min: self.min.min(next.min),
            max: self.max.max(next.max),
            sum: self.sum + next.sum,
            finite: self.finite + next.finite,
            broken: self.broken + next.broken,
        }
    }
}

/// A bounded series of points with growing x.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    spans: Vector<Span>,
    /// Points per span, a power of two.
    stride: u32,
    /// Points in the last span.
    filled: u32,
    latest: Option<(u64, f64)>,
    count: u64,
}

impl Series {
    pub fn push(&mut self, x: u64, at: i64, y: f64) {
        let finite = y.is_finite();
        let point = Span {
            first: x,
            last: x,
            at,
            min: if finite { y } else { f64::INFINITY },
            max: if finite { y } else { f64::NEG_INFINITY },
            sum: if finite { y } else { 0.0 },
            finite: u32::from(finite),
            broken: u32::from(!finite),
        };
        self.stride = self.stride.max(1);
        self.latest = Some((x, y));
        self.count += 1;
        if self.filled < self.stride && self.filled > 0 {
            if let Some(last) = self.spans.back_mut() {
                *last = last.merge(point);
            }
            self.filled += 1;
            return;
        }
        if self.spans.len() == CAPACITY {
            self.spans = (0..CAPACITY / 2).map(|i| self.spans[2 * i].merge(self.spans[2 * i + 1])).collect();
            self.stride *= 2;
        }
        self.spans.push_back(point);
        self.filled = 1;
    }

    /// Forgets the points after `x`, as far as spans allow: a span that reaches over `x` stays.
    pub fn truncate_after(&mut self, x: u64) {
        let before = self.spans.len();
        while self.spans.back().is_some_and(|span| span.first > x) {
            self.spans.pop_back();
        }
        if self.spans.len() != before {
            // The last span that is left was complete.
            self.filled = self.stride;
            self.latest = self.spans.back().and_then(|span| Some((span.last, span.mean()?)));
        }
    }

    pub fn spans(&self) -> &Vector<Span> {
        &self.spans
    }

    /// The last point as it came.
    pub fn latest(&self) -> Option<(u64, f64)> {
        self.latest
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Points that were pushed, thinned or not.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// All series of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    series: OrdMap<(Model, Signal), Arc<Series>>,
}

impl Curves {
    pub fn push(&mut self, model: Model, signal: Signal, x: u64, at: i64, y: f64) {
        Arc::make_mut(self.series.entry((model, signal)).or_default()).push(x, at, y);
    }

    pub fn get(&self, model: Model, signal: Signal) -> Option<&Series> {
        self.series.get(&(model, signal)).map(Arc::as_ref)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&(Model, Signal), &Series)> {
        self.series.iter().map(|(key, series)| (key, series.as_ref()))
    }

    /// The same as views share them.
    pub(in crate::run) fn shared(&self) -> impl Iterator<Item = (&(Model, Signal), &Arc<Series>)> {
        self.series.iter()
    }

    pub(in crate::run) fn from_shared(series: impl IntoIterator<Item = ((Model, Signal), Arc<Series>)>) -> Curves {
        Curves { series: series.into_iter().collect() }
    }

    /// Training of this model goes on from `step`: what came after it will be repeated.
    pub fn truncate_after(&mut self, model: Model, step: u64) {
        for signal in Signal::ALL {
            if let Some(series) = self.series.get_mut(&(model, signal)) {
                Arc::make_mut(series).truncate_after(step);
            }
        }
    }

    /// The run went back: these models no longer exist.
    pub fn forget(&mut self, gone: impl Fn(Model) -> bool) {
        self.series = self
            .series
            .iter()
            .filter(|((model, _), _)| !gone(*model))
            .map(|(key, series)| (*key, series.clone()))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_series_stays_bounded_and_keeps_extremes_and_nan() {
        let mut series = Series::default();
        for x in 0..1_000_000u64 {
            let y = match x {
                123_456 => 99.0,
                654_321 => -99.0,
                777_777 => f64::NAN,
                _ => (x as f64 / 5000.0).sin(),
            };
            series.push(x, x as i64, y);
        }
        assert!(series.spans().len() <= CAPACITY);
        let all = series.spans().iter().copied().reduce(Span::merge).unwrap();
        assert_eq!((all.min, all.max, all.broken, all.finite), (-99.0, 99.0, 1, 999_999));
        assert!(series.spans().iter().any(|span| span.broken == 1 && (span.first..=span.last).contains(&777_777)));
        assert_eq!((all.first, all.last, series.count()), (0, 999_999, 1_000_000));
    }

    #[test]
    fn abandoned_steps_leave_the_series() {
        let mut series = Series::default();
        (1..=26).for_each(|x| series.push(x, 0, x as f64));
        series.truncate_after(20);
        assert_eq!(series.latest(), Some((20, 20.0)));
        series.push(21, 0, 5.0);
        assert_eq!(series.spans().back().unwrap().max, 5.0);
    }
}
