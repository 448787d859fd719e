//! The strips at the top of Live: the pipeline, the stage's and the run's progress, the lamps of health.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::alarms::{Lamp, lamp};
use crate::run::entry::Stamp;
use crate::run::eta::{Estimate, eta};
use crate::run::event::{Gate, Level, PauseReason, Planned};
use crate::run::ids::{Model, Stage};
use crate::run::view::{GateView, RunView, State};
use crate::tui::app::App;
use crate::tui::figures::{columns, count, duration, number, percent};
use crate::tui::screen::{boxed, lines};
use crate::tui::theme::Role;

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let inside = if area.height >= 6 { boxed(frame, area, app, "pipeline", false) } else { area };
    let width = usize::from(inside.width);
    let all = [pipeline(app, width), stage(app, width), run(app, width), health(app, width)];
    lines(frame, inside, all);
}

/// The stages of this iteration, with the models before and after it.
pub fn pipeline(app: &App, width: usize) -> Line<'static> {
    let view = app.view();
    let style = |role| app.theme.style(role);
    let mut spans = vec![Span::raw(" ")];
    if view.iteration > 0 {
        spans.push(Span::styled(format!("M{}", view.iteration), style(Role::Good)));
        spans.push(Span::styled(" › ", style(Role::Dim)));
    }
    let plan = plan(view);
    for (place, planned) in plan.iter().enumerate() {
        if place > 0 {
            spans.push(Span::styled(" › ", style(Role::Dim)));
        }
        let (text, role) = step(view, planned, width >= 110);
        spans.push(Span::styled(text, style(role)));
    }
    spans.push(Span::styled(" › ", style(Role::Dim)));
    spans.push(Span::styled(format!("M{}", view.iteration + 1), style(Role::Dim)));
    let used: usize = spans.iter().map(Span::width).sum();
    if used > width {
        for span in spans.iter_mut().filter(|span| span.content == " › ") {
            span.content = "›".into();
        }
    }
    Line::from(spans)
}

/// The planned stages of the current iteration.
fn plan(view: &RunView) -> Vec<Planned> {
    let Some(started) = &view.started else { return Vec::new() };
    started.plan.iter().filter(|planned| planned.iteration == view.iteration).copied().collect()
}

fn step(view: &RunView, planned: &Planned, wide: bool) -> (String, Role) {
    let name = if planned.stage == Stage::Eval && planned.model == Model::Baseline {
        "eval SFT".to_string()
    } else if planned.stage == Stage::Reward {
        planned.model.to_string()
    } else {
        planned.stage.name().to_string()
    };
    match view.stage_of(planned.iteration, planned.stage, planned.model) {
        Some(span) if span.finished.is_some() => {
            let text = if wide { format!("{name} {} ok", count(span.done)) } else { format!("{name} ok") };
            (text, Role::Good)
        }
        Some(span) if span.total > 0 && wide => {
            (format!("[{name} {} of {}]", count(span.done), count(span.total)), Role::Strong)
        }
        Some(span) if span.total > 0 => {
            (format!("[{name} {}]", percent(span.done as f64 / span.total as f64)), Role::Strong)
        }
        Some(_) => (format!("[{name}]"), Role::Strong),
        None => (name, Role::Dim),
    }
}

/// A bar of this width, filled to `share`.
pub fn bar(share: f64, width: usize) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let full = (share * width as f64).round() as usize;
    "█".repeat(full) + &"░".repeat(width - full.min(width))
}

/// What is said of the time left, most important first.
fn estimate(left: Option<Estimate>, now: Stamp, app: &App) -> Vec<String> {
    let Some(left) = left else { return vec!["time left unknown yet".into()] };
    let about = if left.rough { "about " } else { "" };
    let end = Stamp(now.0 + (left.mid * 1e6) as i64);
    vec![
        format!("left {about}{}", duration(left.mid)),
        format!("({}–{})", duration(left.low), duration(left.high)),
        format!("ends {}", app.zone.clock(end, now)),
    ]
}

