//! A whole run of the embedded model through a terminal: looked at, decided, left, killed on both sides, resumed, replayed and taken out,
//! and in the end what a run has made that was never disturbed.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{PromptId, Stage};
use selfreward::run::view::{PairStatus, RunView, State};
use serde_json::Value;

use crate::patience::{end_of, until};
use crate::pty::Program;
use crate::stage::entries;

const PROGRAM: &str = env!("CARGO_BIN_EXE_selfreward");

/// The demo on a handful of everything; one thread each, because two of these runs share the machine.
const SMALL: &[&str] = &[
    "model.device=cpu",
    "model.threads=1",
    "run.iterations=1",
    "data.limit=72",
    "sft.epochs=3",
    "sft.lr=5e-3",
    "sft.optimizer=muon",
    "prompts.count=16",
    "candidates.n=3",
    "judge.samples=2",
    "judge.min_parsed=1",
    "pairs.min_margin=0",
    "pairs.drop_low_policy_margin=0",
    "dpo.epochs=2",
    "dpo.batch=2",
    "dpo.eft_replay=2",
    "eval.instructions=4",
    "eval.ranked=4",
    "eval.ranked_baseline=2",
    "eval.anchors=4",
    "eval.bootstrap=20",
    "checkpoint.every=2",
    // So little teaches the judge's format badly, and nobody here answers an alarm.
    "alarms.pause=false",
];

fn run_of<'a>(runs: &'a str, name: &'a str) -> Vec<&'a str> {
    let begin = ["run", "--runs", runs, "--name", name, "--preset", "tiny", "--seed", "3", "--gate", "wait"];
    begin.into_iter().chain(SMALL.iter().flat_map(|set| ["--set", *set])).collect()
}

fn call(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(home).env("HOME", home).env("USER", "ana").stdin(Stdio::null());
    let said = command.output().unwrap();
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    said
}

fn view(folder: &RunFolder) -> RunView {
    let mut view = RunView::default();
    if folder.has_journal() {
        entries(folder).iter().for_each(|entry| view.apply(entry));
    }
    view
}

/// Engines outlive whoever started them: a test that fails must not leave one behind.
struct Leftover<'a>(&'a RunFolder);

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        if let Some(holder) = self.0.holder() {
            kill(holder.pid);
        }
    }
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}

fn facts(home: &Path, runs: &str, name: &str) -> Value {
    let said = call(home, &["status", name, "--json", "--runs", runs]);
    serde_json::from_slice::<Value>(&said.stdout).unwrap()["facts_hash"].clone()
}

