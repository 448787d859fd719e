//! `:`: any command by its name.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use crate::tui::app::App;
use crate::tui::figures::left;
use crate::tui::keys::{BINDINGS, Binding};
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};
use crate::tui::screen::lines;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
    pub row: usize,
}

pub fn open(_app: &App) -> State {
    State::default()
}

fn found(app: &App, wanted: &str) -> Vec<&'static Binding> {
    let scopes = app.scopes();
    BINDINGS.iter().filter(|binding| scopes.contains(&binding.scope) && binding.name.contains(wanted)).collect()
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent) -> Next {
    match key.code {
        KeyCode::Down => state.row += 1,
        KeyCode::Up => state.row = state.row.saturating_sub(1),
        KeyCode::Enter => {
            let found = found(app, state.input.value());
            return found.get(state.row.min(found.len().saturating_sub(1))).map_or(Next::Close, |b| Next::Do(b.action));
        }
        _ => {
            edit(&mut state.input, key);
            state.row = 0;
        }
    }
    Next::Stay
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, "command", 80, 16);
    draw_input(frame, inside, app, ":", &state.input);
    let found = found(app, state.input.value());
    let row = state.row.min(found.len().saturating_sub(1));
    let shown = found.iter().enumerate().skip(row.saturating_sub(8)).map(|(place, binding)| {
        let role = if place == row { Role::Selected } else { Role::Plain };
        Line::from(vec![
            Span::styled(left(binding.name, 20), app.theme.style(role)),
            Span::styled(left(&app.settings.keys.keys_of(binding).join(" "), 12), app.theme.style(Role::Focus)),
            Span::styled(binding.help, app.theme.style(Role::Dim)),
        ])
    });
    let below = Rect { y: inside.y + 1.min(inside.height), height: inside.height.saturating_sub(1), ..inside };
    lines(frame, below, shown);
}
