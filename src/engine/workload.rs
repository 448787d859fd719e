//! How many tokens a run reads, writes and learns from, by its plan and by how long its own data is.
//!
//! `bench` turns it into time at the rates that it measured. Whoever counts tokens gives the counting: no tokenizer is known here.

use anyhow::Result;

use crate::engine::materials::{Eft, Materials};
use crate::engine::plan;
use crate::engine::settings::{JudgeKind, Settings};
use crate::recipe::judge::judge_prompt;
use crate::recipe::new_prompts;
use crate::recipe::seeds::Seed;
use crate::run::event::Planned;
use crate::run::ids::{Model, Stage};

/// Rows of the data that are counted: enough for a mean.
const ROWS: usize = 200;

/// Tokens of a text.
pub type Count<'a> = &'a dyn Fn(&str) -> Result<usize>;

/// Mean tokens of what a run's texts will be like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lengths {
    pub prompt: f64,
    pub answer: f64,
    pub judge_prompt: f64,
    pub judgement: f64,
    /// The request for new prompts.
    pub request: f64,
}

impl Lengths {
    /// Instructions and answers are as long as those of the data; so are judgements where it has any, otherwise half of what
    /// they may be.
    pub fn of(settings: &Settings, materials: &Materials, count: Count<'_>) -> Result<Lengths> {
        let rows: Vec<_> = materials.ift.iter().take(ROWS).collect();
        let seed = Seed::root(settings.run.seed);
        let prompts: Vec<&str> = rows.iter().map(|row| row.prompt.as_str()).collect();
        let judge_prompts = rows
            .iter()
            .map(|row| Ok(judge_prompt(&materials.prompts.judge, &row.prompt, &row.reply, seed)?.text))
            .collect::<Result<Vec<String>>>()?;
        let judgement = match &materials.eft {
            Eft::Labelled(labelled) => mean(labelled.iter().take(ROWS).map(|row| row.judgement.as_str()), count)?,
            Eft::Ranked(_) => f64::from(settings.judge.max_tokens) / 2.0,
        };
        let stream = &mut seed.named("shots").stream();
        let template = &materials.prompts.write_prompt;
        let request = new_prompts::request(template, &prompts, &[], &settings.prompts.request, stream)?.text;
        Ok(Lengths {
            prompt: mean(prompts.iter().copied(), count)?,
            answer: mean(rows.iter().map(|row| row.reply.as_str()), count)?
                .min(f64::from(settings.candidates.max_tokens)),
            judge_prompt: mean(judge_prompts.iter().map(String::as_str), count)?,
            judgement: judgement.min(f64::from(settings.judge.max_tokens)),
            request: count(&request)? as f64,
        })
    }
}

fn mean<'a>(texts: impl Iterator<Item = &'a str>, count: Count<'_>) -> Result<f64> {
    let (mut sum, mut rows) = (0, 0);
    for text in texts {
        sum += count(text)?;
        rows += 1;
    }
    Ok(sum as f64 / f64::from(rows.max(1)))
}

/// Tokens of one stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    pub iteration: u32,
    pub stage: Stage,
    pub model: Model,
    /// Prompts before their replies.
    pub read: f64,
    pub written: f64,
    /// Positions that replies are learnt from, and those of pairs.
    pub learnt: f64,
    pub compared: f64,
}

