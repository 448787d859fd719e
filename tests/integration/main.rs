//! One integration binary: every file here is a table of inputs and what must come out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it stands")]

#[cfg(feature = "llama")]
mod llama_commands;
#[cfg(feature = "llama")]
mod llama_fixtures;
#[cfg(feature = "llama")]
mod llama_folders;
#[cfg(feature = "llama")]
mod llama_packed;
#[cfg(feature = "llama")]
mod llama_parity;
#[cfg(feature = "llama")]
mod llama_sampling;
#[cfg(feature = "llama")]
mod llama_text;
