//! A teacher as judge: the judge prompt that the model reads, the strict parser that reads the model, another writer between them.

use std::sync::Arc;

use anyhow::Result;

use crate::engine::policy::*;
use crate::engine::self_judge;
use crate::engine::teaching::consult::consult;
use crate::engine::teaching::settings::TeacherSettings;
use crate::recipe::judge::{JudgeSettings, judge_prompt};
use crate::run::event::Finish;
use crate::run::reasons::{Ended, Unscored};
use crate::text::template::Template;

/// Judges by asking a teacher.
pub struct TeacherJudge {
    pub teacher: Arc<dyn Teacher>,
    pub template: Template,
    pub judging: JudgeSettings,
    pub settings: TeacherSettings,
}

impl Judge for TeacherJudge {
    fn name(&self) -> &str {
        "teacher"
    }

    fn judge(&mut self, _: &mut dyn Policy, asks: &[JudgeAsk], seat: &mut dyn Seat<Judgement>) -> Result<Flow> {
        let calls = asks
            .iter()
            .map(|ask| {
                let prompt = judge_prompt(&self.template, &ask.prompt, &ask.answer, ask.seed)?;
                let sampling = judging(&self.judging, &self.settings);
                Ok(TeacherCall { text: prompt.text, sampling, seed: ask.seed.sample(ask.sample).number() })
            })
            .collect::<Result<Vec<_>>>()?;
        consult(&self.teacher, &self.settings, &calls, seat, &mut |_, taught| read(taught))
    }
}

/// How a teacher's judgements are sampled: as the model's, with room of its own.
pub fn judging(judging: &JudgeSettings, settings: &TeacherSettings) -> Sampling {
    Sampling {
        temperature: judging.temperature,
        top_p: judging.top_p,
        max_tokens: settings.max_tokens,
        stop: Vec::new(),
    }
}

/// Reads a teacher's judgement. What was refused, withheld or cut off is no score, whatever it says.
pub fn read(taught: &Taught) -> Judgement {
    let ended = if taught.finish == Finish::Length { Ended::Length } else { Ended::Eos };
    let reply = Reply { text: taught.text.clone(), ended, tokens: 0, token_ids: Vec::new(), logprob_per_token: None };
    let judgement = self_judge::read(reply);
    match no_score(taught.finish) {
        Some(why) => Judgement { score: Err(why), span: None, contradicts: false, ..judgement },
        None => judgement,
    }
}

/// Why an answer that ended so holds nothing to use.
pub fn no_score(finish: Finish) -> Option<Unscored> {
    match finish {
        Finish::Done => None,
        Finish::Length => Some(Unscored::CutOff),
        Finish::Filtered => Some(Unscored::Filtered),
        Finish::Refused => Some(Unscored::Refused),
        Finish::TooLong => Some(Unscored::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_ended_well_has_a_score() {
        for (text, finish, score) in [
            ("Fine.\nScore: 4", Finish::Done, Ok(4.0)),
            ("Fine.\nScore: 4", Finish::Length, Err(Unscored::CutOff)),
            ("Score: 4", Finish::Filtered, Err(Unscored::Filtered)),
            ("I will not score this. Score: 0", Finish::Refused, Err(Unscored::Refused)),
            ("", Finish::TooLong, Err(Unscored::TooLong)),
            ("No score here", Finish::Done, Err(Unscored::Missing)),
            ("Score: 9", Finish::Done, Err(Unscored::OutOfRange)),
        ] {
            let taught = Taught { text: text.into(), finish, usage: None, version: String::new(), took_ms: 0 };
            let judgement = read(&taught);
            assert_eq!((judgement.score, judgement.reply.as_str()), (score, text), "{finish:?}");
            assert_eq!(judgement.truncated, finish == Finish::Length);
        }
    }
}