/// Every stage that the model computes in. Judgements and comparisons of a teacher are made elsewhere and not counted.
pub fn of(settings: &Settings, materials: &Materials, lengths: Lengths) -> Vec<Work> {
    let Lengths { prompt, answer, judge_prompt, judgement, request } = lengths;
    let samples = f64::from(settings.judge.samples.max(1));
    // The samples of a judgement read their prompt once.
    let judged = |judgements: f64| (judgements / samples * judge_prompt, judgements * judgement);
    let opinions = settings.opinions() as f64;
    let by_judge = |judgements: f64| {
        if settings.teacher_judges() {
            judged(judgements * (opinions - 1.0) / opinions)
        } else if settings.is_reward_model() || settings.is_intrinsic() {
            (judgements / samples * (prompt + answer), 0.0)
        } else if settings.run.judge == JudgeKind::Expected {
            (judgements / samples * judge_prompt, 0.0)
        } else {
            judged(judgements)
        }
    };
    let stage = |planned: Planned| {
        let Planned { iteration, stage, model, total } = planned;
        let total = total as f64;
        let none = Work { iteration, stage, model, read: 0.0, written: 0.0, learnt: 0.0, compared: 0.0 };
        let epochs = f64::from(settings.sft.epochs);
        let taught = materials.ift.len() as f64 * (prompt + answer) * epochs;
        match stage {
            Stage::Eval => {
                let answers = plan::instructions(settings, materials) as f64 * 2.0 * f64::from(settings.eval.answers);
                let (read, written) = judged((total - answers).max(0.0));
                Work { read: read + answers * prompt, written: written + answers * answer, ..none }
            }
            Stage::Baseline => Work { learnt: taught, ..none },
            Stage::Eft => {
                let (read, written) = judged(total);
                Work { read, written, ..none }
            }
            Stage::Sft => {
                let answers = materials.ift.len() as f64 * epochs;
                let judgements = (total * f64::from(settings.sft.batch) - answers).max(0.0);
                Work { learnt: taught + judgements * (judge_prompt + judgement), ..none }
            }
            Stage::Reward => {
                let pairs = total * f64::from(settings.reward.batch);
                Work { compared: pairs * 2.0 * (prompt + answer), ..none }
            }
            Stage::Prompts => {
                let shots = settings.prompts.request.seed_shots + settings.prompts.request.generated_shots;
                let tasks = f64::from(settings.prompts.request.last_number.saturating_sub(shots).max(1));
                // A third refused is a middling guess.
                let requests = total * 1.5 / tasks;
                Work { read: requests * request, written: requests * tasks * prompt, ..none }
            }
            Stage::Candidates => {
                let own = f64::from(settings.own_candidates().max(1));
                Work { read: total / own * prompt, written: total * answer, ..none }
            }
            Stage::Judge => {
                let (read, written) = by_judge(total);
                Work { read, written, ..none }
            }
            Stage::Dpo => {
                let pairs = total * f64::from(settings.dpo.batch);
                let replayed = total * f64::from(settings.dpo.eft_replay) * (judge_prompt + judgement);
                let positions = pairs * 2.0 * (prompt + answer);
                // The reference reads each pair once.
                let once = positions / f64::from(settings.dpo.epochs.max(1));
                Work { read: once, learnt: replayed, compared: positions, ..none }
            }
            Stage::Rloo => {
                let prompts = total * f64::from(settings.rloo.batch);
                let positions = prompts * f64::from(settings.candidates.n) * (prompt + answer);
                let once = positions / f64::from(settings.rloo.epochs.max(1));
                Work { read: once, compared: positions, ..none }
            }
            Stage::Pairs | Stage::Check => none,
        }
    };
    let planned = plan::plan(settings, materials).into_iter().map(stage);
    planned.filter(|work| work.read + work.written + work.learnt + work.compared > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::settings::PolicyKind;

    /// A rehearsal's data, words counted as tokens.
    fn works(change: impl FnOnce(&mut Settings)) -> (Lengths, Vec<Work>) {
        let mut settings = Settings::tiny();
        settings.run.policy = PolicyKind::Rehearsal;
        change(&mut settings);
        let materials = Materials::read(&settings).unwrap();
        let lengths = Lengths::of(&settings, &materials, &|text| Ok(text.split_whitespace().count())).unwrap();
        (lengths, of(&settings, &materials, lengths))
    }

    fn sum(works: &[Work], stage: Stage, value: fn(&Work) -> f64) -> f64 {
        works.iter().filter(|work| work.stage == stage).map(value).sum()
    }

    #[test]
    fn a_run_reads_writes_and_learns_as_much_as_its_plan_and_its_data_say() {
        let (lengths, all) = works(|_| ());
        let near = |value: f64, expected: f64| assert!((value / expected - 1.0).abs() < 1e-9, "{value} for {expected}");
        near(sum(&all, Stage::Candidates, |work| work.written), 2.0 * 2_000.0 * lengths.answer);
        near(sum(&all, Stage::Candidates, |work| work.read), 2.0 * 500.0 * lengths.prompt);
        // Three samples of a judgement read their prompt once.
        near(sum(&all, Stage::Judge, |work| work.written), 2.0 * 6_000.0 * lengths.judgement);
        near(sum(&all, Stage::Judge, |work| work.read), 2.0 * 2_000.0 * lengths.judge_prompt);
        near(sum(&all, Stage::Baseline, |work| work.learnt), 5.0 * 256.0 * (lengths.prompt + lengths.answer));
        assert!(lengths.judge_prompt > lengths.prompt + lengths.answer && lengths.request > 3.0 * lengths.prompt);
        assert!(all.iter().all(|work| !matches!(work.stage, Stage::Pairs | Stage::Check)), "nothing is computed there");
    }

    #[test]
    fn twice_the_prompts_are_twice_the_work_and_other_judges_write_less() {
        let (_, once) = works(|_| ());
        let (_, twice) = works(|settings| settings.prompts.count *= 2);
        for stage in [Stage::Prompts, Stage::Candidates, Stage::Judge] {
            assert_eq!(sum(&twice, stage, |work| work.written), 2.0 * sum(&once, stage, |work| work.written));
        }
        let (_, expected) = works(|settings| settings.run.judge = JudgeKind::Expected);
        assert_eq!(sum(&expected, Stage::Judge, |work| work.written), 0.0);
        assert!(sum(&expected, Stage::Judge, |work| work.read) > 0.0);
    }
}
