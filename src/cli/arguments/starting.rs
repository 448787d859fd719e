//! Arguments of the commands that start an engine or open a screen, and of settings.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::arguments::ListArgs;
use crate::cli::arguments::numbers::{amount, factor};
use crate::engine::collapse::Collapse;
use crate::engine::settings::PolicyKind;
use crate::engine::teaching::settings::Recipe;

/// Where settings come from.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingArgs {
    /// Else ./selfreward.toml, else the user's
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What unset settings are: paper or tiny
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub preset: Option<Preset>,
    /// One setting, for example dpo.beta=0.2; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The root seed
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Iterations of self-rewarding: 2 ends at M3
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub iterations: Option<u32>,
    /// Who plays the model: llama, or rehearsal (scripted)
    #[arg(long, value_name = "NAME")]
    pub policy: Option<PolicyName>,
    /// Pairs by self, ser, teacher-reward or teacher-demo
    #[arg(long, value_name = "NAME")]
    pub recipe: Option<RecipeName>,
    /// Before training: off, wait or deadline:DURATION
    #[arg(long, value_name = "GATE")]
    pub gate: Option<String>,
    /// auto, cpu, cuda or cuda:1
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// What a rehearsal plays: healthy, parse, length, …
    #[arg(long, value_name = "NAME")]
    pub story: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The method's published numbers.
    Paper,
    /// Numbers that fit the embedded world and model.
    Tiny,
}

/// `PolicyKind` as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyName(pub PolicyKind);

impl std::str::FromStr for PolicyName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [PolicyKind::Llama, PolicyKind::Rehearsal]
            .into_iter()
            .find(|kind| kind.name() == text)
            .map(PolicyName)
            .ok_or_else(|| "write llama or rehearsal".into())
    }
}

/// `Recipe` as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecipeName(pub Recipe);

impl std::str::FromStr for RecipeName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Recipe::ALL.into_iter().find(|recipe| recipe.name() == text);
        found.map(RecipeName).ok_or_else(|| "write self, teacher-reward, teacher-demo or ser".into())
    }
}

/// How an engine is started and what the caller does meanwhile.
#[derive(Debug, Clone, Default, Args)]
pub struct EngineArgs {
    /// Print a line per event of note instead of screens
    #[arg(long)]
    pub headless: bool,
    /// Keep the engine in this process (Slurm, containers)
    #[arg(long)]
    pub foreground: bool,
    /// Start it and return at once
    #[arg(long, conflicts_with = "foreground")]
    pub detach: bool,
    /// Exit with 3 when an alarm of this level is raised
    #[arg(long, value_name = "LEVEL", hide_possible_values = true)]
    pub fail_on: Option<FailOn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Warn,
    Error,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The run's name; else one is made from the date
    #[arg(long)]
    pub name: Option<String>,
    /// Agree to what the teacher may cost
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub settings: SettingArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The run's name; else one is made from the date
    #[arg(long)]
    pub name: Option<String>,
    /// Really fail: saturation, length, parse or overfit
    #[arg(long, value_name = "HOW")]
    pub collapse: Option<Collapse>,
    /// The root seed
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// One setting, for example dpo.beta=0.2; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Name or folder of the run
    pub run: String,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Seconds to wait for a living engine's answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = amount, allow_negative_numbers = true)]
    pub wait: f64,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct EngineProcessArgs {
    /// The run's folder
    pub folder: PathBuf,
}

#[cfg(feature = "llama")]
#[derive(Debug, Args)]
pub struct ForgeArgs {
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Everything follows from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Threads; 0 takes all cores
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

#[derive(Debug, Args)]
pub struct LookArgs {
    /// Name or folder of the run
    pub run: String,
    #[command(flatten)]
    pub view: ViewArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Name or folder of the run
    pub run: String,
    /// Let the embedded world's oracle decide at every gate, as a simulation: all, queue or random pairs
    #[arg(long, value_name = "PAIRS", hide_possible_values = true)]
    pub simulate: Option<Simulate>,
    #[command(flatten)]
    pub view: ViewArgs,
}

/// Which pairs a simulated human looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Simulate {
    All,
    /// Those that the gate offers.
    Queue,
    /// As many, drawn at random.
    Random,
}

/// How screens look, for this time; the user's settings file says it for good.
#[derive(Debug, Clone, Default, Args)]
pub struct ViewArgs {
    /// Draw with plain ASCII
    #[arg(long)]
    pub ascii: bool,
    /// Let the mouse work; Shift then selects text
    #[arg(long)]
    pub mouse: bool,
    /// Run this on each new alarm, as JSON on its input
    #[arg(long, value_name = "CMD")]
    pub on_alert: Option<String>,
    /// Only on these: info, warn, error, names (judge-*)
    #[arg(long, value_name = "WHICH", value_delimiter = ',')]
    pub alerts: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Examine a teacher's endpoint instead, for example http://127.0.0.1:8000/v1
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The model's name there
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub model: Option<String>,
    /// openai or gemini
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub dialect: Option<String>,
    /// The environment variable that holds the key
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub key_env: Option<String>,
    /// A file of mode 0600 that holds the key
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    pub key_file: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Name or folder of the run, or `example`
    pub run: String,
    /// Another run to play beside it
    #[arg(long, value_name = "RUN2")]
    pub vs: Option<String>,
    /// Start here: M2:dpo:210, 40%, #1:12, 13:58, an entry's number
    #[arg(long, value_name = "PLACE")]
    pub at: Option<String>,
    /// So many times as fast as it happened
    #[arg(long, value_name = "N", value_parser = factor, allow_negative_numbers = true)]
    pub speed: Option<f64>,
    /// No silence is longer than this
    #[arg(long, value_name = "SECONDS", value_parser = amount, allow_negative_numbers = true)]
    pub idle_cap: Option<f64>,
    /// Stop playing at these: veto, alert, stage, nan
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub pause_on: Vec<String>,
    /// Stop playing where this begins to hold: loss>2
    #[arg(long, value_name = "CONDITION")]
    pub until: Option<String>,
    /// Decide again, blind; the old decisions stay as they are
    #[arg(long)]
    pub second_opinion: bool,
    #[command(flatten)]
    pub view: ViewArgs,
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Every setting in force, and where it comes from
    Show(ConfigShowArgs),
    /// Say whether the settings can be meant so
    Check(ConfigShowArgs),
    /// All settings with their meaning, as JSON Schema
    Schema,
    /// Where settings files are looked for
    Path(ListArgs),
}

#[derive(Debug, Args)]
pub struct ConfigShowArgs {
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only what differs from the preset
    #[arg(long)]
    pub changed: bool,
}
