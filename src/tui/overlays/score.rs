//! `e`: another mean score for one candidate of the pair that is shown; says which pair the four then make.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::ids::PromptId;
use crate::tui::app::App;
use crate::tui::figures::{fit, number, one_line};
use crate::tui::overlays::prompt::window;
use crate::tui::overlays::{Next, subject};
use crate::tui::panes::check::{self, sides};
use crate::tui::screen::lines;
use crate::tui::theme::Role;

#[derive(Clone, Debug)]
pub struct State {
    pub pair: PromptId,
    /// The candidates in the order of Tab: the two of the pair first.
    order: Vec<u32>,
    place: usize,
    pub score: f64,
}

impl State {
    pub fn candidate(&self) -> u32 {
        self.order.get(self.place).copied().unwrap_or(0)
    }
}

/// Opens on the pair that is shown; none when there is none.
pub fn open(app: &mut App) -> Option<State> {
    let Some(id) = subject::pair(app) else {
        app.say(Role::Dim, "there is no pair here to score");
        return None;
    };
    let pair = app.view().pair(id)?;
    let mut order = sides::sides(app, id, pair).to_vec();
    let count = sides::prompt(app, id).map_or(0, |prompt| prompt.candidates.len() as u32);
    order.extend((0..count).filter(|number| *number != pair.chosen && *number != pair.rejected));
    let mut state = State { pair: id, order, place: 0, score: 0.0 };
    state.score = given(app, &state).unwrap_or(2.5);
    Some(state)
}

/// What the judge gave, unless it is out of sight.
fn given(app: &App, state: &State) -> Option<f64> {
    if sides::hidden(app, state.pair) {
        return None;
    }
    sides::candidate(app, state.pair, state.candidate()).and_then(sides::mean)
}

pub fn key(state: &mut State, app: &mut App, key: KeyEvent, effects: &mut Vec<crate::tui::app::Effect>) -> Next {
    match key.code {
        KeyCode::Char(c @ '0'..='5') => state.score = f64::from(c as u8 - b'0'),
        KeyCode::Char('+' | '=') | KeyCode::Up => state.score = ((state.score * 2.0).floor() / 2.0 + 0.5).min(5.0),
        KeyCode::Char('-') | KeyCode::Down => state.score = ((state.score * 2.0).ceil() / 2.0 - 0.5).max(0.0),
        KeyCode::Tab | KeyCode::BackTab => {
            let count = state.order.len().max(1);
            let step = if key.code == KeyCode::Tab { 1 } else { count - 1 };
            state.place = (state.place + step) % count;
            state.score = given(app, state).unwrap_or(2.5);
        }
        KeyCode::Enter => {
            check::edit_score(app, state.pair, state.candidate(), state.score, effects);
            return Next::Close;
        }
        _ => {}
    }
    Next::Stay
}

/// Best and worst of the four by mean score, with the new one in; the engine decides by its own rule, ties and all.
fn outcome(app: &App, state: &State) -> String {
    let Some(prompt) = sides::prompt(app, state.pair) else { return String::new() };
    let means: Vec<(u32, f64)> = prompt
        .candidates
        .iter()
        .zip(0..)
        .filter_map(|(candidate, number)| {
            let mean = if number == state.candidate() { Some(state.score) } else { sides::mean(candidate) };
            Some((number, mean?))
        })
        .collect();
    let best = means.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
    let worst = means.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a });
    match (best, worst) {
        (Some(best), Some(worst)) if best.1 > worst.1 => format!(
            "by mean score {} ({}) is then chosen, {} ({}) rejected",
            best.0 + 1,
            number(best.1, 2),
            worst.0 + 1,
            number(worst.1, 2)
        ),
        _ => "by mean score all are then equal: the pair is dropped".into(),
    }
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, &format!("another score for #{}", state.pair), 74, 8);
    let hidden = sides::hidden(app, state.pair);
    let width = usize::from(inside.width);
    let mut all = Vec::new();
    for (place, &candidate) in state.order.iter().enumerate() {
        let Some(view) = sides::candidate(app, state.pair, candidate) else { continue };
        let here = place == state.place;
        let name = match (hidden, place) {
            (true, 0) => "A".to_string(),
            (true, 1) => "B".to_string(),
            _ => format!("{}", candidate + 1),
        };
        let mean = sides::mean(view).filter(|_| !hidden).map_or("–".to_string(), |mean| number(mean, 2));
        let score = if here { format!("{mean} → {}", number(state.score, 2)) } else { mean };
        let text = one_line(&sides::text(app, view.seq));
        let role = if here { Role::Selected } else { Role::Plain };
        let point = if here { "›" } else { " " };
        let line = fit(&format!("{point}{name}  {score:<10}  {text}"), width);
        all.push(Line::from(Span::styled(line, app.theme.style(role))));
    }
    let says = if hidden { "blind: what it makes of the pair comes after".into() } else { outcome(app, state) };
    all.push(Line::from(Span::styled(fit(&format!(" {says}"), width), app.theme.style(Role::Human))));
    let keys = " 0-5 score  + - half a point  Tab next answer  Enter sends  Esc leaves";
    all.push(Line::from(Span::styled(fit(keys, width), app.theme.style(Role::Dim))));
    lines(frame, inside, all);
}
