//! `train sft`, `train dpo` and `judge` as programs: killed, stopped and started again to the same bytes; and what they refuse.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use selfreward::recipe::seeds::Seed;
use serde_json::{Value, json};

use crate::stage::copy_folder;
use crate::train_tiny;

/// Kills in a test run of every commit; set SELFREWARD_KILLS for more.
const KILLS: u32 = 6;

struct Bench {
    root: tempfile::TempDir,
    model: PathBuf,
}

impl Bench {
    fn new() -> Bench {
        let root = tempfile::tempdir().unwrap();
        let model = train_tiny::model(root.path(), 256);
        let examples = train_tiny::examples(40);
        let rows = examples.iter().map(|row| json!({ "prompt": row.prompt, "response": row.reply }).to_string());
        std::fs::write(root.path().join("sft.jsonl"), rows.collect::<Vec<_>>().join("\n")).unwrap();
        let pairs = (0..30).map(|at| {
            let (row, other) = (&examples[at], &examples[at + 7]);
            json!({ "prompt": row.prompt, "chosen": row.reply, "rejected": format!("{} {}", other.reply, row.reply) })
                .to_string()
        });
        std::fs::write(root.path().join("dpo.jsonl"), pairs.collect::<Vec<_>>().join("\n")).unwrap();
        Bench { root, model }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A command as a user would write it, with settings that fit the tiny model.
    fn train(&self, kind: &str, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selfreward"));
        command.current_dir(self.root.path()).args(["train", kind, "--model"]).arg(&self.model);
        command.arg("--data").arg(self.path(&format!("{kind}.jsonl"))).arg("--out").arg(self.path(out));
        for set in ["model.threads=2", "checkpoint.every=4", "sft.lr=0.003", "dpo.lr=0.003", "dpo.epochs=6"] {
            command.args(["--set", set]);
        }
        for set in ["sft.batch=4", "dpo.batch=4", "sft.epochs=4", "dpo.held_out_share=0.1", "sft.dropout=0.1"] {
            command.args(["--set", set]);
        }
        command.args(more);
        command
    }
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Content of every file of a folder, the manifest included.
fn contents(folder: &Path) -> BTreeMap<String, String> {
    let hash = |path: &Path| blake3::hash(&std::fs::read(path).unwrap()).to_hex().to_string();
    let items = std::fs::read_dir(folder).unwrap().map(|item| item.unwrap());
    items.map(|item| (item.file_name().into_string().unwrap(), hash(&item.path()))).collect()
}

/// The log of steps without what the clock says.
fn steps(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("steps.jsonl")).unwrap();
    let timeless = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for key in ["tokens_per_s", "memory_bytes"] {
            line.as_object_mut().unwrap().remove(key).unwrap();
        }
        line
    };
    text.lines().map(timeless).collect()
}

