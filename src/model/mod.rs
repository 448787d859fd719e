//! A Llama: loaded, tokenised, scored and sampled. It knows nothing of runs, screens or training.
//!
//! In reading order: what it looks like, its weights and files, its words, its mathematics, its fast form for one
//! processor, sampling and scoring with that, and the commands.

pub mod shape;
pub mod weights;
pub mod random;
pub mod safetensors;
pub mod folder;
pub mod chat_template;
pub mod tokenizer;
pub mod llama;
pub mod kv_cache;
pub mod device;
pub mod packed;
pub mod pick;
pub mod stop;
pub mod sampler;
pub mod queue;
pub mod rows;
pub mod log_probs;
pub mod commands;
