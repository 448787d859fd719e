//! Opens screens: `attach`, `watch`, `check`, `replay`, and what comes after a screen is left. Also `doctor`.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use crate::cli::arguments::{CheckArgs, DoctorArgs, LookArgs, ReplayArgs, ViewArgs};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::what_if;
use crate::cli::{open, simulate};
use crate::run::folder::RunFolder;
use crate::tui::doctor::{Surroundings, doctor as examine};
use crate::tui::player::PauseOn;
use crate::tui::settings::Given;
use crate::tui::until::Until;
use crate::tui::{self, Leave, Mode, ReplayOptions, Settings};

pub fn attach(root: &Path, args: &LookArgs, output: &mut Output) -> Result<()> {
    look(open::find(root, &args.run)?, Mode::Control, &args.view, output)
}

pub fn watch(root: &Path, args: &LookArgs, output: &mut Output) -> Result<()> {
    look(open::find(root, &args.run)?, Mode::ReadOnly, &args.view, output)
}

pub fn check(root: &Path, args: &CheckArgs, output: &mut Output) -> Result<()> {
    if let Some(looks_at) = args.simulate {
        return simulate::simulate(root, &args.run, looks_at, output);
    }
    look(open::find(root, &args.run)?, Mode::Check, &args.view, output)
}

/// The screens of a run that this process has just started.
pub fn control(folder: &RunFolder, output: &mut Output) -> Result<()> {
    look(folder.clone(), Mode::Control, &ViewArgs::default(), output)
}

pub fn replay(root: &Path, args: &ReplayArgs, output: &mut Output) -> Result<()> {
    let folder = open::find(root, &args.run)?;
    let vs = args.vs.as_deref().map(|name| open::find(root, name)).transpose()?;
    let pause_on = args.pause_on.iter().map(|word| pause_on(word)).collect::<Result<Vec<_>>>()?;
    need_terminal("replay", &args.run)?;
    let options = ReplayOptions {
        vs,
        at: args.at.clone(),
        speed: args.speed,
        idle_cap: args.idle_cap,
        pause_on,
        until: args.until.as_deref().map(Until::parse).transpose().map_err(Failure::usage)?,
        second_opinion: args.second_opinion,
        what_if: Some(Arc::new(what_if::in_words)),
    };
    let left = tui::replay(folder.clone(), options, settings(&args.view))?;
    after(folder, left, &args.view, output)
}

fn pause_on(word: &str) -> Result<PauseOn> {
    Ok(match word {
        "veto" | "decision" => PauseOn::Decision,
        "alert" | "alarm" => PauseOn::Alert,
        "stage" => PauseOn::Stage,
        "nan" => PauseOn::Nan,
        _ => return Err(Failure::usage(format!("`{word}` stops no replay; write veto, alert, stage or nan"))),
    })
}

fn look(folder: RunFolder, mode: Mode, view: &ViewArgs, output: &mut Output) -> Result<()> {
    need_terminal("status", &folder.name())?;
    let left = tui::watch_run(folder.clone(), mode, settings(view))?;
    after(folder, left, view, output)
}

/// What a person sees after the screen: where the run is and how to come back.
fn after(mut folder: RunFolder, mut left: Leave, view: &ViewArgs, output: &mut Output) -> Result<()> {
    loop {
        let name = folder.name();
        left = match left {
            Leave::Detached if folder.holder().is_some() => {
                return output.line(&format!("{name} goes on by itself. Look again: selfreward attach {name}"));
            }
            Leave::Detached | Leave::HungUp => return Ok(()),
            Leave::StopAsked => {
                return output.line(&format!("{name} was asked to stop. Go on later: selfreward resume {name}"));
            }
            Leave::KillAsked => return kill(&folder, output),
            Leave::Open(other) => {
                folder = other;
                if folder.holder().is_some() {
                    tui::watch_run(folder.clone(), Mode::Control, settings(view))?
                } else {
                    tui::replay(folder.clone(), options(None), settings(view))?
                }
            }
            Leave::Compare(one, other) => {
                folder = one.clone();
                tui::replay(one, options(Some(other)), settings(view))?
            }
        };
    }
}

/// A replay that was chosen on a screen.
fn options(vs: Option<RunFolder>) -> ReplayOptions {
    ReplayOptions { vs, what_if: Some(Arc::new(what_if::in_words)), ..ReplayOptions::default() }
}

/// Ends an engine on this machine at once. What was recorded stays; `resume` goes on from there.
fn kill(folder: &RunFolder, output: &mut Output) -> Result<()> {
    let name = folder.name();
    let Some(holder) = folder.holder() else { return output.line(&format!("{name} has no engine")) };
    if holder.host != crate::run::folder::host_name() {
        return output
            .line(&format!("the engine of {name} runs on {}: kill process {} there", holder.host, holder.pid));
    }
    let pid = i32::try_from(holder.pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    }
    output.line(&format!("the engine of {name} was killed. Go on from its last entry: selfreward resume {name}"))
}

fn settings(view: &ViewArgs) -> Settings {
    let ViewArgs { ascii, mouse, on_alert, alerts } = view.clone();
    Settings::load(|name| std::env::var(name).ok(), Given { ascii, mouse, on_alert, alerts })
}

fn need_terminal(instead: &str, run: &str) -> Result<()> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the screens need a terminal, and standard input or output is none; `selfreward {} {run}` prints instead",
        if instead == "replay" { "export" } else { instead }
    )))
}

/// What this terminal and this machine can do, and what to do about what they cannot.
pub fn doctor(root: &Path, args: &DoctorArgs, output: &mut Output) -> Result<()> {
    if let Some(endpoint) = &args.endpoint {
        return crate::cli::endpoint::examine(endpoint, args, output);
    }
    let var = |name: &str| std::env::var(name).ok();
    let settings = Settings::load(var, Given::default());
    let found = examine(&Surroundings::look(&var, root), &settings, root);
    if args.json {
        let rows: Vec<_> = found
            .iter()
            .map(|row| json!({ "name": row.name, "good": row.good, "says": row.says, "advice": row.advice }))
            .collect();
        return output.json(json!({ "findings": rows }));
    }
    for row in &found {
        output.line(&format!("{:3} {:14} {}", if row.good { "ok" } else { "!" }, row.name, row.says))?;
        if let Some(advice) = row.advice.as_ref().filter(|_| !row.good) {
            output.line(&format!("    {:14} {advice}", ""))?;
        }
    }
    Ok(())
}
