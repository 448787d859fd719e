//! The tiny Llamas under tests/fixtures/llama and what transformers computed with them (tests/golden/llama.py).

use std::path::PathBuf;

use selfreward::model::folder::Folder;
use serde::Deserialize;

pub const CASES: [&str; 5] = ["mha", "gqa_llama3_bf16", "tied", "biases", "odd_head"];

#[derive(Deserialize)]
pub struct Golden {
    pub texts: Vec<GoldenText>,
    pub greedy: Vec<GoldenGreedy>,
}

#[derive(Deserialize)]
pub struct GoldenText {
    pub tokens: Vec<u32>,
    pub log_probs: Vec<f32>,
}

#[derive(Deserialize)]
pub struct GoldenGreedy {
    pub prompt: Vec<u32>,
    pub reply: Vec<u32>,
}

pub fn path(case: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llama").join(case)
}

pub fn load(case: &str) -> (Folder, Golden) {
    let golden = std::fs::read(path(case).join("golden.json")).unwrap();
    (Folder::open(&path(case)).unwrap(), serde_json::from_slice(&golden).unwrap())
}
