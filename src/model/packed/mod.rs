//! The fast form for processors: packed weights, one multiplication kernel, pages of keys and values.
//!
//! In reading order: the kernel, elementwise mathematics, matrices, pages, attention, the Llama made of them.

pub mod attention;
pub mod engine;
pub mod lanes;
pub mod llama;
pub mod matrix;
pub mod pages;
pub mod prefixes;
pub mod row_sums;
pub mod tile;
