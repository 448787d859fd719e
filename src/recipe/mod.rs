//! The method as pure decisions over plain values, in reading order: no files, no clock, no model.
//!
//! The engine asks, records the answer, then does. Each file holds one decision with its settings; refusals are values.

pub mod fence;
pub mod judge;
pub mod pairs;
pub mod prompts;
pub mod score;
pub mod seeds;
pub mod statistics;