/// A name, a bar, a percentage, and as many of the sayings as fit; none is cut.
fn with_bar(app: &App, name: &str, share: f64, says: &[String], width: usize) -> Line<'static> {
    const NAME: usize = 12;
    const PERCENT: usize = 5;
    const BAR: usize = 8;
    let mut shown = String::new();
    for text in says.iter().filter(|text| !text.is_empty()) {
        let between = if text.starts_with('(') { 1 } else { 2 };
        if NAME + BAR + PERCENT + columns(&shown) + between + columns(text) > width {
            break;
        }
        shown += &" ".repeat(between);
        shown += text;
    }
    let room = width.saturating_sub(NAME + PERCENT + columns(&shown)).min(60);
    Line::from(vec![
        Span::styled(format!(" {name:<10} "), app.theme.style(Role::Strong)),
        Span::styled(bar(share, room), app.theme.style(Role::Good)),
        Span::raw(format!(" {:>4}{shown}", percent(share))),
    ])
}

fn stage(app: &App, width: usize) -> Line<'static> {
    let view = app.view();
    let Some(span) = view.stage() else {
        return Line::from(Span::styled(" nothing has begun yet", app.theme.style(Role::Dim)));
    };
    let now = app.moment();
    let eta = eta(view, now);
    // A check is done as far as its pairs are decided, whatever the stage has counted.
    let check = view.round(view.iteration).map(|round| round.check()).filter(|_| span.stage == Stage::Check);
    let (done, total) = check.map_or((span.done, span.total), |check| (check.decided.into(), check.offered.into()));
    let share = if total == 0 { 0.0 } else { done as f64 / total as f64 };
    let mut says = vec![format!("{} of {}", count(done), count(total))];
    if let Some(ending) = span.finished {
        says.push(format!("done {}", app.zone.minute(ending)));
    } else if let Some(gate) = view.open_gate() {
        says.push(waiting(app, gate));
    } else if !is_over(view) {
        says.extend(estimate(eta.stage, now, app));
    }
    if span.stage == Stage::Check {
        return with_bar(app, span.stage.name(), share, &says, width);
    }
    if let Some(rate) = eta.rate.filter(|rate| *rate > 0.0 && rate.is_finite()) {
        let each = duration(1.0 / rate);
        says.push(if rate >= 1.0 { format!("{} a second", number(rate, 2)) } else { format!("{each} each") });
    }
    with_bar(app, span.stage.name(), share, &says, width)
}

/// What an open gate waits for, and how long it does.
fn waiting(app: &App, gate: &GateView) -> String {
    match (gate.gate, app.source.now.as_ref().and_then(|now| now.deadline)) {
        (Gate::Deadline { .. }, Some(deadline)) if app.is_alive() => {
            format!("4 opens the check; {} left", duration(Stamp(deadline).seconds_since(app.clock)))
        }
        (Gate::Deadline { seconds }, _) => {
            let ends = Stamp(gate.opened.0 + (seconds * 1e6) as i64);
            format!("4 opens the check; waits until {}", app.zone.clock(ends, app.moment()))
        }
        (Gate::Wait | Gate::Off, _) => {
            let who = app.view().reward.labelled.last().filter(|_| app.view().iteration == 0);
            let who = who.map_or(app.view().learner().to_string(), |labels| format!("R{}", labels.number));
            format!("4 opens the check; {who} waits for it")
        }
    }
}

fn is_over(view: &RunView) -> bool {
    matches!(view.state, State::Finished | State::Failed(_) | State::Stopped(_))
}

