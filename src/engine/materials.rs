//! The human data of a run, read once: instructions, judging data, what is held out, and the oracle where there is one.
//!
//! What is not configured comes from the embedded world. The oracle is for evaluation only: nothing here hands it to a stage that writes,
//! judges, pairs or trains.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::data::rows::Read;
use crate::data::split::{normalised, split};
use crate::data::{Instruction, Limits, RankedSet, Take, instructions, judgements, rankings};
use crate::embedded;
use crate::engine::policy::Example;
use crate::engine::settings::{Labels, PolicyKind, Settings};
use crate::microworld::{self, World, corpus};
use crate::recipe::prompts::{JUDGEMENT, PromptTexts, Prompts};
use crate::run::event::DataRead;
use crate::text::template::Template;

/// Rows of the embedded world's sets; ranked answers for a reward model.
const EMBEDDED_IFT: usize = 256;
const EMBEDDED_EFT: usize = 800;
const EMBEDDED_HELD_OUT: usize = 300;
const EMBEDDED_PAIRS: usize = 800;

/// A response with its human rank; lower is better.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedResponse {
    pub text: String,
    pub rank: f64,
}

/// One instruction with ranked responses.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    pub prompt: String,
    pub responses: Vec<RankedResponse>,
}

/// What judging examples are built from.
#[derive(Clone, Debug, PartialEq)]
pub enum Eft {
    /// The baseline judges these; what agrees with the ranking is kept.
    Ranked(Vec<Ranking>),
    /// Judgements are given.
    Labelled(Vec<Labelled>),
}

/// A ready judgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    pub prompt: String,
    pub response: String,
    /// Rationale and score line.
    pub judgement: String,
    pub score: f64,
}

/// Grades an answer to a prompt, 0 to 5; none where it does not know the task.
pub type Oracle = fn(&str, &str) -> Option<f64>;

/// Everything human that a run starts from.
pub struct Materials {
    /// The base model's folder where the configuration names none.
    pub base: Option<PathBuf>,
    pub ift: Vec<Example>,
    pub ift_held_out: Vec<Example>,
    pub eft: Eft,
    pub held_out: Vec<Ranking>,
    /// What a reward model learns from, where one judges.
    pub reward_sets: Vec<Ranking>,
    pub instructions: Vec<String>,
    pub oracle: Option<Oracle>,
    pub prompts: Prompts,
    /// What a teacher reads.
    pub teacher_prompts: Prompts,
    pub read: Vec<DataRead>,
    /// Remarks about the data that a person should see once.
    pub remarks: Vec<String>,
}

/// Where what is not configured comes from.
enum Home {
    /// The embedded model's folder, or another that the forge made.
    Folder(PathBuf),
    /// A world of the run's own seed: a rehearsal has no model that a seed could contradict.
    World(Box<World>),
}

impl Home {
    fn of(settings: &Settings) -> Result<Option<Home>> {
        let data = &settings.data;
        if let Some(folder) = &data.forged {
            return Ok(Some(Home::Folder(folder.into())));
        }
        if settings.run.policy == PolicyKind::Rehearsal {
            return Ok(Some(Home::World(Box::new(World::new(settings.run.seed)))));
        }
        let judged = data.eft.is_some() || (data.eft_labelled.is_some() && data.eft_held_out.is_some());
        if settings.model.base.is_some() && data.ift.is_some() && judged {
            return Ok(None);
        }
        Ok(Some(Home::Folder(embedded::folder()?)))
    }
}

