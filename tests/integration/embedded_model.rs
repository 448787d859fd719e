//! The embedded model: transformers loads it and computes the same, and a cut-down run of it reaches M2.

use std::path::Path;

use burn::tensor::{DType, Device};
use selfreward::embedded;
use selfreward::engine::drive::Ended;
use selfreward::engine::launch;
use selfreward::engine::materials::Materials;
use selfreward::engine::policy::{Ask, Flow, Policy, Reply, Sampling, Seat};
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::{GateMode, Optimizer, Settings};
use selfreward::llama_policy::LlamaPolicy;
use selfreward::model::chat_template::Turn;
use selfreward::model::folder::Folder;
use selfreward::model::llama::Llama;
use selfreward::model::tokenizer::Tokenizer;
use selfreward::run::event::Event;
use selfreward::run::ids::Model;
use selfreward::train::batch::Sequence;
use selfreward::train::log_probs::log_probs;
use selfreward::train::student::Student;
use selfreward::train::workers::Workers;
use serde::Deserialize;

use crate::stage::entries;

#[derive(Deserialize)]
struct Golden {
    prompt: String,
    reply: String,
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
    greedy: String,
}

fn golden() -> Vec<Golden> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny/golden.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn tokens_and_log_probs_of_the_embedded_model_are_those_of_transformers() {
    let root = tempfile::tempdir().unwrap();
    embedded::unpack(root.path()).unwrap();
    let tokenizer = Tokenizer::open(root.path()).unwrap();
    let folder = Folder::open(root.path()).unwrap();
    let device = Device::flex();
    let by_hand = Student::load(&folder.shape, &folder, &device).unwrap();
    let as_graph = Student::from(Llama::load(&folder.shape, &folder, DType::F32, &device).unwrap());
    let workers = Workers::new(1).unwrap();
    for golden in golden() {
        let turns = [Turn::new("user", &golden.prompt), Turn::new("assistant", &golden.reply)];
        let dialogue = tokenizer.dialogue(&turns).unwrap();
        assert_eq!(dialogue.tokens, golden.tokens, "{}", golden.prompt);
        let whole = Sequence::new(dialogue.tokens, 0..golden.tokens.len(), 256).unwrap();
        for student in [&by_hand, &as_graph] {
            let found = log_probs(student, &[&whole], &workers, 4096).unwrap().remove(0);
            assert_eq!(found.len(), golden.log_probs.len());
            for (found, expected) in found.iter().zip(&golden.log_probs) {
                assert!((found - expected).abs() < 2e-4, "{}: {found} {expected}", golden.prompt);
            }
        }
    }
}

struct Kept(Vec<String>);

impl Seat<Reply> for Kept {
    fn finished(&mut self, index: usize, reply: Reply) -> anyhow::Result<Flow> {
        self.0[index] = reply.text;
        Ok(Flow::Go)
    }

    fn writing(&mut self, _: usize, _: &str) -> anyhow::Result<Flow> {
        Ok(Flow::Go)
    }
}

#[test]
fn the_likeliest_replies_of_the_embedded_model_are_those_of_transformers() {
    let root = tempfile::tempdir().unwrap();
    embedded::unpack(root.path()).unwrap();
    let mut settings = Settings::tiny();
    settings.model.device = "cpu".into();
    settings.model.threads = 1;
    let mut policy = LlamaPolicy::new(&settings, root.path()).unwrap();
    policy.load(None).unwrap();
    let golden = golden();
    let asks: Vec<Ask> = golden
        .iter()
        .map(|golden| Ask {
            text: golden.prompt.clone(),
            continues: false,
            shared_prefix: 0,
            sampling: Sampling { temperature: 0.0, top_p: 1.0, max_tokens: 32, stop: Vec::new() },
            seed: 1,
        })
        .collect();
    let mut kept = Kept(vec![String::new(); asks.len()]);
    assert_eq!(policy.reply(&asks, &mut kept).unwrap(), Flow::Go);
    let expected: Vec<String> = golden.into_iter().map(|golden| golden.greedy).collect();
    assert_eq!(kept.0, expected);
}

