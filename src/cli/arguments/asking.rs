//! Arguments of the requests to an engine: pause, stop, and every human decision.

use clap::{Args, ValueEnum};

use crate::cli::arguments::numbers::amount;
use crate::run::ids::{Model, PromptId, Seq};

/// What all requests have in common.
#[derive(Debug, Clone, Args)]
pub struct RequestArgs {
    /// Name or folder of the run
    pub run: String,
    /// Seconds to wait for the engine's answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = amount, allow_negative_numbers = true)]
    pub wait: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StopArgs {
    #[command(flatten)]
    pub request: RequestArgs,
    /// When: step (now), stage or iteration
    #[arg(long, value_name = "WHEN", default_value = "step", hide_possible_values = true)]
    pub after: After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum After {
    Step,
    Stage,
    Iteration,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    pub request: RequestArgs,
    /// The model that stands, for example M1
    #[arg(long, value_name = "MODEL")]
    pub to: Model,
    /// A changed setting for what is done again; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub struct SpendArgs {
    #[command(flatten)]
    pub request: RequestArgs,
    /// The most calls to the teacher; 0 sets no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub calls: Option<u64>,
    /// The most tokens, sent and answered together; 0 sets no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub tokens: Option<u64>,
    /// The most money, in the currency of the prices; 0 sets no limit
    #[arg(long, value_name = "AMOUNT", value_parser = amount, allow_negative_numbers = true)]
    pub cost: Option<f64>,
}

#[derive(Debug, Args)]
pub struct DecideArgs {
    #[command(flatten)]
    pub request: RequestArgs,
    /// Pairs, for example 2:17
    #[arg(value_name = "PAIR", required_unless_present = "filter")]
    pub pairs: Vec<PromptId>,
    /// All pairs of the open iteration that this selects (see `pairs`)
    #[arg(long, value_name = "FILTER", conflicts_with = "pairs", allow_hyphen_values = true)]
    pub filter: Option<String>,
    /// A remark that stays with the decision
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub note: Option<String>,
}

#[derive(Debug, Args)]
pub struct VetoArgs {
    #[command(flatten)]
    pub decide: DecideArgs,
    /// wrong, length, gaming, broken, prompt or other
    #[arg(long, value_name = "WHY", hide_possible_values = true)]
    pub reason: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    Wrong,
    Length,
    Gaming,
    Broken,
    Prompt,
    Other,
}

#[derive(Debug, Args)]
pub struct ScoreArgs {
    #[command(flatten)]
    pub request: RequestArgs,
    /// The pair, for example 2:17
    pub pair: PromptId,
    /// The candidate, counted from 0
    #[arg(allow_negative_numbers = true)]
    pub candidate: u32,
    /// Its mean score, 0 to 5
    #[arg(allow_negative_numbers = true)]
    pub score: f64,
    /// A remark that stays with the decision
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub note: Option<String>,
}

#[derive(Debug, Args)]
pub struct TakeBackArgs {
    #[command(flatten)]
    pub request: RequestArgs,
    /// The decision's number, as `export RUN decisions` shows it
    #[arg(value_name = "SEQ")]
    pub of: Option<Seq>,
}

#[derive(Debug, Args)]
pub struct NoteArgs {
    #[command(flatten)]
    pub request: RequestArgs,
    #[arg(allow_hyphen_values = true)]
    pub text: String,
    /// The pair that it is about; else it is about the run
    #[arg(long)]
    pub pair: Option<PromptId>,
}

#[derive(Debug, Args)]
pub struct AckArgs {
    #[command(flatten)]
    pub request: RequestArgs,
    /// The alarm's name, for example judge-parse
    pub alarm: String,
}

#[derive(Debug, Args)]
pub struct GateArgs {
    #[command(flatten)]
    pub request: RequestArgs,
    /// `close` lets training begin; without it the gate is shown
    #[arg(value_name = "close", hide_possible_values = true)]
    pub action: Option<GateAction>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GateAction {
    Close,
}
