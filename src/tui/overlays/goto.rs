//! `go`: a place in the run: `M2:dpo:210`, `#2:810`, `13:58`, `40%`, `seq:418220`, or a text.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use tui_input::Input;

use crate::tui::app::App;
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
}

pub fn open(_app: &App) -> State {
    State::default()
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent) -> Next {
    if key.code == KeyCode::Enter {
        crate::tui::player::go_to(app, state.input.value());
        return Next::Close;
    }
    edit(&mut state.input, key);
    Next::Stay
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, "go to  M2:dpo:210  #2:810  13:58  40%  seq:418220  or a text", 70, 3);
    draw_input(frame, inside, app, "", &state.input);
}
