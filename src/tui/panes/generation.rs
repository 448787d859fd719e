//! Gen: prompts as they are written, with their candidates and judgements.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::ids::{PromptId, Seq};
use crate::tui::app::{App, Effect};
use crate::tui::figures::{fit, one_line};
use crate::tui::keys::Action;
use crate::tui::layout::scroll_to;
use crate::tui::panes::Cursor;
use crate::tui::screen::{boxed, empty, lines};
use crate::tui::theme::Role;

#[derive(Clone, Debug)]
pub struct State {
    pub cursor: Cursor,
}

impl Default for State {
    fn default() -> State {
        State { cursor: Cursor::END }
    }
}

/// What is listed: ids with the places of their prompts.
fn rows(app: &App) -> Vec<(PromptId, Seq)> {
    let view = app.view();
    let Some(round) = view.round(view.iteration) else { return Vec::new() };
    let iteration = round.iteration;
    round.prompts.iter().zip(0..).map(|(prompt, number)| (PromptId { iteration, number }, prompt.seq)).collect()
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let inside = boxed(frame, area, app, "prompts and candidates", true);
    let rows = rows(app);
    if rows.is_empty() {
        return empty(
            frame,
            inside,
            app,
            "No prompts yet: iteration 0 learns from human data, and prompts are written in iteration 1. 1 shows the run at a glance.",
        );
    }
    let selected = app.generation.cursor.at(rows.len());
    let first = scroll_to(selected, selected, inside.height.into(), rows.len());
    let shown = rows.iter().enumerate().skip(first).take(inside.height.into()).map(|(place, (id, seq))| {
        let text = app.source.texts.text(*seq).map_or("(text not found)".to_string(), |text| one_line(&text));
        let role = if place == selected { Role::Selected } else { Role::Plain };
        Line::from(Span::styled(fit(&format!("#{id}  {text}"), inside.width.into()), app.theme.style(role)))
    });
    lines(frame, inside, shown);
}

pub fn act(app: &mut App, action: Action, _effects: &mut Vec<Effect>) -> bool {
    let len = rows(app).len();
    let page = usize::from(app.size.1 / 2);
    app.generation.cursor.act(action, len, page)
}
