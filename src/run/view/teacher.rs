//! The fold's teacher: calls, cost, failures, versions and caps, and what a second judge said.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::run::entry::Stamp;
use crate::run::event::{Finish, JudgesCompared, TeacherAnswered, TeacherAsked, TeacherChanged, TeacherFailed};
use crate::run::spending::{Caps, Spending, amount};
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

    /// The account in one line: answers and their pace, tokens, money, caps, failures.
    pub fn account(&self, caps: &Caps, currency: &str) -> String {
        let spent = &self.spending;
        let of = |cap: u64, says: String| if cap > 0 { format!(" of {says}") } else { String::new() };
        let mut parts = vec![format!("{} calls{}", spent.calls, of(caps.calls, caps.calls.to_string()))];
        parts.extend(self.per_minute().map(|pace| format!("{pace:.0}/min")));
        parts.push(format!("{} tokens{}", spent.spent.tokens, of(caps.tokens, caps.tokens.to_string())));
        if spent.spent.micros > 0 || caps.micros > 0 {
            parts.push(format!("{}{} {currency}", amount(spent.spent.micros), of(caps.micros, amount(caps.micros))));
        }
        if self.failures() > 0 {
            parts.push(format!("{} failed", self.failures()));
        }
        let unfinished: u64 = self.unfinished.values().sum();
        if unfinished > 0 {
            parts.push(format!("{unfinished} without an answer to use"));
        }
        parts.join(", ")
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

    /// Who judges the candidates.
    pub fn judge(&self) -> &str {
        self.started.as_ref().map_or("self", |started| started.judge.as_str())
    }

    /// Whether scores go from 0 to 5; an intrinsic reward and that of a reward model have no bounds.
    pub fn has_scale(&self) -> bool {
        !matches!(self.judge(), "intrinsic" | "reward-model")
    }

    /// Whether judgements are texts that somebody wrote.
    pub fn judge_writes(&self) -> bool {
        !matches!(self.judge(), "expected" | "intrinsic" | "reward-model")
    }

    /// How the rewards of an iteration's model rank its candidates as those of the model before do.
    pub fn consistency(&self, iteration: u32) -> Option<&JudgesCompared> {
        let of = |found: &&Arc<JudgesCompared>| found.iteration == iteration && found.reference == "intrinsic";
        self.teacher.compared.iter().rev().find(of).map(Arc::as_ref)
    }

    /// Which recipe the run follows.
    pub fn recipe(&self) -> &str {
        self.started.as_ref().map_or("self", |started| started.recipe.as_str())
    }
}
