//! Lines to JSON objects, and the account of those that did not fit.
//!
//! Used by `instructions`, `rankings` and `scores`, which say what a row means; the account (`Read`) goes on to the caller, who shows
//! it. It knows no shape of rows. Rows are refused one by one with their place; a file of which nothing is left is an error that says
//! what was expected and what was there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde_json::Value;

use super::array::Elements;
use super::fields::{Members, kind, quoted};
use super::lines::{Limits, Line, Lines, open};

/// How many refused rows are kept with their reason; all are counted.
pub const EXAMPLES: usize = 20;
/// How many names of members are remembered for the error message.
const KEYS: usize = 24;

/// A row that could not be used: where it stands and why, with what to do when that is not plain from the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub file: PathBuf,
    pub line: u64,
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.why)
    }
}

/// What a file gave.
#[derive(Clone, Debug)]
pub struct Read<T> {
    pub file: PathBuf,
    pub rows: Vec<T>,
    /// How many rows the file holds, used or refused.
    pub seen: usize,
    /// How many refusals there were: rows, or single responses of a row whose others were used.
    pub refused_count: usize,
    /// The first refusals, at most `EXAMPLES`.
    pub refused: Vec<Refused>,
    /// What was done that a reader of the file may want to know, each with how often ("later turns left out").
    pub noted: BTreeMap<&'static str, usize>,
}

/// The account while a file is being read.
pub(super) struct Account {
    file: PathBuf,
    seen: usize,
    refused_count: usize,
    refused: Vec<Refused>,
    noted: BTreeMap<&'static str, usize>,
    keys: BTreeMap<String, usize>,
}

impl Account {
    pub fn refuse(&mut self, line: u64, why: String) {
        self.refused_count += 1;
        if self.refused.len() < EXAMPLES {
            self.refused.push(Refused { file: self.file.clone(), line, why });
        }
    }

    pub fn note(&mut self, what: &'static str) {
        *self.noted.entry(what).or_default() += 1;
    }

    fn remember_keys(&mut self, members: &Members) {
        for key in members.keys() {
            if let Some(count) = self.keys.get_mut(key) {
                *count += 1;
            } else if self.keys.len() < KEYS {
                self.keys.insert(key.clone(), 1);
            }
        }
    }

    /// Closes the account. `expected` says what the caller wanted ("instructions") and `shapes` which rows it takes.
    pub fn close<T>(self, rows: Vec<T>, expected: &str, shapes: &[&str]) -> Result<Read<T>> {
        if rows.is_empty() {
            bail!("{}", self.nothing_left(expected, shapes));
        }
        Ok(Read {
            file: self.file,
            rows,
            seen: self.seen,
            refused_count: self.refused_count,
            refused: self.refused,
            noted: self.noted,
        })
    }

    fn nothing_left(&self, expected: &str, shapes: &[&str]) -> String {
        let file = self.file.display();
        let mut message = match self.seen {
            0 => format!("{file}: holds no rows, where {expected} were expected"),
            1 => format!("{file}: its one row could not be read as {expected}"),
            n => format!("{file}: none of its {n} rows could be read as {expected}"),
        };
        for refused in self.refused.iter().take(3) {
            message.push_str(&format!("\n  {refused}"));
        }
        if !self.keys.is_empty() {
            let keys: Vec<String> = self.keys.keys().map(|key| quoted(key)).collect();
            message.push_str(&format!("\n  its rows have the members {}", keys.join(", ")));
        }
        message.push_str("\n  one JSON object a line, or one array of them (plain, gzip or zstd), is accepted as");
        for shape in shapes {
            message.push_str(&format!("\n    {shape}"));
        }
        message
    }
}

/// Reads every row of a file and hands each object to `take`, which answers with the reason when it can not use it.
pub(super) fn each_row(
    path: &Path,
    limits: Limits,
    mut take: impl FnMut(&mut Account, u64, &Members) -> Result<(), String>,
) -> Result<Account> {
    let opened = open(path, limits)?;
    let mut account = Account {
        file: path.to_path_buf(),
        seen: 0,
        refused_count: 0,
        refused: Vec::new(),
        noted: BTreeMap::new(),
        keys: BTreeMap::new(),
    };
    let mut source =
        if opened.is_array { Source::Array(Elements::new(opened)) } else { Source::Lines(Lines::new(opened)) };
    while let Some(Line { number, text }) = source.next_line()? {
        account.seen += 1;
        if account.seen > limits.rows {
            bail!(
                "{}:{number}: the file has more than {} rows, which are too many to keep in memory; give a part of it",
                path.display(),
                limits.rows
            );
        }
        let outcome = text.and_then(|text| object(&text)).and_then(|members| {
            account.remember_keys(&members);
            take(&mut account, number, &members)
        });
        if let Err(why) = outcome {
            account.refuse(number, why);
        }
    }
    Ok(account)
}

enum Source {
    Lines(Lines),
    Array(Elements),
}

impl Source {
    fn next_line(&mut self) -> Result<Option<Line>> {
        match self {
            Source::Lines(lines) => lines.next_line(),
            Source::Array(elements) => elements.next_line(),
        }
    }
}

fn object(text: &str) -> Result<Members, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => Err(format!("is {}, where an object was expected", kind(&other))),
        Err(error) => Err(not_json(text, &error)),
    }
}

/// The parser's complaint with the habit that most often stands behind it.
fn not_json(text: &str, error: &serde_json::Error) -> String {
    let start = text.trim_start();
    let hint = if start == "{" || (start.starts_with('{') && error.is_eof()) {
        "; the object does not end on this line: write one object a line, or one array of objects"
    } else if start.starts_with("{'") {
        "; this looks like a Python dict: write it with json.dumps"
    } else if text.contains("NaN") || text.contains("Infinity") {
        "; JSON has no NaN and no Infinity: write null"
    } else if text.contains('\0') {
        "; the line holds NUL bytes: the file may not have been written to its end"
    } else {
        ""
    };
    let column = error.column();
    let what = error.to_string();
    let what = what.rfind(" at line ").map_or(what.as_str(), |at| &what[..at]);
    format!("is not JSON ({what}, column {column}){hint}")
}
