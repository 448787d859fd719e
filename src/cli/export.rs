//! `export`: parts of a run as CSV or JSON lines, what DPO used as TRL reads it, and the report as a page.
//!
//! A file is written beside its name and moved there when it is whole, so that nobody reads a half.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::arguments::{ExportArgs, Format, What};
use crate::cli::failure::Failure;
use crate::cli::open::{self, Opened};
use crate::cli::output::Output;
use crate::cli::{report, steps, tables};
use crate::run::ids::Seq;
use crate::run::lookup::Entries;
use crate::text::table::{Cell, Table};

pub fn export(root: &Path, args: &ExportArgs, output: &mut Output) -> Result<()> {
    if args.what == What::Report && args.format.is_some() {
        return Err(Failure::usage("the report is a page: it has no --format"));
    }
    let opened = open::open(root, &args.run, output)?;
    let table = match args.what {
        What::Report => {
            let page = report::page(&opened)?;
            return deliver(&page, args, None, output);
        }
        What::Pairs => tables::pairs(&opened)?,
        What::Prompts => tables::prompts(&opened)?,
        What::Candidates => tables::candidates(&opened)?,
        What::Judgements => tables::judgements(&opened)?,
        What::Decisions => tables::decisions(&opened)?,
        What::Steps => steps::steps(&opened)?,
        What::Evaluations => tables::evaluations(&opened)?,
        What::Alarms => tables::alarms(&opened),
        What::Trl => trl(&opened)?,
    };
    let by_ending = match args.out.as_deref().and_then(Path::extension).and_then(OsStr::to_str) {
        Some("csv") => Format::Csv,
        _ => Format::Jsonl,
    };
    let text = match args.format.unwrap_or(by_ending) {
        Format::Csv => table.to_csv(),
        Format::Jsonl => table.to_jsonl(),
    };
    deliver(&text, args, Some(table.rows().len()), output)
}

fn deliver(text: &str, args: &ExportArgs, rows: Option<usize>, output: &mut Output) -> Result<()> {
    let Some(path) = &args.out else { return output.raw(text) };
    write_whole(path, text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    let rows = rows.map_or(String::new(), |rows| format!(" ({rows} rows)"));
    output.remark(&format!("wrote {}{rows}", path.display()));
    Ok(())
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if path.exists() && !path.is_file() {
        // A pipe or a device cannot be replaced by a file.
        return std::fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let mut scratch = path.as_os_str().to_owned();
    scratch.push(".part");
    let written = std::fs::write(&scratch, bytes).and_then(|()| std::fs::rename(&scratch, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&scratch);
    }
    written
}

/// The pairs exactly as DPO used them, human decisions applied, in the order of the training sets.
pub fn trl(run: &Opened) -> Result<Table> {
    let mut places: Vec<(&crate::run::event::Used, [Seq; 3])> = Vec::new();
    for round in run.view.written() {
        let Some(training) = &round.training else { continue };
        for used in &training.pairs {
            let prompt = round.prompts.get(used.pair.number as usize).with_context(|| {
                format!("the training set names pair {}, which the journal does not hold", used.pair)
            })?;
            let candidate = |number: u32| {
                let candidate = prompt.candidates.get(number as usize);
                let missing = || format!("the journal holds no candidate {number} of pair {}", used.pair);
                candidate.map(|candidate| candidate.seq).with_context(missing)
            };
            places.push((used, [prompt.seq, candidate(used.chosen)?, candidate(used.rejected)?]));
        }
    }
    let wanted: HashSet<Seq> = places.iter().flat_map(|(_, seqs)| *seqs).collect();
    let mut entries = run.entries(&wanted)?;
    let mut table = Table::new([
        "prompt",
        "chosen",
        "rejected",
        "score_chosen",
        "score_rejected",
        "margin",
        "suspicion",
        "iteration",
        "pair",
        "decision",
    ]);
    for (used, seqs) in places {
        let mut texts = Vec::with_capacity(3);
        for seq in seqs {
            texts.push(entries.text(seq).with_context(|| format!("the text of entry {seq} is missing"))?);
        }
        let pair = run.view.pair(used.pair);
        // The scores go with the texts: a swapped pair was chosen against its scores.
        let swapped = pair.is_some_and(|pair| (pair.chosen, pair.rejected) == (used.rejected, used.chosen));
        let as_judged = pair.is_some_and(|pair| (pair.chosen, pair.rejected) == (used.chosen, used.rejected));
        let scores = pair.filter(|_| swapped || as_judged).map(|pair| match swapped {
            true => (pair.rejected_score, pair.chosen_score),
            false => (pair.chosen_score, pair.rejected_score),
        });
        let number = |value: f64| Cell::number(value, 6);
        let mut row: Vec<Cell> = texts.into_iter().map(Cell::Text).collect();
        row.extend([
            scores.map(|scores| number(scores.0)).into(),
            scores.map(|scores| number(scores.1)).into(),
            scores.map(|scores| number(scores.0 - scores.1)).into(),
            pair.map(|pair| number(pair.suspicion)).into(),
            u64::from(used.pair.iteration).into(),
            used.pair.to_string().into(),
            pair.map(|pair| pair.status.name()).into(),
        ]);
        table.push(row);
    }
    Ok(table)
}
