//! A run as tables: prompts, candidates, judgements, decisions, evaluations, alarms, pairs; steps are in `steps`.
//!
//! Used by `export` and the report. What a rollback undid is in no table; what was only noted (decisions, alarms) stays.

use anyhow::Result;
use serde_json::Value;

use crate::cli::open::Opened;
use crate::cli::pairs::{PairTexts, texts_of};
use crate::run::event::{Decision, Event, Outcome};
use crate::run::filter::sign_name;
use crate::run::ids::{Model, PromptId};
use crate::run::number::Num;
use crate::run::reasons::{Ended, Scored};
use crate::run::view::PairView;
use crate::text::table::{Cell, Table};

/// Rows that a rollback may take away again, each with its iteration.
struct Rows {
    rows: Vec<(u32, Vec<Cell>)>,
}

impl Rows {
    /// Reads the journal once; `row` says which iteration an event belongs to and what it tells.
    fn of(run: &Opened, mut row: impl FnMut(&Event) -> Option<(u32, Vec<Cell>)>) -> Result<Rows> {
        let mut rows = Vec::new();
        run.each(|entry| {
            if let Event::RolledBack(back) = &entry.event
                && let Model::M(kept) = back.to
            {
                rows.retain(|(iteration, _): &(u32, Vec<Cell>)| *iteration < kept);
            }
            rows.extend(row(&entry.event));
        })?;
        Ok(Rows { rows })
    }

    fn table(self, columns: &[&str]) -> Table {
        let mut table = Table::new(columns.iter().copied());
        self.rows.into_iter().for_each(|(_, row)| table.push(row));
        table
    }
}

pub(super) fn exact(value: f64) -> Cell {
    Cell::number(value, 6)
}

/// A share or a mean for people; nothing where there is none.
pub(super) fn share(value: Option<f64>) -> Cell {
    value.map(|value| Cell::number(value, 3)).into()
}

/// A figure with the number of prompts that it comes from.
pub(super) fn counted(value: Option<f64>, n: u32) -> Cell {
    value.map(|value| format!("{value:.3} (n {n})")).into()
}

pub(super) fn count(value: u32) -> Cell {
    u64::from(value).into()
}

pub(super) fn num(value: Num) -> Cell {
    exact(value.0)
}

/// Accepted and refused prompts.
pub fn prompts(run: &Opened) -> Result<Table> {
    let rows = Rows::of(run, |event| match event {
        Event::PromptWritten(prompt) => Some((
            prompt.id.iteration,
            vec![
                count(prompt.id.iteration),
                prompt.id.to_string().into(),
                true.into(),
                Cell::Nothing,
                prompt.text.as_str().into(),
                prompt.writer.to_string().into(),
                prompt.attempt.into(),
                exact(prompt.likeness),
                prompt.nll.map(exact).into(),
            ],
        )),
        Event::PromptRefused(prompt) => Some((
            prompt.iteration,
            vec![
                count(prompt.iteration),
                Cell::Nothing,
                false.into(),
                prompt.why.name().into(),
                prompt.text.as_str().into(),
                Cell::Nothing,
                prompt.attempt.into(),
            ],
        )),
        _ => None,
    })?;
    Ok(rows.table(&["iteration", "prompt_id", "accepted", "why", "text", "writer", "attempt", "likeness", "nll"]))
}

pub fn candidates(run: &Opened) -> Result<Table> {
    let rows = Rows::of(run, |event| match event {
        Event::CandidateSampled(one) => Some((
            one.prompt.iteration,
            vec![
                count(one.prompt.iteration),
                one.prompt.to_string().into(),
                count(one.candidate),
                one.text.as_str().into(),
                ended(one.ended).into(),
                count(one.tokens),
                one.logprob_per_token.map(exact).into(),
            ],
        )),
        _ => None,
    })?;
    Ok(rows.table(&["iteration", "prompt_id", "candidate", "text", "ended", "tokens", "logprob_per_token"]))
}

fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Eos => "eos",
        Ended::Stop => "stop",
        Ended::Length => "length",
    }
}

/// Judgements of candidates, and of human-ranked responses (by their place in their set).
pub fn judgements(run: &Opened) -> Result<Table> {
    let score = |score: &Scored| match score {
        Ok(score) => [exact(*score), Cell::Nothing],
        Err(why) => [Cell::Nothing, why.name().into()],
    };
    let rows = Rows::of(run, |event| match event {
        Event::CandidateJudged(one) => {
            let [value, why] = score(&one.score);
            let iteration = one.prompt.iteration;
            let of = one.prompt.to_string();
            Some((
                iteration,
                vec![
                    count(iteration),
                    "candidate".into(),
                    Cell::Nothing,
                    of.into(),
                    count(one.candidate),
                    count(one.sample),
                    value,
                    why,
                    one.reply.as_str().into(),
                    one.truncated.into(),
                    one.contradicts.into(),
                ],
            ))
        }
        Event::EftJudged(one) => {
            let [value, why] = score(&one.score);
            Some((
                one.iteration,
                vec![
                    count(one.iteration),
                    if one.held_out { "held_out" } else { "eft" }.into(),
                    one.model.to_string().into(),
                    one.set.to_string().into(),
                    count(one.response),
                    count(one.sample),
                    value,
                    why,
                    one.reply.as_str().into(),
                    one.truncated.into(),
                ],
            ))
        }
        _ => None,
    })?;
    Ok(rows.table(&[
        "iteration",
        "of",
        "model",
        "prompt_id",
        "response",
        "sample",
        "score",
        "why",
        "reply",
        "truncated",
        "contradicts",
    ]))
}

/// A row for each pair that a decision was about, undone decisions included.
pub fn decisions(run: &Opened) -> Result<Table> {
    let mut table = Table::new([
        "seq",
        "at",
        "by",
        "decision",
        "pair",
        "outcome",
        "chosen",
        "rejected",
        "candidate",
        "score",
        "of",
        "reason",
        "note",
        "took_ms",
        "blind",
        "filter",
        "undone",
    ]);
    run.each(|entry| {
        let Event::PairDecided(event) = &entry.event else { return };
        let undone = run.view.decision(entry.seq).map(|decision| decision.undone);
        let (name, candidate, score, of) = match event.decision {
            Decision::Keep => ("keep", None, None, None),
            Decision::Veto => ("veto", None, None, None),
            Decision::Swap => ("swap", None, None, None),
            Decision::Tie => ("tie", None, None, None),
            Decision::Defer => ("defer", None, None, None),
            Decision::Flag => ("flag", None, None, None),
            Decision::Edit { candidate, score } => ("edit", Some(candidate), Some(score), None),
            Decision::Undo { of } => ("undo", None, None, Some(of)),
            Decision::Redo { of } => ("redo", None, None, Some(of)),
        };
        let reason = serde_json::to_value(event.reason).ok();
        let reason = reason.as_ref().and_then(Value::as_str);
        for decided in &event.pairs {
            let (outcome, chosen, rejected) = outcome(decided.outcome);
            table.push([
                entry.seq.into(),
                entry.at.to_string().into(),
                event.by.as_str().into(),
                name.into(),
                decided.pair.to_string().into(),
                outcome.into(),
                chosen.map(count).into(),
                rejected.map(count).into(),
                candidate.map(count).into(),
                score.map(exact).into(),
                of.into(),
                reason.into(),
                event.note.clone().into(),
                event.took_ms.into(),
                event.blind.into(),
                event.filter.clone().into(),
                undone.into(),
            ]);
        }
    })?;
    Ok(table)
}

fn outcome(outcome: Outcome) -> (&'static str, Option<u32>, Option<u32>) {
    match outcome {
        Outcome::Undecided => ("undecided", None, None),
        Outcome::Drop => ("drop", None, None),
        Outcome::Use { chosen, rejected } => ("use", Some(chosen), Some(rejected)),
    }
}

