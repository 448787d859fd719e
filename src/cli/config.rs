//! `config`: the settings in force with their origins, whether they can be meant so, their schema, and where files are looked for.
//!
//! Prints what `settings` gathered; decides nothing.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::cli::arguments::{ConfigAction, ConfigArgs, ConfigShowArgs};
use crate::cli::output::Output;
use crate::cli::settings::{self, Gathered, Origin};
use crate::engine::settings::Settings;
use crate::text::table::{Cell, Table};

pub fn config(args: &ConfigArgs, output: &mut Output) -> Result<()> {
    match &args.action {
        ConfigAction::Show(args) => show(args, output),
        ConfigAction::Check(args) => check(args, output),
        ConfigAction::Schema => {
            let schema = schemars::schema_for!(Settings);
            output.raw(&serde_json::to_string_pretty(&schema)?)?;
            output.raw("\n")
        }
        ConfigAction::Path(args) => {
            let places = settings::places();
            let used = places.iter().find(|path| path.is_file());
            if args.json {
                let places: Vec<Value> = places.iter().map(|path| json!(path.display().to_string())).collect();
                return output.json(json!({ "places": places, "used": used.map(|path| path.display().to_string()) }));
            }
            for path in &places {
                let mark = if Some(path) == used { "  (used)" } else { "" };
                output.line(&format!("{}{mark}", path.display()))?;
            }
            Ok(())
        }
    }
}

fn show(args: &ConfigShowArgs, output: &mut Output) -> Result<()> {
    let gathered = settings::gather(&args.settings)?;
    let values =
        gathered.values().into_iter().filter(|(_, _, origin)| !args.changed || !matches!(origin, Origin::Preset(_)));
    if args.json {
        let mut keys = Map::new();
        for (key, value, origin) in values {
            keys.insert(key, json!({ "value": value, "from": origin.to_string() }));
        }
        return output.json(json!({ "preset": gathered.preset, "file": file(&gathered), "settings": keys }));
    }
    let mut table = Table::new(["setting", "value", "from"]);
    for (key, value, origin) in values {
        table.push([key.into(), Cell::Text(as_text(&value)), origin.to_string().into()]);
    }
    output.table(&table)
}

fn check(args: &ConfigShowArgs, output: &mut Output) -> Result<()> {
    let gathered = settings::gather(&args.settings)?;
    settings::check_files(&gathered.settings)?;
    let changed = gathered.values().iter().filter(|(_, _, origin)| !matches!(origin, Origin::Preset(_))).count();
    if args.json {
        return output
            .json(json!({ "fine": true, "preset": gathered.preset, "file": file(&gathered), "changed": changed }));
    }
    let from = file(&gathered).map_or_else(|| "no settings file".to_string(), |file| format!("settings from {file}"));
    output.line(&format!("fine: preset {}, {from}, {changed} settings changed", gathered.preset))
}

fn file(gathered: &Gathered) -> Option<String> {
    gathered.file.as_ref().map(|path| path.display().to_string())
}

/// A value as one would write it after `--set KEY=`.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::Null => "unset".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