#[test]
fn a_training_that_is_killed_again_and_again_ends_in_the_same_bytes() {
    let bench = Bench::new();
    let kills: u32 = std::env::var("SELFREWARD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let mut stream = Seed::root(7).named("solo").stream();
    for (kind, more, folder) in [
        ("sft", &[][..], "model"),
        ("dpo", &["--set", "dpo.dropout=0.1"][..], "model"),
        ("dpo", &["--set", "lora.rank=4", "--set", "lora.dropout=0.1"][..], "adapter"),
    ] {
        let whole = format!("whole-{kind}-{folder}");
        let began = std::time::Instant::now();
        let (code, _, says) = run(&mut bench.train(kind, &whole, more));
        assert_eq!(code, Some(0), "{says}");
        let took = began.elapsed();
        let expected = (contents(&bench.path(&whole).join(folder)), steps(&bench.path(&whole)));
        assert!(expected.1.len() >= 40, "{}", expected.1.len());
        let (mut killed, mut runs) = (0, 0);
        while killed < kills / 3 {
            runs += 1;
            let out = format!("killed-{kind}-{folder}-{runs}");
            loop {
                let mut child = bench
                    .train(kind, &out, more)
                    .stdin(Stdio::null())
                    .stderr(Stdio::null())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap();
                let patience = took.mul_f64(0.05 + 0.01 * stream.below(90) as f64);
                let began = std::time::Instant::now();
                let ended = loop {
                    if let Some(status) = child.try_wait().unwrap() {
                        break Some(status);
                    }
                    if began.elapsed() >= patience && killed < kills / 3 {
                        break None;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                };
                match ended {
                    Some(status) => {
                        assert!(status.success(), "{status}");
                        break;
                    }
                    None => {
                        child.kill().unwrap();
                        child.wait().unwrap();
                        killed += 1;
                    }
                }
            }
            let found = (contents(&bench.path(&out).join(folder)), steps(&bench.path(&out)));
            assert!(found == expected, "{kind} {folder}, run {runs}, after {killed} kills");
        }
        eprintln!("{kind}, {folder}: {killed} kills in {runs} trainings, the same bytes in all of them");
    }
}

#[test]
fn an_interrupt_finishes_the_step_and_the_same_command_goes_on() {
    let bench = Bench::new();
    let (code, _, says) = run(&mut bench.train("sft", "whole", &[]));
    assert_eq!(code, Some(0), "{says}");
    let mut child = bench
        .train("sft", "stopped", &["--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line says that a step has been taken.
    let mut first = String::new();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut first).unwrap();
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut lines, &mut rest).unwrap();
    let ended = child.wait_with_output().unwrap();
    let says = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{says}");
    assert!(says.contains("the same command goes on"), "{says}");
    let (code, _, says) = run(&mut bench.train("sft", "stopped", &[]));
    assert!(code == Some(0) && says.contains("going on after step"), "{says}");
    assert_eq!(contents(&bench.path("stopped/model")), contents(&bench.path("whole/model")));
    let (code, _, says) = run(&mut bench.train("sft", "stopped", &[]));
    assert!(code == Some(0) && says.contains("finished before"), "{says}");
}

#[test]
fn another_training_in_the_same_folder_is_refused_and_says_what_differs() {
    let bench = Bench::new();
    assert_eq!(run(&mut bench.train("sft", "out", &[])).0, Some(0));
    for (kind, more, says) in [
        ("sft", vec!["--set", "sft.lr=0.004"], "sft.lr was 0.003, now it is 0.004"),
        ("sft", vec!["--seed", "9"], "seed was 1, now it is 9"),
        ("sft", vec!["--set", "lora.rank=2"], "lora.rank was 0, now it is 2"),
        ("dpo", vec![], "holds another training"),
    ] {
        let (code, _, error) = run(&mut bench.train(kind, "out", &more));
        assert!(code == Some(1) && error.contains(says), "{more:?}: {error}");
    }
    std::fs::create_dir(bench.path("full")).unwrap();
    std::fs::write(bench.path("full/thesis.txt"), "years of work").unwrap();
    let (code, _, error) = run(&mut bench.train("sft", "full", &[]));
    assert!(code == Some(1) && error.contains("holds other files"), "{error}");
    for (more, says) in [
        (vec!["--set", "lora.rank=2", "--set", "lora.targets=q_proj,head"], "\"head\" is none of"),
        (vec!["--set", "sft.lrs=1"], "sft.lr"),
        (vec!["--held-out", "/nowhere.jsonl"], "/nowhere.jsonl"),
    ] {
        let (code, _, error) = run(&mut bench.train("sft", "fresh", &more));
        assert!(code != Some(0) && error.contains(says), "{more:?}: {error}");
        let _ = std::fs::remove_dir_all(bench.path("fresh"));
    }
}

#[test]
fn every_damage_to_the_newest_checkpoint_is_named_and_the_older_one_is_used() {
    let bench = Bench::new();
    let (code, _, says) = run(&mut bench.train("sft", "whole", &[]));
    assert_eq!(code, Some(0), "{says}");
    let expected = contents(&bench.path("whole/model"));
    // A folder as it is after a kill between two checkpoints and the end.
    let full = train_full(&bench);
    let newest = full.join("checkpoints/step-000036");
    let files: Vec<String> = contents(&newest).into_keys().collect();
    assert!(files.len() >= 6, "{files:?}");
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("truncated", |file| {
            let length = std::fs::metadata(file).unwrap().len();
            std::fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap()
        }),
        ("flipped", |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 4;
            std::fs::write(file, bytes).unwrap()
        }),
        ("missing", |file| std::fs::remove_file(file).unwrap()),
    ];
    let mut tried = 0;
    for file in &files {
        for (what, damage) in &damages {
            let name = format!("{what}-{file}");
            copy_folder(&full, &bench.path(&name));
            damage(&bench.path(&name).join("checkpoints/step-000036").join(file));
            let (code, _, says) = run(&mut bench.train("sft", &name, &[]));
            assert!(code == Some(0) && says.contains("a damaged checkpoint is left out"), "{name}: {says}");
            assert!(says.contains("going on after step 32"), "{name}: {says}");
            assert_eq!(contents(&bench.path(&name).join("model")), expected, "{name}");
            tried += 1;
        }
    }
    eprintln!("{tried} damages, each named, each gone back from");
}

/// A training with two checkpoints and no end: the finished one's log and files of a stopped run.
fn train_full(bench: &Bench) -> PathBuf {
    let out = bench.path("cut");
    let mut child = bench.train("sft", "cut", &[]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (older, newer) = (out.join("checkpoints/step-000032"), out.join("checkpoints/step-000036"));
    let kept = bench.path("kept");
    // Checkpoints are there whole or not at all, so they can be taken away while the training goes on.
    while child.try_wait().unwrap().is_none() && !newer.exists() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    if !(older.exists() && newer.exists()) {
        let _ = std::fs::remove_dir_all(&out);
        return train_full(bench);
    }
    copy_folder(&out, &kept);
    kept
}

#[test]
fn a_judge_scores_ranked_responses_and_says_how_it_agrees() {
    let bench = Bench::new();
    std::fs::write(bench.path("judge.txt"), "review {{prompt}} / {{answer}}").unwrap();
    let judge = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selfreward"));
        command.current_dir(bench.root.path()).args(["judge", "--model"]).arg(&bench.model).arg("--eft");
        command.arg(bench.path("dpo.jsonl")).args([
            "--set",
            "data.judge_prompt=judge.txt",
            "--set",
            "judge.max_tokens=8",
        ]);
        command.args(["--set", "judge.samples=2", "--set", "eval.bootstrap=20", "--set", "eval.ranked=6"]).args(more);
        run(&mut command)
    };
    let (code, out, says) = judge(&["--json", "--out", "judged.jsonl"]);
    assert_eq!(code, Some(0), "{says}");
    let found: Value = serde_json::from_str(&out).unwrap();
    // Weights drawn by lot write no score: that is counted, and no prompt is compared.
    assert_eq!((&found["judge"], &found["judgements"], &found["responses"]), (&json!("self"), &json!(24), &json!(12)));
    assert_eq!((&found["judgements_without_score"], &found["prompts"]), (&json!(24), &json!(0)));
    let rows = std::fs::read_to_string(bench.path("judged.jsonl")).unwrap();
    assert_eq!(rows.lines().count(), 24);
    let (code, again, _) = judge(&["--json"]);
    assert!(code == Some(0) && again == out, "the same seed gives the same scores");
    let (code, out, _) = judge(&[]);
    assert!(code == Some(0) && out.contains("pairwise_strict") && out.contains("have no score"), "{out}");
}
