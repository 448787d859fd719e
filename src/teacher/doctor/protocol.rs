//! Whether an endpoint keeps to the protocol: what it says of an answer, what it does with odd requests, how it refuses.

use serde_json::{Value, json};

use super::{Check, Examiner, Found, QUESTION, not, ok, unknown};
use crate::engine::policy::Fault;
use crate::run::event::Finish;
use crate::teacher::wire::Heard;

/// Longer than small models read, in characters; more would keep a server that knows no limit busy for an hour.
const TOO_LONG: usize = 40_000;
/// As long as judging a long answer gets.
const LONG: usize = 8_000;

pub const CHECKS: &[Check] = &[
    ("names model", names_model, "a model that changes under the run cannot be noticed"),
    ("usage", usage, "each call counts as the most that it could cost"),
    ("usage adds up", usage_adds_up, "the account in the run is only as good as these numbers"),
    ("answer length", answer_length, "an answer that breaks off may look whole"),
    ("keep-alive", keep_alive, "a connection for every call: slower, more so over TLS"),
    ("at once", at_once, "set teacher.concurrency=1"),
    ("system message", system_message, "nothing: judge prompts are user messages"),
    ("turns", turns, "nothing: a teacher is asked in one turn"),
    ("unicode", unicode, "prompts in other scripts fail or are judged as something else"),
    ("escapes", escapes, "answers with control characters or quotes cannot be judged"),
    ("long prompt", long_prompt, "long answers cannot be judged"),
    ("empty prompt", empty_prompt, "nothing: a run asks no empty question"),
    ("unknown model", unknown_model, "a mistyped teacher.model is answered by another model"),
    ("unknown path", unknown_path, "a mistyped teacher.endpoint may look like an answer"),
    ("broken JSON", broken_json, "faults of the client look like faults of the server, and are tried again and again"),
    ("impossible value", impossible_value, "a mistyped setting is ignored instead of refused"),
    ("unknown field", unknown_field, "nothing as long as it answers"),
    ("error shape", error_shape, "errors are told without the endpoint's own words"),
    ("wrong key", wrong_key, "anybody who reaches the endpoint can use it"),
    ("retry-after", retry_after, "waits are guessed, from teacher.wait up to teacher.wait_longest"),
    ("limits told", limits_told, "how near the limit is cannot be seen"),
    ("stream", stream, "nothing: a run asks for whole answers"),
    ("stream usage", stream_usage, "nothing: a run asks for whole answers"),
    ("models list", models_list, "a mistyped teacher.model is found only by asking it"),
    // Last: a server that knows no limit is busy with it for a while.
    (
        "too long prompt",
        too_long_prompt,
        "what is too long is cut silently, or pauses the run instead of going without a score",
    ),
];

fn short_words(fault: &Fault) -> String {
    fault.says.chars().take(120).collect()
}

fn first(examiner: &Examiner) -> Result<Value, Found> {
    examiner.first.as_ref().ok().and_then(Heard::json).ok_or_else(|| unknown("there is no first answer"))
}

fn names_model(examiner: &mut Examiner) -> Found {
    let value = match first(examiner) {
        Ok(value) => value,
        Err(found) => return found,
    };
    let name = value.get("model").or(value.get("modelVersion")).and_then(Value::as_str).unwrap_or("");
    match name {
        "" => not("the answer names no model"),
        name => ok(format!("it says that {name:.80} answered")),
    }
}

fn usage(examiner: &mut Examiner) -> Found {
    let taught = examiner.first.clone().and_then(|heard| examiner.speech.read(&heard));
    match taught.map(|taught| taught.usage) {
        Ok(Some((sent, answered))) => ok(format!("{sent} tokens sent, {answered} answered")),
        Ok(None) => not("the answer names no tokens"),
        Err(fault) => unknown(short_words(&fault)),
    }
}

fn usage_adds_up(examiner: &mut Examiner) -> Found {
    let taught = examiner.first.clone().and_then(|heard| examiner.speech.read(&heard));
    match taught {
        Ok(taught) => match taught.usage {
            Some((sent, answered)) => {
                let bytes = QUESTION.len() as u64 + taught.text.len() as u64;
                let plausible =
                    sent > 0 && answered > 0 && sent + answered <= bytes + 256 && answered <= u64::from(super::TOKENS);
                match plausible {
                    true => ok("neither none nor more than there can be"),
                    false => not(format!("{sent} and {answered} tokens for {bytes} bytes")),
                }
            }
            None => unknown("the answer names no tokens"),
        },
        Err(fault) => unknown(short_words(&fault)),
    }
}

