//! The model's commands, from parsed arguments to what they write.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use selfreward::model::commands::bench::{BenchArgs, bench};
use selfreward::model::commands::generate::{GenerateArgs, generate};
use selfreward::model::commands::inspect::{InspectArgs, inspect};
use selfreward::model::commands::logprobs::{LogprobsArgs, logprobs};
use selfreward::model::folder::{self, Companions};
use selfreward::model::shape::{Rope, Scaling, Shape};
use selfreward::model::tokenizer::Tokenizer;
use selfreward::model::weights::Weights;
use serde_json::Value;

use crate::llama_fixtures::path;

#[derive(Parser)]
#[command(no_binary_name = true)]
enum Cli {
    Generate(GenerateArgs),
    Logprobs(LogprobsArgs),
    Bench(BenchArgs),
    Inspect(InspectArgs),
}

static NEVER: AtomicBool = AtomicBool::new(false);

fn run(line: &str) -> anyhow::Result<String> {
    let mut out = Vec::new();
    match Cli::try_parse_from(line.split(' '))? {
        Cli::Generate(args) => generate(&args, &mut out, false, &NEVER)?,
        Cli::Logprobs(args) => logprobs(&args, &mut out, &NEVER)?,
        Cli::Bench(args) => bench(&args, &|_| Ok(Vec::new()), None, &mut out)?,
        Cli::Inspect(args) => inspect(&args, &mut out)?,
    }
    Ok(String::from_utf8(out)?)
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A small random model with the fixture tokenizer, as a folder.
fn model(folder: &Path) -> String {
    let names = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];
    let files = names.map(|name| (name.to_owned(), fs::read(path("tokenizer").join(name)).unwrap()));
    let vocab = Tokenizer::open(&path("tokenizer")).unwrap().vocabulary();
    let rope = Rope { theta: 1e4, scaling: Scaling::None };
    let shape = Shape {
        vocab,
        hidden: 32,
        mlp: 64,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        head_dim: 16,
        max_positions: 256,
        rms_eps: 1e-5,
        rope,
        tied: true,
        reward: false,
        attention_bias: false,
        mlp_bias: false,
        bos: Some(1),
        eos: vec![2],
        pad: None,
    };
    let saved = folder.join("model");
    folder::save(&saved, &Weights::random(&shape, 0.2, 5).unwrap(), &Companions::of_new_model(&shape, files.into()))
        .unwrap();
    saved.display().to_string()
}

#[test]
fn generate_answers_every_row_in_order_and_the_same_for_the_same_seed() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let input = folder.path().join("in.jsonl");
    fs::write(&input, "{\"prompt\":\"Hello\"}\n\n{\"messages\":[{\"role\":\"user\",\"content\":\"Count\"}]}\n")
        .unwrap();
    let command =
        format!("generate --model {model} --input {} --json --max-tokens 12 --n 3 --log-probs", input.display());
    let first = run(&format!("{command} --seed 7")).unwrap();
    let lines = rows(&first);
    assert_eq!(lines.len(), 6);
    let tokenizer = Tokenizer::open(Path::new(&model)).unwrap();
    for line in &lines {
        let tokens: Vec<u32> = serde_json::from_value(line["tokens"].clone()).unwrap();
        assert_eq!(line["log_probs"].as_array().unwrap().len(), tokens.len());
        assert!(["eos", "stop", "length"].contains(&line["finish"].as_str().unwrap()));
        let shown = if line["finish"] == "eos" { &tokens[..tokens.len() - 1] } else { &tokens };
        assert_eq!(line["text"], tokenizer.decode(shown, true).unwrap());
    }
    assert_eq!(run(&format!("{command} --seed 7 --threads 1 --rows 2")).unwrap(), first);
    assert_ne!(run(&format!("{command} --seed 8")).unwrap(), first);
}

#[test]
fn generate_can_continue_a_text_and_shows_no_terminal_commands() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let text = run(&format!("generate --model {model} --prompt Hello --raw --max-tokens 60 --temperature 2 --top-p 1"))
        .unwrap();
    assert!(text.ends_with('\n') && !text.trim_end_matches('\n').is_empty());
    assert!(text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{text:?}");
    assert!(run(&format!("generate --model {model} --max-tokens 5")).is_err(), "neither prompt nor input");
}

