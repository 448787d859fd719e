//! One integration binary: every file here is a table of inputs and what must come out.

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
