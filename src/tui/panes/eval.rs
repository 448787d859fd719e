//! Eval: what each model measured, side by side, and the tables behind the numbers of the selected one.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::run::event::Evaluated;
use crate::run::ids::{Model, Seq};
use crate::run::measures::{Agreement, Interval, Referee};
use crate::tui::app::{App, Effect};
use crate::tui::figures::{columns, fit, left, number, percent, right};
use crate::tui::keys::Action;
use crate::tui::layout::{Width, width};
use crate::tui::panes::train;
use crate::tui::screen::{boxed, empty, lines, title};
use crate::tui::theme::Role;

mod loops;

#[derive(Clone, Debug, Default)]
pub struct State {
    /// None: the newest.
    pub model: Option<Model>,
    pub focus: usize,
    /// The first row of the table that is shown.
    pub first: usize,
}

type Measured<'a> = (Model, Seq, &'a Evaluated);

fn models(app: &App) -> Vec<Measured<'_>> {
    app.view()
        .models
        .iter()
        .filter_map(|model| model.evaluated.as_ref().map(|(seq, evaluated)| (model.model, *seq, evaluated.as_ref())))
        .collect()
}

fn selected(app: &App, found: &[Measured]) -> usize {
    let last = found.len().saturating_sub(1);
    app.eval.model.and_then(|model| found.iter().position(|other| other.0 == model)).unwrap_or(last)
}

/// One line of the table: its name and the cell of each model.
struct Row {
    name: &'static str,
    cell: fn(&Evaluated) -> Option<String>,
    /// A bad value is shown as such.
    alarm: fn(&Evaluated) -> bool,
}

fn never(_: &Evaluated) -> bool {
    false
}

fn with_interval(value: Option<f64>, interval: Option<Interval>) -> Option<String> {
    let whole = |share: f64| format!("{:.0}", share * 100.0);
    let shown = percent(value?);
    Some(interval.map_or(shown.clone(), |i| format!("{shown} ({}–{})", whole(i.low), whole(i.high))))
}

/// Agreement with people, where there are scores that could agree.
fn judged(agreement: &Agreement, value: Option<f64>, interval: Option<Interval>) -> Option<String> {
    if agreement.is_silent() { Some("no scores".into()) } else { with_interval(value, interval) }
}

/// A mean with its interval, both as numbers.
fn mean_with_interval(mean: f64, interval: Interval) -> Option<String> {
    // As many places as its interval: a grade below 1 is no wider than one above it.
    Some(format!("{mean:.2} ({:.2}–{:.2})", interval.low, interval.high))
}

fn with_count(value: Option<String>, n: u32) -> Option<String> {
    Some(format!("{} n {n}", value?))
}

fn share(part: u32, of: u32) -> Option<String> {
    (of > 0).then(|| format!("{} {part}/{of}", percent(f64::from(part) / f64::from(of))))
}

