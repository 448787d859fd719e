//! Log: what happened, in sentences; the alerts with their evidence; the engine's own output.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::command::Command;
use crate::run::entry::Stamp;
use crate::run::event::{AlarmRaised, Level};
use crate::run::ids::{PromptId, Seq};
use crate::tui::app::{App, Effect, Screen};
use crate::tui::figures::{fit, number, one_line, wrap};
use crate::tui::keys::Action;
use crate::tui::layout::scroll_to;
use crate::tui::panes::Cursor;
use crate::tui::screen::{boxed, empty, lines};
use crate::tui::tell::{Weight, tell};
use crate::tui::theme::Role;

/// What is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum List {
    #[default]
    Events,
    Alerts,
    Engine,
}

#[derive(Clone, Debug)]
pub struct State {
    pub list: List,
    pub cursor: Cursor,
    /// Of the events: from which weight on.
    pub least: Weight,
}

impl Default for State {
    fn default() -> State {
        State { list: List::Events, cursor: Cursor::END, least: Weight::Notable }
    }
}

impl State {
    pub fn show_alerts(&mut self) {
        self.list = List::Alerts;
        self.cursor = Cursor::END;
    }
}

/// One line of the list: where, when, how grave, what.
struct Row {
    seq: Seq,
    at: Option<Stamp>,
    weight: Weight,
    says: String,
}

