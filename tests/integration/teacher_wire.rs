//! What comes over the wire from a teacher, good and bad, in both dialects; and that a key is nowhere but in its header.

use std::time::{Duration, Instant};

use selfreward::engine::policy::{Fault, Sampling, Taught, Teacher, TeacherCall};
use selfreward::engine::teaching::settings::{Dialect, TeacherSettings};
use selfreward::run::event::{FaultKind, Finish};
use selfreward::teacher::client::{Client, speech, timeouts};
use selfreward::teacher::secret::Secret;
use selfreward::teacher::wire::Wire;
use serde_json::json;

use crate::teacher_server::{Act, Server, chat, say};

pub fn settings(base: &str) -> TeacherSettings {
    TeacherSettings {
        endpoint: base.into(),
        model: "teacher-1".into(),
        key_env: "NO_SUCH_KEY_IN_TESTS".into(),
        wait: "1ms".into(),
        wait_longest: "10ms".into(),
        timeout_connect: "5s".into(),
        timeout_answer: "150ms".into(),
        timeout: "5s".into(),
        ..TeacherSettings::default()
    }
}

pub fn call(text: &str) -> TeacherCall {
    let sampling = Sampling { temperature: 0.7, top_p: 0.9, max_tokens: 64, stop: vec![] };
    TeacherCall { text: text.into(), sampling, seed: 0xffff_ffff_ffff_fff1 }
}

fn ask(dialect: Dialect, act: Act) -> Result<Taught, Fault> {
    let server = Server::start(move |_| act.clone());
    let settings = TeacherSettings { dialect, ..settings(&server.base) };
    Client::new(&settings).unwrap().ask(&call("Say hello."))
}

fn ended(outcome: &Result<Taught, Fault>) -> String {
    match outcome {
        Ok(taught) => format!("{}: {}", taught.finish.name(), taught.text),
        Err(fault) => format!("{}{}", fault.kind.name(), if fault.charged { ", may be charged" } else { "" }),
    }
}

