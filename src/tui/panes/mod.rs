//! The screens. Each has a state, a `draw` that only reads, and an `act` that says whether it took a key.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::tui::app::{App, Effect, Screen};
use crate::tui::keys::Action;

pub mod cards;
pub mod check;
pub mod coming;
pub mod compare;
pub mod eval;
pub mod generation;
pub mod live;
pub mod log;
pub mod pairs;
pub mod runs;
pub mod timeline;
pub mod train;

/// Draws the current screen.
pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    if area.is_empty() {
        return;
    }
    match (app.screen, &app.other) {
        (Screen::Live, Some(other)) if area.width >= 60 && area.height >= 12 => compare::draw(frame, area, app, other),
        (screen, _) => draw_one(frame, area, app, screen),
    }
}

fn draw_one(frame: &mut Frame, area: Rect, app: &App, screen: Screen) {
    match screen {
        Screen::Live => live::draw(frame, area, app),
        Screen::Gen => generation::draw(frame, area, app),
        Screen::Pairs => pairs::draw(frame, area, app),
        Screen::Check => check::draw(frame, area, app),
        Screen::Train => train::draw(frame, area, app),
        Screen::Eval => eval::draw(frame, area, app),
        Screen::Log => log::draw(frame, area, app),
        Screen::Runs => runs::draw(frame, area, app),
    }
}

/// Offers an action to the current screen.
pub fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    if app.screen == Screen::Live && app.other.is_some() && compare::act(app, action) {
        return true;
    }
    match app.screen {
        Screen::Live => live::act(app, action, effects),
        Screen::Gen => generation::act(app, action, effects),
        Screen::Pairs => pairs::act(app, action, effects),
        Screen::Check => check::act(app, action, effects),
        Screen::Train => train::act(app, action, effects),
        Screen::Eval => eval::act(app, action, effects),
        Screen::Log => log::act(app, action, effects),
        Screen::Runs => runs::act(app, action, effects),
    }
}

/// After every message: what screens keep between messages is brought up to date, so that drawing need not.
pub fn settle(app: &mut App, effects: &mut Vec<Effect>) {
    check::settle(app, effects);
    pairs::settle(app);
}

/// A selected row in a list that may be longer than the screen; the list is followed until somebody moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub row: usize,
    /// Stays at the last row as the list grows.
    pub follows: bool,
}

impl Cursor {
    pub const TOP: Cursor = Cursor { row: 0, follows: false };
    pub const END: Cursor = Cursor { row: 0, follows: true };

    /// The row in a list of this length.
    pub fn at(self, len: usize) -> usize {
        if self.follows { len.saturating_sub(1) } else { self.row.min(len.saturating_sub(1)) }
    }

    /// Moves by an action; returns whether it was one that moves. `page` is the height of the list.
    pub fn act(&mut self, action: Action, len: usize, page: usize) -> bool {
        let row = self.at(len);
        let end = len.saturating_sub(1);
        let page = page.max(1);
        self.row = match action {
            Action::Up => row.saturating_sub(1),
            Action::Down => (row + 1).min(end),
            Action::PageUp => row.saturating_sub(page),
            Action::PageDown => (row + page).min(end),
            Action::First => 0,
            Action::Last => end,
            _ => return false,
        };
        self.follows = false;
        true
    }
}