fn run(app: &App, width: usize) -> Line<'static> {
    let view = app.view();
    let now = app.moment();
    let worked = view.worked_seconds(now);
    let held = view.held_us as f64 / 1e6;
    let waited = if held >= 1.0 { format!("waited for people {}", duration(held)) } else { String::new() };
    if is_over(view) {
        let share = if view.state == State::Finished { 1.0 } else { 0.0 };
        return with_bar(app, "run", share, &[format!("worked {}", duration(worked)), waited], width);
    }
    let left = eta(view, now).run;
    let share = left.map_or(0.0, |left| worked / (worked + left.mid).max(1e-9));
    let mut says = estimate(left, now, app);
    says.push(waited);
    with_bar(app, "run", share, &says, width)
}

const LAMPS: [(Lamp, &str); 8] = [
    (Lamp::Parse, "parse"),
    (Lamp::Ties, "ties"),
    (Lamp::Length, "length"),
    (Lamp::Saturation, "scores"),
    (Lamp::Diversity, "variety"),
    (Lamp::Dpo, "dpo"),
    (Lamp::Human, "human"),
    (Lamp::System, "system"),
];

/// The worst open alarm of a lamp.
pub fn worst(view: &RunView, wanted: Lamp) -> Option<Level> {
    let of_lamp = view.alarms.values().filter(|alarm| lamp(&alarm.alarm.id) == wanted);
    of_lamp.map(|alarm| alarm.alarm.level).max()
}

/// Whether a lamp has anything to look at yet.
fn is_known(view: &RunView, lamp: Lamp) -> bool {
    let round = view.round(view.iteration);
    let judged = round.is_some_and(|round| round.judge.replies > 0);
    match lamp {
        Lamp::Parse | Lamp::Saturation => judged,
        // Labels of a reward model are watched by their own lamp.
        Lamp::Ties | Lamp::Length => round.is_some_and(|round| round.pairs > 0 && round.iteration > 0),
        Lamp::Diversity => round.is_some_and(|round| !round.measured.is_empty()),
        Lamp::Dpo => view.last_dpo.is_some() || view.last_rloo.is_some(),
        Lamp::Human => round.is_some_and(|round| round.check().decided > 0),
        Lamp::System => true,
    }
}

/// One word a lamp: `ok`, `!`, `!!`, or a dot while there is nothing to look at.
pub fn health(app: &App, width: usize) -> Line<'static> {
    let view = app.view();
    let heading = if width >= 84 { " health    " } else { "" };
    let mut spans = vec![Span::styled(heading, app.theme.style(Role::Strong))];
    for (lamp, name) in LAMPS {
        let (mark, role) = match worst(view, lamp) {
            Some(Level::Error) => ("!!", Role::Error),
            Some(Level::Warn) => ("!", Role::Warn),
            Some(Level::Info) => ("ok", Role::Good),
            None if is_known(view, lamp) => ("ok", Role::Good),
            None => ("·", Role::Dim),
        };
        let plain = if role == Role::Good || role == Role::Dim { Role::Dim } else { Role::Plain };
        let name = if lamp == Lamp::Dpo && view.learns_from_rewards() { "rloo" } else { name };
        spans.push(Span::styled(format!(" {name} "), app.theme.style(plain)));
        spans.push(Span::styled(mark, app.theme.style(role)));
    }
    spans.extend(teacher(app, width.saturating_sub(spans.iter().map(Span::width).sum())));
    Line::from(spans)
}

/// What the teacher has cost so far, as much of it as there is room for.
fn teacher(app: &App, room: usize) -> Vec<Span<'static>> {
    let view = app.view();
    if !view.teacher.is_used() {
        return Vec::new();
    }
    let account = view.teacher.account(&view.caps(), view.currency());
    let mut says = "  teacher".to_string();
    for part in account.split(", ") {
        if columns(&says) + 1 + columns(part) > room {
            break;
        }
        says = format!("{says} {part}");
    }
    let waits = matches!(&view.state, State::Paused(PauseReason::Teacher { .. }));
    let role = if waits { Role::Error } else { Role::Plain };
    vec![Span::styled(crate::text::visible::visible(&says).into_owned(), app.theme.style(role))]
}
