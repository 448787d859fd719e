//! Measuring a finished model: answers to held-out instructions, judgements of held-out rankings, comparisons with earlier models.
//!
//! The oracle, where the data has one, is asked here and nowhere else; nothing that follows depends on what it says.

use anyhow::Result;

use crate::engine::desk::{HeldOutAnswer, tenths};
use crate::engine::drive::Engine;
use crate::engine::eft::eft_judged;
use crate::engine::plan::{instructions, judges, opponents, ranked_sets_of};
use crate::engine::policy::{Ask, Flow, JudgeAsk, Judgement, Reply, Sampling};
use crate::engine::seat::InOrder;
use crate::recipe::agreement::{AgreementSettings, Response, agreement};
use crate::recipe::head_to_head::{
    Duel, Graded, by_grades, duel_prompt, first_place_share, flip_consistency, head_to_head, read_verdict,
};
use crate::recipe::held_out;
use crate::recipe::judge::{Pooled, pool};
use crate::recipe::seeds::Seed;
use crate::recipe::spread::{count_words, diversity, lengths, oracle_quality};
use crate::recipe::statistics;
use crate::run::event::*;
use crate::run::ids::{Model, Stage};
use crate::run::measures::{HeadToHead, Referee, ScoreSpread};
use crate::run::reasons::{Ended, Scored};

mod hindsight;

/// The two temperatures at which every model answers.
const TEMPERATURES: [f64; 2] = [0.7, 1.0];
/// Lengths within this ratio count as equal.
const MATCHED: f64 = 0.1;

/// One part of an evaluation.
type Part = fn(&mut Engine, u32, Model, Seed) -> Result<Flow>;

