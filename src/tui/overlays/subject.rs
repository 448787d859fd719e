//! The pair or prompt that an overlay speaks of: the one on the screen below it.

use crate::run::ids::PromptId;
use crate::tui::app::{App, Screen};
use crate::tui::panes::{check, generation, pairs};

/// The prompt that the screen shows; without one, the latest pair.
pub fn subject(app: &App) -> Option<PromptId> {
    match app.screen {
        Screen::Check => check::shown(app),
        Screen::Pairs => pairs::selected(app),
        Screen::Gen => generation::shown(app),
        Screen::Live | Screen::Train | Screen::Eval | Screen::Log | Screen::Runs => app.view().last_pair,
    }
}

/// The pair that the screen shows and that a remark or a score is about; none on screens that show no pair.
pub fn pair(app: &App) -> Option<PromptId> {
    match app.screen {
        Screen::Check | Screen::Pairs | Screen::Gen => subject(app).filter(|&id| app.view().pair(id).is_some()),
        Screen::Live | Screen::Train | Screen::Eval | Screen::Log | Screen::Runs => None,
    }
}
