//! The frame around every screen: header, tabs, body, timeline, footer, overlays.
//!
//! Reads the state and draws it; nothing here or below changes anything.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::run::event::Level;
use crate::run::view::State;
use crate::tui::app::{App, Screen};
use crate::tui::figures::{count, fit, percent, visible};
use crate::tui::theme::{Role, to_ascii};
use crate::tui::{keys, layout, overlays, panes};

/// Draws everything.
pub fn draw(frame: &mut Frame, app: &App) {
    let area = frame.area();
    if area.is_empty() {
        return;
    }
    let held = app.is_replay() || app.source.is_held();
    let parts = layout::parts(area, held);
    header(frame, parts.header, app);
    tabs(frame, parts.tabs, app);
    panes::draw(frame, parts.body, app);
    if held {
        timeline(frame, parts.timeline, app);
    }
    footer(frame, parts.footer, app);
    overlays::draw(frame, area, app);
    if app.theme.ascii() {
        asciify(frame.buffer_mut());
    }
}

/// Writes a line into an area, cut to it.
pub fn line(frame: &mut Frame, area: Rect, line: Line) {
    if !area.is_empty() {
        frame.buffer_mut().set_line(area.x, area.y, &line, area.width);
    }
}

fn header(frame: &mut Frame, area: Rect, app: &App) {
    let view = app.view();
    let style = |role| app.theme.style(role);
    let compact = layout::is_compact(Rect { width: app.size.0, height: app.size.1, ..area });
    let mut spans = vec![Span::styled(format!(" {} ", visible(&app.source.folder.name())), style(Role::Strong))];
    let last = view.started.as_ref().map_or(0, |started| started.iterations);
    if last > 0 {
        let word = if compact { "" } else { "iteration " };
        spans.push(Span::raw(format!(" {word}{}/{last} ", view.iteration)));
    }
    if view.recipe() != "self" && !compact {
        spans.push(Span::raw(format!(" {} ", visible(view.recipe()))));
    }
    if let Some(stage) = view.stage().filter(|stage| !compact || stage.finished.is_none()) {
        spans.push(Span::raw(format!(" {} ", stage.stage)));
    }
    let (text, role) = standing(app);
    spans.push(Span::styled(format!(" {text} "), style(role)));
    let loaded = app.source.loaded();
    if loaded < 1.0 {
        spans.push(Span::styled(format!(" reading the journal {} ", percent(loaded)), style(Role::Focus)));
    }
    let right = signs(app);
    let wide: usize = right.iter().map(Span::width).sum();
    let used: usize = spans.iter().map(Span::width).sum();
    line(frame, area, Line::from(spans));
    if used + wide <= usize::from(area.width) {
        let at = Rect { x: area.right() - wide as u16, width: wide as u16, ..area };
        line(frame, at, Line::from(right));
    }
}

/// What the run is doing, in a word or two.
pub fn standing(app: &App) -> (String, Role) {
    let view = app.view();
    if app.is_replay() || app.source.is_held() {
        let word = if app.is_replay() { "REPLAY" } else { "PAST" };
        if app.size.0 < 60 {
            return (word.into(), Role::Focus);
        }
        let at = format!("{} of {}", count(view.seq), count(app.source.head().seq));
        return (format!("{word} event {at}"), Role::Focus);
    }
    match &view.state {
        State::Fresh => ("starting".into(), Role::Dim),
        State::Finished => ("finished".into(), Role::Good),
        State::Failed(_) => ("FAILED".into(), Role::Error),
        State::Stopped(_) => ("stopped".into(), Role::Warn),
        State::Running | State::Paused(_) | State::Waiting if !app.is_alive() => ("no engine".into(), Role::Warn),
        State::Running => ("LIVE".into(), Role::Good),
        State::Paused(_) => ("PAUSED".into(), Role::Warn),
        State::Waiting => ("waits for you".into(), Role::Human),
    }
}

/// Alerts and pairs that wait, at the right of the header.
fn signs(app: &App) -> Vec<Span<'static>> {
    let view = app.view();
    let mut spans = Vec::new();
    let open = view.alarms.values().filter(|alarm| alarm.acknowledged.is_none() && alarm.alarm.level != Level::Info);
    let (errors, warnings) = open.fold((0, 0), |(errors, warnings), alarm| match alarm.alarm.level {
        Level::Error => (errors + 1, warnings),
        Level::Warn | Level::Info => (errors, warnings + 1),
    });
    if errors > 0 {
        spans.push(Span::styled(format!("!!{errors}"), app.theme.style(Role::Error)));
        spans.push(Span::raw(" "));
    }
    if warnings > 0 {
        spans.push(Span::styled(format!("!{warnings}"), app.theme.style(Role::Warn)));
        spans.push(Span::raw(" "));
    }
    let check = view.round(view.iteration).map(|round| round.check()).unwrap_or_default();
    if view.open_gate().is_some() && check.offered > check.decided {
        let text = format!("{} to check ", check.offered - check.decided);
        spans.push(Span::styled(text, app.theme.style(Role::Human)));
    }
    spans.push(Span::styled(app.zone.minute(app.moment()), app.theme.style(Role::Dim)));
    spans.push(Span::raw(" "));
    spans
}

/// The tabs, each with a column before and after it.
pub fn tab_labels() -> impl Iterator<Item = (Screen, String)> {
    Screen::ALL.into_iter().map(|screen| (screen, format!("{} {}", screen.number(), screen.name())))
}

