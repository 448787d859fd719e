//! `selfreward generate`: replies to one prompt or to a file of them.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::model::chat_template::Turn;
use crate::model::commands::opening::{Opened, Opening, read_rows};
use crate::model::pick::Sampling;
use crate::model::random;
use crate::model::sampler::{Ask, Event, Finish, Flow, Manner, Reply};
use crate::model::tokenizer::Tokenizer;
use crate::text::visible::visible;

#[derive(Debug, Clone, Args)]
#[group(id = "what", required = true, args = ["prompt", "input"])]
#[command(override_usage = "selfreward generate --model DIR (--prompt TEXT | --input F) [OPTIONS]")]
pub struct GenerateArgs {
    #[command(flatten)]
    pub opening: Opening,
    /// One prompt, answered as a user's turn
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// JSON lines with prompt or messages; - is stdin
    #[arg(long, value_name = "F.jsonl")]
    pub input: Option<PathBuf>,
    /// A system turn before every prompt
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Continue the text itself, without a template
    #[arg(long, conflicts_with = "system")]
    pub raw: bool,
    /// 0 always takes the likeliest token
    #[arg(long, default_value_t = 0.7, value_name = "T")]
    pub temperature: f32,
    /// Nucleus sampling
    #[arg(long, default_value_t = 0.9, value_name = "P")]
    pub top_p: f32,
    /// 0 keeps all tokens
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub top_k: usize,
    /// Least probability, as a share of the likeliest
    #[arg(long, default_value_t = 0.0, value_name = "P", hide_short_help = true)]
    pub min_p: f32,
    /// Above 1 discourages tokens that stand there
    #[arg(long, default_value_t = 1.0, value_name = "X", hide_short_help = true)]
    pub repetition_penalty: f32,
    /// Longest reply
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub max_tokens: usize,
    /// End before this string; repeatable
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// The seed of all replies
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Replies to each prompt
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub n: usize,
    /// Add each token's log-prob to the JSON
    #[arg(long, requires = "json")]
    pub log_probs: bool,
    /// A JSON line a reply: text, tokens, finish
    #[arg(long)]
    pub json: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Prompt { prompt: String },
    Messages { messages: Vec<Turn> },
}

#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    tokens: &'a [u32],
    finish: Finish,
    #[serde(skip_serializing_if = "<[f32]>::is_empty")]
    log_probs: &'a [f32],
}

/// Writes the replies in the order of the prompts. With `live` a single reply appears as it is written. `cancel` ends
/// the run between two tokens; what was finished by then is written.
pub fn generate(args: &GenerateArgs, out: &mut (impl Write + Send), live: bool, cancel: &AtomicBool) -> Result<()> {
    let Opened { mut sampler, tokenizer, .. } = args.opening.open()?;
    let rows = match (&args.prompt, &args.input) {
        (Some(prompt), _) => vec![Row::Prompt { prompt: prompt.clone() }],
        (None, Some(path)) => read_rows(path, "{prompt} or {messages}")?,
        (None, None) => Vec::new(),
    };
    let mut eos = sampler.shape().eos.clone();
    eos.extend(tokenizer.eos().filter(|id| !eos.contains(id)));
    let manner = Arc::new(Manner {
        sampling: Sampling {
            temperature: args.temperature,
            top_p: args.top_p,
            top_k: args.top_k,
            min_p: args.min_p,
            repetition_penalty: args.repetition_penalty,
        },
        max_tokens: args.max_tokens,
        stop: args.stop.clone(),
        eos,
        keep_log_probs: args.log_probs,
    });
    let mut asks = Vec::with_capacity(rows.len() * args.n);
    for (index, row) in rows.iter().enumerate() {
        let prompt: Arc<[u32]> = tokens(args, &tokenizer, row).with_context(|| format!("prompt {index}"))?.into();
        for candidate in 0..args.n {
            let key = random::derive(random::derive(args.seed, index as u64), candidate as u64);
            asks.push(Ask { prompt: Arc::clone(&prompt), manner: Arc::clone(&manner), key });
        }
    }

    let live = live && !args.json && asks.len() == 1;
    let mut pages =
        InOrder { next: 0, finished: (0..asks.len()).map(|_| None).collect(), failed: None, args, out, live };
    sampler.run(&asks, Some(&tokenizer), |event| {
        pages.hear(event);
        if cancel.load(Ordering::Relaxed) || pages.failed.is_some() { Flow::Stop } else { Flow::Go }
    })?;
    match pages.failed {
        Some(error) => Err(error).context("could not write the replies"),
        None => Ok(()),
    }
}

fn tokens(args: &GenerateArgs, tokenizer: &Tokenizer, row: &Row) -> Result<Vec<u32>> {
    let turns = match row {
        Row::Prompt { prompt } if args.raw => return tokenizer.encode(prompt, true),
        Row::Prompt { prompt } => vec![Turn::new("user", prompt)],
        Row::Messages { messages } => messages.clone(),
    };
    ensure!(!args.raw, "--raw continues a text, and \"messages\" are none");
    let system = args.system.iter().map(|system| Turn::new("system", system));
    tokenizer.prompt(&system.chain(turns).collect::<Vec<_>>())
}

/// Replies finish in any order and are written in that of the prompts, each as soon as its turn has come.
struct InOrder<'a, W> {
    next: usize,
    finished: Vec<Option<Reply>>,
    failed: Option<std::io::Error>,
    args: &'a GenerateArgs,
    out: &'a mut W,
    live: bool,
}

impl<W: Write> InOrder<'_, W> {
    fn hear(&mut self, event: Event<'_>) {
        let written = match event {
            Event::Text { text, .. } if self.live => {
                write!(self.out, "{}", visible(text)).and_then(|()| self.out.flush())
            }
            Event::Finished { ask, reply } => {
                self.finished[ask] = Some(reply.clone());
                self.write_due()
            }
            _ => Ok(()),
        };
        if let Err(error) = written {
            self.failed = Some(error);
        }
    }

    fn write_due(&mut self) -> std::io::Result<()> {
        while let Some(reply) = self.finished.get_mut(self.next).and_then(Option::take) {
            if self.args.json {
                let Reply { text, tokens, finish, log_probs } = &reply;
                let line = Line { text, tokens, finish: *finish, log_probs };
                serde_json::to_writer(&mut *self.out, &line)?;
                writeln!(self.out)?;
            } else {
                if !self.live {
                    write!(self.out, "{}", visible(&reply.text))?;
                }
                let cut = if reply.finish == Finish::Length { " [cut off at the token limit]" } else { "" };
                writeln!(self.out, "{cut}")?;
            }
            self.out.flush()?;
            self.next += 1;
        }
        Ok(())
    }
}
