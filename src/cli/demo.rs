//! `demo`: a run of the embedded model with the preset `tiny`, nobody's settings in between.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use anyhow::Result;

use crate::cli::arguments::{DemoArgs, Preset, SettingArgs};
use crate::cli::output::Output;
use crate::cli::{open, settings, start};

/// Seconds that the gate of a demo waits for somebody who may only want to look.
const DEADLINE: &str = "deadline:15s";

pub fn demo(root: &Path, args: &DemoArgs, output: &mut Output) -> Result<()> {
    let screens = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let watched = screens && !args.engine.headless && !args.engine.foreground && !args.engine.detach;
    let mut set: Vec<String> =
        args.collapse.iter().flat_map(|collapse| collapse.settings()).map(|setting| (*setting).to_owned()).collect();
    if !watched {
        // A pause waits for a person, and there is none.
        set.push("alarms.pause=false".into());
    }
    set.extend(args.set.iter().cloned());
    let gate = if watched { DEADLINE } else { "off" };
    let asked = SettingArgs {
        preset: Some(Preset::Tiny),
        gate: Some(gate.into()),
        seed: args.seed,
        set,
        ..SettingArgs::default()
    };
    // Neither a settings file nor the environment: a demo is the same for everybody.
    let gathered = settings::gather_from(&asked, None, &BTreeMap::new())?;
    let name = args.name.clone().unwrap_or_else(|| {
        let kind = args.collapse.map_or("demo".to_owned(), |collapse| format!("demo-{}", collapse.name()));
        open::name_by_date(root, &kind)
    });
    start::begin(root, &name, gathered.settings, &args.engine, false, output)
}