fn answer_length(examiner: &mut Examiner) -> Found {
    match &examiner.first {
        Ok(heard) if heard.header("content-length").is_some() => ok("the answer says how long it is"),
        Ok(heard) if heard.header("transfer-encoding").is_some() => ok("the answer comes in counted pieces"),
        Ok(_) => not("only the end of the connection ends an answer"),
        Err(fault) => unknown(short_words(fault)),
    }
}

fn keep_alive(examiner: &mut Examiner) -> Found {
    match &examiner.first {
        Ok(heard) if heard.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) => {
            not("it closes the connection after each answer")
        }
        Ok(_) => ok("the connection stays open"),
        Err(fault) => unknown(short_words(fault)),
    }
}

fn at_once(examiner: &mut Examiner) -> Found {
    const TIMES: u64 = 4;
    let requests: Vec<Value> = (0..TIMES).map(|seed| examiner.request(1.0, 100 + seed)).collect();
    let (wire, path) = (&examiner.wire, examiner.path());
    let heard: Vec<Result<Heard, Fault>> = std::thread::scope(|scope| {
        let calls: Vec<_> = requests.iter().map(|request| scope.spawn(|| wire.post(&path, request))).collect();
        calls.into_iter().filter_map(|call| call.join().ok()).collect()
    });
    let good = heard.iter().filter(|heard| matches!(heard, Ok(heard) if heard.status == 200)).count();
    examiner.limited = heard
        .iter()
        .flatten()
        .find(|heard| heard.status == 429)
        .map(|heard| heard.wait_ms.is_some())
        .or(examiner.limited);
    match good as u64 {
        TIMES => ok(format!("{TIMES} calls at the same time were answered")),
        good => not(format!("of {TIMES} calls at the same time {good} were answered")),
    }
}

/// A request that must be answered.
fn must_answer(examiner: &mut Examiner, request: &Value, well: &str) -> Found {
    match examiner.ask(request) {
        Ok(taught) if taught.finish == Finish::TooLong => not("it calls that too long"),
        Ok(_) => ok(well),
        Err(fault) => not(short_words(&fault)),
    }
}

fn system_message(examiner: &mut Examiner) -> Found {
    let mut request = examiner.request(0.0, 1);
    if examiner.is_openai() {
        let user = request["messages"][0].clone();
        request["messages"] = json!([{ "role": "system", "content": QUESTION.trim_end() }, user]);
    } else {
        request["systemInstruction"] = json!({ "parts": [{ "text": QUESTION.trim_end() }] });
    }
    let alone =
        examiner.first.clone().and_then(|heard| examiner.speech.read(&heard)).ok().and_then(|taught| taught.usage);
    match examiner.ask(&request) {
        Ok(taught) => match (alone, taught.usage) {
            (Some((alone, _)), Some((both, _))) if both <= alone => {
                not(format!("it is taken and not read: {both} tokens with it, {alone} without"))
            }
            (Some(_), Some(_)) => ok("it is read: the request has more tokens with it"),
            _ => unknown("it is taken; whether it is read cannot be seen without usage"),
        },
        Err(fault) => not(short_words(&fault)),
    }
}

fn turns(examiner: &mut Examiner) -> Found {
    let mut request = examiner.request(0.0, 1);
    let (list, answerer) = if examiner.is_openai() { ("messages", "assistant") } else { ("contents", "model") };
    let user = request[list][0].clone();
    let mut answer = user.clone();
    answer["role"] = json!(answerer);
    request[list] = json!([user, answer, user]);
    must_answer(examiner, &request, "question, answer and question are taken")
}

fn unicode(examiner: &mut Examiner) -> Found {
    // Written as escapes: letters of other scripts, a combining mark, right to left, a joined emoji, a character beyond 16 bits.
    let odd = "\u{e9}\u{65}\u{301} \u{6f22}\u{5b57} \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f469}\u{200d}\u{1f52c} \u{1d54f}";
    let request = examiner.request_of(&format!("{} {odd}", QUESTION.trim_end()), 1.0, 1);
    must_answer(examiner, &request, "other scripts and joined characters are taken")
}

