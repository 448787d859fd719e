//! `diff`: two runs side by side, only what differs: settings, data, and what came of it.
//!
//! Reads two views; judges neither.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::arguments::DiffArgs;
use crate::cli::config::as_text;
use crate::cli::open::{self, Opened};
use crate::cli::output::Output;
use crate::run::measures::Referee;
use crate::text::table::{Cell, Table};

pub fn diff(root: &Path, args: &DiffArgs, output: &mut Output) -> Result<()> {
    let first = open::open(root, &args.run1, output)?;
    let second = open::open(root, &args.run2, output)?;
    let settings = differing(&settings(&first), &settings(&second));
    let results = differing(&results(&first), &results(&second));
    let same_facts = first.facts()?.digest() == second.facts()?.digest();
    if args.json {
        let rows = |rows: &[Row]| -> Vec<Value> {
            rows.iter().map(|row| json!({ "key": row.key, "a": row.a, "b": row.b })).collect()
        };
        return output.json(json!({
            "runs": [first.name(), second.name()],
            "same_facts": same_facts,
            "config": rows(&settings),
            "results": rows(&results),
        }));
    }
    for (title, rows) in [("setting", &settings), ("result", &results)] {
        if rows.is_empty() {
            output.line(&format!("no {title} differs"))?;
            continue;
        }
        let mut table = Table::new([title.to_string(), first.name(), second.name(), "change".to_string()]);
        for row in rows {
            let change = row.a.as_ref().and_then(Value::as_f64).zip(row.b.as_ref().and_then(Value::as_f64));
            let change = change.filter(|_| title == "result").map(|(a, b)| Cell::number(b - a, 3));
            table.push([row.key.clone().into(), cell(&row.a), cell(&row.b), change.into()]);
        }
        output.table(&table)?;
    }
    output.line(if same_facts { "the facts are the same" } else { "the facts differ" })
}

struct Row {
    key: String,
    a: Option<Value>,
    b: Option<Value>,
}

fn differing(a: &BTreeMap<String, Value>, b: &BTreeMap<String, Value>) -> Vec<Row> {
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    let rows = keys.into_iter().map(|key| Row { key: key.clone(), a: a.get(key).cloned(), b: b.get(key).cloned() });
    rows.filter(|row| row.a != row.b).collect()
}

fn cell(value: &Option<Value>) -> Cell {
    match value {
        None => Cell::Nothing,
        Some(Value::Number(number)) if number.is_f64() => {
            number.as_f64().map_or(Cell::Nothing, |number| Cell::number(number, 3))
        }
        Some(value) => Cell::Text(as_text(value)),
    }
}

/// The configuration in force, the data and the device, by dotted key.
fn settings(run: &Opened) -> BTreeMap<String, Value> {
    let mut settings = BTreeMap::new();
    flatten("", &run.view.config, &mut settings);
    if let Some(started) = &run.view.started {
        settings.insert("policy".into(), json!(started.policy));
        for data in &started.data {
            settings.insert(format!("data.{} (rows)", data.role), json!(data.rows));
            settings.insert(format!("data.{} (content)", data.role), json!(data.hash));
        }
    }
    settings
}

fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&key, value, into);
            }
        }
        Value::Null => {}
        leaf => {
            into.insert(prefix.to_string(), leaf.clone());
        }
    }
}

/// What came of a run, by model and measure.
fn results(run: &Opened) -> BTreeMap<String, Value> {
    let mut results = BTreeMap::new();
    results.insert("state".into(), json!(run.state()));
    results.insert("decisions".into(), json!(run.view.decisions.len()));
    results.insert("alarms raised".into(), json!(run.view.alarm_log.len()));
    for round in run.view.written().filter(|round| !round.prompts.is_empty()) {
        results.insert(format!("iteration {} pairs", round.iteration), json!(round.pairs));
        if let Some(training) = &round.training {
            results.insert(format!("iteration {} pairs used", round.iteration), json!(training.pairs.len()));
        }
    }
    for model in &run.view.models {
        let Some((_, evaluated)) = &model.evaluated else { continue };
        let name = model.model.to_string();
        if let Ok(agreement) = serde_json::to_value(&evaluated.agreement) {
            flatten(&format!("{name} agreement"), &agreement, &mut results);
        }
        if let Some(oracle) = &evaluated.oracle {
            for (measure, value) in [
                ("mean_t07", oracle.mean_t07),
                ("perfect_t07", oracle.perfect_t07),
                ("mean_t10", oracle.mean_t10),
                ("perfect_t10", oracle.perfect_t10),
            ] {
                results.insert(format!("{name} oracle.{measure}"), json!(value));
            }
        }
        for duel in &evaluated.head_to_head {
            let by = match duel.by {
                Referee::Judge => "judge",
                Referee::Oracle => "oracle",
                Referee::Teacher => "teacher",
            };
            let count = format!("{}/{}/{}", duel.win, duel.tie, duel.lose);
            results.insert(format!("{name} against {} by {by} (win/tie/lose)", duel.against), json!(count));
        }
        results.insert(format!("{name} words"), json!(evaluated.lengths.mean));
        results.insert(format!("{name} distinct_2"), json!(evaluated.diversity.distinct_2));
    }
    results
}
