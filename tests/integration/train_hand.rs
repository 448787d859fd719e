//! Training by hand against the graph: packed as padded, computed again as kept, thinned alike; and adapters as PEFT has them.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use selfreward::model::llama::Llama;
use selfreward::train::adapter_folder;
use selfreward::train::batch::Sequence;
use selfreward::train::dropout::Dropout;
use selfreward::train::hand::net::Net;
use selfreward::train::hand::pass::Manner;
use selfreward::train::lora::{Adapters, LoraSettings, TARGETS};
use selfreward::train::optimizer::square;
use selfreward::train::parameters::{Numbers, Parameter};
use selfreward::train::student::Student;
use serde::Deserialize;

use crate::llama_fixtures::{self, CASES};

fn sequence(tokens: usize, from: usize, key: usize) -> Sequence {
    let tokens: Vec<u32> = (0..tokens).map(|at| 3 + ((at * 7 + key * 13) % 90) as u32).collect();
    let all = tokens.len();
    Sequence::new(tokens, from..all, 256).unwrap()
}

fn hand(case: &str) -> Net {
    let (folder, _) = llama_fixtures::load(case);
    Net::load(&folder.shape, &folder).unwrap()
}

fn graph(case: &str) -> Student {
    let (folder, _) = llama_fixtures::load(case);
    Llama::load(&folder.shape, &folder, DType::F32, &Device::flex()).unwrap().into()
}

/// Log-probs and gradient of a loss that weighs every token differently.
fn gradient(student: &Student, rows: &[&Sequence], manner: Manner) -> (Vec<f32>, Vec<(Parameter, Vec<f32>)>) {
    let mut sum = Numbers::new();
    let weigh = |log_probs: &Vec<Vec<f32>>| {
        let of = |(row, own): (usize, &Vec<f32>)| (0..own.len()).map(|at| ((row + 2 * at) as f32).cos()).collect();
        log_probs.iter().enumerate().map(of).collect()
    };
    let log_probs = student.handle().gradient(rows, manner, weigh, &mut sum).unwrap();
    (log_probs.concat(), student.trained().into_iter().zip(sum).collect())
}

fn off(found: &[f32], expected: &[f32]) -> f64 {
    let difference: Vec<f32> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
    assert_eq!(found.len(), expected.len());
    (square(&difference) / square(expected).max(1e-12)).sqrt()
}

#[test]
fn texts_one_behind_the_other_give_what_padded_rows_give() {
    let apart = [sequence(20, 5, 1), sequence(80, 1, 2), sequence(9, 8, 3), sequence(150, 70, 4)];
    // One beginning for four, of which two go on alike for longer; one that is there twice; one that ends within another.
    let parted = |shared: usize, tokens: usize, from: usize, key: usize| {
        let mut parted = sequence(tokens, from, 4);
        parted.tokens[shared..].copy_from_slice(&sequence(tokens, from, key).tokens[shared..]);
        parted
    };
    let alike = [
        parted(30, 90, 60, 5),
        sequence(150, 70, 4),
        parted(100, 130, 40, 6),
        sequence(60, 50, 4),
        sequence(20, 5, 1),
        sequence(20, 5, 1),
        parted(3, 40, 2, 7),
    ];
    for (case, rows) in CASES.iter().flat_map(|&case| [(case, &apart[..]), (case, &alike[..])]) {
        let rows: Vec<&Sequence> = rows.iter().collect();
        let (expected, by_graph) = gradient(&graph(case), &rows, Manner::default());
        let packed: Student = hand(case).into();
        let (found, by_hand) = gradient(&packed, &rows, Manner::default());
        assert!(off(&found, &expected) < 1e-5, "{case}: {}", off(&found, &expected));
        for (parameter, numbers) in &by_hand {
            let (_, expected) = by_graph.iter().find(|(other, _)| other.name == parameter.name).unwrap();
            let off = off(numbers, expected);
            assert!(off < 1e-4, "{case}, {}: {off}", parameter.name);
        }
        // Alone or together: the same numbers.
        let mut from = 0;
        for row in &rows {
            let (alone, _) = gradient(&packed, &[row], Manner::default());
            assert!(off(&alone, &found[from..from + alone.len()]) < 1e-5, "{case}");
            from += alone.len();
        }
        let scored = packed.handle().log_probs(&rows).unwrap().concat();
        assert_eq!(scored, found, "{case}: scoring and learning see the same bits");
    }
}

