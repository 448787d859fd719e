//! Conversations: who said what, in the forms that data sets use, made into one form that alternates.
//!
//! Used by `instructions` and `rankings`. It knows no files and no templates: how turns become the text that a model reads is the
//! business of the chat template.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Members, filled, kind, member, needed_text, plain_text, quoted, text};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One thing said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub role: Role,
    pub text: String,
}

/// A conversation in order: the user begins, then the two alternate. It may end with either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialogue {
    pub system: Option<String>,
    pub turns: Vec<Turn>,
}

/// What a model is asked: the last thing the user said, and all that came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub system: Option<String>,
    pub context: Vec<Turn>,
    pub prompt: String,
}

const HUMAN: &str = "\n\nHuman:";
const ASSISTANT: &str = "\n\nAssistant:";

/// The members that hold a conversation.
pub(super) const CONVERSATIONS: [&str; 3] = ["messages", "conversations", "conversation"];
const QUESTIONS: [&str; 2] = ["prompt", "question"];
const INPUTS: [&str; 2] = ["input", "context"];

impl Dialogue {
    /// Checks the order of turns. Nothing is merged or moved: a conversation out of order has lost something already.
    pub fn new(turns: Vec<Turn>) -> Result<Dialogue, String> {
        let mut system = None;
        let mut said: Vec<Turn> = Vec::with_capacity(turns.len());
        for (i, turn) in turns.into_iter().enumerate() {
            match (turn.role, said.last().map(|last| last.role)) {
                (Role::System, None) if system.is_none() => {
                    system = Some(turn.text).filter(|text| !text.trim().is_empty())
                }
                (Role::System, _) => {
                    return Err(format!("turn {} is a system turn, which must come first and once", i + 1));
                }
                (Role::Assistant, None) => return Err("the conversation begins with the assistant".to_string()),
                (role, Some(last)) if role == last => {
                    return Err(format!("turns {i} and {} have the same speaker", i + 1));
                }
                _ => said.push(turn),
            }
        }
        if said.is_empty() {
            return Err("the conversation has no turns".to_string());
        }
        for (i, turn) in said.iter().enumerate() {
            if turn.text.trim().is_empty() {
                return Err(format!("what is said in turn {} of the conversation is empty", i + 1));
            }
        }
        Ok(Dialogue { system, turns: said })
    }

    /// The question at the end, when the user spoke last.
    pub fn into_asked(mut self) -> Result<Asked, String> {
        match self.turns.pop() {
            Some(Turn { role: Role::User, text }) => {
                Ok(Asked { system: self.system, context: self.turns, prompt: text })
            }
            _ => {
                Err("the conversation ends with the assistant, where a question without its reply was expected"
                    .to_string())
            }
        }
    }

    /// The last question and its reply, when the assistant spoke last.
    pub fn into_answered(mut self) -> Result<(Asked, String), String> {
        match self.turns.pop() {
            Some(Turn { role: Role::Assistant, text }) => Ok((self.into_asked()?, text)),
            _ => Err("the conversation ends without a reply of the assistant".to_string()),
        }
    }
}

/// A list of `{role, content}` or `{from, value}`.
pub(super) fn turns(value: &Value, name: &str) -> Result<Vec<Turn>, String> {
    let Value::Array(items) = value else {
        return Err(format!("`{name}` is {}, where a list of turns was expected", kind(value)));
    };
    items
        .iter()
        .enumerate()
        .map(|(i, item)| turn(item).map_err(|why| format!("turn {} of `{name}` {why}", i + 1)))
        .collect()
}

/// One `{role, content}` or `{from, value}`.
pub(super) fn turn(value: &Value) -> Result<Turn, String> {
    let Value::Object(members) = value else {
        return Err(format!("is {}, where {{role, content}} or {{from, value}} was expected", kind(value)));
    };
    let Some((_, speaker)) = member(members, &["role", "from"]) else {
        return Err("does not say who speaks (`role` or `from`)".to_string());
    };
    let role = match speaker.as_str() {
        Some("user" | "human" | "prompter") => Role::User,
        Some("assistant" | "gpt" | "model" | "chatgpt" | "bot") => Role::Assistant,
        Some("system" | "developer") => Role::System,
        Some(other) => return Err(format!("is spoken by {}; only system, user and assistant are read", quoted(other))),
        None => return Err(format!("names its speaker by {}, where text was expected", kind(speaker))),
    };
    match member(members, &["content", "value"]) {
        Some((name, value)) => match plain_text(value) {
            Some(text) => Ok(Turn { role, text }),
            None => Err(format!("has a `{name}` that is {}, where text was expected", kind(value))),
        },
        None => Err("says nothing (no `content` or `value`)".to_string()),
    }
}

