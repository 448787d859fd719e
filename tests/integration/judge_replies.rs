//! The score parser and the signs of gaming on published answers and judge replies.

use std::collections::BTreeMap;

use selfreward::recipe::score::read_score;
use selfreward::recipe::signs::{gaming, smuggled};
use serde::Deserialize;

use crate::shared_data::shared;

#[derive(Deserialize)]
struct Row {
    completion: BTreeMap<String, Completion>,
}

#[derive(Deserialize)]
struct Completion {
    content: String,
    score: i32,
    /// The judge's prompt and then its reply, in one string.
    reasoning: String,
}

fn completions(file: &str) -> Option<Vec<Completion>> {
    let path = shared(&format!("data/self-reward-rlhf/{file}"))?;
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Row>(line).unwrap());
    Some(rows.flat_map(|row| row.completion.into_values()).collect())
}

#[test]
fn published_answers_are_not_taken_for_forgeries() {
    let Some(all) = completions("gbt_scores.jsonl") else { return };
    assert_eq!(all.len(), 800);
    let flagged: Vec<String> = all.iter().filter_map(|one| gaming(&one.content)).collect();
    assert!(flagged.is_empty(), "{flagged:?}");
    let hidden = all.iter().filter(|one| smuggled(&one.content) > 0).count();
    assert!(hidden < 8, "{hidden}");
}

/// The files keep what the model wrote after the end of its turn; our judge stops there.
fn turn(one: &Completion) -> &str {
    let (_, reply) = one.reasoning.split_once("<|im_start|>assistant").unwrap();
    reply.split("<|im_end|>").next().unwrap()
}

#[test]
fn verdicts_of_a_published_judge_are_read_from_its_own_turn() {
    let Some(all) = completions("scores_M1.jsonl") else { return };
    let (mut same, mut missing) = (0, 0);
    for one in &all {
        match read_score(turn(one)).score {
            Ok(score) if score == f64::from(one.score) => same += 1,
            Ok(score) => panic!("{score} is not {}: {:?}", one.score, turn(one)),
            Err(_) => missing += 1,
        }
    }
    assert_eq!((same, missing), (797, 3));
}

#[test]
fn a_collapsed_judge_is_no_artefact_of_the_parser() {
    let Some(all) = completions("scores_M2.jsonl") else { return };
    let (mut parsed, mut rescued) = (0, 0);
    for one in &all {
        let (_, reply) = one.reasoning.split_once("up to 100 words.\n    <|im_end|>").unwrap();
        let found = read_score(reply).score.is_ok();
        parsed += u32::from(found);
        rescued += u32::from(found && one.score < 0);
    }
    // The file says 173 of 800, by the first digit after the word. What is refused of these: two answers, 10 and 25 points, sums.
    assert_eq!((parsed, rescued), (166, 3));
}
