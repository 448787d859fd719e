//! `W`: the pairs counted again by another rule. What counts them was handed in; this file asks and shows.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use crate::tui::app::{App, Effect};
use crate::tui::figures::{visible, wrap};
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};
use crate::tui::screen::lines;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
    pub answer: Answer,
}

/// What has become of the question.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Answer {
    #[default]
    NotAsked,
    Counting,
    Counted(Vec<String>),
    Mistake(String),
}

pub fn key(state: &mut State, app: &App, key: KeyEvent, effects: &mut Vec<Effect>) -> Next {
    if key.code == KeyCode::Enter {
        state.answer = Answer::Counting;
        effects.push(Effect::WhatIf { upto: app.view().seq, rule: state.input.value().to_string() });
        return Next::Stay;
    }
    edit(&mut state.input, key);
    state.answer = Answer::NotAsked;
    Next::Stay
}

/// The answer came; it may be to a question that is no longer asked.
pub fn answered(state: &mut State, rule: &str, answer: Result<Vec<String>, String>) {
    if state.input.value() == rule && state.answer == Answer::Counting {
        state.answer = match answer {
            Ok(lines) => Answer::Counted(lines),
            Err(why) => Answer::Mistake(why),
        };
    }
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, "what if the rule for pairs were", 78, 21);
    draw_input(frame, inside, app, " ", &state.input);
    let rest = Rect { y: inside.y + 1.min(inside.height), height: inside.height.saturating_sub(1), ..inside };
    let width = usize::from(rest.width).saturating_sub(2);
    let (texts, role): (Vec<String>, Role) = match &state.answer {
        Answer::NotAsked => {
            let words = [
                "one or more of these, then Enter; Esc goes back:",
                "margin=1         mean scores must differ by this much",
                "rho=0.3          the shortest of the best against the longest of the worst",
                "likeness=0.9     answers more alike than this make no pair",
                "truncated=keep   keep or skip answers that were cut off",
                "cut=0.2          drop the share of pairs that the policy finds least likely",
                "parsed=1         judgements that must hold a score",
                "tie=shorter      skip, shorter or likelier: which of equal scores",
                "parser=first     recorded, ours or first: how a score is read",
            ];
            (words.map(String::from).to_vec(), Role::Dim)
        }
        Answer::Counting => (vec!["counting…".into()], Role::Dim),
        Answer::Counted(lines) => (lines.clone(), Role::Plain),
        Answer::Mistake(why) => (vec![why.clone()], Role::Warn),
    };
    let shown = texts.iter().flat_map(|text| wrap(&visible(text), width));
    lines(frame, rest, shown.map(|text| Line::from(Span::styled(format!(" {text}"), app.theme.style(role)))));
}
