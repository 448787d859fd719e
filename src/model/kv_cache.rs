//! Keys and values of earlier positions as device tensors, for the cached decode of [`Llama`](crate::model::llama::Llama).
//!
//! The sampler on a GPU uses it; on a processor the packed kernels keep pages of their own. It knows nothing of
//! which row is whose.

use burn::tensor::{DType, Device, Tensor};

use crate::model::shape::Shape;

/// One layer's keys and values, `[B, Hkv, capacity, D]`, written in place up to `length`.
#[derive(Debug, Clone)]
pub struct LayerCache {
    keys: Tensor<4>,
    values: Tensor<4>,
    length: usize,
}

impl LayerCache {
    pub fn new(shape: &Shape, rows: usize, capacity: usize, dtype: DType, device: &Device) -> LayerCache {
        let empty = || Tensor::<4>::zeros([rows, shape.kv_heads, capacity, shape.head_dim], (device, dtype));
        LayerCache { keys: empty(), values: empty(), length: 0 }
    }

    pub fn length(&self) -> usize {
        self.length
    }

    /// Adds the new positions and gives back everything seen so far, the new included.
    pub fn append(&mut self, keys: Tensor<4>, values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [rows, heads, new, dim] = keys.dims();
        let (start, end) = (self.length, self.length + new);
        let place = [0..rows, 0..heads, start..end, 0..dim];
        // In place only while no view of the buffer lives, and the views handed out below die with each layer.
        self.keys.inplace(|buffer| buffer.slice_assign(place.clone(), keys));
        self.values.inplace(|buffer| buffer.slice_assign(place, values));
        self.length = end;
        let seen = |buffer: &Tensor<4>| buffer.clone().narrow(2, 0, end);
        (seen(&self.keys), seen(&self.values))
    }

    /// Keeps the given rows in the given order; a row may come more than once, to share a prompt among candidates.
    pub fn select(&mut self, rows: Tensor<1, burn::tensor::Int>) {
        self.keys = self.keys.clone().select(0, rows.clone());
        self.values = self.values.clone().select(0, rows);
    }
}
