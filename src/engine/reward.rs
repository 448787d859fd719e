//! The reward model of a run: made from M1 on the seed share of people's pairs, then, loop by loop, on labels of its own (SER).
//!
//! Each loop is a stage with a model of its own, R0, R1, …: it trains, measures, and either settles which loop counts or labels the pool
//! for the next; humans look at labels at a gate between two loops (`label_check`). Every loop starts from M1 again. What people said of
//! the pool is asked for nothing but a count in the journal.

use anyhow::{Context, Result};

use crate::engine::drive::Engine;
use crate::engine::human_pairs::{HumanPairs, drawn};
use crate::engine::learning::Training;
use crate::engine::materials::Ranking;
use crate::engine::policy::{Example, Flow, Lesson, Ranked};
use crate::engine::reward_judge::{REWARD_MODEL, reward_of_each};
use crate::recipe::agreement::{AgreementSettings, Response, agreement};
use crate::recipe::seeds::Seed;
use crate::recipe::ser::{self, SerSettings};
use crate::run::event::*;
use crate::run::ids::{Model, Stage};
use crate::run::reasons::{Settled, SideOf};

/// Answers whose rewards are computed at once: between two lots a pause or a stop is heard.
const LOT: usize = 64;
/// Bins of the calibration, from .5 to 1.
const BINS: usize = 5;

impl Engine {
    /// One loop. After the loops have settled there is nothing to do.
    pub(super) fn reward(&mut self, model: Model, has_begun: bool) -> Result<Flow> {
        let Model::Reward(number) = model else { anyhow::bail!("{model} is no reward model") };
        let reward = &self.recorder.view.reward;
        // Interrupted after its last word: what it has labelled is the next loop's.
        if reward.labels_of(number + 1).is_some() {
            return Ok(Flow::Go);
        }
        if reward.chosen.is_some() && reward.of_loop(number).is_none() {
            if !has_begun {
                self.recorder.record(StageStarted { iteration: 0, stage: Stage::Reward, model, total: 0 })?;
            }
            return Ok(Flow::Go);
        }
        let people = self.human_pairs();
        // What is believed already, and what of it humans let the model learn from.
        let (labels, learnt) = (self.desk().self_labels.clone(), self.desk().learnt_labels.clone());
        let own = people.pool.iter().zip(&learnt).filter_map(|(pair, label)| label.map(|better| pair.sides(better)));
        let ranked = |[chosen, rejected]: [Example; 2]| Ranked { chosen, rejected };
        let pairs: Vec<Ranked> = people.seed.iter().cloned().chain(own).map(ranked).collect();
        anyhow::ensure!(!pairs.is_empty(), "there is no human-ranked pair to make a reward model from: set data.pairs");
        let (human, own) = (people.seed.len() as u32, (pairs.len() - people.seed.len()) as u32);
        let seed = self.seed(0, Stage::Reward).sample(number).number();
        let settings = self.settings.reward.clone();
        let lesson = Lesson::Rewards { pairs, settings, seed };
        if self.train(Training::last_step(0, Stage::Reward, model, Model::M(1), lesson), has_begun)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        self.hold(model)?;
        if self.recorder.view.reward.of_loop(number).is_none() {
            let sets: Vec<Ranking> = self.materials.held_out.clone();
            let items: Vec<Example> = sets.iter().flat_map(answers).collect();
            let Some(rewards) = self.rewards(&items)? else { return Ok(Flow::Stop) };
            let measured = self.measured(number, (human, own), &sets, &rewards);
            self.recorder.record(measured)?;
        }
        if self.recorder.view.reward.chosen.is_none() {
            return self.settle(number, &people, &labels);
        }
        Ok(Flow::Go)
    }

    pub(super) fn ser(&self) -> SerSettings {
        self.settings.loops()
    }

    pub(super) fn human_pairs(&self) -> HumanPairs {
        HumanPairs::of(&self.materials.reward_sets, self.ser().seed_share, self.settings.run.seed)
    }

    /// Rewards under the weights that the policy holds; none when asked to stop meanwhile.
    fn rewards(&mut self, items: &[Example]) -> Result<Option<Vec<f64>>> {
        let mut rewards = Vec::with_capacity(items.len());
        for lot in items.chunks(LOT) {
            rewards.extend(reward_of_each(self.policy.as_mut(), lot)?);
            if self.recorder.safe_point()? == Flow::Stop {
                return Ok(None);
            }
        }
        Ok(Some(rewards))
    }

    fn measured(&self, number: u32, (human, own): (u32, u32), sets: &[Ranking], rewards: &[f64]) -> RewardMeasured {
        let mut rest = rewards;
        let scored: Vec<Vec<Response>> = sets
            .iter()
            .map(|set| {
                let (own, after) = rest.split_at(set.responses.len());
                rest = after;
                responses(set, own)
            })
            .collect();
        let (deciding, reported) = halves(sets, scored);
        let seed = Seed::root(self.settings.run.seed).named("reward model");
        // Rewards have no top score.
        let settings = AgreementSettings {
            top_score: f64::INFINITY,
            resamples: self.settings.eval.bootstrap,
            ..Default::default()
        };
        let decides = agreement(&deciding, &AgreementSettings { resamples: 0, ..settings.clone() }, seed);
        let margins = margins(&reported);
        let losses: Vec<f64> = margins.iter().map(|margin| -ser::sigmoid(*margin).max(1e-300).ln()).collect();
        RewardMeasured {
            iteration: 0,
            model: Model::Reward(number),
            number,
            human,
            own,
            deciding: decides.pairwise_half,
            deciding_pairs: decides.pairs,
            agreement: agreement(&reported, &settings, seed),
            loss: crate::recipe::statistics::mean(&losses),
            calibration: ser::calibration(&margins, BINS),
        }
    }

