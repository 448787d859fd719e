//! New prompts and their candidates: what the writer and the model put on paper in an iteration.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::engine::drive::Engine;
use crate::engine::policy::{Ask, Example, Flow, Reply, Sampling};
use crate::engine::seat::{Collect, InOrder};
use crate::engine::settings::PromptWriter;
use crate::engine::teaching::settings::Recipe;
use crate::recipe::new_prompts::{cut_unlikely, read_tasks, request};
use crate::recipe::prompt_filter::PromptFilter;
use crate::recipe::spread::{diversity, lengths, near_duplicates, top_opening};
use crate::recipe::statistics;
use crate::run::event::*;
use crate::run::ids::{Model, PromptId, Stage};
use crate::run::number::Num;
use crate::run::reasons::{Ended, Refusal};
use crate::text::likeness::{self, Texts};

/// Requests to the writer that are answered together, and share one state of the filter.
const BATCH: u64 = 8;
/// More tasks than one reply can hold: numbers the tasks of a request.
const TASKS: u64 = 1000;
/// Likeness from which two candidates count as nearly the same.
const NEAR: f64 = 0.9;
/// Prompts whose candidates are compared with each other for the measures.
const MEASURED: usize = 400;

/// What became of one task that the writer wrote.
enum Verdict {
    Accepted { text: String, nll: Option<f64> },
    Refused { text: String, why: Refusal },
}

impl Engine {
    pub(super) fn prompts(&mut self, iteration: u32) -> Result<Flow> {
        let settings = self.settings.prompts.clone();
        let wanted = settings.count as usize;
        let most = u64::from(settings.count) * u64::from(settings.max_attempts);
        let model = Model::M(iteration);
        match (settings.writer, &self.settings.model.writer) {
            (PromptWriter::Fixed, Some(folder)) => self.hold_folder(Some(folder.into()))?,
            (PromptWriter::Fixed, None) => self.hold(Model::M(0))?,
            (PromptWriter::Current, _) => self.hold(model)?,
        }
        let writer = if settings.writer == PromptWriter::Current { model } else { Model::M(0) };
        // A batch that was interrupted is written again, the same: what stands in the journal is skipped.
        let mut batch = self.desk().attempts.saturating_sub(1) / TASKS / BATCH;
        let filter = self.filter();
        let mut accepted = Texts::default();
        self.desk().prompts.iter().for_each(|text| accepted.add(text));
        while self.desk().prompts.len() < wanted && batch * BATCH < most {
            let Some(verdicts) = self.write_batch(iteration, batch, filter.clone())? else { return Ok(Flow::Stop) };
            for (attempt, verdict) in verdicts {
                if attempt < self.desk().attempts || self.desk().prompts.len() >= wanted {
                    continue;
                }
                let event: Event = match verdict {
                    Verdict::Accepted { text, nll } => {
                        let number = self.desk().prompts.len() as u32;
                        let id = PromptId { iteration, number };
                        let likeness = accepted.likeness_with_last(MEASURED, &text);
                        accepted.add(&text);
                        PromptWritten { id, text, writer, likeness, attempt, nll }.into()
                    }
                    Verdict::Refused { text, why } => PromptRefused { iteration, attempt, text, why }.into(),
                };
                self.recorder.record(event)?;
            }
            if self.recorder.safe_point()? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            batch += 1;
        }
        if self.desk().prompts.is_empty() {
            bail!(
                "the writer gave no usable prompt in {most} attempts; the reasons are on the Gen screen. \
                 Loosen prompt_filter, give more seed prompts (data.ift) or another writer (model.writer)"
            );
        }
        self.measure_prompts(iteration)?;
        Ok(Flow::Go)
    }

