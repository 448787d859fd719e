//! `what-if`: the pairs of a run counted again by another rule, without a model. Also what a replay's `W` asks.
//!
//! Reads the journal once and changes nothing; the counting is `recipe::recount`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cli::arguments::WhatIfArgs;
use crate::cli::failure::Failure;
use crate::cli::open;
use crate::cli::output::Output;
use crate::engine::settings::Settings;
use crate::recipe::recount::{Answer, Change, Parser, Rule, TieRule, compare};
use crate::run::event::Event;
use crate::run::ids::{Model, Seq};
use crate::run::journal::{Found, Tail};
use crate::text::nearest::did_you_mean;

/// What can be asked: each word with a value as an example, and what it means.
pub const WORDS: [(&str, &str); 8] = [
    ("margin=1", "mean scores must differ by this much"),
    ("rho=0.3", "length control: the shortest of the best against the longest of the worst"),
    ("likeness=0.9", "answers that are more alike than this (ROUGE-L) make no pair"),
    ("truncated=keep", "keep or skip answers that were cut off"),
    ("cut=0.2", "drop this share of the pairs, those that the policy finds least likely"),
    ("parsed=1", "judgements that must hold a score for a candidate to have one"),
    ("tie=shorter", "skip, shorter or likelier: what becomes of equal scores"),
    ("parser=first", "recorded, ours or first: how a score is read from a reply"),
];

pub fn what_if(root: &Path, args: &WhatIfArgs, output: &mut Output) -> Result<()> {
    let folder = open::find(root, &args.run)?;
    let changes = recount(folder.path(), Seq::MAX, &args.rule.join(" ")).map_err(|error| match error {
        Mistake::Words(why) => Failure::usage(why),
        Mistake::Reading(error) => error,
    })?;
    if args.json {
        let iterations: Vec<Value> = changes.iter().map(as_json).collect();
        return output.json(json!({ "run": folder.name(), "rule": args.rule, "iterations": iterations }));
    }
    lines(&changes).iter().try_for_each(|line| output.line(line))
}

/// What a replay shows: the run up to this entry, counted again.
pub fn in_words(folder: &Path, upto: Seq, words: &str) -> Result<Vec<String>, String> {
    match recount(folder, upto, words) {
        Ok(changes) => Ok(lines(&changes)),
        Err(Mistake::Words(why)) => Err(why),
        Err(Mistake::Reading(error)) => Err(format!("{error:#}")),
    }
}

enum Mistake {
    Words(String),
    Reading(anyhow::Error),
}

/// One iteration as it is read.
#[derive(Default)]
struct Round {
    prompts: Vec<Vec<Answer>>,
    /// By prompt: whether it was decided, and the pair.
    recorded: Vec<Option<Option<(u32, u32)>>>,
}

fn recount(folder: &Path, upto: Seq, words: &str) -> Result<Vec<Change>, Mistake> {
    let asked = words.split([' ', ',']).filter(|word| !word.is_empty()).collect::<Vec<_>>();
    if asked.is_empty() {
        let known: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        return Err(Mistake::Words(format!("what if what? Write for example {}", known.join(" "))));
    }
    // The words are looked at before a long journal is.
    read_rule(&asked, Rule::default()).map_err(Mistake::Words)?;
    let mut settings = Settings::default();
    let mut rounds: BTreeMap<u32, Round> = BTreeMap::new();
    let texts = asked.iter().any(|word| word.starts_with("parser"));
    Tail::new(folder)
        .read(|_, found| {
            let Found::Entry(entry) = found else { return true };
            if entry.seq > upto {
                return false;
            }
            take(&mut rounds, &mut settings, entry.event, texts);
            true
        })
        .with_context(|| format!("reading the journal in {}", folder.display()))
        .map_err(Mistake::Reading)?;
    let recorded = Rule { pairs: settings.pairs, judge: settings.judge, ..Rule::default() };
    let rule = read_rule(&asked, recorded).map_err(Mistake::Words)?;
    Ok(rounds
        .into_iter()
        .filter_map(|(iteration, round)| {
            let decided =
                round.prompts.into_iter().zip(round.recorded).filter_map(|(answers, pair)| Some((answers, pair?)));
            let (prompts, pairs): (Vec<_>, Vec<_>) = decided.unzip();
            (!prompts.is_empty()).then(|| compare(iteration, &prompts, &pairs, &rule))
        })
        .collect())
}

