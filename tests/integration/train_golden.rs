//! The numbers of PyTorch and transformers: losses, gradients, updates and a training curve (tests/golden/train.py, losses.py).

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::{DType, Device};
use selfreward::model::llama::Llama;
use selfreward::model::safetensors::SafetensorsFile;
use selfreward::model::shape::Shape;
use selfreward::model::weights::{Tensor, Values, Weights};
use selfreward::train::batch::Sequence;
use selfreward::train::dpo::{Dpo, DpoSettings, Pair};
use selfreward::train::hand::net::Net;
use selfreward::train::losses::{PairLogProbs, PreferenceLoss};
use selfreward::train::optimizer::{self, Optimizer, OptimizerSettings, Rule};
use selfreward::train::parameters::{self, Numbers, Parameter};
use selfreward::train::schedule::{Curve, Schedule};
use selfreward::train::sft::Sft;
use selfreward::train::step::{LessonSettings, StepReport};
use selfreward::train::student::Student;
use selfreward::train::workers::Workers;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::llama_fixtures;

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/train").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn llama(case: &str) -> Llama {
    let (folder, _) = llama_fixtures::load(case);
    Llama::load(&folder.shape, &folder, DType::F32, &Device::flex()).unwrap()
}

/// Both forms in which weights are trained: by hand on a processor, and under automatic differentiation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Hand,
    Graph,
}

fn student(case: &str, form: Form) -> Student {
    let (folder, _) = llama_fixtures::load(case);
    match form {
        Form::Hand => Net::load(&folder.shape, &folder).unwrap().into(),
        Form::Graph => llama(case).into(),
    }
}

fn norm(gradient: &Numbers) -> f64 {
    optimizer::norm(gradient, &Workers::new(1).unwrap())
}

pub fn plain_lesson(batch: usize) -> LessonSettings {
    LessonSettings {
        optimizer: OptimizerSettings::default(),
        schedule: Schedule { curve: Curve::Constant, lr: 1e-3, lr_end: 1e-3, warmup: 0.0 },
        batch,
        epochs: 1,
        most_positions: 4096,
        dropout: 0.0,
        adapter_dropout: 0.0,
        recompute: false,
        seed: 1,
    }
}

fn relative(a: f64, b: f64) -> f64 {
    (a - b).abs() / b.abs().max(1e-12)
}

#[derive(Deserialize)]
struct Row {
    kind: String,
    beta: f64,
    label_smoothing: f64,
    margin: f64,
    log_probs: [f64; 4],
    tokens: [u32; 2],
    loss: f64,
    by_chosen: f64,
    by_rejected: f64,
}

fn loss_of(kind: &str, beta: f64, label_smoothing: f64, margin: f64) -> PreferenceLoss {
    match kind {
        "dpo" => PreferenceLoss::Dpo { beta, label_smoothing },
        "length_normalised" => PreferenceLoss::LengthNormalised { beta, label_smoothing },
        "simpo" => PreferenceLoss::Simpo { beta, margin, label_smoothing },
        "ipo" => PreferenceLoss::Ipo { beta },
        other => panic!("{other}"),
    }
}

#[test]
fn every_preference_loss_and_its_derivatives_equal_those_of_autograd() {
    let rows: Vec<Row> = fixture("losses.json");
    assert_eq!(rows.len(), 84);
    for row in rows {
        let [chosen, rejected, reference_chosen, reference_rejected] = row.log_probs;
        let [chosen_tokens, rejected_tokens] = row.tokens;
        let pair =
            PairLogProbs { chosen, rejected, reference_chosen, reference_rejected, chosen_tokens, rejected_tokens };
        let found = loss_of(&row.kind, row.beta, row.label_smoothing, row.margin).of(&pair);
        for (a, b) in [(found.loss, row.loss), (found.by_chosen, row.by_chosen), (found.by_rejected, row.by_rejected)] {
            assert!((a - b).abs() <= 1e-12 + 1e-9 * b.abs(), "{} {}: {a} is not {b}", row.kind, row.beta);
        }
    }
}

#[derive(Deserialize)]
struct GoldenSequence {
    tokens: Vec<u32>,
    start: usize,
}

impl GoldenSequence {
    fn sequence(&self) -> Sequence {
        Sequence::new(self.tokens.clone(), self.start..self.tokens.len(), 256).unwrap()
    }
}

