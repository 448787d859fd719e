//! What a viewer may do, what comes into it, and what is to be done outside: the words of `app::update`.
//!
//! Values only; `app` decides by them, `watch` and `errands` act on them.

use ratatui::crossterm::event::{KeyEvent, MouseEvent};

use crate::run::command::Command;
use crate::run::entry::Stamp;
use crate::run::event::AlarmRaised;
use crate::run::folder::RunFolder;
use crate::run::ids::{RequestId, Seq};
use crate::run::looking::Looking;
use crate::tui::settings::Settings;
use crate::tui::summary::Summary;
use crate::tui::theme::Role;

/// What a viewer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Control,
    ReadOnly,
    /// Opens at the spot check, with the right to steer.
    Check,
    /// A replay: nothing is written into the run.
    Replay {
        second_opinion: bool,
    },
}

impl Mode {
    pub fn steers(self) -> bool {
        matches!(self, Mode::Control | Mode::Check)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Screen {
    Live,
    Gen,
    Pairs,
    Check,
    Train,
    Eval,
    Log,
    Runs,
}

impl Screen {
    pub const ALL: [Screen; 8] = [
        Screen::Live,
        Screen::Gen,
        Screen::Pairs,
        Screen::Check,
        Screen::Train,
        Screen::Eval,
        Screen::Log,
        Screen::Runs,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Screen::Live => "Live",
            Screen::Gen => "Gen",
            Screen::Pairs => "Pairs",
            Screen::Check => "Check",
            Screen::Train => "Train",
            Screen::Eval => "Eval",
            Screen::Log => "Log",
            Screen::Runs => "Runs",
        }
    }

    /// The key of its tab.
    pub fn number(self) -> usize {
        Screen::ALL.iter().position(|&screen| screen == self).unwrap_or(0) + 1
    }
}

/// How a viewer was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The run goes on without this viewer.
    Detached,
    /// A stop was asked for; the engine obeys it at its next safe point.
    StopAsked,
    /// The engine is to be killed now, as somebody typed.
    KillAsked,
    /// The terminal went away, or a signal came.
    HungUp,
    /// Another run was chosen in the list.
    Open(RunFolder),
    /// This run and another one are to be compared in a replay.
    Compare(RunFolder, RunFolder),
}

/// What comes in.
#[derive(Clone, Debug)]
pub enum Msg {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Resize(u16, u16),
    /// Time passed; carries the wall clock, which nothing here reads by itself.
    Tick(Stamp),
    /// The journal grew by so many entries, or the heartbeat changed.
    Read(usize),
    /// A request was written, or could not be.
    Sent {
        what: String,
        command: Command,
        result: Result<RequestId, String>,
    },
    /// The runs of the folder, as they stand now.
    Runs(Vec<Summary>),
    /// Where other viewers look.
    Looking(Vec<Looking>),
    /// The settings file was changed.
    Settings(Box<Settings>),
    /// The pairs have been counted again by this rule.
    Counted {
        rule: String,
        answer: Result<Vec<String>, String>,
    },
    /// An effect has something to say.
    Note(String),
    Complaint(String),
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Send {
        what: String,
        command: Command,
    },
    Copy {
        what: String,
        text: String,
    },
    /// Show a text in the user's pager.
    Page {
        title: String,
        text: String,
    },
    /// Replace a file of the viewer's beside the journal.
    Save {
        name: String,
        text: String,
    },
    /// Add a line to a file of the viewer's beside the journal.
    Append {
        file: String,
        line: String,
    },
    /// Tell other viewers at which pair this one looks.
    Look(Option<Looking>),
    /// Count the pairs again by another rule, as known at this entry.
    WhatIf {
        upto: Seq,
        rule: String,
    },
    /// Look which runs there are.
    ListRuns,
    /// Write the present screen into files.
    Export,
    Suspend,
    Redraw,
    Mouse(bool),
    Bell,
    Hook(Box<AlarmRaised>),
    Leave(Leave),
}

/// A short message over the footer.
#[derive(Clone, Debug, PartialEq)]
pub struct Toast {
    pub text: String,
    pub role: Role,
    pub until: Stamp,
}

/// A request that waits for the engine's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub id: RequestId,
    pub what: String,
    pub command: Command,
    pub at: Stamp,
}
