//! A key to an account through every way of failing: it goes out in its header and is nowhere else, not even in parts.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::teacher_server::{Act, Server, chat, say, steady};

const CANARY: &str = "sk-canary-9f3b17d2c4e8";
/// Parts of the key that some endpoints echo.
const PARTS: [&str; 4] = ["sk-canary", "canary-9f3b", "17d2c4e8", "CANARY-9F3B17D2"];
const PATIENCE: Duration = Duration::from_secs(60);

/// Every file below a folder, whole.
fn files(below: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(below).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found
}

fn clean(what: &str, where_: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for part in PARTS.iter().chain([&CANARY]) {
        assert!(!text.contains(part), "{what}: {where_} holds `{part}`");
    }
}

fn program(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfreward"));
    command.arg("--runs").arg(root).stdin(Stdio::null()).env("TEACHER_KEY", CANARY).env_remove("RUST_BACKTRACE");
    command
}

fn said(what: &str, output: &Output) {
    clean(what, "stdout", &output.stdout);
    clean(what, "stderr", &output.stderr);
}

/// What an endpoint does in each of the ways of failing, echoing the key as it goes.
fn ways() -> Vec<(&'static str, Act)> {
    let echo = format!("your key {CANARY}, that is sk-canary…c4e8, is Bearer {CANARY}");
    let error = |code: &str| json!({ "error": { "code": code, "type": echo, "message": echo } }).to_string();
    let header =
        |status, body: String| Act::Say(status, vec![("retry-after", echo.clone()), ("x-echo", echo.clone())], body);
    let choice = |message: serde_json::Value, finish: &str| json!({ "model": echo, "choices": [{ "message": message, "finish_reason": finish }] });
    vec![
        ("400", header(400, error("bad"))),
        ("401", header(401, error("invalid_api_key"))),
        ("402", header(402, error("billing"))),
        ("403", header(403, error("no"))),
        ("404", header(404, error("model_not_found"))),
        ("408", header(408, error("late"))),
        ("409", header(409, error("conflict"))),
        ("413", header(413, error("large"))),
        ("422", header(422, error("odd"))),
        ("429", header(429, error("rate_limit_exceeded"))),
        ("429 without money", header(429, error("insufficient_quota"))),
        ("500", header(500, error("inside"))),
        ("500 in plain words", header(500, echo.clone())),
        ("502 in HTML", say(502, format!("<html>{echo}</html>"))),
        ("503", header(503, error("down"))),
        ("a redirect", Act::Say(302, vec![("location", format!("/?key={CANARY}"))], echo.clone())),
        ("no JSON", say(200, echo.clone())),
        ("half of the JSON", say(200, &chat(&echo, "stop", &echo)[..60])),
        ("a cut body", Act::Cut(echo.clone())),
        ("a hang-up", Act::HangUp),
        ("silence", Act::Silence),
        ("no choices", say(200, json!({ "echo": echo }).to_string())),
        ("no content", say(200, choice(json!({ "echo": echo }), "stop").to_string())),
        ("an odd end", say(200, choice(json!({ "content": echo }), &echo).to_string())),
        ("a filter", say(200, choice(json!({ "content": echo }), "content_filter").to_string())),
        ("a refusal", say(200, choice(json!({ "refusal": echo }), "stop").to_string())),
        ("a cut-off answer", say(200, choice(json!({ "content": echo }), "length").to_string())),
        ("an answer that echoes", say(200, chat(&format!("{echo}\nScore: 4\nVerdict: A"), "stop", &echo))),
        ("a filter before the model", header(400, error("content_filter"))),
        ("too long", header(400, error("context_length_exceeded"))),
    ]
}