#[derive(Deserialize)]
struct GoldenPair {
    chosen: GoldenSequence,
    rejected: GoldenSequence,
    reference: [f64; 2],
}

impl GoldenPair {
    fn pair(&self) -> Pair {
        Pair {
            chosen: self.chosen.sequence(),
            rejected: self.rejected.sequence(),
            reference_chosen: self.reference[0],
            reference_rejected: self.reference[1],
        }
    }
}

#[derive(Deserialize)]
struct Spec {
    kind: String,
    beta: f64,
    label_smoothing: f64,
    margin: f64,
    tail: f64,
    nll_weight: f64,
    replay: Vec<GoldenSequence>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    name: String,
    loss: f64,
    norms: BTreeMap<String, f64>,
    grad_norm: f64,
}

#[derive(Deserialize)]
struct Steps {
    sft: Vec<GoldenSequence>,
    pairs: Vec<GoldenPair>,
    specs: BTreeMap<String, Spec>,
    cases: Vec<Case>,
}

fn measure(
    golden: &Steps,
    case: &Case,
    form: Form,
    threads: usize,
    lesson: LessonSettings,
) -> (StepReport, Numbers, Vec<Parameter>) {
    let workers = Workers::new(threads).unwrap();
    let student = student(&case.model, form);
    let trained = student.trained();
    if case.name == "sft" {
        let lesson = LessonSettings { batch: golden.sft.len(), ..lesson };
        let examples = golden.sft.iter().map(GoldenSequence::sequence).collect();
        let (report, gradient) = Sft::new(student, examples, Vec::new(), lesson, workers).unwrap().measure().unwrap();
        return (report, gradient, trained);
    }
    let spec = &golden.specs[&case.name];
    let settings = DpoSettings {
        lesson: LessonSettings { batch: golden.pairs.len(), ..lesson },
        loss: loss_of(&spec.kind, spec.beta, spec.label_smoothing, spec.margin),
        nll_weight: spec.nll_weight,
        length_tail: spec.tail,
        replay: spec.replay.len(),
    };
    let pairs = golden.pairs.iter().map(GoldenPair::pair).collect();
    let replay = spec.replay.iter().map(GoldenSequence::sequence).collect();
    let (report, gradient) =
        Dpo::new(student, pairs, Vec::new(), replay, settings, workers).unwrap().measure().unwrap();
    (report, gradient, trained)
}

#[test]
fn losses_and_gradients_of_every_kind_equal_those_of_pytorch() {
    let golden: Steps = fixture("steps.json");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/train/gradients.safetensors");
    let tensors = SafetensorsFile::open(&path).unwrap();
    let (mut worst_loss, mut worst_gradient, mut compared) = (0.0_f64, 0.0_f64, 0);
    // However the batch is cut up: in one, over two threads, in groups of a row each; and with layers computed again.
    for (form, threads, most_positions, recompute) in [
        (Form::Hand, 1, 4096, false),
        (Form::Hand, 2, 4096, true),
        (Form::Hand, 2, 16, false),
        (Form::Graph, 1, 4096, false),
        (Form::Graph, 2, 4096, false),
        (Form::Graph, 2, 16, false),
    ] {
        for case in &golden.cases {
            let lesson = LessonSettings { most_positions, recompute, ..plain_lesson(1) };
            let (report, gradient, trained) = measure(&golden, case, form, threads, lesson);
            let what = format!("{} of {}, {form:?} on {threads} threads", case.name, case.model);
            worst_loss = worst_loss.max(relative(report.loss, case.loss));
            assert!(relative(report.loss, case.loss) <= 1e-5, "{what}: {} is not {}", report.loss, case.loss);
            assert!(relative(norm(&gradient), case.grad_norm) <= 1e-4, "{what}");
            for (parameter, numbers) in trained.iter().zip(&gradient) {
                let found = norm(&vec![numbers.clone()]);
                let expected = case.norms[&parameter.name];
                assert!(
                    (found - expected).abs() <= 1e-3 * expected + 1e-7,
                    "{what}, {}: {found} {expected}",
                    parameter.name
                );
                let name = format!("{}/{}/{}", case.model, case.name, parameter.name);
                if let Some(found) = tensors.entries.contains_key(&name).then(|| tensors.read(&name).unwrap()) {
                    let difference: Vec<f32> = numbers.iter().zip(found.values.to_f32()).map(|(a, b)| a - b).collect();
                    let off = norm(&vec![difference]) / expected.max(1e-7);
                    worst_gradient = worst_gradient.max(off);
                    compared += 1;
                    assert!(off <= 1e-3, "{what}, {}: {off}", parameter.name);
                }
            }
        }
    }
    assert!(compared > 200, "{compared}");
    eprintln!("largest relative difference: loss {worst_loss:.1e}, gradient of a parameter {worst_gradient:.1e}");
}

