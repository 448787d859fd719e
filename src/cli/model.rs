//! The commands of a model alone: `generate`, `logprobs`, `bench`, `model inspect`. They belong to the model; here they meet the terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use signal_hook::consts::SIGINT;

use crate::cli::arguments::ModelCommand;
use crate::cli::output::Output;
use crate::model::commands::bench::{BenchArgs, bench};
use crate::model::commands::generate::{GenerateArgs, generate};
use crate::model::commands::inspect::inspect;
use crate::model::commands::logprobs::{LogprobsArgs, logprobs};

pub fn write(args: &GenerateArgs, output: &mut Output) -> Result<()> {
    let cancel = cancelled_by_int()?;
    generate(args, &mut output.writer(), std::io::stdout().is_terminal(), &cancel)
}

pub fn score(args: &LogprobsArgs, output: &mut Output) -> Result<()> {
    let cancel = cancelled_by_int()?;
    logprobs(args, &mut output.writer(), &cancel)
}

pub fn measure(args: &BenchArgs, output: &mut Output) -> Result<()> {
    bench(args, &mut output.writer())
}

pub fn model(command: &ModelCommand, output: &mut Output) -> Result<()> {
    match command {
        ModelCommand::Inspect(args) => inspect(args, &mut output.writer()),
    }
}

/// The first Ctrl-C ends after the token under way; what is finished has been written.
fn cancelled_by_int() -> Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, cancel.clone())?;
    signal_hook::flag::register(SIGINT, cancel.clone())?;
    Ok(cancel)
}
