//! What a shell and `man` want to know: completions and manual pages, made from the same arguments as the help.

use std::fs;

use anyhow::{Context, Result};

use crate::cli::arguments::{CompletionsArgs, ManArgs};
use crate::cli::output::Output;

/// The main page to stdout, or a page for each command into a folder.
pub fn man(command: clap::Command, args: &ManArgs, output: &mut Output) -> Result<()> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        return output.raw(&String::from_utf8(page)?);
    };
    fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    clap_mangen::generate_to(command, folder).with_context(|| format!("writing pages to {}", folder.display()))?;
    output.remark(&format!("wrote the pages to {}", folder.display()));
    Ok(())
}

pub fn completions(mut command: clap::Command, args: &CompletionsArgs, output: &mut Output) -> Result<()> {
    let name = command.get_name().to_string();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    output.raw(&String::from_utf8(script)?)
}
