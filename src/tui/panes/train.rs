//! Train: every signal of the optimiser as a grid of charts with one cursor, for one model at a time.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::curves::{Curves, Signal};
use crate::run::ids::Model;
use crate::tui::app::{App, Effect};
use crate::tui::chart::{Chart, Curve, Look, XAxis, draw as chart, extent, trend, value};
use crate::tui::figures::number;
use crate::tui::keys::Action;
use crate::tui::layout::{columns, rows, scroll_to};
use crate::tui::screen::{boxed, empty, line, title as screen_title};
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub look: Look,
    /// None: the model that is in training or was last.
    pub model: Option<Model>,
    pub focus: usize,
}

/// Least size of one chart with its frame.
const LEAST: (u16, u16) = (36, 8);

/// Models that have curves, in order of their making.
fn models(curves: &Curves) -> Vec<Model> {
    let mut found: Vec<Model> = curves.iter().map(|((model, _), _)| *model).collect();
    found.dedup();
    found
}

/// The model that is shown.
pub fn model(app: &App) -> Option<Model> {
    let found = models(&app.view().curves);
    let now = app.view().stage().filter(|span| span.stage.trains()).map(|span| span.model);
    let is_there = |model: &Model| found.contains(model);
    app.train.model.filter(is_there).or(now.filter(is_there)).or(found.last().copied())
}

/// What this model has, in the order of `Signal::ALL`. Learning rate and memory stand last: they are looked at least.
fn signals(app: &App, model: Model) -> Vec<Signal> {
    let curves = &app.view().curves;
    let mut found: Vec<Signal> =
        Signal::ALL.into_iter().filter(|&signal| curves.get(model, signal).is_some_and(|s| !s.is_empty())).collect();
    found.sort_by_key(|signal| matches!(signal, Signal::LearningRate | Signal::TokensPerSecond | Signal::Memory));
    found
}

/// The x range of all charts of a model, so that one cursor means the same in all of them.
pub fn range(app: &App, model: Model) -> Option<(f64, f64)> {
    let of_model = |curves: &'_ Curves| {
        let found = Signal::ALL.into_iter().filter_map(|signal| curves.get(model, signal));
        extent(found, app.train.look.x)
    };
    let (a, b) = (of_model(&app.view().curves), app.other.as_ref().and_then(|other| of_model(&other.view().curves)));
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// Columns and rows of charts in an area.
fn grid(area: Rect, charts: usize) -> (usize, usize) {
    let across = usize::from(area.width / LEAST.0).clamp(1, 5).min(charts.max(1));
    let needed = charts.div_ceil(across);
    let down = usize::from(area.height.saturating_sub(1) / LEAST.1).max(1).min(needed.max(1));
    (across, down)
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let Some(model) = model(app) else {
        return empty(frame, area, app, "No training step yet. The curves appear with the first one; 1 shows the run.");
    };
    let found = signals(app, model);
    if found.is_empty() {
        return empty(frame, area, app, "No training step yet.");
    }
    let focus = app.train.focus.min(found.len() - 1);
    let heading = Rect { height: 1, ..area };
    line(frame, heading, title(app, model, area.width));
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if below.is_empty() {
        return;
    }
    if app.zoom {
        return one(frame, below, app, model, found[focus], true);
    }
    let (across, down) = grid(area, found.len());
    let first_row = scroll_to(0, focus / across, down, found.len().div_ceil(across));
    let mut shown = found.iter().enumerate().skip(first_row * across);
    for row in rows(below, down) {
        for cell in columns(row, across) {
            if let Some((place, signal)) = shown.next() {
                one(frame, cell, app, model, *signal, place == focus);
            }
        }
    }
}

fn title(app: &App, model: Model, width: u16) -> Line<'static> {
    let look = &app.train.look;
    let all = models(&app.view().curves);
    let mut spans = vec![Span::styled(" model ", app.theme.style(Role::Dim))];
    for other in all {
        let (text, role) =
            if other == model { (format!("[{other}]"), Role::Selected) } else { (format!(" {other} "), Role::Plain) };
        spans.push(Span::styled(text, app.theme.style(role)));
    }
    let smooth =
        if look.smoothing > 0.0 { format!("smooth {}", number(look.smoothing, 2)) } else { "not smoothed".into() };
    let log = if look.log_y { "  log y" } else { "" };
    let cursor = if look.cursor.is_some() { "  at the cursor" } else { "" };
    let used: usize = spans.iter().map(Span::width).sum();
    let all = [format!("   {smooth}  x: {}{log}{cursor}", look.x.name()), format!("  {smooth}{log}"), String::new()];
    let says = all.into_iter().find(|says| used + says.chars().count() <= usize::from(width)).unwrap_or_default();
    spans.push(Span::styled(says, app.theme.style(Role::Dim)));
    if let Some(other) = &app.other {
        let name = crate::tui::figures::visible(&other.folder.name());
        spans.push(Span::styled("  A this run", app.theme.style(Role::Chosen)));
        spans.push(Span::styled(format!("  B {name} (dotted)"), app.theme.style(Role::Rejected)));
    } else if usize::from(width) > 90 {
        spans.push(Span::styled("   h l: other models", app.theme.style(Role::Dim)));
    }
    Line::from(spans)
}

