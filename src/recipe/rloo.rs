//! Learning from the rewards of several answers to a prompt: REINFORCE leave-one-out (RLOO, arXiv 2402.14740).
//!
//! Letters: of a prompt's k answers, r is the reward, π the log-prob under the policy, q the one under the reference, which wrote the
//! answer; both of whole answers, in nats. Used by the trainer, and by a rehearsal, which has no trainer. It knows no text and no step.

use crate::recipe::statistics;

/// What is looked at in one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// As it counts: see `worth`.
    pub reward: f64,
    pub log_prob: f64,
    pub reference: f64,
}

impl Sample {
    fn log_ratio(&self) -> f64 {
        self.log_prob - self.reference
    }
}

/// How answers push.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What a nat away from the reference costs, in the unit of rewards.
    pub beta: f64,
    /// An answer whose probability has changed by this share in its good direction pushes no further; 0 lets all push.
    pub clip: f64,
}

/// What one answer does to the policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Push {
    pub advantage: f64,
    pub loss: f64,
    /// ∂ loss / ∂ π, the advantage held still.
    pub by_log_prob: f64,
    /// It has moved as far as it may.
    pub clipped: bool,
}

/// Each number minus the mean of the others; a number without others has nothing to be better than.
pub fn leave_one_out(rewards: &[f64]) -> Vec<f64> {
    let others = rewards.len().saturating_sub(1) as f64;
    if others == 0.0 {
        return vec![0.0; rewards.len()];
    }
    let sum: f64 = rewards.iter().sum();
    rewards.iter().map(|reward| reward - (sum - reward) / others).collect()
}

/// The answers to one prompt, together. With R = r − β·(π − q), the advantage A is R minus the mean R of the others, and with
/// ρ = exp(π − q) the loss is −min(ρ·A, clip(ρ, 1 − ε, 1 + ε)·A). At the first step ρ = 1: REINFORCE, −A·∇π. Later the answers are no
/// longer the policy's own, which ρ makes up for as far as ε lets it.
pub fn pushes(samples: &[Sample], rule: Rule) -> Vec<Push> {
    let rewards: Vec<f64> = samples.iter().map(|sample| sample.reward - rule.beta * sample.log_ratio()).collect();
    let push = |(sample, advantage): (&Sample, f64)| {
        let ratio = sample.log_ratio().exp();
        let free = ratio * advantage;
        let bounded = ratio.clamp(1.0 - rule.clip, 1.0 + rule.clip) * advantage;
        if rule.clip > 0.0 && bounded < free {
            Push { advantage, loss: -bounded, by_log_prob: 0.0, clipped: true }
        } else {
            Push { advantage, loss: -free, by_log_prob: -free, clipped: false }
        }
    };
    samples.iter().zip(leave_one_out(&rewards)).map(push).collect()
}

/// Rewards as they count. A reward model says how much better one answer to a prompt is than another, and nothing across prompts:
/// rewards are taken from their prompt's mean. With `normalise` they are divided by the standard deviation of all advantages of the
/// lesson, so that learning rate and beta mean the same for every judge, and a step does not depend on who else is in it. Then none
/// counts more than `clip`, up or down; 0 does not clip.
pub fn worth(groups: &[Vec<f64>], normalise: bool, clip: f64) -> Vec<Vec<f64>> {
    let spread = advantage_sd(groups.iter().map(Vec::as_slice)).filter(|sd| normalise && *sd > 0.0).unwrap_or(1.0);
    let of = |rewards: &Vec<f64>| {
        let mean = statistics::mean(rewards).unwrap_or(0.0);
        let worth = |reward: &f64| {
            let worth = (reward - mean) / spread;
            if clip > 0.0 { worth.clamp(-clip, clip) } else { worth }
        };
        rewards.iter().map(worth).collect()
    };
    groups.iter().map(of).collect()
}

