//! Measuring a finished model: answers to held-out instructions, judgements of held-out rankings, comparisons with earlier models.
//!
//! The oracle, where the data has one, is asked here and nowhere else; nothing that follows depends on what it says.

use anyhow::Result;

use crate::engine::desk::{HeldOutAnswer, tenths};
use crate::engine::drive::Engine;
use crate::engine::eft::eft_judged;
use crate::engine::plan::{instructions, judges, opponents, ranked_sets};
use crate::engine::policy::{Ask, Flow, JudgeAsk, Judgement, Reply, Sampling};
use crate::engine::seat::InOrder;
use crate::engine::writing::words;
use crate::recipe::agreement::{AgreementSettings, Response, agreement};
use crate::recipe::head_to_head::{Duel, duel_prompt, first_place_share, flip_consistency, head_to_head, read_verdict};
use crate::recipe::judge::{Pooled, pool};
use crate::recipe::seeds::Seed;
use crate::recipe::statistics;
use crate::run::event::*;
use crate::run::ids::{Model, Stage};
use crate::run::measures::{Diversity, HeadToHead, Lengths, OracleQuality, Referee, ScoreSpread};
use crate::run::reasons::{Ended, Scored};
use crate::text::likeness;

/// The two temperatures at which every model answers.
const TEMPERATURES: [f64; 2] = [0.7, 1.0];
/// Lengths within this ratio count as equal.
const MATCHED: f64 = 0.1;

impl Engine {
    pub(super) fn evaluate(&mut self, iteration: u32, model: Model) -> Result<Flow> {
        // Every model gets the same seeds, so that two models differ by their weights alone.
        let seed = Seed::root(self.settings.run.seed).named("evaluation");
        self.hold(model)?;
        let steps: [fn(&mut Engine, u32, Model, Seed) -> Result<Flow>; 3] =
            [Engine::answer_held_out, Engine::judge_held_out, Engine::duel];
        for step in steps {
            if step(self, iteration, model, seed)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        if self.recorder.view.model(model).is_none_or(|view| view.evaluated.is_none()) {
            let (head_to_head, duels) = self.head_to_heads(model);
            self.record_measures(iteration, Stage::Eval, &duels, Vec::new())?;
            let evaluated = self.measure(iteration, model, head_to_head, seed);
            self.recorder.record(evaluated)?;
        }
        Ok(Flow::Go)
    }

    fn answer_held_out(&mut self, iteration: u32, model: Model, seed: Seed) -> Result<Flow> {
        let count = instructions(&self.settings, &self.materials);
        let mut places = Vec::new();
        let mut asks = Vec::new();
        for temperature in TEMPERATURES {
            for repeat in 0..self.settings.eval.answers {
                for (item, prompt) in self.materials.instructions.iter().take(count).enumerate() {
                    let key = repeat * count as u32 + item as u32;
                    if self.desk().held_out.contains_key(&(model, tenths(temperature), key)) {
                        continue;
                    }
                    places.push((temperature, key, item));
                    let seed = seed.named("answers").prompt(key).sample(tenths(temperature));
                    asks.push(Ask {
                        text: prompt.clone(),
                        continues: false,
                        shared_prefix: 0,
                        sampling: Sampling {
                            temperature,
                            top_p: 1.0,
                            max_tokens: self.settings.eval.max_tokens,
                            stop: Vec::new(),
                        },
                        seed: seed.number(),
                    });
                }
            }
        }
        let (oracle, prompts) = (self.materials.oracle, &self.materials.instructions);
        let mut make = |index: usize, reply: Reply| {
            let (temperature, key, item) = places[index];
            let oracle = oracle.and_then(|oracle| oracle(&prompts[item], &reply.text));
            let Reply { text, ended, tokens, .. } = reply;
            HeldOutAnswered { iteration, model, item: key, temperature, text, ended, tokens, oracle }.into()
        };
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &|_| None);
        self.policy.reply(&asks, &mut seat)
    }

