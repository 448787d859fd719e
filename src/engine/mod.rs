//! A run in the making: stages in terms of a policy and a judge, recorded as they happen.
//!
//! Knows no tensor, no screen and no argument. In reading order: the seams, the settings, what a run starts from, who writes the journal,
//! then the stages as the plan walks them.

mod ballast;
pub mod checkpoints;
pub mod collapse;
mod consistency;
pub mod desk;
mod divergence;
pub mod drive;
mod eft;
mod evaluate;
pub mod expected_judge;
mod gate;
pub mod human_pairs;
pub mod intrinsic_judge;
mod judging;
mod judging_examples;
mod label_check;
pub mod learning;
pub mod materials;
pub mod overrides;
pub mod plan;
pub mod workload;
pub mod policy;
mod questions;
pub mod recorder;
mod reward;
pub mod reward_judge;
mod requests;
mod samples;
mod seat;
pub mod self_judge;
pub mod settings;
pub mod solo;
mod step_event;
pub mod teaching;
mod writing;
pub mod launch;
