//! `?`: every key that is valid here, then all others, with a search.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use crate::tui::app::App;
use crate::tui::figures::left;
use crate::tui::keys::rows;
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};
use crate::tui::screen::lines;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
    pub first: usize,
}

pub fn open(_app: &App) -> State {
    State::default()
}

pub fn key(state: &mut State, _app: &mut App, key: KeyEvent) -> Next {
    match key.code {
        KeyCode::Down => state.first += 1,
        KeyCode::Up => state.first = state.first.saturating_sub(1),
        KeyCode::PageDown => state.first += 10,
        KeyCode::PageUp => state.first = state.first.saturating_sub(10),
        KeyCode::Enter => return Next::Close,
        _ => {
            edit(&mut state.input, key);
            state.first = 0;
        }
    }
    Next::Stay
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, "help (write to search, Esc closes)", 100, area.height.saturating_sub(2));
    draw_input(frame, inside, app, "search: ", &state.input);
    let wanted = state.input.value().to_lowercase();
    let found: Vec<_> = rows(&app.settings.keys)
        .into_iter()
        .filter(|row| format!("{} {} {} {}", row.scope, row.keys, row.name, row.help).to_lowercase().contains(&wanted))
        .collect();
    let shown = found.iter().skip(state.first.min(found.len().saturating_sub(1))).map(|row| {
        Line::from(vec![
            Span::styled(left(&row.keys, 14), app.theme.style(Role::Focus)),
            Span::styled(left(row.scope, 12), app.theme.style(Role::Dim)),
            Span::raw(row.help),
        ])
    });
    let below = Rect { y: inside.y + 1.min(inside.height), height: inside.height.saturating_sub(1), ..inside };
    lines(frame, below, shown);
}