#[rustfmt::skip]
const ROWS: [Row; 22] = [
    Row { name: "pairs right, ties half", cell: |e| judged(&e.agreement, e.agreement.pairwise_half, e.agreement.interval), alarm: never },
    Row { name: "pairs right, ties wrong", cell: |e| judged(&e.agreement, e.agreement.pairwise_strict, e.agreement.interval_strict), alarm: never },
    Row { name: "pairs right of decided", cell: |e| Some(format!("{} of {}", percent(e.agreement.pairwise_excluding?), percent(e.agreement.coverage?))), alarm: never },
    Row { name: "by chance, ties wrong", cell: |e| e.agreement.chance_strict.map(percent), alarm: never },
    Row { name: "pairs of equal length", cell: |e| e.length_matched.map(percent), alarm: never },
    Row { name: "unparsed replies", cell: |e| share(e.agreement.unparsed, e.agreement.responses), alarm: |e| f64::from(e.agreement.unparsed) > 0.02 * f64::from(e.agreement.responses) },
    Row { name: "ties", cell: |e| share(e.agreement.ties, e.agreement.pairs), alarm: never },
    Row { name: "top score is the best", cell: |e| with_count(e.agreement.five_best.map(percent), e.agreement.five_best_n), alarm: never },
    Row { name: "whole order right", cell: |e| with_count(e.agreement.exact_match.map(percent), e.agreement.exact_match_n), alarm: never },
    Row { name: "Spearman's rho", cell: |e| with_count(e.agreement.spearman.map(|v| number(v, 2)), e.agreement.spearman_n), alarm: never },
    Row { name: "Kendall's tau", cell: |e| with_count(e.agreement.kendall.map(|v| number(v, 2)), e.agreement.kendall_n), alarm: never },
    Row { name: "mean score", cell: |e| e.scores.mean.map(|v| number(v, 3)), alarm: never },
    Row { name: "entropy of scores, bits", cell: |e| e.scores.entropy.map(|v| number(v, 2)), alarm: never },
    Row { name: "rho of score and length", cell: |e| e.scores.length_rho.map(|v| number(v, 2)), alarm: |e| e.scores.length_rho.is_some_and(|rho| rho > 0.3) },
    Row { name: "anchors: mean, tau", cell: |e| e.anchors.map(|a| format!("{}{}", number(a.mean, 3), a.tau_previous.map_or(String::new(), |tau| format!(", {}", number(tau, 2))))), alarm: |e| e.anchors.is_some_and(|a| a.tau_previous.is_some_and(|tau| tau < 0.3)) },
    Row { name: "oracle: mean grade", cell: |e| e.oracle.as_ref().and_then(|o| mean_with_interval(o.mean_t07, o.mean_t07_interval)), alarm: never },
    Row { name: "oracle: perfect answers", cell: |e| e.oracle.as_ref().and_then(|o| with_interval(Some(o.perfect_t07), Some(o.perfect_t07_interval))), alarm: never },
    Row { name: "oracle: perfect, T 1.0", cell: |e| e.oracle.as_ref().and_then(|o| with_interval(Some(o.perfect_t10), Some(o.perfect_t10_interval))), alarm: never },
    Row { name: "chosen truly better", cell: |e| e.pairs_truly_better.and_then(|s| share(s.count, s.n)), alarm: never },
    Row { name: "suspicion finds wrong", cell: |e| e.hindsight.and_then(|h| Some(format!("{} {}/{}", number(h.suspicion_auroc?, 2), h.offered_wrong, h.offered))), alarm: never },
    Row { name: "people changed", cell: |e| e.hindsight.and_then(|h| share(h.changed, h.decided)), alarm: never },
    Row { name: "words, distinct pairs", cell: |e| Some(format!("{}, {}", number(e.lengths.mean, 3), percent(e.diversity.distinct_2))), alarm: |e| e.diversity.distinct_2 < 0.2 },
];

const NAME: usize = 25;
/// A cell with the space before it; where only one stands beside the names it needs none.
const CELL: usize = 17;
const ONE_CELL: usize = 14;

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let found = models(app);
    if found.is_empty() {
        return empty(
            frame,
            area,
            app,
            "No model is measured yet. Each one is, after it is made; 1 shows how far the run is.",
        );
    }
    let chosen = selected(app, &found);
    let count = panes(app);
    for (pane, place) in plan(area, app.zoom, app.eval.focus % count, count > PANES) {
        let focused = pane == app.eval.focus % count;
        match pane {
            0 => table(frame, place, app, &found, chosen, focused),
            1 => confusion(frame, place, app, &found[chosen], focused),
            2 => scores(frame, place, app, &found[chosen], focused),
            4 => loops::draw(frame, place, app, focused),
            _ => duels(frame, place, app, &found, chosen, focused),
        }
    }
}

/// Panes of every run; a run with a reward model has one more.
const PANES: usize = 4;

fn panes(app: &App) -> usize {
    PANES + usize::from(app.view().reward.is_used())
}

