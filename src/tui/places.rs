//! Places in a run as people write them, and the entry after which a replay stands there.
//!
//! Every place means the moment just before what is looked for.

use crate::run::entry::Stamp;
use crate::run::event::Event;
use crate::run::ids::{Model, PromptId, Seq, Stage};
use crate::run::journal::{Found, Tail};
use crate::tui::figures::Zone;
use crate::tui::source::Source;

/// The entry after which a replay should stand.
pub fn find(source: &Source, zone: Zone, place: &str) -> Result<Seq, String> {
    let place = place.trim();
    let head = source.head();
    if let Some(share) = place.strip_suffix('%') {
        let share: f64 = share.trim().parse().map_err(|_| format!("`{place}` is no percentage"))?;
        return Ok((head.seq as f64 * share.clamp(0.0, 100.0) / 100.0).round() as Seq);
    }
    if let Some(seq) = place.strip_prefix("seq:") {
        return seq.replace(',', "").parse().map_err(|_| format!("`{seq}` is no number of an event"));
    }
    if let Some(id) = place.strip_prefix('#') {
        return pair(source, id);
    }
    if let Some(at) = clock(source, zone, place) {
        return scan(source, |entry_at, _| entry_at > at).ok_or_else(|| format!("nothing happened after {place}"));
    }
    if let Some(seq) = step(source, place) {
        return seq;
    }
    text(source, place)
}

fn pair(source: &Source, id: &str) -> Result<Seq, String> {
    let id: PromptId = id.parse()?;
    match source.head().pair(id) {
        Some(pair) => Ok(pair.seq.saturating_sub(1)),
        None => Err(format!("there is no pair #{id} in this run")),
    }
}

/// `13:58` or `13:58:07`: that time on the day of the cursor.
fn clock(source: &Source, zone: Zone, place: &str) -> Option<Stamp> {
    let mut parts = place.split(':');
    let mut part = |limit: i64| -> Option<i64> {
        let text = parts.next()?;
        (text.len() <= 2).then_some(())?;
        text.parse().ok().filter(|value| (0..limit).contains(value))
    };
    let (hour, minute) = (part(24)?, part(60)?);
    let second = part(60);
    if parts.next().is_some() {
        return None;
    }
    let today = source.view().at.0.div_euclid(1_000_000) + zone.offset_s;
    let midnight = today - today.rem_euclid(86_400) - zone.offset_s;
    Some(Stamp((midnight + hour * 3600 + minute * 60 + second.unwrap_or(0)) * 1_000_000))
}

/// `M2:dpo:210`, `M2:judge`, `M2`, `2:dpo`: a stage of the iteration that makes this model, and a step or item in it.
fn step(source: &Source, place: &str) -> Option<Result<Seq, String>> {
    let mut parts = place.split(':');
    let first = parts.next()?;
    let iteration = match first.parse::<Model>() {
        // M2 is made by iteration 1 from M1.
        Ok(Model::M(number)) => number.saturating_sub(1),
        Ok(Model::Baseline | Model::Reward(_)) => 0,
        Err(_) => return None,
    };
    let stage: Option<Stage> = match parts.next() {
        None => None,
        Some(name) => match Stage::ALL.iter().find(|stage| stage.name() == name.to_lowercase()) {
            Some(&stage) => Some(stage),
            None => {
                return Some(Err(format!(
                    "`{name}` is no stage; there are prompts, candidates, judge, pairs, check, dpo, eval"
                )));
            }
        },
    };
    let number: Option<u64> = parts.next().and_then(|number| number.parse().ok());
    let found = source
        .head()
        .stages
        .iter()
        .find(|span| span.iteration == iteration && stage.is_none_or(|stage| span.stage == stage));
    let Some(span) = found else { return Some(Err(format!("this run has not reached {place}"))) };
    let start = span.started_seq;
    let Some(number) = number else { return Some(Ok(start.saturating_sub(1))) };
    let at_step = |event: &Event| match event {
        Event::DpoStep(step) => step.step >= number,
        Event::RlooStep(step) => step.step >= number,
        Event::SftStep(step) => step.step >= number,
        Event::PairSelected(pair) => u64::from(pair.id.number) >= number,
        Event::CandidateSampled(sampled) => u64::from(sampled.prompt.number) >= number,
        Event::CandidateJudged(judged) => u64::from(judged.prompt.number) >= number,
        Event::PromptWritten(prompt) => u64::from(prompt.id.number) >= number,
        _ => false,
    };
    let found = scan_from(source, start, |_, seq, event| {
        seq > start && (at_step(event) || matches!(event, Event::StageFinished(_)))
    });
    Some(found.ok_or_else(|| format!("this run has not reached {place}")))
}

/// The next entry after the cursor in which this text was written.
fn text(source: &Source, wanted: &str) -> Result<Seq, String> {
    if wanted.is_empty() {
        return Err("write a place: M2:dpo:210, #2:810, 13:58, 40%, seq:418220, or a text".into());
    }
    let wanted_lower = wanted.to_lowercase();
    let holds = |event: &Event| {
        let text = match event {
            Event::PromptWritten(event) => &event.text,
            Event::PromptRefused(event) => &event.text,
            Event::CandidateSampled(event) => &event.text,
            Event::CandidateJudged(event) => &event.reply,
            Event::NoteAdded(event) => &event.text,
            Event::AlarmRaised(event) => &event.says,
            _ => return false,
        };
        text.to_lowercase().contains(&wanted_lower)
    };
    let here = source.view().seq;
    scan_from(source, here + 1, |_, seq, event| seq > here + 1 && holds(event))
        .or_else(|| scan_from(source, 0, |_, _, event| holds(event)))
        .ok_or_else(|| format!("`{wanted}` was not written in this run"))
}

fn scan(source: &Source, wanted: impl Fn(Stamp, Seq) -> bool) -> Option<Seq> {
    scan_from(source, 0, |at, seq, _| wanted(at, seq))
}

/// The place before the first entry from `start` on for which `wanted` holds.
fn scan_from(source: &Source, start: Seq, wanted: impl Fn(Stamp, Seq, &Event) -> bool) -> Option<Seq> {
    let (place, expected) = source.place_before(start);
    let mut tail = Tail::starting_at(source.folder.path(), place, expected);
    let mut found = None;
    tail.read(|_, each| {
        if let Found::Entry(entry) = each
            && entry.seq >= start
            && wanted(entry.at, entry.seq, &entry.event)
        {
            found = Some(entry.seq.saturating_sub(1));
            return false;
        }
        true
    })
    .ok()?;
    found
}
