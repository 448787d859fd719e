//! Score files: what a judge, or a reference, said about each response to each prompt; and two of them joined.
//!
//! Used by the `metrics` command and by whoever computes agreement. It knows no metric. Files are joined by prompt id and equal
//! response text (or response id, where both files have no text), never by position: published score files have been compared row
//! by row while their rows stood in different orders, and every number that came out was wrong.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::fields::{Members, content_name, identifier, kind, member, named, plain_text, text};
use super::lines::Limits;
use super::rankings::{Mark, mark};
use super::rows::{Account, Read, each_row};

/// What one file says about one prompt's responses.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredPrompt {
    pub id: String,
    pub prompt: Option<String>,
    pub responses: Vec<ScoredResponse>,
}

/// What one file says about one response.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredResponse {
    /// The id that the file gives; the keys "0" to "3" of a `completion` are positions and no ids.
    pub id: Option<String>,
    pub text: Option<String>,
    /// Higher is better. Missing stays missing.
    pub score: Option<f64>,
    /// Lower is better. A file gives ranks or scores.
    pub rank: Option<f64>,
}

const PROMPT_IDS: [&str; 2] = ["prompt_id", "id"];
const RESPONSE_IDS: [&str; 3] = ["response_id", "completion_id", "candidate"];
const TEXTS: [&str; 4] = ["content", "text", "response", "output"];
const MISSING: &str = "responses without a score or rank";

const SHAPES: [&str; 3] = [
    "{prompt_id, prompt, completion: {\"0\": {content, score}, \"1\": …}} (a score of -1 means that the reply held none)",
    "{prompt_id, response_id, score} or rank: one row for each response; add `response` with its text to join by text",
    "{prompt_id, prompt, responses: [{text, score}, …]} or rank",
];

/// Reads a score file. A prompt's responses may stand in one row or in many.
pub fn read(path: &Path, limits: Limits) -> Result<Read<ScoredPrompt>> {
    let mut prompts: Vec<ScoredPrompt> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    let mut rows_of: HashMap<usize, HashSet<String>> = HashMap::new();
    let account = each_row(path, limits, |account, _, members| {
        let ScoredRow { prompt, whole, missing } = row(members)?;
        let key = if whole { "a whole prompt".to_string() } else { response_key(&prompt.responses) };
        let at = match by_id.get(&prompt.id) {
            None => {
                by_id.insert(prompt.id.clone(), prompts.len());
                prompts.push(ScoredPrompt { id: prompt.id, prompt: None, responses: Vec::new() });
                prompts.len() - 1
            }
            Some(&at) => at,
        };
        let Some(known) = prompts.get_mut(at) else { return Ok(()) };
        if let (Some(old), Some(new)) = (&known.prompt, &prompt.prompt)
            && old != new
        {
            return Err("has another prompt than an earlier row with the same prompt id".to_string());
        }
        let seen = rows_of.entry(at).or_default();
        if (whole && !seen.is_empty()) || seen.contains("a whole prompt") || !seen.insert(key) {
            return Err("scores again what an earlier row with the same ids has scored; one row must go".to_string());
        }
        known.prompt = known.prompt.take().or(prompt.prompt);
        known.responses.extend(prompt.responses);
        (0..missing).for_each(|_| account.note(MISSING));
        Ok(())
    })?;
    close(account, prompts)
}

/// A file in which single rows gave nothing must not leave empty prompts behind.
fn close(account: Account, mut prompts: Vec<ScoredPrompt>) -> Result<Read<ScoredPrompt>> {
    prompts.retain(|prompt| !prompt.responses.is_empty());
    account.close(prompts, "scores", &SHAPES)
}

struct ScoredRow {
    prompt: ScoredPrompt,
    /// The row holds all responses of its prompt.
    whole: bool,
    missing: usize,
}

fn response_key(responses: &[ScoredResponse]) -> String {
    match responses.first() {
        Some(ScoredResponse { id: Some(id), .. }) => format!("id {id}"),
        Some(ScoredResponse { text: Some(text), .. }) => format!("text {}", content_name(&[text])),
        _ => String::new(),
    }
}

fn row(members: &Members) -> Result<ScoredRow, String> {
    let prompt = text(members, &["prompt", "instruction"])?;
    let id = match (identifier(members, &PROMPT_IDS), &prompt) {
        (Some(id), _) => id,
        (None, Some(prompt)) => content_name(&[prompt]),
        (None, None) => return Err(format!("has no {} and no prompt to know it by", named(&PROMPT_IDS))),
    };
    let (whole, responses) = match member(members, &["completion", "completions", "responses"]) {
        Some((_, Value::Object(entries))) => {
            let of = |key: &String, why: String| format!("completion {}: {why}", super::fields::quoted(key));
            let one = |(key, entry): (&String, &Value)| keyed(entry).map_err(|why| of(key, why));
            (true, entries.iter().map(one).collect::<Result<Vec<_>, _>>()?)
        }
        Some((_, Value::Array(entries))) => {
            let one = |(i, entry)| listed(entry).map_err(|why| format!("response {}: {why}", i + 1));
            (true, entries.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?)
        }
        _ => (false, vec![single(members)?]),
    };
    if responses.is_empty() {
        return Err("has an empty list of responses".to_string());
    }
    let missing = responses.iter().filter(|response| response.score.is_none() && response.rank.is_none()).count();
    Ok(ScoredRow { prompt: ScoredPrompt { id, prompt, responses }, whole, missing })
}

/// One entry of `completion`, in which -1 stands for a reply without a score.
fn keyed(entry: &Value) -> Result<ScoredResponse, String> {
    let mut response = listed(entry)?;
    response.score = response.score.filter(|score| *score != -1.0);
    Ok(response)
}

fn listed(entry: &Value) -> Result<ScoredResponse, String> {
    let Value::Object(members) = entry else {
        return Err(format!("is {}, where an object was expected", kind(entry)));
    };
    let response = scored(members)?;
    if response.text.is_none() && response.id.is_none() {
        return Err("has no text to know it by".to_string());
    }
    Ok(response)
}

fn single(members: &Members) -> Result<ScoredResponse, String> {
    let response = scored(members)?;
    if response.text.is_none() && response.id.is_none() {
        return Err(format!("has no {} and no text of a response", named(&RESPONSE_IDS)));
    }
    Ok(response)
}

fn scored(members: &Members) -> Result<ScoredResponse, String> {
    if !["score", "overall_score", "rank"].iter().any(|name| members.contains_key(*name)) {
        return Err("has no `score` and no `rank` (write null for a reply that held none)".to_string());
    }
    let text = match member(members, &TEXTS) {
        None => None,
        Some((name, value)) => {
            Some(plain_text(value).ok_or_else(|| format!("`{name}` is {}, where text was expected", kind(value)))?)
        }
    };
    let (score, rank) = match mark(members)? {
        Mark::Score(score) => (Some(score), None),
        Mark::Rank(rank) => (None, Some(rank)),
        Mark::Missing => (None, None),
    };
    Ok(ScoredResponse { id: identifier(members, &RESPONSE_IDS), text, score, rank })
}