impl Materials {
    pub fn read(settings: &Settings) -> Result<Materials> {
        let data = &settings.data;
        let home = Home::of(settings)?;
        let mut read = Vec::new();
        let mut remarks = Vec::new();
        let limit = if data.limit == 0 { usize::MAX } else { data.limit as usize };
        let seed = settings.run.seed;

        let (ift, mut held_out_instructions) = match &data.ift {
            Some(path) => {
                let rows = instructions::read(Path::new(path), Take::FirstRound, Limits::default())?;
                read.push(as_read("ift", path, &rows));
                let rows = rows.rows.into_iter().take(limit).collect();
                let share = if data.instructions_held_out.is_some() { 0.0 } else { data.held_out_share };
                let parts = split(rows, share, seed).context("holding out a share of data.ift")?;
                (parts.train.into_iter().map(example).collect(), parts.held_out.into_iter().map(example).collect())
            }
            None => {
                let ift = embedded_ift(home.as_ref(), limit)?;
                read.push(as_embedded("ift", ift.iter().map(|row| format!("{}\0{}", row.prompt, row.reply))));
                (ift, Vec::new())
            }
        };
        if ift.is_empty() {
            bail!("data.ift holds no usable row to train on");
        }
        let ift_held_out = held_out_instructions.clone();

        let (eft, held_out) = read_eft(settings, home.as_ref(), limit, &mut read)?;
        let instructions: Vec<String> = match &data.instructions_held_out {
            Some(path) => {
                let rows = instructions::read_prompts(Path::new(path), Take::FirstRound, Limits::default())?;
                read.push(as_read("instructions_held_out", path, &rows));
                rows.rows.into_iter().map(|row| row.prompt).collect()
            }
            None if data.ift.is_some() => held_out_instructions.drain(..).map(|row| row.prompt).collect(),
            None => {
                let prompts = embedded_instructions(home.as_ref())?;
                read.push(as_embedded("instructions_held_out", prompts.iter().cloned()));
                prompts
            }
        };

        let reward_sets = match settings.is_reward_model() {
            true => read_reward_sets(settings, &eft, (&held_out, &instructions), limit, &mut read)?,
            false => Vec::new(),
        };
        let seen: std::collections::HashSet<String> = ift.iter().map(|row| normalised(&row.prompt)).collect();
        let shared = instructions.iter().filter(|prompt| seen.contains(&normalised(prompt))).count();
        if shared > 0 {
            remarks
                .push(format!("{shared} held-out instructions also stand in data.ift: their evaluation is flattered"));
        }
        let text = |path: &Option<String>| {
            path.as_ref()
                .map(|path| std::fs::read_to_string(path).with_context(|| format!("reading the prompt text {path}")))
                .transpose()
        };
        let texts = PromptTexts {
            set: data.texts,
            judge: text(&data.judge_prompt)?,
            duel: text(&data.duel_prompt)?,
            write_prompt: text(&data.write_prompt)?,
        };
        let prompts = Prompts::load(&texts)?;
        // A teacher needs no short words because the model that it teaches does.
        let teacher_prompts = Prompts::load(&PromptTexts { set: settings.teacher.texts, ..texts })?;
        // The oracle knows the embedded world's tasks and nothing else.
        let oracle: Option<Oracle> = if data.ift.is_none() && data.instructions_held_out.is_none() {
            Some(|prompt, answer| microworld::oracle::grade(prompt, answer).map(|grade| f64::from(grade.score)))
        } else {
            None
        };
        let base = match (&settings.model.base, home) {
            (None, Some(Home::Folder(folder))) => Some(folder),
            _ => None,
        };
        Ok(Materials {
            base,
            ift,
            ift_held_out,
            eft,
            held_out,
            reward_sets,
            instructions,
            oracle,
            prompts,
            teacher_prompts,
            read,
            remarks,
        })
    }
}

const NO_HOME: &str = "neither configured nor embedded";

fn embedded_ift(home: Option<&Home>, limit: usize) -> Result<Vec<Example>> {
    match home.context(NO_HOME)? {
        Home::Folder(folder) => {
            let rows = instructions::read(&folder.join(embedded::IFT), Take::FirstRound, Limits::default())?;
            Ok(rows.rows.into_iter().take(limit).map(example).collect())
        }
        Home::World(world) => Ok(corpus::ift(world, EMBEDDED_IFT.min(limit))
            .map(|row| Example { prompt: row.prompt, reply: row.answer })
            .collect()),
    }
}

fn embedded_instructions(home: Option<&Home>) -> Result<Vec<String>> {
    match home.context(NO_HOME)? {
        Home::Folder(folder) => {
            let path = folder.join(embedded::INSTRUCTIONS_HELD_OUT);
            let rows = instructions::read_prompts(&path, Take::FirstRound, Limits::default())?;
            Ok(rows.rows.into_iter().map(|row| row.prompt).collect())
        }
        Home::World(world) => Ok(corpus::held_out_instructions(world).map(|prompt| prompt.text()).collect()),
    }
}

