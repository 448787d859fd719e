//! `go`: a place in the run: `M2:dpo:210`, `#2:810`, `13:58`, `40%`, `seq:418220`, or a text.
//!
//! On a run that is looked at live, a pair's name opens the pair; everything else, and everything in a replay, moves the time.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use crate::run::ids::PromptId;
use crate::tui::app::{App, Screen};
use crate::tui::figures::{fit, visible};
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};
use crate::tui::panes::{check, generation, pairs};
use crate::tui::places;
use crate::tui::screen::line;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
    /// Why there is no such place.
    pub why: Option<String>,
}

pub fn open(_app: &App) -> State {
    State::default()
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent) -> Next {
    if key.code != KeyCode::Enter {
        edit(&mut state.input, key);
        state.why = None;
        return Next::Stay;
    }
    let place = state.input.value().trim().to_string();
    match go(app, &place) {
        Ok(()) => Next::Close,
        Err(why) => {
            state.why = Some(why);
            Next::Stay
        }
    }
}

fn go(app: &mut App, place: &str) -> Result<(), String> {
    let live = !app.is_replay() && !app.source.is_held();
    if let (true, Some(id)) = (live, place.strip_prefix('#')) {
        let id: PromptId = id.parse()?;
        return to_prompt(app, id);
    }
    let seq = places::find(&app.source, app.zone, place)?;
    app.source.seek(seq);
    app.player.playing = false;
    Ok(())
}

fn to_prompt(app: &mut App, id: PromptId) -> Result<(), String> {
    if app.view().pair(id).is_none() {
        if generation::select(app, id) {
            app.screen = Screen::Gen;
            return Ok(());
        }
        return Err(format!("there is no prompt #{id} in this run"));
    }
    let from = app.screen;
    let there = match from {
        Screen::Gen => generation::select(app, id),
        Screen::Pairs => pairs::select(app, id),
        _ => false,
    };
    if !there {
        check::open(app, id, from == Screen::Pairs);
    }
    Ok(())
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, "go to", 70, 4);
    draw_input(frame, inside, app, " ", &state.input);
    let (text, role) = match &state.why {
        Some(why) => (visible(why), Role::Warn),
        None => ("M2:dpo:210  #2:810  13:58  40%  seq:418220  or a text".to_string(), Role::Dim),
    };
    let at = Rect { y: inside.y + 1.min(inside.height), height: inside.height.saturating_sub(1).min(1), ..inside };
    let text = fit(&format!(" {text}"), inside.width.into());
    line(frame, at, Line::from(Span::styled(text, app.theme.style(role))));
}
