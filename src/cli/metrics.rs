//! `metrics`: every agreement measure of two score files, joined by prompt id and equal content.
//!
//! Reads files with `data::scores`, measures with `recipe::agreement`; what did not join is counted and said.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::arguments::MetricsArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::data::join::{Joined, join};
use crate::data::{Limits, scores};
use crate::recipe::agreement::{AgreementSettings, Response, agreement};
use crate::recipe::seeds::Seed;
use crate::run::measures::Agreement;
use crate::text::table::{Cell, Table};

pub fn metrics(args: &MetricsArgs, output: &mut Output) -> Result<()> {
    let (Some(scores), Some(references)) = (&args.scores, &args.reference) else {
        return Err(Failure::usage("name two files: --scores FILE --reference FILE, or a run: RUN --judges"));
    };
    let judge = scores::read(scores, Limits::default())?;
    let reference = scores::read(references, Limits::default())?;
    for read in [&judge, &reference] {
        output.left_out(read);
    }
    let joined = join(&judge.rows, &reference.rows);
    if joined.prompts.is_empty() {
        return Err(Failure::usage(format!(
            "nothing in {} joins with {}: rows join by prompt id and equal response text (or response id where neither has texts)",
            scores.display(),
            references.display()
        )));
    }
    let instructions: Vec<Vec<Response>> = joined
        .prompts
        .iter()
        .map(|prompt| {
            let one = |response: &crate::data::JoinedResponse| Response {
                judge: response.judge_score,
                rank: response.reference_rank,
            };
            prompt.responses.iter().map(one).collect()
        })
        .collect();
    let found = agreement(&instructions, &AgreementSettings::default(), Seed::root(args.seed));
    if args.json {
        let mut members = serde_json::to_value(&found)?;
        if let Value::Object(members) = &mut members {
            members.insert("not_joined".into(), not_joined(&joined));
            let refused = json!({ "scores": judge.refused_count, "reference": reference.refused_count });
            members.insert("refused_rows".into(), refused);
        }
        return output.json(members);
    }
    output.table(&table(&found))?;
    let alone = [("scores", joined.judge_alone), ("reference", joined.reference_alone)];
    for (file, alone) in alone.into_iter().filter(|(_, alone)| alone.responses > 0) {
        output.line(&format!(
            "{} responses and {} whole prompts of --{file} stand alone: they are in no figure",
            alone.responses, alone.prompts
        ))?;
    }
    if joined.other_prompt_text > 0 {
        output.line(&format!(
            "{} prompts have the same id and another text: they were not joined",
            joined.other_prompt_text
        ))?;
    }
    Ok(())
}

fn not_joined(joined: &Joined) -> Value {
    json!({
        "scores_prompts": joined.judge_alone.prompts,
        "scores_responses": joined.judge_alone.responses,
        "reference_prompts": joined.reference_alone.prompts,
        "reference_responses": joined.reference_alone.responses,
        "other_prompt_text": joined.other_prompt_text,
    })
}

/// Measures with their counts, as people compare them.
pub fn table(found: &Agreement) -> Table {
    let mut table = Table::new(["measure", "value", "95%", "n"]);
    let mut row = |name: &str, value: Option<f64>, interval: Option<String>, n: u32| {
        table.push([
            name.into(),
            value.map(|value| Cell::number(value, 5)).into(),
            interval.into(),
            u64::from(n).into(),
        ]);
    };
    let interval =
        |interval: Option<crate::run::measures::Interval>| interval.map(|at| format!("{:.3}–{:.3}", at.low, at.high));
    let decided = found.pairs - found.ties - found.unparsed_pairs;
    row("pairwise_strict", found.pairwise_strict, interval(found.interval_strict), found.pairs);
    row("pairwise_half", found.pairwise_half, interval(found.interval), found.pairs);
    row("pairwise_excluding", found.pairwise_excluding, None, decided);
    row("coverage", found.coverage, None, found.pairs);
    row("chance_strict", found.chance_strict, None, found.pairs);
    row("five_best", found.five_best, None, found.five_best_n);
    row("exact_match", found.exact_match, None, found.exact_match_n);
    row("spearman", found.spearman, None, found.spearman_n);
    row("kendall", found.kendall, None, found.kendall_n);
    row("pooled_spearman", found.pooled_spearman, None, found.responses);
    row("pooled_kendall", found.pooled_kendall, None, found.responses);
    for (name, count) in [
        ("prompts", found.prompts),
        ("pairs", found.pairs),
        ("ties", found.ties),
        ("unparsed_pairs", found.unparsed_pairs),
        ("unparsed", found.unparsed),
        ("undefined", found.undefined),
    ] {
        row(name, None, None, count);
    }
    table
}
