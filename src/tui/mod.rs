//! The looking glass: a run in a terminal, live, attached or in replay.
//!
//! Reads the journal's fold and writes requests; drawing only reads. Imports `run` and `text` and nothing else of this crate, so that the
//! same pixels show a run of an hour ago and of last year. In reading order: the run as seen (`source`), the state and its one update
//! (`app`), the key table (`keys`), how things look (`theme`, `layout`, `chart`, `figures`), the screens, the terminal itself.

pub mod app;
pub mod chart;
pub mod diff;
pub mod doctor;
pub mod dots;
pub mod errands;
pub mod figures;
pub mod keys;
pub mod landmarks;
pub mod layout;
pub mod messages;
mod met;
pub mod mouse;
pub mod overlays;
pub mod panes;
pub mod places;
pub mod player;
pub mod prose;
pub mod screen;
pub mod settings;
pub mod smoothing;
pub mod source;
pub mod summary;
pub mod system;
pub mod tell;
pub mod terminal;
pub mod texts;
pub mod theme;
pub mod until;
pub mod watch;

pub use app::{Leave, Mode};
pub use doctor::doctor;
pub use settings::Settings;
pub use watch::{ReplayOptions, WhatIf, replay, runs, watch_run};
