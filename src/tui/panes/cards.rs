//! The candidates of a prompt as cards: scores, roles, text, and the judge's words on each.
//!
//! Used by Gen and by Check. Blind, a card carries nothing but its text.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::ids::PromptId;
use crate::run::reasons::Ended;
use crate::run::view::{CandidateView, Standing};
use crate::tui::app::App;
use crate::tui::figures::{columns as wide, fit, number, words};
use crate::tui::layout::{columns, rows};
use crate::tui::panes::check::sides;
use crate::tui::prose::{self, Piece};
use crate::tui::screen::{boxed, line, lines};
use crate::tui::theme::Role;

/// How cards are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks {
    pub hidden: bool,
    /// Which of the judge's replies is shown.
    pub sample: usize,
    pub focus: Option<usize>,
    pub scroll: usize,
}

/// The four of a prompt, two by two, or the focused one alone when the room is small.
pub fn draw(frame: &mut Frame, area: Rect, app: &App, id: PromptId, looks: &Looks) {
    let count = sides::prompt(app, id).map_or(0, |prompt| prompt.candidates.len());
    let writing = app.source.now.as_ref().and_then(|now| now.writing.as_ref());
    let here = writing.filter(|w| w.prompt == id && w.candidate as usize == count && !app.is_replay());
    let shown = count + usize::from(here.is_some());
    if shown == 0 {
        return;
    }
    for (number, place) in places(area, shown) {
        match sides::candidate(app, id, number as u32) {
            Some(candidate) => card(frame, place, app, id, number, candidate, looks),
            None => {
                if let Some(writing) = here {
                    stream(frame, place, app, number, &writing.text);
                }
            }
        }
    }
}

/// One card with the whole room.
pub fn draw_one(frame: &mut Frame, area: Rect, app: &App, id: PromptId, place: usize, looks: &Looks) {
    let count = sides::prompt(app, id).map_or(0, |prompt| prompt.candidates.len());
    let place = place.min(count.saturating_sub(1));
    if let Some(candidate) = sides::candidate(app, id, place as u32) {
        card(frame, area, app, id, place, candidate, looks);
    }
}

fn places(area: Rect, count: usize) -> Vec<(usize, Rect)> {
    let across = if area.width >= 160 && area.height < 40 { 4 } else { 2 };
    let across = across.min(count).max(1);
    let down = count.div_ceil(across);
    let mut places = Vec::new();
    for (row, place) in rows(area, down).into_iter().enumerate() {
        for (column, place) in columns(place, across).into_iter().enumerate() {
            let number = row * across + column;
            if number < count {
                places.push((number, place));
            }
        }
    }
    places
}

/// The text that is being written this moment.
fn stream(frame: &mut Frame, area: Rect, app: &App, number: usize, text: &str) {
    let inside = boxed(frame, area, app, &format!("{} being written", number + 1), false);
    let mut pieces = prose::foreign(text, Role::Plain);
    pieces.push(Piece::new("█", Role::Focus));
    let all = prose::lines(&pieces, usize::from(inside.width).saturating_sub(2), true);
    let first = all.len().saturating_sub(inside.height.into());
    lines(frame, inside, all.into_iter().skip(first).map(|pieces| prose::drawn(&app.theme, pieces)));
}

/// `1  4.7 (5 5 4) sd 0.58  CHOSEN +`, shorter where there is less room.
fn title(
    app: &App,
    id: PromptId,
    place: usize,
    candidate: &CandidateView,
    looks: &Looks,
    width: usize,
) -> (String, Role) {
    if looks.hidden {
        return (format!("{}  {}", place + 1, words(candidate.words)), Role::Strong);
    }
    let pair = match sides::prompt(app, id).map(|prompt| &prompt.standing) {
        Some(Standing::Pair(pair)) => Some(pair),
        _ => None,
    };
    let (role_word, role) = match pair {
        Some(pair) if pair.chosen as usize == place => ("  CHOSEN +", Role::Chosen),
        Some(pair) if pair.rejected as usize == place => ("  REJECTED -", Role::Rejected),
        _ => ("", Role::Strong),
    };
    let mean = sides::mean(candidate).map_or("–".to_string(), |mean| number(mean, 2));
    let scores = sides::scores(candidate);
    let cut = if candidate.ended == Ended::Length { "  cut off" } else { "" };
    for text in [
        format!("{}  {mean} {scores}{role_word}  {}{cut}", place + 1, words(candidate.words)),
        format!("{}  {mean} {scores}{role_word}", place + 1),
        format!("{}  {mean}{role_word}", place + 1),
    ] {
        if wide(&text) + 4 <= width {
            return (text, role);
        }
    }
    (format!("{} {mean}", place + 1), role)
}

fn card(
    frame: &mut Frame,
    area: Rect,
    app: &App,
    id: PromptId,
    place: usize,
    candidate: &CandidateView,
    looks: &Looks,
) {
    let (text, role) = title(app, id, place, candidate, looks, area.width.into());
    let inside = boxed(frame, area, app, &text, looks.focus == Some(place));
    if area.width > 6 && area.height >= 3 {
        let text = fit(&text, usize::from(area.width).saturating_sub(4));
        frame.buffer_mut().set_stringn(area.x + 2, area.y, text, usize::from(area.width) - 4, app.theme.style(role));
    }
    let width = usize::from(inside.width).saturating_sub(2);
    let height = usize::from(inside.height);
    let body = prose::lines(&prose::foreign(&sides::text(app, candidate.seq), Role::Plain), width, true);
    // A card with room shows the judge's words under a rule; a low one shows the answer only.
    let words = if looks.hidden || height < 5 || id.is_label() {
        Vec::new()
    } else {
        judge(app, candidate, looks.sample, width)
    };
    let below = if words.is_empty() { 0 } else { (words.len() + 1).min(height / 2) };
    let room = height - below;
    let first = looks.scroll.min(body.len().saturating_sub(room));
    let left = body.len().saturating_sub(first + room);
    lines(
        frame,
        Rect { height: room as u16, ..inside },
        body.into_iter().skip(first).take(room).map(|pieces| prose::drawn(&app.theme, pieces)),
    );
    if left > 0 && room > 0 {
        let text = format!(" ▼ {left} more ");
        let columns = wide(&text) as u16;
        if columns < inside.width {
            let y = inside.y + room as u16 - 1;
            frame.buffer_mut().set_string(inside.right() - columns, y, text, app.theme.style(Role::Focus));
        }
    }
    if below > 0 {
        let rule = Rect { y: inside.y + room as u16, height: 1, ..inside };
        let count = candidate.judgements.len();
        let text = format!(" judge {} of {count} ", looks.sample % count.max(1) + 1);
        let dashes = "─".repeat(usize::from(rule.width).saturating_sub(wide(&text)));
        line(frame, rule, Line::from(Span::styled(format!("{text}{dashes}"), app.theme.style(Role::Dim))));
        let under = Rect { y: rule.y + 1, height: (below - 1) as u16, ..inside };
        lines(frame, under, words.into_iter().map(|pieces| prose::drawn(&app.theme, pieces)));
    }
}

fn judge(app: &App, candidate: &CandidateView, sample: usize, width: usize) -> Vec<Vec<Piece>> {
    let count = candidate.judgements.len();
    if count == 0 {
        return Vec::new();
    }
    let reply = sides::Reply::of(app, candidate.judgements[sample % count].seq());
    match reply.as_ref().and_then(sides::Reply::judged) {
        Some(judged) => prose::lines(&prose::reply(&judged.reply, judged.span), width, true),
        None => vec![vec![Piece::new("(this reply is missing from the journal)", Role::Dim)]],
    }
}
