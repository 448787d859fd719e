//! The judges of a run beside each other: against each other on the same candidates, and against people on held-out rankings.
//!
//! Used by `metrics RUN --judges`, `status --json` and the report. Reads the view alone: what the engine compared is in the journal.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::arguments::MetricsArgs;
use crate::cli::open;
use crate::cli::output::Output;
use crate::cli::tables::{counted, share};
use crate::run::measures::{Agreement, Interval};
use crate::run::spending::amount;
use crate::run::view::RunView;
use crate::text::table::{Cell, Table};

/// One judge against one reference.
pub struct Row<'a> {
    pub iteration: u32,
    pub judge: String,
    pub reference: &'a str,
    pub agreement: &'a Agreement,
}

/// Every comparison of the run, in its order.
pub fn rows(view: &RunView) -> Vec<Row<'_>> {
    let compared = view.teacher.compared.iter().map(|compared| Row {
        iteration: compared.iteration,
        judge: compared.judge.clone(),
        reference: &compared.reference,
        agreement: &compared.agreement,
    });
    let own = view.models.iter().filter_map(|model| {
        let evaluated = &model.evaluated.as_ref()?.1;
        // The base is not asked to judge.
        (evaluated.agreement.responses > 0).then(|| Row {
            iteration: evaluated.iteration,
            judge: format!("self ({})", model.model),
            reference: "human",
            agreement: &evaluated.agreement,
        })
    });
    let mut rows: Vec<Row> = compared.chain(own).collect();
    rows.sort_by(|a, b| (a.reference, a.iteration).cmp(&(b.reference, b.iteration)));
    rows
}

pub fn judges(root: &Path, args: &MetricsArgs, output: &mut Output) -> Result<()> {
    let opened = open::open(root, args.run.as_deref().unwrap_or_default(), output)?;
    if args.json {
        return output.json(json!({ "name": opened.name(), "judges": as_json(&opened.view) }));
    }
    if opened.view.reward.is_used() {
        output.table(&loops(&opened.view))?;
        output.line("")?;
    }
    let rows = rows(&opened.view);
    if rows.is_empty() {
        return output.line("no judge of this run has been compared yet");
    }
    output.table(&table(&rows))
}

pub fn as_json(view: &RunView) -> Value {
    let row = |row: Row| json!({ "iteration": row.iteration, "judge": row.judge, "reference": row.reference, "agreement": row.agreement });
    rows(view).into_iter().map(row).collect()
}

/// Pairwise, 5-best, exact, Spearman and Kendall, each with its count; what had no score is kept out and counted.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "iteration",
        "judge",
        "reference",
        "pairwise",
        "strict",
        "pairs",
        "ties",
        "unparsed",
        "5-best",
        "exact",
        "Spearman",
        "Kendall",
    ]);
    for row in rows {
        let found = row.agreement;
        table.push([
            u64::from(row.iteration).into(),
            row.judge.clone().into(),
            row.reference.to_string().into(),
            share(found.pairwise_half),
            share(found.pairwise_strict),
            u64::from(found.pairs).into(),
            u64::from(found.ties).into(),
            u64::from(found.unparsed).into(),
            counted(found.five_best, found.five_best_n),
            counted(found.exact_match, found.exact_match_n),
            counted(found.spearman, found.spearman_n),
            counted(found.kendall, found.kendall_n),
        ]);
    }
    table
}

