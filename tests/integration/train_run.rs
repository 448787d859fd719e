//! A whole self-rewarding run with real weights: a tiny Llama, born here, from M0 to M2 on the embedded world.

use std::path::Path;

use selfreward::engine::drive::Ended;
use selfreward::engine::launch;
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::{GateMode, Optimizer, PolicyKind, PromptWriter, Settings};
use selfreward::llama_policy::LlamaPolicy;
use selfreward::model::folder::Folder;
use selfreward::model::weights::Values;
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::Model;
use selfreward::run::view::{RunView, State};

use crate::stage::{entries, facts};
use crate::train_tiny;

/// A judge's text that a model this small can learn to follow.
const JUDGE: &str = "review {{prompt}} / {{answer}}";

const WRITE_PROMPT: &str = "<bos><user>{{shots}} {{next}}.<assistant>";

fn settings(root: &Path, base: &Path) -> Settings {
    let judge = root.join("judge.txt");
    std::fs::write(&judge, JUDGE).unwrap();
    let mut settings = Settings::tiny();
    settings.run.policy = PolicyKind::Llama;
    settings.run.iterations = 1;
    settings.run.seed = 4;
    settings.model.base = Some(base.display().to_string());
    settings.model.device = "cpu".into();
    settings.model.threads = 2;
    settings.data.limit = 96;
    settings.data.judge_prompt = Some(judge.display().to_string());
    settings.data.eft_labelled = Some(labelled(root));
    settings.sft.lr = 2e-2;
    settings.sft.lr_end = 2e-3;
    settings.sft.optimizer = Optimizer::Muon;
    settings.sft.epochs = 8;
    settings.prompts.count = 12;
    // The base model, being random, can write no prompts; M1 can answer, and its answers serve as prompts.
    let write_prompt = root.join("write_prompt.txt");
    std::fs::write(&write_prompt, WRITE_PROMPT).unwrap();
    settings.data.write_prompt = Some(write_prompt.display().to_string());
    settings.prompts.writer = PromptWriter::Current;
    settings.prompts.request.max_tokens = 40;
    settings.prompts.request.temperature = 1.0;
    settings.prompt_filter.drop_unlikely = 0.0;
    settings.candidates.n = 3;
    settings.candidates.max_tokens = 16;
    settings.judge.samples = 2;
    settings.judge.min_parsed = 1;
    settings.judge.max_tokens = 24;
    settings.judge.temperature = 0.8;
    settings.pairs.min_margin = 0.1;
    settings.pairs.drop_low_policy_margin = 0.0;
    settings.gate.mode = GateMode::Off;
    // Most of this judge's replies have no score, which would rightly pause a run, and nobody is here to answer.
    settings.alarms.pause = false;
    settings.dpo.epochs = 1;
    settings.dpo.batch = 2;
    settings.dpo.eft_replay = 2;
    settings.dpo.held_out_share = 0.0;
    settings.eval.instructions = 4;
    settings.eval.ranked = 4;
    settings.eval.anchors = 4;
    settings.eval.max_tokens = 12;
    settings.eval.bootstrap = 50;
    settings.checkpoint.every = 8;
    settings
}

/// Judgements that are nothing but a score: a format that a model of this size learns at once.
fn labelled(root: &Path) -> String {
    let nouns = ["pear", "ferry", "horse", "lemon", "spoon", "scarf"];
    let adjectives = ["big", "small", "old", "new", "happy", "sad", "hot", "cold"];
    let rows = (0..96usize).map(|row| {
        let (noun, adjective) = (nouns[row % nouns.len()], adjectives[row % adjectives.len()]);
        let (prompt, response) = (format!("Describe the {adjective} {noun}."), format!("The {noun} is {adjective}."));
        let judgement = format!("Score: {}", 1 + row % 5);
        serde_json::json!({ "prompt": prompt, "response": response, "judgement": judgement }).to_string()
    });
    let path = root.join("labelled.jsonl");
    std::fs::write(&path, rows.collect::<Vec<_>>().join("\n")).unwrap();
    path.display().to_string()
}

fn run(folder: &RunFolder) -> (Ended, RunView) {
    let mut make = |settings: &Settings, _: &selfreward::engine::materials::Materials| {
        let base = settings.model.base.clone().unwrap();
        Ok(Box::new(LlamaPolicy::new(settings, Path::new(&base))?) as Box<dyn selfreward::engine::policy::Policy>)
    };
    launch::engine(folder, &mut make, Signals::default(), Box::new(|_, _| {})).unwrap()
}

fn weights(run: &RunFolder, view: &RunView, model: Model) -> Vec<f32> {
    let folder = run.path().join(view.model(model).unwrap().folder.as_ref().unwrap());
    let weights = Folder::open(&folder).unwrap().weights().unwrap();
    weights.iter().flat_map(|(_, tensor)| Values::to_f32(&tensor.values)).collect()
}

#[test]
fn a_tiny_llama_rewards_itself_from_start_to_end_twice_to_the_same_facts() {
    let root = tempfile::tempdir().unwrap();
    let base = train_tiny::model(root.path(), 256);
    let mut seen = Vec::new();
    for name in ["first", "second"] {
        let folder = launch::create(root.path(), name, &settings(root.path(), &base)).unwrap();
        let (ended, view) = run(&folder);
        assert_eq!(ended, Ended::Finished);
        assert_eq!(view.state, State::Finished);
        let models: Vec<Model> = view.models.iter().map(|model| model.model).collect();
        assert_eq!(models, [Model::M(0), Model::Baseline, Model::M(1), Model::M(2)]);
        let round = view.round(1).unwrap();
        assert_eq!(round.prompts.len(), 12);
        assert!(round.pairs >= 2, "{}", round.pairs);
        let first = entries(&folder).into_iter().find(|entry| entry.event.kind() == "dpo_step").unwrap();
        let first = serde_json::to_value(&first.event).unwrap();
        assert!((first["loss"].as_f64().unwrap() - std::f64::consts::LN_2).abs() < 1e-3, "{first}");
        assert_ne!(weights(&folder, &view, Model::M(1)), weights(&folder, &view, Model::M(2)));
        seen.push((facts(&folder), weights(&folder, &view, Model::M(2))));
    }
    assert_eq!(seen[0].0, seen[1].0, "the same seed gives the same facts");
    assert!(seen[0].1 == seen[1].1, "and the same weights, bit for bit");
}