    /// Writes and judges one batch of requests. A function of the seed and of what was accepted before the batch.
    fn write_batch(
        &mut self,
        iteration: u32,
        batch: u64,
        mut filter: PromptFilter,
    ) -> Result<Option<Vec<(u64, Verdict)>>> {
        let settings = self.settings.prompts.clone();
        let first = batch * BATCH * TASKS;
        let desk = self.desk();
        let before: Vec<&str> = desk
            .prompts
            .iter()
            .zip(&desk.prompt_attempts)
            .filter(|(_, attempt)| **attempt < first)
            .map(|(text, _)| text.as_str())
            .collect();
        let seeds: Vec<&str> = self.materials.ift.iter().map(|row| row.prompt.as_str()).collect();
        before.iter().for_each(|text| filter.remember(text.to_string()));

        let stage = self.seed(iteration, Stage::Prompts);
        let template = &self.materials.prompts.write_prompt;
        let mut next = Vec::new();
        let mut asks = Vec::new();
        for number in batch * BATCH..(batch + 1) * BATCH {
            let seed = stage.prompt(number as u32);
            let asked = request(template, &seeds, &before, &settings.request, &mut seed.named("shots").stream())?;
            next.push(asked.next);
            asks.push(Ask {
                shared_prefix: 0,
                text: asked.text,
                continues: true,
                sampling: Sampling {
                    temperature: settings.request.temperature,
                    top_p: settings.request.top_p,
                    max_tokens: settings.request.max_tokens,
                    stop: vec!["\n\n".into(), format!("\n{}", settings.request.last_number)],
                },
                seed: seed.number(),
            });
        }
        let items = vec![None; asks.len()];
        let mut seat = Collect { recorder: &mut self.recorder, items };
        if self.policy.reply(&asks, &mut seat)? == Flow::Stop {
            return Ok(None);
        }
        let replies: Vec<Reply> = seat.items.into_iter().flatten().collect();
        let mut verdicts = Vec::new();
        for ((number, reply), next) in (0..).zip(&replies).zip(next) {
            let tasks = read_tasks(&reply.text, next, reply.ended, &settings.request);
            for (task, read) in (0..).zip(tasks.into_iter().take(TASKS as usize)) {
                let attempt = first + number * TASKS + task;
                let verdict = match read {
                    Ok(text) => match filter.admit(&text) {
                        Ok(text) => Verdict::Accepted { text, nll: None },
                        Err(why) => Verdict::Refused { text, why },
                    },
                    Err(why) => Verdict::Refused { text: String::new(), why },
                };
                verdicts.push((attempt, verdict));
            }
        }
        self.refuse_unlikely(&mut verdicts)?;
        Ok(Some(verdicts))
    }

    /// The writer's own likelihood finds malformed prompts.
    fn refuse_unlikely(&mut self, verdicts: &mut [(u64, Verdict)]) -> Result<()> {
        let share = self.settings.prompt_filter.drop_unlikely;
        if share <= 0.0 {
            return Ok(());
        }
        let items: Vec<Example> = verdicts
            .iter()
            .filter_map(|(_, verdict)| match verdict {
                Verdict::Accepted { text, .. } => Some(Example { prompt: String::new(), reply: text.clone() }),
                Verdict::Refused { .. } => None,
            })
            .collect();
        let nlls: Vec<Option<f64>> =
            self.policy.log_probs(&items)?.iter().map(|log_prob| log_prob.per_token().map(|value| -value)).collect();
        let cut = cut_unlikely(&nlls, share);
        let accepted = verdicts.iter_mut().filter(|(_, verdict)| matches!(verdict, Verdict::Accepted { .. }));
        for (((_, verdict), nll), refused) in accepted.zip(nlls).zip(cut) {
            if let Verdict::Accepted { text, .. } = verdict {
                let text = std::mem::take(text);
                *verdict = match refused {
                    Some(why) => Verdict::Refused { text, why },
                    None => Verdict::Accepted { text, nll },
                };
            }
        }
        Ok(())
    }

    /// What is known before the first prompt of an iteration.
    fn filter(&self) -> PromptFilter {
        let seeds: Vec<&str> = self.materials.ift.iter().map(|row| row.prompt.as_str()).collect();
        let held_out = self.materials.instructions.iter().map(String::as_str);
        let held_out: Vec<&str> =
            held_out.chain(self.materials.held_out.iter().map(|set| set.prompt.as_str())).collect();
        let mut filter = PromptFilter::new(self.settings.prompt_filter.clone(), &seeds, &held_out);
        if self.settings.prompts.unique_across_iterations {
            self.desk().earlier_prompts.iter().for_each(|text| filter.remember(text.clone()));
        }
        filter
    }

