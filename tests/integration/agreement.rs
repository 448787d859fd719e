//! Agreement measures against scipy's numbers on hand-made tables, and against the published score files.

use std::collections::BTreeMap;
use std::path::Path;

use selfreward::recipe::agreement::{AgreementSettings, Response, agreement};
use selfreward::recipe::seeds::Seed;
use selfreward::recipe::statistics::{entropy, wilson};
use selfreward::run::measures::{Agreement, Interval};
use serde::Deserialize;
use serde_json::Value;

use crate::shared_data::shared;

/// Made by tests/golden/agreement.py.
const GOLDEN: &str = include_str!("../fixtures/agreement.json");

fn measured(instructions: &[Vec<Response>]) -> Agreement {
    agreement(instructions, &AgreementSettings::default(), Seed::root(1))
}

fn close(found: f64, expected: f64, by: f64) -> bool {
    (found - expected).abs() <= by
}

#[test]
fn hand_made_tables_give_what_scipy_gives() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let tables = golden["agreement"].as_array().unwrap();
    assert!(tables.len() >= 8);
    for table in tables {
        let rows: Vec<Vec<(Option<f64>, Option<f64>)>> = serde_json::from_value(table["instructions"].clone()).unwrap();
        let instructions: Vec<Vec<Response>> =
            rows.iter().map(|rows| rows.iter().map(|&(judge, rank)| Response { judge, rank }).collect()).collect();
        let found = serde_json::to_value(measured(&instructions)).unwrap();
        for (key, expected) in table["expected"].as_object().unwrap() {
            let same = match (expected.as_f64(), found[key].as_f64()) {
                (Some(expected), Some(found)) => close(found, expected, 1e-9),
                _ => *expected == found[key],
            };
            assert!(same, "{}: {key} is {}, not {expected}", table["name"], found[key]);
        }
    }
}

#[test]
fn intervals_and_entropy_are_scipys() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    for row in golden["wilson"].as_array().unwrap() {
        let number = |key: &str| row[key].as_u64().unwrap() as u32;
        let found = wilson(number("hits"), number("n")).unwrap();
        let expected = (row["low"].as_f64().unwrap(), row["high"].as_f64().unwrap());
        assert!(close(found.low, expected.0, 1e-9) && close(found.high, expected.1, 1e-9), "{row}: {found:?}");
    }
    for row in golden["entropy"].as_array().unwrap() {
        let counts: Vec<u32> = serde_json::from_value(row["counts"].clone()).unwrap();
        assert!(close(entropy(&counts).unwrap(), row["bits"].as_f64().unwrap(), 1e-12), "{row}");
    }
}

#[test]
fn the_interval_holds_the_figure_and_narrows_with_more_instructions() {
    let instruction = |right: bool| {
        let (a, b) = if right { (4.0, 2.0) } else { (2.0, 4.0) };
        vec![Response { judge: Some(a), rank: Some(0.0) }, Response { judge: Some(b), rank: Some(1.0) }]
    };
    let width = |n: usize| {
        let instructions: Vec<Vec<Response>> = (0..n).map(|at| instruction(at % 4 != 0)).collect();
        let found = measured(&instructions);
        let Interval { low, high } = found.interval.unwrap();
        assert!(low <= 0.75 && 0.75 <= high && found.interval == found.interval_strict, "{found:?}");
        high - low
    };
    // The normal approximation: 2 * 1.96 * sqrt(.75 * .25 / n).
    assert!(close(width(100), 0.1697, 0.03) && close(width(1600), 0.0424, 0.008));
    assert_eq!(measured(&[instruction(true)]).interval, None, "one instruction has no interval");
    assert_eq!(measured(&[]), Agreement::default());
}

#[test]
fn chance_is_half_of_what_the_judge_decides() {
    let tied = vec![Response { judge: Some(4.0), rank: Some(0.0) }, Response { judge: Some(4.0), rank: Some(1.0) }];
    let decided = vec![Response { judge: Some(5.0), rank: Some(0.0) }, Response { judge: Some(4.0), rank: Some(1.0) }];
    assert_eq!(measured(&[tied, decided]).chance_strict, Some(0.25));
}

/// A row of the published score files.
#[derive(Deserialize)]
struct Row {
    prompt_id: String,
    completion: BTreeMap<String, Completion>,
}

#[derive(Deserialize)]
struct Completion {
    content: String,
    score: i32,
}

fn rows(folder: &Path, name: &str) -> BTreeMap<String, Vec<Completion>> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Row>(line).unwrap());
    rows.map(|row| (row.prompt_id, row.completion.into_values().collect())).collect()
}

/// Joined by prompt and equal content, never by position; -1 is how the files write a missing score.
fn joined(
    judge: &BTreeMap<String, Vec<Completion>>,
    reference: &BTreeMap<String, Vec<Completion>>,
) -> Vec<Vec<Response>> {
    let parsed = |score: i32| (score >= 0).then_some(f64::from(score));
    let join = |(id, completions): (&String, &Vec<Completion>)| {
        let mut left: Vec<&Completion> = judge[id].iter().collect();
        let take = |one: &Completion| {
            let at = left.iter().position(|other| other.content == one.content)?;
            Some(Response { judge: parsed(left.remove(at).score), rank: parsed(one.score).map(|score| -score) })
        };
        completions.iter().filter_map(take).collect()
    };
    reference.iter().map(join).collect()
}

#[test]
fn the_published_score_files_give_their_golden_values() {
    let Some(folder) = shared("data/self-reward-rlhf") else { return };
    let reference = rows(&folder, "gbt_scores.jsonl");
    let table = [
        // file, [strict, half, excluding, five best, exact, rho, tau, pooled rho, pooled tau], [right+ties+unparsed …], counts
        (
            "scores_M1.jsonl",
            [
                Some(0.34256),
                Some(0.51298),
                Some(0.52381),
                Some(0.64339),
                Some(0.02759),
                Some(0.03389),
                Some(0.03781),
                Some(0.10297),
                Some(0.08980),
            ],
            [578, 197, 3, 401, 145, 135, 1],
        ),
        (
            "scores_M2.jsonl",
            [
                Some(0.01557),
                Some(0.02249),
                Some(0.40909),
                Some(0.76471),
                None,
                None,
                None,
                Some(0.04083),
                Some(0.03667),
            ],
            [578, 8, 548, 17, 0, 0, 627],
        ),
    ];
    for (name, values, counts) in table {
        let found = measured(&joined(&rows(&folder, name), &reference));
        assert_eq!((found.prompts > 0, found.responses), (true, 800), "{name}");
        let shares = [
            found.pairwise_strict,
            found.pairwise_half,
            found.pairwise_excluding,
            found.five_best,
            found.exact_match,
            found.spearman,
            found.kendall,
            found.pooled_spearman,
            found.pooled_kendall,
        ];
        for (at, (share, expected)) in shares.into_iter().zip(values).enumerate() {
            let same = match (share, expected) {
                (Some(share), Some(expected)) => close(share, expected, 1e-5),
                (share, expected) => share == expected,
            };
            assert!(same, "{name}, value {at}: {share:?} is not {expected:?}");
        }
        let counted = [
            found.pairs,
            found.ties,
            found.unparsed_pairs,
            found.five_best_n,
            found.exact_match_n,
            found.spearman_n,
            found.unparsed,
        ];
        assert_eq!(counted, counts, "{name}");
    }
}
