//! What teaches a model to judge: judgements of people's data that were kept, and those of its own that it is sure of.
//!
//! M1 learns from the first; both may be mixed into preference training, so that the judge is not lost there.

use anyhow::Result;

use crate::engine::desk;
use crate::engine::drive::Engine;
use crate::engine::eft;
use crate::engine::policy::Example;
use crate::recipe::judge::judge_prompt;
use crate::recipe::own_judgements::unanimous;
use crate::run::ids::Stage;
use crate::run::reasons::Scored;

impl Engine {
    /// The judge prompt with the judgement that was kept, for each kept judgement.
    pub(super) fn judging_examples(&self) -> Result<Vec<Example>> {
        let seed = self.seed(0, Stage::Eft);
        eft::kept(&self.materials, &self.settings, self.desk(), seed)
            .into_iter()
            .enumerate()
            .map(|(number, kept)| {
                let seed = seed.named("example").prompt(number as u32);
                let prompt = judge_prompt(&self.materials.prompts.judge, &kept.prompt, &kept.response, seed)?;
                Ok(Example { prompt: prompt.text, reply: kept.judgement })
            })
            .collect()
    }

    /// What this iteration's judge is sure of, as further examples of judging.
    pub(super) fn sure_judgements(&self, iteration: u32, most: u32) -> Result<Vec<Example>> {
        let desk = self.desk();
        let answers: Vec<(&String, &desk::Candidate)> = desk
            .prompts
            .iter()
            .zip(&desk.candidates)
            .flat_map(|(prompt, all)| all.iter().map(move |one| (prompt, one)))
            .collect();
        let scores: Vec<Vec<Scored>> =
            answers.iter().map(|(_, answer)| answer.judgements.iter().map(|judged| judged.score).collect()).collect();
        let seed = self.seed(iteration, Stage::Dpo).named("own judgements");
        unanimous(&scores, most as usize, &mut seed.stream())
            .into_iter()
            .map(|at| {
                let (prompt, answer) = answers[at];
                let asked = judge_prompt(&self.materials.prompts.judge, prompt, &answer.text, seed.prompt(at as u32))?;
                Ok(Example { prompt: asked.text, reply: answer.judgements[0].reply.clone() })
            })
            .collect()
    }
}
