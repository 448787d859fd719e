//! What the listings print: for people, for scripts, for pipes, and about runs that are missing, damaged or hostile.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;

use clap::CommandFactory;
use selfreward::cli::arguments::Arguments;
use selfreward::run::event::Level;
use selfreward::run::ids::Stage;
use selfreward::text::invisible::is_invisible;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::cli_story::{Story, cli, cut_short, hostile, runs};
use crate::stage;

/// Every listing, for a run of this name.
fn listings(run: &str) -> Vec<Vec<String>> {
    ["ls", "status RUN", "alerts RUN", "pairs RUN", "diff RUN RUN", "gate RUN"]
        .iter()
        .map(|words| words.replace("RUN", run).split(' ').map(str::to_string).collect())
        .collect()
}

fn with<'a>(words: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    words.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn every_listing_has_json_with_its_schema_and_nothing_invisible() {
    for run in ["healthy", "hostile"] {
        for words in listings(run) {
            let said = cli(runs(), &with(&words, &["--json"]));
            assert_eq!(said.code, 0, "{words:?}: {}", said.err);
            assert_eq!(said.json()["schema"], 1, "{words:?}");
            assert_eq!(said.out.matches('\n').count(), 1, "{words:?}");
            let hidden = said.out.chars().find(|&c| c != '\n' && is_invisible(c));
            assert_eq!(hidden, None, "{words:?}");
        }
    }
}

#[test]
fn listings_for_people_show_what_a_text_hides_and_never_steer_a_terminal() {
    for run in ["healthy", "hostile"] {
        for words in listings(run).into_iter().chain([vec!["pairs".into(), run.into(), "--full".into()]]) {
            let said = cli(runs(), &with(&words, &[]));
            assert_eq!(said.code, 0, "{words:?}: {}", said.err);
            assert!(!said.out.is_empty(), "{words:?}");
            let hidden = said.out.chars().chain(said.err.chars()).find(|&c| c != '\n' && is_invisible(c));
            assert_eq!(hidden, None, "{words:?}");
        }
    }
    let full = cli(runs(), &["pairs", "hostile", "--full"]);
    assert!(full.out.contains("^[[31mred") && full.out.contains("<U+202E>txet") && full.out.contains("^@nul"));
    // A megabyte is cut in a listing and whole where the whole was asked for.
    assert!(full.out.len() > 1_000_000);
    assert!(cli(runs(), &["pairs", "hostile"]).out.lines().all(|line| line.len() < 500));
}

#[test]
fn a_reader_that_goes_away_ends_every_command_quietly() {
    for words in
        ["pairs hostile --full", "pairs healthy --json", "export healthy judgements", "export healthy report", "man"]
    {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(cut_short(runs(), &words), (0, String::new()), "{words:?}");
    }
}

#[test]
fn exit_codes_tell_how_it_ended() {
    let table: &[(&[&str], i32, &str)] = &[
        (&["status", "healthy"], 0, ""),
        (&["--help"], 0, ""),
        (&["--version"], 0, ""),
        (&["status", "hostile", "--fail-on", "error"], 3, "judge-parse"),
        (&["alerts", "hostile", "--fail-on", "warn"], 3, "judge-parse"),
        (&["alerts", "healthy", "--fail-on", "error"], 0, ""),
        (&["status", "helthy"], 4, "did you mean `healthy`?"),
        (&["status", "nobody"], 4, "selfreward ls"),
        (&["export", "nobody", "pairs"], 4, "no run `nobody`"),
        (&["veto", "nobody", "1:1"], 4, "no run `nobody`"),
        (&["status", "../healthy"], 2, "leads out of its folder"),
        (&["status", "a/../healthy"], 2, "leads out of its folder"),
        (&["status", "x\u{1b}[31m"], 2, "is no name for a run"),
        (&["status"], 2, "<RUN>"),
        (&["statsu", "healthy"], 2, "'status'"),
        (&["pairs", "healthy", "--filter", "sups>1"], 2, "did you mean `susp`?"),
        (&["alerts", "healthy", "--since", "yesterday"], 2, "or a duration like 10m"),
        (&["veto", "healthy", "17"], 2, "ITERATION:NUMBER"),
        (&["veto", "healthy", "9:17"], 1, "there is no pair 9:17"),
        (&["score", "healthy", "1:0", "0", "9"], 2, "from 0 to 5"),
        (&["ack", "hostile", "judge-prase"], 1, "did you mean `judge-parse`?"),
        (&["rollback", "healthy", "--to", "M9x"], 2, "names no model"),
        (&["rollback", "healthy", "--to", "M1", "--set", "dpo.betta=1"], 2, "did you mean `dpo.beta`?"),
        (&["export", "healthy", "report", "--format", "csv"], 2, "has no --format"),
        (&["config", "check", "--set", "dpo.betta=1"], 2, "did you mean `dpo.beta`?"),
        (&["metrics", "--scores", "nowhere", "--reference", "nowhere"], 1, "nowhere"),
    ];
    for (words, code, says) in table {
        let said = cli(runs(), words);
        assert_eq!(said.code, *code, "{words:?}: {said:?}");
        assert!(said.err.contains(says), "{words:?}: {}", said.err);
        assert!(!said.err.contains('\u{1b}') && !said.out.contains('\u{1b}'), "{words:?}");
    }
}

