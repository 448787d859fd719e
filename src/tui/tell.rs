//! Each event as one sentence, and how much it matters: for the log, the end of a replay's step, and the hook's text.
//!
//! Total over the closed set of events. Texts of models stay out, but for what is needed to recognise them.

use serde::{Deserialize, Serialize};

use crate::run::event::*;
use crate::run::number::Num;
use crate::run::reasons::{NoPair, Refusal, Unscored};
use crate::tui::figures::{bytes, count, duration, fit, number, one_line, percent};

/// How much an event matters to somebody who reads a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Weight {
    /// One of thousands: a candidate, a judgement, a step.
    Bulk,
    Notable,
    Warning,
    Error,
}

/// Characters of a foreign text in a sentence.
const QUOTED: usize = 80;

fn quote(text: &str) -> String {
    format!("\"{}\"", fit(&one_line(text), QUOTED))
}

fn value(value: Num) -> String {
    number(value.0, 3)
}

/// The weight and the sentence of an event.
pub fn tell(event: &Event) -> (Weight, String) {
    use Weight::{Bulk, Error, Notable, Warning};
    match event {
        Event::RunStarted(e) => {
            let says = format!("run {} began: M0 to M{}, seed {}", one_line(&e.name), e.iterations + 1, e.seed);
            (Notable, says)
        }
        Event::EngineAttached(e) => {
            let again = if e.attempt > 1 { format!(", attempt {}", e.attempt) } else { String::new() };
            (Notable, format!("engine {} on {}, {}{again}", e.pid, one_line(&e.host), one_line(&e.device)))
        }
        Event::TornTailSetAside(e) => (Warning, format!("an unfinished line of {} was set aside", bytes(e.bytes))),
        Event::StageStarted(e) => (Notable, format!("{} began with {}: {} to do", e.stage, e.model, count(e.total))),
        Event::StageFinished(e) => (Notable, format!("{} finished: {}", e.stage, count(e.done))),
        Event::SftStep(e) => {
            let weight = if e.loss.0.is_finite() { Bulk } else { Error };
            (weight, format!("{} step {} of {}: loss {}", e.model, e.step, e.of, value(e.loss)))
        }
        Event::EftJudged(e) => {
            let set = if e.held_out { "held-out" } else { "ranked" };
            (Bulk, format!("{} judged {set} answer {}.{}: {}", e.model, e.set, e.response, scored(e.score)))
        }
        Event::EftFiltered(e) => (
            Notable,
            format!("judging examples: kept {} of {}, {} disagreed with people", e.kept, e.judged, e.disagreed),
        ),
        Event::RewardStep(e) => {
            let weight = if e.loss.0.is_finite() { Bulk } else { Error };
            (weight, format!("{} step {} of {}: loss {}", e.model, e.step, e.of, value(e.loss)))
        }
        Event::RewardMeasured(e) => {
            let half = e.agreement.pairwise_half.map_or("–".into(), percent);
            let from = format!("from {} pairs of people and {} of its own", count(e.human.into()), count(e.own.into()));
            (Notable, format!("{} {from}: right on {half} of held-out pairs", e.model))
        }
        Event::SelfLabelled(e) => {
            let kept = e.labels.len() as u64;
            let flipped =
                e.flipped.map_or(String::new(), |flipped| format!(", {} against people", count(flipped.into())));
            let left = count(u64::from(e.pool).saturating_sub(kept));
            (Notable, format!("{} labelled the pool: {} kept{flipped}, {left} left", e.model, count(kept)))
        }
        Event::RewardChosen(e) => (Notable, format!("{} judges from here on: {}", e.model, e.why.says())),
        Event::PromptWritten(e) => (Bulk, format!("prompt #{} {}", e.id, quote(&e.text))),
        Event::PromptRefused(e) => (Bulk, format!("prompt refused, {}: {}", refusal(&e.why), quote(&e.text))),
        Event::CandidateSampled(e) => {
            (Bulk, format!("candidate {} of #{}, {} tokens", e.candidate + 1, e.prompt, e.tokens))
        }
        Event::CandidateJudged(e) => {
            let says = format!("judged candidate {} of #{}, sample {}", e.candidate + 1, e.prompt, e.sample + 1);
            (Bulk, format!("{says}: {}", scored(e.score)))
        }
        Event::PairSelected(e) => {
            let score = |score: Option<f64>| score.map_or("–".into(), |score| number(score, 3));
            let (chosen, rejected) = (score(e.chosen_score), score(e.rejected_score));
            (Bulk, format!("pair #{}: {chosen} over {rejected}, suspicion {}", e.id, number(e.suspicion, 2)))
        }
        Event::PromptSkipped(e) => (Bulk, format!("no pair for #{}: {}", e.id, no_pair(&e.why))),
        Event::TeacherAsked(e) => (Bulk, format!("call {} to the teacher", e.call)),
        Event::TeacherAnswered(e) => {
            let says = format!("the teacher answered call {}, {} tokens", e.call, e.tokens_in + e.tokens_out);
            (Bulk, format!("{says}, {}", e.finish.name()))
        }
        Event::TeacherFailed(e) => {
            (Warning, format!("call {} to the teacher failed, {}: {}", e.call, e.fault.name(), one_line(&e.says)))
        }
        Event::TeacherChanged(e) => {
            (Warning, format!("the teacher changed from {} to {}", one_line(&e.was), one_line(&e.now)))
        }
        Event::CapsChanged(e) => (Notable, format!("{} changed what the teacher may cost", one_line(&e.by))),
        Event::DemonstrationMissing(e) => (Bulk, format!("no demonstration for #{}: {}", e.prompt, unscored(e.why))),
        Event::SecondJudged(e) => (Bulk, format!("{} judged too: {}", one_line(&e.judge), scored(e.score))),
        Event::JudgesCompared(e) => {
            let half = e.agreement.pairwise_half.map_or("–".into(), percent);
            let (judge, reference) = (one_line(&e.judge), one_line(&e.reference));
            (Notable, format!("{judge} agrees with {reference} on {half} of the pairs"))
        }
        Event::TextOffered(e) => (Bulk, format!("offered with label #{}: {}", e.pair, quote(&e.text))),
        Event::SpotCheckOpened(e) => {
            let what = e.number.map_or("pairs".to_string(), |number| format!("labels that R{number} learns from"));
            (Notable, format!("spot check opened: {} {what}", e.queue.len()))
        }
        Event::PairDecided(e) => (Notable, decided(e)),
        Event::NoteAdded(e) => {
            let on = e.pair.map_or("the run".to_string(), |pair| format!("#{pair}"));
            (Notable, format!("{} noted on {on}: {}", one_line(&e.by), quote(&e.text)))
        }
        Event::SpotCheckClosed(e) => {
            let why = match &e.why {
                GateClosed::Off => "it was off".to_string(),
                GateClosed::Decided => "all decided".into(),
                GateClosed::Deadline => "the deadline passed".into(),
                GateClosed::Asked { by } => format!("{} closed it", one_line(by)),
            };
            (Notable, format!("spot check closed, {why}: {} of {} decided", e.decided, e.offered))
        }
        Event::TrainingSetFixed(e) => {
            let what = if e.number.is_some() { "labels" } else { "pairs" };
            (Notable, format!("{} {what} will be learnt from, {} are left out", e.pairs.len(), e.left_out.len()))
        }
        Event::ReferenceScored(e) => (Bulk, format!("reference scored #{}", e.pair)),
        Event::DpoStep(e) => {
            let weight = if e.loss.0.is_finite() { Bulk } else { Error };
            let says = format!("{} step {} of {}: loss {}", e.model, e.step, e.of, value(e.loss));
            (weight, format!("{says}, margin {}", value(e.margin)))
        }
        Event::SamplesScored(e) => (Bulk, format!("reference scored {} answers to #{}", e.samples.len(), e.pair)),
        Event::RlooStep(e) => {
            let weight = if e.is_finite() { Bulk } else { Error };
            let says = format!("{} step {} of {}: loss {}", e.model, e.step, e.of, value(e.loss));
            (weight, format!("{says}, reward gained {}, KL {}", value(e.gain), value(e.kl)))
        }
        Event::HeldOutAnswered(e) => (Bulk, format!("{} answered held-out item {}", e.model, e.item)),
        Event::Duelled(e) => (Bulk, format!("{} against {} on item {}", e.model, e.against, e.item)),
        Event::Measured(e) => (Bulk, format!("{} measured: {} numbers", e.stage, e.values.len())),
        Event::Evaluated(e) if e.agreement.is_silent() => {
            (Notable, format!("{} measured: it gave no scores that could agree with people's", e.model))
        }
        Event::Evaluated(e) => {
            let half = e.agreement.pairwise_half.map_or("–".into(), percent);
            (Notable, format!("{} measured: agrees with people on {half} of the pairs", e.model))
        }
        Event::CheckpointSaved(e) => {
            let what =
                if e.finished { format!("{} saved", e.model) } else { format!("{} step {} saved", e.model, e.step) };
            (Notable, format!("{what}, {}", bytes(e.bytes)))
        }
        Event::CheckpointDamaged(e) => {
            (Warning, format!("{} cannot be used: {}", one_line(&e.folder), one_line(&e.why)))
        }
        Event::CheckpointChosen(e) => (Notable, format!("{} is its step {}, by {}", e.model, e.step, one_line(&e.by))),
        Event::StepsAbandoned(e) => (Warning, format!("{} goes on from step {}", e.model, e.after)),
        Event::AlarmRaised(e) => {
            let weight = match e.level {
                Level::Info => Notable,
                Level::Warn => Warning,
                Level::Error => Error,
            };
            (weight, format!("{}: {}", one_line(&e.id), one_line(&e.says)))
        }
        Event::AlarmCleared(e) => {
            let how = e.by.as_ref().map_or("is over".into(), |by| format!("was seen by {}", one_line(by)));
            (Notable, format!("{} {how}", one_line(&e.id)))
        }
        Event::Paused(e) => {
            let why = match &e.why {
                PauseReason::Asked => e.by.as_ref().map_or("asked".into(), |by| format!("{} asked", one_line(by))),
                PauseReason::Alarm { id } => format!("alert {}", one_line(id)),
                PauseReason::Storage { error } => format!("cannot write: {}", one_line(error)),
                PauseReason::Teacher { error } => format!("the teacher: {}", one_line(error)),
            };
            (Warning, format!("paused: {why}"))
        }
        Event::Resumed(e) => {
            (Notable, e.by.as_ref().map_or("went on".into(), |by| format!("went on, {} asked", one_line(by))))
        }
        Event::RequestTaken(e) => (Notable, format!("{} asked: {}", one_line(&e.by), one_line(&e.what))),
        Event::CommandRefused(e) => {
            (Warning, format!("refused {}, {} asked: {}", one_line(&e.what), one_line(&e.by), one_line(&e.why)))
        }
        Event::RolledBack(e) => (Warning, format!("{} went back to {}", one_line(&e.by), e.to)),
        Event::Stopped(e) => (Warning, format!("stopped: {}", one_line(&e.why))),
        Event::RunFinished(e) => (Notable, format!("run finished with {}", e.model)),
        Event::Failed(e) => (Error, format!("failed: {}", one_line(&e.error))),
        Event::Unknown(_) => (Notable, format!("{} (this program is too old to know it)", one_line(event.kind()))),
    }
}

