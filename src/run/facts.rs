//! The digest of what happened, without when, where or how fast.
//!
//! Two runs with the same configuration and seed have the same facts, however often they were killed: a fact that is repeated word for word
//! after a crash counts once. `status --json` prints the digest; the crash tests compare it.

use std::collections::HashSet;

use serde_json::Value;

use crate::run::event::Event;

/// Members that are times, durations, speeds, hosts or places on disk.
const NOT_FACTS: &[&str] =
    &["name", "program", "tokens_per_s", "memory_bytes", "took_ms", "request", "source", "bytes"];

/// Collects facts, in any order.
#[derive(Debug, Default)]
pub struct Facts {
    seen: HashSet<[u8; 16]>,
    sum: [u64; 4],
}

impl Facts {
    /// Adds an event, if it is a fact.
    pub fn add(&mut self, event: &Event) {
        if !is_fact(event) {
            return;
        }
        let mut value = match serde_json::to_value(event) {
            Ok(value) => value,
            Err(_) => return,
        };
        strip(&mut value);
        let hash = blake3::hash(value.to_string().as_bytes());
        let bytes = hash.as_bytes();
        let mut short = [0; 16];
        short.copy_from_slice(&bytes[..16]);
        if self.seen.insert(short) {
            // A sum does not depend on the order, and unlike xor it does not forget what comes twice.
            for (word, chunk) in self.sum.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = word.wrapping_add(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
            }
        }
    }

    pub fn count(&self) -> usize {
        self.seen.len()
    }

    /// 32 hexadecimal digits.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for word in self.sum {
            hasher.update(&word.to_le_bytes());
        }
        hasher.finalize().to_hex()[..32].to_string()
    }
}

fn is_fact(event: &Event) -> bool {
    match event {
        Event::RunStarted(_)
        | Event::StageStarted(_)
        | Event::StageFinished(_)
        | Event::SftStep(_)
        | Event::EftJudged(_)
        | Event::EftFiltered(_)
        | Event::PromptWritten(_)
        | Event::PromptRefused(_)
        | Event::CandidateSampled(_)
        | Event::CandidateJudged(_)
        | Event::PairSelected(_)
        | Event::PromptSkipped(_)
        | Event::SpotCheckOpened(_)
        | Event::PairDecided(_)
        | Event::NoteAdded(_)
        | Event::SpotCheckClosed(_)
        | Event::TrainingSetFixed(_)
        | Event::ReferenceScored(_)
        | Event::DpoStep(_)
        | Event::SamplesScored(_)
        | Event::RlooStep(_)
        | Event::HeldOutAnswered(_)
        | Event::Duelled(_)
        | Event::Measured(_)
        | Event::SecondJudged(_)
        | Event::DemonstrationMissing(_)
        | Event::JudgesCompared(_)
        | Event::Evaluated(_)
        | Event::RewardStep(_)
        | Event::RewardMeasured(_)
        | Event::SelfLabelled(_)
        | Event::TextOffered(_)
        | Event::RewardChosen(_)
        | Event::CheckpointChosen(_)
        | Event::RolledBack(_)
        | Event::RunFinished(_) => true,
        // A finished model is a fact; a state in between depends on when the engine was interrupted.
        Event::CheckpointSaved(event) => event.finished,
        // Alarms of the machine (disk, heartbeat) depend on the machine.
        Event::AlarmRaised(event) => !event.id.starts_with("sys"),
        Event::EngineAttached(_)
        | Event::TornTailSetAside(_)
        // What was used of an answer is a fact elsewhere; how often one had to ask is the network's affair.
        | Event::TeacherAsked(_)
        | Event::TeacherAnswered(_)
        | Event::TeacherFailed(_)
        | Event::TeacherChanged(_)
        | Event::CapsChanged(_)
        | Event::CheckpointDamaged(_)
        | Event::StepsAbandoned(_)
        | Event::AlarmCleared(_)
        | Event::Paused(_)
        | Event::Resumed(_)
        | Event::RequestTaken(_)
        | Event::CommandRefused(_)
        | Event::Stopped(_)
        | Event::Failed(_)
        | Event::Unknown(_) => false,
    }
}

/// Removes what is no fact, at every depth.
fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !NOT_FACTS.contains(&name.as_str()));
            // The place of the decision that is taken back shifts when an engine was interrupted.
            for taken_back in ["undo", "redo"] {
                if let Some(Value::Object(place)) = members.get_mut(taken_back) {
                    place.clear();
                }
            }
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::{AlarmRaised, DataRead, Failed, Level, RunFinished, StageStarted};
    use crate::run::ids::{Model, Stage};
    use crate::run::number::Num;

    fn digest(events: &[Event]) -> String {
        let mut facts = Facts::default();
        events.iter().for_each(|event| facts.add(event));
        facts.digest()
    }

    fn stage(iteration: u32) -> Event {
        StageStarted { iteration, stage: Stage::Judge, model: Model::M(1), total: 7 }.into()
    }

    fn alarm(id: &str) -> Event {
        let says = String::new();
        AlarmRaised {
            id: id.into(),
            level: Level::Warn,
            iteration: 1,
            value: Num(f64::NAN),
            threshold: Num(0.1),
            window: says.clone(),
            says: says.clone(),
            advice: says,
            evidence: vec![],
        }
        .into()
    }

    #[test]
    fn repeated_facts_and_what_is_no_fact_change_nothing() {
        let finished = || Event::from(RunFinished { model: Model::M(3) });
        let once = digest(&[stage(1), finished()]);
        assert_eq!(once, digest(&[stage(1), Failed { error: "power".into() }.into(), stage(1), finished()]));
        assert_eq!(once, digest(&[finished(), alarm("sys-disk"), stage(1)]));
        assert_ne!(once, digest(&[stage(2), finished()]));
        assert_ne!(once, digest(&[stage(1), finished(), alarm("judge-parse")]));
    }

    #[test]
    fn where_data_lay_is_no_fact_and_what_it_held_is() {
        let read = |source: &str, hash: &str| {
            let data = DataRead { role: "ift".into(), source: source.into(), rows: 1, refused: 0, hash: hash.into() };
            let mut value = serde_json::to_value(data).unwrap();
            strip(&mut value);
            value
        };
        assert_eq!(read("/a", "1"), read("/b", "1"));
        assert_ne!(read("/a", "1"), read("/a", "2"));
    }
}
