//! `Q` and Ctrl-C: how the run should stop. Opening it stops nothing.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use crate::run::command::{Command, StopWhen};
use crate::tui::app::{App, Effect, Leave};
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};
use crate::tui::screen::lines;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    /// What is typed after `k`: the word `kill`.
    pub input: Input,
    pub killing: bool,
}

const CHOICES: [(char, &str, StopWhen); 3] = [
    ('n', "now: after the current step or item, with a checkpoint", StopWhen::Step),
    ('s', "after the current stage", StopWhen::Stage),
    ('i', "after the current iteration", StopWhen::Iteration),
];

pub fn open(_app: &App) -> State {
    State::default()
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) -> Next {
    if state.killing {
        if key.code == KeyCode::Enter {
            if state.input.value() == "kill" {
                effects.push(Effect::Leave(Leave::KillAsked));
            }
            return Next::Close;
        }
        edit(&mut state.input, key);
        return Next::Stay;
    }
    match key.code {
        KeyCode::Char('q') => effects.push(Effect::Leave(Leave::Detached)),
        KeyCode::Char('k') if app.mode.steers() => {
            state.killing = true;
            return Next::Stay;
        }
        KeyCode::Char(c) => match CHOICES.iter().find(|(letter, _, _)| *letter == c) {
            Some((_, what, when)) => app.ask(format!("stop {what}"), Command::Stop { when: *when }, effects),
            None => return Next::Stay,
        },
        _ => return Next::Stay,
    }
    Next::Close
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, "stop the run", 66, 9);
    let mut all: Vec<Line> = Vec::new();
    let row = |key: String, text: String| {
        Line::from(vec![Span::styled(format!(" {key} "), app.theme.style(Role::Focus)), Span::raw(text)])
    };
    if app.mode.steers() {
        all.extend(CHOICES.iter().map(|(letter, what, _)| row(letter.to_string(), what.to_string())));
        all.push(row("k".into(), "kill the engine: the last checkpoint stays".into()));
    }
    all.push(row("q".into(), "leave; the run goes on".into()));
    all.push(row("Esc".into(), "back".into()));
    let used = all.len() as u16;
    lines(frame, inside, all);
    if state.killing && inside.height > used {
        let at = Rect { y: inside.y + used, height: 1, ..inside };
        draw_input(frame, at, app, " type kill and Enter: ", &state.input);
    }
}
