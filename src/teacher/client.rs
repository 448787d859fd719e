//! A teacher at an endpoint, as the engine asks it: a dialect over a wire.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::engine::overrides::seconds;
use crate::engine::policy::{Fault, Taught, Teacher, TeacherCall};
use crate::engine::teaching::settings::{Dialect, TeacherSettings};
use crate::teacher::gemini::Gemini;
use crate::teacher::openai::Openai;
use crate::teacher::secret::Secret;
use crate::teacher::wire::{Heard, KeyHeader, Timeouts, Wire};

/// How an endpoint is spoken to.
pub trait Speech: Send + Sync {
    fn key_header(&self) -> KeyHeader;
    /// Where a call goes, below the endpoint.
    fn path(&self, model: &str) -> String;
    fn request(&self, model: &str, call: &TeacherCall, send_seed: bool) -> Value;
    /// What an answer of whatever status means.
    fn read(&self, heard: &Heard) -> Result<Taught, Fault>;
}

pub fn speech(dialect: Dialect) -> Box<dyn Speech> {
    match dialect {
        Dialect::Openai => Box::new(Openai),
        Dialect::Gemini => Box::new(Gemini),
    }
}

/// The teacher of a run.
pub struct Client {
    wire: Wire,
    speech: Box<dyn Speech>,
    model: String,
    send_seed: bool,
    name: String,
}

impl Client {
    /// Finds the key and makes ready; nothing is sent.
    pub fn new(settings: &TeacherSettings) -> Result<Client> {
        let key = Secret::find(&settings.key_env, settings.key_file.as_deref().map(Path::new))?;
        let speech = speech(settings.dialect);
        let wire = Wire::new(&settings.endpoint, key, speech.key_header(), timeouts(settings));
        let name = wire.scrub(&format!("{} at {}", settings.model, settings.endpoint));
        Ok(Client { wire, speech, model: settings.model.clone(), send_seed: settings.send_seed, name })
    }
}

impl Teacher for Client {
    fn name(&self) -> &str {
        &self.name
    }

    fn ask(&self, call: &TeacherCall) -> Result<Taught, Fault> {
        let request = self.speech.request(&self.model, call, self.send_seed);
        self.speech.read(&self.wire.post(&self.speech.path(&self.model), &request)?)
    }
}

/// The time-outs that are set; settings are checked before.
pub fn timeouts(settings: &TeacherSettings) -> Timeouts {
    let of = |text: &str, otherwise: f64| Duration::from_secs_f64(seconds(text).unwrap_or(otherwise).max(0.001));
    Timeouts {
        connect: of(&settings.timeout_connect, 10.0),
        answer: of(&settings.timeout_answer, 120.0),
        whole: of(&settings.timeout, 180.0),
    }
}