/// The whole loop of the preset on a handful of everything.
fn cut_down() -> Settings {
    let mut settings = Settings::tiny();
    settings.run.iterations = 1;
    settings.model.device = "cpu".into();
    settings.model.threads = 2;
    settings.data.limit = 120;
    // So few examples must be learnt quickly.
    settings.sft.epochs = 3;
    settings.sft.lr = 5e-3;
    settings.sft.optimizer = Optimizer::Muon;
    settings.prompts.count = 16;
    settings.judge.min_parsed = 1;
    settings.pairs.min_margin = 0.0;
    settings.pairs.drop_low_policy_margin = 0.0;
    settings.gate.mode = GateMode::Off;
    settings.dpo.epochs = 1;
    settings.dpo.eft_replay = 4;
    settings.eval.instructions = 12;
    settings.eval.ranked = 6;
    settings.eval.bootstrap = 20;
    // It is too little to learn the judge's format by heart.
    settings.alarms.pause = false;
    settings
}

/// What a run decided and learnt, without what an oracle said of it afterwards.
fn decided(root: &Path, name: &str, read: &dyn Fn(&Settings) -> anyhow::Result<Materials>) -> (Vec<String>, Vec<u8>) {
    let folder = launch::create(root, name, &cut_down()).unwrap();
    let mut make = |settings: &Settings, materials: &Materials| {
        let base = materials.base.clone().unwrap();
        Ok(Box::new(LlamaPolicy::new(settings, &base)?) as Box<dyn Policy>)
    };
    let mut nobody = |_: &Settings| anyhow::bail!("nobody teaches here");
    let (ended, view) =
        launch::engine_with(&folder, read, &mut make, &mut nobody, Signals::default(), Box::new(|_, _| {})).unwrap();
    assert_eq!(ended, Ended::Finished);
    let evaluated = view.model(Model::M(2)).unwrap().evaluated.clone().unwrap().1;
    assert!(evaluated.oracle.is_some() && evaluated.hindsight.is_some());
    let mut facts = Vec::new();
    for entry in entries(&folder) {
        let text = match entry.event {
            Event::HeldOutAnswered(mut event) => {
                event.oracle = None;
                serde_json::to_string(&event)
            }
            Event::Evaluated(event) => {
                let mut event = event.clone();
                (event.oracle, event.pairs_truly_better, event.hindsight) = (None, None, None);
                event.head_to_head.clear();
                serde_json::to_string(&event)
            }
            Event::PromptWritten(event) => serde_json::to_string(&event),
            Event::PromptRefused(event) => serde_json::to_string(&event),
            Event::CandidateSampled(event) => serde_json::to_string(&event),
            Event::CandidateJudged(event) => serde_json::to_string(&event),
            Event::PairSelected(event) => serde_json::to_string(&event),
            Event::PromptSkipped(event) => serde_json::to_string(&event),
            Event::SpotCheckOpened(event) => serde_json::to_string(&event),
            Event::TrainingSetFixed(event) => serde_json::to_string(&event),
            Event::ReferenceScored(event) => serde_json::to_string(&event),
            _ => continue,
        };
        facts.push(text.unwrap());
    }
    (facts, std::fs::read(folder.path().join("checkpoints/M2/model.safetensors")).unwrap())
}

#[test]
fn no_value_of_the_oracle_reaches_prompts_judging_pairing_or_training() {
    let root = tempfile::tempdir().unwrap();
    let honest = decided(root.path(), "honest", &Materials::read);
    let garbage = decided(root.path(), "garbage", &|settings| {
        let mut materials = Materials::read(settings)?;
        materials.oracle = Some(|prompt, answer| Some(((prompt.len() * 7 + answer.len() * 13) % 6) as f64));
        Ok(materials)
    });
    assert_eq!(honest.0, garbage.0);
    assert!(honest.1 == garbage.1, "the weights differ");
    let pairs = honest.0.iter().filter(|fact| fact.contains("length_ratio")).count();
    assert!(pairs >= 3, "{pairs} pairs");
}
