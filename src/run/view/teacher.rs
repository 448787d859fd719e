//! The fold's teacher: calls, cost, failures, versions and caps, and what a second judge said.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::run::entry::Stamp;
use crate::run::event::{Finish, JudgesCompared, TeacherAnswered, TeacherAsked, TeacherChanged, TeacherFailed};
use crate::run::spending::{Caps, Spending};
use crate::run::view::RunView;

/// Answers whose times are kept: the recent pace.
const PACE: usize = 64;

/// What became of a run's calls to its teacher.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TeacherView {
    pub spending: Spending,
    /// Calls that were sent; the next one gets the next number.
    pub asked: u64,
    pub answered: u64,
    pub tokens_in: u64,
    pub tokens_out: u64,
    /// Answers without usage, counted at the most that they could cost.
    pub unmetered: u64,
    /// Answers that ended otherwise than well, by how.
    pub unfinished: OrdMap<String, u64>,
    /// Calls without an answer, by fault.
    pub failed: OrdMap<String, u64>,
    pub last_failure: Option<Arc<TeacherFailed>>,
    /// The models that answered, in order; more than one is worth an alarm.
    pub versions: Vector<String>,
    pub changes: Vector<Arc<TeacherChanged>>,
    /// Caps that somebody set while the run was under way.
    pub caps: Option<Caps>,
    pub compared: Vector<Arc<JudgesCompared>>,
    recent: Vector<Stamp>,
}

impl TeacherView {
    /// Whether anything was ever asked of a teacher.
    pub fn is_used(&self) -> bool {
        self.asked > 0
    }

    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Answers per minute over the last ones.
    pub fn per_minute(&self) -> Option<f64> {
        let (first, last) = (self.recent.front()?, self.recent.back()?);
        let seconds = last.seconds_since(*first);
        (self.recent.len() > 1 && seconds > 0.0).then(|| (self.recent.len() - 1) as f64 * 60.0 / seconds)
    }

    pub(super) fn asked(&mut self, event: &TeacherAsked) {
        self.asked = self.asked.max(event.call);
        self.spending.reserve(event.call, event.most);
    }

    pub(super) fn answered(&mut self, at: Stamp, event: &TeacherAnswered) -> bool {
        self.answered += 1;
        self.tokens_in += event.tokens_in;
        self.tokens_out += event.tokens_out;
        self.unmetered += u64::from(!event.metered);
        if event.finish != Finish::Done {
            *self.unfinished.entry(event.finish.name().to_string()).or_default() += 1;
        }
        if !event.version.is_empty() && !self.versions.contains(&event.version) {
            self.versions.push_back(event.version.clone());
        }
        self.recent.push_back(at);
        if self.recent.len() > PACE {
            self.recent.pop_front();
        }
        self.spending.settle(event.call, Some(event.paid))
    }

    pub(super) fn failed(&mut self, event: &TeacherFailed) -> bool {
        *self.failed.entry(event.fault.name().to_string()).or_default() += 1;
        self.last_failure = Some(Arc::new(event.clone()));
        self.spending.settle(event.call, event.paid)
    }
}

impl RunView {
    /// What may be spent: as configured, or as somebody changed it since.
    pub fn caps(&self) -> Caps {
        let number = |key: &str| self.config.pointer(key).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        self.teacher.caps.unwrap_or_else(|| Caps {
            calls: number("/teacher/cap_calls") as u64,
            tokens: number("/teacher/cap_tokens") as u64,
            micros: (number("/teacher/cap_cost") * 1e6).round() as u64,
        })
    }

    /// The currency of its prices.
    pub fn currency(&self) -> &str {
        self.config.pointer("/teacher/currency").and_then(serde_json::Value::as_str).unwrap_or("")
    }

    /// Which recipe the run follows.
    pub fn recipe(&self) -> &str {
        self.started.as_ref().map_or("self", |started| started.recipe.as_str())
    }
}