#[test]
fn logprobs_scores_replies_and_whole_texts_in_input_order() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let input = folder.path().join("in.jsonl");
    fs::write(&input, "{\"prompt\":\"Hello\",\"response\":\"there\"}\n{\"text\":\"Hello there\"}\n").unwrap();
    let lines =
        rows(&run(&format!("logprobs --model {model} --input {} --json --per-token", input.display())).unwrap());
    let tokenizer = Tokenizer::open(Path::new(&model)).unwrap();
    let ids = |line: &Value| -> Vec<u32> { serde_json::from_value(line["ids"].clone()).unwrap() };
    assert_eq!(tokenizer.decode(&ids(&lines[0]), false).unwrap(), "there<|end|>");
    let whole = tokenizer.encode("Hello there", true).unwrap();
    assert_eq!(ids(&lines[1]), whole[1..], "the first token has nothing before it");
    for line in &lines {
        let log_probs: Vec<f64> = serde_json::from_value(line["log_probs"].clone()).unwrap();
        let (tokens, sum) = (line["tokens"].as_f64().unwrap(), line["sum"].as_f64().unwrap());
        assert_eq!(tokens, log_probs.len() as f64);
        assert!((log_probs.iter().sum::<f64>() - sum).abs() < 1e-6);
        assert!((sum / tokens - line["mean"].as_f64().unwrap()).abs() < 1e-12);
    }
    fs::write(&input, "{\"text\":\"ok\"}\n{\"wrong\":1}\n").unwrap();
    let error =
        format!("{:#}", run(&format!("logprobs --model {model} --input {} --json", input.display())).unwrap_err());
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn inspect_says_what_a_folder_holds_or_why_it_cannot_be_loaded() {
    let text = run(&format!("inspect {} --full", path("gqa_llama3_bf16").display())).unwrap();
    for expected in ["6 of 16, sharing 2", "BF16 in 7 files", "llama3 × 8 from 32", "[2, 3]", "all finite"] {
        assert!(text.contains(expected), "{text} should say {expected}");
    }
    let report: Value =
        serde_json::from_str(&run(&format!("inspect {} --json", path("tied").display())).unwrap()).unwrap();
    assert_eq!(report["config"]["tie_word_embeddings"], true);
    assert!(run("inspect /nowhere").is_err());
}

#[test]
fn bench_reports_what_it_measured() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let report: Value =
        serde_json::from_str(&run(&format!("bench --model {model} --batch 1,3 --repeats 1 --json")).unwrap()).unwrap();
    let rates = report["rates"].as_array().unwrap();
    let names: Vec<&str> = rates.iter().map(|rate| rate["what"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 4, "two batch sizes, prefill and log-probs: {names:?}");
    assert!(rates.iter().all(|rate| rate["tokens_per_second"].as_f64().unwrap() > 0.0));
    assert!(report["gemm_gflops"].as_f64().unwrap() > 0.0 && report["peak_mib"].as_f64().unwrap() > 1.0);
}

#[test]
fn bench_says_how_long_a_run_by_the_settings_would_take() {
    let bench = |more: &[&str]| -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selfreward"));
        command.args(["bench", "--batch", "4", "--repeats", "1", "--json"]).args(more);
        let folder = tempfile::tempdir().unwrap();
        let said = command.current_dir(folder.path()).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        serde_json::from_slice(&said.stdout).unwrap()
    };
    // The settings' own model is measured, by the embedded world's data.
    let folder = tempfile::tempdir().unwrap();
    let base = format!("model.base={}", model(folder.path()));
    let own = ["--preset", "tiny", "--set", &base];
    let report = bench(&own);
    assert!(report["parameters"].as_u64().unwrap() < 100_000, "{}", report["parameters"]);
    let stages = report["run"]["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage["what"].as_str().unwrap()).collect();
    assert_eq!(names, ["measuring models", "SFT baseline", "M1", "prompts", "candidates", "judging", "preferences"]);
    let seconds: f64 = stages.iter().map(|stage| stage["seconds"].as_f64().unwrap()).sum();
    assert!(seconds > 1.0 && (report["run"]["seconds"].as_f64().unwrap() - seconds).abs() < 1e-6, "{seconds}");
    // Without data there is no run to speak of, and the rates are told all the same.
    let report = bench(&[&own[..], &["--set", "data.ift=absent.jsonl"]].concat());
    assert!(report["no_run"].as_str().unwrap().contains("absent.jsonl") && report["run"].is_null());
    assert_eq!(report["rates"].as_array().unwrap().len(), 3);
}