#[test]
fn layers_that_are_computed_again_give_the_same_bits() {
    let rows = [sequence(70, 5, 1), sequence(33, 1, 2)];
    let rows: Vec<&Sequence> = rows.iter().collect();
    let dropout = Some(Dropout { rate: 0.3, key: 9 });
    for case in CASES {
        for manner in [Manner::default(), Manner { dropout, ..Manner::default() }] {
            let student: Student = hand(case).into();
            let kept = gradient(&student, &rows, manner);
            let again = gradient(&student, &rows, Manner { recompute: true, ..manner });
            assert!(kept == again, "{case} {manner:?}");
        }
    }
}

#[test]
fn dropout_thins_the_same_numbers_by_hand_and_in_the_graph() {
    // Rows of 16 positions need no padding, so that masks fall on the same places.
    let rows = [sequence(17, 5, 1), sequence(17, 1, 2)];
    let rows: Vec<&Sequence> = rows.iter().collect();
    let manner = Manner { dropout: Some(Dropout { rate: 0.4, key: 3 }), ..Manner::default() };
    let (expected, by_graph) = gradient(&graph("mha"), &rows, manner);
    let (found, by_hand) = gradient(&hand("mha").into(), &rows, manner);
    assert!(off(&found, &expected) < 1e-5);
    let (whole, _) = gradient(&graph("mha"), &rows, Manner::default());
    assert!(off(&whole, &expected) > 1e-2, "dropout drops something");
    for (parameter, numbers) in &by_hand {
        let (_, expected) = by_graph.iter().find(|(other, _)| other.name == parameter.name).unwrap();
        assert!(off(numbers, expected) < 1e-4, "{}", parameter.name);
    }
}

fn settings(targets: &[&str], dropout: f64) -> LoraSettings {
    LoraSettings { rank: 4, alpha: 8.0, dropout, targets: targets.iter().map(|&name| name.to_owned()).collect() }
}

#[test]
fn a_fresh_adapter_changes_nothing_and_a_trained_one_is_what_it_is_merged_to() {
    let rows = [sequence(40, 5, 1), sequence(33, 1, 2)];
    let rows: Vec<&Sequence> = rows.iter().collect();
    for case in CASES {
        let mut net = hand(case);
        let plain = net.log_probs(&rows).unwrap().concat();
        net.attach(Adapters::new(&net.shape, settings(&TARGETS, 0.0), 1).unwrap());
        assert_eq!(net.log_probs(&rows).unwrap().concat(), plain, "{case}: adapter off is the reference");
        for (at, numbers) in net.trained_numbers().iter_mut().enumerate() {
            numbers.iter_mut().enumerate().for_each(|(i, x)| *x += 0.05 * ((i + at) as f32).sin());
        }
        let adapted = net.log_probs(&rows).unwrap().concat();
        assert!(off(&adapted, &plain) > 1e-2, "{case}");
        net.merge().unwrap();
        let merged = net.log_probs(&rows).unwrap().concat();
        assert!(off(&merged, &adapted) < 1e-5, "{case}: {}", off(&merged, &adapted));
    }
}

#[test]
fn gradients_of_adapters_are_those_of_finite_differences_dropout_included() {
    let rows = [sequence(24, 5, 1), sequence(17, 1, 2)];
    let rows: Vec<&Sequence> = rows.iter().collect();
    for dropout in [None, Some(Dropout { rate: 0.3, key: 5 })] {
        let mut net = hand("biases");
        net.attach(Adapters::new(&net.shape, settings(&TARGETS, 0.3), 1).unwrap());
        for (at, numbers) in net.trained_numbers().iter_mut().enumerate() {
            numbers.iter_mut().enumerate().for_each(|(i, x)| *x += 0.05 * ((i + at) as f32).sin());
        }
        let mut student: Student = net.into();
        let manner = Manner { adapter_dropout: dropout, ..Manner::default() };
        let weights: Vec<f32> = {
            let lengths: Vec<usize> = rows.iter().map(|row| row.reply.len()).collect();
            let of = |(row, &length): (usize, &usize)| (0..length).map(move |at| ((row + 2 * at) as f32).cos());
            lengths.iter().enumerate().flat_map(of).collect()
        };
        let (_, by) = gradient(&student, &rows, manner);
        let loss = |student: &Student| -> f64 {
            let (log_probs, _) = gradient(student, &rows, manner);
            log_probs.iter().zip(&weights).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        let count = by.len();
        for at in (0..count).step_by(5) {
            // Along the gradient the loss rises by the gradient's own length.
            let length = square(&by[at].1).sqrt();
            let step = 2e-3 / length.max(1e-9);
            let mut moved = |sign: f64| {
                let Student::Hand(net) = &mut student else { panic!("by hand") };
                let numbers = &mut net.trained_numbers()[at];
                numbers.iter_mut().zip(&by[at].1).for_each(|(x, by)| *x += (sign * step) as f32 * by);
                loss(&student)
            };
            let up = moved(1.0);
            let down = moved(-2.0);
            moved(1.0);
            let slope = (up - down) / (2.0 * step * length);
            assert!((slope - length).abs() <= 2e-2 * length + 1e-3, "{} {dropout:?}: {slope} {length}", by[at].0.name);
        }
    }
}

#[derive(Deserialize)]
struct Golden {
    texts: Vec<Vec<u32>>,
    log_probs: Vec<Vec<f32>>,
    norms: std::collections::BTreeMap<String, f64>,
}

fn peft() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/train/peft")
}

