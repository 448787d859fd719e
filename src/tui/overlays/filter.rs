//! `/`: what the list of this screen is filtered for.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::widgets::Clear;
use tui_input::Input;

use crate::tui::app::App;
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit};

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
}

pub fn open(app: &App) -> State {
    State { input: Input::new(app.filter().to_string()) }
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent) -> Next {
    if key.code == KeyCode::Enter {
        return Next::Close;
    }
    edit(&mut state.input, key);
    app.filters.insert(app.screen, state.input.value().to_string());
    Next::Stay
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let place = Rect { y: area.bottom().saturating_sub(1), height: 1.min(area.height), ..area };
    frame.render_widget(Clear, place);
    draw_input(frame, place, app, "/", &state.input);
}
