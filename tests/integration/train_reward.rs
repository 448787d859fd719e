//! A reward model: its gradient against finite differences, alone as together, its folder and back, and that it learns to rank.

use std::path::Path;

use burn::tensor::Device;
use selfreward::model::folder::{self, Folder};
use selfreward::model::shape::{SCORE, Shape};
use selfreward::model::weights::TensorSource;
use selfreward::train::batch::Sequence;
use selfreward::train::dropout::Dropout;
use selfreward::train::hand::net::Net;
use selfreward::train::hand::pass::Manner;
use selfreward::train::lora::{Adapters, LoraSettings};
use selfreward::train::optimizer::{OptimizerSettings, square};
use selfreward::train::parameters::Numbers;
use selfreward::train::reward::{Ranked, Reward, RewardSettings};
use selfreward::train::schedule::{Curve, Schedule};
use selfreward::train::state;
use selfreward::train::step::LessonSettings;
use selfreward::train::student::Student;
use selfreward::train::workers::Workers;

use crate::llama_fixtures::{self, CASES};

fn sequence(tokens: usize, from: usize, key: usize) -> Sequence {
    let tokens: Vec<u32> = (0..tokens).map(|at| 3 + ((at * 7 + key * 13) % 90) as u32).collect();
    let all = tokens.len();
    Sequence::new(tokens, from..all, 256).unwrap()
}

/// A reward model whose score is not zero.
fn net(case: &str) -> Net {
    let (folder, _) = llama_fixtures::load(case);
    let mut net = Net::load(&folder.shape, &folder).unwrap().into_reward_model().unwrap();
    let score = net.trained_numbers().last_mut().unwrap();
    score.iter_mut().enumerate().for_each(|(at, w)| *w = 0.1 * (at as f32).sin());
    net
}

fn gradient(net: &Net, rows: &[&Sequence], manner: Manner, by: &[f64]) -> (Vec<f64>, Numbers) {
    let mut sum: Numbers = net.trained().iter().map(|parameter| vec![0.0; parameter.len()]).collect();
    let rewards = net.reward_gradient(rows, manner, |_| by.to_vec(), &mut sum).unwrap();
    (rewards, sum)
}

#[test]
fn the_gradient_of_rewards_is_that_of_finite_differences() {
    let rows = [sequence(20, 5, 1), sequence(33, 1, 2), sequence(9, 8, 3)];
    let rows: Vec<&Sequence> = rows.iter().collect();
    let by = [1.0, -0.7, 0.4];
    for case in CASES {
        let mut net = net(case);
        let (rewards, analytic) = gradient(&net, &rows, Manner::default(), &by);
        assert_eq!(net.rewards(&rows).unwrap(), rewards, "{case}: scoring and learning see the same bits");
        let names: Vec<String> = net.trained().into_iter().map(|parameter| parameter.name).collect();
        assert_eq!(names.last().unwrap(), SCORE);
        let loss = |net: &Net| net.rewards(&rows).unwrap().iter().zip(by).map(|(r, by)| r * by).sum::<f64>();
        for (at, name) in names.iter().enumerate() {
            // Along the gradient itself: the slope is its length.
            let length = square(&analytic[at]).sqrt();
            if length < 1e-6 {
                continue;
            }
            let step = 2e-3;
            let mut ends = [0.0; 2];
            for (end, sign) in ends.iter_mut().zip([1.0, -1.0]) {
                let move_by = |net: &mut Net, sign: f64| {
                    let numbers = &mut net.trained_numbers()[at];
                    numbers.iter_mut().zip(&analytic[at]).for_each(|(x, g)| *x += (sign * step / length) as f32 * g);
                };
                move_by(&mut net, sign);
                *end = loss(&net);
                move_by(&mut net, -sign);
            }
            let slope = (ends[0] - ends[1]) / (2.0 * step);
            assert!((slope - length).abs() < 0.02 * length + 2e-3, "{case}, {name}: {slope} for {length}");
        }
    }
}