/// True when the text is a transcript in the form of HH-RLHF and not a text that merely mentions the markers.
pub(super) fn is_transcript(text: &str) -> bool {
    text.starts_with(HUMAN) || (text.starts_with(HUMAN.trim_start()) && text.contains(ASSISTANT))
}

/// The turns of a transcript. An assistant marker at the very end asks for the reply and is no turn.
pub(super) fn transcript(text: &str) -> Vec<Turn> {
    let text = if text.starts_with(HUMAN) { text.to_string() } else { format!("\n\n{text}") };
    let mut turns = Vec::new();
    let mut rest = text.as_str();
    while let Some((role, after)) = marker(rest) {
        let end = [HUMAN, ASSISTANT].iter().filter_map(|mark| after.find(mark)).min().unwrap_or(after.len());
        turns.push(Turn { role, text: after[..end].trim().to_string() });
        rest = &after[end..];
    }
    if turns.last().is_some_and(|last| last.role == Role::Assistant && last.text.is_empty()) {
        turns.pop();
    }
    turns
}

fn marker(text: &str) -> Option<(Role, &str)> {
    let human = text.strip_prefix(HUMAN).map(|rest| (Role::User, rest));
    human.or_else(|| text.strip_prefix(ASSISTANT).map(|rest| (Role::Assistant, rest)))
}

/// What a row asks, whatever form it has; `None` when it has no member that asks anything.
pub(super) fn asked(members: &Members) -> Result<Option<Asked>, String> {
    let asked = if let Some((name, value)) = member(members, &QUESTIONS) {
        match value {
            Value::Array(_) => Dialogue::new(turns(value, name)?)?.into_asked()?,
            Value::String(text) if is_transcript(text) => Dialogue::new(transcript(text))?.into_asked()?,
            _ => bare(needed_text(members, &QUESTIONS)?),
        }
    } else if members.contains_key("instruction") {
        Asked { context: history(members)?, ..bare(with_input(needed_text(members, &["instruction"])?, members)?) }
    } else if let Some((name, value)) = member(members, &CONVERSATIONS) {
        Dialogue::new(turns(value, name)?)?.into_asked()?
    } else {
        return Ok(None);
    };
    let system = match asked.system {
        Some(system) => Some(system),
        None => system(members)?,
    };
    Ok(Some(Asked { system, ..asked }))
}

fn bare(prompt: String) -> Asked {
    Asked { system: None, context: Vec::new(), prompt }
}

/// The system text that stands beside a conversation and not in it.
pub(super) fn system(members: &Members) -> Result<Option<String>, String> {
    Ok(text(members, &["system", "system_prompt"])?.filter(|system| !system.trim().is_empty()))
}

/// An instruction and what it is to be applied to, a blank line between them.
pub(super) fn with_input(instruction: String, members: &Members) -> Result<String, String> {
    let input = text(members, &INPUTS)?.unwrap_or_default();
    // Self-Instruct writes "<noinput>" where it means none.
    if input.trim().is_empty() || input.trim().eq_ignore_ascii_case("<noinput>") {
        return Ok(instruction);
    }
    Ok(format!("{instruction}\n\n{input}"))
}

/// Earlier turns of an alpaca row, as LLaMA-Factory writes them: `[[question, reply], …]`.
fn history(members: &Members) -> Result<Vec<Turn>, String> {
    let Some((_, value)) = member(members, &["history"]) else { return Ok(Vec::new()) };
    let wrong = || "`history` is not a list of [question, reply]".to_string();
    let mut turns = Vec::new();
    for round in value.as_array().ok_or_else(wrong)? {
        let [question, reply] = round.as_array().ok_or_else(wrong)?.as_slice() else { return Err(wrong()) };
        for (role, said) in [(Role::User, question), (Role::Assistant, reply)] {
            let text = filled(said.as_str().ok_or_else(wrong)?.to_string(), "text of a round of `history`")?;
            turns.push(Turn { role, text });
        }
    }
    Ok(turns)
}