fn one(frame: &mut Frame, area: Rect, app: &App, model: Model, signal: Signal, focused: bool) {
    let view = app.view();
    let Some(series) = view.curves.get(model, signal) else { return };
    let look = &app.train.look;
    let shown = match (look.cursor, series.latest()) {
        (None, Some((_, latest))) if !latest.is_finite() => "NaN".into(),
        _ => value(series, look).map_or("NaN".into(), |value| number(value, 4)),
    };
    let other = app.other.as_ref().and_then(|other| other.view().curves.get(model, signal));
    let label = signal.label();
    let titles = match other.and_then(|other| value(other, look)) {
        Some(b) => [format!("{label}  A {shown}  B {}", number(b, 4)), format!("{label} {shown}"), label.into()],
        None => [format!("{label}  {shown} {}", trend(series)), format!("{label} {shown}"), label.into()],
    };
    let inside = boxed(frame, area, app, &screen_title(area.width, &titles), focused);
    let mut curves = vec![Curve { series, role: Role::Chosen, second: false }];
    curves.extend(other.map(|series| Curve { series, role: Role::Rejected, second: true }));
    let is_share = matches!(
        signal,
        Signal::RewardAccuracy | Signal::HeldOutAccuracy | Signal::FlatPrompts | Signal::ClippedAnswers
    );
    let y = is_share.then_some((0.0, 1.0));
    let guide = matches!(signal, Signal::DpoLoss | Signal::RewardLoss).then_some(std::f64::consts::LN_2);
    chart(frame, inside, &app.theme, &Chart { curves, x: range(app, model), y, guide }, look, app.zone);
}

pub fn act(app: &mut App, action: Action, _effects: &mut Vec<Effect>) -> bool {
    let all = models(&app.view().curves);
    let shown = model(app);
    let count = shown.map_or(0, |model| signals(app, model).len()).max(1);
    let area = Rect::new(0, 0, app.size.0, app.size.1.saturating_sub(3));
    let (across, _) = grid(area, count);
    let focus = app.train.focus.min(count - 1);
    let place = all.iter().position(|other| Some(*other) == shown).unwrap_or(0);
    match action {
        Action::NextPane => app.train.focus = (focus + 1) % count,
        Action::PreviousPane => app.train.focus = (focus + count - 1) % count,
        Action::Down => app.train.focus = (focus + across).min(count - 1),
        Action::Up => app.train.focus = focus.saturating_sub(across),
        Action::First => app.train.focus = 0,
        Action::Last => app.train.focus = count - 1,
        Action::Left => app.train.model = all.get(place.saturating_sub(1)).copied(),
        // The newest model is followed: it is no choice.
        Action::Right => app.train.model = all.get(place + 1).copied().filter(|next| Some(next) != all.last()),
        Action::Enter => app.zoom = !app.zoom,
        _ => return act_on_charts(app, action),
    }
    true
}

/// What changes the look of all charts.
pub fn act_on_charts(app: &mut App, action: Action) -> bool {
    let look = &mut app.train.look;
    let middle = look.cursor.unwrap_or((look.from + look.to) / 2.0);
    let width = look.to - look.from;
    match action {
        Action::SmoothMore => look.smoothing = SMOOTH.into_iter().find(|s| *s > look.smoothing).unwrap_or(0.99),
        Action::SmoothLess => look.smoothing = SMOOTH.into_iter().rev().find(|s| *s < look.smoothing).unwrap_or(0.0),
        Action::LogY => look.log_y = !look.log_y,
        Action::XAxis => {
            look.x = match look.x {
                XAxis::Step => XAxis::Wall,
                XAxis::Wall => XAxis::Relative,
                XAxis::Relative => XAxis::Step,
            };
        }
        Action::Envelope => look.envelope = !look.envelope,
        Action::CursorLeft => look.cursor = Some((look.cursor.unwrap_or(look.to) - width / 50.0).max(look.from)),
        Action::CursorRight => look.cursor = Some((look.cursor.unwrap_or(look.from) + width / 50.0).min(look.to)),
        Action::ZoomIn | Action::ZoomOut => {
            let width = if action == Action::ZoomIn { (width / 2.0).max(0.01) } else { (width * 2.0).min(1.0) };
            look.from = (middle - width / 2.0).clamp(0.0, 1.0 - width);
            look.to = look.from + width;
        }
        Action::ResetChart => *look = Look::default(),
        _ => return false,
    }
    true
}

const SMOOTH: [f64; 7] = [0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99];
