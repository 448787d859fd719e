//! `pairs`: the preference pairs of a run with their scores, suspicion and standing; a filter selects.
//!
//! Also fetches the texts of pairs for exports, reports and filters. Changes nothing.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::arguments::PairsArgs;
use crate::cli::failure::Failure;
use crate::cli::open::{self, Opened};
use crate::cli::output::Output;
use crate::run::event::Outcome;
use crate::run::filter::{Filter, Row, sign_name};
use crate::run::ids::{PromptId, Seq};
use crate::run::lookup::Entries;
use crate::run::view::PairView;
use crate::text::table::{Cell, Table};
use crate::text::visible::{Shown, show};

/// Characters of a text in a listing.
const BEGINNING: usize = 60;

/// The texts of one pair, as the judge made it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairTexts {
    pub prompt: String,
    pub chosen: String,
    pub rejected: String,
}

pub fn pairs(root: &Path, args: &PairsArgs, output: &mut Output) -> Result<()> {
    let filter = read_filter(args.filter.as_deref().unwrap_or_default())?;
    let opened = open::open(root, &args.run, output)?;
    let selected = select(&opened, &filter)?;
    let ids: Vec<PromptId> = selected.iter().map(|(id, _)| *id).collect();
    let texts = texts_of(&opened, &ids)?;
    let none = PairTexts::default();
    if args.json {
        let pairs: Vec<Value> =
            selected.iter().map(|(id, pair)| as_json(*id, pair, texts.get(id).unwrap_or(&none))).collect();
        return output.json(json!({ "run": opened.name(), "pairs": pairs }));
    }
    if selected.is_empty() {
        return output.line("no pairs");
    }
    if args.full {
        for (id, pair) in &selected {
            whole(*id, pair, texts.get(id).unwrap_or(&none), output)?;
        }
        return Ok(());
    }
    let mut table = Table::new(["pair", "status", "susp", "margin", "scores", "ratio", "signs", "used", "prompt"]);
    for (id, pair) in &selected {
        let signs: Vec<String> = pair.signs.iter().map(|sign| sign_name(sign.kind)).collect();
        table.push([
            id.to_string().into(),
            pair.status.name().into(),
            Cell::number(pair.suspicion, 2),
            if pair.margin.is_nan() { Cell::Nothing } else { Cell::number(pair.margin, 2) },
            format!("{}>{}", points(pair.chosen_score), points(pair.rejected_score)).into(),
            Cell::number(pair.length_ratio, 2),
            signs.join(" ").into(),
            pair.used.into(),
            beginning(prompt_or_why(*id, texts.get(id).unwrap_or(&none))).into(),
        ]);
    }
    output.table(&table)
}

/// The prompt, or why it is not at hand: of the labels of a reward model those have texts that were offered.
fn prompt_or_why(id: PromptId, texts: &PairTexts) -> &str {
    if id.is_label() && texts.prompt.is_empty() { "(not offered: its text stands in the data)" } else { &texts.prompt }
}

/// A score or a margin; a pair that nobody scored (a teacher's demonstration) has none.
fn points(value: f64) -> String {
    if value.is_nan() { "-".into() } else { format!("{value:.2}") }
}

/// A filter as somebody wrote it.
pub fn read_filter(text: &str) -> Result<Filter> {
    Filter::parse(text).map_err(|fault| Failure::usage(fault.to_string()))
}

/// The pairs that a filter takes, in the order of the run.
pub fn select<'a>(opened: &'a Opened, filter: &Filter) -> Result<Vec<(PromptId, &'a PairView)>> {
    let all = || opened.view.rounds.iter().flat_map(|round| round.pairs());
    let texts = match filter.wants_texts() {
        true => texts_of(opened, &all().map(|(id, _)| id).collect::<Vec<_>>())?,
        false => HashMap::new(),
    };
    let takes = |(id, _): &(PromptId, &PairView)| {
        let holds = |wanted: &str| {
            let texts = texts.get(id).map_or([""; 3], |texts| [&texts.prompt, &texts.chosen, &texts.rejected]);
            texts.iter().any(|text| text.to_lowercase().contains(wanted))
        };
        Row::of(&opened.view, *id).is_some_and(|row| filter.admits(row, holds))
    };
    Ok(all().filter(takes).collect())
}

