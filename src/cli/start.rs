//! Starts engines: `run` and `resume`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::cli::arguments::{ResumeArgs, RunArgs};
use crate::cli::output::Output;
use crate::cli::{open, requests};

pub fn run(_root: &Path, _args: &RunArgs, _output: &mut Output) -> Result<()> {
    bail!("this build starts no engine")
}

/// Unpauses a living engine, or goes on with an interrupted run.
pub fn resume(root: &Path, args: &ResumeArgs, output: &mut Output) -> Result<()> {
    let opened = open::open(root, &args.run, output)?;
    if opened.holder.is_some() {
        return requests::unpause(opened, args.wait, args.json, output);
    }
    bail!("this build starts no engine")
}
