//! `judge`: a model scores ranked responses; every measure of agreement with the ranks.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cli::arguments::JudgeArgs;
use crate::cli::failure::Failure;
use crate::cli::metrics;
use crate::cli::output::{Output, escaped};
use crate::cli::settings;
use crate::cli::training::stopped_by_signals;
use crate::data::{Limits, rankings};
use crate::engine::launch::make_judge;
use crate::engine::materials::{self, Ranking};
use crate::engine::policy::{Flow, Judge, JudgeAsk, Judgement, Policy, Seat};
use crate::engine::settings::{JudgeKind, Settings};
use crate::llama_policy::LlamaPolicy;
use crate::recipe::agreement::{AgreementSettings, Response, agreement};
use crate::recipe::judge::pool;
use crate::recipe::prompts::{PromptTexts, Prompts};
use crate::recipe::seeds::Seed;
use crate::run::reasons::Scored;

const TELL: Duration = Duration::from_secs(5);

pub fn judge(args: &JudgeArgs, output: &mut Output) -> Result<()> {
    let stop = stopped_by_signals()?;
    let mut settings = settings::gather(&args.settings.as_of_run())?.settings;
    settings.model.base = Some(args.model.display().to_string());
    let read = rankings::read(&args.eft, Limits::default())?;
    output.left_out(&read);
    let limit = if settings.eval.ranked == 0 { usize::MAX } else { settings.eval.ranked as usize };
    let sets: Vec<Ranking> = read.rows.into_iter().take(limit).map(materials::ranking).collect();
    let mut policy = LlamaPolicy::new(&settings, &args.model)?;
    if settings.run.judge == JudgeKind::Intrinsic {
        return Err(Failure::usage(
            "run.judge = intrinsic compares a model with the base of its run: `judge` knows one model. Set it to self or expected",
        ));
    }
    policy.load(None)?;
    let mut judge = make_judge(&settings, &prompts(&settings)?);
    let Some(judgements) = judgements(judge.as_mut(), &mut policy, &settings, &sets, &stop, output)? else {
        return Err(Failure::Interrupted("stopped before everything was judged: nothing was measured".into()).into());
    };
    if let Some(path) = &args.out {
        write(path, &sets, &judgements, &settings)?;
    }
    let samples = settings.judge.samples as usize;
    let mut pooled = judgements.chunks(samples.max(1)).map(|samples| {
        let scores: Vec<Scored> = samples.iter().map(|judgement| judgement.score).collect();
        pool(&scores, &settings.judge).mean
    });
    let responses: Vec<Vec<Response>> = sets
        .iter()
        .map(|set| {
            let ranked = set.responses.iter();
            ranked.map(|row| Response { judge: pooled.next().flatten(), rank: Some(row.rank) }).collect()
        })
        .collect();
    let seed = Seed::root(settings.run.seed).named("bootstrap");
    let measures = AgreementSettings { resamples: settings.eval.bootstrap, ..AgreementSettings::default() };
    let found = agreement(&responses, &measures, seed);
    let unparsed = judgements.iter().filter(|judgement| judgement.score.is_err()).count();
    if args.json {
        let mut members = serde_json::to_value(&found)?;
        members["judge"] = judge.name().into();
        members["judgements"] = judgements.len().into();
        members["judgements_without_score"] = unparsed.into();
        return output.json(members);
    }
    output.table(&metrics::table(&found))?;
    output.line(&format!("{unparsed} of {} judgements have no score", judgements.len()))
}

fn prompts(settings: &Settings) -> Result<Prompts> {
    let own = |path: &String| std::fs::read_to_string(path).with_context(|| format!("reading the prompt text {path}"));
    let judge = settings.data.judge_prompt.as_ref().map(own).transpose()?;
    Ok(Prompts::load(&PromptTexts { set: settings.data.texts, judge, ..PromptTexts::default() })?)
}

/// Every sample of every response of every set, in that order; none when stopped.
fn judgements(
    judge: &mut dyn Judge,
    policy: &mut dyn Policy,
    settings: &Settings,
    sets: &[Ranking],
    stop: &AtomicBool,
    output: &mut Output,
) -> Result<Option<Vec<Judgement>>> {
    let seed = Seed::root(settings.run.seed).named("evaluation").named("judging");
    let mut asks = Vec::new();
    for (number, set) in (0..).zip(sets) {
        for (place, row) in (0..).zip(&set.responses) {
            asks.extend((0..settings.judge.samples).map(|sample| JudgeAsk {
                prompt: set.prompt.clone(),
                answer: row.text.clone(),
                seed: seed.prompt(number).candidate(place),
                sample,
                base: None,
            }));
        }
    }
    let mut seat = Desk { done: (0..asks.len()).map(|_| None).collect(), stop, output, told: Instant::now() };
    if judge.judge(policy, &asks, &mut seat)? == Flow::Stop {
        return Ok(None);
    }
    Ok(seat.done.into_iter().collect())
}

/// Judgements as they come, with a line about them now and then.
struct Desk<'a> {
    done: Vec<Option<Judgement>>,
    stop: &'a AtomicBool,
    output: &'a mut Output,
    told: Instant,
}

impl Desk<'_> {
    fn flow(&self) -> Flow {
        if self.stop.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Go }
    }
}

impl Seat<Judgement> for Desk<'_> {
    fn finished(&mut self, index: usize, item: Judgement) -> Result<Flow> {
        if let Some(place) = self.done.get_mut(index) {
            *place = Some(item);
        }
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            let done = self.done.iter().flatten().count();
            self.output.remark(&format!("{done} of {} judgements", self.done.len()));
        }
        Ok(self.flow())
    }

    fn writing(&mut self, _: usize, _: &str) -> Result<Flow> {
        Ok(self.flow())
    }
}

fn write(path: &Path, sets: &[Ranking], judgements: &[Judgement], settings: &Settings) -> Result<()> {
    let mut text = String::new();
    let mut rest = judgements.iter();
    for set in sets {
        for row in &set.responses {
            for (sample, judgement) in rest.by_ref().take(settings.judge.samples as usize).enumerate() {
                let line: Value = json!({
                    "prompt": set.prompt, "response": row.text, "rank": row.rank, "sample": sample,
                    "judgement": judgement.reply, "score": judgement.score.ok(),
                });
                text.push_str(&escaped(&line)?);
                text.push('\n');
            }
        }
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
