//! What can be asked of the program: commands, arguments and flags, with their help.
//!
//! Used by `cli::main`, the manual pages and the completions. Help of every command fits a screen of 80 by 24 (a test looks).

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod asking;
mod looking;
pub(super) mod numbers;
mod starting;
#[cfg(feature = "llama")]
mod training;

pub use asking::*;
pub use looking::*;
pub use starting::*;
#[cfg(feature = "llama")]
pub use training::*;

#[cfg(feature = "llama")]
use crate::model::commands::{generate::GenerateArgs, inspect::InspectArgs, logprobs::LogprobsArgs};

#[cfg(feature = "llama")]
macro_rules! model_line {
    () => {
        "  model     train sft, train dpo, judge, generate, logprobs, bench,\n            forge, model inspect\n"
    };
}
#[cfg(not(feature = "llama"))]
macro_rules! model_line {
    () => {
        ""
    };
}

/// Every command by what it is for: a list of thirty would not fit a screen. A test compares it with the commands.
const HELP: &str = concat!(
    "\
{about}

Usage: selfreward [--runs DIR] COMMAND …

  train     demo, run, resume, pause, stop, snapshot, rollback, spend
  look      attach, watch, replay, ls, status, alerts, pairs, diff
  decide    check, keep, veto, swap, tie, score, defer, flag, undo, redo,
            note, ack, gate
  take out  export, metrics, what-if
",
    model_line!(),
    "  set up    config, doctor, man, completions

`selfreward COMMAND --help` tells more about one of them.

{options}
Exit codes: 0 well, 1 error, 2 usage, 3 alarm (--fail-on), 4 no such run
"
);

/// A language model trains itself on its own judgements; you supervise it here.
#[derive(Debug, Parser)]
#[command(name = "selfreward", version, help_template = HELP, disable_help_subcommand = true, max_term_width = 100)]
pub struct Arguments {
    /// The folder of all runs [env: SELFREWARD_RUNS]
    #[arg(long, global = true, value_name = "DIR", display_order = 900)]
    pub runs: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[cfg(feature = "llama")]
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// What a model's folder holds, and whether it can be used
    Inspect(InspectArgs),
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a run and watch it
    Run(RunArgs),
    /// Watch the embedded model improve itself, or fail
    Demo(DemoArgs),
    /// Go on with a run that is paused or was interrupted
    Resume(ResumeArgs),
    /// Look at a run and decide about its pairs
    Attach(LookArgs),
    /// Look at a run, without the keys that change it
    Watch(LookArgs),
    /// Play a run's journal again
    Replay(ReplayArgs),
    /// Decide about the pairs of an open gate, one after the other
    Check(CheckArgs),
    /// List the runs
    Ls(ListArgs),
    /// How a run stands
    Status(StatusArgs),
    /// What looked wrong in a run
    Alerts(AlertsArgs),
    /// The preference pairs of a run
    Pairs(PairsArgs),
    /// Two runs: what was set differently, and what came of it
    Diff(DiffArgs),
    /// A run's pairs counted again by another rule, without a model
    WhatIf(WhatIfArgs),
    /// Write parts of a run as files for other programs
    Export(ExportArgs),
    /// Pause at the next safe point
    Pause(RequestArgs),
    /// End the engine in good order; `resume` goes on
    Stop(StopArgs),
    /// Save a checkpoint of the training under way
    Snapshot(RequestArgs),
    /// Go back to an earlier model and do the iterations after it again
    Rollback(RollbackArgs),
    /// Change what the teacher of a run may cost
    Spend(SpendArgs),
    /// Use pairs as the judge made them
    Keep(DecideArgs),
    /// Keep pairs out of training
    Veto(VetoArgs),
    /// Exchange chosen and rejected
    Swap(DecideArgs),
    /// Neither answer is better: drop the pair
    Tie(DecideArgs),
    /// Give a candidate another mean score and pair its prompt anew
    Score(ScoreArgs),
    /// Decide later: pairs go to the end of the queue
    Defer(DecideArgs),
    /// Mark pairs for later reading, or take the mark away
    Flag(DecideArgs),
    /// Take back a decision: your last one, or any by its number
    Undo(TakeBackArgs),
    /// Restore a decision that was taken back
    Redo(TakeBackArgs),
    /// Add a remark to a run or to one of its pairs
    Note(NoteArgs),
    /// Acknowledge an alarm
    Ack(AckArgs),
    /// Show the gate before training, or close it
    Gate(GateArgs),
    /// How a judge's scores agree with reference scores of the same responses
    Metrics(MetricsArgs),
    /// Train a model by itself, without a run
    #[cfg(feature = "llama")]
    #[command(subcommand)]
    Train(TrainCommand),
    /// Let a model score ranked responses, and measure how it agrees
    #[cfg(feature = "llama")]
    Judge(JudgeArgs),
    /// Let a model write
    #[cfg(feature = "llama")]
    Generate(GenerateArgs),
    /// Log-probs of given texts under a model
    #[cfg(feature = "llama")]
    Logprobs(LogprobsArgs),
    /// How fast this machine writes and scores
    #[cfg(feature = "llama")]
    Bench(BenchCommand),
    /// Make the embedded model and its seed data anew
    #[cfg(feature = "llama")]
    Forge(ForgeArgs),
    /// About a model's folder
    #[cfg(feature = "llama")]
    #[command(subcommand)]
    Model(ModelCommand),
    /// The settings: what is in force and where it comes from
    Config(ConfigArgs),
    /// What this terminal and machine can do
    Doctor(DoctorArgs),
    /// Manual pages
    Man(ManArgs),
    /// Completions for a shell
    Completions(CompletionsArgs),
    /// What a detached engine's process runs
    #[command(hide = true)]
    Engine(EngineProcessArgs),
}
