//! Score files: both shapes, what is missing, and two files joined by what they say and never by position.

use selfreward::data::{Joined, JoinedResponse, Limits, Read, ScoredPrompt, join, scores};
use selfreward::recipe::agreement::{AgreementSettings, agreement};
use selfreward::recipe::seeds::Seed;

use crate::data_files::file;
use crate::shared_data::shared;

fn read(text: &str) -> Read<ScoredPrompt> {
    try_read(text).unwrap()
}

fn try_read(text: &str) -> anyhow::Result<Read<ScoredPrompt>> {
    let (_folder, path) = file(text.as_bytes());
    scores::read(&path, Limits::default())
}

fn joined(judge: &str, reference: &str) -> Joined {
    join(&read(judge).rows, &read(reference).rows)
}

fn values(joined: &Joined) -> Vec<(Option<f64>, Option<f64>)> {
    joined.prompts.iter().flat_map(|prompt| &prompt.responses).map(|r| (r.judge_score, r.reference_rank)).collect()
}

const KEYED: &str = r#"{"prompt_id":"p","prompt":"q","completion":{"0":{"content":"a","score":4},"1":{"content":"b","score":-1},"2":{"content":"c","score":2.5}}}"#;

#[test]
fn a_score_of_minus_one_is_missing_where_it_means_that_and_a_number_where_it_is_one() {
    let table = [
        ("keyed", KEYED, vec![Some(4.0), None, Some(2.5)]),
        ("plain", r#"{"prompt_id":"p","response_id":"a","score":-1}"#, vec![Some(-1.0)]),
        ("null", r#"{"prompt_id":"p","response_id":"a","score":null}"#, vec![None]),
        ("NaN as text", r#"{"prompt_id":"p","response_id":"a","score":"NaN"}"#, vec![None]),
        ("a number as text", r#"{"prompt_id":"p","response_id":"a","score":" 4.5 "}"#, vec![Some(4.5)]),
        (
            "a list",
            r#"{"prompt":"q","responses":[{"text":"a","score":1},{"text":"b","score":-1}]}"#,
            vec![Some(1.0), Some(-1.0)],
        ),
    ];
    for (name, text, expected) in table {
        let read = read(text);
        assert_eq!(read.rows[0].responses.iter().map(|r| r.score).collect::<Vec<_>>(), expected, "{name}");
        let missing = expected.iter().filter(|score| score.is_none()).count();
        assert_eq!(read.noted.values().sum::<usize>(), missing, "{name}");
    }
}

#[test]
fn rows_join_by_prompt_id_and_equal_text_wherever_they_stand() {
    let keyed_otherwise = r#"{"prompt_id":"other","prompt":"z","completion":{"0":{"content":"z","score":1}}}
        {"prompt_id":"p","prompt":"q","completion":{"0":{"content":"c","score":5},"1":{"content":"a","score":3},"2":{"content":"d","score":0}}}"#
        .replace("\n        ", "\n");
    let found = joined(KEYED, &keyed_otherwise);
    assert_eq!(values(&found), [(Some(4.0), Some(-3.0)), (Some(2.5), Some(-5.0))]);
    assert_eq!((found.judge_alone.prompts, found.judge_alone.responses), (0, 1));
    assert_eq!((found.reference_alone.prompts, found.reference_alone.responses), (1, 2));
}

#[test]
fn what_joins_and_what_does_not_is_counted_on_both_sides() {
    let plain = |rows: &[(&str, &str, &str)]| -> String {
        rows.iter()
            .map(|(prompt, response, mark)| {
                format!("{{\"prompt_id\":\"{prompt}\",\"response_id\":\"{response}\",{mark}}}\n")
            })
            .collect()
    };
    // name, judge, reference, joined values, judge alone (prompts, responses), reference alone
    type Case = (&'static str, String, String, Vec<(Option<f64>, Option<f64>)>, (usize, usize), (usize, usize));
    let table: Vec<Case> = vec![
        (
            "plain rows join by response id in any order",
            plain(&[("p", "x", "\"score\":3"), ("p", "y", "\"score\":1")]),
            plain(&[("p", "y", "\"rank\":2"), ("p", "x", "\"rank\":1")]),
            vec![(Some(3.0), Some(1.0)), (Some(1.0), Some(2.0))],
            (0, 0),
            (0, 0),
        ),
        (
            "a judge that ranks gives the negated rank, a reference that scores the negated score",
            plain(&[("p", "x", "\"rank\":0")]),
            plain(&[("p", "x", "\"score\":5")]),
            vec![(Some(0.0), Some(-5.0))],
            (0, 0),
            (0, 0),
        ),
        (
            "a missing score joins and stays missing",
            plain(&[("p", "x", "\"score\":null")]),
            plain(&[("p", "x", "\"rank\":1")]),
            vec![(None, Some(1.0))],
            (0, 0),
            (0, 0),
        ),
        (
            "keys of a completion are positions, not ids",
            KEYED.to_string(),
            plain(&[("p", "0", "\"rank\":1"), ("p", "1", "\"rank\":2")]),
            vec![],
            (1, 3),
            (1, 2),
        ),
        (
            "plain rows with the response's text join with keyed ones",
            KEYED.to_string(),
            r#"{"prompt_id":"p","response_id":"7","response":"c","rank":1}"#.to_string(),
            vec![(Some(2.5), Some(1.0))],
            (0, 2),
            (0, 0),
        ),
        (
            "the same id with another prompt does not join",
            KEYED.to_string(),
            KEYED.replace("\"q\"", "\"another\""),
            vec![],
            (1, 3),
            (1, 3),
        ),
        (
            "without ids the prompt's text is the id",
            r#"{"prompt":"q","response":"a","score":1}"#.to_string(),
            r#"{"prompt":"q","responses":[{"text":"b","rank":2},{"text":"a","rank":1}]}"#.to_string(),
            vec![(Some(1.0), Some(1.0))],
            (0, 0),
            (0, 1),
        ),
        (
            "the same text twice joins once each",
            r#"{"prompt":"q","completion":{"0":{"content":"a","score":1},"1":{"content":"a","score":2}}}"#.to_string(),
            r#"{"prompt":"q","completion":{"0":{"content":"a","score":3}}}"#.to_string(),
            vec![(Some(1.0), Some(-3.0))],
            (0, 1),
            (0, 0),
        ),
    ];
    for (name, judge, reference, expected, ours, theirs) in table {
        let found = joined(&judge, &reference);
        assert_eq!(values(&found), expected, "{name}");
        assert_eq!((found.judge_alone.prompts, found.judge_alone.responses), ours, "{name}");
        assert_eq!((found.reference_alone.prompts, found.reference_alone.responses), theirs, "{name}");
    }
    assert_eq!(joined(KEYED, &KEYED.replace("\"q\"", "\"another\"")).other_prompt_text, 1);
}

#[test]
fn a_row_that_scores_again_or_says_nothing_is_refused() {
    let table = [
        ("a second row of a prompt", format!("{KEYED}\n{KEYED}"), "scores again"),
        (
            "a second score of a response",
            "{\"prompt_id\":1,\"response_id\":2,\"score\":1}\n{\"prompt_id\":1,\"response_id\":2,\"score\":1}"
                .to_string(),
            "scores again",
        ),
        (
            "no score at all",
            format!("{KEYED}\n{{\"prompt_id\":\"x\",\"response_id\":\"y\"}}"),
            "write null for a reply that held none",
        ),
        (
            "no prompt id",
            format!("{KEYED}\n{{\"response_id\":\"y\",\"score\":1}}"),
            "has no `prompt_id` or `id` and no prompt",
        ),
        (
            "a score in words",
            format!("{KEYED}\n{{\"prompt_id\":\"x\",\"response_id\":\"y\",\"score\":\"good\"}}"),
            "\"good\", which is not a number",
        ),
        (
            "a score that is a list",
            format!("{KEYED}\n{{\"prompt_id\":\"x\",\"response_id\":\"y\",\"score\":[1]}}"),
            "is a list, where a number was expected",
        ),
        (
            "no response id and no text",
            format!("{KEYED}\n{{\"prompt_id\":\"x\",\"score\":1}}"),
            "and no text of a response",
        ),
    ];
    for (name, text, why) in table {
        let read = read(&text);
        assert_eq!((read.rows.len(), read.refused_count), (1, 1), "{name}");
        assert_eq!(read.refused[0].line, 2, "{name}");
        assert!(read.refused[0].why.contains(why), "{name}: {}", read.refused[0].why);
    }
    let error = format!("{:#}", try_read(r#"{"prompt":"a","response":"b"}"#).unwrap_err());
    assert!(
        error.contains("could not be read as scores") && error.contains("{prompt_id, response_id, score}"),
        "{error}"
    );
}

/// Right, tied and unparsed among the pairs that the reference tells apart.
fn pairs(joined: &Joined) -> (usize, usize, usize, usize) {
    let (mut all, mut right, mut tied, mut unparsed) = (0, 0, 0, 0);
    for prompt in &joined.prompts {
        for (i, a) in prompt.responses.iter().enumerate() {
            for b in &prompt.responses[i + 1..] {
                let (
                    JoinedResponse { reference_rank: Some(rank_a), .. },
                    JoinedResponse { reference_rank: Some(rank_b), .. },
                ) = (a, b)
                else {
                    continue;
                };
                if rank_a == rank_b {
                    continue;
                }
                all += 1;
                match (a.judge_score, b.judge_score) {
                    (Some(x), Some(y)) if x == y => tied += 1,
                    (Some(x), Some(y)) if (x > y) == (rank_a < rank_b) => right += 1,
                    (Some(_), Some(_)) => {}
                    _ => unparsed += 1,
                }
            }
        }
    }
    (all, right, tied, unparsed)
}

#[test]
fn the_published_score_files_join_entirely_and_give_the_known_counts() {
    let folder = "data/self-reward-rlhf";
    let Some(reference) = shared(&format!("{folder}/gbt_scores.jsonl")) else { return };
    let reference = scores::read(&reference, Limits::default()).unwrap();
    // name, missing scores, (pairs that the reference tells apart, right, tied, unparsed)
    for (name, missing, expected) in [("scores_M1", 1, (578, 198, 197, 3)), ("scores_M2", 627, (578, 9, 8, 548))] {
        let Some(path) = shared(&format!("{folder}/{name}.jsonl")) else { return };
        let mut judge = scores::read(&path, Limits::default()).unwrap();
        assert_eq!(
            (judge.rows.len(), judge.refused_count, judge.noted.values().sum::<usize>()),
            (200, 0, missing),
            "{name}"
        );
        // Another order of rows and of responses must change nothing.
        judge.rows.reverse();
        judge.rows.iter_mut().for_each(|prompt| prompt.responses.rotate_left(1));
        let found = join(&judge.rows, &reference.rows);
        assert_eq!(found.prompts.len(), 200, "{name}");
        assert_eq!((found.judge_alone, found.reference_alone, found.other_prompt_text), Default::default(), "{name}");
        assert_eq!(pairs(&found), expected, "{name}");
    }
}

#[test]
fn files_read_and_joined_give_the_published_agreement() {
    let folder = "data/self-reward-rlhf";
    let Some(reference) = shared(&format!("{folder}/gbt_scores.jsonl")) else { return };
    let reference = scores::read(&reference, Limits::default()).unwrap();
    // strict, tie = 1/2, excluding, 5-best of n, Spearman and tau-b of n, pooled Spearman and tau-b
    let table = [
        ("scores_M1", [0.34256, 0.51298, 0.52381, 0.64339, 0.03389, 0.03781, 0.10297, 0.08980], (401, 135)),
        ("scores_M2", [0.01557, 0.02249, 0.40909, 0.76471, f64::NAN, f64::NAN, 0.04083, 0.03667], (17, 0)),
    ];
    for (name, expected, n) in table {
        let Some(path) = shared(&format!("{folder}/{name}.jsonl")) else { return };
        let joined = join(&scores::read(&path, Limits::default()).unwrap().rows, &reference.rows);
        let found = agreement(&joined.responses(), &AgreementSettings::default(), Seed::root(1));
        let values = [
            found.pairwise_strict,
            found.pairwise_half,
            found.pairwise_excluding,
            found.five_best,
            found.spearman,
            found.kendall,
            found.pooled_spearman,
            found.pooled_kendall,
        ];
        for (value, expected) in values.into_iter().zip(expected) {
            // NaN stands for a measure that must not exist.
            assert_eq!(value.is_none(), expected.is_nan(), "{name}: {value:?} for {expected}");
            assert!(value.is_none_or(|value| (value - expected).abs() <= 1e-5), "{name}: {value:?} for {expected}");
        }
        assert_eq!((found.five_best_n, found.spearman_n, found.pairs), (n.0, n.1, 578), "{name}");
    }
}
