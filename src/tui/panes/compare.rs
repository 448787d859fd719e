//! Two runs side by side: their curves, what differs in their settings and results, and one prompt in both.
//!
//! Stands in the place of Live while a second run is open. Run B follows run A's cursor by stage.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::run::curves::{Series, Signal};
use crate::run::ids::{Model, PromptId};
use crate::run::view::{PairStatus, RunView};
use crate::tui::app::App;
use crate::tui::chart::{Chart, Curve, draw as chart, value};
use crate::tui::figures::{fit, left, number, one_line, percent, points, visible, wrap};
use crate::tui::keys::Action;
use crate::tui::panes::{Cursor, train};
use crate::tui::screen::{boxed, empty, lines};
use crate::tui::source::Source;
use crate::tui::theme::Role;

#[derive(Clone, Debug)]
pub struct State {
    /// Every setting, not only those that differ.
    pub all: bool,
    pub cursor: Cursor,
}

impl Default for State {
    fn default() -> State {
        State { all: false, cursor: Cursor::END }
    }
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, other: &Source) {
    let [heading, charts, below] =
        area.layout(&Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Fill(1)]));
    let name = |source: &Source| visible(&source.folder.name());
    lines(
        frame,
        heading,
        [Line::from(vec![
            Span::styled(format!(" A {}", name(&app.source)), app.theme.style(Role::Chosen)),
            Span::styled(format!("   B {} (dotted)", name(other)), app.theme.style(Role::Rejected)),
            Span::styled("   T lets B lead, D shows all settings, j k other prompts", app.theme.style(Role::Dim)),
        ])],
    );
    let [loss, margin] = charts.layout(&Layout::horizontal([Constraint::Fill(1); 2]));
    let both = if app.view().learns_from_rewards() {
        [Signal::RlooLoss, Signal::RewardGain]
    } else {
        [Signal::DpoLoss, Signal::RewardMargin]
    };
    curve(frame, loss, app, other, both[0]);
    curve(frame, margin, app, other, both[1]);
    let [table, prompt] = below.layout(&Layout::horizontal([Constraint::Fill(1); 2]));
    differences(frame, table, app, other);
    same_prompt(frame, prompt, app, other);
}

/// The curve of the model that A trained last, in both runs.
fn curve(frame: &mut Frame, area: Rect, app: &App, other: &Source, signal: Signal) {
    let Some(model) = train::model(app) else {
        let inside = boxed(frame, area, app, signal.label(), false);
        return empty(frame, inside, app, "No training step yet.");
    };
    let look = &app.train.look;
    let (a, b) = (app.view().curves.get(model, signal), other.view().curves.get(model, signal));
    let shown =
        |series: Option<&Series>| series.and_then(|series| value(series, look)).map_or("–".into(), |v| number(v, 3));
    let title = format!("{} {model}  A {}  B {}", signal.label(), shown(a), shown(b));
    let inside = boxed(frame, area, app, &title, matches!(signal, Signal::DpoLoss | Signal::RlooLoss));
    let mut curves: Vec<Curve> = Vec::new();
    curves.extend(a.map(|series| Curve { series, role: Role::Chosen, second: false }));
    curves.extend(b.map(|series| Curve { series, role: Role::Rejected, second: true }));
    let guide = (signal == Signal::DpoLoss).then_some(std::f64::consts::LN_2);
    chart(frame, inside, &app.theme, &Chart { curves, x: train::range(app, model), y: None, guide }, look, app.zone);
}

/// A configuration as dotted names and values.
fn flat(value: &serde_json::Value, name: &str, out: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flat(value, &name, out);
            }
        }
        other => out.push((name.to_string(), other.to_string())),
    }
}

/// Numbers of a run that are worth a line in a comparison.
fn results(view: &RunView) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for round in view.rounds.iter().filter(|round| round.judge.replies > 0) {
        let name = |what: &str| format!("iteration {} {what}", round.iteration);
        let unparsed = f64::from(round.judge.unparsed()) / f64::from(round.judge.replies);
        let statuses = round.pairs().filter(|(_, pair)| pair.status == PairStatus::Vetoed).count();
        let longer = round.pairs().map(|(_, pair)| pair.length_ratio).sum::<f64>() / f64::from(round.pairs.max(1));
        out.push((name("pairs"), round.pairs.to_string()));
        out.push((name("vetoes"), statuses.to_string()));
        out.push((name("unparsed"), percent(unparsed)));
        out.push((name("length ratio"), number(longer, 3)));
    }
    for model in &view.models {
        if let Some((_, evaluated)) = &model.evaluated {
            let half = evaluated.agreement.pairwise_half.map_or("–".into(), percent);
            out.push((format!("{} agrees with people", model.model), half));
        }
    }
    out
}

