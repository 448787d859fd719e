//! Judging examples from human rankings: the baseline judges, and what agrees with the humans is kept.

use anyhow::Result;

use crate::engine::desk::Desk;
use crate::engine::drive::Engine;
use crate::engine::materials::{Eft, Materials};
use crate::engine::policy::{Flow, Judge, JudgeAsk, Judgement};
use crate::engine::seat::InOrder;
use crate::engine::self_judge::SelfJudge;
use crate::engine::settings::Settings;
use crate::recipe::eft::{EftBuilt, Judged, build_eft};
use crate::recipe::seeds::Seed;
use crate::run::event::*;
use crate::run::ids::{Model, Stage};

/// One judgement that was kept.
pub struct Kept {
    pub prompt: String,
    pub response: String,
    pub judgement: String,
}

impl Engine {
    pub(super) fn eft(&mut self) -> Result<Flow> {
        let seed = self.seed(0, Stage::Eft);
        if let Eft::Ranked(sets) = &self.materials.eft {
            let samples = self.settings.judge.samples;
            let mut places = Vec::new();
            let mut asks = Vec::new();
            for (set, ranking) in (0..).zip(sets) {
                for (response, ranked) in (0..).zip(&ranking.responses) {
                    for sample in 0..samples {
                        if !self.desk().eft.contains_key(&(set, response, sample)) {
                            places.push((set, response, sample));
                            let seed = seed.prompt(set).candidate(response);
                            let (prompt, answer) = (ranking.prompt.clone(), ranked.text.clone());
                            asks.push(JudgeAsk { prompt, answer, seed, sample, base: None });
                        }
                    }
                }
            }
            self.hold(Model::Baseline)?;
            let mut make = |index: usize, judgement: Judgement| {
                let (set, response, sample) = places[index];
                eft_judged(0, Model::Baseline, false, (set, response, sample), judgement)
            };
            let mut seat = InOrder::new(&mut self.recorder, &mut make, &|_| None);
            // What is kept is learnt as a text, so it must be one, whoever judges candidates.
            let mut judge = SelfJudge::new(self.materials.prompts.judge.clone(), self.settings.judge.clone());
            if judge.judge(self.policy.as_mut(), &asks, &mut seat)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        if self.recorder.view.round(0).is_some_and(|round| round.eft.is_some()) {
            return Ok(Flow::Go);
        }
        let built = build(&self.materials, &self.settings, self.desk(), seed);
        self.recorder.record(EftFiltered {
            iteration: 0,
            judged: u64::from(built.before.iter().sum::<u32>() + built.unparsed),
            kept: built.kept.len() as u64,
            unparsed: u64::from(built.unparsed),
            disagreed: u64::from(built.disagreeing),
            thinned: u64::from(built.thinned),
            histogram_before: built.before,
            histogram_after: built.after,
        })?;
        Ok(Flow::Go)
    }
}

/// The event of a judgement on human-ranked data.
pub fn eft_judged(
    iteration: u32,
    model: Model,
    held_out: bool,
    (set, response, sample): (u32, u32, u32),
    judgement: Judgement,
) -> Event {
    EftJudged {
        iteration,
        model,
        held_out,
        set,
        response,
        sample,
        reply: judgement.reply,
        score: judgement.score,
        truncated: judgement.truncated,
    }
    .into()
}

/// Applies the rules. Each sample over a prompt's responses is one ranking.
fn build(materials: &Materials, settings: &Settings, desk: &Desk, seed: Seed) -> EftBuilt {
    let mut stream = seed.named("thinning").stream();
    match &materials.eft {
        Eft::Ranked(sets) => {
            let samples = settings.judge.samples;
            let rankings: Vec<Vec<Judged>> = (0u32..)
                .zip(sets)
                .flat_map(|(set, ranking)| {
                    (0..samples).map(move |sample| {
                        let judged = (0u32..).zip(&ranking.responses).filter_map(|(response, ranked)| {
                            let (_, score) = desk.eft.get(&(set, response, sample))?;
                            Some(Judged { rank: ranked.rank, score: *score })
                        });
                        judged.collect()
                    })
                })
                .collect();
            build_eft(&rankings, &settings.eft, &mut stream)
        }
        // Ready judgements are taken as they are: whoever gave them has chosen.
        Eft::Labelled(rows) => {
            let mut histogram = [0; 6];
            rows.iter().for_each(|row| histogram[row.score.round().clamp(0.0, 5.0) as usize] += 1);
            let kept = (0..rows.len()).map(|row| (row, 0)).collect();
            EftBuilt { kept, before: histogram, agreeing: histogram, after: histogram, ..EftBuilt::default() }
        }
    }
}

/// The judgements that were kept, in order: a function of the journal and the seed.
pub fn kept(materials: &Materials, settings: &Settings, desk: &Desk, seed: Seed) -> Vec<Kept> {
    match &materials.eft {
        Eft::Ranked(sets) => {
            let samples = settings.judge.samples as usize;
            let built = build(materials, settings, desk, seed);
            let kept = built.kept.into_iter().filter_map(|(ranking, response)| {
                let (set, sample) = (ranking / samples, ranking % samples);
                let (judgement, _) = desk.eft.get(&(set as u32, response as u32, sample as u32))?;
                let response = &sets.get(set)?.responses.get(response)?.text;
                Some(Kept {
                    prompt: sets[set].prompt.clone(),
                    response: response.clone(),
                    judgement: judgement.clone(),
                })
            });
            kept.collect()
        }
        Eft::Labelled(rows) => rows
            .iter()
            .map(|row| Kept {
                prompt: row.prompt.clone(),
                response: row.response.clone(),
                judgement: row.judgement.clone(),
            })
            .collect(),
    }
}
