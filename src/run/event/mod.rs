//! Everything that can have happened in a run: a closed set of facts, in the past tense.
//!
//! The engine records them, the fold reads them, `runs/README.md` documents each one (a test compares). A kind that this program does not
//! know survives as `Unknown`. Fields that are a time, a duration or a host are no facts: see `facts.rs`.

use serde::{Deserialize, Serialize};

use crate::run::ids::RequestId;

mod check;
mod learning;
mod life;
mod reward;
mod samples;
mod teacher;
mod writing;

pub use check::*;
pub use learning::*;
pub use life::*;
pub use reward::*;
pub use samples::*;
pub use teacher::*;
pub use writing::*;

/// Declares the closed set once: the enum, the names of its kinds, how each is read, and the documentation of each field.
macro_rules! events {
    ($($kind:literal $payload:ident $(<$boxed:ident>)?,)+) => {
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "kind")]
        pub enum Event {
            $(#[serde(rename = $kind)] $payload(events!(@held $payload $($boxed)?)),)+
            /// A kind from a newer program, kept as it was written.
            #[serde(untagged)]
            Unknown(serde_json::Map<String, serde_json::Value>),
        }

        impl Event {
            /// Every kind, in the order of a run.
            pub const KINDS: &[&str] = &[$($kind),+];

            /// The name of this event's kind.
            pub fn kind(&self) -> &str {
                match self {
                    $(Event::$payload(_) => $kind,)+
                    Event::Unknown(members) => members.get("kind").and_then(|kind| kind.as_str()).unwrap_or("?"),
                }
            }

            /// Reads one event. A known kind with wrong members is an error; an unknown kind is not.
            pub fn parse(text: &str) -> Result<Event, serde_json::Error> {
                #[derive(Deserialize)]
                struct Kind<'a> {
                    #[serde(borrow)]
                    kind: std::borrow::Cow<'a, str>,
                }
                // This program writes the kind first: then the text need not be read twice.
                let written = text.strip_prefix("{\"kind\":\"").and_then(|rest| Some(rest.split_once('"')?.0));
                let kind = match written.filter(|kind| !kind.contains('\\')) {
                    Some(kind) => std::borrow::Cow::Borrowed(kind),
                    None => serde_json::from_str::<Kind>(text)?.kind,
                };
                match kind.as_ref() {
                    $($kind => serde_json::from_str::<events!(@held $payload $($boxed)?)>(text).map(Event::$payload),)+
                    _ => serde_json::from_str(text).map(Event::Unknown),
                }
            }

            /// The schema of each kind's members, for the documentation and its test.
            pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
                vec![$(($kind, schemars::schema_for!($payload)),)+]
            }
        }

        $(impl From<$payload> for Event {
            fn from(payload: $payload) -> Event {
                Event::$payload(payload.into())
            }
        })+
    };
    (@held $payload:ident) => { $payload };
    (@held $payload:ident Box) => { Box<$payload> };
}

events! {
    "run_started" RunStarted <Box>,
    "engine_attached" EngineAttached <Box>,
    "torn_tail_set_aside" TornTailSetAside,
    "stage_started" StageStarted,
    "stage_finished" StageFinished,
    "sft_step" SftStep,
    "eft_judged" EftJudged,
    "eft_filtered" EftFiltered,
    "reward_step" RewardStep <Box>,
    "reward_measured" RewardMeasured <Box>,
    "self_labelled" SelfLabelled,
    "text_offered" TextOffered,
    "reward_chosen" RewardChosen,
    "prompt_written" PromptWritten,
    "prompt_refused" PromptRefused,
    "candidate_sampled" CandidateSampled,
    "candidate_judged" CandidateJudged,
    "pair_selected" PairSelected,
    "prompt_skipped" PromptSkipped,
    "teacher_asked" TeacherAsked,
    "teacher_answered" TeacherAnswered,
    "teacher_failed" TeacherFailed,
    "teacher_changed" TeacherChanged,
    "caps_changed" CapsChanged,
    "demonstration_missing" DemonstrationMissing,
    "second_judged" SecondJudged,
    "judges_compared" JudgesCompared <Box>,
    "spot_check_opened" SpotCheckOpened,
    "pair_decided" PairDecided,
    "note_added" NoteAdded,
    "spot_check_closed" SpotCheckClosed,
    "training_set_fixed" TrainingSetFixed,
    "reference_scored" ReferenceScored,
    "dpo_step" DpoStep <Box>,
    "samples_scored" SamplesScored,
    "rloo_step" RlooStep <Box>,
    "held_out_answered" HeldOutAnswered,
    "duelled" Duelled,
    "measured" Measured,
    "evaluated" Evaluated <Box>,
    "checkpoint_saved" CheckpointSaved,
    "checkpoint_damaged" CheckpointDamaged,
    "checkpoint_chosen" CheckpointChosen,
    "steps_abandoned" StepsAbandoned,
    "alarm_raised" AlarmRaised,
    "alarm_cleared" AlarmCleared,
    "paused" Paused,
    "resumed" Resumed,
    "request_taken" RequestTaken,
    "command_refused" CommandRefused,
    "rolled_back" RolledBack,
    "stopped" Stopped,
    "run_finished" RunFinished,
    "failed" Failed,
}

impl Event {
    /// The request that this event answers.
    pub fn answers(&self) -> Option<&RequestId> {
        match self {
            Event::CapsChanged(event) => Some(&event.request),
            Event::PairDecided(event) => Some(&event.request),
            Event::NoteAdded(event) => Some(&event.request),
            Event::RequestTaken(event) => Some(&event.request),
            Event::CommandRefused(event) => Some(&event.request),
            Event::RolledBack(event) => Some(&event.request),
            Event::CheckpointSaved(event) => event.request.as_ref(),
            Event::AlarmCleared(event) => event.request.as_ref(),
            Event::Paused(event) => event.request.as_ref(),
            Event::Resumed(event) => event.request.as_ref(),
            Event::Stopped(event) => event.request.as_ref(),
            _ => None,
        }
    }
}
