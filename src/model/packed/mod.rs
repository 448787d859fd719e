//! The fast form for processors: packed weights, one multiplication kernel, pages of keys and values.
//!
//! In reading order: the kernel, elementwise mathematics, matrices, pages, attention, the Llama made of them.

pub mod tile;
pub mod lanes;
pub mod matrix;
pub mod pages;
pub mod prefixes;
pub mod attention;
pub mod crew;
pub mod row_sums;
pub mod llama;
pub mod engine;