fn take(rounds: &mut BTreeMap<u32, Round>, settings: &mut Settings, event: Event, texts: bool) {
    match event {
        Event::RunStarted(event) => *settings = serde_json::from_value(event.config).unwrap_or_default(),
        Event::RolledBack(event) => {
            *settings = serde_json::from_value(event.config).unwrap_or_default();
            if let Model::M(kept) = event.to {
                rounds.retain(|iteration, _| *iteration < kept);
            }
        }
        Event::PromptWritten(event) => {
            let round = rounds.entry(event.id.iteration).or_default();
            round.prompts.push(Vec::new());
            round.recorded.push(None);
        }
        Event::CandidateSampled(event) => {
            let round = rounds.entry(event.prompt.iteration).or_default();
            if let Some(answers) = round.prompts.get_mut(event.prompt.number as usize) {
                let (text, ended) = (event.text, event.ended);
                answers.push(Answer { text, ended, logprob_per_token: event.logprob_per_token, judged: Vec::new() });
            }
        }
        Event::CandidateJudged(event) => {
            let round = rounds.entry(event.prompt.iteration).or_default();
            let answers = round.prompts.get_mut(event.prompt.number as usize);
            if let Some(answer) = answers.and_then(|answers| answers.get_mut(event.candidate as usize)) {
                answer.judged.push((event.score, if texts { event.reply } else { String::new() }));
            }
        }
        Event::PairSelected(event) => {
            let round = rounds.entry(event.id.iteration).or_default();
            if let Some(recorded) = round.recorded.get_mut(event.id.number as usize) {
                *recorded = Some(Some((event.chosen, event.rejected)));
            }
        }
        Event::PromptSkipped(event) => {
            let round = rounds.entry(event.id.iteration).or_default();
            if let Some(recorded) = round.recorded.get_mut(event.id.number as usize) {
                *recorded = Some(None);
            }
        }
        _ => {}
    }
}

fn read_rule(words: &[&str], mut rule: Rule) -> Result<Rule, String> {
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` has no value: write name=value"))?;
        let number = |low: f64, high: f64| match value.parse::<f64>() {
            Ok(number) if (low..=high).contains(&number) => Ok(number),
            _ => Err(format!("`{word}`: a number from {low} to {high} is wanted")),
        };
        let one_of = |known: &[&'static str]| {
            known.iter().position(|known| *known == value).ok_or_else(|| {
                format!("`{word}`: {} is wanted{}", known.join(", "), did_you_mean(value, known.iter().copied()))
            })
        };
        match name {
            "margin" => rule.pairs.min_margin = number(0.0, 5.0)?,
            "rho" => rule.pairs.length_rho = number(0.0, 1.0)?,
            "likeness" => rule.pairs.max_likeness = number(0.0, 1.0)?,
            "truncated" => rule.pairs.skip_truncated = one_of(&["keep", "skip"])? == 1,
            "cut" => rule.pairs.drop_low_policy_margin = number(0.0, 1.0)?,
            "parsed" => rule.judge.min_parsed = number(1.0, 1000.0)? as u32,
            "tie" => {
                rule.tie =
                    [TieRule::Skip, TieRule::Shorter, TieRule::Likelier][one_of(&["skip", "shorter", "likelier"])?];
            }
            "parser" => {
                rule.parser = [Parser::Recorded, Parser::Ours, Parser::First][one_of(&["recorded", "ours", "first"])?];
            }
            _ => {
                let known = WORDS.map(|(word, _)| word.split('=').next().unwrap_or(word));
                return Err(format!(
                    "`{name}` is no part of the rule{} ({})",
                    did_you_mean(name, known),
                    known.join(", ")
                ));
            }
        }
    }
    Ok(rule)
}

/// An iteration in sentences that fit 80 columns.
fn lines(changes: &[Change]) -> Vec<String> {
    if changes.is_empty() {
        return vec!["no pairs have been made up to here".into()];
    }
    let share = |part: u32, of: u32| match of {
        0 => "none".to_string(),
        of => format!("{:.1}%", 100.0 * f64::from(part) / f64::from(of)),
    };
    let mut lines = Vec::new();
    for change in changes {
        let Change { iteration, before, after, same, turned, other, new, gone, .. } = change;
        lines.push(format!("iteration {iteration}: {before} pairs as recorded, {after} by this rule"));
        lines.push(format!(
            "  {same} the same, {turned} turned round, {other} of other answers, {new} new, {gone} gone"
        ));
        let why: Vec<String> =
            change.why.iter().map(|(why, count)| format!("{} {count}", why.replace('_', " "))).collect();
        if !why.is_empty() {
            lines.push(format!("  no pair because: {}", why.join(", ")));
        }
        lines.push(format!(
            "  the chosen answer is longer: {} as recorded, {} by this rule",
            share(change.longer_before, *before),
            share(change.longer_after, *after)
        ));
        lines.push(format!(
            "  replies with a score: {} as recorded, {} by this rule",
            share(change.read_before, change.replies),
            share(change.read_after, change.replies)
        ));
    }
    lines
}

fn as_json(change: &Change) -> Value {
    json!({
        "iteration": change.iteration,
        "pairs_recorded": change.before,
        "pairs": change.after,
        "same": change.same,
        "turned": change.turned,
        "other": change.other,
        "new": change.new,
        "gone": change.gone,
        "no_pair": change.why,
        "longer_recorded": change.longer_before,
        "longer": change.longer_after,
        "replies": change.replies,
        "scores_recorded": change.read_before,
        "scores": change.read_after,
    })
}