/// How far the advantages of these rewards are from 0, which is their mean.
pub fn advantage_sd<'a>(groups: impl Iterator<Item = &'a [f64]>) -> Option<f64> {
    let squares: Vec<f64> = groups.flat_map(leave_one_out).map(|advantage| advantage * advantage).collect();
    statistics::mean(&squares).map(f64::sqrt)
}

/// Whether a prompt's answers are all worth the same, so that none is better than the others.
pub fn is_flat(rewards: &[f64]) -> bool {
    rewards.windows(2).all(|two| (two[0] - two[1]).abs() < 1e-9)
}

/// The mean of a number of each answer under the policy as it is by now: weighed with ρ, which sums up to 1 within the prompt.
pub fn by_now(samples: &[Sample], value: impl Fn(usize) -> f64) -> Option<f64> {
    // The largest ratio is taken out, so that no exponential overflows.
    let largest = samples.iter().map(Sample::log_ratio).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = samples.iter().map(|sample| (sample.log_ratio() - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    (!samples.is_empty()).then(|| weights.iter().enumerate().map(|(at, weight)| weight / sum * value(at)).sum())
}

/// KL(reference ‖ policy) per answer by ρ − 1 − log ρ, which is unbiased and never below 0.
pub fn kl(samples: &[Sample]) -> Option<f64> {
    let of: Vec<f64> = samples.iter().map(|sample| sample.log_ratio().exp_m1() - sample.log_ratio()).collect();
    statistics::mean(&of)
}

/// One answer after a look: what its judge gave it, how long it is, and what it does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looked {
    pub sample: Sample,
    /// As the judge gave it.
    pub reward: f64,
    pub tokens: u32,
    pub push: Push,
}

/// What the prompts of a step come to. Every prompt has answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    pub prompts: u32,
    pub answers: u32,
    /// Mean over the answers.
    pub loss: f64,
    pub reward: f64,
    /// How much more reward a prompt's answers get by now.
    pub gain: f64,
    pub kl: f64,
    pub advantage_sd: f64,
    /// Share of prompts whose answers all have the same reward.
    pub flat: f64,
    /// Share of answers that push no further.
    pub clipped: f64,
    /// Mean length by now.
    pub reply_tokens: f64,
}

pub fn summary(prompts: &[Vec<Looked>]) -> Summary {
    let answers: Vec<&Looked> = prompts.iter().flatten().collect();
    let mean = |value: &dyn Fn(&Looked) -> f64| {
        answers.iter().map(|answer| value(answer)).sum::<f64>() / answers.len().max(1) as f64
    };
    let samples: Vec<Vec<Sample>> =
        prompts.iter().map(|looked| looked.iter().map(|answer| answer.sample).collect()).collect();
    let rewards: Vec<Vec<f64>> =
        prompts.iter().map(|looked| looked.iter().map(|answer| answer.reward).collect()).collect();
    let by_prompt = |value: &dyn Fn(usize) -> Option<f64>| {
        (0..prompts.len()).map(|at| value(at).unwrap_or(0.0)).sum::<f64>() / prompts.len().max(1) as f64
    };
    Summary {
        prompts: prompts.len() as u32,
        answers: answers.len() as u32,
        loss: mean(&|answer| answer.push.loss),
        reward: mean(&|answer| answer.reward),
        gain: by_prompt(&|at| {
            Some(by_now(&samples[at], |answer| rewards[at][answer])? - statistics::mean(&rewards[at])?)
        }),
        kl: by_prompt(&|at| kl(&samples[at])),
        advantage_sd: mean(&|answer| answer.push.advantage * answer.push.advantage).sqrt(),
        flat: by_prompt(&|at| Some(f64::from(u8::from(is_flat(&rewards[at]))))),
        clipped: mean(&|answer| f64::from(u8::from(answer.push.clipped))),
        reply_tokens: by_prompt(&|at| by_now(&samples[at], |answer| f64::from(prompts[at][answer].tokens))),
    }
}