/// The panes with their places: table, confusion, scores, head to head, loops of a reward model.
fn plan(area: Rect, zoom: bool, focus: usize, loops: bool) -> Vec<(usize, Rect)> {
    if zoom {
        return vec![(focus, area)];
    }
    if area.height < 16 {
        return vec![(0, area)];
    }
    let below = if area.height >= 40 { 14 } else { 8 };
    let wanted = ROWS.len() as u16 + 3;
    let [table, rest] = area.layout(&Layout::vertical([Constraint::Max(wanted), Constraint::Min(below)]));
    // The loops need the room of two; what has none at this size is shown by Tab and zoom.
    let (shown, shares): (&[usize], &[u16]) = match (width(area), loops) {
        (Width::Compact, _) => return vec![(0, area)],
        (Width::One, false) => (&[1, 3], &[1, 1]),
        (Width::One, true) => (&[4, 3], &[3, 2]),
        (Width::Two | Width::Three, false) => (&[1, 2, 3], &[1, 1, 1]),
        (Width::Two, true) => (&[4, 1, 3], &[2, 1, 1]),
        (Width::Three, true) => (&[4, 1, 2, 3], &[2, 1, 1, 1]),
    };
    let places = Layout::horizontal(shares.iter().map(|&share| Constraint::Fill(share))).split(rest);
    std::iter::once((0, table)).chain(shown.iter().copied().zip(places.iter().copied())).collect()
}

fn table(frame: &mut Frame, area: Rect, app: &App, found: &[Measured], chosen: usize, focused: bool) {
    let titles =
        ["the judge against held-out human rankings, and the answers", "judge against humans, answers", "measures"];
    let inside = boxed(frame, area, app, &title(area.width, &titles), focused);
    let width = usize::from(inside.width);
    let cell = if width < NAME + CELL { ONE_CELL } else { CELL };
    let names = NAME.min(width.saturating_sub(cell));
    let room = (width.saturating_sub(names) / cell).max(1);
    // The selected model is always among those shown, the newest ones first of all.
    let start = found.len().saturating_sub(room).min(chosen);
    let shown = &found[start..found.len().min(start + room)];
    let mut heading = vec![Span::styled(left(" model", names), app.theme.style(Role::Dim))];
    for (place, (model, _, _)) in shown.iter().enumerate() {
        let role = if start + place == chosen { Role::Selected } else { Role::Strong };
        heading.push(Span::raw(" ".repeat(cell.saturating_sub(5))));
        heading.push(Span::styled(right(&model.to_string(), 5), app.theme.style(role)));
    }
    let height = usize::from(inside.height).saturating_sub(1);
    let first = app.eval.first.min(ROWS.len().saturating_sub(height));
    let mut all = vec![Line::from(heading)];
    for row in ROWS.iter().skip(first).take(height) {
        let mut spans = vec![Span::styled(left(&format!(" {}", row.name), names), app.theme.style(Role::Dim))];
        for (_, _, evaluated) in shown {
            let text = (row.cell)(evaluated).unwrap_or_else(|| "–".into());
            let (text, role) =
                if (row.alarm)(evaluated) { (format!("! {text}"), Role::Warn) } else { (text, Role::Plain) };
            spans.push(Span::styled(right(&text, cell), app.theme.style(role)));
        }
        all.push(Line::from(spans));
    }
    let hidden = ROWS.len().saturating_sub(first + height);
    if hidden > 0 && height > 1 {
        all.pop();
        let says = format!(" {} more rows: j k scroll, z zooms", hidden + 1);
        all.push(Line::from(Span::styled(fit(&says, inside.width.into()), app.theme.style(Role::Focus))));
    }
    lines(frame, inside, all);
}

fn confusion(frame: &mut Frame, area: Rect, app: &App, (model, _, evaluated): &Measured, focused: bool) {
    let inside = boxed(frame, area, app, &format!("{model}: human rank by judge's score"), focused);
    let cell = usize::from(inside.width.saturating_sub(10) / 6).clamp(3, 7);
    let mut heading = vec![Span::styled(left(" score", 10), app.theme.style(Role::Dim))];
    heading.extend((0..6).map(|score| Span::styled(right(&score.to_string(), cell), app.theme.style(Role::Dim))));
    let mut all = vec![Line::from(heading)];
    for (name, row) in ["best", "second", "third", "later"].into_iter().zip(&evaluated.confusion) {
        let most = row.iter().copied().max().unwrap_or(0);
        let mut spans = vec![Span::styled(left(&format!(" {name}"), 10), app.theme.style(Role::Dim))];
        for n in row {
            let role = if *n == most && most > 0 { Role::Strong } else { Role::Plain };
            spans.push(Span::styled(right(&n.to_string(), cell), app.theme.style(role)));
        }
        all.push(Line::from(spans));
    }
    lines(frame, inside, all);
}

