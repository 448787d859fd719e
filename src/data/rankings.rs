//! Ranked data (EFT): prompts with several responses and a human order among them, in the shapes that researchers have.
//!
//! Used by the engine for the judge's training examples and for the held-out agreement. It knows no judge prompt. Ranks come out with
//! lower as better, whatever the file holds; a response without rank has none and takes no part, it never becomes a number.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Members, Names, content_name, filled, identifier, kind, member, number, plain_text};
use super::lines::Limits;
use super::long_form::{self, Groups};
use super::rows::{Account, Read, each_row};
use super::turns::{Asked, Dialogue, Role, Turn, asked, is_transcript, transcript, turn, turns};

/// A response with its place among the responses to the same prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    pub text: String,
    /// Lower is better; equal ranks are ties. A score `s` becomes rank `-s`, so ranks compare within one set only.
    pub rank: f64,
    /// An exact grade, where the file has one (member `oracle`). It is for evaluation and never decides anything.
    pub oracle: Option<f64>,
}

/// A prompt with at least two ranked responses of different text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedSet {
    pub id: String,
    pub system: Option<String>,
    /// Earlier turns, oldest first; the user begins, the assistant ends.
    pub context: Vec<Turn>,
    pub prompt: String,
    /// In the order of the file, which says nothing about the ranks.
    pub responses: Vec<Ranked>,
}

pub(super) const IDS: [&str; 4] = ["prompt_id", "id", "row_id", "uid"];
const LISTS: [&str; 2] = ["responses", "completions"];
pub(super) const TEXTS: [&str; 5] = ["text", "response", "content", "output", "completion"];
const SCORES: [&str; 2] = ["score", "overall_score"];

const SHAPES: [&str; 6] = [
    "{prompt, responses: [{text, rank}, …]} (rank 1 is best) or [{text, score}, …] (the highest is best)",
    "{prompt, responses: [text, …], ranks: […]} or scores: […]",
    "{prompt_id, prompt, response, rank} or score: one row for each response",
    "{prompt, chosen, rejected}, as text or as lists of turns",
    "{conversations: [{from, value}, …], chosen: {from, value}, rejected: {from, value}}",
    "{chosen: \"\\n\\nHuman: …\\n\\nAssistant: …\", rejected: …}",
];

/// Reads ranked sets, in the order in which the file first names their prompts.
pub fn read(path: &Path, limits: Limits) -> Result<Read<RankedSet>> {
    let mut sets: Vec<(u64, Option<String>, RankedSet)> = Vec::new();
    let mut groups = Groups::default();
    let mut account = each_row(path, limits, |account, line, members| {
        let id = identifier(members, &IDS);
        if members.contains_key("chosen") || members.contains_key("rejected") {
            let set = pair(members)?;
            sets.push((line, id, set));
        } else if let Some((name, list)) = member(members, &LISTS) {
            let asked = asked(members)?.ok_or("has responses and no prompt")?;
            let responses = listed(members, name, list)?;
            sets.push((line, id, set(asked, responses, line, account)?));
        } else if long_form::is_one(members) {
            groups.add(line, id, members)?;
        } else {
            return Err("has neither a list of `responses`, nor a `response` with `rank` or `score`, nor `chosen` and `rejected`".into());
        }
        Ok(())
    })?;
    for group in groups.into_sets() {
        match group.asked {
            None => account.refuse(group.line, "no row of this prompt id holds the text of the prompt".to_string()),
            Some(asked) => match set(asked, group.responses, group.line, &mut account) {
                Ok(set) => sets.push((group.line, group.id, set)),
                Err(why) => account.refuse(group.line, why),
            },
        }
    }
    sets.sort_by_key(|(line, ..)| *line);
    let mut names = Names::default();
    let named = |(_, id, set): (u64, Option<String>, RankedSet)| {
        let id = names.take(id.unwrap_or_else(|| content_name(&[&set.prompt])));
        RankedSet { id, ..set }
    };
    account.close(sets.into_iter().map(named).collect(), "ranked responses", &SHAPES)
}

