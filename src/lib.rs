//! selfreward: a language model trains itself on its own judgements, and a researcher supervises it from a terminal.
//!
//! The modules stand in reading order. `src/README.md` is the map: who may import whom, and what no module ever does.

pub mod run;
pub mod text;
pub mod recipe;
pub mod data;
pub mod microworld;
pub mod embedded;
pub mod engine;
pub mod rehearsal;
pub mod teacher;
pub mod tui;
#[cfg(feature = "llama")]
pub mod model;
#[cfg(feature = "llama")]
pub mod train;
#[cfg(feature = "llama")]
pub mod llama_policy;
#[cfg(feature = "llama")]
pub mod forge;
pub mod cli;
