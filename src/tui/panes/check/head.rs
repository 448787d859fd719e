//! The first lines of Check: how far the queue is, and why this pair is suspicious.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::event::Picked;
use crate::run::ids::PromptId;
use crate::run::view::PairStatus;
use crate::tui::app::App;
use crate::tui::figures::{duration, fit, number, one_line, percent, points, visible, wrap};
use crate::tui::panes::check::kept_by;
use crate::tui::panes::check::{answers, asked, queue, sides};
use crate::tui::screen::{boxed, line, lines};
use crate::tui::theme::Role;

pub fn draw(frame: &mut Frame, area: Rect, app: &App, pair: PromptId) {
    lines(frame, area, [progress(app, pair, area.width.into()), suspicion(app, pair, area.width.into())]);
}

/// Puts pieces after each other while they fit.
fn row(app: &App, width: usize, pieces: Vec<(String, Role)>) -> Line<'static> {
    let mut spans = Vec::new();
    let mut used = 0;
    for (text, role) in pieces {
        let text = format!(" {text} ");
        let wide = crate::tui::figures::columns(&text);
        if used + wide > width && used > 0 {
            continue;
        }
        used += wide;
        spans.push(Span::styled(text, app.theme.style(role)));
    }
    Line::from(spans)
}

fn progress(app: &App, pair: PromptId, width: usize) -> Line<'static> {
    let Some(round) = queue::round(app) else {
        return row(app, width, vec![(format!("pair #{pair}"), Role::Strong), (standing(app, pair), Role::Human)]);
    };
    let order = queue::order(app);
    let decided = order.iter().filter(|(id, _)| queue::status(app, *id).is_decided()).count();
    let name = if app.is_replay() { "decisions" } else { "check" };
    let share = decided as f64 / order.len().max(1) as f64;
    let bar = crate::tui::panes::live::strips::bar(share, if width >= 100 { 24 } else { 12 });
    let mut pieces = vec![
        (format!("{name} {decided}/{}", order.len()), Role::Strong),
        (bar, Role::Human),
        match queue::labels(app, round) {
            Some(labels) => (format!("labels of {} for R{}", labels.by, labels.number), Role::Plain),
            None => (format!("iteration {}", round.iteration), Role::Plain),
        },
    ];
    let open = round.gate.as_ref().is_some_and(|gate| gate.is_open());
    if open && !app.is_replay() {
        let who = queue::learner(app, round);
        let wait = match queue::deadline(app, round) {
            Some(at) => format!("{who} waits, {} left", duration(at.seconds_since(app.moment()).max(0.0))),
            None => format!("{who} waits"),
        };
        pieces.push((wait, Role::Warn));
    } else if !app.is_replay() {
        pieces.push(("the gate is closed".into(), Role::Dim));
    }
    if let Some(median) = queue::median_seconds(app, round) {
        let left = median * (order.len() - decided) as f64;
        pieces.push((format!("{} each, {} to go", duration(median), duration(left)), Role::Dim));
    }
    if app.check.blind {
        pieces.push(("blind".into(), Role::Warn));
    }
    if !app.check.advance {
        pieces.push(("stays".into(), Role::Dim));
    }
    let random = order.iter().filter(|(_, picked)| *picked == Picked::Random).count();
    pieces.push((format!("{} suspicious + {random} random", order.len() - random), Role::Dim));
    row(app, width, pieces)
}

