//! selfreward: a language model trains itself on its own judgements, and a researcher supervises it from a terminal.
//!
//! The modules stand in reading order. `src/README.md` is the map: who may import whom, and what no module ever does.

pub mod cli;
pub mod data;
pub mod engine;
#[cfg(feature = "llama")]
pub mod llama_policy;
pub mod microworld;
#[cfg(feature = "llama")]
pub mod model;
pub mod recipe;
pub mod rehearsal;
pub mod run;
pub mod text;
#[cfg(feature = "llama")]
pub mod train;
pub mod tui;
