//! Adapters of low rank beside frozen projections: y = x Wᵀ + (α/r)·(x Aᵀ) Bᵀ. Without them the model is its reference.
//!
//! A is drawn by number, B begins at zero, so a fresh adapter changes nothing. It knows no arithmetic and no file.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use crate::model::random;
use crate::model::shape::Shape;
use crate::train::parameters::{Kind, Numbers, Parameter};

/// The projections of a layer by their last names.
pub const TARGETS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

#[derive(Clone, Debug, PartialEq)]
pub struct LoraSettings {
    pub rank: usize,
    pub alpha: f64,
    /// Share of what an adapter reads that is dropped while learning.
    pub dropout: f64,
    /// Of [`TARGETS`].
    pub targets: Vec<String>,
}

impl LoraSettings {
    pub fn scale(&self) -> f32 {
        (self.alpha / self.rank.max(1) as f64) as f32
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Adapters {
    pub settings: LoraSettings,
    /// A `[r, in]` and B `[out, r]` of each adapted projection, one after the other.
    pub numbers: Numbers,
    list: Vec<Parameter>,
    place: BTreeMap<String, usize>,
}

impl Adapters {
    /// Fresh adapters, which change nothing yet. A is uniform in ±1/√in, as PEFT begins it.
    pub fn new(shape: &Shape, settings: LoraSettings, seed: u64) -> Result<Adapters> {
        ensure!(settings.rank > 0, "an adapter needs a rank of at least 1");
        ensure!(!settings.targets.is_empty(), "adapters need a target: some of {}", TARGETS.join(", "));
        for target in &settings.targets {
            ensure!(TARGETS.contains(&target.as_str()), "{target:?} is none of {}", TARGETS.join(", "));
        }
        let (mut numbers, mut list, mut place) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (name, dims) in shape.tensors() {
            let Some(name) = name.strip_suffix(".weight") else { continue };
            let wanted = |target: &String| name.rsplit('.').next() == Some(target.as_str());
            let [outputs, inputs] = dims[..] else { continue };
            if !settings.targets.iter().any(wanted) {
                continue;
            }
            let at = place.len();
            let key = random::derive(seed ^ DRAWS, at as u64);
            let bound = 1.0 / (inputs as f64).sqrt();
            let draw = |i: usize| ((2.0 * random::uniform(key, i as u64) - 1.0) * bound) as f32;
            numbers.push((0..settings.rank * inputs).map(draw).collect());
            numbers.push(vec![0.0; outputs * settings.rank]);
            for (end, dims) in [("lora_A", vec![settings.rank, inputs]), ("lora_B", vec![outputs, settings.rank])] {
                list.push(Parameter { name: format!("{name}.{end}.weight"), dims, kind: Kind::Hidden });
            }
            place.insert(name.to_owned(), at);
        }
        Ok(Adapters { settings, numbers, list, place })
    }

    pub fn parameters(&self) -> Vec<Parameter> {
        self.list.clone()
    }

    /// The number of the adapter of a projection.
    pub fn place_of(&self, projection: &str) -> Option<usize> {
        self.place.get(projection).copied()
    }
}

/// Adapters and orders are drawn apart.
const DRAWS: u64 = 0x6c6f_7261;