#[test]
fn texts_together_have_the_rewards_and_the_gradient_that_they_have_alone() {
    let rows = [sequence(20, 5, 1), sequence(80, 1, 2), sequence(9, 8, 3)];
    let by = [0.5, -1.0, 2.0];
    for case in CASES {
        let net = net(case);
        let all: Vec<&Sequence> = rows.iter().collect();
        let (together, sum) = gradient(&net, &all, Manner::default(), &by);
        let mut alone: Numbers = sum.iter().map(|numbers| vec![0.0; numbers.len()]).collect();
        for (at, row) in rows.iter().enumerate() {
            let (own, part) = gradient(&net, &[row], Manner::default(), &by[at..=at]);
            assert!((own[0] - together[at]).abs() < 1e-4, "{case}: {} {}", own[0], together[at]);
            alone.iter_mut().zip(&part).for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(a, b)| *a += b));
        }
        for (a, b) in sum.iter().zip(&alone) {
            let off: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            assert!((square(&off) / square(a).max(1e-9)).sqrt() < 1e-4, "{case}");
        }
        let dropout = Some(Dropout { rate: 0.3, key: 9 });
        for manner in [Manner::default(), Manner { dropout, ..Manner::default() }] {
            let again = Manner { recompute: true, ..manner };
            assert!(gradient(&net, &all, manner, &by) == gradient(&net, &all, again, &by), "{case} {manner:?}");
        }
    }
}

#[test]
fn only_the_end_of_a_text_and_what_stands_before_it_counts() {
    let net = net("gqa_llama3_bf16");
    let row = sequence(20, 5, 1);
    let mut longer = row.clone();
    longer.tokens.extend([7, 8, 9]);
    assert_eq!(net.rewards(&[&row]).unwrap(), net.rewards(&[&longer]).unwrap(), "tokens after the reply are not read");
    let mut other = row.clone();
    *other.tokens.last_mut().unwrap() = 5;
    assert_ne!(net.rewards(&[&row]).unwrap(), net.rewards(&[&other]).unwrap(), "the last token is read");
}

#[test]
fn a_reward_model_scores_and_does_nothing_else() {
    let row = sequence(20, 5, 1);
    let (folder, _) = llama_fixtures::load("gqa_llama3_bf16");
    let writer = Net::load(&folder.shape, &folder).unwrap();
    assert!(format!("{:#}", writer.rewards(&[&row]).unwrap_err()).contains("no reward model"));
    let net = net("gqa_llama3_bf16");
    assert!(format!("{:#}", net.log_probs(&[&row]).unwrap_err()).contains("writes none"));
    assert!(format!("{:#}", net.into_reward_model().unwrap_err()).contains("already"));
    let mut adapted = Net::load(&folder.shape, &folder).unwrap();
    let targets = vec!["q_proj".to_owned()];
    let lora = LoraSettings { rank: 2, alpha: 4.0, dropout: 0.0, targets };
    adapted.attach(Adapters::new(&folder.shape, lora, 1).unwrap());
    assert!(format!("{:#}", adapted.into_reward_model().unwrap_err()).contains("lora.rank = 0"));
    let graph =
        selfreward::model::llama::Llama::load(&folder.shape, &folder, burn::tensor::DType::F32, &Device::flex())
            .unwrap();
    let refused = Student::from(graph).into_reward_model().unwrap_err();
    assert!(format!("{refused:#}").contains("on a processor"));
}

fn saved(net: &Net, from: &Folder, to: &Path) {
    let mut companions = from.companions().unwrap();
    companions.config = Shape::as_reward_model(companions.config);
    folder::save(to, &net.to_weights().unwrap(), &companions).unwrap();
}