impl Engine {
    pub(super) fn evaluate(&mut self, iteration: u32, model: Model) -> Result<Flow> {
        // Every model gets the same seeds, so that two models differ by their weights alone.
        let seed = Seed::root(self.settings.run.seed).named("evaluation");
        self.hold(model)?;
        let steps: [Part; 3] = [Engine::answer_held_out, Engine::judge_held_out, Engine::duel];
        for step in steps {
            if step(self, iteration, model, seed)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        if self.settings.teacher_holds_out()
            && model == Model::Baseline
            && self.teacher_held_out(iteration)? == Flow::Stop
        {
            return Ok(Flow::Stop);
        }
        // Beside the first model's own judgement of the same answers; it stays the same for the rest of the run.
        if model == Model::M(1) && self.compare_reward_model(iteration)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        if self.settings.teacher_duels() && self.teacher_duels(iteration, model)? == Flow::Stop {
            return Ok(Flow::Stop);
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
        let sets = ranked_sets_of(&self.settings, &self.materials, model);
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
                        seed: seed.named("judging").prompt(set).candidate(response),
                        sample,
                        base: None,
                    });
                }
            }
        }
        if self.with_base(&mut asks)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        self.hold(model)?;
        let mut make =
            |index: usize, judgement: Judgement| eft_judged(iteration, model, true, places[index], judgement);
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &|_| None);
        self.judge.judge(self.policy.as_mut(), &asks, &mut seat)
    }

    /// Compares this model's answers at the lower temperature with its opponents', in both orders, by this model's own judgement.
    fn duel(&mut self, iteration: u32, model: Model, seed: Seed) -> Result<Flow> {
        if !self.settings.eval.head_to_head {
            return Ok(Flow::Go);
        }
        let mut places = Vec::new();
        let mut asks = Vec::new();
        for against in opponents(model) {
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
            let judge = None;
            Duelled { iteration, model, against, item, first, judge, reply: reply.text, verdict }.into()
        };
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &|_| None);
        self.policy.reply(&asks, &mut seat)
    }

    pub(super) fn answer_of(&self, model: Model, item: u32) -> Option<&HeldOutAnswer> {
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
        let with_words: Vec<Vec<(Response, usize)>> = responses
            .iter()
            .zip(&self.materials.held_out)
            .map(|(set, ranking)| {
                let words = ranking.responses.iter().map(|row| count_words(&row.text));
                set.iter().copied().zip(words).collect()
            })
            .collect();
        let answers: Vec<(&str, Ended)> = self
            .held_out_answers(model, TEMPERATURES[0])
            .iter()
            .map(|answer| (answer.text.as_str(), answer.ended))
            .collect();
        let texts: Vec<&str> = answers.iter().map(|(text, _)| *text).collect();
        let [cool, hot] = TEMPERATURES.map(|temperature| -> Vec<f64> {
            self.held_out_answers(model, temperature).iter().filter_map(|answer| answer.oracle).collect()
        });
        Evaluated {
            iteration,
            model,
            length_matched: held_out::length_matched(&with_words, MATCHED),
            agreement: measured,
            scores: self.score_spread(model),
            confusion: if self.settings.is_intrinsic() { [[0; 6]; 4] } else { held_out::confusion(&responses) },
            anchors: self.anchors(model),
            oracle: oracle_quality(&cool, &hot),
            head_to_head,
            lengths: lengths(&texts),
            diversity: diversity(&answers),
            pairs_truly_better: self.truly_better(iteration, model),
            hindsight: self.hindsight(iteration, model),
        }
    }

    /// Pooled scores of each held-out set's responses.
    fn pooled_held_out(&self, model: Model) -> Vec<Vec<Pooled>> {
        let sets = ranked_sets_of(&self.settings, &self.materials, model);
        let scores_of = |set: u32, response: u32| {
            let scores = self.desk().held_out_scores.get(&(model, set, response));
            let scores: Vec<Scored> = scores.into_iter().flatten().copied().collect();
            pool(&scores, &self.settings.judge)
        };
        (0..)
            .zip(self.materials.held_out.iter().take(sets))
            .map(|(set, ranking)| {
                (0..ranking.responses.len() as u32).map(|response| scores_of(set, response)).collect()
            })
            .collect()
    }

    /// The judge's single scores, each beside the length of the response that it judged.
    fn score_spread(&self, model: Model) -> ScoreSpread {
        let mut replies = Vec::new();
        for ((_, set, response), scores) in
            self.desk().held_out_scores.range((model, 0, 0)..=(model, u32::MAX, u32::MAX))
        {
            let row = self.materials.held_out.get(*set as usize).and_then(|set| set.responses.get(*response as usize));
            let words = row.map_or(0, |row| count_words(&row.text));
            replies.extend(scores.iter().map(|&score| (score, words)));
        }
        let spread = crate::recipe::spread::score_spread(&replies);
        match self.settings.is_intrinsic() {
            // Rewards have no scale to count them on.
            true => ScoreSpread { histogram: [0; 6], entropy: None, ..spread },
            false => spread,
        }
    }

    /// The first held-out responses, scored by every model: do the scores still mean the same?
    fn anchors(&self, model: Model) -> Option<Anchors> {
        let scores_of = |model: Model| -> Vec<Option<f64>> {
            let pooled = self.pooled_held_out(model);
            pooled.into_iter().flatten().take(self.settings.eval.anchors as usize).map(|pooled| pooled.mean).collect()
        };
        let previous = match model {
            Model::M(number) if number > 1 => Some(scores_of(Model::M(number - 1))),
            Model::M(_) | Model::Baseline | Model::Reward(_) => None,
        };
        held_out::anchors(&scores_of(model), previous.as_deref())
    }

    fn held_out_answers(&self, model: Model, temperature: f64) -> Vec<&HeldOutAnswer> {
        let range = (model, tenths(temperature), 0)..=(model, tenths(temperature), u32::MAX);
        self.desk().held_out.range(range).map(|(_, answer)| answer).collect()
    }

    /// Results against each opponent, and what the duels say of the judge's sense of order.
    fn head_to_heads(&self, model: Model) -> (Vec<HeadToHead>, [(&'static str, Option<f64>); 3]) {
        let mut results = Vec::new();
        let (mut verdicts, mut consistency, mut firsts) = (0usize, Vec::new(), Vec::new());
        for against in opponents(model) {
            let (mut duels, mut taught, mut graded) = (Vec::new(), Vec::new(), Vec::new());
            for item in 0..instructions(&self.settings, &self.materials) as u32 {
                let (Some(own), Some(other)) = (self.answer_of(model, item), self.answer_of(against, item)) else {
                    continue;
                };
                let verdict = |first| self.desk().duels.get(&(model, against, item, first)).copied();
                if let (Some(forward), Some(backward)) = (verdict(true), verdict(false)) {
                    duels.push(Duel { answer: &own.text, answer_against: &other.text, forward, backward });
                }
                let verdict = |first| self.desk().teacher_duels.get(&(model, against, item, first)).copied();
                if let (Some(forward), Some(backward)) = (verdict(true), verdict(false)) {
                    taught.push(Duel { answer: &own.text, answer_against: &other.text, forward, backward });
                }
                if let (Some(grade), Some(grade_against)) = (own.oracle, other.oracle) {
                    graded.push(Graded { answer: &own.text, grade, answer_against: &other.text, grade_against });
                }
            }
            results.extend(by_grades(&graded, against));
            if !duels.is_empty() {
                verdicts += duels.len();
                consistency.extend(flip_consistency(&duels));
                firsts.extend(first_place_share(&duels));
                results.push(head_to_head(&duels, against, Referee::Judge));
            }
            if !taught.is_empty() {
                results.push(head_to_head(&taught, against, Referee::Teacher));
            }
        }
        let values = [
            ("duels", (verdicts > 0).then_some(verdicts as f64)),
            ("duel_consistency", statistics::mean(&consistency)),
            ("duel_first", statistics::mean(&firsts)),
        ];
        (results, values)
    }
}