/// What is listed: all rows as numbers, told only when they are shown.
enum Rows<'a> {
    /// Every entry up to this one.
    Bulk(Seq),
    Told(Vec<&'a crate::tui::source::Notable>),
    Alerts(Vec<(Seq, Stamp, &'a AlarmRaised)>),
    Engine(Vec<&'a str>),
}

impl Rows<'_> {
    fn len(&self) -> usize {
        match self {
            Rows::Bulk(seq) => *seq as usize,
            Rows::Told(rows) => rows.len(),
            Rows::Alerts(rows) => rows.len(),
            Rows::Engine(rows) => rows.len(),
        }
    }

    fn row(&self, app: &App, place: usize) -> Option<Row> {
        match self {
            Rows::Bulk(_) => {
                let seq = place as Seq + 1;
                let entry = app.source.texts.entry(seq)?;
                let (weight, says) = tell(&entry.event);
                Some(Row { seq, at: Some(entry.at), weight, says })
            }
            Rows::Told(rows) => rows.get(place).map(|row| Row {
                seq: row.seq,
                at: Some(row.at),
                weight: row.weight,
                says: row.says.clone(),
            }),
            Rows::Alerts(rows) => rows.get(place).map(|(seq, at, alarm)| Row {
                seq: *seq,
                at: Some(*at),
                weight: if alarm.level == Level::Error { Weight::Error } else { Weight::Warning },
                says: format!("{}: {}", one_line(&alarm.id), one_line(&alarm.says)),
            }),
            Rows::Engine(rows) => rows.get(place).map(|text| {
                let weight = if text.contains("ERROR") || text.contains("panicked") {
                    Weight::Error
                } else if text.contains("WARN") {
                    Weight::Warning
                } else {
                    Weight::Bulk
                };
                Row { seq: 0, at: None, weight, says: one_line(text) }
            }),
        }
    }
}

fn rows(app: &App) -> Rows<'_> {
    let wanted = app.filters.get(&Screen::Log).map_or(String::new(), |text| text.to_lowercase());
    let holds = |text: &str| wanted.is_empty() || text.to_lowercase().contains(&wanted);
    let view = app.view();
    match app.log.list {
        List::Events if app.log.least == Weight::Bulk && wanted.is_empty() => Rows::Bulk(view.seq),
        List::Events => Rows::Told(
            app.source
                .notable()
                .iter()
                .take_while(|row| row.seq <= view.seq)
                .filter(|row| row.weight >= app.log.least && holds(&row.says))
                .collect(),
        ),
        List::Alerts => Rows::Alerts(
            view.alarm_log
                .iter()
                .filter(|(_, _, alarm)| holds(&alarm.says) || holds(&alarm.id))
                .map(|(seq, at, alarm)| (*seq, *at, alarm.as_ref()))
                .collect(),
        ),
        List::Engine => Rows::Engine(app.source.engine_log().lines().filter(|text| holds(text)).collect()),
    }
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let rows = rows(app);
    let name = match app.log.list {
        List::Events => match app.log.least {
            Weight::Bulk => "events, all",
            Weight::Notable => "events",
            Weight::Warning => "events, warnings and errors",
            Weight::Error => "events, errors",
        },
        List::Alerts => "alerts",
        List::Engine => "engine.log",
    };
    let follow = if app.log.cursor.follows { ", following" } else { "" };
    let filter = app.filters.get(&Screen::Log).filter(|text| !text.is_empty());
    let filter = filter.map_or(String::new(), |text| format!("  filter: {}", one_line(text)));
    let title = format!("{name}{follow}{filter}   (Tab: events, alerts, engine.log)");
    let inside = boxed(frame, area, app, &title, true);
    if rows.len() == 0 {
        let text = match app.log.list {
            List::Events => "No event here. v shows less grave ones, Esc ends the filter.",
            List::Alerts => "No alert was raised in this run. Tab shows the events.",
            List::Engine => "The engine has written nothing beside the journal, which is good. Tab shows the events.",
        };
        return empty(frame, inside, app, text);
    }
    let selected = app.log.cursor.at(rows.len());
    let detail = match &rows {
        Rows::Alerts(alerts) => alerts.get(selected).map_or(Vec::new(), |alert| details(app, alert.2, inside.width)),
        Rows::Bulk(_) | Rows::Told(_) | Rows::Engine(_) => Vec::new(),
    };
    let below = (detail.len() as u16).min(inside.height / 2);
    let list = Rect { height: inside.height - below, ..inside };
    let height = usize::from(list.height);
    let first = scroll_to(selected.saturating_sub(height / 2), selected, height, rows.len());
    let shown = (first..rows.len().min(first + height)).filter_map(|place| {
        let row = rows.row(app, place)?;
        let (mark, role) = match row.weight {
            Weight::Error => ("!!", Role::Error),
            Weight::Warning => ("! ", Role::Warn),
            Weight::Notable | Weight::Bulk => ("  ", Role::Plain),
        };
        let time = row.at.map_or(String::new(), |at| app.zone.second(at));
        let body = if place == selected { Role::Selected } else { Role::Plain };
        let room = usize::from(inside.width).saturating_sub(14);
        Some(Line::from(vec![
            Span::styled(format!(" {time:<8} "), app.theme.style(Role::Dim)),
            Span::styled(mark, app.theme.style(role)),
            Span::raw(" "),
            Span::styled(fit(&row.says, room), app.theme.style(body)),
        ]))
    });
    lines(frame, list, shown);
    lines(frame, Rect { y: list.bottom(), height: below, ..inside }, detail);
}

/// The selected alert: what was measured where, what to do, what to look at.
fn details<'a>(app: &App, alarm: &AlarmRaised, width: u16) -> Vec<Line<'a>> {
    let width = usize::from(width).saturating_sub(2);
    let (value, threshold) = (number(alarm.value.0, 3), number(alarm.threshold.0, 3));
    let mut all = vec![Line::from(Span::styled("─".repeat(width + 2), app.theme.style(Role::Dim)))];
    let mut part = |text: String, role: Role| {
        all.extend(
            wrap(&text, width)
                .into_iter()
                .map(|piece| Line::from(Span::styled(format!(" {piece}"), app.theme.style(role)))),
        );
    };
    part(one_line(&alarm.says), Role::Strong);
    part(format!("{value} against the limit {threshold}, over {}", one_line(&alarm.window)), Role::Dim);
    part(one_line(&alarm.advice), Role::Plain);
    if !alarm.evidence.is_empty() {
        let shown: Vec<String> = alarm.evidence.iter().take(12).map(|each| one_line(each)).collect();
        part(format!("look at {}   (Enter goes to the first)", shown.join(", ")), Role::Focus);
    }
    all
}

pub fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    let len = rows(app).len();
    let page = usize::from(app.size.1.saturating_sub(6));
    match action {
        Action::NextPane | Action::PreviousPane => {
            app.log.list = match (app.log.list, action == Action::NextPane) {
                (List::Events, true) | (List::Engine, false) => List::Alerts,
                (List::Alerts, true) | (List::Events, false) => List::Engine,
                (List::Engine, true) | (List::Alerts, false) => List::Events,
            };
            app.log.cursor = Cursor::END;
        }
        Action::Level => {
            app.log.least = match app.log.least {
                Weight::Notable => Weight::Warning,
                Weight::Warning => Weight::Error,
                Weight::Error => Weight::Bulk,
                Weight::Bulk => Weight::Notable,
            };
            app.log.cursor = Cursor::END;
        }
        Action::Follow => {
            app.log.cursor.follows = !app.log.cursor.follows;
            app.log.cursor.row = len.saturating_sub(1);
        }
        Action::Acknowledge => acknowledge(app, effects),
        Action::Enter | Action::Evidence => open(app),
        _ => return app.log.cursor.act(action, len, page),
    }
    true
}

