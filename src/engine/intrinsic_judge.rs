//! The model as a judge that reads nothing and writes nothing: how much likelier an answer has become since the base (CREAM, arXiv
//! 2410.12735).
//!
//! The reward is log p(answer | prompt) under the model minus the same under M0, summed over the answer's tokens as in DPO's implicit
//! reward, so that it has no scale and no bounds. The reference is M0 in every iteration, M1's included: with a reference that moves,
//! rewards of two iterations would have nothing in common. Which weights the policy holds is the engine's business.

use anyhow::{Context, Result};

use crate::engine::policy::{Example, Flow, Judge, JudgeAsk, Judgement, LogProb, Policy, Seat, log_prob_of_each};
use crate::run::reasons::Unscored;

/// Answers judged at once: between two lots a pause or a stop is heard.
pub const LOT: usize = 16;

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
        let questions = questions(asks);
        for lot in questions.chunks(LOT) {
            let items: Vec<Example> = lot.iter().map(|range| example(&asks[range.start])).collect();
            for (range, own) in lot.iter().zip(log_prob_of_each(policy, &items)?) {
                let base = asks[range.start].base.context("an intrinsic reward needs the base's log-prob")?;
                let judgement = judgement(own, base);
                for at in range.clone() {
                    if seat.finished(at, judgement.clone())? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
            }
        }
        Ok(Flow::Go)
    }
}

/// Samples of one answer stand one behind the other and have one reward: they are one question.
pub fn questions(asks: &[JudgeAsk]) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, ask) in asks.iter().enumerate() {
        match found.last_mut() {
            Some(last) if same(&asks[last.start], ask) => last.end = at + 1,
            _ => found.push(at..at + 1),
        }
    }
    found
}

fn same(a: &JudgeAsk, b: &JudgeAsk) -> bool {
    (&a.prompt, &a.answer, a.seed) == (&b.prompt, &b.answer, b.seed)
}

/// The answer as a model would be taught it.
pub fn example(ask: &JudgeAsk) -> Example {
    Example { prompt: ask.prompt.clone(), reply: ask.answer.clone() }
}

/// The log-ratio, and both log-probs in words.
fn judgement(own: LogProb, base: f64) -> Judgement {
    let reward = own.sum - base;
    Judgement {
        reply: format!("log p {:.4}, base {base:.4}, {} tokens", own.sum, own.tokens),
        score: if reward.is_finite() { Ok(reward) } else { Err(Unscored::NotANumber) },
        span: None,
        truncated: false,
        contradicts: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::seeds::Seed;

    #[test]
    fn the_reward_is_what_the_model_has_gained_over_the_base() {
        for (own, base, reward) in [(-10.0, -12.5, Ok(2.5)), (-40.0, -12.5, Ok(-27.5)), (-3.0, -3.0, Ok(0.0))] {
            assert_eq!(judgement(LogProb { sum: own, tokens: 4 }, base).score, reward);
        }
        for (own, base) in [(f64::NAN, -1.0), (f64::NEG_INFINITY, -1.0), (-1.0, f64::NEG_INFINITY)] {
            assert_eq!(judgement(LogProb { sum: own, tokens: 4 }, base).score, Err(Unscored::NotANumber));
        }
    }

    #[test]
    fn samples_of_one_answer_are_one_question() {
        let ask = |prompt: u32, answer: &str, sample| JudgeAsk {
            prompt: format!("prompt {prompt}"),
            answer: answer.into(),
            seed: Seed::root(1).prompt(prompt),
            sample,
            base: None,
        };
        let asks = [ask(0, "a", 0), ask(0, "a", 1), ask(0, "b", 0), ask(1, "b", 0), ask(1, "b", 1)];
        assert_eq!(questions(&asks), [0..2, 2..3, 3..5]);
        assert!(questions(&[]).is_empty());
    }
}
