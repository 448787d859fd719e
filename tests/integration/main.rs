//! One integration binary: every file here is a table of inputs and what must come out.

#[cfg(feature = "llama")]
#[cfg(feature = "llama")]
#[cfg(feature = "llama")]
#[cfg(feature = "llama")]
mod agreement;
mod data_files;
mod data_rankings;
mod data_readers;
mod data_scores;
mod data_split;
mod judge_replies;
mod likeness;
mod llama_fixtures;
mod llama_packed;
mod llama_parity;
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
mod world_corpus;
mod world_oracle;
mod world_properties;
mod world_tokenizer;
