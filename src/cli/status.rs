//! `status` and `ls`: how a run stands, for people and for scripts. The names of the JSON's members stay.
//!
//! A pure reading of the view; estimates are `run::eta`, digests `run::facts`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::cli::arguments::{ListArgs, StatusArgs};
use crate::cli::open::{self, Opened};
use crate::cli::output::Output;
use crate::cli::tables::share;
use crate::cli::{alerts, judges};
use crate::run::eta::{Estimate, eta};
use crate::run::event::PauseReason;
use crate::run::folder;
use crate::run::ids::Model;
use crate::run::view::{ModelView, PairStatus, RunView, State};
use crate::text::duration::duration;
use crate::text::table::Table;

pub fn status(root: &Path, args: &StatusArgs, output: &mut Output) -> Result<()> {
    let opened = open::open(root, &args.run, output)?;
    if args.json {
        output.json(as_json(&opened)?)?;
    } else {
        for line in lines(&opened)? {
            output.line(&line)?;
        }
        if opened.view.models.iter().any(|model| model.evaluated.is_some()) {
            output.line("")?;
            output.table(&models_table(&opened.view))?;
        }
        for alarm in opened.view.alarms.values() {
            let said = alarm.acknowledged.as_ref().map_or(String::new(), |by| format!(" (acknowledged by {by})"));
            output.line(&format!(
                "{} {}: {}{said}. {}",
                alarm.alarm.level.name().to_uppercase(),
                alarm.alarm.id,
                alarm.alarm.says,
                alarm.alarm.advice
            ))?;
        }
    }
    alerts::fail_on(&opened.view, args.fail_on)
}

/// Everything that a script asks of a run.
pub fn as_json(opened: &Opened) -> Result<Value> {
    let view = &opened.view;
    let facts = opened.facts()?;
    let estimate = eta(view, opened.moment());
    let progress = view.stage().map(|span| {
        json!({
            "stage": span.stage,
            "model": span.model,
            "iteration": span.iteration,
            "done": span.done,
            "total": span.total,
            "share": if span.total > 0 { Some(span.done as f64 / span.total as f64) } else { None },
            "finished": span.finished.is_some(),
        })
    });
    let models = view.models.iter().map(model_json).collect::<Result<Vec<Value>>>()?;
    let alarms: Vec<Value> = view
        .alarms
        .values()
        .map(|alarm| alerts::as_json(alarm.seq, alarm.at, &alarm.alarm, true, alarm.acknowledged.as_deref()))
        .collect();
    Ok(json!({
        "name": opened.name(),
        "state": opened.state(),
        "why": why(&view.state),
        "iteration": view.iteration,
        "iterations": view.started.as_ref().map(|started| started.iterations),
        "stage": view.stage().map(|span| span.stage),
        "progress": progress,
        "eta": {
            "stage": estimate.stage.map(estimate_json),
            "run": estimate.run.map(estimate_json),
            "items_per_s": estimate.rate,
        },
        "alarms": alarms,
        "pairs": pairs_json(view),
        "decisions": decisions_json(view),
        "facts_hash": facts.digest(),
        "facts": facts.count(),
        "models": models,
        "seed": view.started.as_ref().map(|started| started.seed),
        "recipe": view.recipe(),
        "teacher": judges::teacher_json(view),
        "reward": judges::reward_json(view),
        "judges": judges::as_json(view),
        "policy": view.started.as_ref().map(|started| started.policy.clone()),
        "config_hash": view.started.as_ref().map(|started| started.config_hash.clone()),
        "rollbacks": view.rollbacks.len(),
        "entries": view.seq,
        "started": (view.seq > 0).then(|| view.first_at.to_string()),
        "last": (view.seq > 0).then(|| view.at.to_string()),
        "worked_s": view.worked_seconds(opened.moment()),
        "engine": opened.holder.as_ref().map(|holder| json!({ "pid": holder.pid, "host": holder.host })),
        "oddities": {
            "unknown_kinds": view.oddities.unknown.iter().map(|(kind, count)| (kind.clone(), json!(count))).collect::<Map<_, _>>(),
            "stray": view.oddities.stray,
            "torn_bytes": view.oddities.torn_bytes,
            "damaged_checkpoints": view.oddities.damaged_checkpoints,
            "resumes": view.oddities.resumes,
        },
        "damage": opened.damage.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "folder": opened.folder.path().display().to_string(),
    }))
}

fn estimate_json(estimate: Estimate) -> Value {
    json!({ "low_s": estimate.low, "mid_s": estimate.mid, "high_s": estimate.high, "rough": estimate.rough })
}