fn tabs(frame: &mut Frame, area: Rect, app: &App) {
    let mut spans = vec![Span::raw(" ")];
    for (screen, text) in tab_labels() {
        if screen == app.screen {
            spans.push(Span::styled(format!("[{text}]"), app.theme.style(Role::Selected)));
        } else {
            spans.push(Span::styled(format!(" {text} "), app.theme.style(Role::Plain)));
        }
    }
    let used: u16 = spans.iter().map(|span| span.width() as u16).sum();
    if area.width > used + 18 {
        spans.push(Span::styled(" ? help  : command", app.theme.style(Role::Dim)));
    }
    line(frame, area, Line::from(spans));
}

fn timeline(frame: &mut Frame, area: Rect, app: &App) {
    panes::timeline::draw(frame, area, app);
}

fn footer(frame: &mut Frame, area: Rect, app: &App) {
    if let Some(toast) = &app.toast {
        let text = fit(&visible(&toast.text).replace('\n', " "), area.width.saturating_sub(2).into());
        line(frame, area, Line::from(Span::styled(format!(" {text} "), app.theme.style(toast.role))));
        return;
    }
    let mut spans = Vec::new();
    if !app.pending.is_empty() {
        let keys: String = app.pending.iter().map(|press| press.to_string()).collect();
        spans.push(Span::styled(format!(" {keys}-"), app.theme.style(Role::Focus)));
    }
    for (_, _, key, label) in footer_items(app, area.width) {
        spans.push(Span::styled(format!(" {key}"), app.theme.style(Role::Focus)));
        spans.push(Span::styled(format!(" {label} "), app.theme.style(Role::Dim)));
    }
    line(frame, area, Line::from(spans));
}

/// What fits into the footer: from which column to which, the key, its label.
fn footer_items(app: &App, width: u16) -> Vec<(u16, u16, String, &'static str)> {
    // The keys of an unfinished sequence stand first.
    let pending: usize = app.pending.iter().map(|press| press.to_string().len()).sum();
    let mut used = if pending > 0 { pending + 2 } else { 0 };
    let mut items = Vec::new();
    for (key, label) in keys::footer(&app.settings.keys, &app.scopes()) {
        let wide = key.len() + label.len() + 3;
        if used + wide > usize::from(width) {
            break;
        }
        items.push((used as u16, (used + wide) as u16, key, label));
        used += wide;
    }
    items
}

/// The keys of the footer with their columns.
pub fn footer_keys(app: &App, width: u16) -> Vec<(u16, u16, String)> {
    footer_items(app, width).into_iter().map(|(from, to, key, _)| (from, to, key)).collect()
}

/// The title of the terminal's window: the run, its state, and how many alerts are open.
pub fn title_of_terminal(app: &App) -> String {
    let open = app.view().alarms.values().filter(|alarm| alarm.acknowledged.is_none()).count();
    let alerts = if open > 0 { format!(": {open}!") } else { String::new() };
    format!("selfreward{alerts} {} {}", visible(&app.source.folder.name()), standing(app).0)
}

/// A frame with a title; the focused one is drawn double and bold. Returns the inside.
pub fn boxed(frame: &mut Frame, area: Rect, app: &App, title: &str, focused: bool) -> Rect {
    use ratatui::widgets::{Block, BorderType};
    if area.width < 4 || area.height < 3 {
        return area;
    }
    let (border, style) = if focused {
        (BorderType::Double, app.theme.style(Role::Focus))
    } else {
        (BorderType::Plain, app.theme.style(Role::Dim))
    };
    let title = fit(title, usize::from(area.width).saturating_sub(4));
    let block = Block::bordered()
        .border_type(border)
        .border_style(style)
        .title(Span::styled(format!(" {title} "), app.theme.style(Role::Strong)));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

/// The longest of these titles that fits into a frame of this width; titles go from long to short.
pub fn title<S: AsRef<str>>(width: u16, titles: &[S]) -> String {
    let room = usize::from(width).saturating_sub(4);
    let fits = titles.iter().find(|title| crate::tui::figures::columns(title.as_ref()) <= room);
    fits.or(titles.last()).map_or(String::new(), |title| title.as_ref().to_string())
}

/// Lines from the top of an area, as many as fit.
pub fn lines<'a>(frame: &mut Frame, area: Rect, all: impl IntoIterator<Item = Line<'a>>) {
    for (row, text) in (area.top()..area.bottom()).zip(all) {
        line(frame, Rect { y: row, height: 1, ..area }, text);
    }
}

/// A text in the middle of an empty pane: what is missing and what to do.
pub fn empty(frame: &mut Frame, area: Rect, app: &App, text: &str) {
    let wrapped = crate::tui::figures::wrap(text, usize::from(area.width).saturating_sub(2).clamp(1, 60));
    let place = layout::middle(area, area.width.min(62), wrapped.len() as u16);
    let style: Style = app.theme.style(Role::Dim);
    lines(frame, place, wrapped.into_iter().map(|text| Line::from(Span::styled(format!(" {text}"), style))));
}

/// Our own characters as ASCII; foreign text keeps its letters where the terminal can not show them either way.
fn asciify(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            cell.set_symbol(to_ascii(cell.symbol()));
        }
    }
}
