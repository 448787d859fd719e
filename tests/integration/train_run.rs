//! A whole self-rewarding run with real weights: a tiny Llama, born here, from M0 to M2 on the embedded world.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use selfreward::engine::drive::Ended;
use selfreward::engine::launch;
use selfreward::engine::materials::Materials;
use selfreward::engine::policy::*;
use selfreward::engine::recorder::{Listener, Signals};
use selfreward::engine::settings::{GateMode, JudgeKind, Optimizer, PolicyKind, PromptWriter, Settings};
use selfreward::llama_policy::LlamaPolicy;
use selfreward::model::folder::Folder;
use selfreward::model::weights::Values;
use selfreward::run::entry::Entry;
use selfreward::run::event::{Event, PauseReason};
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::Model;
use selfreward::run::view::{RunView, State};

use crate::stage::{entries, facts};
use crate::train_tiny;

/// A judge's text that a model this small can learn to follow.
const JUDGE: &str = "review {{prompt}} / {{answer}}";

const WRITE_PROMPT: &str = "<bos><user>{{shots}} {{next}}.<assistant>";

pub fn settings(root: &Path, base: &Path) -> Settings {
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
    engine(folder, Signals::default(), Box::new(|_, _| {})).unwrap()
}

pub fn engine(folder: &RunFolder, signals: Signals, listener: Listener) -> anyhow::Result<(Ended, RunView)> {
    let mut make = |settings: &Settings, _: &selfreward::engine::materials::Materials| {
        let base = settings.model.base.clone().unwrap();
        Ok(Box::new(LlamaPolicy::new(settings, Path::new(&base))?) as Box<dyn selfreward::engine::policy::Policy>)
    };
    launch::engine(folder, &mut make, signals, listener)
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

/// A short run whose judge needs no words: rewards are log-ratios, and the loss is weighed by their consistency.
pub fn intrinsic(root: &Path, base: &Path) -> Settings {
    let mut settings = settings(root, base);
    settings.run.judge = JudgeKind::Intrinsic;
    settings.judge.samples = 1;
    settings.pairs.min_margin = 0.0;
    settings.data.limit = 32;
    settings.dpo.consistency = true;
    settings.dpo.batch = 3;
    settings.dpo.eft_replay = 1;
    settings.dpo.kl_every = 2;
    settings.eval.head_to_head = false;
    settings.checkpoint.every = 4;
    settings
}

#[test]
fn a_tiny_llama_rewards_itself_by_what_it_has_gained_over_its_base() {
    let root = tempfile::tempdir().unwrap();
    let base = train_tiny::model(root.path(), 256);
    let folder = launch::create(root.path(), "a", &intrinsic(root.path(), &base)).unwrap();
    let (ended, view) = run(&folder);
    assert_eq!(ended, Ended::Finished);
    let found = view.consistency(1).unwrap();
    let (tau, n) = (found.agreement.kendall.unwrap(), found.agreement.kendall_n);
    assert!(found.judge == "intrinsic (SFT)" && n >= 6 && (-1.0..=1.0).contains(&tau), "{found:?}");
    assert!(view.round(1).unwrap().pairs >= 6);
    // Every reward again, by the models themselves.
    let mut judge = train_tiny::policy(&base, 1);
    let mut items = Vec::new();
    let mut rewards = Vec::new();
    let (mut prompts, mut candidates) = (Vec::new(), BTreeMap::new());
    let mut steps = Vec::new();
    for entry in entries(&folder) {
        match entry.event {
            Event::PromptWritten(event) => prompts.push(event.text.clone()),
            Event::CandidateSampled(event) => {
                candidates.insert((event.prompt, event.candidate), event.text.clone());
            }
            Event::CandidateJudged(event) => {
                let reply = candidates[&(event.prompt, event.candidate)].clone();
                items.push(Example { prompt: prompts[event.prompt.number as usize].clone(), reply });
                rewards.push(event.score.unwrap());
            }
            Event::DpoStep(step) => steps.push(step),
            _ => {}
        }
    }
    let mut sums = |model: Option<Model>| -> Vec<f64> {
        let path = model.map(|model| folder.path().join(view.model(model).unwrap().folder.as_ref().unwrap()));
        judge.load(path.as_deref()).unwrap();
        judge.log_probs(&items).unwrap().iter().map(|own| own.sum).collect()
    };
    let (base, own) = (sums(None), sums(Some(Model::M(1))));
    assert_eq!(rewards.len(), 36);
    for (at, reward) in rewards.iter().enumerate() {
        assert!((own[at] - base[at] - reward).abs() < 1e-3, "{at}: {} - {} is not {reward}", own[at], base[at]);
    }
    // The divergence is looked at where it should be, begins near 0 and is that of the finished model in the end.
    let looked: Vec<u64> = steps.iter().filter(|step| step.kl_held_out.is_some()).map(|step| step.step).collect();
    let of = steps[0].of;
    assert_eq!(looked, (1..=of).filter(|step| step.is_multiple_of(2) || *step == of).collect::<Vec<_>>());
    let instructions = Materials::read(&intrinsic(root.path(), Path::new("base"))).unwrap().instructions;
    let answers: Vec<Example> = entries(&folder)
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::HeldOutAnswered(event) if event.model == Model::M(1) && event.temperature == 1.0 => Some(event),
            _ => None,
        })
        .filter(|event| event.ended != selfreward::run::reasons::Ended::Length)
        .map(|event| Example { prompt: instructions[event.item as usize].clone(), reply: event.text.clone() })
        .collect();
    let mut mean = |model: Model| -> f64 {
        let path = folder.path().join(view.model(model).unwrap().folder.as_ref().unwrap());
        judge.load(Some(&path)).unwrap();
        let own = judge.log_probs(&answers).unwrap();
        own.iter().map(|own| own.sum).sum::<f64>() / own.len() as f64
    };
    let kl = mean(Model::M(1)) - mean(Model::M(2));
    let last = steps.last().unwrap();
    assert_eq!(last.kl_held_out_n, Some(answers.len() as u32));
    assert!((last.kl_held_out.unwrap().0 - kl).abs() < 1e-3, "{:?} is not {kl}", last.kl_held_out);
}

