//! The model as a judge that writes nothing: the mean of the scores 0 to 5, each as likely as its score line is.
//!
//! One pass over the judge prompt instead of a sampled rationale, and the same answer however often it is asked. What is
//! journaled is the distribution. A model that finds no score line likely still has a mean: it says nothing of its format.

use anyhow::Result;

use crate::engine::policy::{Example, Flow, Judge, JudgeAsk, Judgement, LogProb, Policy, Seat, log_prob_of_each};
use crate::engine::questions::judge_in_lots;
use crate::recipe::judge::{judge_prompt, judgement_text};
use crate::recipe::score::{HIGHEST, LOWEST};
use crate::text::template::Template;

/// Answers judged at once: each is asked about with every score.
const LOT: usize = 8;

/// Judges by the likelihood of score lines.
pub struct ExpectedJudge {
    template: Template,
}

impl ExpectedJudge {
    pub fn new(template: Template) -> ExpectedJudge {
        ExpectedJudge { template }
    }
}

impl Judge for ExpectedJudge {
    fn name(&self) -> &str {
        "expected"
    }

    fn judge(&mut self, policy: &mut dyn Policy, asks: &[JudgeAsk], seat: &mut dyn Seat<Judgement>) -> Result<Flow> {
        judge_in_lots(asks, LOT, seat, |lot| {
            let mut items = Vec::new();
            for ask in lot {
                let prompt = judge_prompt(&self.template, &ask.prompt, &ask.answer, ask.seed)?.text;
                items.extend(scores().map(|score| Example {
                    prompt: prompt.clone(),
                    reply: judgement_text("", f64::from(score)).trim_start().to_owned(),
                }));
            }
            Ok(log_prob_of_each(policy, &items)?.chunks_exact(scores().count()).map(judgement).collect())
        })
    }
}

fn scores() -> impl Iterator<Item = u8> {
    LOWEST as u8..=HIGHEST as u8
}

/// The mean of the scores under the softmax of their lines' log-probs, and the distribution in words.
fn judgement(scored: &[LogProb]) -> Judgement {
    let most = scored.iter().map(|line| line.sum).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scored.iter().map(|line| (line.sum - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
    let mean: f64 = scores().zip(&shares).map(|(score, share)| f64::from(score) * share).sum();
    let words: Vec<String> = scores().zip(&shares).map(|(score, share)| format!("{score}: {share:.4}")).collect();
    Judgement::of_number(words.join(", "), mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sum: f64) -> LogProb {
        LogProb { sum, tokens: 3 }
    }

    #[test]
    fn the_score_is_the_mean_of_what_the_model_finds_likely() {
        for (sums, mean) in [
            ([0.0; 6], 2.5),
            ([-900.0, -900.0, -900.0, -900.0, -900.0, -1.0], 5.0),
            ([-900.0, -900.0, -700.0, -900.0, -700.0, -900.0], 3.0),
            ([f64::NEG_INFINITY, -1.0, -1.0, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], 1.5),
        ] {
            let found = judgement(&sums.map(line));
            assert!((found.score.unwrap() - mean).abs() < 1e-12, "{sums:?}: {found:?}");
        }
        assert!(judgement(&[line(f64::NAN); 6]).score.is_err());
        assert_eq!(judgement(&[line(0.0); 6]).reply.matches("0.1667").count(), 6);
    }
}