/// The loops of a reward model, one row each.
pub fn loops(view: &RunView) -> Table {
    let mut table = Table::new([
        "model",
        "judges",
        "human pairs",
        "own pairs",
        "flipped",
        "left",
        "left out",
        "turned",
        "wrong by lot",
        "pairwise",
        "low",
        "high",
        "pairs",
        "deciding",
        "loss",
        "calibration error",
    ]);
    for measured in &view.reward.measured {
        let labels = view.reward.labels_of(measured.number);
        let counted = |count: Option<u32>| count.map_or(Cell::Nothing, |count| u64::from(count).into());
        // What people did with the labels before they were learnt from; of those drawn by lot, how many they found wrong.
        let fixed = labels.and_then(|labels| labels.fixed);
        let lot = labels.and_then(|labels| labels.check.as_ref()).filter(|check| check.random_decided > 0);
        let interval = measured.agreement.interval;
        table.push([
            measured.model.to_string().into(),
            view.reward.chosen.as_ref().is_some_and(|chosen| chosen.model == measured.model).into(),
            u64::from(measured.human).into(),
            u64::from(measured.own).into(),
            counted(labels.and_then(|labels| labels.flipped)),
            counted(labels.map(|labels| labels.left())),
            counted(fixed.map(|fixed| fixed.left_out)),
            counted(fixed.map(|fixed| fixed.turned)),
            lot.map_or(Cell::Nothing, |check| format!("{} of {}", check.random_bad, check.random_decided).into()),
            share(measured.agreement.pairwise_half),
            share(interval.map(|interval| interval.low)),
            share(interval.map(|interval| interval.high)),
            u64::from(measured.agreement.pairs).into(),
            share(measured.deciding),
            share(measured.loss),
            share(measured.calibration.error),
        ]);
    }
    table
}

/// A reward model's loops and which one judges; null for a run without one.
pub fn reward_json(view: &RunView) -> Value {
    let reward = &view.reward;
    if !reward.is_used() {
        return Value::Null;
    }
    let one = |measured: &std::sync::Arc<crate::run::event::RewardMeasured>| {
        let labels = reward.labels_of(measured.number);
        json!({
            "loop": measured.number, "model": measured.model, "human": measured.human, "own": measured.own,
            "kept": labels.map(|labels| labels.kept), "flipped": labels.and_then(|labels| labels.flipped),
            "left": labels.map(|labels| labels.left()), "labels_right": labels.and_then(|labels| labels.right()),
            "deciding": measured.deciding, "deciding_pairs": measured.deciding_pairs,
            "agreement": measured.agreement, "loss": measured.loss, "calibration": measured.calibration,
        })
    };
    let labelled = |labels: &crate::run::view::Labelled| {
        let check = labels.check.as_ref().map(|check| {
            let bad = Interval::wilson(check.random_bad, check.random_decided);
            json!({
                "offered": check.offered, "decided": check.decided, "closed": check.why,
                "random_decided": check.random_decided, "random_bad": check.random_bad,
                "bad_low": bad.map(|bad| bad.low), "bad_high": bad.map(|bad| bad.high),
            })
        });
        json!({
            "loop": labels.number, "by": labels.by, "pool": labels.pool, "kept": labels.kept, "new": labels.new,
            "left": labels.left(), "flipped": labels.flipped, "suspicion_auroc": labels.suspicion_auroc, "check": check,
            "learnt": labels.fixed.map(|fixed| fixed.used), "left_out": labels.fixed.map(|fixed| fixed.left_out),
            "turned": labels.fixed.map(|fixed| fixed.turned),
        })
    };
    json!({
        "loops": reward.measured.iter().map(one).collect::<Vec<_>>(),
        "labels": reward.labelled.iter().map(labelled).collect::<Vec<_>>(),
        "judges": reward.chosen.as_ref().map(|chosen| chosen.model),
        "why": reward.chosen.as_ref().map(|chosen| chosen.why),
    })
}

/// What a teacher was asked and what it cost; null for a run without one.
pub fn teacher_json(view: &RunView) -> Value {
    let teacher = &view.teacher;
    if !teacher.is_used() {
        return Value::Null;
    }
    let (spending, caps) = (&teacher.spending, view.caps());
    let cap = |cap: u64| (cap > 0).then_some(cap);
    json!({
        "calls": spending.calls,
        "under_way": spending.open(),
        "answered": teacher.answered,
        "answers_per_minute": teacher.per_minute(),
        "tokens_in": teacher.tokens_in,
        "tokens_out": teacher.tokens_out,
        "tokens": spending.spent.tokens,
        "cost": amount(spending.spent.micros),
        "currency": view.currency(),
        "caps": { "calls": cap(caps.calls), "tokens": cap(caps.tokens), "cost": cap(caps.micros).map(amount) },
        "lost": spending.lost,
        "overruns": spending.overruns,
        "unmetered": teacher.unmetered,
        "failed": teacher.failed.iter().map(|(kind, count)| (kind.clone(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "unfinished": teacher.unfinished.iter().map(|(kind, count)| (kind.clone(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "versions": teacher.versions.iter().collect::<Vec<_>>(),
    })
}