fn scores(frame: &mut Frame, area: Rect, app: &App, (model, _, evaluated): &Measured, focused: bool) {
    let inside = boxed(frame, area, app, &format!("{model}: scores given"), focused);
    let histogram = &evaluated.scores.histogram;
    let most = histogram.iter().copied().max().unwrap_or(0).max(1);
    let room = usize::from(inside.width).saturating_sub(10);
    let rows = histogram.iter().enumerate().rev().map(|(score, n)| {
        let wide = (f64::from(*n) / f64::from(most) * room as f64).round() as usize;
        Line::from(vec![
            Span::raw(format!(" {score} ")),
            Span::styled(left(&"█".repeat(wide), room), app.theme.style(Role::Chosen)),
            Span::raw(right(&n.to_string(), 5)),
        ])
    });
    lines(frame, inside, rows);
}

fn duels(frame: &mut Frame, area: Rect, app: &App, found: &[Measured], chosen: usize, focused: bool) {
    let (model, _, evaluated) = &found[chosen];
    let inside = boxed(frame, area, app, &format!("{model} against earlier models"), focused);
    if evaluated.head_to_head.is_empty() {
        return empty(frame, inside, app, "The first model has no earlier one.");
    }
    let mut all = Vec::new();
    for duel in &evaluated.head_to_head {
        let by = match duel.by {
            Referee::Judge => "judge",
            Referee::Oracle => "oracle",
            Referee::Teacher => "teacher",
        };
        let n = (duel.win + duel.tie + duel.lose).max(1);
        let says = format!(" {} by {by}: won {} tied {} lost {}", duel.against, duel.win, duel.tie, duel.lose);
        all.push(Line::from(fit(&says, inside.width.into())));
        let room = usize::from(inside.width).saturating_sub(3).min(40);
        let part = |count: u32| (f64::from(count) / f64::from(n) * room as f64).round() as usize;
        let (win, lose) = (part(duel.win), part(duel.lose));
        all.push(Line::from(vec![
            Span::raw(" "),
            Span::styled("█".repeat(win), app.theme.style(Role::Chosen)),
            Span::styled("░".repeat(room.saturating_sub(win + lose)), app.theme.style(Role::Dim)),
            Span::styled("▒".repeat(lose), app.theme.style(Role::Rejected)),
        ]));
        let words = format!(" words {} against {}", number(duel.words, 3), number(duel.words_against, 3));
        if columns(&words) <= usize::from(inside.width) {
            all.push(Line::from(Span::styled(words, app.theme.style(Role::Dim))));
        }
    }
    lines(frame, inside, all);
}

pub fn act(app: &mut App, action: Action, _effects: &mut Vec<Effect>) -> bool {
    let found: Vec<Model> = models(app).iter().map(|found| found.0).collect();
    let chosen = selected(app, &models(app));
    match action {
        Action::Left => app.eval.model = found.get(chosen.saturating_sub(1)).copied(),
        Action::Right => app.eval.model = found.get(chosen + 1).copied().filter(|next| Some(next) != found.last()),
        Action::Up => app.eval.first = app.eval.first.saturating_sub(1),
        Action::Down => app.eval.first = (app.eval.first + 1).min(ROWS.len() - 1),
        Action::First => app.eval.first = 0,
        Action::Last => app.eval.first = ROWS.len() - 1,
        Action::NextPane => app.eval.focus = (app.eval.focus + 1) % panes(app),
        Action::PreviousPane => app.eval.focus = (app.eval.focus % panes(app) + panes(app) - 1) % panes(app),
        Action::Enter => app.zoom = !app.zoom,
        _ => return train::act_on_charts(app, action),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_that_gave_no_score_is_not_said_to_be_always_wrong() {
        let interval = Some(Interval { low: 0.0, high: 0.0 });
        let agreement =
            |unparsed| Agreement { responses: 4, unparsed, pairwise_half: Some(0.0), interval, ..Agreement::default() };
        let cell = |unparsed| {
            let agreement = agreement(unparsed);
            judged(&agreement, agreement.pairwise_half, agreement.interval).unwrap()
        };
        assert_eq!((cell(4), cell(3)), ("no scores".to_owned(), "0% (0–0)".to_owned()));
    }
}
