//! A stranger who gets things wrong: each row is a stumble of somebody who had never seen the program, with what it answers now.

use std::path::Path;

use crate::cli_story::{Said, cli, program, runs};

fn said(output: std::process::Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn answers(said: &Said, code: i32, says: &str, what: &str) {
    assert!(said.code == code && said.err.contains(says), "{what}: not {code} and `{says}`: {said:?}");
    for never in ["panicked", "RUST_BACKTRACE", "(os error", "invalid float literal", "untagged enum"] {
        assert!(!said.err.contains(never), "{what}: {}", said.err);
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name).display().to_string();
    std::fs::write(at("file"), "x\n").unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    let (file, folder, nowhere) = (at("file"), at("folder"), at("nowhere"));
    let base = |path: &str| format!("model.base={path}");
    let table: &[(&[&str], i32, &str)] = &[
        (&["status", &folder], 4, "is a folder without a journal"),
        (&["status", &file], 4, "is a file; a run is a folder"),
        (&["--runs", &file, "ls"], 1, "listing the runs in"),
        (&["--runs", &file, "status", "x"], 1, "to do: name a folder"),
        (&["--runs", &file, "run", "--policy", "rehearsal", "--name", "x"], 1, "to do: name a folder"),
        (&["export", "healthy", "pairs", "--out", "/nowhere/x.csv"], 1, "to do: look at the path"),
        (&["export", "healthy", "pairs", "--out", &folder], 1, "to do: name a file"),
        (&["config", "check", "--config", &nowhere], 1, "to do: look at the path"),
        // A model or data that cannot be used is known before there is a run that has failed.
        (&["run", "--policy", "rehearsal", "--set", &base(&nowhere)], 2, "model.base: there is nothing at"),
        (&["run", "--policy", "rehearsal", "--set", &base(&file)], 2, "is a file; a model is a Hugging Face folder"),
        (&["run", "--policy", "rehearsal", "--set", &base(&folder)], 2, "holds no config.json"),
        (&["config", "check", "--set", &format!("data.ift={folder}")], 2, "name the file inside it"),
        // Nobody will read a request to a run that is over.
        (&["pause", "healthy"], 1, "is finished and takes no more requests"),
        (&["rollback", "healthy", "--to", "M1"], 1, "is finished and takes no more requests"),
        (&["run", "--seed", "-1"], 2, "invalid value '-1' for '--seed <N>'"),
        (&["run", "--seed", "x"], 2, "write a whole number"),
        (&["replay", "healthy", "--speed", "0"], 2, "write a number above 0"),
        (&["replay", "healthy", "--speed", "nan"], 2, "write a number above 0"),
        (&["replay", "healthy", "--idle-cap", "-1"], 2, "write a number that is 0 or more"),
        (&["pause", "healthy", "--wait", "nan"], 2, "write a number that is 0 or more"),
        (&["score", "healthy", "1:0", "0", "x"], 2, "write a number, for example 0.5"),
        (&["score", "healthy", "1:0", "0", "-1"], 2, "from 0 to 5"),
        (&["pairs", "healthy", "--filter", "foo:1"], 2, "; there are susp"),
        (&["config", "check", "--set", "foo.bar=1"], 2, "`selfreward config schema` lists them all"),
        (&["metrics", "healthy"], 2, "selfreward metrics RUN --judges"),
    ];
    for (words, code, says) in table {
        answers(&cli(runs(), words), *code, says, &words.join(" "));
    }
    assert!(!Path::new(&nowhere).exists());
    assert_eq!(cli(runs(), &["ls"]).out.lines().count(), 3, "a heading and two runs: nothing was begun");
}

#[test]
fn variables_that_cannot_be_meant_are_named_and_empty_ones_are_none() {
    let root = tempfile::tempdir().unwrap();
    let with =
        |name: &str, value: &str, words: &[&str]| said(program(root.path(), words).env(name, value).output().unwrap());
    let misspelt = with("SELFREWARD_DPO_BETA", "1", &["config", "check"]);
    answers(&misspelt, 2, "write SELFREWARD_DPO__BETA", "one underscore");
    answers(&with("SELFREWARD_RUNS", "", &["ls"]), 0, "there are no runs in", "an empty folder of runs");
    answers(&with("SELFREWARD_RUNS", "/nowhere", &["ls"]), 0, "there are no runs in /nowhere", "no folder of runs");
}

#[test]
fn help_is_aligned_and_two_runs_may_begin_in_one_second() {
    let help = cli(runs(), &["--help"]).out;
    for group in ["  train  ", "  look  ", "  decide  ", "  take out  ", "  set up  "] {
        assert!(help.lines().any(|line| line.starts_with(group)), "`{group}` in\n{help}");
    }
    let root = tempfile::tempdir().unwrap();
    let first = selfreward::cli::open::name_by_date(root.path(), "demo");
    for second in 0..3 {
        // Whatever the clock says meanwhile, a name that is taken is not given again.
        let name = selfreward::cli::open::name_by_date(root.path(), "demo");
        assert!(second == 0 || !root.path().join(&name).exists(), "{name}");
        std::fs::create_dir_all(root.path().join(&name)).unwrap();
    }
    assert!(first.starts_with("demo-20"), "{first}");
}

#[test]
fn every_command_has_a_manual_page() {
    fn pages(command: &clap::Command, name: &str, found: &mut Vec<String>) {
        found.push(name.to_string());
        for part in command.get_subcommands().filter(|part| !part.is_hide_set()) {
            pages(part, &format!("{name}-{}", part.get_name()), found);
        }
    }
    let root = tempfile::tempdir().unwrap();
    assert_eq!(cli(root.path(), &["man", "man1"]).code, 0);
    let mut wanted = Vec::new();
    let command = <selfreward::cli::arguments::Arguments as clap::CommandFactory>::command();
    pages(&command, "selfreward", &mut wanted);
    assert!(wanted.len() > 35, "{wanted:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = cli(root.path(), &["completions", shell]).out;
        let unnamed: Vec<&str> = command
            .get_subcommands()
            .filter(|part| !part.is_hide_set())
            .map(clap::Command::get_name)
            .filter(|name| !script.contains(name))
            .collect();
        assert_eq!(unnamed, Vec::<&str>::new(), "{shell}");
    }
    for page in wanted {
        let text = std::fs::read_to_string(root.path().join(format!("man1/{page}.1"))).unwrap_or_default();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{page}.1");
    }
}
