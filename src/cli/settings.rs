//! The configuration of a command: preset, file, environment, `--set` and flags, later ones over earlier ones, each value with its origin.
//!
//! Used by `run` and `config`. What a setting means is `engine::settings`; here it is only read, and everything wrong is said at once with
//! its place and the nearest name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::arguments::{Preset, SettingArgs};
use crate::cli::failure::Failure;
use crate::engine::overrides;
use crate::engine::settings::Settings;
use crate::text::nearest::nearest;

/// The name of a settings file, in the working folder and in the user's.
pub const FILE: &str = "selfreward.toml";
const PREFIX: &str = "SELFREWARD_";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Preset(&'static str),
    File { path: PathBuf, line: usize },
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Preset(name) => write!(f, "preset {name}"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => f.write_str(name),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// A configuration with its history.
#[derive(Clone, Debug)]
pub struct Gathered {
    pub settings: Settings,
    pub config: Value,
    pub preset: &'static str,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    origins: BTreeMap<String, Origin>,
}

impl Gathered {
    /// Every setting in the order of the schema: key, value, origin.
    pub fn values(&self) -> Vec<(String, Value, Origin)> {
        let value = |key: &str| self.config.pointer(&format!("/{}", key.replace('.', "/"))).cloned();
        let origin = |key: &str| self.origins.get(key).cloned().unwrap_or(Origin::Preset(self.preset));
        let keys = overrides::keys().into_iter();
        keys.map(|(key, default)| (key.clone(), value(&key).unwrap_or(default), origin(&key))).collect()
    }
}

/// The files that are looked for, in order; the first that exists is read.
pub fn places() -> Vec<PathBuf> {
    let user = directories::ProjectDirs::from("", "", "selfreward").map(|folders| folders.config_dir().join(FILE));
    std::iter::once(PathBuf::from(FILE)).chain(user).collect()
}

/// The variable that was meant where one underscore stands between section and setting.
fn meant(variable: &str) -> Option<String> {
    let name = variable.strip_prefix(PREFIX)?.to_lowercase();
    let (key, _) = overrides::keys().into_iter().find(|(key, _)| key.replace('.', "_") == name)?;
    Some(format!("{PREFIX}{}", key.replace('.', "__").to_uppercase()))
}

/// Gathers the settings of this process.
pub fn gather(args: &SettingArgs) -> Result<Gathered> {
    let file = match &args.config {
        Some(path) => Some(path.clone()),
        None => places().into_iter().find(|path| path.is_file()),
    };
    let text = match &file {
        Some(path) => Some(
            std::fs::read_to_string(path).with_context(|| format!("reading the settings file {}", path.display()))?,
        ),
        None => None,
    };
    let environment: BTreeMap<String, String> =
        std::env::vars().filter(|(name, _)| name.contains("__") || meant(name).is_some()).collect();
    let environment = environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    gather_from(args, file.as_deref().zip(text.as_deref()), &environment)
}

/// The same from given sources.
pub fn gather_from(
    args: &SettingArgs,
    file: Option<(&Path, &str)>,
    environment: &BTreeMap<String, String>,
) -> Result<Gathered> {
    let asked = args.preset.or(file.and_then(|(_, text)| preset_in(text)));
    let first = layer(asked.unwrap_or(Preset::Tiny), args, file, environment)?;
    // The embedded model fits the tiny numbers only; who brings a model of their own wants the method's.
    if asked.is_none() && first.settings.model.base.is_some() {
        return layer(Preset::Paper, args, file, environment);
    }
    Ok(first)
}

fn layer(
    preset: Preset,
    args: &SettingArgs,
    file: Option<(&Path, &str)>,
    environment: &BTreeMap<String, String>,
) -> Result<Gathered> {
    let (base, name) = match preset {
        Preset::Paper => (Settings::paper(), "paper"),
        Preset::Tiny => (Settings::tiny(), "tiny"),
    };
    let mut layers = Layers { config: serde_json::to_value(base)?, origins: BTreeMap::new(), wrong: Vec::new() };
    if let Some((path, text)) = file {
        layers.file(path, text);
    }
    for (variable, value) in environment {
        if let Some(meant) = meant(variable) {
            layers.wrong.push(format!("{variable}: a section ends in two underscores; write {meant}"));
            continue;
        }
        let key = variable.trim_start_matches(PREFIX).replace("__", ".").to_lowercase();
        layers.assign(&format!("{key}={value}"), Origin::Environment(variable.clone()));
    }
    for assignment in &args.set {
        layers.assign(assignment, Origin::Flag("--set"));
    }
    match flags(args) {
        Ok(flags) => flags.into_iter().for_each(|(flag, assignment)| layers.assign(&assignment, Origin::Flag(flag))),
        Err(why) => layers.wrong.push(why),
    }
    let Layers { config, origins, mut wrong } = layers;
    if wrong.is_empty() {
        let settings: Settings = serde_json::from_value(config.clone())?;
        wrong = meaningless(&settings);
        if wrong.is_empty() {
            let file = file.map(|(path, _)| path.to_path_buf());
            return Ok(Gathered { settings, config, preset: name, file, origins });
        }
    }
    Err(Failure::usage(wrong.join("\n  ")))
}

/// Flags that stand for settings.
fn flags(args: &SettingArgs) -> Result<Vec<(&'static str, String)>, String> {
    let mut flags = Vec::new();
    let mut add = |flag: &'static str, key: &str, value: Option<String>| {
        flags.extend(value.map(|value| (flag, format!("{key}={value}"))));
    };
    add("--seed", "run.seed", args.seed.map(|seed| seed.to_string()));
    add("--iterations", "run.iterations", args.iterations.map(|iterations| iterations.to_string()));
    add("--policy", "run.policy", args.policy.map(|policy| policy.0.name().to_string()));
    add("--recipe", "run.recipe", args.recipe.map(|recipe| recipe.0.name().to_string()));
    add("--device", "model.device", args.device.clone());
    add("--story", "rehearsal.story", args.story.clone());
    match args.gate.as_deref().map(|gate| gate.split_once(':').unwrap_or((gate, ""))) {
        None => {}
        Some((mode @ ("off" | "wait" | "deadline"), "")) => add("--gate", "gate.mode", Some(mode.into())),
        Some(("deadline", duration)) => {
            add("--gate", "gate.mode", Some("deadline".into()));
            add("--gate", "gate.deadline", Some(duration.into()));
        }
        Some(_) => {
            let gate = args.gate.as_deref().unwrap_or_default();
            return Err(format!("--gate {gate}: write off, wait or deadline:DURATION, for example deadline:30m"));
        }
    }
    Ok(flags)
}

/// Values of the right kind that still cannot be meant.
fn meaningless(settings: &Settings) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, says: String| wrong.extend((!holds).then_some(says));
    if let Err(why) = overrides::seconds(&settings.gate.deadline) {
        must(false, format!("gate.deadline: {why}"));
    }
    must(settings.run.iterations >= 1, "run.iterations must be at least 1".into());
    must(settings.candidates.n >= 2, "candidates.n must be at least 2: a pair has two sides".into());
    let share = settings.data.held_out_share;
    must((0.0..1.0).contains(&share), format!("data.held_out_share must be from 0 to less than 1, not {share}"));
    if settings.asks_teacher()
        && let Err(why) = settings.teacher.check()
    {
        must(false, why);
    }
    let device = settings.model.device.as_str();
    let numbered = device.strip_prefix("cuda:").is_some_and(|number| number.parse::<u32>().is_ok());
    must(
        numbered || ["auto", "cpu", "cuda"].contains(&device),
        format!("model.device: write auto, cpu, cuda or cuda:1, not `{device}`"),
    );
    wrong
}

