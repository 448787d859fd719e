//! `?`: the keys that are valid here, then all others, then the words on the screens and of the filter, with a search over everything.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;

use crate::run::filter;
use crate::tui::app::App;
use crate::tui::figures::{left, wrap};
use crate::tui::keys::BINDINGS;
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::{draw_input, edit, window};
use crate::tui::screen::lines;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub input: Input,
    pub first: usize,
}

/// Words on the screens that a stranger may not know, each in one sentence.
pub const GLOSSARY: &[(&str, &str)] = &[
    (
        "M0, M1, …",
        "models: M0 is the base, M1 is fine-tuned on human data, each further one is made from its predecessor's own judgements",
    ),
    (
        "R0, R1, …",
        "reward models: R0 learns from people's labels, each further one also from labels that the one before it gave; * judges",
    ),
    (
        "kept, flipped",
        "labels that a reward model gave itself and believes; flipped ones are against people's, which is counted afterwards",
    ),
    (
        "label",
        "what a reward model prefers of two answers of people's, #0:37; offered before the next loop learns from it, with the keys of pairs",
    ),
    ("prompt", "a task that the model wrote for itself; #2:31 is number 31 of iteration 2"),
    ("candidate", "one of several answers to a prompt"),
    (
        "score",
        "0 to 5, read from the judge's reply; – means that none could be read, and it counts as missing, never as 0",
    ),
    ("sd", "standard deviation of the judge's scores of one answer: how unsure it is"),
    ("pair", "the best and the worst answer to a prompt, chosen (+) and rejected (-)"),
    ("margin", "mean score of the chosen answer minus that of the rejected one"),
    ("len", "how much longer the chosen answer is: +100% is twice as long"),
    ("susp", "suspicion: 0 to 1, the sum of named signs that a pair is wrong; ! from 0.5"),
    ("gate", "the moment before DPO, or before a loop of a reward model, at which the run waits for the spot check"),
    ("random", "pairs or labels offered by lot: only they estimate how many are wrong in all"),
    ("95%", "an interval that holds the true value in 95 of 100 cases; wide after few decisions"),
    ("veto", "the pair does not reach the optimiser; a label stays in the pool and no later loop learns from it"),
    ("tie", "neither answer is better: the pair is dropped"),
    ("sent / taken", "a decision is a request; it is true once the engine has written it into the journal"),
    ("DPO", "direct preference optimisation: the step that learns from the pairs"),
    (
        "RLOO",
        "REINFORCE leave-one-out: learns from the rewards of all answers, each against the mean of its prompt's others",
    ),
    ("KL", "how far the model has moved from the one it started from"),
    ("unp", "share of judge's replies from which no score could be read"),
    ("EFT", "examples of judging, made from human rankings"),
    ("kappa", "agreement of two readers beyond chance: 1 is full, 0 is chance"),
    ("{+…+} {-…-}", "words that only the left, or only the right answer has"),
];

pub fn open(_app: &App) -> State {
    State::default()
}

pub fn key(state: &mut State, _app: &mut App, key: KeyEvent) -> Next {
    match key.code {
        KeyCode::Down => state.first += 1,
        KeyCode::Up => state.first = state.first.saturating_sub(1),
        KeyCode::PageDown => state.first += 10,
        KeyCode::PageUp => state.first = state.first.saturating_sub(10),
        KeyCode::Enter => return Next::Close,
        _ => {
            edit(&mut state.input, key);
            state.first = 0;
        }
    }
    // Overlays know no size: the end is found when the list is made.
    state.first = state.first.min(1000);
    Next::Stay
}

/// One entry: a heading, or a key or word with its sentence.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Head(String),
    Row { key: String, text: String },
}

/// Everything that holds the wanted text, what is valid now first.
pub fn entries(app: &App, wanted: &str) -> Vec<Entry> {
    let wanted = wanted.to_lowercase();
    let scopes = app.scopes();
    let mut groups: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let others = crate::tui::keys::Scope::ALL.into_iter().filter(|scope| !scopes.contains(scope));
    for (scope, here) in scopes.iter().map(|&scope| (scope, true)).chain(others.map(|scope| (scope, false))) {
        let rows = BINDINGS.iter().filter(|binding| binding.scope == scope).map(|binding| {
            let keys = app.settings.keys.keys_of(binding).join(" ");
            (keys, format!("{} ({})", binding.help, binding.name))
        });
        let name = if here { format!("{}: now", scope.name()) } else { scope.name().to_string() };
        groups.push((name, rows.collect()));
    }
    let words = |list: &[(&str, &str)]| list.iter().map(|(word, says)| (word.to_string(), says.to_string())).collect();
    groups.push(("filter of the pairs".into(), words(filter::WORDS)));
    groups.push(("words".into(), words(GLOSSARY)));
    let mut entries = Vec::new();
    for (name, rows) in groups {
        let found: Vec<Entry> = rows
            .into_iter()
            .filter(|(key, text)| format!("{name} {key} {text}").to_lowercase().contains(&wanted))
            .map(|(key, text)| Entry::Row { key, text })
            .collect();
        if !found.is_empty() {
            entries.push(Entry::Head(name));
            entries.extend(found);
        }
    }
    entries
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let inside = window(frame, area, app, "help: write to search, Esc closes", 100, area.height.saturating_sub(2));
    draw_input(frame, inside, app, "search: ", &state.input);
    let entries = entries(app, state.input.value());
    let keys = 14.min(usize::from(inside.width) / 3);
    let width = usize::from(inside.width).saturating_sub(keys + 2);
    let mut all: Vec<Line> = Vec::new();
    for entry in &entries {
        match entry {
            Entry::Head(name) => all.push(Line::from(Span::styled(format!(" {name}"), app.theme.style(Role::Strong)))),
            Entry::Row { key, text } => {
                for (place, part) in wrap(text, width).into_iter().enumerate() {
                    let key = if place == 0 { key.as_str() } else { "" };
                    all.push(Line::from(vec![
                        Span::styled(format!(" {} ", left(key, keys)), app.theme.style(Role::Focus)),
                        Span::raw(part),
                    ]));
                }
            }
        }
    }
    if all.is_empty() {
        all.push(Line::from(Span::styled(
            " nothing of that name; Backspace takes letters back",
            app.theme.style(Role::Dim),
        )));
    }
    let room = usize::from(inside.height).saturating_sub(1);
    let first = state.first.min(all.len().saturating_sub(room));
    let below = Rect { y: inside.y + 1.min(inside.height), height: inside.height.saturating_sub(1), ..inside };
    lines(frame, below, all.into_iter().skip(first));
}
