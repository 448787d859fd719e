//! Makes the embedded model and its seed data from nothing but a seed: tokenizer, corpus, pretraining, labelled examples.
//!
//! `selfreward forge` calls it; a run never does. It joins the world, which knows no tokens, to the trainers, which know no
//! tasks. The same seed gives the same bytes on the same kind of processor, with any number of threads.
//!
//! In reading order: `documents` (the corpus as text and tokens), `base` (M0), `seed_data` (what people would have labelled).

mod base;
mod documents;
mod seed_data;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::embedded::HASHES;
use crate::microworld::World;

/// What is made. The defaults are those of the embedded model; tests make a smaller one.
#[derive(Clone, Debug, PartialEq)]
pub struct ForgeSettings {
    pub seed: u64,
    /// 0 takes as many as there are processors.
    pub threads: usize,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub mlp: usize,
    pub documents: usize,
    pub batch: usize,
    pub lr: f64,
    /// Weight of a prompt's tokens in pretraining.
    pub prompt_weight: f64,
    pub ift: usize,
    /// Judging examples, and how many of them are answers that M0 itself wrote.
    pub eft: usize,
    pub eft_own: usize,
    pub eft_held_out: usize,
}

impl Default for ForgeSettings {
    fn default() -> ForgeSettings {
        ForgeSettings {
            seed: 1,
            threads: 0,
            hidden: 128,
            layers: 4,
            heads: 4,
            mlp: 336,
            documents: 64_000,
            batch: 32,
            lr: 5e-3,
            prompt_weight: 0.25,
            ift: 256,
            eft: 800,
            eft_own: 320,
            eft_held_out: 300,
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    Corpus { documents: usize, tokens: usize, words: usize },
    Step { step: u64, steps: u64, loss: f64, tokens: u64 },
    Sampled { answers: usize },
    Written { file: String, bytes: u64 },
}

/// Makes everything in a new folder.
pub fn forge(settings: &ForgeSettings, out: &Path, tell: &mut dyn FnMut(Progress)) -> Result<()> {
    ensure!(!out.try_exists()?, "{} exists already; name a folder that does not", out.display());
    // An hour of work must not end before a folder that cannot be made.
    let made = std::fs::create_dir_all(out).and_then(|()| std::fs::remove_dir(out));
    made.with_context(|| format!("making the folder {}", out.display()))?;
    let world = World::new(settings.seed);
    let base = base::pretrain(settings, &world, tell).context("making the base model")?;
    base.save(out)?;
    seed_data::write(settings, &world, &base, out, tell).context("making the seed data")?;
    let mut hashes = serde_json::Map::new();
    let mut names: Vec<String> = std::fs::read_dir(out)?
        .map(|item| Ok(item?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    for name in names {
        let bytes = std::fs::read(out.join(&name))?;
        tell(Progress::Written { file: name.clone(), bytes: bytes.len() as u64 });
        hashes.insert(name, blake3::hash(&bytes).to_hex().to_string().into());
    }
    let text = format!("{:#}\n", serde_json::Value::Object(hashes));
    std::fs::write(out.join(HASHES), text).context("writing the hashes")
}
