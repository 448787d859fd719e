//! `train sft` and `train dpo`: one training without a run. Reads files, asks `engine::solo`, tells how far it is.
//!
//! The clock is read here, for the time left; nothing that is learnt depends on it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::arguments::{TrainCommand, TrainDpoArgs, TrainingArgs};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, escaped};
use crate::cli::settings;
use crate::data::instructions::{self, Take};
use crate::data::{Limits, rankings};
use crate::engine::learning::hold_out;
use crate::engine::materials;
use crate::engine::policy::{Example, Lesson, Policy, Preference, StepReport};
use crate::engine::settings::{Learn, Reference, Settings};
use crate::engine::solo::{self, Heard, Solo, SoloEnded};
use crate::llama_policy::LlamaPolicy;
use crate::recipe::seeds::Seed;
use crate::text::duration::duration;

/// How often a line of progress is told.
const TELL: Duration = Duration::from_secs(5);

pub fn train(command: &TrainCommand, output: &mut Output) -> Result<()> {
    let stop = stopped_by_signals()?;
    match command {
        TrainCommand::Sft(args) => sft(&args.training, &stop, output),
        TrainCommand::Dpo(args) => dpo(args, &stop, output),
    }
}

fn sft(args: &TrainingArgs, stop: &AtomicBool, output: &mut Output) -> Result<()> {
    let settings = gather(args)?;
    let (examples, hash) = examples(&args.data, output)?;
    let (held_out, held_out_hash) = match &args.held_out {
        Some(path) => self::examples(path, output)?,
        None => (Vec::new(), String::new()),
    };
    let identity = json!({
        "kind": "sft", "seed": settings.run.seed, "model": full(&args.model)?, "data": hash,
        "held_out": held_out_hash, "sft": settings.sft, "lora": settings.lora,
    });
    let solo = Solo::open(&args.out, &identity, settings.checkpoint.clone())?;
    if is_finished(&solo, output) {
        return Ok(());
    }
    let mut policy = LlamaPolicy::new(&settings, &args.model)?;
    policy.load(None)?;
    let seed = Seed::root(settings.run.seed).named("train sft").number();
    let lesson = Lesson::Answers { examples, held_out, settings: settings.sft.clone(), seed };
    finish(&solo, &mut policy, lesson, stop, args.json, output)
}

fn dpo(args: &TrainDpoArgs, stop: &AtomicBool, output: &mut Output) -> Result<()> {
    let TrainDpoArgs { training: args, reference } = args;
    let mut settings = gather(args)?;
    if settings.dpo.learn == Learn::Positive {
        return Err(Failure::usage(
            "dpo.learn = \"positive\" is fine-tuning on the chosen responses: use `selfreward train sft`",
        ));
    }
    if settings.learns_from_rewards() {
        return Err(Failure::usage(
            "dpo.learn = \"rloo\" learns from rewards, which only a run has: use `selfreward run`",
        ));
    }
    if settings.dpo.eft_replay > 0 {
        output.remark("dpo.eft_replay is for runs: there are no judging examples here to mix in");
        settings.dpo.eft_replay = 0;
    }
    settings.dpo.reference = if reference.is_some() { Reference::First } else { Reference::Previous };
    let (pairs, hash) = preferences(&args.data, output)?;
    let (held_out, pairs, held_out_hash) = match &args.held_out {
        Some(path) => {
            let (held_out, hash) = preferences(path, output)?;
            (held_out, pairs, hash)
        }
        None => {
            let (held_out, pairs) = hold_out(pairs, settings.dpo.held_out_share);
            (held_out, pairs, String::new())
        }
    };
    let reference_path = reference.as_deref().unwrap_or(&args.model);
    let identity = json!({
        "kind": "dpo", "seed": settings.run.seed, "model": full(&args.model)?, "reference": full(reference_path)?,
        "data": hash, "held_out": held_out_hash, "dpo": settings.dpo, "lora": settings.lora,
    });
    let solo = Solo::open(&args.out, &identity, settings.checkpoint.clone())?;
    if is_finished(&solo, output) {
        return Ok(());
    }
    let mut policy = LlamaPolicy::new(&settings, &args.model)?;
    policy.load(reference.as_deref())?;
    let sides = |pair: &Preference| {
        [&pair.chosen, &pair.rejected].map(|reply| Example { prompt: pair.prompt.clone(), reply: reply.clone() })
    };
    let items: Vec<Example> = pairs.iter().chain(&held_out).flat_map(sides).collect();
    let mut teller = Teller::new(args.json, output);
    let Some(scored) = solo.reference(&mut policy, &items, stop, &mut |heard| teller.hear(heard))? else {
        return Err(stopped("while the reference was computed"));
    };
    let mut both =
        pairs.into_iter().chain(held_out.iter().cloned()).zip(scored.chunks_exact(2)).map(|(pair, scored)| {
            Preference {
                reference_chosen: scored[0].sum,
                reference_rejected: scored[1].sum,
                chosen_tokens: scored[0].tokens,
                rejected_tokens: scored[1].tokens,
                ..pair
            }
        });
    let learnt = items.len() / 2 - held_out.len();
    let pairs: Vec<Preference> = both.by_ref().take(learnt).collect();
    let held_out: Vec<Preference> = both.collect();
    if reference.is_some() {
        policy.load(None)?;
    }
    let seed = Seed::root(settings.run.seed).named("train dpo").number();
    let settings = Box::new(settings.dpo.clone());
    let lesson = Lesson::Preferences { pairs, held_out, replay: Vec::new(), settings, seed };
    finish(&solo, &mut policy, lesson, stop, args.json, output)
}

