//! A model as a Hugging Face folder: opened with suspicion, saved so that transformers loads it unchanged.
//!
//! The commands and the checkpoint writer use it. What lies in a folder is foreign input: every name, size and value is
//! checked before it costs memory. It never runs code from a folder and never follows a name out of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::model::safetensors::{self, SafetensorsFile};
use crate::model::shape::Shape;
use crate::model::weights::{Tensor, TensorSource, Values, Weights};

const MAX_CONFIG_BYTES: u64 = 1 << 20;
const MAX_INDEX_BYTES: u64 = 16 << 20;
const MAX_TOKENIZER_BYTES: u64 = 64 << 20;
const MAX_SHARDS: usize = 1_000;
const WHAT_IT_IS: &str = "a model is a Hugging Face folder with config.json, tokenizer.json and model.safetensors";

/// The files beside the weights that a tokenizer may consist of; all are carried over when a model is saved.
const TOKENIZER_FILES: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "tokenizer.model",
];

/// What a saved folder holds beside the weights, as it was loaded or as it was born.
#[derive(Debug, Clone, PartialEq)]
pub struct Companions {
    pub config: Value,
    pub generation_config: Value,
    /// File name to contents, of the tokenizer's files.
    pub tokenizer: BTreeMap<String, Vec<u8>>,
}

/// An opened folder: shape known, every tensor found and of the right size, no weight read yet.
#[derive(Debug)]
pub struct Folder {
    pub path: PathBuf,
    pub shape: Shape,
    files: Vec<SafetensorsFile>,
    place: Place,
    /// Tensors that transformers ignores too, for `model inspect`.
    pub ignored: Vec<String>,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Folder> {
        Folder::open_checked(path).with_context(|| format!("could not open the model folder {}", path.display()))
    }

    fn open_checked(path: &Path) -> Result<Folder> {
        let found = fs::metadata(path).context(WHAT_IT_IS)?;
        ensure!(found.is_dir(), "it is a file; {WHAT_IT_IS}");
        let config = path.join("config.json");
        ensure!(config.try_exists().unwrap_or(true), "it holds no config.json; {WHAT_IT_IS}");
        let config = read_json(&config, MAX_CONFIG_BYTES)?;
        let generation = read_json_if_present(&path.join("generation_config.json"), MAX_CONFIG_BYTES)?;
        let shape = Shape::from_json(&config, generation.as_ref()).context("config.json")?;
        let (files, claimed) = open_files(path)?;
        let (place, ignored) = place_tensors(&shape, &files, claimed.as_ref())?;
        Ok(Folder { path: path.to_owned(), shape, files, place, ignored })
    }

    /// All weights in memory: one copy, plus a megabyte while reading.
    pub fn weights(&self) -> Result<Weights> {
        Weights::gather(&self.shape, self)
    }

    /// The dtype of the embedding, which is that of the whole file in practice.
    pub fn stored_as(&self) -> Result<safetensors::Dtype> {
        Ok(self.entry("model.embed_tokens.weight")?.dtype)
    }

    pub fn files(&self) -> usize {
        self.files.len()
    }

    pub fn entry(&self, name: &str) -> Result<&safetensors::Entry> {
        let file = self.place.get(name).with_context(|| format!("the folder holds no tensor {name:?}"))?;
        self.files[*file].entries.get(name).with_context(|| format!("the folder holds no tensor {name:?}"))
    }

    pub fn companions(&self) -> Result<Companions> {
        let mut tokenizer = BTreeMap::new();
        for name in TOKENIZER_FILES {
            let path = self.path.join(name);
            if path.try_exists()? {
                tokenizer.insert(name.to_owned(), read_capped(&path, MAX_TOKENIZER_BYTES)?);
            }
        }
        let generation = read_json_if_present(&self.path.join("generation_config.json"), MAX_CONFIG_BYTES)?;
        Ok(Companions {
            config: read_json(&self.path.join("config.json"), MAX_CONFIG_BYTES)?,
            generation_config: generation.unwrap_or_else(|| generation_config(&self.shape)),
            tokenizer,
        })
    }
}

