//! All integration tests in one binary: linking once is what makes them quick.

mod world_corpus;
mod world_oracle;
mod world_properties;
#[cfg(feature = "llama")]
mod world_tokenizer;