fn scored(score: Result<f64, Unscored>) -> String {
    match score {
        Ok(score) => number(score, 3),
        Err(why) => format!("no score, {}", unscored(why)),
    }
}

/// Why a reply holds no score, in words.
pub fn unscored(why: Unscored) -> &'static str {
    match why {
        Unscored::Missing => "no score line",
        Unscored::NotANumber => "not a number",
        Unscored::OutOfRange => "not within 0 to 5",
        Unscored::Ambiguous => "two different scores",
        Unscored::Refused => "refused",
        Unscored::Filtered => "withheld by a filter",
        Unscored::CutOff => "cut off",
        Unscored::TooLong => "too long to judge",
    }
}

/// Why a prompt was refused, in words.
pub fn refusal(why: &Refusal) -> String {
    match why {
        Refusal::Empty => "empty".into(),
        Refusal::TooShort { words } => format!("too short ({words} words)"),
        Refusal::TooLong { words } => format!("too long ({words} words)"),
        Refusal::Keyword { word } => format!("asks for {}", quote(word)),
        Refusal::Shape { what } => format!("its shape ({})", one_line(what)),
        Refusal::TooLike { likeness, other } => format!("{} like {}", percent(*likeness), quote(other)),
        Refusal::Contaminated { likeness, .. } => format!("{} like held-out data", percent(*likeness)),
        Refusal::Truncated => "cut off".into(),
        Refusal::Unlikely { nll, cut } => format!("unlikely ({} over {})", number(*nll, 3), number(*cut, 3)),
    }
}

