//! Instruction data (IFT) in the shapes that researchers have, and files of prompts alone.
//!
//! Used by the engine for the seed instructions and the held-out prompts. It knows no templates: an instruction stays in parts (system
//! text, earlier turns, prompt, response) until the chat template of a model puts them together.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Members, Names, content_name, filled, identifier, kind, member, needed_text, plain_text};
use super::lines::Limits;
use super::rows::{Account, Read, each_row};
use super::turns::{Asked, CONVERSATIONS, Dialogue, Role, Turn, asked, system, turn, turns, with_input};

/// Which part of a conversation of several rounds is the example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// The first question and its reply, as the paper takes Open Assistant. Later rounds are left out and counted.
    #[default]
    FirstRound,
    /// The last question that was answered; earlier rounds become context.
    LastRound,
}

/// A prompt with the response to learn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    pub id: String,
    pub system: Option<String>,
    /// Earlier turns, oldest first; the user begins, the assistant ends.
    pub context: Vec<Turn>,
    pub prompt: String,
    pub response: String,
}

/// A prompt alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    pub id: String,
    pub system: Option<String>,
    /// Earlier turns, oldest first; the user begins, the assistant ends.
    pub context: Vec<Turn>,
    pub prompt: String,
}

const RESPONSES: [&str; 4] = ["response", "completion", "output", "answer"];
const IDS: [&str; 4] = ["prompt_id", "id", "row_id", "uid"];
const LATER_TURNS: &str = "conversations of which later turns were left out";

const SHAPES: [&str; 5] = [
    "{prompt, response}",
    "{messages: [{role, content}, …]}",
    "{conversations: [{from, value}, …]}",
    "{instruction, input, output}",
    "{instruction, instances: [{input, output}, …]}",
];
const PROMPT_SHAPES: [&str; 3] =
    ["{prompt}", "{instruction} or {instruction, input}", "any shape of instructions, of which the prompt is used"];

/// Reads instructions. Every row that is refused is counted, the first ones with their place and reason.
pub fn read(path: &Path, take: Take, limits: Limits) -> Result<Read<Instruction>> {
    let mut rows = Vec::new();
    let mut names = Names::default();
    let account = each_row(path, limits, |account, _, members| {
        let id = identifier(members, &IDS);
        for (asked, response) in answered(members, take, account)? {
            let id = id.clone().unwrap_or_else(|| content_name(&[&asked.prompt, &response]));
            let Asked { system, context, prompt } = asked;
            rows.push(Instruction { id: names.take(id), system, context, prompt, response });
        }
        Ok(())
    })?;
    account.close(rows, "instructions", &SHAPES)
}

/// Reads prompts; a response that stands beside one is not used.
pub fn read_prompts(path: &Path, take: Take, limits: Limits) -> Result<Read<Prompt>> {
    let mut rows = Vec::new();
    let mut names = Names::default();
    let account = each_row(path, limits, |account, _, members| {
        let id = identifier(members, &IDS);
        for Asked { system, context, prompt } in questions(members, take, account)? {
            let id = id.clone().unwrap_or_else(|| content_name(&[&prompt]));
            rows.push(Prompt { id: names.take(id), system, context, prompt });
        }
        Ok(())
    })?;
    account.close(rows, "prompts", &PROMPT_SHAPES)
}

/// What a row teaches: one example, or one for each instance of a Self-Instruct task.
fn answered(members: &Members, take: Take, account: &mut Account) -> Result<Vec<(Asked, String)>, String> {
    if let Some((name, value)) = member(members, &CONVERSATIONS).filter(|_| !members.contains_key("chosen")) {
        let mut dialogue = Dialogue::new(turns(value, name)?)?;
        dialogue.system = dialogue.system.or(system(members)?);
        return Ok(vec![round(dialogue, take, account)?.into_answered()?]);
    }
    if let Some((_, instances)) = member(members, &["instances"]) {
        return seed_task(members, instances);
    }
    let reply = reply(members)?;
    match (asked(members)?, reply) {
        (Some(asked), Some(reply)) => Ok(vec![(asked, reply)]),
        (Some(_), None) if members.contains_key("chosen") => {
            Err("is a preference pair; give it as ranked data (EFT), or write its `chosen` as `response`".to_string())
        }
        (Some(_), None) => Err("has a prompt and no response (`response` or `output`)".to_string()),
        (None, Some(_)) => Err("has a response and no prompt (`prompt` or `instruction`)".to_string()),
        (None, None) => Err("has no member that is known as a prompt, an instruction or a conversation".to_string()),
    }
}