#[test]
fn an_adapter_that_peft_saved_gives_peft_s_log_probs_and_gradients() {
    let golden: Golden = serde_json::from_slice(&std::fs::read(peft().join("golden.json")).unwrap()).unwrap();
    let base = adapter_folder::base_of(&peft()).unwrap();
    assert_eq!(base.canonicalize().unwrap(), llama_fixtures::path("tied").canonicalize().unwrap());
    let mut net = hand("tied");
    net.attach(adapter_folder::read(&peft(), &net.shape).unwrap());
    let rows: Vec<Sequence> =
        golden.texts.iter().map(|text| Sequence::new(text.clone(), 0..text.len(), 256).unwrap()).collect();
    let rows: Vec<&Sequence> = rows.iter().collect();
    let student: Student = net.into();
    let tokens: usize = golden.log_probs.iter().map(Vec::len).sum();
    let mut sum = Numbers::new();
    let mean = |log_probs: &Vec<Vec<f32>>| -> Vec<Vec<f32>> {
        log_probs.iter().map(|own| vec![-1.0 / tokens as f32; own.len()]).collect()
    };
    let found = student.handle().gradient(&rows, Manner::default(), mean, &mut sum).unwrap();
    assert!(off(&found.concat(), &golden.log_probs.concat()) < 1e-5);
    let trained = student.trained();
    assert_eq!(trained.len(), golden.norms.len());
    for (parameter, numbers) in trained.iter().zip(&sum) {
        let (found, expected) = (square(numbers).sqrt(), golden.norms[&parameter.name]);
        assert!((found - expected).abs() <= 1e-4 * expected + 1e-9, "{}: {found} {expected}", parameter.name);
    }
}

#[test]
fn an_adapter_comes_back_from_its_folder_and_what_cannot_be_applied_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let net = hand("tied");
    let written = adapter_folder::read(&peft(), &net.shape).unwrap();
    adapter_folder::write(root.path(), &written, &llama_fixtures::path("tied")).unwrap();
    assert_eq!(adapter_folder::read(root.path(), &net.shape).unwrap(), written);
    let config = std::fs::read_to_string(root.path().join("adapter_config.json")).unwrap();
    let refuse = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        std::fs::write(root.path().join("adapter_config.json"), config.replace(from, to)).unwrap();
        format!("{:#}", adapter_folder::read(root.path(), &net.shape).unwrap_err())
    };
    for (from, to, says) in [
        ("\"LORA\"", "\"IA3\"", "no LoRA adapter"),
        ("\"use_dora\": false", "\"use_dora\": true", "use_dora is not supported"),
        ("\"use_rslora\": false", "\"use_rslora\": true", "use_rslora is not supported"),
        ("\"r\": 3", "\"r\": 4", "has another shape"),
        ("\"r\": 3", "\"r\": 900000000", "more than the model's matrices"),
        ("\"down_proj\"", "\"lm_head\"", "is none of"),
        ("\"down_proj\"", "\"up_proj\"", "up_proj.lora_A.weight"),
    ] {
        let error = refuse(from, to);
        assert!(error.contains(says), "{to}: {error}");
    }
    std::fs::remove_file(root.path().join("adapter_model.safetensors")).unwrap();
    std::fs::write(root.path().join("adapter_config.json"), &config).unwrap();
    assert!(adapter_folder::read(Path::new(root.path()), &net.shape).is_err());
}