#[test]
fn a_run_that_is_watched_decided_left_and_killed_on_both_sides_makes_what_an_undisturbed_one_makes() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let runs = home.join("runs");
    let runs = runs.to_str().unwrap();
    let [disturbed, quiet] = ["a", "b"].map(|name| RunFolder::at(Path::new(runs).join(name)));
    let _leftovers = (Leftover(&disturbed), Leftover(&quiet));

    // The undisturbed run goes its way beside the other one, as far as its gate.
    let undisturbed: Vec<&str> = run_of(runs, "b").into_iter().chain(["--headless", "--foreground"]).collect();
    let mut command = Command::new(PROGRAM);
    command.args(&undisturbed).current_dir(home).env("HOME", home).env("USER", "ana");
    let mut other: Child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    let mut first = Program::start(&run_of(runs, "a"), home, 120, 40);
    let screens = ["1 Live", "2 Gen", "3 Pairs", "4 Check", "5 Train", "6 Eval", "7 Log", "8 Runs"];
    let look_at_all = |program: &mut Program| {
        for screen in screens {
            program.press(&screen[..1]);
            program.see(&format!("[{screen}]"));
        }
    };
    first.see("[1 Live]");
    look_at_all(&mut first);
    until("M1 is learnt", || {
        disturbed.has_journal() && view(&disturbed).stage().is_some_and(|span| span.stage > Stage::Sft)
    });
    look_at_all(&mut first);
    until("the gate opens", || view(&disturbed).state == State::Waiting);
    look_at_all(&mut first);

    let check = || view(&disturbed).round(1).unwrap().check();
    assert!(check().offered >= 6, "{:?}", check());
    first.press("4");
    for vetoed in 1..=4 {
        first.see(&format!("check {}/", vetoed - 1));
        first.press("x");
        until("the veto is recorded", || check().vetoed == vetoed);
    }
    first.press("u");
    until("the last veto is taken back", || check().vetoed == 3);
    first.see("check 3/");
    first.press("J");
    first.press("e");
    first.see("another score for");
    first.press("0\r");
    until("the score is edited", || {
        view(&disturbed).decisions.iter().any(|one| one.status() == Some(PairStatus::Edited))
    });
    first.see("check 4/");
    first.press("q");
    assert_eq!(first.ends(), 0);

    let mut second = Program::start(&["attach", "a", "--runs", runs], home, 80, 24);
    second.press("4");
    second.see("check 4/");
    second.signal(Signal::KILL);
    second.end();
    let engine = disturbed.holder().expect("an engine that does not care who looks").pid;

    let mut third = Program::start(&["attach", "a", "--runs", runs], home, 100, 30);
    third.press("4");
    third.see("check 4/");
    let asked = || std::fs::read_dir(disturbed.path().join("control")).unwrap().flatten();
    third.press("C");
    until("M2 is being learnt", || {
        view(&disturbed).stage().is_some_and(|span| span.stage == Stage::Dpo && span.done > 0)
    });
    kill(engine);
    until("the engine is dead", || disturbed.holder().is_none());
    assert_ne!(view(&disturbed).state, State::Finished, "it was killed too late to matter");
    third.see("no engine");
    call(home, &["resume", "a", "--detach", "--runs", runs]);
    until("the run is finished", || view(&disturbed).state == State::Finished);
    third.press("1");
    third.see("finished");
    look_at_all(&mut third);
    third.press("q");
    assert_eq!(third.ends(), 0);

    // What was asked of the one is asked of the other, word for word.
    until("the other gate opens", || quiet.has_journal() && view(&quiet).state == State::Waiting);
    for file in asked().filter(|file| file.path().extension().is_some_and(|end| end == "jsonl")) {
        let control = quiet.path().join("control");
        std::fs::create_dir_all(&control).unwrap();
        std::fs::copy(file.path(), control.join("copied.tmp")).unwrap();
        std::fs::rename(control.join("copied.tmp"), control.join(file.file_name())).unwrap();
    }
    assert!(end_of(&mut other).success());
    assert_eq!(facts(home, runs, "a"), facts(home, runs, "b"));

    let mut replay = Program::start(&["replay", "a", "--runs", runs], home, 100, 30);
    replay.see("[1 Live]");
    look_at_all(&mut replay);
    replay.press("q");
    assert_eq!(replay.ends(), 0);

    let view = view(&disturbed);
    let vetoed: Vec<PromptId> = view
        .decisions
        .iter()
        .filter(|one| one.status() == Some(PairStatus::Vetoed) && !one.undone)
        .flat_map(|one| one.pairs.iter().map(|decided| decided.pair))
        .collect();
    assert_eq!(vetoed.len(), 3);
    call(home, &["export", "a", "trl", "--out", "trl.jsonl", "--runs", runs]);
    let rows: Vec<Value> = std::fs::read_to_string(home.join("trl.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let training = view.round(1).unwrap().training.clone().unwrap();
    let used: Vec<String> = training.pairs.iter().map(|used| used.pair.to_string()).collect();
    assert_eq!(rows.iter().map(|row| row["pair"].as_str().unwrap()).collect::<Vec<_>>(), used);
    assert!(used.len() >= 2 && vetoed.iter().all(|pair| !used.contains(&pair.to_string())), "{vetoed:?} {used:?}");
    call(home, &["export", "a", "report", "--out", "report.html", "--runs", runs]);
    let report = std::fs::read_to_string(home.join("report.html")).unwrap();
    assert!(report.contains("M2") && report.contains("</html>"), "the report is {} bytes", report.len());
}