fn gather(args: &TrainingArgs) -> Result<Settings> {
    let mut settings = settings::gather(&args.settings.as_of_run())?.settings;
    settings.model.base = Some(args.model.display().to_string());
    Ok(settings)
}

fn is_finished(solo: &Solo, output: &mut Output) -> bool {
    let Some(model) = solo.finished() else { return false };
    output.remark(&format!("finished before: the model is {}", model.display()));
    true
}

fn finish(
    solo: &Solo,
    policy: &mut LlamaPolicy,
    lesson: Lesson,
    stop: &AtomicBool,
    json: bool,
    output: &mut Output,
) -> Result<()> {
    let mut teller = Teller::new(json, output);
    match solo.train(policy, lesson, stop, &mut |heard| teller.hear(heard))? {
        SoloEnded::Stopped(step) => Err(stopped(&format!("after step {step}, with a checkpoint"))),
        SoloEnded::Finished(model) if json => output.json(json!({ "finished": model })),
        SoloEnded::Finished(model) => output.line(&format!("the model is {}", model.display())),
    }
}

fn stopped(when: &str) -> anyhow::Error {
    Failure::Interrupted(format!("stopped {when}; the same command goes on")).into()
}

fn full(path: &Path) -> Result<String> {
    let path = path.canonicalize().with_context(|| format!("there is no {}", path.display()))?;
    Ok(path.display().to_string())
}

fn examples(path: &Path, output: &mut Output) -> Result<(Vec<Example>, String)> {
    let read = instructions::read(path, Take::FirstRound, Limits::default())?;
    output.left_out(&read);
    let hash = hash(read.rows.iter().map(|row| format!("{row:?}")));
    Ok((read.rows.into_iter().map(materials::example).collect(), hash))
}