/// What a file says about the worth of a response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mark {
    Rank(f64),
    Score(f64),
    Missing,
}

/// The mark of one response; where rank and score both stand, the rank is what a person gave.
pub(super) fn mark(members: &Members) -> Result<Mark, String> {
    if let Some((name, value)) = member(members, &["rank"])
        && let Some(rank) = number(value, name)?
    {
        return Ok(Mark::Rank(rank));
    }
    if let Some((name, value)) = member(members, &SCORES)
        && let Some(score) = number(value, name)?
    {
        return Ok(Mark::Score(score));
    }
    Ok(Mark::Missing)
}

/// A response as it stands in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Marked {
    pub text: String,
    pub mark: Mark,
    pub oracle: Option<f64>,
}

/// One response object.
pub(super) fn marked(members: &Members) -> Result<Marked, String> {
    let text = match member(members, &TEXTS) {
        None => return Err("has no `text`".to_string()),
        Some((name, value)) => {
            plain_text(value).ok_or_else(|| format!("`{name}` is {}, where text was expected", kind(value)))?
        }
    };
    let oracle = member(members, &["oracle"]).map_or(Ok(None), |(name, value)| number(value, name))?;
    Ok(Marked { text: filled(text, "response")?, mark: mark(members)?, oracle })
}

/// The responses of `{responses: […]}`, with their marks inside or in a list beside them.
fn listed(members: &Members, name: &str, list: &Value) -> Result<Vec<Marked>, String> {
    let Value::Array(items) = list else {
        return Err(format!("`{name}` is {}, where a list was expected", kind(list)));
    };
    let beside = |key: &'static str| -> Result<Option<&Vec<Value>>, String> {
        match members.get(key) {
            Some(Value::Array(marks)) if marks.len() == items.len() => Ok(Some(marks)),
            Some(Value::Array(marks)) => Err(format!(
                "`{key}` has {} entries for {} responses: which belongs to which?",
                marks.len(),
                items.len()
            )),
            _ => Ok(None),
        }
    };
    let (ranks, scores) = (beside("ranks")?, beside("scores")?);
    let mut found = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let of = |why: String| format!("response {}: {why}", i + 1);
        let mut one = match item {
            Value::Object(response) => marked(response).map_err(of)?,
            Value::String(text) => {
                Marked { text: filled(text.clone(), "response").map_err(of)?, mark: Mark::Missing, oracle: None }
            }
            other => return Err(of(format!("is {}, where text or an object was expected", kind(other)))),
        };
        let at = |marks: Option<&Vec<Value>>, what| match marks.and_then(|marks| marks.get(i)) {
            Some(value) => number(value, what).map_err(of),
            None => Ok(None),
        };
        if one.mark == Mark::Missing {
            one.mark = match (at(ranks, "ranks")?, at(scores, "scores")?) {
                (Some(rank), _) => Mark::Rank(rank),
                (None, Some(score)) => Mark::Score(score),
                (None, None) => Mark::Missing,
            };
        }
        found.push(one);
    }
    Ok(found)
}

