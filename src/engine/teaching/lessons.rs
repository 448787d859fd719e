//! What the stages of a run ask of a teacher: demonstrations, comparisons of answers, held-out judgements; and how two judges agree.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::engine::drive::Engine;
use crate::engine::plan::{instructions, opponents, ranked_sets};
use crate::engine::policy::*;
use crate::engine::seat::InOrder;
use crate::engine::teaching::consult::consult;
use crate::engine::teaching::judge::{TeacherJudge, judging, no_score};
use crate::recipe::agreement::{AgreementSettings, Response, agreement};
use crate::recipe::head_to_head::{duel_prompt, read_verdict};
use crate::recipe::judge::pool;
use crate::recipe::seeds::Seed;
use crate::run::event::*;
use crate::run::ids::{Model, PromptId, Stage};
use crate::run::reasons::{Ended, Scored, Unscored};

/// The name under which a teacher's work stands in the journal.
pub const TEACHER: &str = "teacher";

/// Another look at an iteration's candidates.
pub struct Second {
    /// Whose weights judge.
    pub model: Model,
    /// The name under which its scores stand in the journal, and that of the judge whom the pairs are made by.
    pub judge: String,
    pub reference: String,
}

impl Engine {
    fn teacher(&self) -> Result<Arc<dyn Teacher>> {
        self.teacher.clone().context("this run asks a teacher, and none was made for it")
    }

    /// The teacher as the judge of candidates.
    pub(in crate::engine) fn teacher_judge(&self) -> Result<TeacherJudge> {
        Ok(TeacherJudge {
            teacher: self.teacher()?,
            template: self.materials.teacher_prompts.judge.clone(),
            judging: self.settings.judge.clone(),
            settings: self.settings.teacher.clone(),
        })
    }

