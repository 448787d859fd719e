//! What happened in one run: its events, its journal, and the fold that every screen, report and resume reads.
//!
//! Knows nobody: no method, no model, no screen. Everything else speaks in these words.

pub mod alarms;
pub mod command;
pub mod curves;
pub mod entry;
pub mod eta;
pub mod event;
pub mod facts;
pub mod filter;
pub mod folder;
pub mod ids;
pub mod journal;
pub mod key_frames;
pub mod looking;
pub mod lookup;
pub mod measures;
pub mod number;
pub mod reasons;
pub mod spending;
pub mod view;
#[cfg(test)]
pub mod witness;