#[test]
fn the_key_is_nowhere_whatever_fails() {
    let root = tempfile::tempdir().unwrap();
    let mut tried = BTreeSet::new();
    let all: Vec<_> = ways();
    assert!(all.len() >= 30);
    for (number, (what, act)) in all.into_iter().enumerate() {
        let way = act.clone();
        let server = Server::start(move |_| way.clone());
        let name = format!("way{number}");
        let set = |key: &str, value: &str| ["--set".to_string(), format!("{key}={value}")];
        let mut arguments: Vec<String> =
            ["run", "--policy", "rehearsal", "--recipe", "teacher-demo", "--yes", "--detach"]
                .map(str::to_string)
                .to_vec();
        arguments.extend([
            "--name".into(),
            name.clone(),
            "--gate".into(),
            "off".into(),
            "--iterations".into(),
            "1".into(),
        ]);
        for (key, value) in [
            ("teacher.endpoint", server.base.as_str()),
            ("teacher.model", "teacher-1"),
            ("teacher.key_env", "TEACHER_KEY"),
            ("teacher.wait", "1ms"),
            ("teacher.wait_longest", "2ms"),
            ("teacher.tries", "2"),
            ("teacher.timeout_answer", "60ms"),
            ("data.limit", "24"),
            ("prompts.count", "3"),
            ("eval.instructions", "2"),
            ("eval.ranked", "2"),
        ] {
            arguments.extend(set(key, value));
        }
        let started = program(root.path()).args(&arguments).output().unwrap();
        assert!(started.status.success(), "{what}: {}", String::from_utf8_lossy(&started.stderr));
        said(what, &started);
        // Until the journal shows how the calls went: a fault that was written down, or an answer that was used.
        let journal = root.path().join(&name).join("journal-0001.jsonl");
        let began = Instant::now();
        loop {
            let text = std::fs::read_to_string(&journal).unwrap_or_default();
            if text.contains("\"kind\":\"teacher_failed\"") || text.contains("\"kind\":\"teacher_answered\"") {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: nothing was asked\n{text}");
            std::thread::sleep(Duration::from_millis(5));
        }
        for command in
            [&["status", &name, "--json"][..], &["status", &name], &["alerts", &name], &["export", &name, "report"]]
        {
            said(what, &program(root.path()).args(command).output().unwrap());
        }
        let stopped = program(root.path()).args(["stop", &name, "--wait", "20"]).output().unwrap();
        said(what, &stopped);
        let began = Instant::now();
        // The heartbeat is closed by the engine that leaves.
        while !std::fs::File::open(root.path().join(&name).join("engine.lock"))
            .is_ok_and(|lock| lock.try_lock().is_ok())
        {
            assert!(began.elapsed() < PATIENCE, "{what}: the engine does not leave");
            std::thread::sleep(Duration::from_millis(5));
        }
        // It did go out, in its header alone.
        let asked = server.asked();
        assert!(!asked.is_empty(), "{what}");
        for request in &asked {
            assert_eq!(request.header("authorization"), Some(format!("Bearer {CANARY}").as_str()), "{what}");
            clean(what, "the request's path", request.path.as_bytes());
            clean(what, "the request's body", request.body.as_bytes());
        }
        for (path, bytes) in files(&root.path().join(&name)) {
            clean(what, &path.display().to_string(), &bytes);
        }
        tried.insert(what);
    }
    assert!(tried.len() >= 30);
}

#[test]
fn a_key_in_the_wrong_place_is_refused_and_not_repeated() {
    let server = Server::start(steady);
    let root = tempfile::tempdir().unwrap();
    let open = root.path().join("open-key");
    std::fs::write(&open, CANARY).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let with_key = server.base.replace("http://", &format!("http://me:{CANARY}@"));
    let in_query = format!("{}?key={CANARY}", server.base);
    for (what, key, value, says) in [
        ("as the variable's name", "teacher.key_env", CANARY, "not the key"),
        ("in the address", "teacher.endpoint", with_key.as_str(), "never into an address"),
        ("in the query", "teacher.endpoint", in_query.as_str(), "never into an address"),
        ("in an open file", "teacher.key_file", open.to_str().unwrap(), "chmod 600"),
    ] {
        let mut arguments =
            vec!["run".into(), "--policy".into(), "rehearsal".into(), "--yes".into(), "--name".into(), "a".into()];
        arguments.extend(["--recipe".into(), "teacher-reward".into(), "--set".into(), "teacher.model=m".into()]);
        arguments.extend([
            "--set".into(),
            format!("teacher.endpoint={}", server.base),
            "--set".into(),
            format!("{key}={value}"),
        ]);
        let output = program(root.path()).env_remove("SELFREWARD_TEACHER_KEY").args(&arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(says), "{what}: {error}");
        said(what, &output);
        assert!(!root.path().join("a").exists(), "{what}: nothing is written");
    }
    assert!(server.asked().is_empty());
}

#[test]
fn nothing_begins_that_nobody_has_agreed_to() {
    let server = Server::start(steady);
    let root = tempfile::tempdir().unwrap();
    let endpoint = format!("teacher.endpoint={}", server.base);
    let arguments =
        ["run", "--policy", "rehearsal", "--recipe", "teacher-reward", "--set", "teacher.model=m", "--set", &endpoint];
    let output = program(root.path()).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        error.contains("judgements of candidates") && error.contains("--yes") && error.contains("caps: calls none"),
        "{error}"
    );
    assert_eq!((server.asked().len(), std::fs::read_dir(root.path()).unwrap().count()), (0, 0));
}
