//! Arguments of training and judging without a run: `train sft`, `train dpo`, `judge`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::arguments::{Preset, SettingArgs};
use crate::model::commands::bench::BenchArgs;

#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// Fine-tune a model on prompts with responses
    Sft(TrainSftArgs),
    /// Train a model on preference pairs
    Dpo(TrainDpoArgs),
}

/// Settings as a run has them; sections that a training does not read are ignored.
#[derive(Debug, Clone, Default, Args)]
pub struct OwnSettingArgs {
    /// Settings file; else selfreward.toml here, else the user's
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What unset settings are: paper or tiny
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub preset: Option<Preset>,
    /// One setting, for example sft.lr=1e-5; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The root seed
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// auto, cpu, cuda or cuda:1
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
}

impl OwnSettingArgs {
    pub fn as_of_run(&self) -> SettingArgs {
        let OwnSettingArgs { config, preset, set, seed, device } = self.clone();
        // Who brings a model of their own wants the method's numbers.
        let preset = preset.or(Some(Preset::Paper));
        SettingArgs { config, preset, set, seed, device, ..SettingArgs::default() }
    }
}

#[derive(Debug, Clone, Args)]
pub struct TrainingArgs {
    /// The model to begin with: a Hugging Face folder
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// What to learn: JSON lines, JSON or a list
    #[arg(long, value_name = "F")]
    pub data: PathBuf,
    /// Where it goes; the same command goes on after a stop
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// More of the same kind, to measure on
    #[arg(long, value_name = "F")]
    pub held_out: Option<PathBuf>,
    #[command(flatten)]
    pub settings: OwnSettingArgs,
    /// A JSON line a step instead of progress
    #[arg(long)]
    pub json: bool,
}

/// Times writing, scoring and optimiser steps, and says how long a run by the settings would take.
#[derive(Debug, Args)]
pub struct BenchCommand {
    #[command(flatten)]
    pub bench: BenchArgs,
    /// Settings file; else selfreward.toml here, else the user's
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What unset settings are: paper or tiny
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub preset: Option<Preset>,
    /// One setting of the run, for example prompts.count=5000; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Writes checkpoints/, steps.jsonl and in the end model/ into --out.
#[derive(Debug, Args)]
#[command(override_usage = "selfreward train sft --model DIR --data F --out DIR [OPTIONS]")]
pub struct TrainSftArgs {
    #[command(flatten)]
    pub training: TrainingArgs,
}

/// Writes checkpoints/, steps.jsonl and in the end model/ into --out.
#[derive(Debug, Args)]
#[command(override_usage = "selfreward train dpo --model DIR [--ref DIR] --data F --out DIR [OPTIONS]")]
pub struct TrainDpoArgs {
    #[command(flatten)]
    pub training: TrainingArgs,
    /// The reference; else the model that it begins with
    #[arg(long = "ref", value_name = "DIR")]
    pub reference: Option<PathBuf>,
}

/// Scores ranked responses with the judge prompt and measures how far the scores agree with the ranks.
#[derive(Debug, Args)]
#[command(override_usage = "selfreward judge --model DIR --eft F [OPTIONS]")]
pub struct JudgeArgs {
    /// The model: a Hugging Face folder
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Prompts with ranked responses
    #[arg(long, value_name = "F")]
    pub eft: PathBuf,
    /// Write every judgement here, a JSON line each
    #[arg(long, value_name = "F.jsonl")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub settings: OwnSettingArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