fn embedded_eft(home: Option<&Home>, limit: usize, labels: Labels) -> Result<Vec<Labelled>> {
    let labelling = match labels {
        Labels::Honest => corpus::Labelling::Honest,
        Labels::Lenient => corpus::Labelling::Lenient,
        Labels::LengthBiased => corpus::Labelling::LengthBiased,
    };
    let labelled = |prompt: String, response: String, judgement: String, score: f64| Labelled {
        prompt,
        response,
        judgement,
        score,
    };
    match home.context(NO_HOME)? {
        Home::Folder(folder) => {
            let rows = judgements::read(&folder.join(embedded::EFT), Limits::default())?.rows.into_iter().take(limit);
            let judgement = Template::parse(JUDGEMENT, &["rationale", "score"], &[])?;
            rows.map(|row| {
                // Labels are the business of whoever makes seed data; here other people make them.
                let other =
                    corpus::labelled(&row.prompt, &row.response, labelling).filter(|_| labels != Labels::Honest);
                Ok(match other {
                    None => labelled(row.prompt, row.response, row.judgement, row.score),
                    Some(other) => {
                        let slots = [("rationale", &*other.rationale), ("score", &other.score.to_string())];
                        labelled(row.prompt, row.response, judgement.fill(&slots)?, f64::from(other.score))
                    }
                })
            })
            .collect()
        }
        Home::World(world) => Ok(corpus::eft(world, EMBEDDED_EFT.min(limit), labelling)
            .map(|row| {
                let judgement = crate::recipe::judge::judgement_text(&row.rationale, f64::from(row.score));
                labelled(row.prompt, row.answer, judgement, f64::from(row.score))
            })
            .collect()),
    }
}

fn embedded_held_out(home: Option<&Home>, limit: usize) -> Result<Vec<Ranking>> {
    match home.context(NO_HOME)? {
        Home::Folder(folder) => {
            let rows = rankings::read(&folder.join(embedded::EFT_HELD_OUT), Limits::default())?;
            Ok(rows.rows.into_iter().take(limit).map(ranking).collect())
        }
        Home::World(world) => Ok(corpus::held_out_eft(world, EMBEDDED_HELD_OUT.min(limit))
            .map(|set| {
                let ranked = |row: corpus::Judged| RankedResponse { text: row.answer, rank: -f64::from(row.score) };
                Ranking { prompt: set.prompt, responses: set.answers.into_iter().map(ranked).collect() }
            })
            .collect()),
    }
}

fn read_eft(
    settings: &Settings,
    home: Option<&Home>,
    limit: usize,
    read: &mut Vec<DataRead>,
) -> Result<(Eft, Vec<Ranking>)> {
    let data = &settings.data;
    let mut rankings_of = |role: &str, path: &String| -> Result<Vec<RankedSet>> {
        let rows = rankings::read(Path::new(path), Limits::default())?;
        read.push(as_read(role, path, &rows));
        Ok(rows.rows.into_iter().take(limit).collect())
    };
    let held_out_file = data.eft_held_out.as_ref().map(|path| rankings_of("eft_held_out", path)).transpose()?;
    let ranked = data.eft.as_ref().map(|path| rankings_of("eft", path)).transpose()?;
    let (train, held_out) = match (ranked, held_out_file) {
        (Some(rows), Some(held_out)) => (Some(rows), Some(held_out)),
        (Some(rows), None) => {
            let parts =
                split(rows, data.held_out_share, settings.run.seed).context("holding out a share of data.eft")?;
            (Some(parts.train), Some(parts.held_out))
        }
        (None, held_out) => (None, held_out),
    };
    let eft = match (train, &data.eft_labelled) {
        (Some(rows), None) => Eft::Ranked(rows.into_iter().map(ranking).collect()),
        (Some(_), Some(_)) => bail!("data.eft and data.eft_labelled are two ways to the same thing: set one of them"),
        (None, Some(path)) => {
            let rows = judgements::read(Path::new(path), Limits::default())?;
            read.push(as_read("eft_labelled", path, &rows));
            let labelled = |row: judgements::Judgement| Labelled {
                prompt: row.prompt,
                response: row.response,
                judgement: row.judgement,
                score: row.score,
            };
            Eft::Labelled(rows.rows.into_iter().take(limit).map(labelled).collect())
        }
        (None, None) => {
            let rows = embedded_eft(home, limit, data.labels)?;
            read.push(as_embedded(
                "eft_labelled",
                rows.iter().map(|row| format!("{}\0{}\0{}", row.prompt, row.response, row.judgement)),
            ));
            Eft::Labelled(rows)
        }
    };
    let held_out: Vec<Ranking> = match held_out {
        Some(rows) => rows.into_iter().map(ranking).collect(),
        None => {
            let rows = embedded_held_out(home, limit)?;
            read.push(as_embedded("eft_held_out", rows.iter().map(|row| row.prompt.clone())));
            rows
        }
    };
    Ok((eft, held_out))
}

