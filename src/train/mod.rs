//! Training: losses as equations, log-probs, the optimiser, and the kinds of step. It knows the Llama and no runs.
//!
//! In reading order: what is lost, what is scored, how a batch is cut up, one gradient, the optimiser, the lessons, and
//! what goes on disk so that a lesson can go on.

pub mod adapter_folder;
pub mod batch;
pub mod bench;
pub mod dpo;
pub mod dropout;
pub mod gradient;
pub mod hand;
pub mod log_probs;
pub mod lora;
pub mod losses;
pub mod optimizer;
pub mod parameters;
pub mod pretrain;
pub mod reward;
pub mod rloo;
pub mod schedule;
pub mod sft;
pub mod state;
pub mod step;
pub mod student;
pub mod workers;
