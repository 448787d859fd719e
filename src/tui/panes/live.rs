//! Live: the run at a glance.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::app::{App, Effect};
use crate::tui::figures::visible;
use crate::tui::keys::Action;
use crate::tui::screen::{boxed, lines};
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub focus: usize,
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let inside = boxed(frame, area, app, "alerts", true);
    let shown = app
        .view()
        .alarms
        .values()
        .rev()
        .map(|alarm| Line::from(Span::styled(visible(&alarm.alarm.says), app.theme.style(Role::Warn))));
    lines(frame, inside, shown);
}

pub fn act(_app: &mut App, _action: Action, _effects: &mut Vec<Effect>) -> bool {
    false
}