/// Every measure of every model: one row a measure, so that no column is missing where a model has none.
pub fn evaluations(run: &Opened) -> Result<Table> {
    let mut table = Table::new(["model", "iteration", "measure", "value"]);
    for model in &run.view.models {
        let Some((_, evaluated)) = &model.evaluated else { continue };
        let mut measures = Vec::new();
        flatten("", &serde_json::to_value(evaluated.as_ref())?, &mut measures);
        for (measure, value) in measures.into_iter().filter(|(name, _)| name != "model" && name != "iteration") {
            table.push([model.model.to_string().into(), count(evaluated.iteration), measure.into(), value]);
        }
    }
    Ok(table)
}

fn flatten(prefix: &str, value: &Value, into: &mut Vec<(String, Cell)>) {
    let below = |name: &str| if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| flatten(&below(name), value, into)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| flatten(&below(&at.to_string()), value, into));
        }
        Value::Null => into.push((prefix.to_string(), Cell::Nothing)),
        Value::Bool(flag) => into.push((prefix.to_string(), (*flag).into())),
        Value::String(text) => into.push((prefix.to_string(), text.as_str().into())),
        Value::Number(number) => {
            let cell = number.as_u64().map_or_else(|| exact(number.as_f64().unwrap_or(f64::NAN)), Cell::from);
            into.push((prefix.to_string(), cell));
        }
    }
}

pub fn alarms(run: &Opened) -> Table {
    let mut table = Table::new([
        "seq",
        "at",
        "alarm",
        "level",
        "iteration",
        "value",
        "threshold",
        "window",
        "says",
        "advice",
        "evidence",
        "stands",
        "acknowledged",
    ]);
    for (seq, at, alarm) in &run.view.alarm_log {
        let standing = run.view.alarms.get(&alarm.id).filter(|standing| standing.seq == *seq);
        table.push([
            (*seq).into(),
            at.to_string().into(),
            alarm.id.as_str().into(),
            alarm.level.name().into(),
            count(alarm.iteration),
            num(alarm.value),
            num(alarm.threshold),
            alarm.window.as_str().into(),
            alarm.says.as_str().into(),
            alarm.advice.as_str().into(),
            alarm.evidence.join(" ").into(),
            standing.is_some().into(),
            standing.and_then(|standing| standing.acknowledged.clone()).into(),
        ]);
    }
    table
}

/// Every pair as the judge made it, with how humans left it and whether it was used.
pub fn pairs(run: &Opened) -> Result<Table> {
    let all: Vec<(PromptId, &PairView)> = run.view.written().flat_map(|round| round.pairs()).collect();
    let texts = texts_of(run, &all.iter().map(|(id, _)| *id).collect::<Vec<_>>())?;
    let none = PairTexts::default();
    let mut table = Table::new([
        "pair",
        "iteration",
        "prompt",
        "chosen",
        "rejected",
        "chosen_candidate",
        "rejected_candidate",
        "score_chosen",
        "score_rejected",
        "margin",
        "length_ratio",
        "suspicion",
        "signs",
        "status",
        "outcome",
        "used",
        "flagged",
        "notes",
    ]);
    for (id, pair) in all {
        let texts = texts.get(&id).unwrap_or(&none);
        let signs: Vec<String> =
            pair.signs.iter().map(|sign| format!("{}={:.3}", sign_name(sign.kind), sign.amount)).collect();
        table.push([
            id.to_string().into(),
            count(id.iteration),
            texts.prompt.as_str().into(),
            texts.chosen.as_str().into(),
            texts.rejected.as_str().into(),
            count(pair.chosen),
            count(pair.rejected),
            exact(pair.chosen_score),
            exact(pair.rejected_score),
            exact(pair.margin),
            exact(pair.length_ratio),
            exact(pair.suspicion),
            signs.join(" ").into(),
            pair.status.name().into(),
            outcome(pair.outcome).0.into(),
            pair.used.into(),
            pair.flagged.into(),
            count(pair.notes),
        ]);
    }
    Ok(table)
}