#[derive(Deserialize)]
struct GoldenCurve {
    pairs: Vec<GoldenPair>,
    batch: usize,
    epochs: u32,
    seed: u64,
    lr: f64,
    lr_end: f64,
    weight_decay: f64,
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
}

#[test]
fn forty_steps_of_dpo_follow_the_curve_of_pytorch() {
    let golden: GoldenCurve = fixture("curve.json");
    let optimizer = OptimizerSettings { weight_decay: golden.weight_decay, ..OptimizerSettings::default() };
    let schedule = Schedule { curve: Curve::Linear, lr: golden.lr, lr_end: golden.lr_end, warmup: 0.0 };
    let lesson = LessonSettings {
        optimizer,
        schedule,
        batch: golden.batch,
        epochs: golden.epochs,
        most_positions: 4096,
        dropout: 0.0,
        adapter_dropout: 0.0,
        recompute: false,
        seed: golden.seed,
    };
    let settings = DpoSettings {
        lesson,
        loss: PreferenceLoss::Dpo { beta: 0.1, label_smoothing: 0.0 },
        nll_weight: 0.0,
        length_tail: 1.0,
        replay: 0,
    };
    let pairs = golden.pairs.iter().map(GoldenPair::pair).collect();
    let workers = Workers::new(2).unwrap();
    let mut dpo = Dpo::new(student("tied", Form::Hand), pairs, Vec::new(), Vec::new(), settings, workers).unwrap();
    assert_eq!(dpo.pupil.steps, 40);
    let (mut worst, mut worst_norm) = (0.0_f64, 0.0_f64);
    for (step, (loss, norm)) in golden.losses.iter().zip(&golden.grad_norms).enumerate() {
        let report = dpo.step().unwrap();
        if step == 0 {
            let preference = report.preference.as_ref().unwrap();
            assert!(preference.largest_log_ratio < 1e-3, "{}", preference.largest_log_ratio);
            assert!((report.loss - std::f64::consts::LN_2).abs() < 1e-5, "{}", report.loss);
        }
        worst = worst.max(relative(report.loss, *loss));
        worst_norm = worst_norm.max(relative(report.grad_norm, *norm));
        assert!(relative(report.loss, *loss) <= 1e-3, "step {step}: {} is not {loss}", report.loss);
    }
    eprintln!("largest relative difference over 40 steps: loss {worst:.1e}, gradient norm {worst_norm:.1e}");
}

/// What TRL's own trainer logged (tests/golden/trl_curve.py).
#[derive(Deserialize)]
struct GoldenTrainer {
    trl: String,
    pairs: Vec<TextPair>,
    batch: usize,
    epochs: u32,
    seed: u64,
    lr: f64,
    lr_end: f64,
    beta: f64,
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
    margins: Vec<f64>,
}

#[derive(Deserialize)]
struct TextPair {
    prompt: Vec<u32>,
    chosen: Vec<u32>,
    rejected: Vec<u32>,
}

impl TextPair {
    /// The trainer ends each reply with the end token.
    fn side(&self, reply: &[u32]) -> Sequence {
        let tokens = [&self.prompt[..], reply, &[2]].concat();
        let all = tokens.len();
        Sequence::new(tokens, self.prompt.len()..all, 256).unwrap()
    }
}

