//! How curves are looked at: the axes, the smoothing, the value at a cursor, the trend.
//!
//! Used by `chart` and the screens that print a value beside a curve. Smoothing is weighted by how many points a span stands for, so that it
//! does not change when the series is thinned.

use crate::run::curves::{Series, Span};

/// What stands on the x axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XAxis {
    #[default]
    Step,
    /// Time of day.
    Wall,
    /// Time since the first point.
    Relative,
}

impl XAxis {
    pub fn name(self) -> &'static str {
        match self {
            XAxis::Step => "step",
            XAxis::Wall => "time of day",
            XAxis::Relative => "time since start",
        }
    }
}

/// How all charts are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// 0 (raw) to 0.99.
    pub smoothing: f64,
    pub log_y: bool,
    pub x: XAxis,
    pub envelope: bool,
    /// The stretch of x that is shown, as shares of all.
    pub from: f64,
    pub to: f64,
    /// The cursor, as a share of all x.
    pub cursor: Option<f64>,
}

impl Default for Look {
    fn default() -> Look {
        Look { smoothing: 0.6, log_y: false, x: XAxis::Step, envelope: true, from: 0.0, to: 1.0, cursor: None }
    }
}

/// A span's place on the x axis.
fn place(span: &Span, x: XAxis, start: i64) -> f64 {
    match x {
        XAxis::Step => (span.first + span.last) as f64 / 2.0,
        XAxis::Wall => span.at as f64,
        XAxis::Relative => (span.at - start) as f64,
    }
}

/// First and last x of these series.
pub fn extent<'a>(series: impl IntoIterator<Item = &'a Series>, x: XAxis) -> Option<(f64, f64)> {
    let ends = series.into_iter().filter_map(|series| Some((series.spans().front()?, series.spans().back()?)));
    ends.map(|(first, last)| match x {
        XAxis::Step => (first.first as f64, last.last as f64),
        XAxis::Wall | XAxis::Relative => (place(first, x, first.at), place(last, x, first.at)),
    })
    .reduce(|(a, b), (low, high)| (a.min(low), b.max(high)))
}

/// Spans with their smoothed values: exponential, weighted by the number of points that each span stands for.
fn levels<'a>(series: &'a Series, look: &Look) -> impl Iterator<Item = (&'a Span, Option<f64>)> {
    let smoothing = look.smoothing.clamp(0.0, 0.99);
    let mut level: Option<f64> = None;
    // Most spans stand for as many points as the one before: a power is dear where every chart of a screen asks for a thousand.
    let mut known = (1, smoothing);
    series.spans().iter().map(move |span| {
        let mean = span.mean();
        if let Some(mean) = mean {
            if known.0 != span.finite {
                known = (span.finite, smoothing.powf(f64::from(span.finite)));
            }
            level = Some(level.map_or(mean, |level| level * known.1 + mean * (1.0 - known.1)));
        }
        // What was broken has no value: the smoothed level stays for later, and is not drawn here.
        (span, mean.and(level))
    })
}

/// Points of a series with their smoothed values.
pub fn smoothed(series: &Series, look: &Look) -> Vec<(f64, Span, Option<f64>)> {
    let start = series.spans().front().map_or(0, |span| span.at);
    levels(series, look).map(|(span, level)| (place(span, look.x, start), *span, level)).collect()
}

/// The last smoothed value, or the one at the cursor.
pub fn value(series: &Series, look: &Look) -> Option<f64> {
    let Some(cursor) = look.cursor else { return levels(series, look).filter_map(|(_, level)| level).last() };
    let points = smoothed(series, look);
    let (first, last) = (points.first()?.0, points.last()?.0);
    let wanted = first + (last - first) * cursor;
    points
        .iter()
        .filter(|point| point.2.is_some())
        .min_by(|a, b| (a.0 - wanted).abs().total_cmp(&(b.0 - wanted).abs()))?
        .2
}

/// Whether the curve rises or falls lately, as a mark.
pub fn trend(series: &Series) -> &'static str {
    let spans = series.spans();
    let means: Vec<f64> = spans.iter().rev().take(20).filter_map(|span| span.mean()).collect();
    let (new, old) = means.split_at(means.len() / 2);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (new, old) = (mean(new), mean(old));
    let size = new.abs().max(old.abs()).max(1e-12);
    match (new - old) / size {
        change if means.len() < 4 || change.abs() < 0.01 => "=",
        change if change > 0.0 => "▲",
        _ => "▼",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_does_not_change_when_the_series_is_thinned() {
        let look = Look { smoothing: 0.9, ..Look::default() };
        let mut values = Vec::new();
        for points in [1000u64, 1100, 5000] {
            let mut series = Series::default();
            (0..points).for_each(|x| series.push(x, 0, ((x * 7919) % 100) as f64));
            values.push(value(&series, &look).unwrap());
        }
        assert!(values.iter().all(|value| (value - 49.5).abs() < 25.0), "{values:?}");
    }
}
