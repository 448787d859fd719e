//! What a Llama looks like: Hugging Face's `config.json` to a checked [`Shape`], and back.
//!
//! Everything that holds or computes weights asks here for sizes and tensor names. It knows no file but the text of the
//! two configuration files, and refuses with a reason whatever this crate would compute wrongly.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

/// Larger than any published Llama; a configuration beyond these is a mistake or an attack on our memory.
const MAX_HIDDEN: usize = 32_768;
const MAX_MLP: usize = 262_144;
const MAX_LAYERS: usize = 256;
const MAX_HEADS: usize = 1_024;
const MAX_HEAD_DIM: usize = 1_024;
const MAX_VOCAB: usize = 1 << 20;
const MAX_POSITIONS: usize = 1 << 20;

/// The two architectures that are understood, by transformers' names, and the one tensor of the second that is its own.
const WRITER: &str = "LlamaForCausalLM";
const REWARD_MODEL: &str = "LlamaForSequenceClassification";
pub const SCORE: &str = "score.weight";

/// The sizes of one Llama. Every field was checked against a cap, so products of two fit easily.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub vocab: usize,
    pub hidden: usize,
    pub mlp: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub max_positions: usize,
    pub rms_eps: f32,
    pub rope: Rope,
    /// The output projection is the embedding matrix itself; the file then holds no `lm_head.weight`.
    pub tied: bool,
    /// A reward model: one score of a whole text (`score.weight`) in place of the projection to words.
    pub reward: bool,
    pub attention_bias: bool,
    pub mlp_bias: bool,
    pub bos: Option<u32>,
    /// Any of these ends a reply. Llama 3 instruct models have several.
    pub eos: Vec<u32>,
    pub pad: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    pub theta: f64,
    pub scaling: Scaling,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Scaling {
    None,
    Linear {
        factor: f64,
    },
    /// Dynamic NTK changes nothing up to `max_position_embeddings`, and we never go beyond.
    Dynamic {
        factor: f64,
    },
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_positions: usize,
    },
}

impl Shape {
    /// Reads `config.json`, with the end tokens of `generation_config.json` where that exists.
    pub fn from_json(config: &Value, generation: Option<&Value>) -> Result<Shape> {
        let config = config.as_object().context("config.json is not a JSON object")?;
        refuse_other_architectures(config)?;
        let hidden = size(config, "hidden_size", MAX_HIDDEN)?;
        let heads = size(config, "num_attention_heads", MAX_HEADS)?;
        let kv_heads = match optional_size(config, "num_key_value_heads", MAX_HEADS)? {
            Some(kv_heads) => kv_heads,
            None => heads,
        };
        ensure!(heads % kv_heads == 0, "{heads} attention heads cannot share {kv_heads} key-value heads evenly");
        let head_dim = match optional_size(config, "head_dim", MAX_HEAD_DIM)? {
            Some(head_dim) => head_dim,
            None => {
                ensure!(
                    hidden % heads == 0,
                    "hidden_size {hidden} is no multiple of {heads} heads, and head_dim is absent"
                );
                hidden / heads
            }
        };
        ensure!(head_dim % 2 == 0, "head_dim {head_dim} is odd; rotary positions need pairs");
        let max_positions = optional_size(config, "max_position_embeddings", MAX_POSITIONS)?.unwrap_or(2048);
        let rms_eps = optional_number(config, "rms_norm_eps")?.unwrap_or(1e-6);
        ensure!((0.0..0.1).contains(&rms_eps), "rms_norm_eps {rms_eps} is not a small positive number");
        let vocab = size(config, "vocab_size", MAX_VOCAB)?;
        let mut eos = token_ids(config.get("eos_token_id"), "eos_token_id")?;
        if let Some(generation) = generation {
            for id in token_ids(generation.get("eos_token_id"), "eos_token_id of generation_config.json")? {
                if !eos.contains(&id) {
                    eos.push(id);
                }
            }
        }
        Ok(Shape {
            vocab,
            hidden,
            mlp: size(config, "intermediate_size", MAX_MLP)?,
            layers: size(config, "num_hidden_layers", MAX_LAYERS)?,
            heads,
            kv_heads,
            head_dim,
            max_positions,
            rms_eps: rms_eps as f32,
            rope: rope(config)?,
            tied: flag(config, "tie_word_embeddings")?,
            reward: is_reward_model(config)?,
            attention_bias: flag(config, "attention_bias")?,
            mlp_bias: flag(config, "mlp_bias")?,
            bos: token_ids(config.get("bos_token_id"), "bos_token_id")?.first().copied(),
            eos,
            pad: token_ids(config.get("pad_token_id"), "pad_token_id")?.first().copied(),
        })
    }

