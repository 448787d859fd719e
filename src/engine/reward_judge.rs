//! A reward model as the judge: one number for each answer, and no reasons.
//!
//! The number is the model's score as it is: log-odds, without bounds, of which only differences mean something. Of a margin m the model
//! says that the better answer is better with probability sigmoid(m), which is what `pairs.min_margin` bounds. Which weights the policy
//! holds is the engine's business.

use anyhow::{Result, ensure};

use crate::engine::policy::{Example, Flow, Judge, JudgeAsk, Judgement, Policy, Seat};
use crate::engine::questions::{LOT, example, judge_in_lots};

/// The name under which its scores stand in the journal.
pub const REWARD_MODEL: &str = "reward-model";

/// Judges by a reward model's score.
pub struct RewardJudge;

impl Judge for RewardJudge {
    fn name(&self) -> &str {
        REWARD_MODEL
    }

    fn judge(&mut self, policy: &mut dyn Policy, asks: &[JudgeAsk], seat: &mut dyn Seat<Judgement>) -> Result<Flow> {
        judge_in_lots(asks, LOT, seat, |lot| {
            let items: Vec<Example> = lot.iter().copied().map(example).collect();
            Ok(reward_of_each(policy, &items)?.into_iter().map(judgement).collect())
        })
    }
}

/// Rewards of these answers, one for each.
pub fn reward_of_each(policy: &mut dyn Policy, answers: &[Example]) -> Result<Vec<f64>> {
    let rewards = policy.rewards(answers)?;
    ensure!(rewards.len() == answers.len(), "{} rewards for {} answers", rewards.len(), answers.len());
    Ok(rewards)
}

fn judgement(reward: f64) -> Judgement {
    Judgement::of_number(format!("reward {reward:.4}"), reward)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::reasons::Unscored;

    #[test]
    fn a_reward_is_the_score_and_what_is_no_number_is_none() {
        assert_eq!((judgement(-7.25).score, judgement(-7.25).reply.as_str()), (Ok(-7.25), "reward -7.2500"));
        for broken in [f64::NAN, f64::INFINITY] {
            assert_eq!(judgement(broken).score, Err(Unscored::NotANumber));
        }
    }
}
