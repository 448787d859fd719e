//! `/`: what the list of this screen is filtered for. On Pairs a mistake is named with its place while one writes.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;
use tui_input::Input;

use crate::run::filter::Filter;
use crate::tui::app::{App, Screen};
use crate::tui::figures::{fit, visible};
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit};
use crate::tui::screen::line;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
    /// What the filter was before: Esc goes back to it.
    before: String,
}

pub fn open(app: &App) -> State {
    State { input: Input::new(app.filter().to_string()), before: app.filter().to_string() }
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent) -> Next {
    if key.code == KeyCode::Enter {
        let mistaken = app.screen == Screen::Pairs && Filter::parse(state.input.value()).is_err();
        return if mistaken { Next::Stay } else { Next::Close };
    }
    edit(&mut state.input, key);
    set(app, state.input.value());
    Next::Stay
}

pub fn escape(state: &State, app: &mut App) {
    set(app, &state.before);
}

fn set(app: &mut App, text: &str) {
    if text.is_empty() {
        app.filters.remove(&app.screen);
    } else {
        app.filters.insert(app.screen, text.to_string());
    }
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let height = area.height.min(3);
    let place = Rect { y: area.bottom().saturating_sub(height), height, ..area };
    frame.render_widget(Clear, place);
    let row = |number: u16| Rect { y: place.y + number, height: u16::from(number < height), ..place };
    draw_input(frame, row(0), app, "/", &state.input);
    let width = usize::from(area.width);
    if app.screen != Screen::Pairs {
        let text = fit(" a text, in any case of letters; n and N go to the next and the previous match", width);
        return line(frame, row(1), Line::from(Span::styled(text, app.theme.style(Role::Dim))));
    }
    match Filter::parse(state.input.value()) {
        Err(fault) => {
            // The caret stands under the character that is wrong, as long as that one is in sight.
            let before = fault.at + 1;
            let caret = if before < width { format!("{}^", " ".repeat(before)) } else { String::new() };
            line(frame, row(1), Line::from(Span::styled(caret, app.theme.style(Role::Warn))));
            let text = fit(&format!(" {}", visible(&fault.why)), width);
            line(frame, row(2), Line::from(Span::styled(text, app.theme.style(Role::Warn))));
        }
        Ok(_) => {
            let found = app.pairs.list.rows().len();
            let text = fit(
                &format!(" {found} of {} pairs; Enter keeps the filter, Esc goes back", app.pairs.list.total),
                width,
            );
            line(frame, row(1), Line::from(Span::styled(text, app.theme.style(Role::Plain))));
            let words = " susp>.5 len>1.5 margin<1 iter:2 auto kept veto swap decided flagged reason:length sign:gaming \"text\" !";
            line(frame, row(2), Line::from(Span::styled(fit(words, width), app.theme.style(Role::Dim))));
        }
    }
}