/// Lets a human's order of two answers stand: where the rewards say the other one is better, the two exchange theirs.
pub fn as_people_say(rewards: &mut [f64], better: usize, worse: usize) {
    let known = better.max(worse) < rewards.len();
    if known && rewards[better] < rewards[worse] {
        rewards.swap(better, worse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len(), "{a:?} {b:?}");
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} is not {b:?}");
    }

    fn sample(reward: f64, log_prob: f64, reference: f64) -> Sample {
        Sample { reward, log_prob, reference }
    }

    #[test]
    fn an_advantage_is_a_reward_minus_the_mean_of_the_others() {
        for (rewards, advantages) in [
            (vec![4.0, 1.0, 2.0, 1.0], vec![4.0 - 4.0 / 3.0, 1.0 - 7.0 / 3.0, 0.0, 1.0 - 7.0 / 3.0]),
            (vec![3.0, -1.0], vec![4.0, -4.0]),
            (vec![2.5, 2.5, 2.5], vec![0.0; 3]),
            (vec![7.0], vec![0.0]),
            (vec![], vec![]),
        ] {
            near(&leave_one_out(&rewards), &advantages);
            let shifted: Vec<f64> = rewards.iter().map(|reward| reward + 100.0).collect();
            assert!(leave_one_out(&shifted).iter().zip(&advantages).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn at_the_first_step_an_answer_pushes_by_its_advantage_alone() {
        let samples = [sample(1.0, -5.0, -5.0), sample(0.0, -9.0, -9.0), sample(-1.0, -2.0, -2.0)];
        for rule in [Rule { beta: 0.0, clip: 0.0 }, Rule { beta: 0.7, clip: 0.2 }] {
            let pushes = pushes(&samples, rule);
            near(&pushes.iter().map(|push| push.by_log_prob).collect::<Vec<_>>(), &[-1.5, 0.0, 1.5]);
            assert!(pushes.iter().map(|push| push.loss).sum::<f64>().abs() < 1e-12 && !pushes[0].clipped);
        }
        assert_eq!(kl(&samples), Some(0.0));
        assert_eq!(by_now(&samples, |at| samples[at].reward), Some(0.0));
    }

    #[test]
    fn an_answer_that_has_moved_far_enough_in_its_good_direction_pushes_no_further() {
        // Ratios 1.5 and 0.5; advantages 2 and -2, then the other way round.
        let moved = |up: f64| [sample(up, 1.5_f64.ln(), 0.0), sample(-up, 0.5_f64.ln(), 0.0)];
        let of = |up: f64, clip: f64| {
            let found = pushes(&moved(up), Rule { beta: 0.0, clip });
            found.iter().map(|push| (push.loss, push.by_log_prob, push.clipped)).collect::<Vec<_>>()
        };
        let near = |found: &[(f64, f64, bool)], expected: &[(f64, f64, bool)]| {
            for (a, b) in found.iter().zip(expected) {
                assert!((a.0 - b.0).abs() < 1e-12 && (a.1 - b.1).abs() < 1e-12 && a.2 == b.2, "{a:?} is not {b:?}");
            }
        };
        near(&of(1.0, 0.2), &[(-2.4, 0.0, true), (1.6, 0.0, true)]);
        near(&of(-1.0, 0.2), &[(3.0, 3.0, false), (-1.0, -1.0, false)]);
        near(&of(1.0, 0.0), &[(-3.0, -3.0, false), (1.0, 1.0, false)]);
        near(&of(1.0, 0.6), &[(-3.0, -3.0, false), (1.0, 1.0, false)]);
    }

    #[test]
    fn going_away_from_the_reference_is_paid_for_out_of_the_reward() {
        // Two nats up for the first answer, none for the second: with beta 0.5 its reward of 1 is gone.
        let pushes = pushes(&[sample(1.0, -3.0, -5.0), sample(0.0, -4.0, -4.0)], Rule { beta: 0.5, clip: 0.0 });
        near(&pushes.iter().map(|push| push.advantage).collect::<Vec<_>>(), &[0.0, 0.0]);
    }

    #[test]
    fn rewards_count_from_their_prompts_mean_in_units_of_the_lessons_spread() {
        let groups = vec![vec![10.0, 12.0], vec![-5.0, -5.0], vec![0.0, 3.0, 6.0, -9.0]];
        near(&worth(&groups, false, 0.0)[0], &[-1.0, 1.0]);
        near(&worth(&groups, false, 4.0)[2], &[0.0, 3.0, 4.0, -4.0]);
        let normal = worth(&groups, true, 0.0);
        let sd = advantage_sd(normal.iter().map(Vec::as_slice)).unwrap();
        assert!((sd - 1.0).abs() < 1e-12, "{sd}");
        let scaled: Vec<Vec<f64>> = groups.iter().map(|of| of.iter().map(|r| 7.0 * r + 3.0).collect()).collect();
        worth(&scaled, true, 0.0).iter().zip(&normal).for_each(|(a, b)| near(a, b));
        let flat = vec![vec![2.0, 2.0], vec![3.0]];
        assert_eq!(
            worth(&flat, true, 1.0),
            [vec![0.0, 0.0], vec![0.0]],
            "without a spread there is nothing to divide by"
        );
        assert!(is_flat(&flat[0]) && is_flat(&flat[1]) && !is_flat(&groups[0]));
    }

    #[test]
    fn what_the_policy_would_get_by_now_weighs_answers_with_their_ratios() {
        let samples = [sample(4.0, 3.0_f64.ln(), 0.0), sample(0.0, 0.0, 0.0)];
        assert!((by_now(&samples, |at| samples[at].reward).unwrap() - 3.0).abs() < 1e-12);
        assert!((kl(&samples).unwrap() - (2.0 - 3.0_f64.ln()) / 2.0).abs() < 1e-12);
        let extreme = [sample(4.0, 0.0, -5_000.0), sample(0.0, -5_000.0, 0.0)];
        assert_eq!(by_now(&extreme, |at| extreme[at].reward), Some(4.0));
        assert_eq!((by_now(&[], |_| 1.0), kl(&[])), (None, None));
    }

    #[test]
    fn a_step_is_summed_up_prompt_by_prompt() {
        let looked = |samples: &[Sample], tokens: &[u32]| -> Vec<Looked> {
            let pushes = pushes(samples, Rule { beta: 0.0, clip: 0.5 });
            let all = samples.iter().zip(tokens).zip(pushes);
            all.map(|((sample, &tokens), push)| Looked { sample: *sample, reward: sample.reward + 10.0, tokens, push })
                .collect()
        };
        let moved = [sample(4.0, 3.0_f64.ln(), 0.0), sample(0.0, 0.0, 0.0)];
        let still = [sample(1.0, -2.0, -2.0), sample(1.0, -3.0, -3.0)];
        let found = summary(&[looked(&moved, &[4, 8]), looked(&still, &[10, 20])]);
        assert_eq!((found.prompts, found.answers, found.reward, found.flat), (2, 4, 11.5, 0.5));
        near(&[found.gain, found.reply_tokens, found.clipped], &[0.5, 10.0, 0.25]);
        near(&[found.kl, found.advantage_sd], &[(2.0 - 3.0_f64.ln()) / 4.0, 8.0_f64.sqrt()]);
        // Ratio 3 is bounded to 1.5 of advantage 4; the other answer costs 4.
        near(&[found.loss], &[(-6.0 + 4.0) / 4.0]);
    }

    #[test]
    fn where_people_turned_a_pair_its_answers_exchange_their_rewards() {
        for (rewards, better, worse, expected) in [
            (vec![3.0, 1.0, 2.0], 0, 1, [3.0, 1.0, 2.0]),
            (vec![3.0, 1.0, 2.0], 1, 0, [1.0, 3.0, 2.0]),
            (vec![3.0, 3.0, 2.0], 1, 0, [3.0, 3.0, 2.0]),
            (vec![3.0, 1.0, 2.0], 1, 9, [3.0, 1.0, 2.0]),
        ] {
            let mut said = rewards;
            as_people_say(&mut said, better, worse);
            assert_eq!(said, expected);
        }
    }
}
