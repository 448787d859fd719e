//! The method as pure decisions over plain values, in reading order: no files, no clock, no model.
//!
//! The engine asks, records the answer, then does. Each file holds one decision with its settings; refusals are values.

pub mod seeds;

pub mod prompts;

pub mod new_prompts;
pub mod prompt_filter;

pub mod fence;
pub mod judge;
pub mod score;

pub mod pairs;

pub mod signs;
pub mod spot_check;
pub mod suspicion;

pub mod eft;

pub mod agreement;
pub mod head_to_head;

pub mod statistics;