impl TensorSource for Folder {
    fn tensor(&self, name: &str) -> Result<Cow<'_, Tensor>> {
        let file = self.place.get(name).with_context(|| format!("the folder holds no tensor {name:?}"))?;
        Ok(Cow::Owned(self.files[*file].read(name)?))
    }
}

impl Companions {
    /// For a model that was born here, with the tokenizer files given as contents.
    pub fn of_new_model(shape: &Shape, tokenizer: BTreeMap<String, Vec<u8>>) -> Companions {
        Companions { config: shape.to_json(), generation_config: generation_config(shape), tokenizer }
    }
}

/// Saves a model as a new folder: written beside its place under another name, made durable, then renamed.
/// An existing folder is never touched.
pub fn save(path: &Path, weights: &Weights, companions: &Companions) -> Result<()> {
    let write = || -> Result<()> {
        ensure!(!path.try_exists()?, "it exists already");
        let name = path.file_name().and_then(|name| name.to_str()).context("it has no plain name")?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent)?;
        let partial = parent.join(format!(".{name}.partial-{}", std::process::id()));
        if partial.try_exists()? {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir(&partial)?;
        let finished = write_folder(&partial, weights, companions).and_then(|()| {
            fs::rename(&partial, path)?;
            // The rename itself is durable only once the directory that holds the name is.
            fs::File::open(parent)?.sync_all()?;
            Ok(())
        });
        if finished.is_err() {
            // Best effort: the error that matters is the one above.
            let _ = fs::remove_dir_all(&partial);
        }
        finished
    };
    write().with_context(|| format!("could not save the model as {}", path.display()))
}

/// Writes a model's files into a folder that is there and that the caller makes durable as a whole.
pub fn write_folder(folder: &Path, weights: &Weights, companions: &Companions) -> Result<()> {
    let mut config = companions.config.clone();
    let bf16 = weights.iter().all(|(_, tensor)| matches!(tensor.values, Values::Bf16(_)));
    if let Some(config) = config.as_object_mut() {
        // Newer transformers call it dtype, older ones torch_dtype; the file keeps the word it came with.
        let key = if config.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        config.insert(key.to_owned(), json!(if bf16 { "bfloat16" } else { "float32" }));
    }
    write_durably(&folder.join("config.json"), serde_json::to_string_pretty(&config)?.as_bytes())?;
    let generation = serde_json::to_string_pretty(&companions.generation_config)?;
    write_durably(&folder.join("generation_config.json"), generation.as_bytes())?;
    for (name, contents) in &companions.tokenizer {
        ensure!(TOKENIZER_FILES.contains(&name.as_str()), "{name:?} is no tokenizer file");
        write_durably(&folder.join(name), contents)?;
    }
    safetensors::write(&folder.join("model.safetensors"), weights.iter())?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

fn write_durably(path: &Path, contents: &[u8]) -> Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(contents)?;
    file.sync_all()?;
    Ok(())
}

fn generation_config(shape: &Shape) -> Value {
    json!({"bos_token_id": shape.bos, "eos_token_id": shape.eos_json(), "pad_token_id": shape.pad})
}

/// Tensor name to the index of the file that holds it.
type Place = BTreeMap<String, usize>;

