//! `e`: another mean score for a candidate.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::run::command::{Choice, Command, Decide};
use crate::run::ids::PromptId;
use crate::tui::app::{App, Effect};
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::window;
use crate::tui::screen::lines;

#[derive(Clone, Debug)]
pub struct State {
    pub pair: PromptId,
    pub candidate: u32,
    pub score: f64,
}

/// Opens on the pair that is shown; none when there is none.
pub fn open(app: &App) -> Option<State> {
    let pair = app.view().last_pair?;
    let view = app.view().pair(pair)?;
    Some(State { pair, candidate: view.chosen, score: view.chosen_score })
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) -> Next {
    match key.code {
        KeyCode::Char(c @ '0'..='5') => state.score = f64::from(c as u8 - b'0'),
        KeyCode::Char('+') => state.score = (state.score + 0.5).min(5.0),
        KeyCode::Char('-') => state.score = (state.score - 0.5).max(0.0),
        KeyCode::Tab => state.candidate = (state.candidate + 1) % 4,
        KeyCode::Enter => {
            let choice = Choice::Edit { candidate: state.candidate, score: state.score };
            let decide = Decide {
                pairs: vec![state.pair],
                choice,
                reason: None,
                note: None,
                took_ms: None,
                blind: false,
                filter: None,
                seen: None,
            };
            app.ask(format!("score {} for #{}", state.score, state.pair), Command::Decide(decide), effects);
            return Next::Close;
        }
        _ => {}
    }
    Next::Stay
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, &format!("score for #{}", state.pair), 60, 4);
    let text = format!(" candidate {}: {}", state.candidate + 1, state.score);
    lines(frame, inside, [Line::from(text), Line::from(" 0-5 score  + - half  Tab candidate  Enter send  Esc leave")]);
}
