//! The examination of endpoints: one that honours everything passes, and each thing that one does not honour is found by its own check.

use std::collections::BTreeMap;
use std::process::Command;

use selfreward::teacher::doctor::{Finding, Judging, Verdict, examine};
use selfreward::teacher::secret::Secret;
use serde_json::{Value, json};

use crate::teacher_server::{Act, Asked, Server, say};
use crate::teacher_wire::settings;

const KEY: &str = "sk-canary-0123456789";
const WORDS: [&str; 12] =
    ["whale", "squid", "crab", "swims", "hides", "hunts", "deep", "reef", "slow", "bright", "alone", "kelp"];

/// An endpoint that honours everything but what `broken` names. Its model writes words by its seed.
fn endpoint(asked: &Asked, broken: &str) -> Act {
    let error = |status: u16, message: &str| match broken {
        "error shape" => say(status, "no"),
        _ => say(status, json!({ "error": { "message": message, "type": "invalid_request_error" } }).to_string()),
    };
    if asked.path.ends_with("/models") {
        let name = if broken == "models list" { "another" } else { "teacher-1" };
        return say(200, json!({ "data": [{ "id": name }] }).to_string());
    }
    if !asked.path.ends_with("/chat/completions") {
        return if broken == "unknown path" { say(200, "{}") } else { error(404, "no such path") };
    }
    if broken != "wrong key" && asked.header("authorization") != Some(&format!("Bearer {KEY}")) {
        return error(401, "who are you?");
    }
    let Ok(request) = serde_json::from_str::<Value>(&asked.body) else {
        return if broken == "broken JSON" { say(500, "trace") } else { error(400, "that is no JSON") };
    };
    if request["model"] != "teacher-1" && broken != "unknown model" {
        return error(404, "no such model");
    }
    let number = |name: &str, otherwise: f64| request[name].as_f64().unwrap_or(otherwise);
    if number("temperature", 1.0) < 0.0 && broken != "impossible value" {
        return error(400, "temperature");
    }
    let text = asked.text();
    if text.len() > 30_000 {
        return match broken {
            "too long prompt" => error(500, "out of memory"),
            _ => error(400, "this model's maximum context length is 100000 tokens"),
        };
    }
    let fails = match broken {
        "unicode" => text.contains('\u{1f52c}'),
        "escapes" => text.contains('\u{1}'),
        "long prompt" => text.len() > 5000,
        "turns" => request["messages"].as_array().is_some_and(|all| all.len() == 3),
        "unknown field" => request.get("selfreward_no_such_field").is_some(),
        "empty prompt" => text.is_empty(),
        "at once" => (100..104).contains(&request["seed"].as_u64().unwrap_or(0)) && request["seed"] != 100,
        "answers" => true,
        _ => false,
    };
    if fails {
        return say(500, "fell over");
    }
    let temperature = if broken == "temperature" { 1.0 } else { number("temperature", 1.0) };
    let narrow = number("top_p", 1.0) < 0.01 && broken != "top_p";
    let varies = temperature > 0.0 && !narrow && broken != "varies";
    let seed = match (varies, broken) {
        (true, "seed") | (false, "greedy") => (asked.before * 7919) as u64 + request["seed"].as_u64().unwrap_or(0),
        (true, _) => request["seed"].as_u64().unwrap_or(0),
        (false, _) => 0,
    };
    let limit = request["max_tokens"].as_u64().unwrap_or(16) as usize;
    let limit = if broken == "max_tokens" { 40 } else { limit };
    let draw = |at: usize| {
        let hash = blake3::hash(format!("{seed} {at}").as_bytes());
        WORDS[usize::from(hash.as_bytes()[0]) % WORDS.len()]
    };
    let mut words: Vec<&str> = (0..20).map(draw).collect();
    let judged = text.contains("Score: n") && broken != "judges";
    let cut = words.len() > limit;
    words.truncate(limit);
    let mut said = words.join(" ");
    if judged {
        said = format!("{said}\nScore: 4");
    }
    if let Some(stop) = request["stop"][0].as_str().filter(|_| broken != "stop") {
        said.truncate(said.find(stop).unwrap_or(said.len()));
    }
    let finish = if cut && broken != "truncation" { "length" } else { "stop" };
    let read: usize = request["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["content"].as_str().unwrap_or("").len() / 4 + 3)
        .sum();
    let read = if broken == "system message" { text.len() / 4 + 3 } else { read };
    let answered = said.split_whitespace().count().min(if broken == "max_tokens" { 99 } else { limit });
    let answered = if broken == "usage adds up" { 100_000 } else { answered };
    let mut choice =
        json!({ "index": 0, "message": { "role": "assistant", "content": said }, "finish_reason": finish });
    if request["logprobs"] == true && broken != "logprobs" {
        choice["logprobs"] = json!({ "content": [{ "token": "whale", "logprob": -0.1 }] });
    }
    let choices = if request["n"] == 2 && broken != "n" { vec![choice.clone(), choice] } else { vec![choice] };
    let mut answer = json!({ "model": "teacher-1", "choices": choices });
    if broken != "usage" {
        answer["usage"] = json!({ "prompt_tokens": read, "completion_tokens": answered });
    }
    if broken == "names model" {
        answer.as_object_mut().unwrap().remove("model");
    }
    if request["stream"] == true {
        let mut events = vec![json!({ "choices": [{ "delta": { "content": "whale" } }] }).to_string()];
        if broken != "stream usage" {
            events.push(json!({ "choices": [], "usage": { "completion_tokens": 1 } }).to_string());
        }
        if broken != "stream" {
            events.push("[DONE]".into());
        }
        return Act::Stream(events);
    }
    let mut headers = Vec::new();
    if broken == "keep-alive" {
        headers.push(("connection", "close".to_string()));
    }
    if broken != "limits told" {
        headers.push(("x-ratelimit-remaining-requests", "9".to_string()));
    }
    // The first of the four calls at once is one too many, once.
    if request["seed"] == 100 && asked.before == 0 && broken.starts_with("retry-after") {
        let wait = if broken == "retry-after" { vec![] } else { vec![("retry-after", "1".to_string())] };
        return Act::Say(429, wait, "{}".into());
    }
    Act::Say(200, headers, answer.to_string())
}

fn examined(broken: &'static str, key: &str) -> Vec<Finding> {
    let server = Server::start(move |asked| endpoint(asked, broken));
    let mut settings = settings(&server.base);
    settings.timeout_answer = "20s".into();
    let judging = Judging { prompt: "Judge this. Score: n".into(), reads: &|reply| reply.contains("Score: 4") };
    let key = if key.is_empty() { Secret::default() } else { Secret::of(key).unwrap() };
    examine(&settings, key, &judging, &mut |_| {})
}

#[test]
fn an_endpoint_that_honours_everything_passes_every_check() {
    let found = examined("", KEY);
    assert!(found.len() >= 30, "{}", found.len());
    for finding in &found {
        let expected = match finding.name {
            // It never had too many requests.
            "retry-after" => Verdict::Unknown,
            // A length is always told by this server; see the next test.
            _ => Verdict::Ok,
        };
        assert_eq!(finding.verdict, expected, "{}: {}", finding.name, finding.says);
        assert!(!finding.follows.is_empty() && finding.says.len() > 3);
    }
}

#[test]
fn each_thing_that_is_not_honoured_is_found_by_its_own_check() {
    const BREAKABLE: [&str; 31] = [
        "varies",
        "temperature",
        "greedy",
        "seed",
        "top_p",
        "max_tokens",
        "truncation",
        "stop",
        "n",
        "logprobs",
        "names model",
        "usage",
        "usage adds up",
        "keep-alive",
        "at once",
        "system message",
        "turns",
        "unicode",
        "escapes",
        "long prompt",
        "too long prompt",
        "empty prompt",
        "unknown model",
        "unknown path",
        "broken JSON",
        "impossible value",
        "unknown field",
        "error shape",
        "wrong key",
        "limits told",
        "judges",
    ];
    let mut wrong = Vec::new();
    for broken in BREAKABLE.into_iter().chain(["stream", "stream usage", "models list", "retry-after"]) {
        let found: BTreeMap<&str, Finding> = examined(broken, KEY).into_iter().map(|row| (row.name, row)).collect();
        let row = &found[broken];
        // Nothing else is blamed but what follows from it.
        let others: Vec<&str> = found
            .values()
            .filter(|row| row.verdict == Verdict::NotHonoured && row.name != broken)
            .map(|row| row.name)
            .collect();
        let allowed: &[&str] = match broken {
            "varies" => &["temperature"],
            "temperature" => &["greedy", "stop"],
            "greedy" => &["temperature", "top_p"],
            "usage" => &["stream usage"],
            "usage adds up" => &["max_tokens"],
            "error shape" => &["too long prompt"],
            "max_tokens" => &["truncation", "usage adds up"],
            "stream" => &[],
            "broken JSON" => &["error shape"],
            "retry-after" => &["at once"],
            _ => &[],
        };
        if !others.iter().all(|other| allowed.contains(other)) || row.verdict != Verdict::NotHonoured {
            wrong.push(format!("{broken}: {:?}, also blamed {others:?}", row.verdict));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let waits = examined("retry-after that names a wait", KEY);
    assert_eq!(waits.iter().find(|row| row.name == "retry-after").unwrap().verdict, Verdict::Ok);
}

#[test]
fn an_endpoint_that_is_not_there_is_said_once_and_costs_nothing_more() {
    let server = Server::start(|asked| endpoint(asked, "answers"));
    let mut settings = settings(&server.base);
    settings.timeout_answer = "20s".into();
    let judging = Judging { prompt: String::new(), reads: &|_| true };
    let found = examine(&settings, Secret::of(KEY).unwrap(), &judging, &mut |_| {});
    assert_eq!(found[0].verdict, Verdict::NotHonoured);
    assert!(found[1..].iter().all(|row| row.verdict == Verdict::Unknown));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn the_command_prints_a_line_for_each_check_and_its_key_never() {
    let server = Server::start(|asked| endpoint(asked, "n"));
    let run = |extra: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_selfreward"))
            .args(["doctor", "--endpoint", &server.base, "--model", "teacher-1", "--key-env", "THE_KEY"])
            .args(extra)
            .env("THE_KEY", KEY)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.contains("canary") && output.stderr.is_empty(), "{said}");
        said
    };
    let said = run(&[]);
    assert!(said.contains("not honoured   n                asked for two answers, got 1"), "{said}");
    assert!(said.contains("so: nothing: each sample is a request of its own"), "{said}");
    let json: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    let rows = json["findings"].as_array().unwrap();
    assert_eq!(json["counts"]["ok"].as_u64().unwrap() + 2, rows.len() as u64);
    assert!(rows.iter().any(|row| row["name"] == "n" && row["verdict"] == "not honoured"));
}