    /// Decides whether there is another loop; labels the pool for it if so, says which loop counts if not.
    fn settle(&mut self, number: u32, people: &HumanPairs, before: &[Option<SideOf>]) -> Result<Flow> {
        let settings = self.ser();
        let accuracies: Vec<Option<f64>> =
            (0..=number).map(|at| self.recorder.view.reward.of_loop(at).and_then(|found| found.deciding)).collect();
        let left = people.pool.len() - before.iter().flatten().count();
        let mut why = ser::settled(&accuracies, left, &settings);
        if why.is_none() {
            let items: Vec<Example> = people.pool.iter().flat_map(|pair| pair.sides(SideOf::First)).collect();
            let Some(rewards) = self.rewards(&items)? else { return Ok(Flow::Stop) };
            let rewards: Vec<(f64, f64)> = rewards.chunks_exact(2).map(|sides| (sides[0], sides[1])).collect();
            let p = ser::probabilities(&rewards, &settings);
            let labels = ser::labels(before, &p, &settings);
            if labels.iter().all(Option::is_none) {
                why = Some(Settled::NothingBelieved);
            } else {
                let flipped = Some(people.flipped(&labels));
                let was = |at: usize| before.get(at).copied().flatten();
                let new = (0..labels.len()).filter(|&at| labels[at].is_some() && was(at).is_none()).count() as u32;
                let (model, pool) = (Model::Reward(number), people.pool.len() as u32);
                let labels = self.self_labels(people, (before, &labels), (&rewards, &p));
                let (number, suspicion_auroc) = (number + 1, people.suspicion_auroc(&labels));
                self.recorder.record(SelfLabelled {
                    iteration: 0,
                    model,
                    number,
                    pool,
                    labels,
                    new,
                    flipped,
                    suspicion_auroc,
                })?;
            }
        }
        if let Some(why) = why {
            let best = ser::best(&accuracies, settings.min_gain).unwrap_or(0) as u32;
            let chosen = RewardChosen { iteration: 0, model: Model::Reward(best), number: best, loops: number, why };
            self.recorder.record(chosen)?;
        }
        Ok(Flow::Go)
    }

    /// The model whose rewards judge candidates.
    pub(super) fn reward_model(&self) -> Result<Model> {
        let chosen = self.recorder.view.reward.chosen.as_ref().map(|chosen| chosen.model);
        chosen.with_context(|| format!("the judge {REWARD_MODEL} has not been made yet"))
    }

    /// The chosen model beside the other judges, on all of the held-out rankings.
    pub(super) fn compare_reward_model(&mut self, iteration: u32) -> Result<Flow> {
        let known = self.recorder.view.teacher.compared.iter().any(|known| known.judge == REWARD_MODEL);
        if known || !self.settings.is_reward_model() {
            return Ok(Flow::Go);
        }
        let model = self.reward_model()?;
        self.hold(model)?;
        let sets = self.materials.held_out.clone();
        let mut scored = Vec::with_capacity(sets.len());
        for set in &sets {
            let items: Vec<Example> = answers(set).collect();
            let Some(rewards) = self.rewards(&items)? else { return Ok(Flow::Stop) };
            scored.push(responses(set, &rewards));
        }
        let top_score = f64::INFINITY;
        self.compare_by(iteration, REWARD_MODEL.into(), "human", &scored, top_score)?;
        Ok(Flow::Go)
    }
}

/// What people ranked, as texts to be rewarded.
fn answers(set: &Ranking) -> impl Iterator<Item = Example> {
    set.responses.iter().map(|row| Example { prompt: set.prompt.clone(), reply: row.text.clone() })
}

/// People's ranks beside these rewards; what is no number is no score.
fn responses(set: &Ranking, rewards: &[f64]) -> Vec<Response> {
    let both = rewards.iter().zip(&set.responses);
    both.map(|(reward, row)| Response { judge: reward.is_finite().then_some(*reward), rank: Some(row.rank) }).collect()
}

/// The held-out sets by which a loop is chosen, and those on which it is reported: by content, half of the prompts each.
fn halves(sets: &[Ranking], scored: Vec<Vec<Response>>) -> (Vec<Vec<Response>>, Vec<Vec<Response>>) {
    let first = drawn(sets, 0.5, HALVES);
    let (mut deciding, mut reported) = (Vec::new(), Vec::new());
    for (set, responses) in sets.iter().zip(scored) {
        if first.contains(set.prompt.as_str()) { deciding.push(responses) } else { reported.push(responses) }
    }
    (deciding, reported)
}

/// The halves are the same in every run.
const HALVES: u64 = 2;

/// Reward of the answer that people found better minus that of the other, for every pair.
fn margins(sets: &[Vec<Response>]) -> Vec<f64> {
    let mut margins = Vec::new();
    for set in sets {
        let known: Vec<(f64, f64)> = set.iter().filter_map(|one| Some((one.rank?, one.judge?))).collect();
        for (at, a) in known.iter().enumerate() {
            for b in &known[at + 1..] {
                if a.0 != b.0 {
                    margins.push(if a.0 < b.0 { a.1 - b.1 } else { b.1 - a.1 });
                }
            }
        }
    }
    margins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_counted_once_a_pair_and_from_the_better_answer() {
        let response = |rank: f64, reward: Option<f64>| Response { judge: reward, rank: Some(rank) };
        let set =
            vec![response(1.0, Some(0.5)), response(0.0, Some(2.0)), response(1.0, Some(4.0)), response(2.0, None)];
        assert_eq!(margins(&[set]), [1.5, -2.0]);
    }
}
