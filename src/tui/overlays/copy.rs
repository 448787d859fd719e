//! `y` copies to the clipboard of the machine where the terminal runs; `o` opens the same text in the pager.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::app::{App, Effect};
use crate::tui::keys::Action;
use crate::tui::overlays::Next;
use crate::tui::overlays::prompt::window;
use crate::tui::screen::lines;
use crate::tui::theme::Role;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub to_pager: bool,
    /// What can be copied here: a letter, its name, the text.
    pub offers: Vec<(char, String, String)>,
}

pub fn open(app: &App, action: Action) -> State {
    let folder = app.source.folder.path().display().to_string();
    let permalink = format!("selfreward replay {folder} --at seq:{}", app.view().seq);
    let mut offers = vec![('l', "a command that replays this moment".to_string(), permalink)];
    if let Some(id) = app.view().last_pair
        && let Some(round) = app.view().round(id.iteration)
        && let Some(prompt) = round.prompts.get(id.number as usize)
        && let Some(text) = app.source.texts.text(prompt.seq)
    {
        offers.push(('p', format!("the prompt of #{id}"), text));
    }
    State { to_pager: action == Action::External, offers }
}

pub fn key(state: &mut State, _app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) -> Next {
    let KeyCode::Char(c) = key.code else { return Next::Stay };
    let Some((_, what, text)) = state.offers.iter().find(|(letter, _, _)| *letter == c) else { return Next::Stay };
    effects.push(if state.to_pager {
        Effect::Page { title: what.clone(), text: text.clone() }
    } else {
        Effect::Copy { what: what.clone(), text: text.clone() }
    });
    Next::Close
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App, state: &State) {
    let title = if state.to_pager { "open in the pager" } else { "copy" };
    let inside = window(frame, area, app, title, 60, state.offers.len() as u16 + 2);
    let shown = state.offers.iter().map(|(letter, what, _)| {
        Line::from(vec![Span::styled(format!(" {letter} "), app.theme.style(Role::Focus)), Span::raw(what.clone())])
    });
    lines(frame, inside, shown);
}
