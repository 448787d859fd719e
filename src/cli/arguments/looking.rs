//! Arguments of the commands that only read: listings, exports, metrics, and what is written for shells.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::arguments::FailOn;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Name or folder of the run
    pub run: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 3 when an alarm of this level stands: warn or error
    #[arg(long, value_name = "LEVEL", hide_possible_values = true)]
    pub fail_on: Option<FailOn>,
}

#[derive(Debug, Args)]
pub struct AlertsArgs {
    /// Name or folder of the run
    pub run: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only after this entry, this time, or so long ago (10m, 2h)
    #[arg(long, value_name = "SEQ|TIME|DURATION")]
    pub since: Option<String>,
    /// Exit with 3 when one of this level stands: warn or error
    #[arg(long, value_name = "LEVEL", hide_possible_values = true)]
    pub fail_on: Option<FailOn>,
}

#[derive(Debug, Args)]
pub struct PairsArgs {
    /// Name or folder of the run
    pub run: String,
    /// Only these, for example 'susp>.5 iter:2 auto "as an AI"'
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    pub filter: Option<String>,
    /// Whole texts instead of their beginnings
    #[arg(long)]
    pub full: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    pub run1: String,
    pub run2: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct WhatIfArgs {
    /// Name or folder of the run
    pub run: String,
    /// The other rule: margin=1 rho=0.3 likeness=0.9 truncated=keep cut=0.2 parsed=1 tie=shorter|likelier parser=ours|first
    #[arg(required = true, value_name = "NAME=VALUE")]
    pub rule: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Name or folder of the run
    pub run: String,
    /// pairs, prompts, candidates, judgements, decisions, steps, evaluations, alarms, trl (what DPO used, for TRL) or report (HTML)
    #[arg(hide_possible_values = true)]
    pub what: What,
    /// csv or jsonl; else by the file's ending, else jsonl
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,
    /// Write to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    Pairs,
    Prompts,
    Candidates,
    Judgements,
    Decisions,
    Steps,
    Evaluations,
    Alarms,
    Trl,
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Csv,
    Jsonl,
}

#[derive(Debug, Args)]
#[command(override_usage = "selfreward metrics --scores FILE --reference FILE\n       selfreward metrics RUN --judges")]
pub struct MetricsArgs {
    /// A run, for --judges
    #[arg(requires = "judges")]
    pub run: Option<String>,
    /// The judges of a run beside each other, on the same answers
    #[arg(long, requires = "run", conflicts_with_all = ["scores", "reference"])]
    pub judges: bool,
    /// The judge's scores: JSON lines, also .gz or .zst
    #[arg(long, value_name = "FILE", required_unless_present = "judges")]
    pub scores: Option<PathBuf>,
    /// The reference's scores or ranks of the same responses
    #[arg(long, value_name = "FILE", required_unless_present = "judges")]
    pub reference: Option<PathBuf>,
    /// Seed of the bootstrap intervals
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write one page for each command into this folder instead of the main page to stdout
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(hide_possible_values = true)]
    pub shell: clap_complete::Shell,
}