fn escapes(examiner: &mut Examiner) -> Found {
    let odd = "\"\\/\u{8}\u{c}\n\r\t\u{1}\u{1b}[31m\u{7f} </s> {{x}} %00";
    let request = examiner.request_of(&format!("{} {odd}", QUESTION.trim_end()), 1.0, 1);
    must_answer(examiner, &request, "quotes, backslashes and control characters are taken")
}

fn repeated(length: usize) -> String {
    QUESTION.repeat(length.div_ceil(QUESTION.len()))
}

fn long_prompt(examiner: &mut Examiner) -> Found {
    let request = examiner.request_of(&repeated(LONG), 1.0, 1);
    must_answer(examiner, &request, "a prompt of 8,000 characters is taken")
}

fn too_long_prompt(examiner: &mut Examiner) -> Found {
    let request = examiner.request_of(&repeated(TOO_LONG), 1.0, 1);
    match examiner.ask(&request) {
        Ok(taught) if taught.finish == Finish::TooLong => ok("40,000 characters are refused as too long"),
        Ok(taught) => match taught.usage {
            Some((sent, _)) if sent < TOO_LONG as u64 / 20 => {
                not(format!("40,000 characters were read as {sent} tokens"))
            }
            Some((sent, _)) => unknown(format!("40,000 characters are not too long: {sent} tokens were read")),
            None => unknown("40,000 characters were answered"),
        },
        Err(fault) => not(format!("40,000 characters fail otherwise: {}", short_words(&fault))),
    }
}

fn empty_prompt(examiner: &mut Examiner) -> Found {
    let request = examiner.request_of("", 1.0, 1);
    match examiner.hear(&request) {
        Ok(heard) if heard.status < 500 => ok(format!("HTTP {}", heard.status)),
        Ok(heard) => not(format!("HTTP {}", heard.status)),
        Err(fault) => not(short_words(&fault)),
    }
}

/// A request that must be refused as the client's fault.
fn must_refuse(heard: Result<Heard, Fault>, what: &str) -> Found {
    match heard {
        Ok(heard) if (400..500).contains(&heard.status) => ok(format!("{what} is refused with HTTP {}", heard.status)),
        Ok(heard) if heard.status == 200 => not(format!("{what} is answered as if nothing were wrong")),
        Ok(heard) => not(format!("{what} is answered with HTTP {}", heard.status)),
        Err(fault) => not(format!("{what} ends otherwise: {}", short_words(&fault))),
    }
}

const NO_SUCH_MODEL: &str = "selfreward-no-such-model";

fn unknown_model(examiner: &mut Examiner) -> Found {
    let mut request = examiner.request(1.0, 1);
    if examiner.is_openai() {
        request["model"] = json!(NO_SUCH_MODEL);
    }
    let path = examiner.speech.path(NO_SUCH_MODEL);
    must_refuse(examiner.wire.post(&path, &request), "a model that does not exist")
}

fn unknown_path(examiner: &mut Examiner) -> Found {
    must_refuse(examiner.wire.get("selfreward/no/such/path"), "a path that does not exist")
}

fn broken_json(examiner: &mut Examiner) -> Found {
    let whole = examiner.request(1.0, 1).to_string();
    let half = &whole.as_bytes()[..whole.len() / 2];
    must_refuse(examiner.wire.post_bytes(&examiner.path(), half), "half a request")
}

fn impossible_value(examiner: &mut Examiner) -> Found {
    let mut request = examiner.request(1.0, 1);
    examiner.set(&mut request, "temperature", json!(-3.0));
    let heard = examiner.hear(&request);
    must_refuse(heard, "a temperature of -3")
}

fn unknown_field(examiner: &mut Examiner) -> Found {
    let mut request = examiner.request(1.0, 1);
    request["selfreward_no_such_field"] = json!(true);
    match examiner.hear(&request) {
        Ok(heard) if heard.status == 200 => ok("it is ignored"),
        Ok(heard) if heard.status < 500 => ok(format!("it is refused with HTTP {}", heard.status)),
        Ok(heard) => not(format!("HTTP {}", heard.status)),
        Err(fault) => not(short_words(&fault)),
    }
}

fn error_shape(examiner: &mut Examiner) -> Found {
    let whole = examiner.request(1.0, 1).to_string();
    let half = &whole.as_bytes()[..whole.len() / 2];
    match examiner.wire.post_bytes(&examiner.path(), half) {
        Ok(heard) if heard.status == 200 => unknown("no error could be had"),
        Ok(heard) => {
            let value = heard.json().map(|value| if value.is_array() { value[0].clone() } else { value });
            let said = value.as_ref().and_then(|value| value.pointer("/error/message")).and_then(Value::as_str);
            match said {
                Some(_) => ok("errors are JSON with a message"),
                None => not("errors have no error.message"),
            }
        }
        Err(fault) => unknown(short_words(&fault)),
    }
}

