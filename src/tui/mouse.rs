//! What the mouse does while it is captured: tabs and the keys of the footer can be clicked, the wheel moves as the arrow keys do.
//!
//! Everything that the mouse can do a key can do too; so this file turns positions into keys and actions and nothing else.

use ratatui::crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::tui::app::{App, Effect, Screen, act, pressed_all};
use crate::tui::keys::{Action, Press};
use crate::tui::layout;
use crate::tui::screen::{footer_keys, tab_labels};

/// Rows that one turn of the wheel moves.
const TURN: usize = 3;

pub fn mouse(app: &mut App, event: MouseEvent, effects: &mut Vec<Effect>) {
    let at = Position { x: event.column, y: event.row };
    match event.kind {
        MouseEventKind::ScrollUp | MouseEventKind::ScrollDown if app.overlay.is_none() => {
            let action = if event.kind == MouseEventKind::ScrollUp { Action::Up } else { Action::Down };
            for _ in 0..TURN {
                act(app, action, effects);
            }
        }
        MouseEventKind::Down(MouseButton::Left) if app.overlay.is_none() => click(app, at, effects),
        _ => {}
    }
}

fn click(app: &mut App, at: Position, effects: &mut Vec<Effect>) {
    let area = Rect::new(0, 0, app.size.0, app.size.1);
    let parts = layout::parts(area, app.is_replay() || app.source.is_held());
    if parts.tabs.contains(at) {
        let mut left = 1;
        for (screen, label) in tab_labels() {
            let wide = label.len() as u16 + 2;
            if (left..left + wide).contains(&at.x) {
                return act(app, show(screen), effects);
            }
            left += wide;
        }
    }
    if parts.footer.contains(at) && app.toast.is_none() {
        let key = footer_keys(app, area.width).into_iter().find(|(from, to, _)| (*from..*to).contains(&at.x));
        if let Some(presses) = key.and_then(|(_, _, key)| Press::sequence(&key).ok()) {
            pressed_all(app, presses, effects);
        }
    }
}

fn show(screen: Screen) -> Action {
    match screen {
        Screen::Live => Action::ShowLive,
        Screen::Gen => Action::ShowGen,
        Screen::Pairs => Action::ShowPairs,
        Screen::Check => Action::ShowCheck,
        Screen::Train => Action::ShowTrain,
        Screen::Eval => Action::ShowEval,
        Screen::Log => Action::ShowLog,
        Screen::Runs => Action::ShowRuns,
    }
}
