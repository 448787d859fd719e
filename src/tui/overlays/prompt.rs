//! One line of input and a list, as most overlays need them.

use ratatui::Frame;
use ratatui::crossterm::event::{Event, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use crate::tui::app::App;
use crate::tui::layout::middle;
use crate::tui::screen::{boxed, line};
use crate::tui::theme::Role;

/// A key that edits the line.
pub fn edit(input: &mut Input, key: KeyEvent) {
    input.handle_event(&Event::Key(key));
}

/// A cleared box in the middle with a title; returns its inside.
pub fn window(frame: &mut Frame, area: Rect, app: &App, title: &str, width: u16, height: u16) -> Rect {
    let place = middle(area, width, height);
    frame.render_widget(Clear, place);
    boxed(frame, place, app, title, true)
}

/// The line being written, with its cursor shown as a reversed cell.
pub fn draw_input(frame: &mut Frame, area: Rect, app: &App, before: &str, input: &Input) {
    let width = usize::from(area.width).saturating_sub(before.len() + 1).max(1);
    let scroll = input.visual_scroll(width);
    let value = input.value();
    let mut shown: Vec<char> = value.chars().skip(scroll).take(width).collect();
    let cursor = input.cursor().saturating_sub(scroll);
    if cursor >= shown.len() {
        shown.push(' ');
    }
    let mut spans = vec![Span::styled(before.to_string(), app.theme.style(Role::Focus))];
    for (place, c) in shown.into_iter().enumerate() {
        let role = if place == cursor { Role::Selected } else { Role::Plain };
        spans.push(Span::styled(c.to_string(), app.theme.style(role)));
    }
    line(frame, Rect { height: 1.min(area.height), ..area }, Line::from(spans));
}
