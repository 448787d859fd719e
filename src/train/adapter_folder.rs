//! Adapters as PEFT keeps them: `adapter_config.json` and `adapter_model.safetensors`, read and written.
//!
//! What lies in a folder is foreign input: an adapter that this crate would apply wrongly is refused by name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::model::folder::read_capped;
use crate::model::safetensors::{self, SafetensorsFile};
use crate::model::shape::Shape;
use crate::model::weights::Tensor;
use crate::train::lora::{Adapters, LoraSettings};

pub const CONFIG: &str = "adapter_config.json";
pub const TENSORS: &str = "adapter_model.safetensors";

const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// What PEFT puts before the names of a causal language model.
const BEFORE: &str = "base_model.model.";

pub fn is_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// Writes adapters into a folder that the caller makes durable. `base` is the model folder that they belong to.
pub fn write(folder: &Path, adapters: &Adapters, base: &Path) -> Result<()> {
    let LoraSettings { rank, alpha, dropout, targets } = &adapters.settings;
    let config = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "inference_mode": true,
        "r": rank, "lora_alpha": alpha, "lora_dropout": dropout, "target_modules": targets, "bias": "none",
        "fan_in_fan_out": false, "init_lora_weights": true, "use_rslora": false, "use_dora": false,
        "modules_to_save": null, "rank_pattern": {}, "alpha_pattern": {}, "layers_to_transform": null,
    });
    let path = folder.join(CONFIG);
    std::fs::write(&path, serde_json::to_vec_pretty(&config)?)
        .with_context(|| format!("writing {}", path.display()))?;
    let tensors: Vec<(String, Tensor)> = adapters
        .parameters()
        .into_iter()
        .zip(&adapters.numbers)
        .map(|(parameter, numbers)| {
            (format!("{BEFORE}{}", parameter.name), Tensor::f32(parameter.dims, numbers.clone()))
        })
        .collect();
    safetensors::write(&folder.join(TENSORS), tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))
}

/// The model folder that an adapter belongs to; a relative path is looked for beside the adapter too.
pub fn base_of(folder: &Path) -> Result<PathBuf> {
    let config = config(folder)?;
    let base = config.get("base_model_name_or_path").and_then(Value::as_str);
    let base = PathBuf::from(base.with_context(|| format!("{CONFIG} names no base model"))?);
    Ok(if base.is_relative() && !base.exists() { folder.join(base) } else { base })
}

/// Reads adapters for a model of this shape.
pub fn read(folder: &Path, shape: &Shape) -> Result<Adapters> {
    read_checked(folder, shape).with_context(|| format!("could not read the adapter {}", folder.display()))
}

fn read_checked(folder: &Path, shape: &Shape) -> Result<Adapters> {
    let config = config(folder)?;
    ensure!(config.get("peft_type").and_then(Value::as_str) == Some("LORA"), "it is no LoRA adapter");
    for name in ["use_rslora", "use_dora", "fan_in_fan_out", "lora_bias"] {
        ensure!(config.get(name).and_then(Value::as_bool) != Some(true), "{name} is not supported");
    }
    for name in ["rank_pattern", "alpha_pattern"] {
        let empty = config.get(name).and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
        ensure!(empty, "{name} is not supported");
    }
    let rank = config.get("r").and_then(Value::as_u64).context("r is missing")? as usize;
    ensure!(rank <= shape.hidden.max(shape.mlp), "a rank of {rank} is more than the model's matrices have");
    let number = |name: &str| config.get(name).and_then(Value::as_f64);
    let targets = config.get("target_modules").and_then(Value::as_array).context("target_modules is no list")?;
    let targets = targets.iter().map(|target| target.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>();
    let settings = LoraSettings {
        rank,
        alpha: number("lora_alpha").context("lora_alpha is missing")?,
        dropout: number("lora_dropout").unwrap_or(0.0),
        targets: targets.context("target_modules holds something that is no name")?,
    };
    let mut adapters = Adapters::new(shape, settings, 0)?;
    let file = SafetensorsFile::open(&folder.join(TENSORS))?;
    let list = adapters.parameters();
    ensure!(file.entries.len() == list.len(), "it has {} tensors, {} are needed", file.entries.len(), list.len());
    for (parameter, numbers) in list.iter().zip(&mut adapters.numbers) {
        let tensor = file.read(&format!("{BEFORE}{}", parameter.name))?;
        ensure!(tensor.dims == parameter.dims, "{} has another shape", parameter.name);
        *numbers = tensor.values.to_f32();
    }
    Ok(adapters)
}

fn config(folder: &Path) -> Result<Value> {
    let path = folder.join(CONFIG);
    let bytes = read_capped(&path, MAX_CONFIG_BYTES)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not valid JSON", path.display()))
}