/// The best response of each set against the worst; sets whose responses are all equal teach nothing.
fn preferences(path: &Path, output: &mut Output) -> Result<(Vec<Preference>, String)> {
    let read = rankings::read(path, Limits::default())?;
    output.left_out(&read);
    let hash = hash(read.rows.iter().map(|row| format!("{row:?}")));
    let (mut pairs, mut equal) = (Vec::new(), 0);
    for set in read.rows {
        let ranking = materials::ranking(set);
        let by_rank = |a: &&materials::RankedResponse, b: &&materials::RankedResponse| a.rank.total_cmp(&b.rank);
        let best = ranking.responses.iter().min_by(by_rank);
        let worst = ranking.responses.iter().max_by(by_rank);
        match best.zip(worst).filter(|(best, worst)| best.rank < worst.rank) {
            Some((best, worst)) => pairs.push(Preference {
                prompt: ranking.prompt.clone(),
                chosen: best.text.clone(),
                rejected: worst.text.clone(),
                reference_chosen: 0.0,
                reference_rejected: 0.0,
                chosen_tokens: 0,
                rejected_tokens: 0,
            }),
            None => equal += 1,
        }
    }
    if equal > 0 {
        output.remark(&format!("{}: {equal} prompts have no better and worse response", path.display()));
    }
    if pairs.is_empty() {
        return Err(Failure::usage(format!("{} holds no preference pair", path.display())));
    }
    Ok((pairs, hash))
}

fn hash(rows: impl Iterator<Item = String>) -> String {
    let mut hasher = blake3::Hasher::new();
    rows.for_each(|row| {
        hasher.update(row.as_bytes());
    });
    hasher.finalize().to_hex()[..32].to_string()
}

/// The first INT and TERM finish the step; a second INT ends at once.
pub fn stopped_by_signals() -> Result<Arc<AtomicBool>> {
    let stop: Arc<AtomicBool> = Arc::default();
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, stop.clone())?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}

/// Tells steps as JSON, or some of them with the time that is left.
struct Teller<'a> {
    json: bool,
    output: &'a mut Output,
    began: Option<(Instant, u64)>,
    told: Option<Instant>,
}

impl<'a> Teller<'a> {
    fn new(json: bool, output: &'a mut Output) -> Teller<'a> {
        Teller { json, output, began: None, told: None }
    }

    fn hear(&mut self, heard: Heard<'_>) -> Result<()> {
        match heard {
            Heard::Damaged(why) => self.output.remark(&format!("a damaged checkpoint is left out: {why}")),
            Heard::Reference { done, of } if self.is_time(done == of) => {
                self.output.remark(&format!("reference: {done} of {of} replies"));
            }
            Heard::Began { from, of } => {
                self.began = Some((Instant::now(), from));
                let how = if from > 0 { format!("going on after step {from}") } else { "beginning".into() };
                self.output.remark(&format!("{how}, {of} steps in all"));
            }
            Heard::Step { step, of, report } if self.json => {
                let line: Value = solo::logged(step, of, report);
                self.output.raw(&escaped(&line)?)?;
                self.output.raw("\n")?;
                self.output.finish()?;
            }
            Heard::Step { step, of, report } if self.is_time(step == of || report.held_out.is_some()) => {
                let left = self
                    .began
                    .filter(|(_, from)| step > *from)
                    .map(|(began, from)| began.elapsed().as_secs_f64() / (step - from) as f64 * (of - step) as f64);
                self.output.remark(&line(step, of, report, left));
            }
            Heard::Saved { step } if !self.json => self.output.remark(&format!("checkpoint after step {step}")),
            Heard::Reference { .. } | Heard::Step { .. } | Heard::Saved { .. } => {}
        }
        Ok(())
    }

    fn is_time(&mut self, always: bool) -> bool {
        let is_time = always || self.told.is_none_or(|told| told.elapsed() >= TELL);
        if is_time {
            self.told = Some(Instant::now());
        }
        is_time
    }
}

fn line(step: u64, of: u64, report: &StepReport, left: Option<f64>) -> String {
    let mut line = format!("step {step}/{of}  loss {:.4}  grad {:.3}", report.loss, report.grad_norm);
    if let Some(preference) = &report.preference {
        let margin = preference.reward_chosen - preference.reward_rejected;
        line.push_str(&format!("  accuracy {:.2}  margin {margin:.3}", preference.accuracy));
    }
    if let Some(held_out) = report.held_out {
        line.push_str(&format!("  held out {held_out:.4}"));
    }
    if let Some(rate) = report.tokens_per_s {
        line.push_str(&format!("  {rate:.0} tokens/s"));
    }
    if let Some(left) = left.filter(|_| step < of) {
        line.push_str(&format!("  {} left", duration(left)));
    }
    line
}
