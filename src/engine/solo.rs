//! One training by itself, without a run around it: checkpoints, a log of steps, and going on by the same command.
//!
//! `train sft` and `train dpo` use it with any policy. The folder holds `train.json` (what is learnt, from what),
//! `steps.jsonl`, `reference.jsonl` (preferences only), `checkpoints/` and in the end `model/`, with `adapter/`
//! where adapters were trained. It reads no clock.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::engine::checkpoints;
use crate::engine::policy::{Example, Lesson, LogProb, Policy, StepReport};
use crate::engine::settings::CheckpointSettings;
use crate::run::journal::sync_folder;

/// Replies whose reference log-probs are computed at once.
const REFERENCE_CHUNK: usize = 32;

/// A training's folder, held by this process.
#[derive(Debug)]
pub struct Solo {
    folder: PathBuf,
    checkpoint: CheckpointSettings,
    /// Held as long as the training lives.
    _lock: File,
}

/// What happens, for whoever shows it.
#[derive(Debug)]
pub enum Heard<'a> {
    /// Replies of which the reference's log-probs are known.
    Reference {
        done: usize,
        of: usize,
    },
    /// A damaged checkpoint is left out.
    Damaged(&'a str),
    Began {
        from: u64,
        of: u64,
    },
    Step {
        step: u64,
        of: u64,
        report: &'a StepReport,
    },
    Saved {
        step: u64,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub enum SoloEnded {
    Finished(PathBuf),
    /// Asked to stop after this step, with a checkpoint.
    Stopped(u64),
}

/// What a step was computed on, counted from 1.
fn in_words(batch: &[usize], report: &StepReport) -> String {
    let what = if report.preference.is_some() { "pairs" } else { "examples" };
    let numbers: Vec<String> = batch.iter().map(|at| (at + 1).to_string()).collect();
    format!("{what} {}", numbers.join(", "))
}

impl Solo {
    /// Opens a training's folder, or makes it. `identity` says all that the result depends on: a folder that holds
    /// another training is refused.
    pub fn open(folder: &Path, identity: &Value, checkpoint: CheckpointSettings) -> Result<Solo> {
        let path = folder.join("train.json");
        if !path.exists() {
            let is_empty = std::fs::read_dir(folder).map_or(true, |mut items| items.next().is_none());
            ensure!(is_empty, "{} holds other files; give an --out that is new or empty", folder.display());
        }
        std::fs::create_dir_all(folder.join("checkpoints")).with_context(|| format!("making {}", folder.display()))?;
        let lock = OpenOptions::new().create(true).append(true).open(folder.join("train.lock"))?;
        let free = lock.try_lock().is_ok();
        ensure!(free, "another process trains in {} at the moment", folder.display());
        if path.exists() {
            let then: Value = serde_json::from_slice(&std::fs::read(&path)?)
                .with_context(|| format!("{} is damaged", path.display()))?;
            let differs = difference(&then, identity, "");
            if let Some(differs) = differs {
                bail!(
                    "{} holds another training: {differs}.\n  Give another --out, or the settings and data of before.",
                    folder.display()
                );
            }
        } else {
            write_whole(&path, &serde_json::to_vec_pretty(identity)?)?;
        }
        Ok(Solo { folder: folder.to_owned(), checkpoint, _lock: lock })
    }

    /// The finished model, if it was finished before.
    pub fn finished(&self) -> Option<PathBuf> {
        let model = self.folder.join("model");
        checkpoints::verify(&model).is_ok().then_some(model)
    }

    /// The reference's log-probs of replies: computed once with the model that the policy holds, kept for every resume.
    /// None when asked to stop; what was computed by then is kept.
    pub fn reference(
        &self,
        policy: &mut dyn Policy,
        items: &[Example],
        stop: &AtomicBool,
        hear: &mut dyn FnMut(Heard<'_>) -> Result<()>,
    ) -> Result<Option<Vec<LogProb>>> {
        let path = self.folder.join("reference.jsonl");
        let mut known: Vec<LogProb> = Vec::new();
        let text = if path.exists() { std::fs::read_to_string(&path)? } else { String::new() };
        // A line that was being written when the process was killed ends the file without a newline.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..whole].lines() {
            let (sum, tokens) = serde_json::from_str(line).with_context(|| format!("{} is damaged", path.display()))?;
            known.push(LogProb { sum, tokens });
        }
        known.truncate(items.len());
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(whole as u64)?;
        while known.len() < items.len() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let chunk = &items[known.len()..(known.len() + REFERENCE_CHUNK).min(items.len())];
            for scored in policy.log_probs(chunk)? {
                writeln!(file, "{}", json!([scored.sum, scored.tokens]))?;
                known.push(scored);
            }
            hear(Heard::Reference { done: known.len(), of: items.len() })?;
        }
        file.sync_all()?;
        Ok(Some(known))
    }

    /// Trains from the start or from the newest whole checkpoint until the end, or until asked to stop.
    pub fn train(
        &self,
        policy: &mut dyn Policy,
        lesson: Lesson,
        stop: &AtomicBool,
        hear: &mut dyn FnMut(Heard<'_>) -> Result<()>,
    ) -> Result<SoloEnded> {
        checkpoints::sweep(&self.folder)?;
        checkpoints::sweep(&self.checkpoints())?;
        let mut newest = None;
        for (step, path) in self.saved()?.into_iter().rev() {
            match checkpoints::verify(&path) {
                Ok(manifest) if manifest.step == step => {
                    newest = Some((path, step));
                    break;
                }
                Ok(manifest) => hear(Heard::Damaged(&format!("{} is of step {}", path.display(), manifest.step)))?,
                Err(error) => hear(Heard::Damaged(&format!("{error:#}")))?,
            }
        }
        let from = newest.as_ref().map_or(0, |(_, step)| *step);
        let steps = policy.begin(lesson, newest.as_ref().map(|(path, step)| (path.as_path(), *step)))?;
        let mut log = self.log(from)?;
        hear(Heard::Began { from, of: steps })?;
        let every = u64::from(self.checkpoint.every.max(1));
        for step in from + 1..=steps {
            let mut report = policy.step().with_context(|| format!("step {step} of {steps}"))?;
            if step % every == 0 || step == steps {
                report.held_out = policy.held_out()?;
            }
            writeln!(log, "{}", logged(step, steps, &report))?;
            hear(Heard::Step { step, of: steps, report: &report })?;
            if let Some(batch) = report.not_finite.as_deref().map(|batch| in_words(batch, &report)) {
                bail!(
                    "step {step} is not applied: its loss or gradient is not finite.\n  It was computed on {batch}. \
                     Lower the learning rate or take these rows out"
                );
            }
            let leaves = stop.load(Ordering::Relaxed) && step < steps;
            if (step % every == 0 && step < steps) || leaves {
                log.sync_all()?;
                let path = self.checkpoints().join(format!("step-{step:06}"));
                checkpoints::write(&path, step, |scratch| policy.save(scratch, true))?;
                hear(Heard::Saved { step })?;
                let keep = self.checkpoint.keep.max(1) as usize;
                for (_, old) in self.saved()?.into_iter().rev().skip(keep) {
                    checkpoints::remove(&old)?;
                }
            }
            if leaves {
                return Ok(SoloEnded::Stopped(step));
            }
        }
        log.sync_all()?;
        policy.end()?;
        // Before the model, which says that everything is there.
        if policy.trains_adapters() {
            checkpoints::write(&self.folder.join("adapter"), steps, |scratch| {
                policy.save_adapter(scratch).map(|_| ())
            })?;
        }
        let model = self.folder.join("model");
        checkpoints::write(&model, steps, |scratch| policy.save(scratch, false))?;
        for (_, old) in self.saved()? {
            checkpoints::remove(&old)?;
        }
        Ok(SoloEnded::Finished(model))
    }

    fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    /// Steps of which a checkpoint lies there, oldest first.
    fn saved(&self) -> Result<Vec<(u64, PathBuf)>> {
        let mut saved = Vec::new();
        for item in std::fs::read_dir(self.checkpoints())? {
            let path = item?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(step) = name.strip_prefix("step-").and_then(|step| step.parse().ok()) {
                saved.push((step, path));
            }
        }
        saved.sort();
        Ok(saved)
    }

    /// The log of steps, cut to those that are not taken again.
    fn log(&self, from: u64) -> Result<File> {
        let path = self.folder.join("steps.jsonl");
        let text = if path.exists() { std::fs::read_to_string(&path)? } else { String::new() };
        let step_of = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64();
        let kept: usize = text
            .split_inclusive('\n')
            .take_while(|line| line.ends_with('\n') && step_of(line).is_some_and(|step| step <= from))
            .map(str::len)
            .sum();
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(kept as u64)?;
        Ok(file)
    }
}

/// A step under the names that TRL logs.
pub fn logged(step: u64, of: u64, report: &StepReport) -> Value {
    let mut line = json!({
        "step": step, "of": of, "loss": report.loss, "learning_rate": report.lr, "grad_norm": report.grad_norm,
        "num_tokens": report.tokens, "tokens_per_s": report.tokens_per_s, "memory_bytes": report.memory_bytes,
    });
    let mut add = |name: &str, value: Value| line[name] = value;
    match &report.preference {
        None => {
            if let Some(held_out) = report.held_out {
                add("eval_loss", held_out.into());
            }
        }
        Some(preference) => {
            add("rewards/chosen", preference.reward_chosen.into());
            add("rewards/rejected", preference.reward_rejected.into());
            add("rewards/margins", (preference.reward_chosen - preference.reward_rejected).into());
            add("rewards/accuracies", preference.accuracy.into());
            add("logps/chosen", preference.logp_chosen.into());
            add("logps/rejected", preference.logp_rejected.into());
            add("logps_per_token/chosen", preference.logp_chosen_per_token.into());
            add("logps_per_token/rejected", preference.logp_rejected_per_token.into());
            add("ref_logps_per_token/chosen", preference.reference_chosen_per_token.into());
            add("kl", preference.kl.into());
            if let Some(held_out) = report.held_out {
                add("eval_rewards/accuracies", held_out.into());
            }
        }
    }
    line
}

/// The first place at which two values differ, in words.
fn difference(then: &Value, now: &Value, place: &str) -> Option<String> {
    match (then, now) {
        (Value::Object(a), Value::Object(b)) => {
            a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).find_map(|key| {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                difference(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), &place)
            })
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("{place} was {a}, now it is {b}")),
    }
}

/// Writes a file that is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        let scratch = path.with_extension(format!("tmp-{}", std::process::id()));
        let mut file = File::create(&scratch)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&scratch, path)?;
        if let Some(parent) = path.parent() {
            sync_folder(parent)?;
        }
        Ok(())
    };
    write().with_context(|| format!("writing {}", path.display()))
}
