//! `runs/README.md` says what the program writes: its tables are made from the events themselves, its script is run on a real journal.
//!
//! With `WRITE_DOCS=1` the generated parts are rewritten; without it a difference is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use selfreward::run::alarms::RULES;
use selfreward::run::event::Event;
use serde_json::Value;

use crate::cli_story::{hostile, runs};
use crate::journal_words::{COMMON, SPECIAL};
use crate::stage;

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runs/README.md")
}

/// The part of the page between two markers.
fn between<'a>(page: &'a str, name: &str) -> &'a str {
    let (opens, closes) = (format!("<!-- {name}: made by a test -->\n"), format!("<!-- end of {name} -->"));
    let (_, rest) = page.split_once(&opens).unwrap_or_else(|| panic!("runs/README.md has no {opens}"));
    rest.split_once(&closes).unwrap_or_else(|| panic!("runs/README.md has no {closes}")).0
}

#[test]
fn every_event_field_part_and_alarm_is_documented_as_it_is() {
    let path = readme();
    let mut page = fs::read_to_string(&path).unwrap();
    for (name, made) in [("events", events()), ("parts", parts()), ("alarms", alarms())] {
        let found = between(&page, name).to_string();
        if found == made {
            continue;
        }
        assert!(
            std::env::var_os("WRITE_DOCS").is_some(),
            "runs/README.md is behind the program ({name}): run WRITE_DOCS=1 cargo test --no-default-features journal_docs"
        );
        let closes = format!("<!-- end of {name} -->");
        let opens = format!("<!-- {name}: made by a test -->\n");
        page = page.replacen(&format!("{opens}{found}{closes}"), &format!("{opens}{made}{closes}"), 1);
        fs::write(&path, &page).unwrap();
    }
}

#[test]
fn every_kind_and_every_member_has_words_of_its_own() {
    let mut silent = Vec::new();
    for (kind, schema) in Event::schemas() {
        let schema = schema.to_value();
        if description(&schema).is_empty() {
            silent.push(kind.to_string());
        }
        silent.extend(without_words(kind, &schema));
    }
    for (name, schema) in definitions() {
        silent.extend(without_words(&name, &schema));
    }
    assert_eq!(silent, Vec::<String>::new(), "these need a doc comment in src/run, or a line in COMMON");
}

fn without_words(of: &str, schema: &Value) -> Vec<String> {
    let members = schema["properties"].as_object().into_iter().flatten();
    members
        .filter(|(name, member)| meaning(of, name, member).is_empty())
        .map(|(name, _)| format!("{of}.{name}"))
        .collect()
}

fn events() -> String {
    let mut out = String::new();
    for (kind, schema) in Event::schemas() {
        let schema = schema.to_value();
        out.push_str(&format!("\n### `{kind}`\n\n{}\n\n", description(&schema)));
        out.push_str(&members(kind, &schema));
    }
    out
}

/// Everything that events are made of, by name.
fn definitions() -> BTreeMap<String, Value> {
    let schemas = Event::schemas().into_iter().map(|(_, schema)| schema.to_value());
    schemas.flat_map(|schema| schema["$defs"].as_object().cloned().unwrap_or_default()).collect()
}

fn parts() -> String {
    let mut out = String::new();
    for (name, schema) in definitions() {
        out.push_str(&format!("\n### {name}\n\n"));
        let says = description(&schema);
        if !says.is_empty() {
            out.push_str(&format!("{says}\n\n"));
        }
        if schema.get("properties").is_some() {
            out.push_str(&members(&name, &schema));
        } else if let Some(choices) = schema["oneOf"].as_array() {
            out.push_str("| is one of | |\n|---|---|\n");
            for choice in choices {
                for (word, meaning) in words(choice) {
                    out.push_str(&format!("| {word} | {meaning} |\n"));
                }
            }
        } else if let Some(choices) = schema["enum"].as_array() {
            let choices: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            out.push_str(&format!("One of {}.\n", choices.join(", ")));
        } else {
            let pattern =
                schema["pattern"].as_str().map_or(String::new(), |pattern| format!(" of the form `{pattern}`"));
            out.push_str(&format!("A {}{pattern}.\n", kind(&schema).replace('|', "or")));
        }
    }
    out
}

/// The choices that one alternative of a schema allows, each with its meaning.
fn words(choice: &Value) -> Vec<(String, String)> {
    if let Some(word) = choice.get("const") {
        return vec![(format!("`{word}`"), description(choice))];
    }
    if let Some(words) = choice["enum"].as_array() {
        return words.iter().map(|word| (format!("`{word}`"), description(choice))).collect();
    }
    let members = choice["properties"].as_object().into_iter().flatten();
    members
        .map(|(name, inner)| {
            let inside = inner["properties"].as_object().into_iter().flatten();
            let inside: Vec<String> = inside
                .map(|(name, member)| match description(member) {
                    says if says.is_empty() => format!("`{name}` ({})", kind(member)),
                    says => format!("`{name}` ({}): {says}", kind(member)),
                })
                .collect();
            let says = [description(choice), inside.join("; ")].join(" ");
            (format!("`{{\"{name}\": …}}`"), says.trim().replace('|', "or"))
        })
        .collect()
}