#[test]
fn every_answer_of_chat_completions_is_what_it_is() {
    let good = chat("Hello.", "stop", "m");
    let refusal = r#"{"choices":[{"message":{"content":null,"refusal":"I will not."},"finish_reason":"stop"}]}"#;
    let error = |code: &str, message: &str| json!({ "error": { "code": code, "message": message } }).to_string();
    let table = [
        ("a good answer", say(200, good.clone()), "done: Hello."),
        ("cut by its limit", say(200, chat("Hel", "length", "m")), "length: Hel"),
        ("filtered", say(200, chat("", "content_filter", "m")), "filtered: "),
        ("refused", say(200, refusal), "refused: I will not."),
        ("a filter before the model", say(400, error("content_filter", "no")), "filtered: "),
        ("too long", say(400, error("context_length_exceeded", "too long")), "too_long: "),
        (
            "too long, in vLLM's words",
            say(400, r#"{"object":"error","message":"This model's maximum context length is 8"}"#),
            "too_long: ",
        ),
        ("too large", say(413, "{}"), "too_long: "),
        ("no JSON", say(200, "<html>"), "malformed, may be charged"),
        ("half of the JSON", say(200, &good[..40]), "malformed, may be charged"),
        ("no choices", say(200, "{}"), "malformed, may be charged"),
        ("no end", say(200, r#"{"choices":[{"message":{"content":"x"}}]}"#), "malformed, may be charged"),
        ("no content", say(200, r#"{"choices":[{"message":{},"finish_reason":"stop"}]}"#), "malformed, may be charged"),
        ("tools", say(200, chat("x", "tool_calls", "m")), "malformed, may be charged"),
        ("a cut body", Act::Cut(good.clone()), "cut, may be charged"),
        ("silence", Act::Silence, "timeout, may be charged"),
        ("a hang-up", Act::HangUp, "cut, may be charged"),
        ("429", say(429, error("rate_limit_exceeded", "slow")), "rate_limited"),
        ("no money", say(429, error("insufficient_quota", "pay")), "quota"),
        ("402", say(402, ""), "quota"),
        ("500 in words", say(500, "oops"), "server"),
        ("503", say(503, error("overloaded", "")), "server"),
        ("408", say(408, ""), "server"),
        ("401", say(401, error("invalid_api_key", "no")), "unauthorized"),
        ("403", say(403, ""), "unauthorized"),
        ("404", say(404, error("model_not_found", "no")), "not_found"),
        ("400", say(400, error("", "temperature is odd")), "bad_request"),
        ("a redirect", Act::Say(302, vec![("location", "http://127.0.0.1:9/".into())], String::new()), "bad_request"),
    ];
    for (what, act, expected) in table {
        assert_eq!(ended(&ask(Dialect::Openai, act)), expected, "{what}");
    }
    // Nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&settings(&format!("http://{nobody}/v1"))).unwrap();
    assert_eq!(ended(&client.ask(&call("x"))), "connect");
}

#[test]
fn every_answer_of_generate_content_is_what_it_is() {
    let answer = |parts: serde_json::Value, finish: &str| {
        json!({
            "candidates": [{ "content": { "parts": parts }, "finishReason": finish }],
            "usageMetadata": { "promptTokenCount": 7, "candidatesTokenCount": 2, "thoughtsTokenCount": 5 },
            "modelVersion": "g-001",
        })
        .to_string()
    };
    let hello = json!([{ "text": "hm", "thought": true }, { "text": "Hel" }, { "text": "lo." }]);
    let error = |status: &str, message: &str| json!({ "error": { "status": status, "message": message } }).to_string();
    let table = [
        ("a good answer", say(200, answer(hello.clone(), "STOP")), "done: Hello."),
        ("cut by its limit", say(200, answer(hello.clone(), "MAX_TOKENS")), "length: Hello."),
        ("safety", say(200, r#"{"candidates":[{"finishReason":"SAFETY"}]}"#), "filtered: "),
        ("recitation", say(200, answer(hello, "RECITATION")), "filtered: Hello."),
        ("a blocked prompt", say(200, r#"{"promptFeedback":{"blockReason":"OTHER"}}"#), "filtered: "),
        (
            "too long",
            say(400, error("INVALID_ARGUMENT", "The input token count (9) exceeds the maximum")),
            "too_long: ",
        ),
        ("a bad key", say(400, error("INVALID_ARGUMENT", "API key not valid")), "unauthorized"),
        ("429", say(429, error("RESOURCE_EXHAUSTED", "slow")), "rate_limited"),
        ("429 in a list", say(429, format!("[{}]", error("RESOURCE_EXHAUSTED", "slow"))), "rate_limited"),
        ("no candidates", say(200, "{}"), "malformed, may be charged"),
        ("no end", say(200, r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}"#), "malformed, may be charged"),
        (
            "an odd end",
            say(200, r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#),
            "malformed, may be charged",
        ),
        ("unavailable", say(503, error("UNAVAILABLE", "later")), "server"),
    ];
    for (what, act, expected) in table {
        assert_eq!(ended(&ask(Dialect::Gemini, act)), expected, "{what}");
    }
    let taught = ask(Dialect::Gemini, say(200, answer(json!([{ "text": "x" }]), "STOP"))).unwrap();
    // Thinking is paid for.
    assert_eq!((taught.usage, taught.version.as_str(), taught.finish), (Some((7, 7)), "g-001", Finish::Done));
}

#[test]
fn requests_say_what_was_asked_and_carry_the_key_in_a_header_alone() {
    let server = Server::start(|_| say(200, "{}"));
    for dialect in [Dialect::Openai, Dialect::Gemini] {
        let speech = speech(dialect);
        let settings = settings(&server.base);
        let key = Secret::of("sk-canary-0123456789").unwrap();
        let wire = Wire::new(&server.base, key, speech.key_header(), timeouts(&settings));
        let mut call = call("Say “hello”.\n\u{1f600}");
        call.sampling.stop = vec!["END".into()];
        wire.post(&speech.path("teacher-1"), &speech.request("teacher-1", &call, true)).unwrap();
    }
    let asked = server.asked();
    let (openai, gemini) = (&asked[0], &asked[1]);
    assert_eq!(openai.path, "/v1/chat/completions");
    assert_eq!(openai.header("authorization"), Some("Bearer sk-canary-0123456789"));
    assert_eq!(
        openai.json(),
        json!({
            "model": "teacher-1", "messages": [{ "role": "user", "content": "Say “hello”.\n\u{1f600}" }],
            "temperature": 0.7, "top_p": 0.9, "max_tokens": 64, "stop": ["END"], "seed": 0x7fff_fff1,
        })
    );
    assert_eq!(gemini.path, "/v1/models/teacher-1:generateContent");
    assert_eq!(gemini.header("x-goog-api-key"), Some("sk-canary-0123456789"));
    let generation = json!({
        "temperature": 0.7, "topP": 0.9, "maxOutputTokens": 64, "stopSequences": ["END"], "seed": 0x7fff_fff1,
    });
    assert_eq!(gemini.json()["generationConfig"], generation);
    assert!(asked.iter().all(|asked| !asked.path.contains("canary") && !asked.body.contains("canary")));
}

#[test]
fn a_wait_that_the_endpoint_names_reaches_the_engine() {
    let error = json!({ "error": { "status": "RESOURCE_EXHAUSTED", "details": [{ "retryDelay": "2.5s" }] } });
    let table = [
        (Act::Say(429, vec![("retry-after", "3".into())], "{}".into()), Some(3000)),
        (Act::Say(503, vec![("retry-after", "0.5".into())], "{}".into()), Some(500)),
        (Act::Say(429, vec![("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT".into())], "{}".into()), Some(0)),
        (say(429, error.to_string()), Some(2500)),
        (say(429, "{}"), None),
    ];
    for (act, wait) in table {
        assert_eq!(ask(Dialect::Openai, act.clone()).unwrap_err().wait_ms, wait, "{act:?}");
    }
}

#[test]
fn silence_ends_with_the_time_out_and_not_much_later() {
    let began = Instant::now();
    let outcome = ask(Dialect::Openai, Act::Silence);
    assert!(matches!(&outcome, Err(fault) if fault.kind == FaultKind::Timeout), "{outcome:?}");
    assert!(began.elapsed() >= Duration::from_millis(150) && began.elapsed() < Duration::from_secs(4));
}

#[test]
fn what_an_endpoint_echoes_of_the_key_is_taken_out() {
    let echo = "you sent sk-canary-0123456789, that is sk-can…456789";
    for act in [
        say(401, json!({ "error": { "message": echo } }).to_string()),
        say(500, echo),
        say(200, chat(echo, "stop", echo)),
    ] {
        let server = Server::start(move |_| act.clone());
        let key = Secret::of("sk-canary-0123456789").unwrap();
        let speech = speech(Dialect::Openai);
        let wire = Wire::new(&server.base, key, speech.key_header(), timeouts(&settings(&server.base)));
        let heard = wire.post("chat/completions", &json!({})).unwrap();
        let shown = format!("{heard:?} {:?}", speech.read(&heard));
        assert!(!shown.contains("canary") && !shown.contains("sk-can") && !shown.contains("456789"), "{shown}");
    }
}
