//! The examination of an endpoint: what it honours of what a run asks, what it does not, and what follows. `doctor --endpoint`.
//!
//! Endpoints that speak one dialect differ in what they silently ignore, and a run would only show it as four equal candidates or as scores
//! that never vary. Every check is one line. Prints nothing; `cli` does.

use serde_json::{Value, json};

use crate::engine::policy::{Fault, Sampling, Taught, TeacherCall};
use crate::engine::teaching::settings::{Dialect, TeacherSettings};
use crate::run::event::FaultKind;
use crate::teacher::client::{Speech, speech, timeouts};
use crate::teacher::secret::Secret;
use crate::teacher::wire::{Heard, Wire, fault};

mod protocol;
mod sampling;

/// What every request of the examination asks.
const QUESTION: &str = include_str!("../../../prompts/doctor.txt");
/// Tokens of an answer in the examination.
const TOKENS: u32 = 48;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    NotHonoured,
    /// The endpoint gave no occasion to find out.
    Unknown,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::NotHonoured => "not honoured",
            Verdict::Unknown => "could not tell",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub name: &'static str,
    pub verdict: Verdict,
    pub says: String,
    /// What follows for a run.
    pub follows: &'static str,
}

/// What a check returns.
type Found = (Verdict, String);
type Check = (&'static str, fn(&mut Examiner) -> Found, &'static str);

/// Every check, in order: its name, the check, and what it means for a run when it is not honoured.
fn checks() -> Vec<Check> {
    [sampling::CHECKS, protocol::CHECKS].concat()
}

/// What a judge's reply must hold, found out with the run's own prompt and parser.
pub struct Judging<'a> {
    pub prompt: String,
    /// Whether a reply holds a score.
    pub reads: &'a dyn Fn(&str) -> bool,
}

/// Examines an endpoint; `tell` hears each finding as soon as it is there.
pub fn examine(
    settings: &TeacherSettings,
    key: Secret,
    judging: &Judging,
    tell: &mut dyn FnMut(&Finding),
) -> Vec<Finding> {
    let speech = speech(settings.dialect);
    let wire = Wire::new(&settings.endpoint, key, speech.key_header(), timeouts(settings));
    let first = TeacherCall { text: QUESTION.trim_end().into(), sampling: plain(), seed: 1 };
    let body = speech.request(&settings.model, &first, settings.send_seed);
    let mut examiner = Examiner { settings, speech, wire, first: Err(unreached()), limited: None };
    examiner.first = examiner.hear(&body);
    let mut findings = Vec::new();
    let mut add = |finding: Finding| {
        tell(&finding);
        findings.push(finding);
    };
    let (verdict, says) = examiner.answers();
    let reached = verdict == Verdict::Ok;
    add(Finding { name: "answers", verdict, says, follows: "without an answer to a plain question no run can begin" });
    for (name, check, follows) in checks() {
        let (verdict, says) = match reached {
            true => check(&mut examiner),
            false => (Verdict::Unknown, "it did not answer the first question".into()),
        };
        add(Finding { name, verdict, says, follows });
    }
    let (verdict, says) = match reached {
        true => examiner.judges(judging),
        false => (Verdict::Unknown, "it did not answer the first question".into()),
    };
    let follows =
        "judgements without a score make no pair: another model, a longer teacher.max_tokens, or teacher-demo";
    add(Finding { name: "judges", verdict, says, follows });
    findings
}

fn plain() -> Sampling {
    Sampling { temperature: 1.0, top_p: 1.0, max_tokens: TOKENS, stop: Vec::new() }
}

fn unreached() -> Fault {
    fault(FaultKind::Connect, "nothing was asked yet".into(), false)
}

fn ok(says: impl Into<String>) -> Found {
    (Verdict::Ok, says.into())
}

fn not(says: impl Into<String>) -> Found {
    (Verdict::NotHonoured, says.into())
}

fn unknown(says: impl Into<String>) -> Found {
    (Verdict::Unknown, says.into())
}

/// An examination under way.
struct Examiner<'a> {
    settings: &'a TeacherSettings,
    speech: Box<dyn Speech>,
    wire: Wire,
    /// The first answer, which several checks read.
    first: Result<Heard, Fault>,
    /// Whether an answer of 429 that came meanwhile named a wait.
    limited: Option<bool>,
}

impl Examiner<'_> {
    fn path(&self) -> String {
        self.speech.path(&self.settings.model)
    }

    fn is_openai(&self) -> bool {
        self.settings.dialect == Dialect::Openai
    }

    /// A request like the first, with another temperature and seed.
    fn request(&self, temperature: f64, seed: u64) -> Value {
        self.request_of(QUESTION.trim_end(), temperature, seed)
    }

    fn request_of(&self, text: &str, temperature: f64, seed: u64) -> Value {
        let call = TeacherCall { text: text.into(), sampling: Sampling { temperature, ..plain() }, seed };
        self.speech.request(&self.settings.model, &call, true)
    }

    /// Sets a parameter where the dialect has it; false where it has none.
    fn set(&self, request: &mut Value, name: &str, value: Value) -> bool {
        if self.is_openai() {
            request[name] = value;
            return true;
        }
        let known = match name {
            "top_p" => "topP",
            "max_tokens" => "maxOutputTokens",
            "stop" => "stopSequences",
            "n" => "candidateCount",
            "logprobs" => "responseLogprobs",
            "temperature" | "seed" => name,
            _ => return false,
        };
        request["generationConfig"][known] = value;
        true
    }

    fn hear(&mut self, request: &Value) -> Result<Heard, Fault> {
        let heard = match self.wire.post(&self.path(), request) {
            // An endpoint may close a kept connection in the moment in which it is used again.
            Err(fault) if fault.kind == FaultKind::Cut => self.wire.post(&self.path(), request)?,
            heard => heard?,
        };
        if heard.status == 429 {
            self.limited = Some(heard.wait_ms.is_some());
        }
        Ok(heard)
    }

    fn ask(&mut self, request: &Value) -> Result<Taught, Fault> {
        let heard = self.hear(request)?;
        self.speech.read(&heard)
    }

    /// The texts of several requests, or the first fault.
    fn texts(&mut self, requests: &[Value]) -> Result<Vec<String>, Found> {
        let mut texts = Vec::new();
        for request in requests {
            texts.push(self.ask(request).map_err(|fault| unknown(fault.says))?.text);
        }
        Ok(texts)
    }

    fn answers(&mut self) -> Found {
        match &self.first {
            Ok(heard) => match self.speech.read(heard) {
                Ok(taught) => ok(format!("{} ms, {} characters", taught.took_ms, taught.text.chars().count())),
                Err(fault) => not(fault.says),
            },
            Err(fault) => not(fault.says.clone()),
        }
    }

    fn judges(&mut self, judging: &Judging) -> Found {
        let mut request = self.request_of(&judging.prompt, 0.7, 5);
        self.set(&mut request, "max_tokens", json!(self.settings.max_tokens));
        match self.ask(&request) {
            Ok(taught) if (judging.reads)(&taught.text) => ok("its judgement of a sample answer holds a score"),
            Ok(taught) => {
                not(format!("no score in {} characters ({})", taught.text.chars().count(), taught.finish.name()))
            }
            Err(fault) => unknown(fault.says),
        }
    }
}