fn members(of: &str, schema: &Value) -> String {
    let mut out = "| member | kind | |\n|---|---|---|\n".to_string();
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, member) in schema["properties"].as_object().unwrap() {
        let absent = if required.contains(name.as_str()) { "" } else { " (may be absent)" };
        out.push_str(&format!("| `{name}` | {}{absent} | {} |\n", kind(member), meaning(of, name, member)));
    }
    out
}

fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn meaning(of: &str, name: &str, member: &Value) -> String {
    let whole = format!("{of}.{name}");
    if let Some((_, says)) = SPECIAL.iter().find(|(special, _)| *special == whole) {
        return says.to_string();
    }
    let says = description(member);
    if !says.is_empty() {
        return says.replace('|', "or");
    }
    COMMON.iter().find(|(common, _)| *common == name).map_or(String::new(), |(_, says)| says.to_string())
}

/// A schema's kind in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::String(one) if one == "array" => {
            if let Some(items) = schema["prefixItems"].as_array() {
                return format!("[{}]", items.iter().map(kind).collect::<Vec<_>>().join(", "));
            }
            let count = schema["minItems"].as_u64().map_or(String::new(), |count| format!("{count} "));
            format!("list of {count}{}", kind(&schema["items"]))
        }
        Value::String(one) if one == "object" && schema.get("additionalProperties").is_some() => {
            format!("object of {}", kind(&schema["additionalProperties"]))
        }
        Value::String(one) => one.clone(),
        Value::Array(several) => several
            .iter()
            .filter_map(Value::as_str)
            .map(|one| match one {
                "array" => kind(&serde_json::json!({ "type": "array", "items": schema["items"], "prefixItems": schema["prefixItems"] })),
                one => one.to_string(),
            })
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "any JSON".to_string(),
    }
}

fn alarms() -> String {
    let mut out = "| alarm | lamp | what it watches |\n|---|---|---|\n".to_string();
    for (id, lamp, watches) in RULES {
        out.push_str(&format!("| `{id}` | {} | {watches} |\n", format!("{lamp:?}").to_lowercase()));
    }
    out
}

/// First cells of the table below this heading.
fn first_cells(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, rest) = page.split_once(heading).unwrap_or_else(|| panic!("runs/README.md has no `{heading}`"));
    let part = rest.split("\n## ").next().unwrap();
    part.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_string())
        .collect()
}

#[test]
fn every_measure_that_is_written_or_read_is_documented_and_no_other() {
    let documented = first_cells(&fs::read_to_string(readme()).unwrap(), "\n## Measures");
    let folder = selfreward::run::folder::RunFolder::at(runs().join("healthy"));
    let mut written = BTreeSet::new();
    for entry in stage::entries(&folder) {
        if let Event::Measured(measured) = entry.event {
            written.extend(measured.values.into_keys());
        }
    }
    // What the alarms look for must be among what is written, or they watch nothing.
    let alarms = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/alarms");
    for file in fs::read_dir(alarms).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for part in text.split("measured(\"").skip(1).chain(text.split("measured_before(\"").skip(1)) {
            let name = part.split('"').next().unwrap().to_string();
            assert!(written.contains(&name), "an alarm reads `{name}`, which no stage of a healthy run records");
        }
    }
    assert_eq!(documented, written);
}

#[test]
fn the_script_in_the_page_verifies_a_journal_and_names_damage() {
    let page = fs::read_to_string(readme()).unwrap();
    let script = page.split_once("```python\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    assert!(script.lines().count() <= 20, "the script has grown to {} lines", script.lines().count());
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no python3, so the script of runs/README.md was not run");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let folder = hostile(root.path(), "a");
    let verify = || {
        let output = Command::new("python3").args(["-c", script]).arg(folder.path()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let entries = stage::entries(&folder).len();
    assert_eq!(verify(), (0, format!("{entries} entries, whole\n")));
    let path = folder.path().join("journal-0001.jsonl");
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    let second = damaged.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    damaged[second + 30] ^= 1;
    fs::write(&path, &damaged).unwrap();
    let (code, said) = verify();
    assert!(code == 1 && said.contains("journal-0001.jsonl:2: wrong checksum"), "{said}");
    let gap: Vec<u8> = whole
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .filter(|(at, _)| *at != 3)
        .flat_map(|(_, line)| line.to_vec())
        .collect();
    fs::write(&path, &gap).unwrap();
    let (code, said) = verify();
    assert!(code == 1 && said.contains("journal-0001.jsonl:4: entry 5 where 4 should be"), "{said}");
    fs::write(&path, [whole.as_slice(), b"{\"v\":1,"].concat()).unwrap();
    let (code, said) = verify();
    assert!(code == 0 && said.contains("an unfinished last line"), "{said}");
}