    fn measure_prompts(&mut self, iteration: u32) -> Result<()> {
        let desk = self.desk();
        let prompts: Vec<&str> = desk.prompts.iter().map(String::as_str).collect();
        let values = [
            ("top_opening", top_opening(&prompts, 3).map(|(_, share)| share)),
            ("prompt_likeness", statistics::mean(&desk.likeness)),
            ("prompt_words", Some(lengths(&prompts).mean)),
        ];
        self.record_measures(iteration, Stage::Prompts, &values, Vec::new())
    }

    pub(super) fn candidates(&mut self, iteration: u32) -> Result<Flow> {
        let settings = self.settings.candidates.clone();
        let seed = self.seed(iteration, Stage::Candidates);
        let mut places = Vec::new();
        let mut asks = Vec::new();
        for (number, (prompt, have)) in (0..).zip(self.desk().prompts.iter().zip(&self.desk().candidates)) {
            for candidate in have.len() as u32..self.settings.own_candidates() {
                places.push((PromptId { iteration, number }, candidate));
                asks.push(Ask {
                    shared_prefix: 0,
                    text: prompt.clone(),
                    continues: false,
                    sampling: Sampling {
                        temperature: settings.temperature,
                        top_p: settings.top_p,
                        max_tokens: settings.max_tokens,
                        stop: Vec::new(),
                    },
                    seed: seed.prompt(number).candidate(candidate).number(),
                });
            }
        }
        self.hold(Model::M(iteration))?;
        let mut make = |index: usize, reply: Reply| {
            let (prompt, candidate) = places[index];
            let Reply { text, ended, tokens, token_ids, logprob_per_token } = reply;
            let writer = None;
            CandidateSampled { prompt, candidate, text, writer, ended, tokens, token_ids, logprob_per_token }.into()
        };
        let place = |index: usize| places.get(index).copied();
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &place);
        if self.policy.reply(&asks, &mut seat)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        if self.settings.run.recipe == Recipe::TeacherDemo && self.demonstrations(iteration)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        self.measure_candidates(iteration)?;
        Ok(Flow::Go)
    }

    fn measure_candidates(&mut self, iteration: u32) -> Result<()> {
        let candidates = &self.desk().candidates;
        let all: Vec<(&str, Ended)> =
            candidates.iter().flatten().map(|candidate| (candidate.text.as_str(), candidate.ended)).collect();
        let texts: Vec<&str> = all.iter().map(|(text, _)| *text).collect();
        let by_prompt: Vec<Vec<&str>> = candidates
            .iter()
            .take(MEASURED)
            .map(|prompt| prompt.iter().map(|candidate| candidate.text.as_str()).collect())
            .collect();
        let selves: Vec<f64> = by_prompt.iter().filter_map(|texts| likeness::self_rouge(texts)).collect();
        let (length, varied) = (lengths(&texts), diversity(&all));
        let values = [
            ("mean_words", Some(length.mean)),
            ("p50_words", Some(length.p50)),
            ("p95_words", Some(length.p95)),
            ("distinct_1", Some(varied.distinct_1)),
            ("distinct_2", Some(varied.distinct_2)),
            ("repetition", Some(varied.repetition)),
            ("truncated", Some(varied.truncated)),
            ("self_rouge", statistics::mean(&selves)),
            ("near_duplicates", near_duplicates(&by_prompt, NEAR)),
        ];
        self.record_measures(iteration, Stage::Candidates, &values, Vec::new())
    }

    /// Records measures once; a resume that comes here again finds them.
    pub(super) fn record_measures(
        &mut self,
        iteration: u32,
        stage: Stage,
        values: &[(&str, Option<f64>)],
        phrases: Vec<Phrase>,
    ) -> Result<()> {
        let values: BTreeMap<String, Num> =
            values.iter().filter_map(|(name, value)| Some((name.to_string(), Num((*value)?)))).collect();
        let known = self.recorder.view.round(iteration);
        if known.is_some_and(|round| values.keys().all(|name| round.measured.contains_key(name))) {
            return Ok(());
        }
        self.recorder.record(Measured { iteration, stage, values, phrases })
    }
}
