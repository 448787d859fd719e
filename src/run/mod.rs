//! What happened in one run: its events, its journal, and the fold that every screen, report and resume reads.
//!
//! Knows nobody: no method, no model, no screen. Everything else speaks in these words.

pub mod ids;
pub mod measures;
pub mod reasons;
