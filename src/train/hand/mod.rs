//! The Llama of training on a processor: forward and back by hand over plain slices, no graph.
//!
//! It computes what [`Llama`](crate::model::llama::Llama) does under automatic differentiation, and is tested against it.
//! Texts stand one behind the other without padding, and what several begin with is computed once; of the last layer only
//! what somebody reads is. Buffers live from step to step; nothing is kept that is cheap to
//! compute again. In reading order: products, the loops between them, where texts stand, a projection,
//! attention, a layer, the head, a pass, and the pass of a reward model.

pub mod product;
pub mod lanes;
pub mod scratch;
pub mod net;
pub mod layout;
pub mod projection;
pub mod attention;
pub mod layer;
pub mod head;
pub mod pass;
pub mod reward;