#[test]
fn status_names_everything_that_scripts_rely_on() {
    let said = cli(runs(), &["status", "healthy", "--json"]).json();
    let keys = [
        "name",
        "state",
        "iteration",
        "stage",
        "progress",
        "eta",
        "alarms",
        "pairs",
        "decisions",
        "facts_hash",
        "models",
    ];
    for key in keys {
        assert!(said.get(key).is_some(), "no {key}");
    }
    assert_eq!((&said["name"], &said["state"]), (&Value::from("healthy"), &Value::from("finished")));
    let folder = selfreward::run::folder::RunFolder::at(runs().join("healthy"));
    assert_eq!(said["facts_hash"], Value::from(stage::facts(&folder)));
    let models = said["models"].as_array().unwrap();
    let names: Vec<&str> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["M0", "SFT", "M1", "M2", "M3"]);
    for model in models {
        let agreement = model["agreement"].as_object().unwrap();
        for key in [
            "pairwise_strict",
            "pairwise_half",
            "pairwise_excluding",
            "coverage",
            "five_best",
            "five_best_n",
            "exact_match",
            "exact_match_n",
            "spearman",
            "spearman_n",
            "kendall",
            "kendall_n",
            "pooled_spearman",
            "pooled_kendall",
            "unparsed",
            "ties",
            "interval",
        ] {
            assert!(agreement.contains_key(key), "{key} of {}", model["name"]);
        }
        for key in ["mean_t07", "perfect_t07", "mean_t10", "perfect_t10"] {
            assert!(model["oracle"][key].is_number(), "{key} of {}", model["name"]);
        }
        assert!(model["head_to_head"].is_array());
    }
    let used: u64 =
        said["pairs"]["by_iteration"].as_array().unwrap().iter().map(|round| round["used"].as_u64().unwrap()).sum();
    assert!(used > 30 && said["pairs"]["used"] == used, "{}", said["pairs"]);
}

#[test]
fn states_follow_the_journal_and_whoever_holds_the_lock() {
    let root = tempfile::tempdir().unwrap();
    let mut story = Story::begin(root.path(), "a");
    story.stage(Stage::Judge, 4);
    let state = || cli(root.path(), &["status", "a", "--json"]).json()["state"].as_str().unwrap().to_string();
    assert_eq!(state(), "interrupted");
    let lock = story.folder.lock().unwrap().unwrap();
    assert_eq!(state(), "running");
    let pair = story.pair(0, "x", 0.5);
    story.gate(&[pair]);
    assert_eq!(state(), "waiting");
    story.tell(selfreward::run::event::Paused {
        why: selfreward::run::event::PauseReason::Asked,
        by: None,
        request: None,
    });
    assert_eq!(state(), "paused");
    drop(lock);
    assert_eq!(state(), "interrupted");
    story.tell(selfreward::run::event::Failed { error: "no power".into() });
    assert_eq!(state(), "failed");
    assert!(cli(root.path(), &["status", "a"]).out.contains("failed (no power)"));
}

#[test]
fn filters_select_pairs() {
    let table = [
        ("susp>.5", vec!["1:0"]),
        ("-susp>.5", vec!["1:1", "1:2"]),
        ("iter:2", vec![]),
        ("veto", vec!["1:0"]),
        ("used", vec!["1:1", "1:2"]),
        ("\"answer 1 to 2\"", vec!["1:2"]),
        ("swap \"long\"", vec!["1:1"]),
        ("noted kept", vec!["1:2"]),
    ];
    for (filter, expected) in table {
        let said = cli(runs(), &["pairs", "hostile", "--json", "--filter", filter]).json();
        let pairs: Vec<&str> =
            said["pairs"].as_array().unwrap().iter().map(|pair| pair["pair"].as_str().unwrap()).collect();
        assert_eq!(pairs, expected, "{filter}");
    }
}

#[test]
fn alerts_tell_what_stands_and_what_is_over() {
    let all = cli(runs(), &["alerts", "hostile", "--json"]).json();
    let alarms = all["alarms"].as_array().unwrap();
    let told: Vec<(&str, bool)> =
        alarms.iter().map(|alarm| (alarm["id"].as_str().unwrap(), alarm["stands"].as_bool().unwrap())).collect();
    assert_eq!(told, [("judge-parse", true), ("gaming", false)]);
    let seq = alarms[0]["seq"].to_string();
    let later = cli(runs(), &["alerts", "hostile", "--json", "--since", &seq]).json();
    assert_eq!(later["alarms"].as_array().unwrap().len(), 1);
    let at = alarms[0]["at"].as_str().unwrap();
    let later = cli(runs(), &["alerts", "hostile", "--json", "--since", at]).json();
    assert_eq!(later["alarms"].as_array().unwrap().len(), 1);
    assert!(cli(runs(), &["alerts", "hostile", "--since", "9999"]).out.contains("no alarms"));
}

