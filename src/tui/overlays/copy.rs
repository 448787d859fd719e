//! `y` copies to the clipboard of the machine where the terminal runs; `o` opens the same text in the pager.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use serde::Serialize;

use crate::run::ids::PromptId;
use crate::run::reasons::{Scored, Sign};
use crate::tui::app::{App, Effect};
use crate::tui::figures::{bytes, visible};
use crate::tui::keys::Action;
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::window;
use crate::tui::overlays::subject::subject;
use crate::tui::panes::check::sides;
use crate::tui::screen::lines;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub to_pager: bool,
    /// What can be copied here.
    pub offers: Vec<Offer>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub letter: char,
    pub name: String,
    pub text: String,
}

/// A pair as JSON: the texts exactly as they were written, hidden characters as escapes.
#[derive(Serialize)]
struct Whole {
    id: PromptId,
    prompt: String,
    chosen: Option<u32>,
    rejected: Option<u32>,
    suspicion: Option<f64>,
    signs: Vec<Sign>,
    status: Option<&'static str>,
    candidates: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    text: String,
    judgements: Vec<Judged>,
}

#[derive(Serialize)]
struct Judged {
    #[serde(with = "crate::run::number::scored")]
    score: Scored,
    reply: String,
}

pub fn open(app: &App, action: Action) -> State {
    let mut offers = Vec::new();
    let mut offer = |letter, name: String, text| offers.push(Offer { letter, name, text });
    let folder = app.source.folder.path().display().to_string();
    if let Some(id) = subject(app)
        && let Some(prompt) = sides::prompt(app, id)
    {
        let shown = |seq| visible(&sides::text(app, seq));
        offer('p', format!("prompt #{id}"), shown(prompt.seq));
        if let Some(pair) = app.view().pair(id) {
            let hidden = sides::hidden(app, id);
            let [left, right] = if hidden { sides::sides(app, id, pair) } else { [pair.chosen, pair.rejected] };
            let names = if hidden { ["answer A", "answer B"] } else { ["chosen answer", "rejected answer"] };
            for ((letter, name), number) in ['a', 'b'].into_iter().zip(names).zip([left, right]) {
                if let Some(candidate) = sides::candidate(app, id, number) {
                    offer(letter, name.to_string(), shown(candidate.seq));
                }
            }
            if !hidden {
                offer('r', "judge's replies on both answers".into(), replies(app, id, [left, right]));
                offer('c', "command that lists this pair".into(), format!("selfreward replay {folder} --at '#{id}'"));
            }
        }
        if app.view().pair(id).is_none() || !sides::hidden(app, id) {
            offer('j', "everything about it as JSON".into(), json(app, id));
        }
    }
    offer(
        'l',
        "command that replays this moment".into(),
        format!("selfreward replay {folder} --at seq:{}", app.view().seq),
    );
    State { to_pager: action == Action::External, offers }
}

fn replies(app: &App, id: PromptId, numbers: [u32; 2]) -> String {
    let mut out = String::new();
    for (name, number) in ["chosen", "rejected"].into_iter().zip(numbers) {
        for judgement in sides::candidate(app, id, number).map_or(&[][..], |candidate| &candidate.judgements) {
            out += &format!(
                "--- {name}, reply {}\n{}\n",
                judgement.sample() + 1,
                visible(&sides::text(app, judgement.seq()))
            );
        }
    }
    out
}

fn json(app: &App, id: PromptId) -> String {
    let Some(prompt) = sides::prompt(app, id) else { return String::new() };
    let pair = app.view().pair(id);
    let candidates = prompt.candidates.iter().map(|candidate| Answer {
        text: sides::text(app, candidate.seq),
        judgements: candidate
            .judgements
            .iter()
            .map(|judgement| Judged { score: judgement.score(), reply: sides::text(app, judgement.seq()) })
            .collect(),
    });
    let whole = Whole {
        id,
        prompt: sides::text(app, prompt.seq),
        chosen: pair.map(|pair| pair.chosen),
        rejected: pair.map(|pair| pair.rejected),
        suspicion: pair.map(|pair| pair.suspicion),
        signs: pair.map(|pair| pair.signs.clone()).unwrap_or_default(),
        status: pair.map(|pair| pair.status.name()),
        candidates: candidates.collect(),
    };
    let mut out = Vec::new();
    let mut to = serde_json::Serializer::with_formatter(&mut out, crate::run::entry::Escaping);
    match whole.serialize(&mut to) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(error) => format!("{{\"error\": \"{error}\"}}"),
    }
}

pub fn key(state: &mut State, _app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) -> Next {
    let KeyCode::Char(c) = key.code else { return Next::Stay };
    let Some(Offer { name, text, .. }) = state.offers.iter().find(|offer| offer.letter == c) else {
        return Next::Stay;
    };
    effects.push(if state.to_pager {
        Effect::Page { title: name.clone(), text: text.clone() }
    } else {
        Effect::Copy { what: name.clone(), text: text.clone() }
    });
    Next::Close
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let title = if state.to_pager { "read in the pager" } else { "copy" };
    let inside = window(frame, area, app, title, 62, state.offers.len() as u16 + 3);
    let mut shown: Vec<Line> = state
        .offers
        .iter()
        .map(|offer| {
            Line::from(vec![
                Span::styled(format!(" {} ", offer.letter), app.theme.style(Role::Focus)),
                Span::raw(format!("{} ", offer.name)),
                Span::styled(bytes(offer.text.len() as u64), app.theme.style(Role::Dim)),
            ])
        })
        .collect();
    shown.push(Line::from(Span::styled(" Esc leaves", app.theme.style(Role::Dim))));
    lines(frame, inside, shown);
}
