//! A run told in lines: one for each event of note, and one for progress now and then, with the time left.
//!
//! Used by `--headless` (following a detached engine) and `--foreground` (told by the engine itself). Model text never stands in a line.

use crate::cli::output::Output;
use crate::run::entry::{Entry, Stamp};
use crate::run::eta::{Estimate, eta};
use crate::run::event::*;
use crate::run::measures::Agreement;
use crate::run::view::RunView;
use crate::text::duration::duration;

/// A line of progress at most so often.
const EVERY_SECONDS: f64 = 5.0;

/// Tells a run as it happens.
#[derive(Default)]
pub struct Teller {
    last_progress: Option<Stamp>,
    name: String,
}

impl Teller {
    /// The lines that an entry is worth, given the view after it.
    pub fn tell(&mut self, entry: &Entry, view: &RunView) -> Vec<String> {
        let at = clock(entry.at);
        let mut lines = Vec::new();
        if let Event::RunStarted(event) = &entry.event {
            self.name = event.name.clone();
        }
        if let Some(says) = of_note(&entry.event, &self.name) {
            self.last_progress = Some(entry.at);
            lines.push(format!("{at} {says}"));
        } else if self.last_progress.is_none_or(|last| entry.at.seconds_since(last) >= EVERY_SECONDS)
            && let Some(says) = progress(view, entry.at)
        {
            self.last_progress = Some(entry.at);
            lines.push(format!("{at} {says}"));
        }
        lines
    }

    pub fn print(&mut self, entry: &Entry, view: &RunView, output: &mut Output) -> anyhow::Result<()> {
        for line in self.tell(entry, view) {
            output.line(&line)?;
        }
        output.finish()
    }
}

/// `14:02:11`, in UTC like the journal.
fn clock(at: Stamp) -> String {
    at.to_string()[11..19].to_string()
}

fn progress(view: &RunView, now: Stamp) -> Option<String> {
    let span = view.stage().filter(|span| span.finished.is_none() && span.total > 0)?;
    let eta = eta(view, now);
    let mut says = format!(
        "iteration {} {} {}/{} ({:.0}%)",
        span.iteration,
        span.stage,
        span.done,
        span.total,
        100.0 * span.done as f64 / span.total as f64
    );
    if let Some(rate) = eta.rate {
        says.push_str(&format!(", {rate:.1}/s"));
    }
    if let Some(left) = eta.stage {
        says.push_str(&format!(", {} left", range(left)));
    }
    if let Some(left) = eta.run {
        says.push_str(&format!("; run {} left", range(left)));
    }
    Some(says)
}

fn range(left: Estimate) -> String {
    let about = if left.rough { "~" } else { "" };
    format!("{about}{} ({} to {})", duration(left.mid), duration(left.low), duration(left.high))
}