/// Files and folders that settings name must be there, readable, and of the right kind: better known before a run has a folder.
pub fn check_files(settings: &Settings) -> Result<()> {
    let data = &settings.data;
    let files = [
        ("data.ift", &data.ift),
        ("data.eft", &data.eft),
        ("data.eft_labelled", &data.eft_labelled),
        ("data.eft_held_out", &data.eft_held_out),
        ("data.pairs", &data.pairs),
        ("data.instructions_held_out", &data.instructions_held_out),
        ("data.judge_prompt", &data.judge_prompt),
        ("data.duel_prompt", &data.duel_prompt),
        ("data.write_prompt", &data.write_prompt),
    ];
    let folders = [("model.base", &settings.model.base), ("model.writer", &settings.model.writer)];
    let files = files.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?, false)));
    let folders = folders.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?, true)));
    let wrong: Vec<String> = files
        .chain(folders)
        .filter_map(|(key, path, folder)| Some(format!("{key}: {}", wrong_at(Path::new(path), folder)?)))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(Failure::usage(wrong.join("\n  "))) }
}

fn wrong_at(path: &Path, folder: bool) -> Option<String> {
    let at = path.display();
    // Opening asks for the right to read as well.
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(format!("there is nothing at {at}")),
        Err(error) => Some(format!("{at} cannot be read ({})", error.kind())),
        Ok(found) if folder && !found.is_dir() => Some(format!("{at} is a file; a model is a Hugging Face folder")),
        Ok(_) if folder && !path.join("config.json").exists() => {
            Some(format!("{at} holds no config.json; a model is a Hugging Face folder"))
        }
        Ok(found) if !folder && found.is_dir() => Some(format!("{at} is a folder; name the file inside it")),
        Ok(_) => None,
    }
}

struct Layers {
    config: Value,
    origins: BTreeMap<String, Origin>,
    wrong: Vec<String>,
}

impl Layers {
    fn assign(&mut self, assignment: &str, origin: Origin) {
        match overrides::set(&mut self.config, assignment) {
            Ok(()) => {
                let key = assignment.split_once('=').map_or(assignment, |(key, _)| key);
                self.origins.insert(key.trim().to_string(), origin);
            }
            Err(why) => self.wrong.push(format!("{origin}: {why}")),
        }
    }

