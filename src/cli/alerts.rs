//! `alerts`: every alarm that a run ever raised, and whether it still stands.
//!
//! Also answers `--fail-on` for `status`. The rules themselves are `run::alarms`.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::arguments::{AlertsArgs, FailOn};
use crate::cli::failure::Failure;
use crate::cli::open;
use crate::cli::output::Output;
use crate::engine::overrides;
use crate::run::entry::Stamp;
use crate::run::event::{AlarmRaised, Level};
use crate::run::ids::Seq;
use crate::run::view::RunView;
use crate::text::table::{Cell, Table};

pub fn alerts(root: &Path, args: &AlertsArgs, output: &mut Output) -> Result<()> {
    let since = args.since.as_deref().map(|text| Since::read(text, open::now())).transpose()?;
    let opened = open::open(root, &args.run, output)?;
    let mut table =
        Table::new(["seq", "at", "level", "alarm", "state", "iteration", "value", "threshold", "what", "advice"]);
    let mut alarms = Vec::new();
    for (seq, at, alarm) in &opened.view.alarm_log {
        if since.is_some_and(|since| !since.is_before(*seq, *at)) {
            continue;
        }
        let standing = opened.view.alarms.get(&alarm.id).filter(|standing| standing.seq == *seq);
        let acknowledged = standing.and_then(|standing| standing.acknowledged.as_deref());
        alarms.push(as_json(*seq, *at, alarm, standing.is_some(), acknowledged));
        let state = match (standing, acknowledged) {
            (Some(_), Some(by)) => format!("seen by {by}"),
            (Some(_), None) => "stands".into(),
            (None, _) => "over".into(),
        };
        table.push([
            (*seq).into(),
            at.to_string().get(..19).unwrap_or_default().replace('T', " ").into(),
            alarm.level.name().into(),
            alarm.id.as_str().into(),
            state.into(),
            u64::from(alarm.iteration).into(),
            Cell::number(alarm.value.0, 4),
            Cell::number(alarm.threshold.0, 4),
            alarm.says.as_str().into(),
            alarm.advice.as_str().into(),
        ]);
    }
    if args.json {
        output.json(json!({ "run": opened.name(), "alarms": alarms }))?;
    } else if alarms.is_empty() {
        output.line("no alarms")?;
    } else {
        output.table(&table)?;
    }
    fail_on(&opened.view, args.fail_on)
}

/// One alarm with its place and whether it stands.
pub fn as_json(seq: Seq, at: Stamp, alarm: &AlarmRaised, stands: bool, acknowledged: Option<&str>) -> Value {
    json!({
        "seq": seq,
        "at": at.to_string(),
        "id": alarm.id,
        "level": alarm.level,
        "iteration": alarm.iteration,
        "value": alarm.value,
        "threshold": alarm.threshold,
        "window": alarm.window,
        "says": alarm.says,
        "advice": alarm.advice,
        "evidence": alarm.evidence,
        "stands": stands,
        "acknowledged": acknowledged,
    })
}

/// Fails when an alarm of this level or a graver one stands and nobody has acknowledged it.
pub fn fail_on(view: &RunView, asked: Option<FailOn>) -> Result<()> {
    let level = match asked {
        None => return Ok(()),
        Some(FailOn::Warn) => Level::Warn,
        Some(FailOn::Error) => Level::Error,
    };
    let grave = |alarm: &&crate::run::view::AlarmView| alarm.alarm.level >= level && alarm.acknowledged.is_none();
    match view.alarms.values().find(grave) {
        Some(found) => {
            let says = format!("alarm {}: {}. {}", found.alarm.id, found.alarm.says, found.alarm.advice);
            Err(Failure::Alarm(says).into())
        }
        None => Ok(()),
    }
}

/// From where on alarms are wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Since {
    Entry(Seq),
    Time(Stamp),
}

impl Since {
    /// A number of an entry, a time (RFC 3339), or a duration before now.
    fn read(text: &str, now: Stamp) -> Result<Since> {
        if let Ok(seq) = text.parse() {
            return Ok(Since::Entry(seq));
        }
        if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Since::Time(Stamp(i64::try_from(at.unix_timestamp_nanos() / 1000)?)));
        }
        match overrides::seconds(text) {
            Ok(seconds) => Ok(Since::Time(Stamp(now.0.saturating_sub((seconds * 1e6) as i64)))),
            Err(_) => Err(Failure::usage(format!(
                "--since {text}: write the number of an entry, a time like 2026-11-21T08:00:00Z, or a duration like 10m"
            ))),
        }
    }

    fn is_before(self, seq: Seq, at: Stamp) -> bool {
        match self {
            Since::Entry(after) => seq > after,
            Since::Time(after) => at > after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_entry_a_time_or_a_duration() {
        let now = Stamp(1_000_000_000);
        for (text, meant) in [
            ("412", Some(Since::Entry(412))),
            ("1970-01-01T00:00:01Z", Some(Since::Time(Stamp(1_000_000)))),
            ("10m", Some(Since::Time(Stamp(400_000_000)))),
            ("yesterday", None),
        ] {
            assert_eq!(Since::read(text, now).ok(), meant, "{text}");
        }
    }
}
