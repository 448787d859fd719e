//! A teacher over HTTP: the key, the wire, two dialects, and an examination of endpoints (`doctor --endpoint`).
//!
//! Used by `cli`, which gives it to the engine as its `Teacher`. It keeps no ledger, retries nothing and knows no run: what comes after a
//! fault is the engine's decision. In reading order: `secret`, `wire`, the dialects, `client`, `doctor`.

pub mod client;
pub mod doctor;
mod gemini;
mod openai;
pub mod secret;
pub mod wire;

pub use client::Client;
