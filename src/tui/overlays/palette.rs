//! `:`: any command by its name, or by letters of it, or by a word of what it does.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use crate::tui::app::App;
use crate::tui::figures::{fit, left};
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

/// What people type who come from other programs.
const ALIASES: &[(&str, &str)] = &[
    ("quit", "detach"),
    ("exit", "detach"),
    ("q", "detach"),
    ("kill", "stop"),
    ("search", "filter"),
    ("find", "filter"),
    ("clipboard", "copy"),
    ("yank", "copy"),
    ("approve", "keep"),
    ("accept", "keep"),
    ("reject", "veto"),
    ("skip", "defer"),
    ("resume", "pause"),
    ("save", "snapshot"),
    ("checkpoint", "snapshot"),
    ("comment", "note"),
];

pub fn open(_app: &App) -> State {
    State::default()
}

/// How well a name answers to what was typed; less is better, none is not at all.
fn rank(binding: &Binding, wanted: &str) -> Option<usize> {
    let name = binding.name;
    if ALIASES.iter().any(|(alias, of)| *alias == wanted && *of == name) {
        return Some(0);
    }
    if name == wanted {
        return Some(0);
    }
    if name.starts_with(wanted) {
        return Some(1);
    }
    if name.contains(wanted) {
        return Some(2);
    }
    if ALIASES.iter().any(|(alias, of)| alias.starts_with(wanted) && *of == name) {
        return Some(3);
    }
    // Letters of the name, in order: `nxd` finds next-decision.
    let mut letters = name.chars();
    if wanted.chars().all(|c| letters.any(|letter| letter == c)) {
        return Some(4 + name.len());
    }
    binding.help.to_lowercase().contains(wanted).then_some(100)
}

/// The commands that can be given here, the best first; one that another scope shadows stands once.
pub fn found(app: &App, wanted: &str) -> Vec<&'static Binding> {
    let wanted = wanted.trim().to_lowercase();
    let scopes = app.scopes();
    let mut found: Vec<(usize, &Binding)> = Vec::new();
    for scope in scopes {
        for binding in BINDINGS.iter().filter(|binding| binding.scope == scope) {
            let known = found.iter().any(|(_, other)| other.action == binding.action);
            if let (false, Some(rank)) = (known, rank(binding, &wanted)) {
                found.push((rank, binding));
            }
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, binding)| binding).collect()
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent) -> Next {
    let found = found(app, state.input.value());
    let last = found.len().saturating_sub(1);
    match key.code {
        KeyCode::Down => state.row = (state.row + 1).min(last),
        KeyCode::Up => state.row = state.row.saturating_sub(1),
        KeyCode::Tab => {
            if let Some(binding) = found.get(state.row.min(last)) {
                state.input = Input::new(binding.name.to_string());
                state.row = 0;
            }
        }
        KeyCode::Enter => {
            return match found.get(state.row.min(last)) {
                Some(binding) => Next::Do(binding.action),
                None => Next::Stay,
            };
        }
        _ => {
            edit(&mut state.input, key);
            state.row = 0;
        }
    }
    Next::Stay
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, "command: Enter does it, Tab completes", 84, 16);
    draw_input(frame, inside, app, ":", &state.input);
    let found = found(app, state.input.value());
    let below = Rect { y: inside.y + 1.min(inside.height), height: inside.height.saturating_sub(1), ..inside };
    if found.is_empty() {
        let text = " no command answers to that; ? lists all";
        return lines(frame, below, [Line::from(Span::styled(text, app.theme.style(Role::Dim)))]);
    }
    let row = state.row.min(found.len() - 1);
    let room = usize::from(below.height).max(1);
    let shown = found.iter().enumerate().skip((row + 1).saturating_sub(room)).take(room).map(|(place, binding)| {
        let role = if place == row { Role::Selected } else { Role::Plain };
        Line::from(vec![
            Span::styled(left(&format!(" {}", binding.name), 20), app.theme.style(role)),
            Span::styled(
                format!(" {}", left(&app.settings.keys.keys_of(binding).join(" "), 10)),
                app.theme.style(Role::Focus),
            ),
            Span::styled(fit(binding.help, usize::from(below.width).saturating_sub(31)), app.theme.style(Role::Dim)),
        ])
    });
    lines(frame, below, shown);
}
