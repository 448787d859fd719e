//! `doctor --endpoint`: the examination of a teacher's endpoint, a line for each check. The checks are `teacher::doctor`.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::cli::arguments::DoctorArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::engine::teaching::settings::{Dialect, TeacherSettings};
use crate::recipe::judge::judge_prompt;
use crate::recipe::prompts::{PromptTexts, Prompts};
use crate::recipe::score::read_score;
use crate::recipe::seeds::Seed;
use crate::teacher::doctor::{self, Finding, Judging, Verdict};
use crate::teacher::secret::Secret;

/// The model's name where none is given: servers of one model answer to any name.
const ANY: &str = "default";

pub fn examine(endpoint: &str, args: &DoctorArgs, output: &mut Output) -> Result<()> {
    let dialect = match args.dialect.as_deref() {
        None | Some("openai") => Dialect::Openai,
        Some("gemini") => Dialect::Gemini,
        Some(other) => return Err(Failure::usage(format!("--dialect {other}: write openai or gemini"))),
    };
    let mut settings = TeacherSettings {
        endpoint: endpoint.into(),
        dialect,
        model: args.model.clone().unwrap_or_else(|| ANY.into()),
        key_file: args.key_file.clone(),
        timeout_answer: "60s".into(),
        timeout: "60s".into(),
        ..TeacherSettings::default()
    };
    if let Some(name) = &args.key_env {
        settings.key_env = name.clone();
    }
    settings.check().map_err(Failure::usage)?;
    let key = Secret::find(&settings.key_env, settings.key_file.as_deref().map(Path::new))?;
    let template = Prompts::load(&PromptTexts::default())?.judge;
    let prompt = judge_prompt(&template, "Name two primary colours.", "Red and blue.", Seed::root(1))?.text;
    let judging = Judging { prompt, reads: &|reply| read_score(reply).score.is_ok() };
    let (mut told, mut reached) = (Ok(()), false);
    let mut tell = |finding: &Finding| {
        if !args.json && told.is_ok() {
            // Line by line: a slow endpoint takes minutes.
            let after = !reached && finding.verdict == Verdict::Unknown;
            reached |= finding.verdict == Verdict::Ok;
            told = match after {
                true => Ok(()),
                false => lines(finding).iter().try_for_each(|line| output.line(line)).and_then(|()| output.finish()),
            };
        }
    };
    let findings = doctor::examine(&settings, key, &judging, &mut tell);
    told?;
    let count = |verdict: Verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (good, bad, open) = (count(Verdict::Ok), count(Verdict::NotHonoured), count(Verdict::Unknown));
    if args.json {
        let rows: Vec<_> = findings
            .iter()
            .map(|row| json!({ "name": row.name, "verdict": row.verdict.name(), "says": row.says, "follows": row.follows }))
            .collect();
        let counts = json!({ "ok": good, "not_honoured": bad, "could_not_tell": open });
        output.json(
            json!({ "endpoint": settings.endpoint, "model": settings.model, "findings": rows, "counts": counts }),
        )?;
    } else {
        output.line(&format!("{} checks: {good} ok, {bad} not honoured, {open} could not tell", findings.len()))?;
    }
    match findings.first() {
        Some(first) if first.verdict != Verdict::Ok => anyhow::bail!("{endpoint} does not answer: {}", first.says),
        _ => Ok(()),
    }
}

fn lines(finding: &Finding) -> Vec<String> {
    let mut lines = vec![format!("{:14} {:16} {}", finding.verdict.name(), finding.name, finding.says)];
    if finding.verdict == Verdict::NotHonoured {
        lines.push(format!("{:14} {:16} so: {}", "", "", finding.follows));
    }
    lines
}
