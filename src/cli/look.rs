//! Opens screens: `attach`, `watch`, `replay` and `check`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::cli::arguments::{LookArgs, ReplayArgs};
use crate::cli::open;
use crate::cli::output::Output;

pub fn attach(root: &Path, args: &LookArgs, _output: &mut Output) -> Result<()> {
    open::find(root, &args.run)?;
    bail!("this build has no screens")
}

pub fn watch(root: &Path, args: &LookArgs, output: &mut Output) -> Result<()> {
    attach(root, args, output)
}

pub fn replay(root: &Path, args: &ReplayArgs, _output: &mut Output) -> Result<()> {
    open::find(root, &args.run)?;
    bail!("this build has no screens")
}

pub fn check(root: &Path, args: &LookArgs, output: &mut Output) -> Result<()> {
    attach(root, args, output)
}

/// The screens of a run that this process has just started.
pub fn control(folder: &crate::run::folder::RunFolder, _output: &mut Output) -> Result<()> {
    bail!("this build has no screens; look at the run with `selfreward status {}`", folder.name())
}