/// The texts of these pairs, in one reading of the journal.
pub fn texts_of(opened: &Opened, ids: &[PromptId]) -> Result<HashMap<PromptId, PairTexts>> {
    let mut places: HashMap<PromptId, [Seq; 3]> = HashMap::new();
    for &id in ids {
        let Some(prompt) = opened.view.round(id.iteration).and_then(|round| round.prompts.get(id.number as usize))
        else {
            continue;
        };
        let Some(pair) = opened.view.pair(id) else { continue };
        let candidate = |number: u32| prompt.candidates.get(number as usize).map_or(0, |candidate| candidate.seq);
        places.insert(id, [prompt.seq, candidate(pair.chosen), candidate(pair.rejected)]);
    }
    let wanted: HashSet<Seq> = places.values().flatten().copied().collect();
    let mut entries = opened.entries(&wanted)?;
    let mut text = |seq: Seq| entries.text(seq).unwrap_or_default();
    Ok(places
        .into_iter()
        .map(|(id, [prompt, chosen, rejected])| {
            (id, PairTexts { prompt: text(prompt), chosen: text(chosen), rejected: text(rejected) })
        })
        .collect())
}

/// How a pair will be or was used: chosen and rejected candidate, or dropped.
pub fn outcome_json(pair: &PairView) -> Value {
    match pair.outcome {
        Outcome::Undecided => json!("undecided"),
        Outcome::Drop => json!("drop"),
        Outcome::Use { chosen, rejected } => json!({ "chosen": chosen, "rejected": rejected }),
    }
}

fn as_json(id: PromptId, pair: &PairView, texts: &PairTexts) -> Value {
    let signs: Vec<Value> =
        pair.signs.iter().map(|sign| json!({ "sign": sign_name(sign.kind), "amount": sign.amount })).collect();
    json!({
        "pair": id,
        "iteration": id.iteration,
        "label": id.is_label(),
        "status": pair.status.name(),
        "outcome": outcome_json(pair),
        "used": pair.used,
        "suspicion": pair.suspicion,
        "signs": signs,
        "margin": pair.margin,
        "chosen_score": pair.chosen_score,
        "rejected_score": pair.rejected_score,
        "probability": pair.probability(id),
        "length_ratio": pair.length_ratio,
        "chosen_candidate": pair.chosen,
        "rejected_candidate": pair.rejected,
        "flagged": pair.flagged,
        "notes": pair.notes,
        "decisions": pair.history,
        "seq": pair.seq,
        "prompt": texts.prompt,
        "chosen": texts.chosen,
        "rejected": texts.rejected,
    })
}

fn whole(id: PromptId, pair: &PairView, texts: &PairTexts, output: &mut Output) -> Result<()> {
    let signs: Vec<String> =
        pair.signs.iter().map(|sign| format!("{} {:.2}", sign_name(sign.kind), sign.amount)).collect();
    let what = if id.is_label() { "label" } else { "pair" };
    output.line(&format!(
        "{what} {id}  {}  suspicion {:.2} ({})  margin {}",
        pair.status.name(),
        pair.suspicion,
        signs.join(", "),
        points(pair.margin)
    ))?;
    output.line(&format!("prompt:\n{}", prompt_or_why(id, texts)))?;
    output.line(&format!(
        "chosen (candidate {}, score {}):\n{}",
        pair.chosen,
        points(pair.chosen_score),
        texts.chosen
    ))?;
    output.line(&format!(
        "rejected (candidate {}, score {}):\n{}\n",
        pair.rejected,
        points(pair.rejected_score),
        texts.rejected
    ))
}

/// The beginning of a text, on one line, with what was cut counted.
pub fn beginning(text: &str) -> String {
    let line = text.replace('\n', " ");
    show(&line, Shown { longest_line: BEGINNING, ..Shown::WHOLE }).text.into_owned()
}