/// Why a prompt gave no pair, in words.
pub fn no_pair(why: &NoPair) -> String {
    match why {
        NoPair::Tie => "best and worst score are equal".into(),
        NoPair::TooFewScores { scored, needed } => format!("{scored} of {needed} needed scores"),
        NoPair::SmallMargin { margin, needed } => format!("margin {} under {}", number(*margin, 2), number(*needed, 2)),
        NoPair::NearDuplicate { likeness } => format!("the answers are {} alike", percent(*likeness)),
        NoPair::Empty => "an answer is empty".into(),
        NoPair::Truncated => "an answer was cut off".into(),
        NoPair::LowPolicyMargin { .. } => "the policy itself prefers the rejected answer".into(),
        NoPair::NoDemonstration { why } => format!("the teacher showed nothing: {}", unscored(*why)),
        NoPair::Human => "a human said so".into(),
    }
}

/// Why a pair was vetoed, in words.
pub fn veto_reason(reason: VetoReason) -> &'static str {
    match reason {
        VetoReason::Wrong => "wrong",
        VetoReason::Length => "length",
        VetoReason::Gaming => "gaming",
        VetoReason::Broken => "broken",
        VetoReason::Prompt => "bad prompt",
        VetoReason::Other => "other",
    }
}

fn decided(event: &PairDecided) -> String {
    let what = match event.decision {
        Decision::Keep => "kept".to_string(),
        Decision::Veto => event.reason.map_or("vetoed".into(), |reason| format!("vetoed ({})", veto_reason(reason))),
        Decision::Swap => "swapped".into(),
        Decision::Tie => "called a tie".into(),
        Decision::Edit { candidate, score } => format!("scored candidate {} {} in", candidate + 1, number(score, 3)),
        Decision::Defer => "deferred".into(),
        Decision::Flag => "flagged".into(),
        Decision::Undo { of } => format!("took back decision {of} on"),
        Decision::Redo { of } => format!("restored decision {of} on"),
    };
    let pairs = match event.pairs.as_slice() {
        [one] => format!("#{}", one.pair),
        many => format!("{} pairs", many.len()),
    };
    let took = event.took_ms.map_or(String::new(), |ms| format!(" after {}", duration(ms as f64 / 1000.0)));
    format!("{} {what} {pairs}{took}", one_line(&event.by))
}
