//! The model as its own judge: the judge prompt in, rationale and score line out.

use anyhow::Result;

use crate::engine::policy::{Ask, Flow, Judge, JudgeAsk, Judgement, Policy, Reply, Sampling, Seat};
use crate::recipe::judge::{JudgeSettings, contradiction, judge_prompt};
use crate::recipe::score::read_score;
use crate::run::reasons::Ended;
use crate::text::template::Template;

/// Judges with the policy itself.
pub struct SelfJudge {
    template: Template,
    settings: JudgeSettings,
}

impl SelfJudge {
    pub fn new(template: Template, settings: JudgeSettings) -> SelfJudge {
        SelfJudge { template, settings }
    }
}

impl Judge for SelfJudge {
    fn name(&self) -> &str {
        "self"
    }

    fn judge(&mut self, policy: &mut dyn Policy, asks: &[JudgeAsk], seat: &mut dyn Seat<Judgement>) -> Result<Flow> {
        let asks = asks
            .iter()
            .map(|ask| {
                let prompt = judge_prompt(&self.template, &ask.prompt, &ask.answer, ask.seed)?;
                let sampling = Sampling {
                    temperature: self.settings.temperature,
                    top_p: self.settings.top_p,
                    max_tokens: self.settings.max_tokens,
                    stop: Vec::new(),
                };
                Ok(Ask {
                    text: prompt.text,
                    continues: false,
                    shared_prefix: prompt.shared_prefix,
                    sampling,
                    seed: ask.seed.sample(ask.sample).number(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        policy.reply(&asks, &mut Reading(seat))
    }
}

/// Turns each reply into a judgement on its way.
struct Reading<'a>(&'a mut dyn Seat<Judgement>);

impl Seat<Reply> for Reading<'_> {
    fn finished(&mut self, index: usize, reply: Reply) -> Result<Flow> {
        self.0.finished(index, read(reply))
    }

    fn writing(&mut self, index: usize, text: &str) -> Result<Flow> {
        self.0.writing(index, text)
    }
}

/// Reads a judge's reply. Only what it wrote itself is read; a missing score stays missing.
pub fn read(reply: Reply) -> Judgement {
    let reading = read_score(&reply.text);
    let rationale = reading.rationale(&reply.text);
    let contradicts = reading.score.is_ok_and(|score| contradiction(rationale, score).is_some());
    let span = reading.number.map(|number| (number.start as u32, number.end as u32));
    Judgement { truncated: reply.ended == Ended::Length, score: reading.score, span, contradicts, reply: reply.text }
}