fn selected_alarm(app: &App) -> Option<(Seq, AlarmRaised)> {
    let Rows::Alerts(rows) = rows(app) else { return None };
    rows.get(app.log.cursor.at(rows.len())).map(|(seq, _, alarm)| (*seq, (*alarm).clone()))
}

fn acknowledge(app: &mut App, effects: &mut Vec<Effect>) {
    match selected_alarm(app) {
        Some((_, alarm)) if app.view().alarms.contains_key(&alarm.id) => {
            app.ask(format!("{} seen", alarm.id), Command::Acknowledge { alarm: alarm.id }, effects);
        }
        Some(_) => app.say(Role::Dim, "this alert is over"),
        None => app.say(Role::Dim, "Tab shows the alerts; there `a` says that you have seen one"),
    }
}

/// Goes to what an alert speaks of; an event is jumped to in a replay.
fn open(app: &mut App) {
    if let Some((seq, alarm)) = selected_alarm(app) {
        match alarm.evidence.first() {
            Some(evidence) => show_evidence(app, evidence),
            None if app.is_replay() => app.source.seek(seq.saturating_sub(1)),
            None => app.say(Role::Dim, "this alert names no single place; its numbers stand in Eval and Live"),
        }
        return;
    }
    let rows = rows(app);
    let row = rows.row(app, app.log.cursor.at(rows.len()));
    drop(rows);
    match row {
        Some(row) if row.seq > 0 && (app.is_replay() || app.source.is_held()) => app.source.seek(row.seq - 1),
        Some(row) if row.seq > 0 => {
            app.say(Role::Dim, format!("event {}: `go` seq:{} shows the run before it", row.seq, row.seq))
        }
        Some(_) | None => {}
    }
}

/// Evidence is a pair (`2:810`), a step of a model (`M2:210`), or a model.
fn show_evidence(app: &mut App, evidence: &str) {
    if let Ok(id) = evidence.parse::<PromptId>() {
        app.pair = Some(id);
        app.screen = Screen::Gen;
        return;
    }
    let (model, step) =
        evidence.split_once(':').map_or((evidence, None), |(model, step)| (model, step.parse::<f64>().ok()));
    let Ok(model) = model.parse() else {
        return app.say(Role::Dim, format!("look at {}", one_line(evidence)));
    };
    match step {
        Some(step) => {
            app.train.model = Some(model);
            let range = crate::tui::panes::train::range(app, model);
            app.train.look.cursor = range.map(|(low, high)| ((step - low) / (high - low).max(1.0)).clamp(0.0, 1.0));
            app.screen = Screen::Train;
        }
        None => {
            app.eval.model = Some(model);
            app.screen = Screen::Eval;
        }
    }
}
