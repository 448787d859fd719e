//! `metrics` on the published score files against the golden values, and on files that do not join.

use crate::cli_story::cli;
use crate::shared_data::shared;

#[test]
fn the_published_score_files_give_their_golden_values_on_the_command_line() {
    let Some(folder) = shared("data/self-reward-rlhf") else { return };
    let find = |name: &str| {
        let path = folder.join(name);
        assert!(path.exists(), "{name} is not in {}", folder.display());
        path
    };
    let root = tempfile::tempdir().unwrap();
    // M1 and M2 as judges against the reference: shares to five decimals, then counts.
    let table = [
        (
            "scores_M1.jsonl",
            [
                ("pairwise_strict", 0.34256),
                ("pairwise_half", 0.51298),
                ("pairwise_excluding", 0.52381),
                ("five_best", 0.64339),
                ("exact_match", 0.02759),
                ("spearman", 0.03389),
                ("kendall", 0.03781),
                ("pooled_spearman", 0.10297),
                ("pooled_kendall", 0.08980),
            ]
            .as_slice(),
            [
                ("pairs", 578),
                ("ties", 197),
                ("unparsed_pairs", 3),
                ("five_best_n", 401),
                ("exact_match_n", 145),
                ("spearman_n", 135),
            ],
        ),
        (
            "scores_M2.jsonl",
            [
                ("pairwise_strict", 0.01557),
                ("pairwise_half", 0.02249),
                ("pairwise_excluding", 0.40909),
                ("five_best", 0.76471),
                ("pooled_spearman", 0.04083),
                ("pooled_kendall", 0.03667),
            ]
            .as_slice(),
            [
                ("pairs", 578),
                ("ties", 8),
                ("unparsed_pairs", 548),
                ("five_best_n", 17),
                ("exact_match_n", 0),
                ("unparsed", 627),
            ],
        ),
    ];
    let reference = find("gbt_scores.jsonl");
    for (name, shares, counts) in table {
        let scores = find(name);
        let args =
            ["metrics", "--scores", scores.to_str().unwrap(), "--reference", reference.to_str().unwrap(), "--json"];
        let said = cli(root.path(), &args);
        assert_eq!(said.code, 0, "{}", said.err);
        let found = said.json();
        // Of M2's judge, 80 prompts have no score at all.
        let prompts = if name == "scores_M1.jsonl" { 200 } else { 120 };
        assert_eq!((&found["schema"], &found["prompts"]), (&1.into(), &prompts.into()), "{name}");
        for (key, expected) in shares {
            let value = found[key].as_f64().unwrap_or(f64::NAN);
            assert!((value - expected).abs() < 1e-5, "{name}: {key} is {value}, not {expected}");
        }
        for (key, expected) in counts {
            assert_eq!(found[key], expected, "{name}: {key}");
        }
        if name == "scores_M2.jsonl" {
            assert!(found["exact_match"].is_null() && found["spearman"].is_null());
        }
        assert!(cli(root.path(), &args[..5]).out.contains("pairwise_half"));
    }
}

#[test]
fn rows_join_by_content_and_what_stays_alone_is_counted() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: &[(&str, &str, f64)]| {
        let lines = rows.iter().map(|(prompt, response, score)| {
            format!("{}\n", serde_json::json!({"prompt_id": prompt, "response_id": response, "score": score}))
        });
        std::fs::write(root.path().join(name), lines.collect::<String>()).unwrap();
    };
    write("judge.jsonl", &[("p", "b", 1.0), ("p", "a", 5.0), ("p", "x", 3.0), ("alone", "a", 2.0)]);
    write("reference.jsonl", &[("p", "a", 4.0), ("p", "b", 2.0)]);
    let args = ["metrics", "--scores", "judge.jsonl", "--reference", "reference.jsonl"];
    let found = cli(root.path(), &[&args[..], &["--json"]].concat()).json();
    assert_eq!((found["prompts"].as_u64(), found["pairs"].as_u64()), (Some(1), Some(1)));
    assert_eq!((found["pairwise_strict"].as_f64(), found["kendall"].as_f64()), (Some(1.0), Some(1.0)));
    assert_eq!(
        (found["not_joined"]["scores_responses"].as_u64(), found["not_joined"]["scores_prompts"].as_u64()),
        (Some(2), Some(1))
    );
    assert!(cli(root.path(), &args).out.contains("2 responses and 1 whole prompts of --scores stand alone"));
    write("other.jsonl", &[("q", "a", 4.0)]);
    let said = cli(root.path(), &["metrics", "--scores", "judge.jsonl", "--reference", "other.jsonl"]);
    assert!(said.code == 2 && said.err.contains("rows join by prompt id"), "{said:?}");
}
