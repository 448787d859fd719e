//! What lies beside a model's weights so that a lesson can go on to the same bits: the optimiser's memory and its place.
//!
//! Orders and learning rates follow from the step and the seed and are not stored. A file that lacks a field, or belongs to
//! another lesson, is refused by name.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::model::safetensors::{self, SafetensorsFile};
use crate::model::weights::Tensor;
use crate::train::batch::Sequence;
use crate::train::optimizer::{Optimizer, Rule};
use crate::train::step::Pupil;

pub const MOMENTS: &str = "optimizer.safetensors";
pub const STATE: &str = "training_state.json";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Of this file's layout.
    version: u32,
    /// Steps taken, applied or not: the place in the data and in the schedule.
    step: u64,
    /// Of the whole lesson.
    steps: u64,
    /// Updates made: AdamW corrects its means by their number.
    updates: u64,
    rule: String,
    /// What is learnt, in which order.
    lesson: String,
}

const VERSION: u32 = 1;

/// Writes the optimiser's memory and the place in the lesson into a folder that holds the weights.
pub fn write(folder: &Path, pupil: &Pupil, lesson: &str) -> Result<()> {
    let Optimizer { settings, parameters, first, second, updates } = &pupil.optimizer;
    let mut tensors = Vec::new();
    for (name, numbers) in [("first", first), ("second", second)] {
        for (parameter, numbers) in parameters.iter().zip(numbers).filter(|(_, numbers)| !numbers.is_empty()) {
            tensors.push((format!("{name}.{}", parameter.name), Tensor::f32(parameter.dims.clone(), numbers.clone())));
        }
    }
    safetensors::write(&folder.join(MOMENTS), tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
    let state = State {
        version: VERSION,
        step: pupil.taken,
        steps: pupil.steps,
        updates: *updates,
        rule: rule_name(settings.rule).to_owned(),
        lesson: lesson.to_owned(),
    };
    let path = folder.join(STATE);
    std::fs::write(&path, serde_json::to_vec_pretty(&state)?).with_context(|| format!("writing {}", path.display()))
}

/// Puts a pupil, whose weights are those of the folder, where it was after that step.
pub fn restore(folder: &Path, step: u64, pupil: &mut Pupil, lesson: &str) -> Result<()> {
    let path = folder.join(STATE);
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let state: State =
        serde_json::from_slice(&text).with_context(|| format!("{} is no state of a training", path.display()))?;
    ensure!(state.version == VERSION, "{} has version {}, not {VERSION}", path.display(), state.version);
    ensure!(state.step == step, "{} is the state after step {}, not {step}", path.display(), state.step);
    ensure!(state.steps == pupil.steps, "the lesson had {} steps, now it has {}", state.steps, pupil.steps);
    ensure!(state.lesson == lesson, "{} belongs to a lesson on other examples", path.display());
    let rule = rule_name(pupil.optimizer.settings.rule);
    ensure!(state.rule == rule, "the lesson began with {}, now {rule} is set", state.rule);
    let moments = SafetensorsFile::open(&folder.join(MOMENTS))?;
    let Optimizer { parameters, first, second, updates, .. } = &mut pupil.optimizer;
    for (name, numbers) in [("first", first), ("second", second)] {
        for (parameter, numbers) in parameters.iter().zip(numbers).filter(|(_, numbers)| !numbers.is_empty()) {
            let tensor = moments.read(&format!("{name}.{}", parameter.name))?;
            ensure!(tensor.dims == parameter.dims, "{name}.{} has another shape", parameter.name);
            *numbers = tensor.values.to_f32();
        }
    }
    *updates = state.updates;
    pupil.taken = state.step;
    Ok(())
}

fn rule_name(rule: Rule) -> &'static str {
    match rule {
        Rule::AdamW => "adamw",
        Rule::Muon => "muon",
    }
}

/// A name for what is learnt: the tokens, their order, and the numbers that belong to them.
#[derive(Debug, Default)]
pub struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    pub fn number(&mut self, bits: u64) -> &mut Fingerprint {
        self.0.update(&bits.to_le_bytes());
        self
    }

    pub fn sequence(&mut self, sequence: &Sequence) -> &mut Fingerprint {
        self.number(sequence.tokens.len() as u64).number(sequence.reply.start as u64);
        for token in &sequence.tokens {
            self.0.update(&token.to_le_bytes());
        }
        self
    }

    pub fn name(&self) -> String {
        self.0.finalize().to_hex()[..32].to_string()
    }
}