fn questions(members: &Members, take: Take, account: &mut Account) -> Result<Vec<Asked>, String> {
    if let Some((name, value)) = member(members, &CONVERSATIONS) {
        let mut dialogue = Dialogue::new(turns(value, name)?)?;
        dialogue.system = dialogue.system.or(system(members)?);
        if dialogue.turns.last().is_some_and(|last| last.role == Role::User) {
            return Ok(vec![dialogue.into_asked()?]);
        }
        return Ok(vec![round(dialogue, take, account)?.into_answered()?.0]);
    }
    if let Some((_, instances)) = member(members, &["instances"]) {
        return Ok(seed_task(members, instances)?.into_iter().map(|(asked, _)| asked).collect());
    }
    match asked(members)? {
        Some(asked) => Ok(vec![asked]),
        None => Err("has no `prompt` and no `instruction`".to_string()),
    }
}

/// The reply to learn: text, or a list that holds the assistant's one turn.
fn reply(members: &Members) -> Result<Option<String>, String> {
    let Some((name, value)) = member(members, &RESPONSES) else { return Ok(None) };
    let text = match value {
        Value::Array(items) if items.iter().any(|item| item.get("role").is_some() || item.get("from").is_some()) => {
            let [only] = items.as_slice() else {
                return Err(format!(
                    "`{name}` has {} turns, where the assistant's one reply was expected",
                    items.len()
                ));
            };
            turn(only).map_err(|why| format!("the turn of `{name}` {why}"))?.text
        }
        other => plain_text(other).ok_or_else(|| format!("`{name}` is {}, where text was expected", kind(other)))?,
    };
    filled(text, "response").map(Some)
}

/// The part of a conversation that is the example.
fn round(mut dialogue: Dialogue, take: Take, account: &mut Account) -> Result<Dialogue, String> {
    if dialogue.turns.len() < 2 {
        return Err("the conversation has a question and no reply".to_string());
    }
    let whole = dialogue.turns.len();
    match take {
        Take::FirstRound => dialogue.turns.truncate(2),
        // A question at the end that nobody answered teaches nothing.
        Take::LastRound => dialogue.turns.truncate(whole - whole % 2),
    }
    if dialogue.turns.len() < whole {
        account.note(LATER_TURNS);
    }
    Ok(dialogue)
}

fn seed_task(members: &Members, instances: &Value) -> Result<Vec<(Asked, String)>, String> {
    let instruction = needed_text(members, &["instruction"])?;
    let Value::Array(instances) = instances else {
        return Err(format!("`instances` is {}, where a list was expected", kind(instances)));
    };
    if instances.is_empty() {
        return Err("`instances` is empty: the task has no response".to_string());
    }
    let mut found = Vec::with_capacity(instances.len());
    for (i, instance) in instances.iter().enumerate() {
        let of = |why: String| format!("instance {}: {why}", i + 1);
        let Value::Object(instance) = instance else {
            return Err(of(format!("is {}, where {{input, output}} was expected", kind(instance))));
        };
        let response = reply(instance).map_err(of)?.ok_or_else(|| of("has no `output`".to_string()))?;
        let prompt = with_input(instruction.clone(), instance).map_err(of)?;
        found.push((Asked { system: None, context: Vec::new(), prompt }, response));
    }
    Ok(found)
}
