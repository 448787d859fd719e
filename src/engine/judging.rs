//! Judging the candidates and making pairs of them.

use anyhow::Result;

use crate::engine::desk::{Candidate, Desk};
use crate::engine::drive::Engine;
use crate::engine::policy::{Flow, Judge, JudgeAsk, Judgement};
use crate::engine::reward_judge::RewardJudge;
use crate::engine::seat::InOrder;
use crate::engine::teaching::lessons::{Second, TEACHER};
use crate::engine::teaching::settings::Recipe;
use crate::recipe::judge::{Pooled, pool};
use crate::recipe::pairs::{self, Choice, choose_pair, cut_low_policy_margins, demonstrated, noisy_pairs};
use crate::recipe::phrases::grown;
use crate::recipe::signs;
use crate::recipe::spread::{count_words, length_rho_within};
use crate::recipe::statistics;
use crate::recipe::suspicion::{Facts, Side, Usual, suspicion};
use crate::run::event::*;
use crate::run::ids::{Model, PromptId, Stage};
use crate::run::reasons::{NoPair, Scored};

/// Phrases that are listed when chosen answers are compared with rejected ones.
const PHRASES: usize = 20;

impl Engine {
    pub(super) fn judging(&mut self, iteration: u32) -> Result<Flow> {
        let samples = self.settings.judge.samples;
        let seed = self.seed(iteration, Stage::Judge);
        let mut places = Vec::new();
        let mut asks = Vec::new();
        for (number, (prompt, candidates)) in (0..).zip(self.desk().prompts.iter().zip(&self.desk().candidates)) {
            for (candidate, answer) in (0..).zip(candidates) {
                for sample in answer.judgements.len() as u32..samples {
                    places.push((PromptId { iteration, number }, candidate, sample));
                    asks.push(JudgeAsk {
                        prompt: prompt.clone(),
                        answer: answer.text.clone(),
                        seed: seed.prompt(number).candidate(candidate),
                        sample,
                        base: None,
                    });
                }
            }
        }
        let rewards = self.settings.is_reward_model();
        if !self.settings.teacher_judges() && !rewards && self.with_base(&mut asks)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        self.hold(if rewards { self.reward_model()? } else { Model::M(iteration) })?;
        let mut teacher = if self.settings.teacher_judges() { Some(self.teacher_judge()?) } else { None };
        let mut make = |index: usize, judgement: Judgement| {
            let (prompt, candidate, sample) = places[index];
            let Judgement { reply, score, span, truncated, contradicts } = judgement;
            CandidateJudged { prompt, candidate, sample, reply, score, span, truncated, contradicts }.into()
        };
        let place = |index: usize| places.get(index).map(|&(prompt, candidate, _)| (prompt, candidate));
        let mut seat = InOrder::new(&mut self.recorder, &mut make, &place);
        let judged = match &mut teacher {
            Some(teacher) => teacher.judge(self.policy.as_mut(), &asks, &mut seat)?,
            None if rewards => RewardJudge.judge(self.policy.as_mut(), &asks, &mut seat)?,
            None => self.judge.judge(self.policy.as_mut(), &asks, &mut seat)?,
        };
        if judged == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let compared = if teacher.is_some() && self.settings.teacher.compare {
            let second =
                Second { model: Model::M(iteration), judge: self.judge.name().into(), reference: TEACHER.into() };
            self.second_opinion(iteration, &second)?
        } else if self.settings.is_intrinsic() {
            self.earlier_rewards(iteration)?
        } else {
            Flow::Go
        };
        if compared == Flow::Stop {
            return Ok(Flow::Stop);
        }
        self.measure_judgements(iteration)?;
        Ok(Flow::Go)
    }

    fn measure_judgements(&mut self, iteration: u32) -> Result<()> {
        let mut by_prompt = Vec::new();
        let mut noise = Vec::new();
        for candidates in &self.desk().candidates {
            let pooled: Vec<Pooled> = candidates.iter().map(|candidate| self.pooled(candidate)).collect();
            noise.extend(pooled.iter().filter_map(|pooled| pooled.sd));
            let both = candidates.iter().zip(&pooled);
            by_prompt.push(
                both.filter_map(|(candidate, pooled)| Some((pooled.mean?, count_words(&candidate.text)))).collect(),
            );
        }
        let values = [("length_rho", length_rho_within(&by_prompt)), ("judge_sd", statistics::mean(&noise))];
        self.record_measures(iteration, Stage::Judge, &values, Vec::new())
    }

    pub(super) fn pooled(&self, candidate: &Candidate) -> Pooled {
        let scores: Vec<Scored> = candidate.judgements.iter().map(|judged| judged.score).collect();
        pool(&scores, &self.settings.judge)
    }