    /// The teacher's answer to each prompt, beside the model's own. What it refuses is left out; the pairs stage says so.
    pub(in crate::engine) fn demonstrations(&mut self, iteration: u32) -> Result<Flow> {
        let own = self.settings.own_candidates();
        let seed = self.seed(iteration, Stage::Candidates);
        let candidates = &self.settings.candidates;
        let sampling = Sampling {
            temperature: candidates.temperature,
            top_p: candidates.top_p,
            max_tokens: candidates.max_tokens,
            stop: Vec::new(),
        };
        let mut places = Vec::new();
        let mut calls = Vec::new();
        for (number, (prompt, have)) in (0..).zip(self.desk().prompts.iter().zip(&self.desk().candidates)) {
            if have.len() as u32 == own && !self.desk().undemonstrated.contains_key(&number) {
                places.push(PromptId { iteration, number });
                let seed = seed.prompt(number).candidate(own).number();
                calls.push(TeacherCall { text: prompt.clone(), sampling: sampling.clone(), seed });
            }
        }
        let teacher = self.teacher()?;
        let settings = self.settings.teacher.clone();
        let mut make = |index: usize, taught: Taught| {
            let prompt = places[index];
            match no_score(taught.finish) {
                None => CandidateSampled {
                    prompt,
                    candidate: own,
                    text: taught.text,
                    writer: Some(TEACHER.into()),
                    ended: Ended::Eos,
                    tokens: taught.usage.map_or(0, |(_, answered)| answered as u32),
                    token_ids: Vec::new(),
                    logprob_per_token: None,
                }
                .into(),
                Some(why) => DemonstrationMissing { prompt, why }.into(),
            }
        };
        let place = |index: usize| places.get(index).map(|&prompt| (prompt, own));
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &place);
        consult(&teacher, &settings, &calls, &mut seat, &mut |_, taught| taught.clone())
    }

    /// Why a prompt has no demonstration.
    pub(in crate::engine) fn why_no_demonstration(&self, number: u32) -> Unscored {
        self.desk().undemonstrated.get(&number).copied().unwrap_or(Unscored::Missing)
    }

    /// The model's own judge, with the weights of one model, on the candidates that somebody judged before; no pair depends on it.
    pub(in crate::engine) fn second_opinion(&mut self, iteration: u32, second: &Second) -> Result<Flow> {
        let seed = self.seed(iteration, Stage::Judge).named("second");
        let (mut places, mut asks) = (Vec::new(), Vec::new());
        let judge = second.judge.clone();
        for (number, (prompt, candidates)) in (0..).zip(self.desk().prompts.iter().zip(&self.desk().candidates)) {
            for (candidate, answer) in (0..).zip(candidates) {
                let of = Judged::Candidate { prompt: PromptId { iteration, number }, candidate };
                let have = self.desk().second.get(&(judge.clone(), of)).map_or(0, Vec::len) as u32;
                for sample in have..self.settings.judge.samples {
                    places.push((of, sample));
                    let seed = seed.prompt(number).candidate(candidate);
                    let (prompt, answer) = (prompt.clone(), answer.text.clone());
                    asks.push(JudgeAsk { prompt, answer, seed, sample, base: None });
                }
            }
        }
        if self.with_base(&mut asks)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        self.hold(second.model)?;
        let name = judge.clone();
        let mut make = |index: usize, judgement: Judgement| {
            let (of, sample) = places[index];
            let Judgement { reply, score, .. } = judgement;
            SecondJudged { iteration, judge: name.clone(), of, sample, reply, score }.into()
        };
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &|_| None);
        if self.judge.judge(self.policy.as_mut(), &asks, &mut seat)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        self.compare_on_candidates(iteration, second)?;
        Ok(Flow::Go)
    }

    /// How the second judge agrees with the first, who is the reference, on the same candidates.
    fn compare_on_candidates(&mut self, iteration: u32, second: &Second) -> Result<()> {
        let judge = second.judge.clone();
        let settings = &self.settings.judge;
        let sets: Vec<Vec<Response>> = (0..)
            .zip(&self.desk().candidates)
            .map(|(number, candidates)| {
                let both = (0..).zip(candidates).map(|(candidate, answer)| {
                    let of = Judged::Candidate { prompt: PromptId { iteration, number }, candidate };
                    let second = self.desk().second.get(&(judge.clone(), of)).map_or(&[][..], Vec::as_slice);
                    let first: Vec<Scored> = answer.judgements.iter().map(|judged| judged.score).collect();
                    let reference = pool(&first, settings).mean;
                    // A judgement that could not be parsed is kept out on both sides, and counted.
                    Response { judge: pool(second, settings).mean, rank: reference.map(|score| -score) }
                });
                both.collect()
            })
            .collect();
        self.compare(iteration, judge, &second.reference, &sets)
    }

    fn compare(&mut self, iteration: u32, judge: String, reference: &str, sets: &[Vec<Response>]) -> Result<()> {
        self.compare_by(iteration, judge, reference, sets, AgreementSettings::default().top_score)
    }

    /// The same for a judge whose top score is another one.
    pub(in crate::engine) fn compare_by(
        &mut self,
        iteration: u32,
        judge: String,
        reference: &str,
        sets: &[Vec<Response>],
        top_score: f64,
    ) -> Result<()> {
        let known = self.recorder.view.teacher.compared.iter();
        if known
            .clone()
            .any(|known| (known.iteration, &known.judge, known.reference.as_str()) == (iteration, &judge, reference))
        {
            return Ok(());
        }
        let resamples = self.settings.eval.bootstrap;
        let settings = AgreementSettings { resamples, top_score, ..AgreementSettings::default() };
        let seed = Seed::root(self.settings.run.seed).named("judges");
        let agreement = agreement(sets, &settings, seed);
        self.recorder.record(JudgesCompared { iteration, judge, reference: reference.into(), agreement })
    }

    /// The teacher on the held-out rankings, once in a run.
    pub(in crate::engine) fn teacher_held_out(&mut self, iteration: u32) -> Result<Flow> {
        let seed = Seed::root(self.settings.run.seed).named("evaluation").named("teacher");
        let sets = ranked_sets(&self.settings, &self.materials);
        let (mut places, mut asks) = (Vec::new(), Vec::new());
        for (set, ranking) in (0..).zip(self.materials.held_out.iter().take(sets)) {
            for (response, ranked) in (0..).zip(&ranking.responses) {
                let of = Judged::HeldOut { set, response };
                let have = self.desk().second.get(&(TEACHER.to_string(), of)).map_or(0, Vec::len) as u32;
                for sample in have..self.settings.judge.samples {
                    places.push((of, sample));
                    let seed = seed.prompt(set).candidate(response);
                    let (prompt, answer) = (ranking.prompt.clone(), ranked.text.clone());
                    asks.push(JudgeAsk { prompt, answer, seed, sample, base: None });
                }
            }
        }
        let mut judge = self.teacher_judge()?;
        let mut make = |index: usize, judgement: Judgement| {
            let (of, sample) = places[index];
            let Judgement { reply, score, .. } = judgement;
            SecondJudged { iteration, judge: TEACHER.into(), of, sample, reply, score }.into()
        };
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &|_| None);
        if judge.judge(self.policy.as_mut(), &asks, &mut seat)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let pooled: Vec<Vec<Response>> = (0..)
            .zip(self.materials.held_out.iter().take(sets))
            .map(|(set, ranking)| {
                let both = (0..).zip(&ranking.responses).map(|(response, ranked)| {
                    let of = Judged::HeldOut { set, response };
                    let scores = self.desk().second.get(&(TEACHER.to_string(), of)).map_or(&[][..], Vec::as_slice);
                    Response { judge: pool(scores, &self.settings.judge).mean, rank: Some(ranked.rank) }
                });
                both.collect()
            })
            .collect();
        self.compare(iteration, TEACHER.into(), "human", &pooled)?;
        Ok(Flow::Go)
    }

    /// The teacher compares this model's answers with its opponents', in both orders.
    pub(in crate::engine) fn teacher_duels(&mut self, iteration: u32, model: Model) -> Result<Flow> {
        let seed = Seed::root(self.settings.run.seed).named("evaluation").named("teacher duels");
        let (mut places, mut calls) = (Vec::new(), Vec::new());
        for against in opponents(model) {
            for item in 0..instructions(&self.settings, &self.materials) as u32 {
                let (Some(own), Some(other)) = (self.answer_of(model, item), self.answer_of(against, item)) else {
                    continue;
                };
                for first in [true, false] {
                    if self.desk().teacher_duels.contains_key(&(model, against, item, first)) {
                        continue;
                    }
                    let names = seed.named(&model.to_string()).named(&against.to_string());
                    let seed = names.prompt(item).sample(u32::from(first));
                    let (a, b) = if first { (own, other) } else { (other, own) };
                    let prompt = &self.materials.instructions[item as usize];
                    let text = duel_prompt(&self.materials.teacher_prompts.duel, prompt, &a.text, &b.text, seed)?;
                    places.push((against, item, first));
                    let sampling = judging(&self.settings.judge, &self.settings.teacher);
                    calls.push(TeacherCall { text, sampling, seed: seed.number() });
                }
            }
        }
        let teacher = self.teacher()?;
        let settings = self.settings.teacher.clone();
        let mut make = |index: usize, taught: Taught| {
            let (against, item, first) = places[index];
            let verdict = match no_score(taught.finish) {
                None => read_verdict(&taught.text),
                Some(_) => Verdict::Unparsed,
            };
            let judge = Some(TEACHER.to_string());
            Duelled { iteration, model, against, item, first, judge, reply: taught.text, verdict }.into()
        };
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &|_| None);
        consult(&teacher, &settings, &calls, &mut seat, &mut |_, taught| taught.clone())
    }
}