/// Ranked answers for a reward model: a file's, those of data.eft, or the embedded world's. None shares a prompt with what is held out.
fn read_reward_sets(
    settings: &Settings,
    eft: &Eft,
    (held_out, instructions): (&[Ranking], &[String]),
    limit: usize,
    read: &mut Vec<DataRead>,
) -> Result<Vec<Ranking>> {
    let out: std::collections::HashSet<String> =
        held_out.iter().map(|set| &set.prompt).chain(instructions).map(|prompt| normalised(prompt)).collect();
    let is_fresh = |set: &Ranking| !out.contains(&normalised(&set.prompt));
    match (&settings.data.pairs, eft) {
        (Some(path), _) => {
            let rows = rankings::read(Path::new(path), Limits::default())?;
            read.push(as_read("pairs", path, &rows));
            Ok(rows.rows.into_iter().take(limit).map(ranking).filter(is_fresh).collect())
        }
        (None, Eft::Ranked(sets)) => Ok(sets.iter().filter(|set| is_fresh(set)).cloned().collect()),
        (None, Eft::Labelled(_)) if settings.data.eft_labelled.is_some() => {
            bail!("a reward model needs ranked answers to the same prompts: set data.pairs")
        }
        (None, Eft::Labelled(_)) => {
            // Other people rank other answers in every run: the labels are drawn by its seed.
            let world = World::new(settings.run.seed);
            let ranked = |set: corpus::RankedSet| {
                let response = |row: corpus::Judged| RankedResponse { text: row.answer, rank: -f64::from(row.score) };
                Ranking { prompt: set.prompt, responses: set.answers.into_iter().map(response).collect() }
            };
            let mut seen = std::collections::HashSet::new();
            let sets: Vec<Ranking> = corpus::eft_sets(&world, 2 * EMBEDDED_PAIRS)
                .map(ranked)
                .filter(|set| is_fresh(set) && seen.insert(set.prompt.clone()))
                .take(EMBEDDED_PAIRS.min(limit))
                .collect();
            read.push(as_embedded("pairs", sets.iter().map(|set| format!("{set:?}"))));
            Ok(sets)
        }
    }
}

/// An instruction as what a model learns from.
pub fn example(row: Instruction) -> Example {
    Example { prompt: asked(row.system.as_deref(), row.prompt), reply: row.response }
}

/// A ranked set as what a judge is asked about.
pub fn ranking(set: RankedSet) -> Ranking {
    Ranking {
        prompt: asked(set.system.as_deref(), set.prompt),
        responses: set.responses.into_iter().map(|row| RankedResponse { text: row.text, rank: row.rank }).collect(),
    }
}

/// A system message stands before the prompt that it belongs to.
fn asked(system: Option<&str>, prompt: String) -> String {
    system.map_or(prompt.clone(), |system| format!("{system}\n\n{prompt}"))
}

fn as_read<T: std::fmt::Debug>(role: &str, path: &str, rows: &Read<T>) -> DataRead {
    let mut hasher = blake3::Hasher::new();
    for row in &rows.rows {
        hasher.update(format!("{row:?}").as_bytes());
    }
    DataRead {
        role: role.into(),
        source: path.into(),
        rows: rows.rows.len() as u64,
        refused: rows.refused_count as u64,
        hash: hasher.finalize().to_hex()[..32].to_string(),
    }
}

fn as_embedded(role: &str, rows: impl Iterator<Item = String>) -> DataRead {
    let mut hasher = blake3::Hasher::new();
    let mut count = 0;
    for row in rows {
        hasher.update(row.as_bytes());
        count += 1;
    }
    DataRead {
        role: role.into(),
        source: "embedded".into(),
        rows: count,
        refused: 0,
        hash: hasher.finalize().to_hex()[..32].to_string(),
    }
}