/// A model with everything that was measured of it; what was not is null.
fn model_json(model: &ModelView) -> Result<Value> {
    let mut members = Map::new();
    members.insert("name".into(), json!(model.model));
    members.insert("folder".into(), json!(model.folder));
    let measured = match &model.evaluated {
        Some((_, evaluated)) => serde_json::to_value(evaluated.as_ref())?,
        None => json!({ "agreement": null, "head_to_head": [] }),
    };
    if let Value::Object(measured) = measured {
        members.extend(measured.into_iter().filter(|(name, _)| name != "model" && name != "iteration"));
    }
    members.entry("oracle").or_insert(Value::Null);
    Ok(Value::Object(members))
}

/// Standing pairs of one iteration or of all.
#[derive(Default)]
struct PairCounts {
    made: u32,
    skipped: u32,
    undecided: u32,
    used: u32,
    left_out: u32,
}

fn pairs_json(view: &RunView) -> Value {
    let mut all = PairCounts::default();
    let mut rounds = Vec::new();
    for round in view.written().filter(|round| !round.prompts.is_empty()) {
        let mut counts = PairCounts { made: round.pairs, skipped: round.skipped.values().sum(), ..Default::default() };
        for (_, pair) in round.pairs() {
            counts.undecided += u32::from(!pair.status.is_decided());
            counts.used += u32::from(pair.used == Some(true));
            counts.left_out += u32::from(pair.used == Some(false));
        }
        all.made += counts.made;
        all.skipped += counts.skipped;
        all.undecided += counts.undecided;
        all.used += counts.used;
        all.left_out += counts.left_out;
        let mut members = counts_json(&counts);
        members.insert("iteration".into(), json!(round.iteration));
        members.insert("prompts".into(), json!(round.prompts.len()));
        members.insert("training_set".into(), json!(round.training.as_ref().map(|set| set.hash.clone())));
        rounds.push(Value::Object(members));
    }
    let mut members = counts_json(&all);
    members.insert("by_iteration".into(), Value::Array(rounds));
    Value::Object(members)
}

fn counts_json(counts: &PairCounts) -> Map<String, Value> {
    [
        ("made", counts.made),
        ("skipped", counts.skipped),
        ("undecided", counts.undecided),
        ("used", counts.used),
        ("left_out", counts.left_out),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_string(), json!(count)))
    .collect()
}

fn decisions_json(view: &RunView) -> Value {
    let standing = || view.decisions.iter().filter(|decision| !decision.undone);
    let of = |status: PairStatus| standing().filter(|decision| decision.status() == Some(status)).count();
    let queue = view.open_gate().map(|gate| {
        let check = view.round(view.iteration).map(|round| round.check()).unwrap_or_default();
        json!({ "offered": gate.queue.len(), "decided": check.decided, "opened": gate.opened.to_string() })
    });
    json!({
        "made": view.decisions.len(),
        "undone": view.decisions.iter().filter(|decision| decision.undone).count(),
        "keep": of(PairStatus::Kept),
        "veto": of(PairStatus::Vetoed),
        "swap": of(PairStatus::Swapped),
        "tie": of(PairStatus::Tied),
        "edit": of(PairStatus::Edited),
        "defer": of(PairStatus::Deferred),
        "notes": view.notes.len(),
        "gate": queue,
    })
}

fn why(state: &State) -> Option<String> {
    match state {
        State::Paused(PauseReason::Asked) => Some("asked".into()),
        State::Paused(PauseReason::Alarm { id }) => Some(format!("alarm {id}")),
        State::Paused(PauseReason::Storage { error } | PauseReason::Teacher { error }) => Some(error.clone()),
        State::Stopped(why) | State::Failed(why) => Some(why.clone()),
        State::Fresh | State::Running | State::Waiting | State::Finished => None,
    }
}