fn wrong_key(examiner: &mut Examiner) -> Found {
    if !examiner.wire.has_key() {
        return unknown("no key is set: the endpoint answers anybody who reaches it");
    }
    match examiner.wire.without_key().post(&examiner.path(), &examiner.request(1.0, 1)) {
        Ok(heard) if [401, 403].contains(&heard.status) => {
            ok(format!("without the key it answers HTTP {}", heard.status))
        }
        Ok(heard) => not(format!("without the key it answers HTTP {}", heard.status)),
        Err(fault) => unknown(short_words(&fault)),
    }
}

fn retry_after(examiner: &mut Examiner) -> Found {
    match examiner.limited {
        Some(true) => ok("an answer of too many requests named a wait"),
        Some(false) => not("an answer of too many requests named no wait"),
        None => unknown("it was never too many requests"),
    }
}

fn limits_told(examiner: &mut Examiner) -> Found {
    match &examiner.first {
        Ok(heard) if heard.headers.iter().any(|(name, _)| name.contains("ratelimit")) => {
            ok("limits stand in the headers")
        }
        Ok(_) => not("no header names a limit"),
        Err(fault) => unknown(short_words(fault)),
    }
}

/// A streamed answer's events, without their frames.
fn streamed(examiner: &mut Examiner) -> Result<Vec<String>, Found> {
    let mut request = examiner.request(1.0, 1);
    let path = match examiner.is_openai() {
        true => {
            request["stream"] = json!(true);
            request["stream_options"] = json!({ "include_usage": true });
            examiner.path()
        }
        false => format!("{}?alt=sse", examiner.path().replace(":generateContent", ":streamGenerateContent")),
    };
    match examiner.wire.post(&path, &request) {
        Ok(heard) if heard.status != 200 => Err(not(format!("a stream is refused with HTTP {}", heard.status))),
        Ok(heard) => {
            let events: Vec<String> =
                heard.body.lines().filter_map(|line| Some(line.strip_prefix("data:")?.trim().to_string())).collect();
            if events.is_empty() { Err(not("asked for a stream, got none")) } else { Ok(events) }
        }
        Err(fault) => Err(not(short_words(&fault))),
    }
}

fn stream(examiner: &mut Examiner) -> Found {
    let events = match streamed(examiner) {
        Ok(events) => events,
        Err(found) => return found,
    };
    let ended = match examiner.is_openai() {
        true => events.last().is_some_and(|last| last == "[DONE]"),
        false => events.last().is_some_and(|last| last.contains("finishReason")),
    };
    match ended {
        true => ok(format!("{} events and an end", events.len())),
        false => not(format!("{} events and no end: a stream that breaks off looks whole", events.len())),
    }
}

fn stream_usage(examiner: &mut Examiner) -> Found {
    match streamed(examiner) {
        Ok(events) => {
            let counts = |event: &String| {
                let value: Option<Value> = serde_json::from_str(event).ok();
                value.is_some_and(|value| {
                    value.pointer("/usage/completion_tokens").or(value.get("usageMetadata")).is_some()
                })
            };
            if events.iter().any(counts) { ok("a stream names its tokens") } else { not("a stream names no tokens") }
        }
        Err((_, says)) => unknown(says),
    }
}

fn models_list(examiner: &mut Examiner) -> Found {
    match examiner.wire.get("models") {
        Ok(heard) if heard.status == 200 => {
            let value = heard.json().unwrap_or_default();
            let rows = value.get("data").or(value.get("models")).and_then(Value::as_array).cloned().unwrap_or_default();
            let name = |row: &Value| row.get("id").or(row.get("name")).and_then(Value::as_str).map(str::to_string);
            let names: Vec<String> = rows.iter().filter_map(name).collect();
            let model = examiner.settings.model.as_str();
            match names.iter().any(|name| name.trim_start_matches("models/") == model.trim_start_matches("models/")) {
                true => ok(format!("{} models, this one among them", names.len())),
                false => not(format!("{} models, and this one is not among them", names.len())),
            }
        }
        Ok(heard) => not(format!("HTTP {}", heard.status)),
        Err(fault) => not(short_words(&fault)),
    }
}
