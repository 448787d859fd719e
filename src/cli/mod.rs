//! The command line: every command of `selfreward`, in the order of its help.
//!
//! `main` parses, calls one command and turns its end into an exit code. In reading order: `arguments` (what can be asked), `output` and
//! `failure` (how it is answered), `open` and `settings` (where runs and settings come from), then a file for each group of commands.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

pub mod alerts;
pub mod arguments;
pub mod config;
pub mod demo;
pub mod diff;
pub mod endpoint;
#[cfg(feature = "llama")]
pub mod estimate;
pub mod export;
pub mod failure;
#[cfg(feature = "llama")]
pub mod forge;
#[cfg(feature = "llama")]
pub mod judge;
pub mod judges;
pub mod lines;
pub mod look;
pub mod metrics;
#[cfg(feature = "llama")]
pub mod model;
pub mod open;
pub mod output;
pub mod pairs;
pub mod report;
pub mod requests;
pub mod settings;
pub mod shell;
pub mod simulate;
pub mod start;
pub mod status;
pub mod steps;
pub mod tables;
#[cfg(feature = "llama")]
pub mod training;
pub mod what_if;

use arguments::{Arguments, Command};
use output::Output;

/// The whole program: arguments in, exit code out.
pub fn main() -> ExitCode {
    let mut output = Output::of_process();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(help) => {
            // Help and version go to stdout and are no failure; clap knows which is which.
            let code = u8::try_from(help.exit_code()).unwrap_or(failure::USAGE);
            match help.kind() {
                // A number that cannot be read is answered by the standard library, in a programmer's words.
                ErrorKind::ValueValidation => output.failure(&arguments::numbers::in_plain_words(&help.to_string())),
                _ => _ = help.print(),
            }
            return ExitCode::from(code);
        }
    };
    let ended = run(arguments, &mut output).and_then(|()| output.finish());
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(says) = failure::report(&error) {
                output.failure(&says);
            }
            ExitCode::from(failure::exit_code(&error))
        }
    }
}

/// Does what was asked.
fn run(arguments: Arguments, output: &mut Output) -> anyhow::Result<()> {
    let Arguments { runs, command } = arguments;
    // Where runs lie is asked for only by commands about runs: `config` must work without a home folder.
    let root = || open::root(runs.as_deref());
    match command {
        Command::Run(args) => start::run(&root()?, &args, output),
        Command::Demo(args) => demo::demo(&root()?, &args, output),
        Command::Resume(args) => start::resume(&root()?, &args, output),
        Command::Attach(args) => look::attach(&root()?, &args, output),
        Command::Watch(args) => look::watch(&root()?, &args, output),
        Command::Replay(args) => look::replay(&root()?, &args, output),
        Command::Check(args) => look::check(&root()?, &args, output),
        Command::Ls(args) => status::ls(&root()?, &args, output),
        Command::Status(args) => status::status(&root()?, &args, output),
        Command::Alerts(args) => alerts::alerts(&root()?, &args, output),
        Command::Pairs(args) => pairs::pairs(&root()?, &args, output),
        Command::WhatIf(args) => what_if::what_if(&root()?, &args, output),
        Command::Diff(args) => diff::diff(&root()?, &args, output),
        Command::Export(args) => export::export(&root()?, &args, output),
        Command::Metrics(args) if args.judges => judges::judges(&root()?, &args, output),
        Command::Metrics(args) => metrics::metrics(&args, output),
        Command::Config(args) => config::config(&args, output),
        Command::Doctor(args) => look::doctor(&root()?, &args, output),
        Command::Man(args) => shell::man(Arguments::command(), &args, output),
        Command::Completions(args) => shell::completions(Arguments::command(), &args, output),
        #[cfg(feature = "llama")]
        Command::Train(command) => training::train(&command, output),
        #[cfg(feature = "llama")]
        Command::Judge(args) => judge::judge(&args, output),
        #[cfg(feature = "llama")]
        Command::Generate(args) => model::write(&args, output),
        #[cfg(feature = "llama")]
        Command::Logprobs(args) => model::score(&args, output),
        #[cfg(feature = "llama")]
        Command::Bench(args) => model::measure(&args, output),
        #[cfg(feature = "llama")]
        Command::Model(command) => model::model(&command, output),
        #[cfg(feature = "llama")]
        Command::Forge(args) => forge::forge(&args, output),
        Command::Engine(args) => start::engine(&args),
        Command::Gate(args) => requests::gate(&root()?, &args, output),
        // What is left are requests to the engine.
        request => requests::request(&root()?, request, output),
    }
}