fn of_note(event: &Event, name: &str) -> Option<String> {
    Some(match event {
        Event::RunStarted(event) => {
            let recipe = if event.recipe == "self" { String::new() } else { format!(" recipe {},", event.recipe) };
            format!(
                "run {} started:{recipe} {} policy, seed {}, to M{}",
                event.name,
                event.policy,
                event.seed,
                event.iterations + 1
            )
        }
        Event::EngineAttached(event) if event.attempt > 1 => {
            format!(
                "engine {} took over on {} (attempt {}), device {}",
                event.pid, event.host, event.attempt, event.device
            )
        }
        Event::EngineAttached(event) => {
            format!("engine {} on {}, device {}: {}", event.pid, event.host, event.device, event.device_why)
        }
        Event::TornTailSetAside(event) => format!("an unfinished line of {} bytes was set aside", event.bytes),
        Event::StageStarted(event) => {
            format!("iteration {} {} ({}): {} to do", event.iteration, event.stage, event.model, event.total)
        }
        Event::StageFinished(event) => {
            format!("iteration {} {} ({}) done: {}", event.iteration, event.stage, event.model, event.done)
        }
        Event::EftFiltered(event) => format!("judging examples: {} of {} kept", event.kept, event.judged),
        Event::RewardMeasured(event) => {
            let share = |value: Option<f64>| value.map_or("–".to_string(), |value| format!("{value:.3}"));
            let within =
                event.agreement.interval.map_or(String::new(), |i| format!(" ({:.3} to {:.3})", i.low, i.high));
            format!(
                "{} from {} human and {} own pairs: right on {}{within} of {} held-out pairs, calibration error {}",
                event.model,
                event.human,
                event.own,
                share(event.agreement.pairwise_half),
                event.agreement.pairs,
                share(event.calibration.error)
            )
        }
        Event::SelfLabelled(event) => {
            let kept = event.labels.len() as u32;
            let flipped =
                event.flipped.map_or(String::new(), |flipped| format!(" ({flipped} against people's labels)"));
            let left = event.pool.saturating_sub(kept);
            format!("{} labelled the pool: {kept} kept{flipped}, {left} left", event.model)
        }
        Event::RewardChosen(event) => {
            format!("{} judges after {} loops: {}", event.model, event.loops, event.why.says())
        }
        Event::SpotCheckOpened(event) => {
            let wait = match event.gate {
                Gate::Off => "the gate is off".to_string(),
                Gate::Wait => format!("waiting for a human: selfreward check {name}"),
                Gate::Deadline { seconds } => {
                    format!("waiting {} for a human: selfreward check {name}", duration(seconds))
                }
            };
            let what = if event.number.is_some() { "labels" } else { "pairs" };
            format!("{} {what} offered for a spot check; {wait}", event.queue.len())
        }
        Event::PairDecided(event) => {
            let decision = serde_json::to_value(event.decision).unwrap_or_default();
            let word =
                decision.as_str().map(str::to_string).or_else(|| Some(decision.as_object()?.keys().next()?.clone()));
            format!("{} decided {} pair(s): {}", event.by, event.pairs.len(), word.unwrap_or_default())
        }
        Event::SpotCheckClosed(event) => {
            format!("spot check closed: {} of {} decided", event.decided, event.offered)
        }
        Event::TrainingSetFixed(event) => {
            let what = if event.number.is_some() { "labels" } else { "pairs" };
            format!("{} {what} to train on, {} left out", event.pairs.len(), event.left_out.len())
        }
        Event::Evaluated(event) => format!("{} measured: {}", event.model, agreement(&event.agreement, event)),
        Event::CheckpointSaved(event) => {
            let what = if event.finished { "finished" } else { "checkpoint" };
            format!("{} {what} at step {}: {}", event.model, event.step, event.folder)
        }
        Event::CheckpointDamaged(event) => format!("the checkpoint {} is damaged: {}", event.folder, event.why),
        Event::AlarmRaised(event) => {
            format!("{} {}: {}. {}", event.level.name().to_uppercase(), event.id, event.says, event.advice)
        }
        Event::AlarmCleared(event) => match &event.by {
            Some(by) => format!("{by} has seen the alarm {}", event.id),
            None => format!("alarm {} is over", event.id),
        },
        Event::Paused(event) => match &event.why {
            PauseReason::Asked => format!("paused by {}", event.by.as_deref().unwrap_or("somebody")),
            PauseReason::Alarm { id } => {
                format!("paused by the alarm {id}; go on with: selfreward resume {name}")
            }
            PauseReason::Storage { error } => format!("paused, waiting for space: {error}"),
            PauseReason::Teacher { error } => format!("paused, waiting for the teacher: {error}"),
        },
        Event::Resumed(_) => "going on".into(),
        Event::RequestTaken(event) => format!("{} asked: {}", event.by, event.what),
        Event::CommandRefused(event) => format!("refused to {} for {}: {}", event.what, event.by, event.why),
        Event::RolledBack(event) => format!("{} took the run back to {}", event.by, event.to),
        Event::StepsAbandoned(event) => format!("{} goes on after step {}", event.model, event.after),
        Event::Stopped(event) => format!("stopped: {}; go on with: selfreward resume {name}", event.why),
        Event::RunFinished(event) => format!("run finished with {}", event.model),
        Event::Failed(event) => format!("FAILED: {}", event.error),
        Event::TeacherChanged(event) => format!("the teacher changed from {} to {}", event.was, event.now),
        Event::CapsChanged(event) => format!("{} changed what the teacher may cost", event.by),
        Event::JudgesCompared(event) => {
            let half = event.agreement.pairwise_half.map_or("no pair".into(), |half| format!("{:.1}%", 100.0 * half));
            format!("{} agrees with {} on {half} of {} pairs", event.judge, event.reference, event.agreement.pairs)
        }
        Event::SftStep(_)
        | Event::RewardStep(_)
        | Event::TeacherAsked(_)
        | Event::TeacherAnswered(_)
        | Event::TeacherFailed(_)
        | Event::DemonstrationMissing(_)
        | Event::SecondJudged(_)
        | Event::EftJudged(_)
        | Event::PromptWritten(_)
        | Event::PromptRefused(_)
        | Event::CandidateSampled(_)
        | Event::CandidateJudged(_)
        | Event::PairSelected(_)
        | Event::PromptSkipped(_)
        | Event::NoteAdded(_)
        | Event::ReferenceScored(_)
        | Event::DpoStep(_)
        | Event::SamplesScored(_)
        | Event::RlooStep(_)
        | Event::HeldOutAnswered(_)
        | Event::Duelled(_)
        | Event::TextOffered(_)
        | Event::Measured(_)
        | Event::CheckpointChosen(_)
        | Event::Unknown(_) => return None,
    })
}

/// Agreement with its counts, and the oracle where there is one.
fn agreement(agreement: &Agreement, event: &Evaluated) -> String {
    let mut says = match (agreement.pairwise_half, agreement.interval) {
        _ if agreement.is_silent() => format!("no score for any of {} answers", agreement.responses),
        (Some(half), Some(interval)) => format!(
            "pairwise {:.1}% ({:.1} to {:.1}; n {}, ties {}, unparsed {})",
            100.0 * half,
            100.0 * interval.low,
            100.0 * interval.high,
            agreement.pairs,
            agreement.ties,
            agreement.unparsed
        ),
        _ => "no judge".into(),
    };
    if let Some(oracle) = &event.oracle {
        says.push_str(&format!(
            "; oracle {:.2}, perfect {:.1}% at T 0.7 (n {})",
            oracle.mean_t07,
            100.0 * oracle.perfect_t07,
            oracle.n
        ));
    }
    says
}
