//! How long it will still take: the stage and the run, as a range, human waiting left out.
//!
//! A function of the view and the present moment; shown by screens, `status` and headless lines. What has been measured in this run is used
//! first; a stage that has never run is guessed from the others and marked rough.

use crate::run::entry::Stamp;
use crate::run::ids::Stage;
use crate::run::view::{RunView, StageSpan, State};

/// Seconds still to go: likely between `low` and `high`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    pub low: f64,
    pub mid: f64,
    pub high: f64,
    /// Some of it is a guess from other stages.
    pub rough: bool,
}

impl Estimate {
    fn add(self, other: Estimate) -> Estimate {
        Estimate {
            low: self.low + other.low,
            mid: self.mid + other.mid,
            high: self.high + other.high,
            rough: self.rough | other.rough,
        }
    }
}

/// What is left of the stage under way, and of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eta {
    pub stage: Option<Estimate>,
    pub run: Option<Estimate>,
    /// Items per second at the recent pace.
    pub rate: Option<f64>,
}

/// Estimates at `now`. Nothing is estimated of a run that has ended.
pub fn eta(view: &RunView, now: Stamp) -> Eta {
    let nothing = Eta { stage: None, run: None, rate: None };
    let (Some(started), Some(span)) = (&view.started, view.stage()) else { return nothing };
    if matches!(view.state, State::Finished | State::Failed(_)) {
        return nothing;
    }
    let pace = Pace::of(span, now);
    let left = span.total.saturating_sub(span.done);
    // How long a human takes is nobody's to estimate: the check counts as nothing.
    let over = span.finished.is_some() || span.stage == Stage::Check;
    let stage = if over { Some(Estimate::default()) } else { pace.map(|pace| pace.left(left)) };
    let reached = started.plan.iter().position(|planned| {
        (planned.iteration, planned.stage, planned.model) == (span.iteration, span.stage, span.model)
    });
    // People take the time they take: the run's estimate goes on behind them.
    let here = if span.stage == Stage::Check { Some(Estimate::default()) } else { stage };
    let run = reached.and_then(|place| {
        let later = started.plan[place + 1..].iter().filter(|planned| planned.stage != Stage::Check);
        later
            .map(|planned| expect(view, planned.stage, planned.total))
            .try_fold(here?, |sum, more| Some(sum.add(more?)))
    });
    Eta { stage, run, rate: pace.map(|pace| 1.0 / pace.mid) }
}

/// Seconds until the next `stage` that is planned behind the present one begins, people's time left out.
pub fn until(view: &RunView, now: Stamp, stage: Stage) -> Option<Estimate> {
    let (started, span) = (view.started.as_ref()?, view.stage()?);
    if matches!(view.state, State::Finished | State::Failed(_)) {
        return None;
    }
    let here = (span.iteration, span.stage, span.model);
    let place = started.plan.iter().position(|planned| (planned.iteration, planned.stage, planned.model) == here)?;
    let later = &started.plan[place + 1..];
    let ahead = &later[..later.iter().position(|planned| planned.stage == stage)?];
    let over = span.finished.is_some() || span.stage == Stage::Check;
    let left = span.total.saturating_sub(span.done);
    let rest = if over { Estimate::default() } else { Pace::of(span, now)?.left(left) };
    let ahead = ahead.iter().filter(|planned| planned.stage != Stage::Check);
    ahead.map(|planned| expect(view, planned.stage, planned.total)).try_fold(rest, |sum, more| Some(sum.add(more?)))
}

/// Seconds per item: likely, and at the edges of what was seen.
#[derive(Clone, Copy)]
struct Pace {
    low: f64,
    mid: f64,
    high: f64,
}

impl Pace {
    fn of(span: &StageSpan, now: Stamp) -> Option<Pace> {
        if span.done == 0 || span.worked_us <= 0 {
            return None;
        }
        let whole = span.worked_us as f64 / 1e6 / span.done as f64;
        let steps: Vec<f64> = span
            .pace
            .windows(2)
            .filter(|two| two[1].1 > two[0].1)
            .map(|two| (two[1].0 - two[0].0) as f64 / 1e6 / (two[1].1 - two[0].1) as f64)
            .collect();
        let recent = match (span.pace.first(), span.pace.last()) {
            (Some(first), Some(last)) if last.1 > first.1 => {
                (last.0 - first.0) as f64 / 1e6 / (last.1 - first.1) as f64
            }
            _ => whole,
        };
        // An item that takes longer than any before is news before it is done.
        let silence = if span.finished.is_none() { now.seconds_since(span.last_done) } else { 0.0 };
        let mid = (0.7 * recent + 0.3 * whole).max(silence / (span.total - span.done.min(span.total)).max(1) as f64);
        // The mean of what is left varies less than single items do.
        let spread = if steps.len() < 3 {
            0.3
        } else {
            (deviation(&steps) / mid / (steps.len() as f64).sqrt()).clamp(0.03, 0.5)
        };
        Some(Pace { low: mid * (1.0 - spread), mid, high: mid * (1.0 + 1.3 * spread) })
    }

    fn left(self, items: u64) -> Estimate {
        let items = items as f64;
        Estimate { low: self.low * items, mid: self.mid * items, high: self.high * items, rough: false }
    }
}

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

/// A stage that has not begun: as the same stage of an earlier iteration, else as its nearest relative, roughly.
fn expect(view: &RunView, stage: Stage, items: u64) -> Option<Estimate> {
    let measured = |stage: Stage| {
        view.stages
            .iter()
            .rev()
            .find(|span| span.stage == stage && span.done > 0)
            .and_then(|span| Pace::of(span, span.last_done))
    };
    if let Some(pace) = measured(stage) {
        let mut estimate = pace.left(items);
        estimate.low *= 0.9;
        estimate.high *= 1.15;
        return Some(estimate);
    }
    let relatives: &[Stage] = match stage {
        Stage::Prompts | Stage::Candidates => &[Stage::Candidates, Stage::Eft, Stage::Eval],
        Stage::Judge | Stage::Eft | Stage::Eval => &[Stage::Eft, Stage::Judge, Stage::Eval, Stage::Candidates],
        Stage::Dpo | Stage::Rloo => &[Stage::Dpo, Stage::Rloo, Stage::Sft, Stage::Baseline],
        Stage::Reward => &[Stage::Reward, Stage::Sft, Stage::Baseline],
        Stage::Sft | Stage::Baseline => &[Stage::Baseline, Stage::Sft, Stage::Dpo],
        Stage::Pairs | Stage::Check => return Some(Estimate::default()),
    };
    let guess = relatives
        .iter()
        .find_map(|&relative| measured(relative))
        .or_else(|| view.stages.iter().rev().find_map(|span| Pace::of(span, span.last_done)))?;
    let mid = guess.mid * items as f64;
    Some(Estimate { low: mid * 0.5, mid, high: mid * 2.0, rough: true })
}