    /// Decides every prompt at once, then records what is not recorded yet.
    pub(super) fn pairs(&mut self, iteration: u32) -> Result<Flow> {
        let events = self.decide_pairs(iteration);
        let done = self.desk().paired as usize;
        for event in events.into_iter().skip(done) {
            self.recorder.record(event)?;
            if self.recorder.safe_point()? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        self.measure_pairs(iteration)?;
        Ok(Flow::Go)
    }

    fn decide_pairs(&self, iteration: u32) -> Vec<Event> {
        let desk = self.desk();
        let demo = self.settings.run.recipe == Recipe::TeacherDemo;
        let pooled: Vec<Vec<Pooled>> =
            desk.candidates.iter().map(|all| all.iter().map(|candidate| self.pooled(candidate)).collect()).collect();
        let mut choices: Vec<Result<Choice, NoPair>> = desk
            .candidates
            .iter()
            .zip(&pooled)
            .zip(0..)
            .map(|((candidates, pooled), number)| {
                let candidates: Vec<pairs::Candidate> = candidates
                    .iter()
                    .zip(pooled)
                    .map(|(candidate, pooled)| pairs::Candidate {
                        mean: pooled.mean,
                        edited: None,
                        text: &candidate.text,
                        ended: candidate.ended,
                    })
                    .collect();
                match (demo, candidates.as_slice()) {
                    (false, all) => choose_pair(all, &self.settings.pairs),
                    (true, [own, taught]) => demonstrated(own, taught, &self.settings.pairs),
                    (true, _) => Err(NoPair::NoDemonstration { why: self.why_no_demonstration(number) }),
                }
            })
            .collect();
        let margins: Vec<Option<f64>> = choices
            .iter()
            .zip(&desk.candidates)
            .map(|(choice, candidates)| {
                let choice = choice.as_ref().ok()?;
                let log_prob = |at: usize| candidates.get(at)?.logprob_per_token;
                Some(log_prob(choice.chosen)? - log_prob(choice.rejected)?)
            })
            .collect();
        for (choice, cut) in
            choices.iter_mut().zip(cut_low_policy_margins(&margins, self.settings.pairs.drop_low_policy_margin))
        {
            if let (true, Some(why)) = (choice.is_ok(), cut) {
                *choice = Err(why);
            }
        }
        let texts: Vec<Vec<&str>> =
            desk.candidates.iter().map(|all| all.iter().map(|candidate| candidate.text.as_str()).collect()).collect();
        let facts: Vec<Option<Facts>> = (0..choices.len())
            .map(|at| choices[at].as_ref().ok().map(|choice| facts(desk, at, choice, &pooled[at], &texts[at])))
            .collect();
        let usual = Usual::of(&facts.iter().flatten().copied().collect::<Vec<_>>());
        let events = choices.into_iter().zip(facts).enumerate().map(|(at, (choice, facts))| {
            let id = PromptId { iteration, number: at as u32 };
            let means: Vec<Option<f64>> = pooled[at].iter().map(|pooled| pooled.mean).collect();
            match (choice, facts) {
                (Ok(choice), Some(facts)) => {
                    let suspicion = suspicion(&facts, &usual, &self.settings.suspicion);
                    let words = |side: &Side| side.text.split_whitespace().count().max(1) as f64;
                    let score = |at: usize| means[at];
                    PairSelected {
                        id,
                        chosen: choice.chosen as u32,
                        rejected: choice.rejected as u32,
                        chosen_score: score(choice.chosen),
                        rejected_score: score(choice.rejected),
                        length_ratio: words(&facts.chosen) / words(&facts.rejected),
                        suspicion: suspicion.total,
                        signs: suspicion.signs,
                        means,
                    }
                    .into()
                }
                (Ok(_), None) => PromptSkipped { id, why: NoPair::Empty, means }.into(),
                (Err(why), _) => PromptSkipped { id, why, means }.into(),
            }
        });
        events.collect()
    }

    fn measure_pairs(&mut self, iteration: u32) -> Result<()> {
        let Some(round) = self.recorder.view.round(iteration) else { return Ok(()) };
        let (mut pooled, mut ratios, mut longer, mut shorter) = (Vec::new(), Vec::new(), 0u32, 0u32);
        let (mut chosen_texts, mut rejected_texts) = (Vec::new(), Vec::new());
        for (id, pair) in round.pairs() {
            let candidates = &self.desk().candidates[id.number as usize];
            let (chosen, rejected) = (&candidates[pair.chosen as usize], &candidates[pair.rejected as usize]);
            pooled.push((pair.margin, self.pooled(chosen), self.pooled(rejected)));
            ratios.push(pair.length_ratio);
            longer += u32::from(pair.length_ratio > 1.0);
            shorter += u32::from(pair.length_ratio < 1.0);
            chosen_texts.push(chosen.text.as_str());
            rejected_texts.push(rejected.text.as_str());
        }
        let forged = |text: &str| signs::gaming(text).is_some();
        let forged_chosen = chosen_texts.iter().filter(|text| forged(text)).count();
        let forged_pairs = chosen_texts
            .iter()
            .zip(&rejected_texts)
            .filter(|(chosen, rejected)| forged(chosen) || forged(rejected))
            .count();
        let margins: Vec<f64> = pooled.iter().map(|(margin, ..)| *margin).filter(|margin| !margin.is_nan()).collect();
        let values = [
            ("mean_margin", statistics::mean(&margins)),
            ("length_ratio", statistics::mean(&ratios)),
            ("noisy_pairs", noisy_pairs(&pooled)),
            ("forged_pairs", Some(forged_pairs as f64)),
            ("forged_chosen", Some(forged_chosen as f64)),
            ("chosen_longer", (longer + shorter > 0).then(|| f64::from(longer) / f64::from(longer + shorter))),
        ];
        let phrases = grown(&chosen_texts, &rejected_texts, PHRASES);
        self.record_measures(iteration, Stage::Pairs, &values, phrases)
    }
}

fn facts<'a>(desk: &'a Desk, at: usize, choice: &Choice, pooled: &[Pooled], texts: &'a [&'a str]) -> Facts<'a> {
    let side = |place: usize| {
        let candidate = &desk.candidates[at][place];
        Side {
            text: &candidate.text,
            ended: candidate.ended,
            log_prob: candidate.logprob_per_token,
            judged: pooled[place],
            contradicted: candidate.judgements.iter().any(|judged| judged.contradicts),
        }
    };
    Facts {
        prompt: &desk.prompts[at],
        chosen: side(choice.chosen),
        rejected: side(choice.rejected),
        candidates: texts,
        chosen_at: choice.chosen,
        margin: choice.margin,
        likeness: choice.likeness,
        prompt_likeness: desk.likeness.get(at).copied(),
    }
}