    /// The `config.json` of a model that was born here. One that was loaded keeps its own file.
    pub fn to_json(&self) -> Value {
        let scaling = match self.rope.scaling {
            Scaling::None => Value::Null,
            Scaling::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            Scaling::Dynamic { factor } => json!({"rope_type": "dynamic", "factor": factor}),
            Scaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => json!({
                "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor, "original_max_position_embeddings": original_positions,
            }),
        };
        // The shortest decimal that reads back as this f32, so that 1e-5 stays 1e-5.
        let eps: f64 = self.rms_eps.to_string().parse().unwrap_or(f64::from(self.rms_eps));
        let config = json!({
            "architectures": [WRITER], "model_type": "llama", "hidden_act": "silu",
            "vocab_size": self.vocab, "hidden_size": self.hidden, "intermediate_size": self.mlp,
            "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.head_dim,
            "max_position_embeddings": self.max_positions, "rms_norm_eps": eps,
            "rope_theta": self.rope.theta, "rope_scaling": scaling,
            "tie_word_embeddings": self.tied, "attention_bias": self.attention_bias, "mlp_bias": self.mlp_bias,
            "bos_token_id": self.bos, "eos_token_id": self.eos_json(), "pad_token_id": self.pad,
            "torch_dtype": "float32", "use_cache": true,
        });
        if self.reward { Shape::as_reward_model(config) } else { config }
    }

    /// Refuses a reward model where words are to be written or scored.
    pub fn ensure_it_writes(&self) -> Result<()> {
        ensure!(!self.reward, "it is a reward model: it scores texts and writes none");
        Ok(())
    }

    /// The configuration of a model's folder as that of a reward model grown from it.
    pub fn as_reward_model(mut config: Value) -> Value {
        if let Some(config) = config.as_object_mut() {
            config.insert("architectures".to_owned(), json!([REWARD_MODEL]));
            config.insert("num_labels".to_owned(), json!(1));
            config.insert("id2label".to_owned(), json!({"0": "reward"}));
            config.insert("label2id".to_owned(), json!({"reward": 0}));
        }
        config
    }

    pub fn eos_json(&self) -> Value {
        match self.eos.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        }
    }

    /// Query heads that share one key-value head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Every tensor of the folder: Hugging Face's name and dimensions, `[out, in]` for projections, in file order.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (d, q, kv) = (self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut all = vec![("model.embed_tokens.weight".to_owned(), vec![self.vocab, d])];
        for layer in 0..self.layers {
            let mut add = |name: &str, dims: Vec<usize>| all.push((format!("model.layers.{layer}.{name}"), dims));
            let projections = [
                ("self_attn.q_proj", q, d, self.attention_bias),
                ("self_attn.k_proj", kv, d, self.attention_bias),
                ("self_attn.v_proj", kv, d, self.attention_bias),
                ("self_attn.o_proj", d, q, self.attention_bias),
                ("mlp.gate_proj", self.mlp, d, self.mlp_bias),
                ("mlp.up_proj", self.mlp, d, self.mlp_bias),
                ("mlp.down_proj", d, self.mlp, self.mlp_bias),
            ];
            add("input_layernorm.weight", vec![d]);
            for (name, out, inputs, bias) in projections {
                add(&format!("{name}.weight"), vec![out, inputs]);
                if bias {
                    add(&format!("{name}.bias"), vec![out]);
                }
            }
            add("post_attention_layernorm.weight", vec![d]);
        }
        all.push(("model.norm.weight".to_owned(), vec![d]));
        if self.reward {
            all.push((SCORE.to_owned(), vec![1, d]));
        } else if !self.tied {
            all.push(("lm_head.weight".to_owned(), vec![self.vocab, d]));
        }
        all
    }

    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(|(_, dims)| dims.iter().product::<usize>()).sum()
    }

    /// Multiply-adds of the projections for one token, the output projection included.
    pub fn multiply_adds(&self) -> usize {
        let (d, q, kv) = (self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        self.layers * (d * (2 * q + 2 * kv) + 3 * d * self.mlp) + self.vocab * d
    }
}

