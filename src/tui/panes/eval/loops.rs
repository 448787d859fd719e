//! The loops of a reward model on Eval: how often each is right on held-out human pairs, with its interval on one axis, whether it is as
//! sure as it is right, and what people found among the labels that it learnt from.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::event::RewardMeasured;
use crate::run::measures::Interval;
use crate::run::view::Labelled;
use crate::tui::app::App;
use crate::tui::figures::{columns, count, fit, left, number, percent, right};
use crate::tui::screen::{boxed, empty, lines, title};
use crate::tui::theme::Role;

/// Columns before the chart, and after it: pairs, and how far a loop is off in how sure it is.
const HEAD: usize = 18;
const TAIL: usize = 14;

pub fn draw(frame: &mut Frame, area: Rect, app: &App, focused: bool) {
    let titles = ["reward model by loop, on held-out human pairs", "reward model by loop", "loops"];
    let inside = boxed(frame, area, app, &title(area.width, &titles), focused);
    let reward = &app.view().reward;
    let Some(last) = reward.measured.last() else {
        return empty(frame, inside, app, "R0 is measured when it has learnt from the seed share of people's labels.");
    };
    let width = usize::from(inside.width);
    let room = width.saturating_sub(HEAD + TAIL).min(48);
    let axis = axis(reward.measured.iter().map(AsRef::as_ref));
    let mut all = vec![heading(app, &axis, room)];
    let judges =
        |measured: &RewardMeasured| reward.chosen.as_ref().is_some_and(|chosen| chosen.model == measured.model);
    all.extend(reward.measured.iter().map(|measured| row(app, measured, judges(measured), &axis, room)));
    let deciding: Vec<String> = reward
        .measured
        .iter()
        .filter_map(|measured| Some(format!("{} {}", measured.model, percent(measured.deciding?))))
        .collect();
    let mut notes = Vec::new();
    if let Some(why) = &reward.chosen {
        notes.push((format!("* judges: {}", why.why.says()), Role::Good));
    }
    let pairs = count(last.deciding_pairs.into());
    notes.push((format!("chosen on {pairs} others: {}", deciding.join(" ")), Role::Dim));
    notes.extend(reward.labelled.iter().map(|labels| (of_labels(labels), Role::Human)));
    let found: Vec<String> = reward
        .labelled
        .iter()
        .filter_map(|labels| Some(format!("{} {}", labels.by, number(labels.suspicion_auroc?, 2))))
        .collect();
    if !found.is_empty() {
        notes.push((format!("suspicion finds wrong labels (chance 0.5): {}", found.join(" ")), Role::Dim));
    }
    let counts = reward.measured.iter().find(|measured| judges(measured)).unwrap_or(last);
    for (place, bin) in counts.calibration.bins.iter().enumerate().filter(|(_, bin)| bin.n > 0) {
        let bins = counts.calibration.bins.len() as f64;
        let edge = |at: usize| percent(0.5 + 0.5 * at as f64 / bins);
        let sure = format!("{} {}–{} sure", counts.model, edge(place).trim_end_matches('%'), edge(place + 1));
        notes
            .push((format!("{}right {} of {}", left(&sure, 18), percent(bin.right), count(bin.n.into())), Role::Plain));
    }
    let note = |(text, role): (String, Role)| {
        Line::from(Span::styled(format!(" {}", fit(&text, width.saturating_sub(2))), app.theme.style(role)))
    };
    all.extend(notes.into_iter().map(note));
    lines(frame, inside, all);
}

/// The lowest and the highest accuracy on the axis, in whole tenths, with chance among them.
fn axis<'a>(measured: impl Iterator<Item = &'a RewardMeasured>) -> Interval {
    let of = |measured: &RewardMeasured| {
        let half = measured.agreement.pairwise_half?;
        Some(measured.agreement.interval.unwrap_or(Interval { low: half, high: half }))
    };
    let whole = Interval { low: 0.5, high: 0.6 };
    let all = measured
        .filter_map(of)
        .fold(whole, |all, one| Interval { low: all.low.min(one.low), high: all.high.max(one.high) });
    Interval { low: (all.low * 10.0 + 1e-9).floor() / 10.0, high: ((all.high * 10.0 - 1e-9).ceil() / 10.0).min(1.0) }
}

fn heading(app: &App, axis: &Interval, room: usize) -> Line<'static> {
    let (low, high) = (percent(axis.low), percent(axis.high));
    let between = room.saturating_sub(columns(&low) + columns(&high));
    let scale = if room >= 12 { format!("{low}{}{high}", " ".repeat(between)) } else { " ".repeat(room) };
    let text = format!("{}{scale}{}{}", left(" loop right", HEAD), right("n", 6), right("off by", 8));
    Line::from(Span::styled(text, app.theme.style(Role::Dim)))
}

/// `R1*  79% (75–83)  ···──●──···    322    6%`
fn row(app: &App, measured: &RewardMeasured, judges: bool, axis: &Interval, room: usize) -> Line<'static> {
    let agreement = &measured.agreement;
    let whole = |share: f64| format!("{:.0}", share * 100.0);
    let interval = agreement.interval.map_or(String::new(), |i| format!(" ({}–{})", whole(i.low), whole(i.high)));
    let name = format!("{}{}", measured.model, if judges { "*" } else { "" });
    let half = agreement.pairwise_half.map_or("–".into(), percent);
    let role = if judges { Role::Good } else { Role::Strong };
    let off = measured.calibration.error.map_or("–".into(), percent);
    Line::from(vec![
        Span::styled(left(&format!(" {name:<4}{half:>4}{interval}"), HEAD), app.theme.style(role)),
        Span::styled(whiskers(app, measured, axis, room), app.theme.style(Role::Chosen)),
        Span::raw(format!("{}{}", right(&count(agreement.pairs.into()), 6), right(&off, 8))),
    ])
}

/// The interval as a line with the value on it, and chance as a mark where nothing else stands.
fn whiskers(app: &App, measured: &RewardMeasured, axis: &Interval, room: usize) -> String {
    if room < 12 {
        return " ".repeat(room);
    }
    let [line, point, chance] = if app.theme.ascii() { ['-', 'o', ':'] } else { ['─', '●', '┊'] };
    let place = |share: f64| {
        let share = (share - axis.low) / (axis.high - axis.low).max(1e-9);
        ((share.clamp(0.0, 1.0) * (room - 1) as f64).round() as usize).min(room - 1)
    };
    let mut cells = vec![' '; room];
    cells[place(0.5)] = chance;
    if let Some(half) = measured.agreement.pairwise_half {
        if let Some(interval) = measured.agreement.interval {
            cells[place(interval.low)..=place(interval.high)].fill(line);
        }
        cells[place(half)] = point;
    }
    cells.into_iter().collect()
}

/// What people found among the labels of a loop.
fn of_labels(labels: &Labelled) -> String {
    let used = labels.fixed.map_or(labels.kept, |fixed| fixed.used);
    let mut text = format!("R{}: {} labels", labels.number, count(used.into()));
    text += &labels.fixed.and_then(|fixed| fixed.says()).map_or(String::new(), |says| format!(", {says}"));
    let check = labels.check.as_ref();
    let bad = check.and_then(|check| Some((check, Interval::wilson(check.random_bad, check.random_decided)?)));
    if let Some((check, Interval { low, high })) = bad {
        let low = percent(low);
        let among = format!("{} of {}", check.random_bad, check.random_decided);
        text += &format!("; by lot {among} wrong ({}–{})", low.trim_end_matches('%'), percent(high));
    }
    text
}