#[test]
fn forty_steps_follow_the_curve_of_trl_s_own_trainer() {
    let golden: GoldenTrainer = fixture("trl.json");
    let student = student("tied", Form::Hand);
    let sum = |sequence: &Sequence| {
        let scored = student.handle().log_probs(&[sequence]).unwrap();
        scored[0].iter().map(|&log_prob| f64::from(log_prob)).sum::<f64>()
    };
    let pair = |pair: &TextPair| {
        let (chosen, rejected) = (pair.side(&pair.chosen), pair.side(&pair.rejected));
        Pair { reference_chosen: sum(&chosen), reference_rejected: sum(&rejected), chosen, rejected }
    };
    let pairs = golden.pairs.iter().map(pair).collect();
    let lesson = LessonSettings {
        schedule: Schedule { curve: Curve::Linear, lr: golden.lr, lr_end: golden.lr_end, warmup: 0.0 },
        epochs: golden.epochs,
        seed: golden.seed,
        ..plain_lesson(golden.batch)
    };
    let loss = PreferenceLoss::Dpo { beta: golden.beta, label_smoothing: 0.0 };
    let settings = DpoSettings { lesson, loss, nll_weight: 0.0, length_tail: 1.0, replay: 0 };
    let mut dpo = Dpo::new(student, pairs, Vec::new(), Vec::new(), settings, Workers::new(2).unwrap()).unwrap();
    assert_eq!((dpo.pupil.steps, golden.losses.len()), (40, 40));
    let mut worst = 0.0_f64;
    for step in 0..40 {
        let report = dpo.step().unwrap();
        let preference = report.preference.unwrap();
        let margin = preference.reward_chosen - preference.reward_rejected;
        worst = worst.max(relative(report.loss, golden.losses[step]));
        assert!(relative(report.loss, golden.losses[step]) <= 1e-4, "step {step}: {}", report.loss);
        assert!(relative(report.grad_norm, golden.grad_norms[step]) <= 1e-3, "step {step}: {}", report.grad_norm);
        assert!((margin - golden.margins[step]).abs() <= 1e-3, "step {step}: {margin}");
    }
    eprintln!("TRL {}: largest relative difference of the loss over 40 steps {worst:.1e}", golden.trl);
}

#[derive(Deserialize)]
struct GoldenRule {
    norms: Vec<f64>,
    weights: BTreeMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
struct Updates {
    config: serde_json::Value,
    names: Vec<String>,
    adamw: GoldenRule,
    muon: GoldenRule,
}

fn numbers(count: usize, value: impl Fn(f64) -> f64) -> Vec<f32> {
    (0..count).map(|i| value(i as f64) as f32).collect()
}

#[test]
fn twenty_updates_of_adamw_and_of_muon_equal_those_of_pytorch() {
    let golden: Updates = fixture("updates.json");
    let shape = Shape::from_json(&golden.config, None).unwrap();
    for (rule, expected) in [(Rule::AdamW, &golden.adamw), (Rule::Muon, &golden.muon)] {
        let tensors = shape
            .tensors()
            .into_iter()
            .map(|(name, dims)| {
                let index = golden.names.iter().position(|n| *n == name).unwrap() as f64;
                let values = numbers(dims.iter().product(), |i| 0.3 * (0.11 * i + index).cos());
                (name, Tensor { dims, values: Values::F32(values) })
            })
            .collect();
        let weights = Weights::new(&shape, tensors).unwrap();
        let mut llama = Llama::load(&shape, &weights, DType::F32, &Device::flex()).unwrap();
        let settings = OptimizerSettings { rule, weight_decay: 0.1, ..OptimizerSettings::default() };
        let mut optimizer = Optimizer::new(settings, parameters::list(&llama));
        let workers = Workers::new(2).unwrap();
        for step in 0..20 {
            let gradient: Numbers = optimizer
                .parameters
                .iter()
                .map(|parameter| {
                    let index = golden.names.iter().position(|name| *name == parameter.name).unwrap();
                    let size = (1 + index % 3) as f64 * 0.1;
                    let phase = 1.3 * f64::from(step) + index as f64;
                    numbers(parameter.len(), |i| (0.37 * i + phase).sin() * size)
                })
                .collect();
            let norm = norm(&gradient);
            assert!(relative(norm, expected.norms[step as usize]) < 1e-6);
            let update = |weights: &mut Numbers| optimizer.update(weights, &gradient, norm, 3e-3, &workers);
            llama = parameters::change(llama, update).unwrap();
        }
        let mut worst = 0.0_f32;
        for (name, tensor) in llama.to_weights().unwrap().iter() {
            for (found, expected) in tensor.values.to_f32().iter().zip(&expected.weights[name]) {
                worst = worst.max((found - expected).abs());
                assert!(
                    (found - expected).abs() <= 2e-6 + 1e-5 * expected.abs(),
                    "{rule:?} {name}: {found} {expected}"
                );
            }
        }
        eprintln!("{rule:?}: largest difference of a weight after 20 updates {worst:.1e}");
    }
}
