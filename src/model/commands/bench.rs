//! `selfreward bench`: how fast this machine samples and scores, beside what it could do at best.
//!
//! It reads the clock, as nothing else in the model does: time is what it is about.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::model::commands::opening::{Machine, Precision};
use crate::model::commands::peaks::{gemm_peak, kernel_peak, median, peak_memory, read_peak};
use crate::model::folder::Folder;
use crate::model::log_probs::Scored;
use crate::model::pick::Sampling;
use crate::model::random;
use crate::model::sampler::{Ask, Flow, Manner, Sampler};
use crate::model::shape::{Rope, Scaling, Shape};
use crate::model::weights::{Rounded, TensorSource, Weights};
use crate::text::duration::duration;

const PROMPT_TOKENS: usize = 32;
const REPLY_TOKENS: usize = 128;

#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// The model; else that of the settings
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Random weights instead: tiny (4.7M) or 135m (SmolLM2's shape)
    #[arg(long, value_name = "NAME", hide_possible_values = true, value_parser = ["tiny", "135m"], conflicts_with = "model")]
    pub shape: Option<String>,
    #[command(flatten)]
    pub machine: Machine,
    /// Batch sizes of decoding
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16, 64], value_parser = at_least_one)]
    pub batch: Vec<usize>,
    /// Runs of each; the median is told
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = at_least_one)]
    pub repeats: usize,
    /// Leave the optimiser's steps out
    #[arg(long, hide_short_help = true)]
    pub no_training: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "write a whole number, 1 or more".into())
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub parameters: usize,
    pub weights: &'static str,
    pub weights_mib: f64,
    pub threads: usize,
    /// GFLOP/s of a 1024³ product with the `gemm` crate, on all threads.
    pub gemm_gflops: f64,
    /// GFLOP/s of our own kernel on the same.
    pub kernel_gflops: f64,
    /// GB/s of reading as much memory as the weights take, again and again, on all threads.
    pub read_gbytes: f64,
    pub rates: Vec<Rate>,
    /// Optimiser steps; empty with --no-training.
    pub training: Vec<Step>,
    pub peak_mib: Option<f64>,
    /// How long a run would take at these rates, where somebody says what a run is.
    pub run: Option<RunTime>,
    /// Why that could not be said.
    pub no_run: Option<String>,
}

/// The time of a run, stage by stage, added up over its iterations.
#[derive(Debug, Clone, Serialize)]
pub struct RunTime {
    /// What it is the time of.
    pub of: String,
    pub stages: Vec<StageTime>,
    pub seconds: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct StageTime {
    pub what: String,
    pub seconds: f64,
}

/// What a run's time is made of: tokens a second.
#[derive(Debug, Clone, Copy)]
pub struct Speeds {
    pub prefill: f64,
    pub decode: f64,
    pub sft: f64,
    pub dpo: f64,
}

impl Report {
    /// The decode of the largest batch. None without the optimiser's steps.
    pub fn speeds(&self) -> Option<Speeds> {
        let rate =
            |name: &str| self.rates.iter().rfind(|rate| rate.what.starts_with(name)).map(|r| r.tokens_per_second);
        let step =
            |name: &str| self.training.iter().find(|step| step.what.starts_with(name)).map(|s| s.tokens_per_second);
        Some(Speeds { prefill: rate("prefill")?, decode: rate("decode")?, sft: step("SFT")?, dpo: step("DPO")? })
    }
}

/// One optimiser step.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub what: String,
    pub milliseconds: f64,
    pub tokens_per_second: f64,
    /// Of the projections' arithmetic, there and back.
    pub gflops: f64,
}

impl Step {
    pub fn new(what: String, shape: &Shape, tokens: usize, seconds: f64) -> Step {
        let tokens = tokens as f64;
        let gflops = 6.0 * shape.multiply_adds() as f64 * tokens / seconds / 1e9;
        Step { what, milliseconds: 1e3 * seconds, tokens_per_second: tokens / seconds, gflops }
    }
}

/// What is to be trained, and how often.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    pub shape: &'a Shape,
    pub source: &'a dyn TensorSource,
    pub rows: usize,
    pub length: usize,
    pub threads: usize,
    pub repeats: usize,
}

#[derive(Debug, Serialize)]
pub struct Rate {
    pub what: String,
    pub tokens_per_second: f64,
    /// Of the projections' arithmetic.
    pub gflops: f64,
    /// Of the weights, once a step.
    pub gbytes: f64,
}

