//! What lies over a screen for a moment: help, palette, filter, copy, note, score, stop menu, go to, a count, what if.
//!
//! An overlay takes every key until it closes; Esc always closes it.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use crate::tui::app::{App, Effect};
use crate::tui::keys::{Action, Press};

pub mod bulk;
pub mod copy;
pub mod filter;
pub mod goto;
pub mod help;
pub mod note;
pub mod palette;
pub mod prompt;
pub mod score;
pub mod stop;
pub mod subject;
pub mod what_if;

/// The one that is open.
#[derive(Clone, Debug)]
pub enum Overlay {
    Help(help::State),
    Palette(palette::State),
    Filter(filter::State),
    Copy(copy::State),
    Note(note::State),
    Score(score::State),
    Stop(stop::State),
    GoTo(goto::State),
    Bulk(bulk::State),
    WhatIf(what_if::State),
}

/// What a key did to an overlay.
#[derive(Clone, Debug)]
pub enum Next {
    Stay,
    Close,
    /// Close, then do this.
    Do(Action),
}

/// Opens the overlay that an action asks for, if it asks for one.
pub fn open(app: &mut App, action: Action) {
    app.overlay = match action {
        Action::Help => Some(Overlay::Help(help::open(app))),
        Action::Palette => Some(Overlay::Palette(palette::open(app))),
        Action::Filter => Some(Overlay::Filter(filter::open(app))),
        Action::Copy | Action::External => Some(Overlay::Copy(copy::open(app, action))),
        Action::Note => Some(Overlay::Note(note::open(app))),
        Action::EditScore => score::open(app).map(Overlay::Score),
        Action::StopMenu => Some(Overlay::Stop(stop::open(app))),
        Action::WhatIf => Some(Overlay::WhatIf(what_if::State::default())),
        Action::GoTo => Some(Overlay::GoTo(goto::open(app))),
        _ => return,
    };
}

/// Gives a key to the open overlay.
pub fn key(app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) {
    let Some(mut overlay) = app.overlay.take() else { return };
    if Press::from(key) == Press::plain(KeyCode::Esc) {
        if let Overlay::Filter(state) = &overlay {
            filter::escape(state, app);
        }
        return;
    }
    let next = match &mut overlay {
        Overlay::Help(state) => help::key(state, app, key),
        Overlay::Palette(state) => palette::key(state, app, key),
        Overlay::Filter(state) => filter::key(state, app, key),
        Overlay::Copy(state) => copy::key(state, app, key, effects),
        Overlay::Note(state) => note::key(state, app, key, effects),
        Overlay::Score(state) => score::key(state, app, key, effects),
        Overlay::Stop(state) => stop::key(state, app, key, effects),
        Overlay::GoTo(state) => goto::key(state, app, key),
        Overlay::Bulk(state) => bulk::key(state, app, key, effects),
        Overlay::WhatIf(state) => what_if::key(state, app, key, effects),
    };
    match next {
        // An overlay may have opened another one.
        Next::Stay if app.overlay.is_none() => app.overlay = Some(overlay),
        Next::Stay | Next::Close => {}
        Next::Do(action) => crate::tui::app::act(app, action, effects),
    }
}

/// Pasted text goes into the line that is being written, if any.
pub fn paste(app: &mut App, text: &str) {
    let line = match &mut app.overlay {
        Some(Overlay::Help(state)) => &mut state.input,
        Some(Overlay::Palette(state)) => &mut state.input,
        Some(Overlay::Filter(state)) => &mut state.input,
        Some(Overlay::Note(state)) => &mut state.input,
        Some(Overlay::GoTo(state)) => &mut state.input,
        Some(Overlay::Stop(state)) => &mut state.input,
        Some(Overlay::Bulk(state)) => &mut state.input,
        Some(Overlay::WhatIf(state)) => &mut state.input,
        Some(Overlay::Copy(_) | Overlay::Score(_)) | None => return,
    };
    for c in text.chars().filter(|&c| !crate::text::invisible::is_invisible(c)).take(2000) {
        line.handle(tui_input::InputRequest::InsertChar(c));
    }
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    match &app.overlay {
        None => {}
        Some(Overlay::Help(state)) => help::draw(frame, area, app, state),
        Some(Overlay::Palette(state)) => palette::draw(frame, area, app, state),
        Some(Overlay::Filter(state)) => filter::draw(frame, area, app, state),
        Some(Overlay::Copy(state)) => copy::draw(frame, area, app, state),
        Some(Overlay::Note(state)) => note::draw(frame, area, app, state),
        Some(Overlay::Score(state)) => score::draw(frame, area, app, state),
        Some(Overlay::Stop(state)) => stop::draw(frame, area, app, state),
        Some(Overlay::GoTo(state)) => goto::draw(frame, area, app, state),
        Some(Overlay::Bulk(state)) => bulk::draw(frame, area, app, state),
        Some(Overlay::WhatIf(state)) => what_if::draw(frame, area, app, state),
    }
}
