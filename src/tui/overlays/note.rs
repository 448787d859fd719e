//! `i`: one line of remark, on the pair that is shown or, with Tab, on the run.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use crate::run::command::Command;
use crate::run::ids::PromptId;
use crate::tui::app::{App, Effect};
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};
use crate::tui::overlays::subject;
use crate::tui::screen::line;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
    pub pair: Option<PromptId>,
}

pub fn open(app: &App) -> State {
    State { input: Input::default(), pair: subject::pair(app) }
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) -> Next {
    match key.code {
        KeyCode::Enter => {
            let text = state.input.value().trim().to_string();
            if !text.is_empty() {
                let what = state.pair.map_or("note on the run".to_string(), |pair| format!("note on #{pair}"));
                app.ask(what, Command::Note { pair: state.pair, text }, effects);
            }
            return Next::Close;
        }
        KeyCode::Tab => {
            state.pair = if state.pair.is_some() { None } else { subject::pair(app) };
        }
        _ => edit(&mut state.input, key),
    }
    Next::Stay
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let title = state.pair.map_or("note on the run".to_string(), |pair| format!("note on #{pair}"));
    let inside = window(frame, area, app, &title, 76, 4);
    draw_input(frame, inside, app, " ", &state.input);
    let other = match (state.pair, subject::pair(app)) {
        (Some(_), _) => "  Tab: on the run instead",
        (None, Some(_)) => "  Tab: on this pair instead",
        (None, None) => "",
    };
    let at = Rect { y: inside.y + 1.min(inside.height), height: inside.height.saturating_sub(1).min(1), ..inside };
    line(
        frame,
        at,
        Line::from(Span::styled(format!(" Enter sends it, Esc leaves{other}"), app.theme.style(Role::Dim))),
    );
}
