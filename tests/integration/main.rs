//! One integration binary: every file here is a table of inputs and what must come out.

mod agreement;
mod data_files;
mod data_rankings;
mod data_readers;
mod data_scores;
mod data_split;
mod judge_replies;
mod likeness;
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
mod rehearsal;
mod score;
mod shared_data;
mod stage;
mod text_pages;
#[cfg(feature = "llama")]
mod train_golden;
#[cfg(feature = "llama")]
mod train_lessons;
#[cfg(feature = "llama")]
mod train_run;
#[cfg(feature = "llama")]
mod train_tiny;
mod world_corpus;
mod world_oracle;
mod world_properties;
mod world_tokenizer;
