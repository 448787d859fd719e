//! What leaves a run as files: tables, the training set as TRL reads it, steps under TRL's names, the page.

use std::collections::BTreeMap;

use selfreward::run::event::{Event, Outcome, RolledBack};
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{Model, RequestId, Stage};
use selfreward::text::invisible::is_invisible;
use serde_json::Value;

use crate::cli_story::{HOSTILE, Story, cli, runs};
use crate::stage;

const TABLES: [&str; 9] =
    ["pairs", "prompts", "candidates", "judgements", "decisions", "steps", "evaluations", "alarms", "trl"];

fn rows(run: &str, what: &str) -> Vec<Value> {
    let said = cli(runs(), &["export", run, what]);
    assert_eq!(said.code, 0, "{what}: {}", said.err);
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts<'a>(rows: &'a [Value], name: &str) -> Vec<&'a str> {
    rows.iter().map(|row| row[name].as_str().unwrap_or("-")).collect()
}

#[test]
fn every_table_has_as_many_rows_in_csv_as_in_json_lines_and_hides_nothing() {
    for run in ["healthy", "hostile"] {
        for what in TABLES {
            let json = rows(run, what);
            let csv = cli(runs(), &["export", run, what, "--format", "csv"]).out;
            // Texts hold line feeds in quotes, and rows end in CR LF.
            assert_eq!(csv.matches("\r\n").count(), json.len() + 1, "{run} {what}");
            let header: Vec<&str> = csv.split("\r\n").next().unwrap().split(',').collect();
            for row in &json {
                let keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
                assert_eq!(keys, header, "{run} {what}");
            }
            let hidden = csv.chars().find(|&c| !['\n', '\r', '\t'].contains(&c) && is_invisible(c));
            assert_eq!(hidden, None, "{run} {what}");
            let healthy_has_it = !["decisions", "alarms"].contains(&what);
            assert!(!json.is_empty() || (run == "healthy" && !healthy_has_it), "{run} {what} is empty");
        }
    }
}

#[test]
fn json_lines_keep_what_a_model_wrote_to_the_letter() {
    let pairs = rows("hostile", "pairs");
    assert_eq!(pairs[0]["prompt"], format!("prompt 0 {HOSTILE}"));
    assert_eq!(pairs[1]["chosen"].as_str().unwrap().len(), "answer 0 to 1 plain ".len() + 1_000_000);
}

#[test]
fn trl_rows_are_exactly_the_training_set_with_human_decisions_applied() {
    let trl = rows("hostile", "trl");
    assert_eq!(texts(&trl, "pair"), ["1:1", "1:2"]);
    assert_eq!(texts(&trl, "decision"), ["swap", "kept"]);
    assert_eq!((&trl[0]["chosen"], &trl[1]["chosen"]), (&"answer 1 to 1 plain ".into(), &"answer 0 to 2 plain".into()));
    // The scores go with their texts: the swapped pair was chosen against them.
    assert_eq!((&trl[0]["score_chosen"], &trl[0]["margin"]), (&Value::from(3.0), &Value::from(-1.0)));
    let first: Vec<&str> = trl[0].as_object().unwrap().keys().take(3).map(String::as_str).collect();
    assert_eq!(first, ["prompt", "chosen", "rejected"]);
    // A whole run: every used pair, in order, with the texts of the journal.
    let folder = RunFolder::at(runs().join("healthy"));
    let mut prompts = BTreeMap::new();
    let mut candidates = BTreeMap::new();
    let mut expected = Vec::new();
    for entry in stage::entries(&folder) {
        match entry.event {
            Event::PromptWritten(prompt) => {
                prompts.insert(prompt.id, prompt.text);
            }
            Event::CandidateSampled(one) => {
                candidates.insert((one.prompt, one.candidate), one.text);
            }
            Event::TrainingSetFixed(set) => {
                for used in set.pairs {
                    expected.push((
                        prompts[&used.pair].clone(),
                        candidates[&(used.pair, used.chosen)].clone(),
                        candidates[&(used.pair, used.rejected)].clone(),
                    ));
                }
            }
            _ => {}
        }
    }
    let trl = rows("healthy", "trl");
    let found: Vec<(String, String, String)> = trl
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_string();
            (text("prompt"), text("chosen"), text("rejected"))
        })
        .collect();
    assert_eq!(found, expected);
    assert!(found.len() > 30);
}

