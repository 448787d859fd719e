//! The one integration binary: a module for each area, so that the crate is linked once. Tests are data tables with sentences as names.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, and says aloud what it skips"
)]

mod agreement;
mod cli_exports;
mod cli_listings;
mod cli_metrics;
mod cli_requests;
mod cli_settings;
mod cli_story;
mod cli_walk;
mod cli_what_if;
mod consistency;
mod crash;
mod data_files;
mod data_rankings;
mod data_readers;
mod data_scores;
mod data_split;
#[cfg(feature = "llama")]
mod embedded_model;
mod examples;
mod fold;
#[cfg(feature = "llama")]
mod forge;
mod house;
mod journal_docs;
mod journal_words;
mod journals;
mod judge_replies;
mod likeness;
mod living;
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
mod patience;
mod pty;
mod readme;
mod readme_runs;
mod rehearsal;
mod rloo;
mod score;
mod screens_check;
mod screens_gate;
mod screens_pictures;
mod label_check;
mod ser;
mod shared_data;
mod stage;
mod story;
mod teacher_doctor;
mod teacher_ledger;
mod teacher_runs;
mod teacher_secrets;
mod teacher_server;
mod teacher_wire;
mod text_pages;
#[cfg(feature = "llama")]
mod train_golden;
#[cfg(feature = "llama")]
mod train_hand;
#[cfg(feature = "llama")]
mod train_lessons;
#[cfg(feature = "llama")]
mod train_kills;
#[cfg(feature = "llama")]
mod train_memory;
#[cfg(feature = "llama")]
mod train_reward;
#[cfg(feature = "llama")]
mod train_rloo;
#[cfg(feature = "llama")]
mod train_run;
#[cfg(feature = "llama")]
mod train_solo;
#[cfg(feature = "llama")]
mod train_tiny;
mod tui_frames;
mod tui_keys;
mod tui_living;
mod tui_pictures;
mod tui_replay;
mod tui_screens;
mod tui_source;
mod tui_speed;
mod tui_terminal;
#[cfg(feature = "llama")]
mod whole;
mod world_corpus;
mod world_oracle;
mod world_properties;
#[cfg(feature = "llama")]
mod world_tokenizer;