/// The safetensors files of a folder, and for a sharded one what its index claims to lie where.
fn open_files(folder: &Path) -> Result<(Vec<SafetensorsFile>, Option<Place>)> {
    let index_path = folder.join("model.safetensors.index.json");
    if folder.join("model.safetensors").try_exists()? || !index_path.try_exists()? {
        return Ok((vec![SafetensorsFile::open(&folder.join("model.safetensors"))?], None));
    }
    let index = read_json(&index_path, MAX_INDEX_BYTES)?;
    let map = index.get("weight_map").and_then(Value::as_object).context("the index has no \"weight_map\"")?;
    let mut names: Vec<&str> = Vec::new();
    let mut claimed = BTreeMap::new();
    for (tensor, file) in map {
        let file = file.as_str().with_context(|| format!("the index gives no file name for {tensor:?}"))?;
        let plain = file.ends_with(".safetensors") && !file.starts_with('.') && !file.contains(['/', '\\', '\0']);
        ensure!(plain, "the index names the file {file:?}, which is no plain .safetensors name");
        let at = names.iter().position(|name| *name == file).unwrap_or(names.len());
        if at == names.len() {
            ensure!(at < MAX_SHARDS, "the index names more than {MAX_SHARDS} files");
            names.push(file);
        }
        claimed.insert(tensor.clone(), at);
    }
    ensure!(!names.is_empty(), "the index names no file");
    let files = names.iter().map(|name| SafetensorsFile::open(&folder.join(name))).collect::<Result<Vec<_>>>()?;
    Ok((files, Some(claimed)))
}

/// Finds every tensor of the shape, and names everything that is missing, left over, mis-shaped or doubled.
fn place_tensors(shape: &Shape, files: &[SafetensorsFile], claimed: Option<&Place>) -> Result<(Place, Vec<String>)> {
    let mut faults = Vec::new();
    let mut place = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        for name in file.entries.keys() {
            if place.insert(name.clone(), index).is_some() {
                faults.push(format!("{name:?} lies in two files"));
            }
        }
    }
    for (name, index) in claimed.into_iter().flatten() {
        if place.get(name) != Some(index) {
            faults.push(format!("{name:?} is not in the file that the index names"));
        }
    }
    let expected: BTreeMap<String, Vec<usize>> = shape.tensors().into_iter().collect();
    for (name, dims) in &expected {
        match place.get(name).and_then(|&file| files[file].entries.get(name)) {
            None => faults.push(format!("{name} is missing")),
            Some(entry) if entry.dims != *dims => {
                faults.push(format!("{name} is {:?}, config.json asks for {dims:?}", entry.dims));
            }
            Some(_) => {}
        }
    }
    let mut ignored = Vec::new();
    for name in place.keys().filter(|name| !expected.contains_key(*name)) {
        // Old conversions stored the rotary table; tied ones sometimes store the output projection twice.
        if name.ends_with("rotary_emb.inv_freq") || (shape.tied && name == "lm_head.weight") {
            ignored.push(name.clone());
        } else {
            faults.push(format!("{name:?} is used nowhere"));
        }
    }
    if !faults.is_empty() {
        let shown = faults.iter().take(20).cloned().collect::<Vec<_>>().join("; ");
        let more = faults.len().saturating_sub(20);
        let rest = if more == 0 { String::new() } else { format!("; and {more} more") };
        bail!("the tensors do not fit config.json: {shown}{rest}");
    }
    place.retain(|name, _| expected.contains_key(name));
    Ok((place, ignored))
}

fn read_json_if_present(path: &Path, cap: u64) -> Result<Option<Value>> {
    if path.try_exists()? { read_json(path, cap).map(Some) } else { Ok(None) }
}

fn read_json(path: &Path, cap: u64) -> Result<Value> {
    let bytes = read_capped(path, cap)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not valid JSON", path.display()))
}

/// Reads a whole file that claims, and turns out, to be no longer than the cap.
pub fn read_capped(path: &Path, cap: u64) -> Result<Vec<u8>> {
    let read = || -> Result<Vec<u8>> {
        // Asked before opening: opening a pipe would wait for its writer for ever.
        ensure!(fs::metadata(path)?.is_file(), "it is not a regular file");
        let file = fs::File::open(path)?;
        let mut bytes = Vec::new();
        file.take(cap + 1).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 <= cap, "it is longer than {cap} bytes");
        Ok(bytes)
    };
    read().with_context(|| format!("could not read {}", path.display()))
}