#[test]
fn diff_tells_only_what_differs() {
    let root = tempfile::tempdir().unwrap();
    let mut one = stage::small(7);
    (one.prompts.count, one.eval.instructions, one.eval.ranked) = (12, 4, 4);
    let mut other = one.clone();
    other.dpo.beta = 0.3;
    stage::play(root.path(), "a", &one);
    stage::play(root.path(), "b", &other);
    let same = cli(root.path(), &["diff", "a", "a", "--json"]).json();
    assert_eq!((&same["same_facts"], same["config"].as_array().unwrap().len()), (&Value::from(true), 0));
    let said = cli(root.path(), &["diff", "a", "b", "--json"]).json();
    let changed: Vec<&str> =
        said["config"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(changed, ["dpo.beta"]);
    assert_eq!(said["config"][0]["b"], 0.3);
    assert_eq!(said["same_facts"], false);
}

#[test]
fn a_damaged_journal_is_named_by_file_and_line_and_the_rest_is_used() {
    let root = tempfile::tempdir().unwrap();
    let folder = hostile(root.path(), "a");
    let path = folder.path().join("journal-0001.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    let line = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    bytes[line + 40] ^= 1;
    bytes.extend_from_slice(b"{\"v\":1,\"seq\":99,");
    fs::write(&path, bytes).unwrap();
    for words in listings("a").into_iter().chain([vec!["export".into(), "a".into(), "pairs".into()]]) {
        let said = cli(root.path(), &with(&words, &[]));
        assert_eq!(said.code, 0, "{words:?}: {said:?}");
        assert!(said.err.contains("journal-0001.jsonl:2: its checksum is wrong"), "{words:?}: {}", said.err);
        assert!(!said.out.is_empty(), "{words:?}");
    }
    let status = cli(root.path(), &["status", "a", "--json"]).json();
    assert_eq!(status["damage"].as_array().unwrap().len(), 1);
    assert_eq!(status["pairs"]["made"], 3);
}

#[test]
fn no_byte_of_a_journal_can_stop_a_listing() {
    let root = tempfile::tempdir().unwrap();
    let folder = hostile(root.path(), "a");
    let path = folder.path().join("journal-0001.jsonl");
    for (name, content) in [
        ("empty", b"".to_vec()),
        ("zeros", vec![0; 4096]),
        ("not UTF-8", b"\xff\xfe\n\xff\n".to_vec()),
        ("no line end", b"{".to_vec()),
        ("another JSON", b"[1,2,3]\n{}\nnull\n".to_vec()),
        ("a line that is too long", [vec![b'x'; 9 << 20], b"\n".to_vec()].concat()),
    ] {
        fs::write(&path, content).unwrap();
        for words in listings("a").into_iter().take(2) {
            let said = cli(root.path(), &with(&words, &[]));
            assert!(said.code == 0 && !said.err.contains("panicked"), "{name}, {words:?}: {said:?}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_can_be_read_and_refuses_requests_in_words() {
    let root = tempfile::tempdir().unwrap();
    let folder = hostile(root.path(), "a");
    // Superusers write everywhere: for them a file stands where the folder of requests should be.
    fs::remove_dir(folder.path().join("control")).unwrap();
    fs::File::create(folder.path().join("control")).unwrap().write_all(b"x").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    assert_eq!(cli(root.path(), &["status", "a"]).code, 0);
    let said = cli(root.path(), &["note", "a", "hello"]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(said.code, 1);
    assert!(said.err.contains("cannot be written") && said.err.contains("because:"), "{}", said.err);
}

#[test]
fn help_of_every_command_fits_a_screen() {
    let mut whole = Arguments::command().term_width(80);
    whole.build();
    let mut commands = vec![whole.clone()];
    for sub in whole.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        commands.push(sub.clone());
        commands.extend(sub.get_subcommands().filter(|below| below.get_name() != "help").cloned());
    }
    assert!(commands.len() > 30);
    for command in commands {
        let help = command.clone().term_width(80).render_help().to_string();
        let (lines, width) = (help.lines().count(), help.lines().map(UnicodeWidthStr::width).max().unwrap());
        assert!(lines <= 24 && width <= 80, "{}: {width} by {lines}\n{help}", command.get_name());
    }
    let help = whole.render_help().to_string();
    let named: Vec<&str> = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    for sub in whole.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        assert!(named.contains(&sub.get_name()), "the help does not name `{}`", sub.get_name());
    }
}

#[test]
fn a_run_can_be_named_by_its_folder_and_the_nearest_alarm_level_counts() {
    let root = tempfile::tempdir().unwrap();
    let mut story = Story::begin(root.path(), "a");
    story.alarm("gaming", Level::Warn);
    let path = story.path();
    assert_eq!(cli(runs(), &["status", path.to_str().unwrap()]).code, 0);
    assert_eq!(cli(root.path(), &["status", "a", "--fail-on", "error"]).code, 0);
    assert_eq!(cli(root.path(), &["status", "a", "--fail-on", "warn"]).code, 3);
}
