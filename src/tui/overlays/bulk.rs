//! A decision about many pairs at once: asked for by their typed count, so that no slip of a finger vetoes a thousand.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use crate::run::command::Choice;
use crate::run::ids::PromptId;
use crate::tui::app::{App, Effect};
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};
use crate::tui::panes::{check, pairs};
use crate::tui::screen::lines;
use crate::tui::theme::Role;

#[derive(Clone, Debug)]
pub struct State {
    pub ids: Vec<PromptId>,
    pub choice: Choice,
    pub input: Input,
    /// What was typed was not the count.
    pub wrong: bool,
}

impl State {
    pub fn new(ids: Vec<PromptId>, choice: Choice) -> State {
        State { ids, choice, input: Input::default(), wrong: false }
    }

    fn verb(&self) -> &'static str {
        match self.choice {
            Choice::Keep => "keep",
            Choice::Veto => "veto",
            Choice::Swap => "swap",
            Choice::Tie => "call a tie",
            Choice::Edit { .. } => "score",
            Choice::Defer => "defer",
            Choice::Flag => "flag",
        }
    }
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) -> Next {
    if key.code != KeyCode::Enter {
        edit(&mut state.input, key);
        state.wrong = false;
        return Next::Stay;
    }
    if state.input.value().trim() != state.ids.len().to_string() {
        state.wrong = true;
        return Next::Stay;
    }
    let filter = Some(app.filter().to_string()).filter(|filter| !filter.is_empty());
    check::decide_many(app, state.ids.clone(), state.choice, filter, effects);
    pairs::clear(app);
    Next::Close
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let n = state.ids.len();
    let inside = window(frame, area, app, &format!("{} {n} pairs", state.verb()), 64, 6);
    let decided = state.ids.iter().filter(|&&id| check::asked::status(app, id).is_decided()).count();
    let second =
        if decided > 0 { format!(" {decided} of them are decided already and change.") } else { String::new() };
    let word = if state.wrong { " That is not the count." } else { "" };
    lines(
        frame,
        inside,
        [
            Line::from(format!(" Type {n} and Enter to {} {n} pairs; Esc leaves them.", state.verb())),
            Line::from(Span::styled(second, app.theme.style(Role::Warn))),
            Line::from(Span::styled(word, app.theme.style(Role::Error))),
        ],
    );
    let at = Rect { y: inside.y + 3.min(inside.height), height: inside.height.saturating_sub(3).min(1), ..inside };
    draw_input(frame, at, app, " count: ", &state.input);
}
