//! `selfreward model inspect`: what a folder holds, checked as if it were to be loaded.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::model::folder::Folder;
use crate::model::packed::pages::Pages;
use crate::model::packed::tile::PANEL;
use crate::model::shape::{Scaling, Shape};
use crate::model::tokenizer::Tokenizer;
use crate::model::weights::TensorSource;

#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// The model: a Hugging Face folder
    pub dir: PathBuf,
    /// Read every weight too, to find what is no number
    #[arg(long)]
    pub full: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn inspect(args: &InspectArgs, out: &mut impl Write) -> Result<()> {
    let folder = Folder::open(&args.dir)?;
    let shape = &folder.shape;
    if args.full {
        for (name, _) in shape.tensors() {
            folder.tensor(&name)?;
        }
    }
    // A folder without a tokenizer still has weights worth looking at.
    let tokenizer = Tokenizer::open(&args.dir);
    let stored = folder.stored_as()?;
    let cache_per_token = Pages::page_bytes(shape) / PANEL;
    if args.json {
        let tokenizer = match &tokenizer {
            Ok(t) => {
                json!({"tokens": t.vocabulary(), "own_template": t.has_own_template, "special": t.special_words()})
            }
            Err(error) => json!({"error": format!("{error:#}")}),
        };
        let report = json!({
            "config": shape.to_json(), "parameters": shape.parameters(), "stored_as": format!("{stored:?}"),
            "files": folder.files(), "ignored": folder.ignored, "cache_bytes_per_token": cache_per_token,
            "tokenizer": tokenizer, "weights_read": args.full,
        });
        writeln!(out, "{report}")?;
        return Ok(());
    }
    let mut line = |name: &str, value: String| writeln!(out, "{name:<14} {value}");
    line("parameters", grouped(shape.parameters()))?;
    line("stored as", format!("{stored:?} in {} file{}", folder.files(), if folder.files() == 1 { "" } else { "s" }))?;
    line("layers", shape.layers.to_string())?;
    line("hidden", format!("{}, mlp {}", shape.hidden, shape.mlp))?;
    line("heads", format!("{} of {}, sharing {} of keys and values", shape.heads, shape.head_dim, shape.kv_heads))?;
    line("positions", format!("{}, {}", shape.max_positions, rope(shape)))?;
    line(
        "vocabulary",
        format!(
            "{}{}",
            shape.vocab,
            match (shape.reward, shape.tied) {
                (true, _) => ", a reward model",
                (false, true) => ", embedding tied",
                (false, false) => "",
            }
        ),
    )?;
    line("biases", format!("attention {}, mlp {}", word(shape.attention_bias), word(shape.mlp_bias)))?;
    line("ends with", format!("{:?}", shape.eos))?;
    line("cache", format!("{} bytes a token", grouped(cache_per_token)))?;
    if !folder.ignored.is_empty() {
        line("ignored", folder.ignored.join(", "))?;
    }
    match &tokenizer {
        Ok(tokenizer) => {
            let template = if tokenizer.has_own_template { "its own chat template" } else { "no chat template" };
            line("tokenizer", format!("{} tokens, {template}", tokenizer.vocabulary()))?;
        }
        Err(error) => line("tokenizer", format!("{error:#}"))?,
    }
    line("weights", if args.full { "all finite".to_owned() } else { "not read (--full reads them)".to_owned() })?;
    Ok(())
}

fn rope(shape: &Shape) -> String {
    let theta = shape.rope.theta;
    match shape.rope.scaling {
        Scaling::None => format!("rope theta {theta}"),
        Scaling::Linear { factor } => format!("rope theta {theta}, linear × {factor}"),
        Scaling::Dynamic { factor } => format!("rope theta {theta}, dynamic × {factor} (beyond its positions only)"),
        Scaling::Llama3 { factor, original_positions, .. } => {
            format!("rope theta {theta}, llama3 × {factor} from {original_positions}")
        }
    }
}

fn word(present: bool) -> &'static str {
    if present { "yes" } else { "no" }
}

/// 1234567 as 1,234,567.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
