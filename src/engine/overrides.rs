//! `key=value` over a configuration, with unknown keys answered by the nearest name. Used by `--set`, the environment and rollback.

use serde_json::Value;

use crate::engine::settings::Settings;
use crate::text::nearest::distance as edits;

/// Every key of the schema, dotted, with its default.
pub fn keys() -> Vec<(String, Value)> {
    let mut keys = Vec::new();
    if let Ok(value) = serde_json::to_value(Settings::default()) {
        walk("", &value, &mut keys);
    }
    keys
}

fn walk(prefix: &str, value: &Value, keys: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                walk(&path, value, keys);
            }
        }
        leaf => keys.push((prefix.to_string(), leaf.clone())),
    }
}

/// Sets one key of a configuration. The text is read as the default's kind asks.
pub fn set(config: &mut Value, assignment: &str) -> Result<(), String> {
    let (key, text) = assignment
        .split_once('=')
        .ok_or_else(|| format!("`{assignment}` is no KEY=VALUE, for example dpo.beta=0.2"))?;
    let (key, text) = (key.trim(), text.trim());
    let known = keys();
    let Some((_, default)) = known.iter().find(|(name, _)| name == key) else {
        return Err(unknown(key, &known));
    };
    let value = read(text, default).map_err(|wanted| format!("`{key}` wants {wanted}, not `{text}`"))?;
    let pointer = format!("/{}", key.replace('.', "/"));
    match config.pointer_mut(&pointer) {
        Some(place) => *place = value,
        None => return Err(format!("the configuration has no place for `{key}`")),
    }
    // The value may be of the right kind and still mean nothing, as a word that is none of the choices.
    serde_json::from_value::<Settings>(config.clone()).map_err(|error| format!("`{key}={text}`: {error}"))?;
    Ok(())
}

fn read(text: &str, default: &Value) -> Result<Value, String> {
    match default {
        Value::Bool(_) => text.parse().map(Value::Bool).map_err(|_| "true or false".into()),
        Value::Number(number) if number.is_u64() => {
            text.parse::<u64>().map(Value::from).map_err(|_| "a whole number".into())
        }
        Value::Number(_) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::from(number)),
            _ => Err("a number".into()),
        },
        Value::Array(_) => Ok(text.split(',').map(|item| Value::from(item.trim())).collect()),
        Value::Null | Value::String(_) | Value::Object(_) => Ok(Value::from(text)),
    }
}

/// What to say of a key that does not exist.
pub fn unknown(key: &str, known: &[(String, Value)]) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let distance = |name: &str| {
        let whole = edits(key, name);
        // A right name in the wrong section, or without one, is near too.
        whole.min(edits(last, name.rsplit('.').next().unwrap_or(name)) + 1)
    };
    let nearest = known.iter().min_by_key(|(name, _)| distance(name));
    match nearest.filter(|(name, _)| distance(name) <= (key.len() / 3).max(1)) {
        Some((name, _)) => format!("there is no setting `{key}`; did you mean `{name}`?"),
        None => format!("there is no setting `{key}`; `selfreward config schema` lists them all"),
    }
}

impl Settings {
    /// A configuration with some keys changed.
    pub fn changed(config: &Value, assignments: &[String]) -> Result<Value, String> {
        let mut config = config.clone();
        for assignment in assignments {
            set(&mut config, assignment)?;
        }
        Ok(config)
    }
}

/// `90s`, `30m`, `2h` or plain seconds.
pub fn seconds(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let scale = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(format!("`{text}` is no duration; write 90s, 30m or 2h")),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number * scale),
        _ => Err(format!("`{text}` is no duration; write 90s, 30m or 2h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_answered_with_the_nearest_name() {
        let known = keys();
        for (typo, meant) in [
            ("dpo.betta", "dpo.beta"),
            ("judge.sample", "judge.samples"),
            ("beta", "dpo.beta"),
            ("candidate.n", "candidates.n"),
            ("gate.suspicius", "gate.suspicious"),
        ] {
            assert!(unknown(typo, &known).contains(&format!("`{meant}`")), "{}", unknown(typo, &known));
        }
    }

    #[test]
    fn values_must_be_of_their_kind() {
        let base = serde_json::to_value(Settings::default()).unwrap();
        for (assignment, fine) in [
            ("dpo.beta=0.2", true),
            ("dpo.beta=warm", false),
            ("run.seed=7", true),
            ("run.seed=-1", false),
            ("gate.mode=wait", true),
            ("gate.mode=sometimes", false),
            ("prompt_filter.keywords=image,map", true),
            ("data.ift=/tmp/x.jsonl", true),
            ("nonsense", false),
        ] {
            assert_eq!(Settings::changed(&base, &[assignment.into()]).is_ok(), fine, "{assignment}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, wanted) in [
            ("90s", Some(90.0)),
            ("30m", Some(1800.0)),
            ("2 h", Some(7200.0)),
            ("5", Some(5.0)),
            ("x", None),
            ("-1s", None),
        ] {
            assert_eq!(seconds(text).ok(), wanted, "{text}");
        }
    }
}
