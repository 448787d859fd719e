//! The model as a judge that reads nothing and writes nothing: how much likelier an answer has become since the base (CREAM, arXiv
//! 2410.12735).
//!
//! The reward is log p(answer | prompt) under the model minus the same under M0, summed over the answer's tokens as in DPO's implicit
//! reward, so that it has no scale and no bounds. The reference is M0 in every iteration, M1's included: with a reference that moves,
//! rewards of two iterations would have nothing in common. Which weights the policy holds is the engine's business.

use anyhow::{Context, Result};

use crate::engine::policy::{Example, Flow, Judge, JudgeAsk, Judgement, LogProb, Policy, Seat, log_prob_of_each};
use crate::engine::questions::{LOT, example, judge_in_lots};

/// Judges by log-ratios.
pub struct IntrinsicJudge;

impl Judge for IntrinsicJudge {
    fn name(&self) -> &str {
        "intrinsic"
    }

    fn reads_base(&self) -> bool {
        true
    }

    fn judge(&mut self, policy: &mut dyn Policy, asks: &[JudgeAsk], seat: &mut dyn Seat<Judgement>) -> Result<Flow> {
        judge_in_lots(asks, LOT, seat, |lot| {
            let items: Vec<Example> = lot.iter().copied().map(example).collect();
            let own = log_prob_of_each(policy, &items)?;
            lot.iter()
                .zip(own)
                .map(|(ask, own)| {
                    let base = ask.base.context("an intrinsic reward needs the base's log-prob")?;
                    Ok(judgement(own, base))
                })
                .collect()
        })
    }
}

/// The log-ratio, and both log-probs in words.
fn judgement(own: LogProb, base: f64) -> Judgement {
    let says = format!("log p {:.4}, base {base:.4}, {} tokens", own.sum, own.tokens);
    Judgement::of_number(says, own.sum - base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::reasons::Unscored;

    #[test]
    fn the_reward_is_what_the_model_has_gained_over_the_base() {
        for (own, base, reward) in [(-10.0, -12.5, Ok(2.5)), (-40.0, -12.5, Ok(-27.5)), (-3.0, -3.0, Ok(0.0))] {
            assert_eq!(judgement(LogProb { sum: own, tokens: 4 }, base).score, reward);
        }
        for (own, base) in [(f64::NAN, -1.0), (f64::NEG_INFINITY, -1.0), (-1.0, f64::NEG_INFINITY)] {
            assert_eq!(judgement(LogProb { sum: own, tokens: 4 }, base).score, Err(Unscored::NotANumber));
        }
    }
}