/// Measures optimiser steps: given from outside, because a model knows no training.
pub type Train<'a> = &'a dyn Fn(Training<'_>) -> Result<Vec<Step>>;

/// Says how long a run would take: given from outside too, because a model knows no runs.
pub type Estimate<'a> = &'a dyn Fn(Speeds) -> Result<RunTime>;

pub fn bench(args: &BenchArgs, train: Train<'_>, estimate: Option<Estimate<'_>>, out: &mut impl Write) -> Result<()> {
    let mut report = measure(args, train)?;
    if let (Some(estimate), Some(speeds)) = (estimate, report.speeds()) {
        // What the machine can do is worth knowing without it.
        match estimate(speeds) {
            Ok(run) => report.run = Some(run),
            Err(why) => report.no_run = Some(format!("{why:#}")),
        }
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "{} parameters as {}, {:.0} MiB, {} threads",
        report.parameters, report.weights, report.weights_mib, report.threads
    )?;
    writeln!(
        out,
        "at best: gemm {:.0} GFLOP/s, own kernel {:.0} GFLOP/s, reading as much as the weights {:.1} GB/s",
        report.gemm_gflops, report.kernel_gflops, report.read_gbytes
    )?;
    let best = report.gemm_gflops.max(report.kernel_gflops);
    for rate in &report.rates {
        writeln!(
            out,
            "{:<22} {:>9.0} tokens/s {:>7.1} GFLOP/s ({:>3.0}%) {:>6.1} GB/s of weights ({:>3.0}%)",
            rate.what,
            rate.tokens_per_second,
            rate.gflops,
            100.0 * rate.gflops / best,
            rate.gbytes,
            100.0 * rate.gbytes / report.read_gbytes
        )?;
    }
    for step in &report.training {
        writeln!(
            out,
            "{:<22} {:>9.0} tokens/s {:>7.1} GFLOP/s ({:>3.0}%) {:>6.0} ms a step",
            step.what,
            step.tokens_per_second,
            step.gflops,
            100.0 * step.gflops / best,
            step.milliseconds
        )?;
    }
    if let Some(peak) = report.peak_mib {
        writeln!(out, "peak memory {peak:.0} MiB")?;
    }
    if let Some(run) = &report.run {
        writeln!(out, "\n{}: about {}", run.of, duration(run.seconds))?;
        for stage in &run.stages {
            writeln!(out, "  {:<22} {:>8}", stage.what, duration(stage.seconds))?;
        }
    }
    if let Some(why) = &report.no_run {
        writeln!(out, "\nhow long a run would take cannot be said: {why}")?;
    }
    Ok(())
}

pub fn measure(args: &BenchArgs, train: Train<'_>) -> Result<Report> {
    let (_, settings) = args.machine.settings()?;
    let bf16 = args.machine.dtype == Precision::Bf16;
    // Before sampling, so that neither holds memory while the other is measured.
    let training = if args.no_training { Vec::new() } else { training(args, train)? };
    let mut sampler = match &args.model {
        Some(path) => {
            let folder = Folder::open(path)?;
            if bf16 {
                Sampler::new(&Rounded(&folder), &folder.shape, &settings)?
            } else {
                Sampler::new(&folder, &folder.shape, &settings)?
            }
        }
        None => {
            let shape = bench_shape(args.shape.as_deref());
            let weights = Weights::random(&shape, 0.02, 1)?;
            let weights = if bf16 { weights.to_bf16() } else { weights };
            Sampler::new(&weights, &shape, &settings)?
        }
    };
    let mut rates = Vec::new();
    for &batch in &args.batch {
        rates.push(decode(&mut sampler, batch, args.repeats)?);
    }
    rates.push(prefill(&mut sampler, 16, 128, args.repeats)?);
    rates.push(score(&mut sampler, 16, 128, args.repeats)?);
    Ok(Report {
        parameters: sampler.shape().parameters(),
        weights: if sampler.is_bf16() { "bf16" } else { "f32" },
        weights_mib: sampler.weights_bytes() as f64 / f64::from(1 << 20),
        threads: sampler.threads(),
        gemm_gflops: gemm_peak(sampler.threads())?,
        kernel_gflops: kernel_peak(&sampler.crew),
        read_gbytes: read_peak(&sampler.crew, sampler.weights_bytes()),
        rates,
        training,
        peak_mib: peak_memory(),
        run: None,
        no_run: None,
    })
}

fn bench_shape(name: Option<&str>) -> Shape {
    let rope = Rope { theta: 1e4, scaling: Scaling::None };
    let tiny = Shape {
        vocab: 1024,
        hidden: 256,
        mlp: 704,
        layers: 6,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        max_positions: 2048,
        rms_eps: 1e-5,
        rope,
        tied: true,
        reward: false,
        attention_bias: false,
        mlp_bias: false,
        bos: None,
        eos: Vec::new(),
        pad: None,
    };
    match name {
        None | Some("tiny") => tiny,
        Some(_) => Shape { vocab: 49_152, hidden: 576, mlp: 1_536, layers: 30, heads: 9, kv_heads: 3, ..tiny },
    }
}

/// Random tokens, the same on every machine.
fn text(shape: &Shape, key: u64, length: usize) -> Vec<u32> {
    (0..length as u64).map(|i| (random::derive(key, i) % shape.vocab as u64) as u32).collect()
}

/// Prefill of different prompts and decoding of as many replies, prefill included, as a user would wait for them.
fn decode(sampler: &mut Sampler, batch: usize, repeats: usize) -> Result<Rate> {
    let manner = Manner { sampling: Sampling::GREEDY, max_tokens: REPLY_TOKENS, ..Manner::default() };
    let manner = Arc::new(manner);
    let mut times = Vec::new();
    for repeat in 0..=repeats {
        let prompt = |row: usize| text(sampler.shape(), (repeat * 1_000 + row) as u64, PROMPT_TOKENS).into();
        let asks: Vec<Ask> =
            (0..batch).map(|row| Ask { prompt: prompt(row), manner: Arc::clone(&manner), key: 0 }).collect();
        let start = Instant::now();
        sampler.run(&asks, None, |_| Flow::Go)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let seconds = median(&mut times[1..]);
    let tokens = (batch * REPLY_TOKENS) as f64;
    let flops = 2.0 * sampler.shape().multiply_adds() as f64 * (tokens + (batch * PROMPT_TOKENS) as f64);
    Ok(Rate {
        what: format!("decode, batch {batch}"),
        tokens_per_second: tokens / seconds,
        gflops: flops / seconds / 1e9,
        gbytes: sampler.weights_bytes() as f64 * REPLY_TOKENS as f64 / seconds / 1e9,
    })
}

/// Steps of the size at which they were compared with other programs, on f32 weights.
fn training(args: &BenchArgs, train: Train<'_>) -> Result<Vec<Step>> {
    let steps = |shape: &Shape, source: &dyn TensorSource| {
        let (rows, length) = if shape.parameters() < 50_000_000 { (32, 128) } else { (4, 256) };
        let length = length.min(shape.max_positions);
        train(Training { shape, source, rows, length, threads: args.machine.threads, repeats: args.repeats })
    };
    match &args.model {
        Some(path) => {
            let folder = Folder::open(path)?;
            steps(&folder.shape, &folder)
        }
        None => {
            let shape = bench_shape(args.shape.as_deref());
            steps(&shape, &Weights::random(&shape, 0.02, 1)?)
        }
    }
}

/// Prompts alone: one token is written to each.
fn prefill(sampler: &mut Sampler, rows: usize, length: usize, repeats: usize) -> Result<Rate> {
    let manner = Arc::new(Manner { sampling: Sampling::GREEDY, max_tokens: 1, ..Manner::default() });
    let mut times = Vec::new();
    for repeat in 0..=repeats {
        let prompt = |row: usize| text(sampler.shape(), (repeat * 9_000 + row) as u64, length).into();
        let asks: Vec<Ask> =
            (0..rows).map(|row| Ask { prompt: prompt(row), manner: Arc::clone(&manner), key: 0 }).collect();
        let start = Instant::now();
        sampler.run(&asks, None, |_| Flow::Go)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let seconds = median(&mut times[1..]);
    let tokens = (rows * length) as f64;
    Ok(Rate {
        what: format!("prefill, {rows} × {length}"),
        tokens_per_second: tokens / seconds,
        gflops: 2.0 * sampler.shape().multiply_adds() as f64 * tokens / seconds / 1e9,
        gbytes: sampler.weights_bytes() as f64 * (tokens / 512.0).ceil() / seconds / 1e9,
    })
}

fn score(sampler: &mut Sampler, rows: usize, length: usize, repeats: usize) -> Result<Rate> {
    let mut times = Vec::new();
    for repeat in 0..=repeats {
        let tokens = |row: usize| text(sampler.shape(), (repeat * 7_000 + row) as u64, length);
        let texts: Vec<Scored> = (0..rows).map(|row| Scored { tokens: tokens(row), from: 1 }).collect();
        let start = Instant::now();
        sampler.log_probs(&texts, |_| Flow::Go)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let seconds = median(&mut times[1..]);
    let tokens = (rows * length) as f64;
    Ok(Rate {
        what: format!("log-probs, {rows} × {length}"),
        tokens_per_second: tokens / seconds,
        gflops: 2.0 * sampler.shape().multiply_adds() as f64 * tokens / seconds / 1e9,
        gbytes: sampler.weights_bytes() as f64 * (tokens / 512.0).ceil() / seconds / 1e9,
    })
}
