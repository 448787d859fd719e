//! The `generateContent` dialect of Gemini.

use serde_json::{Value, json};

use crate::engine::policy::{Fault, Taught, TeacherCall};
use crate::run::event::{FaultKind, Finish};
use crate::teacher::client::Speech;
use crate::teacher::wire::{Heard, KeyHeader, fault, fault_of_status};

pub struct Gemini;

impl Speech for Gemini {
    fn key_header(&self) -> KeyHeader {
        // In a header and never in the address, which logs and errors quote.
        KeyHeader::Named("x-goog-api-key")
    }

    fn path(&self, model: &str) -> String {
        format!("models/{}:generateContent", model.trim_start_matches("models/"))
    }

    fn request(&self, _: &str, call: &TeacherCall, send_seed: bool) -> Value {
        let sampling = &call.sampling;
        let mut generation = json!({
            "temperature": sampling.temperature,
            "topP": sampling.top_p,
            "maxOutputTokens": sampling.max_tokens,
        });
        if !sampling.stop.is_empty() {
            generation["stopSequences"] = json!(sampling.stop);
        }
        if send_seed {
            generation["seed"] = json!(call.seed & 0x7fff_ffff);
        }
        json!({ "contents": [{ "role": "user", "parts": [{ "text": call.text }] }], "generationConfig": generation })
    }

    fn read(&self, heard: &Heard) -> Result<Taught, Fault> {
        let value = heard.json().map(|value| match value {
            // Errors come in a list where the request asked for a stream.
            Value::Array(mut items) if !items.is_empty() => items.swap_remove(0),
            value => value,
        });
        let Some(value) = value else {
            return Err(match heard.status {
                200 => fault(FaultKind::Malformed, "the answer is no JSON".into(), true),
                _ => fault_of_status(heard, "", ""),
            });
        };
        let text = |place: &str| value.pointer(place).and_then(Value::as_str).unwrap_or("");
        let took_ms = heard.took_ms;
        if heard.status != 200 {
            let (code, message) = (text("/error/status"), text("/error/message"));
            let lower = message.to_lowercase();
            if heard.status == 400
                && lower.contains("token")
                && (lower.contains("exceed") || lower.contains("too long"))
            {
                let version = String::new();
                return Ok(Taught {
                    text: String::new(),
                    finish: Finish::TooLong,
                    usage: Some((0, 0)),
                    version,
                    took_ms,
                });
            }
            let mut fault = fault_of_status(heard, code, message);
            if heard.status == 400 && code == "INVALID_ARGUMENT" && lower.contains("api key") {
                fault.kind = FaultKind::Unauthorized;
            }
            return Err(fault);
        }
        let version: String = text("/modelVersion").chars().take(200).collect();
        let tokens = |name: &str| value.pointer(&format!("/usageMetadata/{name}")).and_then(Value::as_u64);
        // Thinking is charged as what is answered.
        let usage = tokens("promptTokenCount").map(|sent| {
            (sent, tokens("candidatesTokenCount").unwrap_or(0) + tokens("thoughtsTokenCount").unwrap_or(0))
        });
        if value.pointer("/promptFeedback/blockReason").is_some() {
            return Ok(Taught { text: String::new(), finish: Finish::Filtered, usage, version, took_ms });
        }
        let malformed = |what: &str| fault(FaultKind::Malformed, format!("the answer has no {what}"), true);
        let candidate = value.pointer("/candidates/0").ok_or_else(|| malformed("candidates"))?;
        let finish = match candidate.get("finishReason").and_then(Value::as_str) {
            Some("STOP") => Finish::Done,
            Some("MAX_TOKENS") => Finish::Length,
            Some(
                "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" | "IMAGE_SAFETY",
            ) => Finish::Filtered,
            Some(other) => return Err(malformed(&format!("end that can be used (finishReason {other:.40})"))),
            None => return Err(malformed("finishReason")),
        };
        let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
        let said = parts.map(|parts| {
            let spoken = parts.iter().filter(|part| part.get("thought").and_then(Value::as_bool) != Some(true));
            spoken.filter_map(|part| part.get("text")?.as_str()).collect::<String>()
        });
        match (said, finish) {
            (Some(text), _) => Ok(Taught { text, finish, usage, version, took_ms }),
            (None, Finish::Done) => Err(malformed("content")),
            (None, _) => Ok(Taught { text: String::new(), finish, usage, version, took_ms }),
        }
    }
}