    fn judge_held_out(&mut self, iteration: u32, model: Model, seed: Seed) -> Result<Flow> {
        if !judges(model) {
            return Ok(Flow::Go);
        }
        let sets = ranked_sets(&self.settings, &self.materials);
        let mut places = Vec::new();
        let mut asks = Vec::new();
        for (set, ranking) in (0..).zip(self.materials.held_out.iter().take(sets)) {
            for (response, ranked) in (0..).zip(&ranking.responses) {
                let have = self.desk().held_out_scores.get(&(model, set, response)).map_or(0, Vec::len) as u32;
                for sample in have..self.settings.judge.samples {
                    places.push((set, response, sample));
                    asks.push(JudgeAsk {
                        prompt: ranking.prompt.clone(),
                        answer: ranked.text.clone(),
                        seed: seed.named("judging").prompt(set).candidate(response).sample(sample),
                    });
                }
            }
        }
        let mut make =
            |index: usize, judgement: Judgement| eft_judged(iteration, model, true, places[index], judgement);
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &|_| None);
        self.judge.judge(self.policy.as_mut(), &asks, &mut seat)
    }

    /// Compares this model's answers at the lower temperature with its opponents', in both orders, by this model's own judgement.
    fn duel(&mut self, iteration: u32, model: Model, seed: Seed) -> Result<Flow> {
        let mut places = Vec::new();
        let mut asks = Vec::new();
        for against in opponents(&self.settings, model) {
            for item in 0..instructions(&self.settings, &self.materials) as u32 {
                let (Some(own), Some(other)) = (self.answer_of(model, item), self.answer_of(against, item)) else {
                    continue;
                };
                for first in [true, false] {
                    if self.desk().duels.contains_key(&(model, against, item, first)) {
                        continue;
                    }
                    let seed = seed.named("duels").named(&against.to_string()).prompt(item).sample(u32::from(first));
                    let (a, b) = if first { (own, other) } else { (other, own) };
                    let prompt = &self.materials.instructions[item as usize];
                    let text = duel_prompt(&self.materials.prompts.duel, prompt, &a.text, &b.text, seed)?;
                    places.push((against, item, first));
                    asks.push(Ask {
                        text,
                        continues: false,
                        shared_prefix: 0,
                        sampling: Sampling {
                            temperature: self.settings.judge.temperature,
                            top_p: self.settings.judge.top_p,
                            max_tokens: self.settings.judge.max_tokens,
                            stop: Vec::new(),
                        },
                        seed: seed.number(),
                    });
                }
            }
        }
        let mut make = |index: usize, reply: Reply| {
            let (against, item, first) = places[index];
            let verdict = read_verdict(&reply.text);
            Duelled { iteration, model, against, item, first, reply: reply.text, verdict }.into()
        };
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &|_| None);
        self.policy.reply(&asks, &mut seat)
    }

    fn answer_of(&self, model: Model, item: u32) -> Option<&HeldOutAnswer> {
        self.desk().held_out.get(&(model, tenths(TEMPERATURES[0]), item))
    }

    fn measure(&self, iteration: u32, model: Model, head_to_head: Vec<HeadToHead>, seed: Seed) -> Evaluated {
        let pooled = self.pooled_held_out(model);
        let responses: Vec<Vec<Response>> = pooled
            .iter()
            .zip(&self.materials.held_out)
            .map(|(scores, ranking)| {
                let both = scores.iter().zip(&ranking.responses);
                both.map(|(pooled, ranked)| Response { judge: pooled.mean, rank: Some(ranked.rank) }).collect()
            })
            .collect();
        let settings = AgreementSettings { resamples: self.settings.eval.bootstrap, ..AgreementSettings::default() };
        let mut measured = agreement(&responses, &settings, seed.named("bootstrap"));
        if !judges(model) {
            measured = Default::default();
        }
        let lengths: Vec<Vec<f64>> = self
            .materials
            .held_out
            .iter()
            .take(pooled.len())
            .map(|ranking| words(ranking.responses.iter().map(|row| row.text.as_str())))
            .collect();
        Evaluated {
            iteration,
            model,
            length_matched: length_matched(&responses, &lengths),
            agreement: measured,
            scores: self.score_spread(model),
            confusion: confusion(&responses),
            anchors: self.anchors(model),
            oracle: self.oracle_quality(model),
            head_to_head,
            lengths: self.answer_lengths(model),
            diversity: self.answer_diversity(model),
            pairs_truly_better: self.truly_better(iteration, model),
        }
    }

    /// Pooled scores of each held-out set's responses.
    fn pooled_held_out(&self, model: Model) -> Vec<Vec<Pooled>> {
        let sets = ranked_sets(&self.settings, &self.materials);
        let scores_of = |set: u32, response: u32| {
            let scores = self.desk().held_out_scores.get(&(model, set, response));
            let scores: Vec<Scored> = scores.into_iter().flatten().map(|(score, _)| *score).collect();
            pool(&scores, &self.settings.judge)
        };
        (0..)
            .zip(self.materials.held_out.iter().take(sets))
            .map(|(set, ranking)| {
                (0..ranking.responses.len() as u32).map(|response| scores_of(set, response)).collect()
            })
            .collect()
    }

    fn score_spread(&self, model: Model) -> ScoreSpread {
        let mut spread = ScoreSpread::default();
        let (mut scores, mut lengths) = (Vec::new(), Vec::new());
        for ((of, ..), replies) in &self.desk().held_out_scores {
            for (score, reply_words) in replies.iter().filter(|_| *of == model) {
                match score {
                    Ok(score) => {
                        spread.histogram[score.round().clamp(0.0, 5.0) as usize] += 1;
                        scores.push(*score);
                        lengths.push(f64::from(*reply_words));
                    }
                    Err(_) => spread.unparsed += 1,
                }
            }
        }
        spread.mean = statistics::mean(&scores);
        spread.entropy = statistics::entropy(&spread.histogram);
        spread.length_rho = self.score_length_rho(model);
        spread
    }

    /// Rank correlation of pooled score and response length, over all held-out responses.
    fn score_length_rho(&self, model: Model) -> Option<f64> {
        let pooled = self.pooled_held_out(model);
        let (scores, lengths): (Vec<f64>, Vec<f64>) = pooled
            .iter()
            .flatten()
            .zip(self.materials.held_out.iter().flat_map(|ranking| &ranking.responses))
            .filter_map(|(pooled, row)| Some((pooled.mean?, row.text.split_whitespace().count() as f64)))
            .unzip();
        statistics::spearman(&scores, &lengths)
    }

    /// The first held-out responses, scored by every model: do the scores still mean the same?
    fn anchors(&self, model: Model) -> Option<Anchors> {
        let scores_of = |model: Model| -> Vec<Option<f64>> {
            let pooled = self.pooled_held_out(model);
            pooled.into_iter().flatten().take(self.settings.eval.anchors as usize).map(|pooled| pooled.mean).collect()
        };
        let own = scores_of(model);
        let known: Vec<f64> = own.iter().flatten().copied().collect();
        let mean = statistics::mean(&known)?;
        let previous = match model {
            Model::M(number) if number > 1 => Some(scores_of(Model::M(number - 1))),
            Model::M(_) | Model::Baseline => None,
        };
        let tau_previous = previous.and_then(|previous| {
            let (a, b): (Vec<f64>, Vec<f64>) = own.iter().zip(previous).filter_map(|(a, b)| Some(((*a)?, b?))).unzip();
            statistics::kendall_tau_b(&a, &b)
        });
        let variance = statistics::sd(&known).map_or(0.0, |sd| sd * sd);
        Some(Anchors { n: known.len() as u32, mean, variance, tau_previous })
    }

    fn held_out_answers(&self, model: Model, temperature: f64) -> Vec<&HeldOutAnswer> {
        let range = (model, tenths(temperature), 0)..=(model, tenths(temperature), u32::MAX);
        self.desk().held_out.range(range).map(|(_, answer)| answer).collect()
    }

    fn oracle_quality(&self, model: Model) -> Option<OracleQuality> {
        let [cool, hot] = TEMPERATURES.map(|temperature| -> Vec<f64> {
            self.held_out_answers(model, temperature).iter().filter_map(|answer| answer.oracle).collect()
        });
        let perfect = |grades: &[f64]| grades.iter().filter(|&&grade| grade >= 5.0).count() as u32;
        let share = |grades: &[f64]| f64::from(perfect(grades)) / grades.len().max(1) as f64;
        let n = cool.len() as u32;
        Some(OracleQuality {
            n,
            mean_t07: statistics::mean(&cool)?,
            perfect_t07: share(&cool),
            mean_t10: statistics::mean(&hot)?,
            perfect_t10: share(&hot),
            mean_t07_interval: statistics::mean_interval(&cool)?,
            perfect_t07_interval: statistics::wilson(perfect(&cool), n)?,
            mean_t10_interval: statistics::mean_interval(&hot)?,
            perfect_t10_interval: statistics::wilson(perfect(&hot), hot.len() as u32)?,
        })
    }

    /// Results against each opponent, and what the duels say of the judge's sense of order.
    fn head_to_heads(&self, model: Model) -> (Vec<HeadToHead>, [(&'static str, Option<f64>); 3]) {
        let mut results = Vec::new();
        let (mut verdicts, mut consistency, mut firsts) = (0usize, Vec::new(), Vec::new());
        for against in opponents(&self.settings, model) {
            let mut duels = Vec::new();
            let (mut win, mut tie, mut lose) = (0, 0, 0);
            for item in 0..instructions(&self.settings, &self.materials) as u32 {
                let (Some(own), Some(other)) = (self.answer_of(model, item), self.answer_of(against, item)) else {
                    continue;
                };
                let verdict = |first| self.desk().duels.get(&(model, against, item, first)).copied();
                if let (Some(forward), Some(backward)) = (verdict(true), verdict(false)) {
                    duels.push(Duel { answer: &own.text, answer_against: &other.text, forward, backward });
                }
                if let (Some(own), Some(other)) = (own.oracle, other.oracle) {
                    match own.total_cmp(&other) {
                        std::cmp::Ordering::Greater => win += 1,
                        std::cmp::Ordering::Equal => tie += 1,
                        std::cmp::Ordering::Less => lose += 1,
                    }
                }
            }
            if duels.is_empty() {
                continue;
            }
            let judged = head_to_head(&duels, against, Referee::Judge);
            verdicts += duels.len();
            consistency.extend(flip_consistency(&duels));
            firsts.extend(first_place_share(&duels));
            if win + tie + lose > 0 {
                results.push(HeadToHead { by: Referee::Oracle, win, tie, lose, unparsed: 0, ..judged.clone() });
            }
            results.push(judged);
        }
        let values = [
            ("duels", (verdicts > 0).then_some(verdicts as f64)),
            ("duel_consistency", statistics::mean(&consistency)),
            ("duel_first", statistics::mean(&firsts)),
        ];
        (results, values)
    }

    fn answer_lengths(&self, model: Model) -> Lengths {
        let lengths = words(self.held_out_answers(model, TEMPERATURES[0]).iter().map(|answer| answer.text.as_str()));
        Lengths {
            n: lengths.len() as u32,
            mean: statistics::mean(&lengths).unwrap_or(0.0),
            p50: statistics::percentile(&lengths, 0.5).unwrap_or(0.0),
            p95: statistics::percentile(&lengths, 0.95).unwrap_or(0.0),
        }
    }

    fn answer_diversity(&self, model: Model) -> Diversity {
        let answers = self.held_out_answers(model, TEMPERATURES[0]);
        let texts: Vec<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        let repetition: Vec<f64> = texts.iter().map(|text| likeness::repetition(text)).collect();
        let cut = answers.iter().filter(|answer| answer.ended == Ended::Length).count();
        Diversity {
            distinct_1: likeness::distinct(&texts, 1).unwrap_or(0.0),
            distinct_2: likeness::distinct(&texts, 2).unwrap_or(0.0),
            repetition: statistics::mean(&repetition).unwrap_or(0.0),
            truncated: cut as f64 / answers.len().max(1) as f64,
        }
    }

    /// Looked up when all is done: how often the chosen answer of the pairs that made this model was truly better.
    fn truly_better(&self, iteration: u32, model: Model) -> Option<Share> {
        let oracle = self.materials.oracle?;
        let training = self.desk().training.as_ref().filter(|set| set.iteration == iteration)?;
        if model != Model::M(iteration + 1) {
            return None;
        }
        let mut share = Share { count: 0, n: 0 };
        for used in &training.pairs {
            let prompt = self.desk().prompts.get(used.pair.number as usize)?;
            let candidates = self.desk().candidates.get(used.pair.number as usize)?;
            let grade = |candidate: u32| oracle(prompt, &candidates.get(candidate as usize)?.text);
            if let (Some(chosen), Some(rejected)) = (grade(used.chosen), grade(used.rejected)) {
                share.n += 1;
                share.count += u32::from(chosen > rejected);
            }
        }
        (share.n > 0).then_some(share)
    }
}

/// Agreement (ties one half) among pairs of nearly equal length: does the judge see more than length?
fn length_matched(responses: &[Vec<Response>], lengths: &[Vec<f64>]) -> Option<f64> {
    let (mut right, mut pairs) = (0.0, 0u32);
    for (set, lengths) in responses.iter().zip(lengths) {
        for a in 0..set.len() {
            for b in a + 1..set.len() {
                let (longer, shorter) = (lengths[a].max(lengths[b]), lengths[a].min(lengths[b]));
                let ranks = (set[a].rank?, set[b].rank?);
                if ranks.0 == ranks.1 || longer > shorter * (1.0 + MATCHED) {
                    continue;
                }
                let (Some(x), Some(y)) = (set[a].judge, set[b].judge) else { continue };
                pairs += 1;
                right += if x == y { 0.5 } else { f64::from(u8::from((x > y) == (ranks.0 < ranks.1))) };
            }
        }
    }
    (pairs > 0).then(|| right / f64::from(pairs))
}

/// Human rank class (best, second, third, the rest) against the judge's score rounded.
fn confusion(responses: &[Vec<Response>]) -> [[u32; 6]; 4] {
    let mut table = [[0; 6]; 4];
    for set in responses {
        for response in set {
            let (Some(score), Some(rank)) = (response.judge, response.rank) else { continue };
            let mut better: Vec<f64> =
                set.iter().filter_map(|other| other.rank).filter(|&other| other < rank).collect();
            better.sort_by(f64::total_cmp);
            better.dedup();
            table[better.len().min(3)][score.round().clamp(0.0, 5.0) as usize] += 1;
        }
    }
    table
}