/// The same for people.
fn lines(opened: &Opened) -> Result<Vec<String>> {
    let view = &opened.view;
    let why = why(&view.state).map_or(String::new(), |why| format!(" ({why})"));
    let mut lines = vec![format!("{}: {}{why}", opened.name(), opened.state())];
    if let (Some(span), Some(started)) = (view.stage(), &view.started) {
        lines.push(format!(
            "iteration {} of {}, {} {}/{} ({})",
            view.iteration, started.iterations, span.stage, span.done, span.total, span.model
        ));
    }
    let estimate = eta(view, opened.moment());
    if opened.holder.is_some()
        && let Some(run) = estimate.run
    {
        let stage = estimate.stage.map_or(String::new(), |stage| format!(", this stage {}", range(stage)));
        lines.push(format!("{} to go{stage}", range(run)));
    }
    if view.recipe() != "self" {
        lines.push(format!("recipe {}", view.recipe()));
    }
    if view.reward.is_used() {
        lines.push(format!("reward model: {}", view.reward.says().join("; ")));
    }
    if view.teacher.is_used() {
        lines.push(format!("teacher: {}", view.teacher.account(&view.caps(), view.currency())));
    }
    let pairs: u32 = view.written().map(|round| round.pairs).sum();
    let undone = view.decisions.iter().filter(|decision| decision.undone).count();
    lines.push(format!("{pairs} pairs, {} decisions ({undone} taken back)", view.decisions.len()));
    if let Some(gate) = view.open_gate() {
        let check = view.round(view.iteration).map(|round| round.check()).unwrap_or_default();
        let what = if view.iteration == 0 { "labels" } else { "pairs" };
        lines.push(format!("the gate is open: {} of {} offered {what} are decided", check.decided, gate.queue.len()));
    }
    let facts = opened.facts()?;
    lines.push(format!("facts {} ({})", facts.digest(), facts.count()));
    Ok(lines)
}

fn range(estimate: Estimate) -> String {
    let about = if estimate.rough { "roughly" } else { "about" };
    format!("{about} {} to {}", duration(estimate.low), duration(estimate.high))
}

/// Models beside each other, with intervals and counts.
pub fn models_table(view: &RunView) -> Table {
    let mut table = Table::new([
        "model",
        "pairwise",
        "95%",
        "pairs",
        "ties",
        "unparsed",
        "5-best",
        "exact",
        "spearman",
        "kendall",
        "oracle t0.7",
        "oracle t1.0",
    ]);
    for model in &view.models {
        let Some((_, evaluated)) = &model.evaluated else { continue };
        let agreement = &evaluated.agreement;
        let says = !agreement.is_silent();
        let interval = agreement.interval.filter(|_| says);
        let interval = interval.map(|interval| format!("{:.3}–{:.3}", interval.low, interval.high));
        table.push([
            model.model.to_string().into(),
            share(agreement.pairwise_half.filter(|_| says)),
            interval.into(),
            u64::from(agreement.pairs).into(),
            u64::from(agreement.ties).into(),
            u64::from(agreement.unparsed).into(),
            share(agreement.five_best),
            share(agreement.exact_match),
            share(agreement.spearman),
            share(agreement.kendall),
            share(evaluated.oracle.as_ref().map(|oracle| oracle.mean_t07)),
            share(evaluated.oracle.as_ref().map(|oracle| oracle.mean_t10)),
        ]);
    }
    table
}

pub fn ls(root: &Path, args: &ListArgs, output: &mut Output) -> Result<()> {
    let mut table =
        Table::new(["name", "state", "iteration", "stage", "models", "pairs", "decisions", "alarms", "last"]);
    let mut runs = Vec::new();
    for folder in folder::list(root).with_context(|| format!("listing the runs in {}", root.display()))? {
        let name = folder.name();
        // One run that cannot be read must not hide the others.
        let opened = match open::read(folder) {
            Ok(opened) => opened,
            Err(error) => {
                output.remark(&format!("{name}: {error:#}"));
                continue;
            }
        };
        opened.say_damage(output);
        let view = &opened.view;
        let models: Vec<String> =
            view.models.iter().map(|model| model.model).map(|model: Model| model.to_string()).collect();
        let pairs: u32 = view.written().map(|round| round.pairs).sum();
        let last = (view.seq > 0).then(|| view.at.to_string());
        runs.push(json!({
            "name": name,
            "state": opened.state(),
            "iteration": view.iteration,
            "stage": view.stage().map(|span| span.stage),
            "models": models,
            "pairs": pairs,
            "decisions": view.decisions.len(),
            "alarms": view.alarms.len(),
            "last": last,
            "damaged": !opened.damage.is_empty(),
        }));
        table.push([
            name.into(),
            opened.state().into(),
            u64::from(view.iteration).into(),
            view.stage().map(|span| span.stage.name()).into(),
            models.join(" ").into(),
            u64::from(pairs).into(),
            view.decisions.len().into(),
            view.alarms.len().into(),
            last.map(|last| last.get(..19).map_or(last.clone(), |short| short.replace('T', " "))).into(),
        ]);
    }
    if args.json {
        return output.json(json!({ "root": root.display().to_string(), "runs": runs }));
    }
    if runs.is_empty() {
        output.remark(&format!("there are no runs in {}; start one with `selfreward run`", root.display()));
        return Ok(());
    }
    output.table(&table)
}