impl Rope {
    /// Angle per position of each rotated pair, `[head_dim / 2]`, in f32 as transformers computes it.
    pub fn inverse_frequencies(&self, head_dim: usize) -> Vec<f32> {
        (0..head_dim / 2)
            .map(|pair| {
                let exponent = (2 * pair) as f32 / head_dim as f32;
                let plain = 1.0f32 / (self.theta as f32).powf(exponent);
                match self.scaling {
                    Scaling::None | Scaling::Dynamic { .. } => plain,
                    Scaling::Linear { factor } => plain / factor as f32,
                    Scaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
                        let wavelength = 2.0 * std::f32::consts::PI / plain;
                        let (low, high) = (low_freq_factor as f32, high_freq_factor as f32);
                        let turns = original_positions as f32 / wavelength;
                        // Slow pairs are stretched, fast ones left alone, those between blended.
                        if turns < low {
                            plain / factor as f32
                        } else if turns > high {
                            plain
                        } else {
                            let smooth = (turns - low) / (high - low);
                            (1.0 - smooth) * plain / factor as f32 + smooth * plain
                        }
                    }
                }
            })
            .collect()
    }
}

/// Whether the configuration is that of a sequence classifier with one number to say.
fn is_reward_model(config: &Map<String, Value>) -> Result<bool> {
    let architectures = config.get("architectures").and_then(Value::as_array);
    if !architectures.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(REWARD_MODEL))) {
        return Ok(false);
    }
    let named = config.get("id2label").and_then(Value::as_object).map(Map::len);
    let labels = match optional_size(config, "num_labels", MAX_VOCAB)? {
        Some(labels) => labels,
        // Two is what transformers takes where nothing is said.
        None => named.unwrap_or(2),
    };
    ensure!(labels == 1, "a classifier of {labels} labels is no reward model; num_labels must be 1");
    Ok(true)
}

fn refuse_other_architectures(config: &Map<String, Value>) -> Result<()> {
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or("(absent)");
    ensure!(model_type == "llama", "model_type is {model_type:?}; only \"llama\" is understood");
    if let Some(architectures) = config.get("architectures").and_then(Value::as_array) {
        let known = architectures.iter().any(|name| [WRITER, REWARD_MODEL].map(Some).contains(&name.as_str()));
        ensure!(
            known || architectures.is_empty(),
            "architectures is {}; only {WRITER} and {REWARD_MODEL} are understood",
            short(&json!(architectures))
        );
    }
    let activation = config.get("hidden_act").and_then(Value::as_str).unwrap_or("silu");
    ensure!(activation == "silu", "hidden_act is {activation:?}; only \"silu\" is understood");
    for (key, meaning) in [
        ("sliding_window", "sliding-window attention"),
        ("num_local_experts", "a mixture of experts"),
        ("num_experts", "a mixture of experts"),
        ("quantization_config", "quantised weights"),
        ("auto_map", "code of its own"),
    ] {
        match config.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(value) => bail!("{key} is {}: {meaning} is not supported", short(value)),
        }
    }
    if let Some(factor) = optional_number(config, "partial_rotary_factor")? {
        ensure!(factor == 1.0, "partial_rotary_factor is {factor}; only 1 is supported");
    }
    Ok(())
}

