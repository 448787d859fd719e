//! The chat-completions dialect: vLLM, SGLang, llama.cpp's server, `transformers serve` and hosted models.

use serde_json::{Value, json};

use crate::engine::policy::{Fault, Taught, TeacherCall};
use crate::run::event::{FaultKind, Finish};
use crate::teacher::client::Speech;
use crate::teacher::wire::{Heard, KeyHeader, fault, fault_of_status};

pub struct Openai;

/// Words by which endpoints say that a request is longer than they can read.
const TOO_LONG: [&str; 4] = ["context_length", "context length", "maximum context", "context window"];

impl Speech for Openai {
    fn key_header(&self) -> KeyHeader {
        KeyHeader::Bearer
    }

    fn path(&self, _: &str) -> String {
        "chat/completions".into()
    }

    fn request(&self, model: &str, call: &TeacherCall, send_seed: bool) -> Value {
        let sampling = &call.sampling;
        let mut request = json!({
            "model": model,
            "messages": [{ "role": "user", "content": call.text }],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        });
        if !sampling.stop.is_empty() {
            request["stop"] = json!(sampling.stop);
        }
        if send_seed {
            // Endpoints differ in how wide a seed they take; all take 31 bits.
            request["seed"] = json!(call.seed & 0x7fff_ffff);
        }
        request
    }

    fn read(&self, heard: &Heard) -> Result<Taught, Fault> {
        let Some(value) = heard.json() else {
            return Err(match heard.status {
                200 => fault(FaultKind::Malformed, "the answer is no JSON".into(), true),
                _ => fault_of_status(heard, "", ""),
            });
        };
        let took_ms = heard.took_ms;
        let version = version(&value);
        if heard.status != 200 {
            let text = |place: &str| value.pointer(place).and_then(Value::as_str).unwrap_or("");
            let code =
                [text("/error/code"), text("/error/type"), text("/code")].into_iter().find(|code| !code.is_empty());
            let code = code.unwrap_or("");
            let message = [text("/error/message"), text("/message"), text("/detail"), text("/error")];
            let message = message.into_iter().find(|message| !message.is_empty()).unwrap_or("");
            let lower = format!("{code} {message}").to_lowercase();
            let refused = heard.status == 400 || heard.status == 413;
            let finish = if refused && (heard.status == 413 || TOO_LONG.iter().any(|word| lower.contains(word))) {
                Some(Finish::TooLong)
            } else if refused && (lower.contains("content_filter") || lower.contains("content_policy")) {
                Some(Finish::Filtered)
            } else {
                None
            };
            return match finish {
                Some(finish) => Ok(Taught { text: String::new(), finish, usage: Some((0, 0)), version, took_ms }),
                None => Err(fault_of_status(heard, code, message)),
            };
        }
        let malformed = |what: &str| fault(FaultKind::Malformed, format!("the answer has no {what}"), true);
        let choice = value.pointer("/choices/0").ok_or_else(|| malformed("choices"))?;
        let message = choice.get("message").ok_or_else(|| malformed("message"))?;
        let refusal = message.get("refusal").and_then(Value::as_str).filter(|said| !said.is_empty());
        let finish = match choice.get("finish_reason").and_then(Value::as_str) {
            _ if refusal.is_some() => Finish::Refused,
            Some("stop" | "eos" | "end_turn") => Finish::Done,
            Some("length" | "max_tokens") => Finish::Length,
            Some("content_filter") => Finish::Filtered,
            Some("refusal") => Finish::Refused,
            Some(other) => return Err(malformed(&format!("end that can be used (finish_reason {other:.40})"))),
            // A body that ends before its reason was cut off in a way that is still JSON.
            None => return Err(malformed("finish_reason")),
        };
        let content = refusal.or_else(|| message.get("content").and_then(Value::as_str));
        // A filter may withhold everything; whoever is done must have said something, be it nothing.
        let text = match (content, finish) {
            (Some(text), _) => text.to_string(),
            (None, Finish::Done) => return Err(malformed("content")),
            (None, _) => String::new(),
        };
        let tokens = |name: &str| value.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
        let usage = tokens("prompt_tokens").zip(tokens("completion_tokens"));
        Ok(Taught { text, finish, usage, version, took_ms })
    }
}

/// The model that answered, with its fingerprint.
fn version(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let parts: Vec<&str> = [text("model"), text("system_fingerprint")].into_iter().flatten().collect();
    parts.join(" ").chars().take(200).collect()
}
