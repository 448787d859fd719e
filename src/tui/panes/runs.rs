//! The runs screen.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::tui::app::{App, Effect};
use crate::tui::keys::Action;
use crate::tui::screen::boxed;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub focus: usize,
    pub alerts: bool,
}

impl State {
    pub fn show_alerts(&mut self) {
        self.alerts = true;
    }
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    boxed(frame, area, app, "runs", true);
}

pub fn act(_app: &mut App, _action: Action, _effects: &mut Vec<Effect>) -> bool {
    false
}
