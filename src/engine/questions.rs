//! What is asked of a judge that writes no rationale: each answer once, however many samples of its judgement are wanted.
//!
//! Used by the judges that say the same each time, and by whoever computes what they need beforehand.

use std::ops::Range;

use anyhow::Result;

use crate::engine::policy::{Example, Flow, JudgeAsk, Judgement, Seat};

/// Answers judged at once: between two lots a pause or a stop is heard.
pub const LOT: usize = 16;

/// Samples of one answer stand one behind the other and have one reward: they are one question.
pub fn questions(asks: &[JudgeAsk]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
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

/// Judges each question once, so many at a time, and gives its judgement to all of its samples.
pub fn judge_in_lots(
    asks: &[JudgeAsk],
    lot: usize,
    seat: &mut dyn Seat<Judgement>,
    mut judge: impl FnMut(&[&JudgeAsk]) -> Result<Vec<Judgement>>,
) -> Result<Flow> {
    for lot in questions(asks).chunks(lot) {
        let asked: Vec<&JudgeAsk> = lot.iter().map(|range| &asks[range.start]).collect();
        for (range, judgement) in lot.iter().zip(judge(&asked)?) {
            for at in range.clone() {
                if seat.finished(at, judgement.clone())? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
        }
    }
    Ok(Flow::Go)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::seeds::Seed;

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