/// Reads both spellings: `rope_theta` + `rope_scaling`, and the newer single `rope_parameters`.
fn rope(config: &Map<String, Value>) -> Result<Rope> {
    let empty = Map::new();
    let section = match config.get("rope_parameters").or_else(|| config.get("rope_scaling")) {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(section)) => section,
        Some(other) => bail!("the rope section of config.json is {}, not an object", short(other)),
    };
    let theta = match optional_number(section, "rope_theta")? {
        Some(theta) => theta,
        None => optional_number(config, "rope_theta")?.unwrap_or(10_000.0),
    };
    ensure!(theta.is_finite() && theta >= 1.0, "rope_theta {theta} is not a number of at least 1");
    let kind = section.get("rope_type").or_else(|| section.get("type"));
    let kind = match kind {
        None | Some(Value::Null) => "default",
        Some(value) => value.as_str().with_context(|| format!("rope_type is {}, not a word", short(value)))?,
    };
    let need = |key: &str| -> Result<f64> {
        let value = optional_number(section, key)?.with_context(|| format!("rope type {kind:?} needs {key:?}"))?;
        ensure!(value.is_finite() && value > 0.0, "rope {key} {value} is not positive");
        Ok(value)
    };
    let scaling = match kind {
        "default" => Scaling::None,
        "linear" => Scaling::Linear { factor: need("factor")? },
        "dynamic" => Scaling::Dynamic { factor: need("factor")? },
        "llama3" => {
            let (low, high) = (need("low_freq_factor")?, need("high_freq_factor")?);
            ensure!(low < high, "rope low_freq_factor {low} is not below high_freq_factor {high}");
            Scaling::Llama3 {
                factor: need("factor")?,
                low_freq_factor: low,
                high_freq_factor: high,
                original_positions: size(section, "original_max_position_embeddings", MAX_POSITIONS)?,
            }
        }
        other => bail!("rope type {other:?} is not supported; default, linear, dynamic and llama3 are"),
    };
    Ok(Rope { theta, scaling })
}

fn size(section: &Map<String, Value>, key: &str, cap: usize) -> Result<usize> {
    optional_size(section, key, cap)?.with_context(|| format!("config.json has no {key:?}"))
}

fn optional_size(section: &Map<String, Value>, key: &str, cap: usize) -> Result<Option<usize>> {
    match section.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
            match number {
                Some(n) if (1..=cap).contains(&n) => Ok(Some(n)),
                _ => bail!("{key} is {}; a whole number from 1 to {cap} is needed", short(value)),
            }
        }
    }
}

fn optional_number(section: &Map<String, Value>, key: &str) -> Result<Option<f64>> {
    match section.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => Ok(Some(value.as_f64().with_context(|| format!("{key} is {}, not a number", short(value)))?)),
    }
}

fn flag(section: &Map<String, Value>, key: &str) -> Result<bool> {
    match section.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().with_context(|| format!("{key} is {}, not true or false", short(value))),
    }
}

/// One id, a list of ids, null or nothing.
fn token_ids(value: Option<&Value>, key: &str) -> Result<Vec<u32>> {
    let one = |value: &Value| -> Result<u32> {
        let id = value.as_u64().and_then(|n| u32::try_from(n).ok());
        id.with_context(|| format!("{key} holds {}, not a token id", short(value)))
    };
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        // Early Llama conversions wrote -1 for "there is none".
        Some(Value::Number(n)) if n.as_i64() == Some(-1) => Ok(Vec::new()),
        Some(Value::Array(ids)) if ids.len() <= 1_024 => ids.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
    }
}

/// A foreign value, short enough for a message.
fn short(value: &Value) -> String {
    let mut text = value.to_string();
    if text.chars().count() > 80 {
        text = text.chars().take(80).collect::<String>() + "…";
    }
    text
}