/// A Llama that finds one reply of the reference's round unspeakable: the log-prob of the item at this place is NaN.
struct Damaged {
    llama: LlamaPolicy,
    at: usize,
    scored: Arc<AtomicBool>,
}

impl Policy for Damaged {
    fn identity(&self) -> Identity {
        self.llama.identity()
    }
    fn load(&mut self, folder: Option<&Path>) -> anyhow::Result<()> {
        self.llama.load(folder)
    }
    fn reply(&mut self, asks: &[Ask], seat: &mut dyn Seat<Reply>) -> anyhow::Result<Flow> {
        self.llama.reply(asks, seat)
    }
    fn log_probs(&mut self, items: &[Example]) -> anyhow::Result<Vec<LogProb>> {
        let mut found = self.llama.log_probs(items)?;
        if self.scored.swap(false, Ordering::Relaxed) {
            found[self.at].sum = f64::NAN;
        }
        Ok(found)
    }
    fn begin(&mut self, lesson: Lesson, from: Option<(&Path, u64)>) -> anyhow::Result<u64> {
        self.llama.begin(lesson, from)
    }
    fn step(&mut self) -> anyhow::Result<StepReport> {
        self.llama.step()
    }
    fn held_out(&mut self) -> anyhow::Result<Option<f64>> {
        self.llama.held_out()
    }
    fn end(&mut self) -> anyhow::Result<()> {
        self.llama.end()
    }
    fn save(&mut self, folder: &Path, training: bool) -> anyhow::Result<()> {
        self.llama.save(folder, training)
    }
}

#[test]
fn a_step_that_is_not_finite_names_its_pairs_is_not_applied_and_pauses_the_run() {
    let root = tempfile::tempdir().unwrap();
    let base = train_tiny::model(root.path(), 256);
    let mut settings = intrinsic(root.path(), &base);
    settings.alarms.pause = true;
    settings.alarms.gaming_pairs = 1000;
    // One step, so that the model that was not changed is the whole result.
    settings.dpo.batch = 64;
    settings.checkpoint.every = 1000;
    let folder = launch::create(root.path(), "a", &settings).unwrap();
    let signals = Signals::default();
    let scored = Arc::new(AtomicBool::new(false));
    let (begins, stop) = (scored.clone(), signals.stop.clone());
    let listener = Box::new(move |entry: &Entry, _: &RunView| match &entry.event {
        // The next log-probs are the reference's: those of the probe come after them.
        Event::TrainingSetFixed(_) => begins.store(true, Ordering::Relaxed),
        // Nobody is here to answer: a stop ends the pause.
        Event::Paused(_) => stop.store(true, Ordering::Relaxed),
        _ => {}
    });
    let mut make = |settings: &Settings, _: &Materials| {
        let base = settings.model.base.clone().unwrap();
        let llama = LlamaPolicy::new(settings, Path::new(&base))?;
        Ok(Box::new(Damaged { llama, at: 5, scored: scored.clone() }) as Box<dyn Policy>)
    };
    let (ended, view) = launch::engine(&folder, &mut make, signals, listener).unwrap();
    assert!(matches!(ended, Ended::Stopped(_)), "{ended:?}");
    let all = entries(&folder);
    let fixed = all.iter().find_map(|entry| match &entry.event {
        Event::TrainingSetFixed(event) => Some(event.pairs.clone()),
        _ => None,
    });
    // The sixth item is the rejected side of the third pair.
    let damaged = fixed.unwrap()[2].pair;
    let step = view.last_dpo.clone().unwrap();
    assert!(step.loss.0.is_nan(), "{step:?}");
    assert_eq!(step.not_applied, [damaged], "the pair that is damaged, and no other of the step");
    let alarm = all.iter().find_map(|entry| match &entry.event {
        Event::AlarmRaised(alarm) if alarm.id == "nan" => Some(alarm.clone()),
        _ => None,
    });
    let alarm = alarm.unwrap();
    assert!(alarm.says.contains(&damaged.to_string()) && alarm.evidence.contains(&damaged.to_string()), "{alarm:?}");
    let pauses = |entry: &Entry| matches!(&entry.event, Event::Paused(paused) if matches!(&paused.why, PauseReason::Alarm { id } if id == "nan"));
    assert!(all.iter().any(pauses));
    // What was saved when it stopped is what it started from.
    let saved = view.checkpoints.iter().rev().find(|saved| saved.model == Model::M(2)).unwrap();
    let own = Folder::open(&folder.path().join(&saved.folder)).unwrap().weights().unwrap();
    let own: Vec<f32> = own.iter().flat_map(|(_, tensor)| Values::to_f32(&tensor.values)).collect();
    assert!(own == weights(&folder, &view, Model::M(1)), "the step changed the weights");
}
