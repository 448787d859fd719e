//! `i`: one line of remark, on the run or on the pair that is shown.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use tui_input::Input;

use crate::run::command::Command;
use crate::run::ids::PromptId;
use crate::tui::app::{App, Effect};
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
    pub pair: Option<PromptId>,
}

pub fn open(_app: &App) -> State {
    State::default()
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) -> Next {
    if key.code == KeyCode::Enter {
        let text = state.input.value().trim().to_string();
        if !text.is_empty() {
            app.ask("note", Command::Note { pair: state.pair, text }, effects);
        }
        return Next::Close;
    }
    edit(&mut state.input, key);
    Next::Stay
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let title = state.pair.map_or("note on the run".to_string(), |pair| format!("note on #{pair}"));
    let inside = window(frame, area, app, &title, 76, 3);
    draw_input(frame, inside, app, "", &state.input);
}
