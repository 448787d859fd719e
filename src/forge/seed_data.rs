//! The seed data: what helpful people would have written and labelled, and what is held out from all training.
//!
//! The oracle stands in for the people who label; nothing of it goes into a file but their labels.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::base::Base;
use super::{ForgeSettings, Progress};
use crate::embedded::{EFT, EFT_HELD_OUT, IFT, INSTRUCTIONS_HELD_OUT};
use crate::microworld::World;
use crate::microworld::corpus::{self, Judged, Labelling};
use crate::recipe::seeds::Seed;

/// No score is given to more than this share of the judging examples.
const MOST_OF_A_SCORE: f64 = 0.25;
/// Answers of the base that are labelled for each that is wanted, so that rare scores are found.
const TRIES: usize = 4;

pub fn write(
    settings: &ForgeSettings,
    world: &World,
    base: &Base,
    out: &Path,
    tell: &mut dyn FnMut(Progress),
) -> Result<()> {
    let ift = corpus::ift(world, settings.ift).map(|row| json!({ "prompt": row.prompt, "response": row.answer }));
    rows(&out.join(IFT), ift)?;
    let eft = judging_examples(settings, world, base, tell)?;
    let eft = eft
        .iter()
        .map(|row| {
            let slots = [("rationale", &*row.rationale), ("score", &row.score.to_string())];
            let judgement = base.texts.judgement.fill(&slots)?;
            Ok(json!({ "prompt": row.prompt, "response": row.answer, "judgement": judgement }))
        })
        .collect::<Result<Vec<Value>>>()?;
    rows(&out.join(EFT), eft.into_iter())?;
    let held_out = corpus::held_out_eft(world, settings.eft_held_out).map(|set| {
        let responses = set.answers.iter().map(|row| json!({ "text": row.answer, "score": row.score }));
        json!({ "prompt": set.prompt, "responses": responses.collect::<Vec<_>>() })
    });
    rows(&out.join(EFT_HELD_OUT), held_out)?;
    let instructions = corpus::held_out_instructions(world).map(|prompt| json!({ "prompt": prompt.text() }));
    rows(&out.join(INSTRUCTIONS_HELD_OUT), instructions)
}

/// Scripted answers and answers of the base itself, mixed: a judge that has seen its own style keeps its head longer.
fn judging_examples(
    settings: &ForgeSettings,
    world: &World,
    base: &Base,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Judged>> {
    let scripted = settings.eft - settings.eft_own.min(settings.eft);
    let mut rows: Vec<Judged> = corpus::eft(world, scripted, Labelling::Honest).collect();
    let stream = &mut world.stream("answered by the base", 0);
    let prompts: Vec<String> = (0..settings.eft_own * TRIES).map(|_| world.prompt(stream).text()).collect();
    let seed = Seed::root(settings.seed).named("answers of the base");
    let answers = base.answers(&prompts, settings.threads, seed)?;
    tell(Progress::Sampled { answers: answers.len() });
    let most = (settings.eft as f64 * MOST_OF_A_SCORE) as usize;
    let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry(row.score).or_default() += 1);
    for (prompt, answer) in prompts.iter().zip(&answers) {
        if rows.len() == settings.eft {
            break;
        }
        let row =
            corpus::labelled(prompt, answer, Labelling::Honest).context("a prompt that the world does not know")?;
        let count = counts.entry(row.score).or_default();
        let known = rows.iter().any(|other| other.prompt == row.prompt && other.answer == row.answer);
        if *count < most && !known && !row.answer.trim().is_empty() {
            *count += 1;
            rows.push(row);
        }
    }
    anyhow::ensure!(rows.len() == settings.eft, "the base's answers are too much alike to label {}", settings.eft_own);
    world.stream("order of judging examples", 0).shuffle(&mut rows);
    Ok(rows)
}

fn rows(path: &Path, rows: impl Iterator<Item = Value>) -> Result<()> {
    let write = || -> Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for row in rows {
            writeln!(file, "{row}")?;
        }
        file.into_inner()?.sync_all()?;
        Ok(())
    };
    write().with_context(|| format!("writing {}", path.display()))
}
