//! Learning from rewards inside a run (RLOO): which answers count, what each is worth, and the training.
//!
//! The answers are the candidates of the prompts whose pair passed the gate: humans looked at the best and the worst of a prompt, and
//! what they refused leaves with all of its prompt's answers. The policy starts as the model that wrote them, which is the reference.

use anyhow::{Context, Result, ensure};

use crate::engine::drive::Engine;
use crate::engine::learning::{NO_PAIR, REFERENCE_CHUNK, Training};
use crate::engine::policy::{Example, Flow, Group, Lesson, Rewarded, log_prob_of_each};
use crate::recipe::rloo;
use crate::run::event::*;
use crate::run::ids::{Model, PromptId, Stage};
use crate::run::number::Num;
use crate::run::reasons::Ended;

impl Engine {
    pub(super) fn learn_from_rewards(&mut self, iteration: u32, has_begun: bool) -> Result<Flow> {
        let (from, model) = (Model::M(iteration), Model::M(iteration + 1));
        let set = self.desk().training.clone().context("the training set has not been fixed")?;
        ensure!(!set.pairs.is_empty(), NO_PAIR);
        if self.score_samples(iteration, &set.pairs)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        let settings = self.settings.rloo.clone();
        let ids: Vec<PromptId> = set.pairs.iter().map(|used| used.pair).collect();
        let mut groups = ids.iter().map(|id| self.group(*id)).collect::<Result<Vec<Group>>>()?;
        let rewards: Vec<Vec<f64>> =
            groups.iter().map(|group| group.answers.iter().map(|answer| answer.reward).collect()).collect();
        let worth = rloo::worth(&rewards, settings.normalise, settings.reward_clip);
        for (answer, worth) in groups.iter_mut().flat_map(|group| &mut group.answers).zip(worth.into_iter().flatten()) {
            answer.worth = worth;
        }
        let probe = self.probe(iteration)?;
        let seed = self.seed(iteration, Stage::Rloo).number();
        let lesson = Lesson::Groups { groups, settings, seed };
        let training = Training::last_step(iteration, Stage::Rloo, model, from, lesson).watched(ids, probe);
        self.train(training, has_begun)
    }

    /// The reference's log-probs of every answer that counts, once, before the first step, by the same function as the policy's.
    fn score_samples(&mut self, iteration: u32, pairs: &[Used]) -> Result<Flow> {
        let missing: Vec<Used> =
            pairs.iter().copied().filter(|used| !self.desk().samples.contains_key(&used.pair)).collect();
        if missing.is_empty() {
            return Ok(Flow::Go);
        }
        self.hold(self.reference_model(iteration))?;
        for chunk in missing.chunks(REFERENCE_CHUNK) {
            let counted: Vec<Vec<(u32, f64)>> = chunk.iter().map(|used| self.counted(used)).collect();
            let items = chunk
                .iter()
                .zip(&counted)
                .flat_map(|(used, own)| own.iter().map(|&(candidate, _)| self.side(used.pair, candidate)))
                .collect::<Result<Vec<Example>>>()?;
            let mut scored = log_prob_of_each(self.policy.as_mut(), &items)?.into_iter();
            for (used, own) in chunk.iter().zip(counted) {
                let samples = own
                    .into_iter()
                    .zip(scored.by_ref())
                    .map(|((candidate, reward), log_prob)| SampleScored {
                        candidate,
                        reward: Num(reward),
                        reference: Num(log_prob.sum),
                    })
                    .collect();
                self.recorder.record(SamplesScored { pair: used.pair, samples })?;
            }
            if self.recorder.safe_point()? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Go)
    }

    /// A prompt's answers that have a reward, as judge and people left it. What was cut off is left out where pairs leave it out.
    fn counted(&self, used: &Used) -> Vec<(u32, f64)> {
        let edited = self.edited(used.pair);
        let candidates = self.desk().candidates.get(used.pair.number as usize);
        let of = |(number, candidate): (u32, _)| {
            let reward = match edited {
                Some((edited, score)) if edited == number => Some(score),
                _ => self.pooled(candidate).mean,
            };
            let is_cut = self.settings.pairs.skip_truncated && candidate.ended == Ended::Length;
            reward.filter(|reward| reward.is_finite() && !is_cut).map(|reward| (number, reward))
        };
        let (numbers, mut rewards): (Vec<u32>, Vec<f64>) =
            (0..).zip(candidates.into_iter().flatten()).filter_map(of).unzip();
        let place = |candidate: u32| numbers.iter().position(|&number| number == candidate);
        if let (Some(better), Some(worse)) = (place(used.chosen), place(used.rejected)) {
            rloo::as_people_say(&mut rewards, better, worse);
        }
        numbers.into_iter().zip(rewards).collect()
    }

    /// The candidate to which a human gave another score, by the decision that stands.
    fn edited(&self, id: PromptId) -> Option<(u32, f64)> {
        let view = &self.recorder.view;
        let latest =
            view.pair(id)?.history.iter().rev().filter_map(|&seq| view.decision(seq)).find(|one| !one.undone)?;
        match latest.decision {
            Decision::Edit { candidate, score } => Some((candidate, score)),
            _ => None,
        }
    }

    fn group(&self, id: PromptId) -> Result<Group> {
        let scored = self.desk().samples.get(&id).with_context(|| format!("the answers of {id} have no reference"))?;
        let mut prompt = String::new();
        let mut answers = Vec::with_capacity(scored.len());
        for sample in scored {
            let example = self.side(id, sample.candidate)?;
            let candidate =
                self.desk().candidates.get(id.number as usize).and_then(|all| all.get(sample.candidate as usize));
            prompt = example.prompt;
            answers.push(Rewarded {
                reply: example.reply,
                reward: sample.reward.0,
                worth: 0.0,
                reference: sample.reference.0,
                tokens: candidate.map_or(0, |candidate| candidate.tokens),
            });
        }
        Ok(Group { prompt, answers })
    }
}
