//! The forward pass of training with dropout: what a layer's two branches add is thinned out, by numbered draws.
//!
//! A mask follows from its key, so a step that is taken again drops the same. Scoring never comes here.

use burn::tensor::{DType, Tensor, TensorData};

use crate::model::llama::Llama;
use crate::model::random;
use crate::train::batch::Rows;

/// How much is dropped, and the key of all masks of one forward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    pub rate: f64,
    pub key: u64,
}

/// The last hidden states `[B·S, d]`, after the final norm.
pub fn hidden(llama: &Llama, rows: &Rows, dropout: Dropout) -> Tensor<2> {
    let [count, length] = rows.tokens.dims();
    let tokens = rows.tokens.clone().reshape([count * length]);
    let mut x = llama.model.embed_tokens.weight.val().select(0, tokens);
    for (index, layer) in llama.model.layers.iter().enumerate() {
        let key = |branch: u64| random::derive(dropout.key, 2 * index as u64 + branch);
        let attended = layer.self_attn.forward(layer.input_layernorm.forward(x.clone()), count, &rows.places, None);
        x = x + thin(attended, dropout.rate, key(0));
        let thought = layer.mlp.forward(layer.post_attention_layernorm.forward(x.clone()));
        x = x + thin(thought, dropout.rate, key(1));
    }
    llama.model.norm.forward(x)
}

/// Each number is dropped with the rate's probability; the rest grows so that the mean stays.
fn thin(x: Tensor<2>, rate: f64, key: u64) -> Tensor<2> {
    let dims = x.dims();
    let mut numbers = vec![0.0; dims[0] * dims[1]];
    mask(Dropout { rate, key }, &mut numbers);
    let device = x.device();
    x * Tensor::<2>::from_data(TensorData::new(numbers, dims), (&device.inner(), DType::F32))
}

/// The numbers to multiply with: zero where something is dropped, and what keeps the mean elsewhere.
pub fn mask(dropout: Dropout, numbers: &mut [f32]) {
    let kept = (1.0 / (1.0 - dropout.rate)) as f32;
    for (counter, number) in numbers.iter_mut().enumerate() {
        *number = if random::uniform(dropout.key, counter as u64) < dropout.rate { 0.0 } else { kept };
    }
}
