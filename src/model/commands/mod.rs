//! The commands of the model: `generate`, `logprobs`, `bench` and `model inspect`, as functions that write to a writer.
//!
//! `cli` parses their arguments and hands them the terminal; nothing here prints, exits or knows a run.

pub mod opening;
pub mod generate;
pub mod logprobs;
pub mod inspect;
pub mod bench;
pub mod peaks;
