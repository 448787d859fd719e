//! Members of a JSON object as text, numbers and names, with a reason when they are something else.
//!
//! Used by every reader of this folder. It knows no shape of rows. Reasons quote what the file says only in escaped, shortened form,
//! because the file is foreign and the reason will stand on a terminal.

use std::collections::HashMap;

use serde_json::{Map, Value};

pub type Members = Map<String, Value>;

/// A JSON value's kind, as a reader of an error would call it.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Foreign text, short and without anything that a terminal would obey.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    let shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("\"{shown}{more}\"")
}

/// The first of these members that is there and not null.
pub fn member<'a>(members: &'a Members, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
    names.iter().find_map(|name| match members.get(*name) {
        None | Some(Value::Null) => None,
        Some(value) => Some((*name, value)),
    })
}

/// Text as it stands, or the text parts of a message joined.
pub fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) if !parts.is_empty() => {
            parts.iter().map(|part| part.get("text").and_then(Value::as_str)).collect::<Option<String>>()
        }
        _ => None,
    }
}

/// The text of the first of these members, if one is there.
pub fn text(members: &Members, names: &[&'static str]) -> Result<Option<String>, String> {
    match member(members, names) {
        None => Ok(None),
        Some((name, value)) => match plain_text(value) {
            Some(text) => Ok(Some(text)),
            None => Err(format!("`{name}` is {}, where text was expected", kind(value))),
        },
    }
}

/// Text that must be there and must hold more than white space.
pub fn needed_text(members: &Members, names: &[&'static str]) -> Result<String, String> {
    let Some(text) = text(members, names)? else {
        return Err(format!("has no {}", named(names)));
    };
    filled(text, names.first().copied().unwrap_or("text"))
}

/// Refuses text that is empty or white space only.
pub fn filled(text: String, what: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err(format!("the {what} is empty")) } else { Ok(text) }
}

/// A list of member names as prose.
pub fn named(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// A number that was written, if one was: null, absent and the text "NaN" are all "not there", everything else is a fault.
pub fn number(value: &Value, what: &str) -> Result<Option<f64>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64().filter(|n| n.is_finite())),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => Ok(Some(number).filter(|n| n.is_finite())),
            Err(_) => Err(format!("`{what}` is {}, which is not a number", quoted(text))),
        },
        other => Err(format!("`{what}` is {}, where a number was expected", kind(other))),
    }
}

/// A name that the file gives, as text or number. Names that a screen or a file name could not carry are as good as none.
pub fn identifier(members: &Members, names: &[&'static str]) -> Option<String> {
    match member(members, names)?.1 {
        Value::String(name) => Some(name.clone()).filter(|name| is_plain_name(name)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_plain_name(name: &str) -> bool {
    const LONGEST: usize = 200;
    let plain = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().eq([c]);
    !name.trim().is_empty() && name.len() <= LONGEST && name.chars().all(plain)
}

/// A name for a row that has none, made of its content: the same in every file and on every machine.
pub fn content_name(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hex = hasher.finalize().to_hex();
    hex.as_str().chars().take(16).collect()
}

/// Keeps names apart within one file: the second row that is called `x` becomes `x#2`, so that no row is lost.
#[derive(Default)]
pub struct Names {
    /// Each name that was given out, with the number that was last put behind it.
    taken: HashMap<String, u64>,
}

impl Names {
    pub fn take(&mut self, name: String) -> String {
        let Some(&last) = self.taken.get(&name) else {
            self.taken.insert(name.clone(), 1);
            return name;
        };
        let mut n = last + 1;
        let mut unique = format!("{name}#{n}");
        while self.taken.contains_key(&unique) {
            n += 1;
            unique = format!("{name}#{n}");
        }
        self.taken.insert(name, n);
        self.taken.insert(unique.clone(), 1);
        unique
    }
}