/// Puts a set together. Responses without a mark are refused one by one; what must agree with each other is refused together.
fn set(asked: Asked, responses: Vec<Marked>, line: u64, account: &mut Account) -> Result<RankedSet, String> {
    let whole = responses.len();
    let has = |wanted: fn(&Mark) -> bool| responses.iter().any(|response| wanted(&response.mark));
    if has(|mark| matches!(mark, Mark::Rank(_))) && has(|mark| matches!(mark, Mark::Score(_))) {
        return Err("some responses have a rank and others a score, which can not be compared".to_string());
    }
    let mut unmarked = Vec::new();
    let mut kept: Vec<Ranked> = Vec::with_capacity(whole);
    for (i, Marked { text, mark, oracle }) in responses.into_iter().enumerate() {
        let rank = match mark {
            Mark::Rank(rank) => rank,
            // Adding zero turns -0.0, which some comparisons tell apart, into 0.0.
            Mark::Score(score) => -score + 0.0,
            Mark::Missing => {
                unmarked.push(i + 1);
                continue;
            }
        };
        match kept.iter().find(|other| other.text == text) {
            Some(other) if other.rank == rank => {
                account.note("responses left out because the same text stands in the set twice")
            }
            Some(_) => return Err(format!("response {} has the text of another one and a different rank", i + 1)),
            None => kept.push(Ranked { text, rank, oracle }),
        }
    }
    if kept.len() < 2 {
        let missing =
            if unmarked.is_empty() { String::new() } else { format!(" ({} without rank or score)", unmarked.len()) };
        return Err(format!(
            "has {} ranked responses of the {whole} given{missing}, where two are the least",
            kept.len()
        ));
    }
    for i in unmarked {
        account.refuse(line, format!("response {i} has no rank and no score; the others of its set are used"));
    }
    Ok(RankedSet {
        id: String::new(),
        system: asked.system,
        context: asked.context,
        prompt: asked.prompt,
        responses: kept,
    })
}

/// One side of a preference pair.
enum Side {
    /// The conversation with its last reply.
    Whole(Dialogue),
    Reply(String),
}

fn side(members: &Members, name: &'static str) -> Result<Side, String> {
    match members.get(name) {
        None | Some(Value::Null) => Err(format!("has no `{name}`")),
        Some(Value::String(text)) if is_transcript(text) => {
            Dialogue::new(transcript(text)).map(Side::Whole).map_err(|why| format!("`{name}`: {why}"))
        }
        Some(Value::String(text)) => filled(text.clone(), name).map(Side::Reply),
        Some(value @ Value::Object(_)) => {
            let turn = turn(value).map_err(|why| format!("`{name}` {why}"))?;
            if turn.role != Role::Assistant {
                return Err(format!("`{name}` is not spoken by the assistant"));
            }
            filled(turn.text, name).map(Side::Reply)
        }
        Some(value @ Value::Array(_)) => {
            let mut said = turns(value, name)?;
            if said.len() == 1 && said.first().is_some_and(|turn| turn.role == Role::Assistant) {
                return filled(said.remove(0).text, name).map(Side::Reply);
            }
            Dialogue::new(said).map(Side::Whole).map_err(|why| format!("`{name}`: {why}"))
        }
        Some(other) => Err(format!("`{name}` is {}, where text or turns were expected", kind(other))),
    }
}

fn pair(members: &Members) -> Result<RankedSet, String> {
    let (asked, chosen, rejected) = match (side(members, "chosen")?, side(members, "rejected")?) {
        (Side::Whole(chosen), Side::Whole(rejected)) => {
            let (mut asked, chosen) = chosen.into_answered().map_err(|why| format!("`chosen`: {why}"))?;
            let (other, rejected) = rejected.into_answered().map_err(|why| format!("`rejected`: {why}"))?;
            if asked != other {
                return Err(
                    "`chosen` and `rejected` differ before their last reply, so they do not answer the same prompt"
                        .to_string(),
                );
            }
            asked.system = match asked.system {
                Some(system) => Some(system),
                None => super::turns::system(members)?,
            };
            (asked, chosen, rejected)
        }
        (Side::Reply(chosen), Side::Reply(rejected)) => match asked(members)? {
            Some(asked) => (asked, chosen, rejected),
            None => return Err("has `chosen` and `rejected` and no prompt".to_string()),
        },
        _ => return Err("one of `chosen` and `rejected` is a whole conversation and the other a reply".to_string()),
    };
    // Transcripts put a space before the reply; for the comparison that is not a difference.
    if chosen.trim() == rejected.trim() {
        return Err("`chosen` and `rejected` are the same text".to_string());
    }
    let ranked = |text, rank| Ranked { text, rank, oracle: None };
    let responses = vec![ranked(chosen, 1.0), ranked(rejected, 2.0)];
    Ok(RankedSet { id: String::new(), system: asked.system, context: asked.context, prompt: asked.prompt, responses })
}
