//! The commands of a model alone: `generate`, `logprobs`, `bench`, `model inspect`. They belong to the model; here they meet the terminal.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use signal_hook::consts::SIGINT;

use crate::cli::arguments::{BenchCommand, ModelCommand, SettingArgs};
use crate::cli::estimate::Workload;
use crate::cli::output::Output;
use crate::cli::settings;
use crate::embedded;
use crate::llama_policy::most_positions;
use crate::model::commands::bench::{Step, Training, bench};
use crate::model::commands::generate::{GenerateArgs, generate};
use crate::model::commands::inspect::inspect;
use crate::model::commands::logprobs::{LogprobsArgs, logprobs};
use crate::train::bench::{Load, steps};

pub fn write(args: &GenerateArgs, output: &mut Output) -> Result<()> {
    let cancel = cancelled_by_int()?;
    generate(args, &mut output.writer(), std::io::stdout().is_terminal(), &cancel)
}

pub fn score(args: &LogprobsArgs, output: &mut Output) -> Result<()> {
    let cancel = cancelled_by_int()?;
    logprobs(args, &mut output.writer(), &cancel)
}

pub fn measure(args: &BenchCommand, output: &mut Output) -> Result<()> {
    let BenchCommand { bench: args, config, preset, set } = args;
    let asked = SettingArgs { config: config.clone(), preset: *preset, set: set.clone(), ..SettingArgs::default() };
    let settings = settings::gather(&asked)?.settings;
    let of_settings = match &settings.model.base {
        Some(base) => PathBuf::from(base),
        None => embedded::folder()?,
    };
    let mut args = args.clone();
    let model = args.model.clone().unwrap_or(of_settings);
    if args.shape.is_none() {
        args.model = Some(model.clone());
    }
    let estimate = |speeds| Ok(Workload::of(&settings, &model)?.time(speeds));
    bench(&args, &time_steps, Some(&estimate), &mut output.writer())
}

/// One row a kind of optimiser step.
fn time_steps(training: Training<'_>) -> Result<Vec<Step>> {
    let Training { shape, source, rows, length, threads, repeats } = training;
    let most_positions = most_positions(shape);
    let load = Load { rows, length, threads, most_positions, recompute: false, repeats };
    let times = steps(shape, source, load)?;
    let step =
        |what: &str, seconds| Step::new(format!("{what} step, {rows} × {length}"), shape, rows * length, seconds);
    Ok(vec![step("SFT", times.sft), step("DPO", times.dpo)])
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