fn differences(frame: &mut Frame, area: Rect, app: &App, other: &Source) {
    let title = if app.compare.all { "settings and results" } else { "settings and results that differ" };
    let inside = boxed(frame, area, app, title, false);
    let mut rows: Vec<(String, String, String)> = Vec::new();
    for table in [
        |view: &RunView| {
            let mut out = Vec::new();
            flat(&view.config, "", &mut out);
            out
        },
        results,
    ] {
        let (a, b) = (table(app.view()), table(other.view()));
        let find = |all: &[(String, String)], name: &str| {
            all.iter().find(|(other, _)| other == name).map_or("–".to_string(), |(_, value)| value.clone())
        };
        rows.extend(a.iter().map(|(name, value)| (name.clone(), value.clone(), find(&b, name))));
        let only_b = b.iter().filter(|(name, _)| a.iter().all(|(other, _)| other != name));
        rows.extend(only_b.map(|(name, value)| (name.clone(), "–".into(), value.clone())));
    }
    rows.retain(|(_, a, b)| app.compare.all || a != b);
    if rows.is_empty() {
        return empty(frame, inside, app, "Nothing differs up to here.");
    }
    let width = usize::from(inside.width);
    let cell = (width / 4).clamp(8, 16);
    let names = width.saturating_sub(2 * cell + 1);
    let heading = left(" ", names + 1) + &left("A", cell) + &left("B", cell);
    let mut all = vec![Line::from(Span::styled(heading, app.theme.style(Role::Dim)))];
    all.extend(rows.iter().map(|(name, a, b)| {
        let value = |text: &str| left(&fit(&one_line(text), cell - 1), cell);
        Line::from(vec![
            Span::raw(left(&format!(" {}", one_line(name)), names + 1)),
            Span::styled(value(a), app.theme.style(Role::Chosen)),
            Span::styled(value(b), app.theme.style(Role::Rejected)),
        ])
    }));
    lines(frame, inside, all);
}

/// Prompts of A that have a pair, in order.
fn pairs(view: &RunView) -> Vec<PromptId> {
    view.written().flat_map(|round| round.pairs().map(|(id, _)| id)).collect()
}

/// The place of a prompt's text in a view.
fn prompt_of(source: &Source, id: PromptId) -> Option<String> {
    let seq = source.view().round(id.iteration)?.prompts.get(id.number as usize)?.seq;
    source.texts.text(seq)
}

fn same_prompt(frame: &mut Frame, area: Rect, app: &App, other: &Source) {
    let all = pairs(app.view());
    let Some(&id) = all.get(app.compare.cursor.at(all.len())) else {
        let inside = boxed(frame, area, app, "one prompt in both runs", false);
        return empty(frame, inside, app, "No pair yet.");
    };
    let inside = boxed(frame, area, app, &format!("prompt #{id} in both runs"), false);
    let width = usize::from(inside.width).saturating_sub(2);
    let prompt = prompt_of(&app.source, id).unwrap_or_default();
    let mut out =
        vec![Line::from(Span::styled(format!(" {}", fit(&one_line(&prompt), width)), app.theme.style(Role::Strong)))];
    let half = usize::from(inside.height).saturating_sub(3) / 2;
    for (mark, role, source) in [("A", Role::Chosen, &app.source), ("B", Role::Rejected, other)] {
        let view = source.view();
        let same = prompt_of(source, id).is_some_and(|text| text == prompt);
        let Some(pair) = view.pair(id).filter(|_| same) else {
            let says = if same { "no pair" } else { "another prompt has this number" };
            out.push(Line::from(Span::styled(format!(" {mark} {says}"), app.theme.style(role))));
            continue;
        };
        let candidate = view
            .round(id.iteration)
            .and_then(|round| Some(round.prompts.get(id.number as usize)?.candidates.get(pair.chosen as usize)?.seq));
        let text = candidate.and_then(|seq| source.texts.text(seq)).unwrap_or_default();
        let head = format!(" {mark} chosen {}  {}", points(pair.chosen_score, 3), pair.status.name());
        out.push(Line::from(Span::styled(head, app.theme.style(role))));
        let pieces = wrap(&visible(&text), width.saturating_sub(2));
        out.extend(pieces.into_iter().take(half).map(|piece| Line::from(format!("   {piece}"))));
    }
    lines(frame, inside, out);
}

pub fn act(app: &mut App, action: Action) -> bool {
    let len = pairs(app.view()).len();
    match action {
        Action::Up | Action::Down | Action::First | Action::Last | Action::PageUp | Action::PageDown => {
            app.compare.cursor.act(action, len, 10)
        }
        _ => train::act_on_charts(app, action),
    }
}

/// Brings B to where A stands: the same stage of the same iteration, at the same share of it.
pub fn align(app: &mut App) {
    let Some(other) = &mut app.other else { return };
    let view = app.source.view();
    let Some(span) = view.stage() else { return other.seek(0) };
    let share = if span.total == 0 { 0.0 } else { (span.done as f64 / span.total as f64).clamp(0.0, 1.0) };
    let stages = &other.head().stages;
    let key = |model: Model, iteration: u32, stage| (iteration, stage, model);
    let wanted = key(span.model, span.iteration, span.stage);
    let Some(place) = stages.iter().position(|s| key(s.model, s.iteration, s.stage) == wanted) else {
        return other.follow();
    };
    let start = stages[place].started_seq;
    let end = stages.get(place + 1).map_or(other.head().seq, |next| next.started_seq.saturating_sub(1));
    let target = start + ((end.saturating_sub(start)) as f64 * share).round() as u64;
    other.seek(target);
}