fn suspicion(app: &App, id: PromptId, width: usize) -> Line<'static> {
    let Some(pair) = app.view().pair(id) else { return Line::default() };
    let mut pieces = Vec::new();
    if sides::hidden(app, id) {
        pieces.push(("blind: scores, roles and signs come after your decision".to_string(), Role::Warn));
    } else {
        let mut signs = pair.signs.clone();
        signs.sort_by(|a, b| b.amount.total_cmp(&a.amount));
        let signs: Vec<String> =
            signs.iter().map(|sign| format!("{} {}", sign.kind.label(), number(sign.amount, 2))).collect();
        let role = if pair.suspicion >= 0.5 { Role::Warn } else { Role::Strong };
        if signs.is_empty() {
            pieces.push(("suspicion 0: no sign that it is wrong".to_string(), Role::Plain));
        } else {
            let whole = format!("suspicion {} = {}", number(pair.suspicion, 2), signs.join(" + "));
            // The sum may be long; it is cut before the pair's name is lost.
            pieces.push((fit(&whole, width.saturating_sub(12)), role));
        }
    }
    pieces.insert(0, (format!("#{id}"), Role::Strong));
    if let Some(other) = kept_by(app, id) {
        pieces.push((format!("{} is on it", visible(&other.by)), Role::Warn));
    }
    let word = standing(app, id);
    if !word.is_empty() {
        pieces.push((word, Role::Human));
    }
    if !sides::hidden(app, id) {
        match pair.probability(id) {
            Some(p) => pieces.push((format!("{} sure", percent(p)), Role::Plain)),
            None => pieces.push((format!("margin {}", points(pair.margin, 2)), Role::Plain)),
        }
        pieces.push((format!("length {}", signed_percent(pair.length_ratio - 1.0)), Role::Plain));
    }
    if let Some(why) = answers::unmarked(app, id) {
        pieces.push((why.into(), Role::Dim));
    }
    match queue::picked(app, id) {
        Some(Picked::Random) => pieces.push(("random pick".into(), Role::Dim)),
        Some(Picked::Evidence) => pieces.push(("evidence of an alert".into(), Role::Warn)),
        Some(Picked::Suspicious) => {}
        None => pieces.push(("not in the queue".into(), Role::Dim)),
    }
    if pair.flagged {
        pieces.push(("flagged".into(), Role::Human));
    }
    if pair.notes > 0 {
        pieces.push((format!("{} notes", pair.notes), Role::Human));
    }
    row(app, width, pieces)
}

/// `+214%`, `-4%`.
pub fn signed_percent(share: f64) -> String {
    let sign = if share > 0.0 { "+" } else { "" };
    format!("{sign}{}", percent(share))
}

/// How the pair stands, in a word, with who said so.
fn standing(app: &App, id: PromptId) -> String {
    let status = queue::status(app, id);
    if status == PairStatus::Auto {
        return String::new();
    }
    let waiting = app.check.requests.open().any(|asked| asked.pairs.contains(&id));
    let name = status.name();
    if waiting {
        return format!("{} …", name.to_uppercase());
    }
    let view = app.view();
    let by = view.pair(id).and_then(|pair| {
        let latest = pair.history.iter().rev().filter_map(|&seq| view.decision(seq)).find(|d| !d.undone)?;
        Some(latest.by.clone())
    });
    match by.filter(|_| app.mode != (crate::tui::app::Mode::Replay { second_opinion: true })) {
        Some(by) => format!("{} by {}", name.to_uppercase(), one_line(&by)),
        None => name.to_uppercase(),
    }
}

/// The prompt: one line, or a box with what the four candidates got.
pub fn prompt(frame: &mut Frame, area: Rect, app: &App, id: PromptId) {
    let Some(prompt) = sides::prompt(app, id) else { return };
    let text = sides::text(app, prompt.seq);
    if area.height < 3 {
        let text = fit(&one_line(&text), usize::from(area.width).saturating_sub(10));
        let spans = vec![Span::styled(" prompt ", app.theme.style(Role::Dim)), Span::raw(text)];
        return line(frame, area, Line::from(spans));
    }
    let inside = boxed(frame, area, app, "prompt", false);
    let shown = wrap(&crate::tui::figures::visible(&text), usize::from(inside.width).saturating_sub(2));
    let room = usize::from(inside.height);
    let more = shown.len() > room;
    let all = shown.into_iter().take(room).enumerate().map(|(place, text)| {
        let end = if more && place + 1 == room { " …" } else { "" };
        Line::from(format!(" {text}{end}"))
    });
    lines(frame, inside, all);
}

/// What became of the latest request about this pair.
pub fn answer(app: &App, id: PromptId) -> Option<Line<'static>> {
    let (text, role) = asked::answer(app, id)?;
    Some(Line::from(Span::styled(format!(" {} ", one_line(&text)), app.theme.style(role))))
}
