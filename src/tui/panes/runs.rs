//! Runs: every run of the folder with its state, its stage, its last numbers and its age.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::folder::RunFolder;
use crate::tui::app::{App, Effect, Leave, Screen};
use crate::tui::figures::{duration, fit, left, number, one_line, percent, right, visible};
use crate::tui::keys::Action;
use crate::tui::layout::scroll_to;
use crate::tui::panes::Cursor;
use crate::tui::screen::{boxed, empty, lines};
use crate::tui::summary::Summary;
use crate::tui::theme::Role;

#[derive(Clone, Debug)]
pub struct State {
    pub cursor: Cursor,
    pub list: Vec<Summary>,
    /// The list has been read at least once.
    pub read: bool,
    /// The first run of a comparison.
    pub chosen: Option<RunFolder>,
}

impl Default for State {
    fn default() -> State {
        State { cursor: Cursor::TOP, list: Vec::new(), read: false, chosen: None }
    }
}

fn rows(app: &App) -> Vec<&Summary> {
    let wanted = app.filters.get(&Screen::Runs).map_or(String::new(), |text| text.to_lowercase());
    let holds = |run: &&Summary| {
        wanted.is_empty() || format!("{} {}", run.folder.name(), run.state).to_lowercase().contains(&wanted)
    };
    app.runs.list.iter().filter(holds).collect()
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let title = format!("runs in {}", visible(&app.root.display().to_string()));
    let inside = boxed(frame, area, app, &title, true);
    let rows = rows(app);
    if rows.is_empty() {
        let text = if app.runs.read {
            "No run here. `selfreward demo` shows one in a minute; `selfreward run` begins your own."
        } else {
            "Reading the folder …"
        };
        return empty(frame, inside, app, text);
    }
    let selected = app.runs.cursor.at(rows.len());
    let width = usize::from(inside.width);
    let wide = width >= 90;
    // Where there is no room for all, a name says more than a place.
    let wherever = if width >= 70 { 18 } else { 0 };
    let names = if wide { 28 } else { width.saturating_sub(33 + wherever).clamp(10, 30) };
    let mut heading = left("   name", names + 3) + &left("state", 13) + &left("where", wherever) + &right("age", 8);
    heading += &if wide { right("loss", 9) + &right("agrees", 11) + "  alerts" } else { "  alerts".into() };
    lines(frame, inside, [Line::from(Span::styled(fit(&heading, width), app.theme.style(Role::Dim)))]);
    let list = Rect { y: inside.y + 1.min(inside.height), height: inside.height.saturating_sub(2), ..inside };
    let height = usize::from(list.height);
    let first = scroll_to(0, selected, height, rows.len());
    let shown = rows.iter().enumerate().skip(first).take(height).map(|(place, run)| {
        let mark = if app.runs.chosen.as_ref() == Some(&run.folder) { " A " } else { "   " };
        let (role, body) = (state_role(run.state), if place == selected { Role::Selected } else { Role::Plain });
        let stage = run.stage.map_or("–".into(), |(iteration, stage)| {
            let progress = run.progress.filter(|(_, of)| *of > 0);
            let share = progress.map_or(String::new(), |(done, of)| format!(" {}", percent(done as f64 / of as f64)));
            format!("{iteration}: {stage}{share}")
        });
        let age = duration(app.clock.seconds_since(run.at));
        let mut tail = right(&age, 8);
        if wide {
            tail += &right(&run.loss.map_or("–".into(), |loss| number(loss, 3)), 9);
            let agrees = run.agreement.map_or("–".into(), |(model, half)| format!("{model} {}", percent(half)));
            tail += &right(&agrees, 11);
        }
        let alerts = if run.alerts > 0 { format!("  !{}", run.alerts) } else { "  –".into() };
        Line::from(vec![
            Span::styled(mark, app.theme.style(Role::Chosen)),
            Span::styled(left(&ends(&one_line(&run.folder.name()), names - 1), names), app.theme.style(body)),
            Span::styled(left(run.state, 13), app.theme.style(role)),
            Span::raw(left(&stage, wherever)),
            Span::raw(tail),
            Span::styled(alerts, app.theme.style(if run.alerts > 0 { Role::Warn } else { Role::Dim })),
        ])
    });
    lines(frame, list, shown);
    let says = match &app.runs.chosen {
        Some(chosen) => format!(" A is {}: v on another run compares the two, Esc forgets it", visible(&chosen.name())),
        None => " Enter opens a run: attached if it lives, else as a replay; v compares two".into(),
    };
    let bottom = Rect { y: inside.bottom().saturating_sub(1), height: 1.min(inside.height), ..inside };
    lines(frame, bottom, [Line::from(Span::styled(fit(&says, width), app.theme.style(Role::Focus)))]);
}

/// A name's beginning and its end: of runs that are named by their time the end tells which one it is.
fn ends(name: &str, width: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= width {
        return name.to_string();
    }
    let tail = width.saturating_sub(1) * 2 / 3;
    let head = width.saturating_sub(1 + tail);
    letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
}

fn state_role(state: &str) -> Role {
    match state {
        "running" => Role::Good,
        "waiting" => Role::Human,
        "failed" | "interrupted" | "paused" | "stopped" => Role::Warn,
        _ => Role::Dim,
    }
}

pub fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    let len = rows(app).len();
    let page = usize::from(app.size.1.saturating_sub(8));
    let here = rows(app).get(app.runs.cursor.at(len)).map(|run| run.folder.clone());
    match (action, here) {
        (Action::Enter, Some(folder)) => effects.push(Effect::Leave(Leave::Open(folder))),
        (Action::Compare, Some(folder)) => match app.runs.chosen.take() {
            Some(chosen) if chosen != folder => effects.push(Effect::Leave(Leave::Compare(chosen, folder))),
            Some(_) => {}
            None => app.runs.chosen = Some(folder),
        },
        (Action::Back, _) if app.runs.chosen.is_some() => app.runs.chosen = None,
        _ => return app.runs.cursor.act(action, len, page),
    }
    true
}
