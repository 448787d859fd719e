//! The numbers of transformers, from the differentiable form: log-probs, greedy replies, cached decode, saving.

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device};
use selfreward::model::kv_cache::LayerCache;
use selfreward::model::llama::{Llama, Places, pad_right};
use selfreward::model::shape::Shape;
use selfreward::model::weights::Values;

use crate::llama_fixtures::{CASES, load};

/// Log-probs of each token given those before it, for one row.
fn log_probs(llama: &Llama, tokens: &[u32]) -> Vec<f32> {
    let device = Device::flex();
    let places = Places::from_start(&llama.shape, tokens.len(), &device);
    let hidden = llama.hidden(pad_right(&[tokens], &device).unwrap(), &places);
    let all = log_softmax(llama.logits(hidden), 1).into_data().try_into_vec::<f32>().unwrap();
    tokens[1..].iter().enumerate().map(|(i, &token)| all[i * llama.shape.vocab + token as usize]).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn log_probs_of_the_differentiable_form_equal_those_of_transformers() {
    for case in CASES {
        let (folder, golden) = load(case);
        let llama = Llama::load(&folder.shape, &folder, DType::F32, &Device::flex()).unwrap();
        for text in &golden.texts {
            let difference = largest_difference(&log_probs(&llama, &text.tokens), &text.log_probs);
            assert!(difference <= 1e-4, "{case}: {difference}");
        }
    }
}

#[test]
fn rows_padded_on_the_right_score_as_if_alone() {
    let (folder, golden) = load("gqa_llama3_bf16");
    let llama = Llama::load(&folder.shape, &folder, DType::F32, &Device::flex()).unwrap();
    let rows = [&golden.texts[0].tokens[..20], &golden.texts[1].tokens[..64]];
    let places = Places::from_start(&folder.shape, 64, &Device::flex());
    let hidden = llama.hidden(pad_right(&rows, &Device::flex()).unwrap(), &places);
    let all = log_softmax(llama.logits(hidden), 1).into_data().try_into_vec::<f32>().unwrap();
    for (row, tokens) in rows.iter().enumerate() {
        let batched: Vec<f32> =
            (1..tokens.len()).map(|i| all[(row * 64 + i - 1) * folder.shape.vocab + tokens[i] as usize]).collect();
        assert!(largest_difference(&batched, &golden.texts[row].log_probs[..tokens.len() - 1]) <= 1e-4);
    }
}

#[test]
fn the_cached_decode_of_the_differentiable_form_agrees_with_one_whole_pass() {
    for case in CASES {
        let (folder, golden) = load(case);
        let (shape, device) = (&folder.shape, Device::flex());
        let llama = Llama::load(shape, &folder, DType::F32, &device).unwrap();
        let tokens = &golden.texts[0].tokens;
        let mut caches: Vec<_> =
            (0..shape.layers).map(|_| LayerCache::new(shape, 1, 64, DType::F32, &device)).collect();
        let mut last = Vec::new();
        for (start, end) in [(0, 30), (30, 31), (31, 32), (32, 50), (50, 64)] {
            let places = Places::new(shape, &[(start, 0)], end - start, end, &device);
            let new = pad_right(&[&tokens[start..end]], &device).unwrap();
            last = llama.hidden_cached(new, &places, &mut caches).into_data().try_into_vec::<f32>().unwrap();
        }
        let whole = llama.hidden(pad_right(&[tokens], &device).unwrap(), &Places::from_start(shape, 64, &device));
        let whole = whole.into_data().try_into_vec::<f32>().unwrap();
        let difference = largest_difference(&last, &whole[50 * shape.hidden..]);
        assert!(difference <= 1e-4, "{case}: {difference}");
    }
}

#[test]
fn weights_pass_through_the_module_unchanged() {
    for case in CASES {
        let (folder, _) = load(case);
        let weights = folder.weights().unwrap();
        let llama = Llama::load(&folder.shape, &weights, DType::F32, &Device::flex()).unwrap();
        let back = llama.to_weights().unwrap();
        for (name, tensor) in back.iter() {
            assert_eq!(tensor.values, Values::F32(weights.get(name).unwrap().values.to_f32()), "{case} {name}");
        }
    }
}

#[test]
fn a_shape_survives_its_own_config() {
    for case in CASES {
        let (folder, _) = load(case);
        assert_eq!(Shape::from_json(&folder.shape.to_json(), None).unwrap(), folder.shape, "{case}");
    }
}
