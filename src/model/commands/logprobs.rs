//! `selfreward logprobs`: how likely the model finds replies, or whole texts, that are already there.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::model::chat_template::Turn;
use crate::model::commands::opening::{Opened, Opening, read_rows};
use crate::model::log_probs::Scored;
use crate::model::sampler::Flow;
use crate::model::tokenizer::Tokenizer;

#[derive(Debug, Clone, Args)]
pub struct LogprobsArgs {
    #[command(flatten)]
    pub opening: Opening,
    /// JSON lines: prompt and response, or text
    #[arg(long, value_name = "F.jsonl")]
    pub input: PathBuf,
    /// Join prompt and response without a template
    #[arg(long)]
    pub raw: bool,
    /// Add each token's id and log-prob
    #[arg(long)]
    pub per_token: bool,
    /// A JSON line a row: tokens, sum, mean
    #[arg(long)]
    pub json: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Reply { prompt: String, response: String },
    Text { text: String },
}

#[derive(Serialize)]
struct Line<'a> {
    tokens: usize,
    sum: f64,
    mean: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_probs: Option<&'a [f32]>,
}

pub fn logprobs(args: &LogprobsArgs, out: &mut impl Write, cancel: &AtomicBool) -> Result<()> {
    let Opened { mut sampler, tokenizer, .. } = args.opening.open()?;
    let rows: Vec<Row> = read_rows(&args.input, "{prompt, response} or {text}")?;
    let mut texts = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        texts.push(scored(args, &tokenizer, row).with_context(|| format!("row {index}"))?);
    }
    let stop = |_| if cancel.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Go };
    let Some(scores) = sampler.log_probs(&texts, stop)? else { bail!("cancelled") };
    for (text, log_probs) in texts.iter().zip(&scores) {
        let sum: f64 = log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum();
        let (ids, kept) = (args.per_token.then(|| &text.tokens[text.from..]), args.per_token.then_some(&log_probs[..]));
        let line = Line { tokens: log_probs.len(), sum, mean: sum / log_probs.len() as f64, ids, log_probs: kept };
        if args.json {
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{:>6} tokens   sum {:>12.4}   mean {:>9.5}", line.tokens, line.sum, line.mean)?;
            for (id, log_prob) in ids.into_iter().flatten().zip(log_probs) {
                writeln!(out, "{id:>8} {log_prob:>10.5}")?;
            }
        }
    }
    Ok(())
}

/// The response's tokens are scored, with whatever the template ends a turn with: what training would train.
fn scored(args: &LogprobsArgs, tokenizer: &Tokenizer, row: &Row) -> Result<Scored> {
    let scored = match row {
        Row::Text { text } => Scored { tokens: tokenizer.encode(text, true)?, from: 1 },
        Row::Reply { prompt, response } if args.raw => {
            let mut tokens = tokenizer.encode(prompt, true)?;
            let from = tokens.len();
            tokens.extend(tokenizer.encode(response, false)?);
            Scored { tokens, from }
        }
        Row::Reply { prompt, response } => {
            let dialogue = tokenizer.dialogue(&[Turn::new("user", prompt), Turn::new("assistant", response)])?;
            Scored { from: dialogue.reply.start, tokens: dialogue.tokens }
        }
    };
    ensure!(scored.from >= 1 && scored.from < scored.tokens.len(), "there is no token to score behind another one");
    Ok(scored)
}