#[test]
fn its_folder_is_a_classifier_of_one_label_and_is_read_again() {
    let scratch = tempfile::tempdir().unwrap();
    let row = sequence(20, 5, 1);
    for case in CASES {
        let (folder, _) = llama_fixtures::load(case);
        let net = net(case);
        let path = scratch.path().join(case);
        saved(&net, &folder, &path);
        let config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
        assert_eq!(config["architectures"], serde_json::json!(["LlamaForSequenceClassification"]));
        assert_eq!((&config["num_labels"], &config["id2label"]["0"]), (&1.into(), &"reward".into()));
        let read = Folder::open(&path).unwrap();
        assert!(read.shape.reward);
        assert_eq!(read.tensor(SCORE).unwrap().dims, [1, read.shape.hidden]);
        assert!(read.entry("lm_head.weight").is_err(), "{case}: it has no words");
        let again = Net::load(&read.shape, &read).unwrap();
        assert_eq!(again.rewards(&[&row]).unwrap(), net.rewards(&[&row]).unwrap(), "{case}");
        // Several labels are no reward.
        let mut several = config.clone();
        several["num_labels"] = 3.into();
        std::fs::write(path.join("config.json"), several.to_string()).unwrap();
        assert!(format!("{:#}", Folder::open(&path).unwrap_err()).contains("3 labels"));
    }
}

fn settings(seed: u64) -> RewardSettings {
    let schedule = Schedule { curve: Curve::Linear, lr: 3e-3, lr_end: 3e-4, warmup: 0.0 };
    let lesson = LessonSettings {
        optimizer: OptimizerSettings::default(),
        schedule,
        batch: 4,
        epochs: 6,
        most_positions: 1 << 12,
        dropout: 0.1,
        adapter_dropout: 0.0,
        recompute: false,
        seed,
    };
    RewardSettings { lesson, label_smoothing: 0.0 }
}

/// The better reply ends in one of two tokens.
fn pairs(count: usize) -> Vec<Ranked> {
    let pair = |key: usize| {
        let mut chosen = sequence(12, 5, key);
        let mut rejected = sequence(12 + key % 3, 5, key + 1000);
        *chosen.tokens.last_mut().unwrap() = 5;
        *rejected.tokens.last_mut().unwrap() = 40;
        Ranked { chosen, rejected }
    };
    (0..count).map(pair).collect()
}

#[test]
fn it_learns_to_rank_and_goes_on_from_a_checkpoint_to_the_same_bits() {
    let (folder, _) = llama_fixtures::load("gqa_llama3_bf16");
    let student = || Net::load(&folder.shape, &folder).unwrap();
    let begin = |student: Student| {
        let held_out = pairs(40).split_off(16);
        Reward::new(student, pairs(16), held_out, settings(3), Workers::new(2).unwrap()).unwrap()
    };
    let mut whole = begin(student().into());
    let first = whole.step().unwrap();
    assert!((first.loss - std::f64::consts::LN_2).abs() < 1e-9, "a score of zero knows nothing: {}", first.loss);
    assert_eq!(first.reward.unwrap().accuracy, 0.5);
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("between");
    for step in 2..=whole.pupil.steps {
        let report = whole.step().unwrap();
        assert!(report.applied);
        if step == 7 {
            let Student::Hand(net) = whole.pupil.student().unwrap() else { panic!("by hand") };
            saved(net, &folder, &path);
            state::write(&path, &whole.pupil, &whole.fingerprint()).unwrap();
        }
    }
    assert!(whole.held_out().unwrap().unwrap() > 0.9, "{:?}", whole.held_out());
    let read = Folder::open(&path).unwrap();
    let mut resumed = begin(Net::load(&read.shape, &read).unwrap().into());
    let print = resumed.fingerprint();
    state::restore(&path, 7, &mut resumed.pupil, &print).unwrap();
    while resumed.pupil.taken < resumed.pupil.steps {
        resumed.step().unwrap();
    }
    let weights = |reward: &Reward| reward.pupil.student().unwrap().to_weights().unwrap();
    assert!(weights(&whole) == weights(&resumed), "the same bits");
}