    fn file(&mut self, path: &Path, text: &str) {
        match DeTable::parse(text) {
            Ok(table) => {
                let known = overrides::keys();
                self.section("", table.get_ref(), &Source { path, text, known: &known });
            }
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(text, span.start));
                self.wrong.push(format!("{}:{line}: {}", path.display(), error.message()));
            }
        }
    }

    fn section(&mut self, prefix: &str, table: &DeTable<'_>, source: &Source<'_>) {
        for (name, value) in table {
            let key =
                if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
            let line = line_of(source.text, name.span().start);
            let default = source.known.iter().find(|(known, _)| *known == key).map(|(_, default)| default);
            let opens_section = source.known.iter().any(|(known, _)| known.starts_with(&format!("{key}.")));
            let outcome = match (default, value.get_ref()) {
                (Some(default), value) => self.value(&key, value, default),
                (None, DeValue::Table(inner)) if opens_section || !inner.is_empty() => {
                    self.section(&key, inner, source);
                    continue;
                }
                (None, value) if opens_section => Err(format!("`{key}` is a section, not {}", kind(value))),
                (None, value) if key == "preset" => named_preset(value).map(|_| ()),
                (None, _) => Err(unknown(&key, source.known)),
            };
            match outcome {
                Ok(()) => {
                    self.origins.insert(key, Origin::File { path: source.path.to_path_buf(), line });
                }
                Err(why) => self.wrong.push(format!("{}:{line}: {why}", source.path.display())),
            }
        }
    }

    /// Sets a value of the right kind, and takes it back when the schema does not know it.
    fn value(&mut self, key: &str, value: &DeValue<'_>, default: &Value) -> Result<(), String> {
        let value = as_json(value, default).map_err(|wanted| format!("`{key}` wants {wanted}, not {}", kind(value)))?;
        let before = self.config.clone();
        match self.config.pointer_mut(&format!("/{}", key.replace('.', "/"))) {
            Some(place) => *place = value,
            None => return Err(format!("the configuration has no place for `{key}`")),
        }
        serde_json::from_value::<Settings>(self.config.clone()).map(|_| ()).map_err(|error| {
            self.config = before;
            format!("`{key}`: {error}")
        })
    }
}

struct Source<'a> {
    path: &'a Path,
    text: &'a str,
    known: &'a [(String, Value)],
}

/// An unknown key's answer; a section that is nearly right counts more than a key elsewhere.
fn unknown(key: &str, known: &[(String, Value)]) -> String {
    if let Some((section, name)) = key.rsplit_once('.') {
        let sections = known.iter().filter_map(|(known, _)| known.rsplit_once('.').map(|(section, _)| section));
        if let Some(near) = nearest(section, sections)
            && let meant = format!("{near}.{name}")
            && known.iter().any(|(known, _)| *known == meant)
        {
            return format!("there is no setting `{key}`; did you mean `{meant}`?");
        }
    }
    overrides::unknown(key, known)
}

fn preset_in(text: &str) -> Option<Preset> {
    let table = DeTable::parse(text).ok()?;
    let value = table.get_ref().iter().find(|(name, _)| name.get_ref() == "preset")?.1;
    named_preset(value.get_ref()).ok()
}

fn named_preset(value: &DeValue<'_>) -> Result<Preset, String> {
    match value {
        DeValue::String(name) if name == "paper" => Ok(Preset::Paper),
        DeValue::String(name) if name == "tiny" => Ok(Preset::Tiny),
        _ => Err("`preset` is \"paper\" or \"tiny\"".into()),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count()
}

/// The value as the default's kind, or what was wanted.
fn as_json(value: &DeValue<'_>, default: &Value) -> Result<Value, &'static str> {
    let number = |text: &str| text.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite());
    match (default, value) {
        (Value::Bool(_), DeValue::Boolean(flag)) => Ok(Value::from(*flag)),
        (Value::Bool(_), _) => Err("true or false"),
        (Value::Number(default), DeValue::Integer(integer)) if default.is_u64() => {
            u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix())
                .map(Value::from)
                .map_err(|_| "a whole number that is not negative")
        }
        (Value::Number(default), _) if default.is_u64() => Err("a whole number that is not negative"),
        (Value::Number(_), DeValue::Integer(integer)) => number(integer.as_str()).map(Value::from).ok_or("a number"),
        (Value::Number(_), DeValue::Float(float)) => number(float.as_str()).map(Value::from).ok_or("a number"),
        (Value::Number(_), _) => Err("a number"),
        (Value::Array(_), DeValue::Array(items)) => {
            items.iter().map(Spanned::get_ref).map(|item| text_of(item).ok_or("a list of texts")).collect()
        }
        (Value::Array(_), _) => Err("a list of texts"),
        (Value::Null | Value::String(_) | Value::Object(_), value) => text_of(value).ok_or("a text in quotes"),
    }
}

fn text_of(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        _ => None,
    }
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{}\"", text.escape_debug()),
        DeValue::Integer(integer) => integer.as_str().to_string(),
        DeValue::Float(float) => float.as_str().to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a section".into(),
    }
}
