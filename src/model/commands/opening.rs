//! What the commands share: the options that say which model runs where, opening it, and reading rows of JSON lines.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;

use crate::model::device::{self, Chosen, DeviceChoice, Kind};
use crate::model::folder::Folder;
use crate::model::packed::engine::EngineSettings;
use crate::model::sampler::{Sampler, SamplerSettings};
use crate::model::tokenizer::Tokenizer;
use crate::model::weights::Rounded;

const MAX_LINE_BYTES: usize = 16 << 20;

#[derive(Debug, Clone, Args)]
pub struct Opening {
    /// The model: a Hugging Face folder
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    #[command(flatten)]
    pub machine: Machine,
}

#[derive(Debug, Clone, Args)]
pub struct Machine {
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_name = "NAME", hide_short_help = true)]
    pub device: DeviceChoice,
    /// Weights while computing: auto keeps the file's
    #[arg(long, value_enum, default_value_t = Precision::Auto, value_name = "TYPE", hide_short_help = true)]
    pub dtype: Precision,
    /// Computing threads; 0: one for each processor
    #[arg(long, default_value_t = 0, value_name = "N", hide_short_help = true)]
    pub threads: usize,
    /// Replies written together
    #[arg(long, default_value_t = 64, value_name = "N", hide_short_help = true)]
    pub rows: usize,
    /// Memory for keys and values
    #[arg(long, default_value_t = 1024, value_name = "MIB", hide_short_help = true)]
    pub cache: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    Auto,
    Bf16,
}

pub struct Opened {
    pub sampler: Sampler,
    pub tokenizer: Tokenizer,
    pub device: Chosen,
}

impl Opening {
    pub fn open(&self) -> Result<Opened> {
        let folder = Folder::open(&self.model)?;
        let tokenizer = Tokenizer::open(&self.model)?;
        let (vocabulary, rows) = (tokenizer.vocabulary(), folder.shape.vocab);
        ensure!(vocabulary <= rows, "the tokenizer knows {vocabulary} tokens, the model only {rows}");
        let (device, settings) = self.machine.settings()?;
        let sampler = match self.machine.dtype {
            Precision::Auto => Sampler::new(&folder, &folder.shape, &settings),
            Precision::Bf16 => Sampler::new(&Rounded(&folder), &folder.shape, &settings),
        };
        let sampler = sampler.with_context(|| format!("could not load {}", self.model.display()))?;
        Ok(Opened { sampler, tokenizer, device })
    }
}

impl Machine {
    pub fn settings(&self) -> Result<(Chosen, SamplerSettings)> {
        let mut chosen = device::choose(self.device)?;
        if let Kind::Cuda(_) = chosen.kind {
            // The packed kernels run on the processor only, and a wish that is not met must not pass in silence.
            if self.device != DeviceChoice::Auto {
                bail!("sampling and scoring run on the processor in this version; use --device cpu or auto");
            }
            chosen = device::choose(DeviceChoice::Cpu)?;
            chosen.why = "sampling and scoring run on the processor in this version".to_owned();
        }
        let engine = EngineSettings { threads: self.threads, cache_bytes: self.cache << 20 };
        Ok((chosen, SamplerSettings { engine, rows: self.rows }))
    }
}

/// Reads rows of JSON lines from a file, or from standard input for `-`. An error names the line and what a row may be.
pub fn read_rows<T: DeserializeOwned>(path: &Path, wanted: &str) -> Result<Vec<T>> {
    let (reader, name): (Box<dyn BufRead>, String) = if path == Path::new("-") {
        (Box::new(std::io::stdin().lock()), "standard input".into())
    } else {
        ensure!(
            !path.is_dir(),
            "{} is a folder, where a file of rows was expected; name the file inside it",
            path.display()
        );
        let file = std::fs::File::open(path).with_context(|| format!("could not open {}", path.display()))?;
        (Box::new(std::io::BufReader::new(file)), path.display().to_string())
    };
    let mut rows = Vec::new();
    for (index, line) in reader.lines().enumerate() {
        let place = || format!("{name}, line {}", index + 1);
        let line = match line {
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                bail!("{} is not UTF-8: wanted are JSON lines of {wanted}", place())
            }
            line => line.with_context(place)?,
        };
        ensure!(line.len() <= MAX_LINE_BYTES, "{} is longer than {MAX_LINE_BYTES} bytes", place());
        if !line.trim().is_empty() {
            let row = serde_json::from_str(&line).map_err(|error| match error.is_data() {
                true => anyhow::anyhow!("{} has not the members of {wanted}", place()),
                false => anyhow::anyhow!("{} is no JSON ({error}): wanted are JSON lines of {wanted}", place()),
            });
            rows.push(row?);
        }
    }
    ensure!(!rows.is_empty(), "{name} holds no rows: wanted are JSON lines of {wanted}");
    Ok(rows)
}