#[test]
fn steps_have_the_names_of_trl_and_repeated_ones_stand_once() {
    let steps = rows("hostile", "steps");
    let of: Vec<(u64, &Value)> = steps.iter().map(|step| (step["step"].as_u64().unwrap(), &step["loss"])).collect();
    assert_eq!(of, [(1, &Value::from(0.69)), (2, &Value::from(0.5))]);
    assert_eq!(steps[0]["grad_norm"], "Infinity");
    for name in [
        "rewards/chosen",
        "rewards/rejected",
        "rewards/margins",
        "rewards/accuracies",
        "logps/chosen",
        "logps/rejected",
        "learning_rate",
    ] {
        assert!(steps[0][name].is_number(), "{name}");
    }
}

#[test]
fn decisions_tell_who_decided_what_and_what_was_taken_back() {
    let decisions = rows("hostile", "decisions");
    assert_eq!(texts(&decisions, "decision"), ["veto", "swap", "veto", "undo", "keep"]);
    assert_eq!(texts(&decisions, "reason"), ["gaming", "-", "gaming", "-", "-"]);
    assert_eq!(decisions[2]["undone"], true);
    assert_eq!(decisions[3]["of"], decisions[2]["seq"]);
    assert_eq!(texts(&decisions, "outcome"), ["drop", "use", "drop", "undecided", "use"]);
}

#[test]
fn what_a_rollback_undid_is_in_no_export() {
    let root = tempfile::tempdir().unwrap();
    let mut story = Story::begin(root.path(), "a");
    story.stage(Stage::Judge, 9);
    story.pair(0, "before", 0.5);
    story.pair(1, "before", 0.5);
    story.tell(RolledBack {
        to: Model::M(1),
        by: "ana".into(),
        request: RequestId { writer: "ana".into(), number: 1 },
        set: vec![],
        config: Value::Null,
        attempt: 1,
    });
    story.stage(Stage::Judge, 9);
    story.pair(0, "after", 0.5);
    for (what, count) in [("prompts", 1), ("candidates", 2), ("judgements", 2), ("pairs", 1)] {
        let said = cli(root.path(), &["export", "a", what]);
        assert_eq!(said.out.lines().count(), count, "{what}");
        assert!(said.out.contains("after") && !said.out.contains("before"), "{what}");
    }
}

#[test]
fn files_are_written_whole_by_their_ending_and_failures_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.csv");
    let said = cli(runs(), &["export", "hostile", "pairs", "--out", path.to_str().unwrap()]);
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert!(said.err.contains("(3 rows)"), "{}", said.err);
    let csv = cli(runs(), &["export", "hostile", "pairs", "--format", "csv"]).out;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), csv);
    let nowhere = folder.path().join("no/folder.jsonl");
    let said = cli(runs(), &["export", "hostile", "pairs", "--out", nowhere.to_str().unwrap()]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("writing") && said.err.contains("because"), "{}", said.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
}

#[test]
fn the_report_stands_alone_and_tells_everything() {
    let folder = tempfile::tempdir().unwrap();
    for run in ["healthy", "hostile"] {
        let path = folder.path().join("report.html");
        let said = cli(runs(), &["export", run, "report", "--out", path.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{}", said.err);
        let page = std::fs::read_to_string(&path).unwrap();
        for part in ["models", "curves", "alarms", "iterations", "decisions", "pairs", "configuration"] {
            assert!(page.contains(&format!("id=\"{part}\"")), "{run}: no {part}");
        }
        for fetched in ["<script", "<link", "<img", "src=", "http://", "https://", "@import", "url("] {
            assert!(!page.contains(fetched), "{run}: {fetched}");
        }
        assert!(page.contains("<svg") && page.contains("DPO loss") && page.contains("ln 2"), "{run}");
        let hidden = page.chars().find(|&c| c != '\n' && is_invisible(c));
        assert_eq!(hidden, None, "{run}");
    }
    let page = cli(runs(), &["export", "hostile", "report"]).out;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("something is wrong"));
    assert!(page.contains("1 decided pairs did not reach training, 1 were trained in another direction"));
    let healthy = cli(runs(), &["export", "healthy", "report"]).out;
    for told in ["M3", "exact oracle", "judge, both orders", "perfect t=1.0", "reward margin"] {
        assert!(healthy.contains(told), "{told}");
    }
}

#[test]
fn outcomes_of_the_story_are_what_the_tests_take_them_for() {
    // The hostile story is told by hand: its fold must agree with it.
    let opened = selfreward::cli::open::read(RunFolder::at(runs().join("hostile"))).unwrap();
    assert_eq!(opened.view.oddities.stray, 0);
    let outcomes: Vec<Outcome> = opened.view.round(1).unwrap().pairs().map(|(_, pair)| pair.outcome).collect();
    let used = |chosen, rejected| Outcome::Use { chosen, rejected };
    assert_eq!(outcomes, [Outcome::Drop, used(1, 0), used(0, 1)]);
}
