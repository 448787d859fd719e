//! The stages of a run in order, with how much each is expected to be. The engine walks it; the screen's time left is counted on it.

use crate::engine::human_pairs::HumanPairs;
use crate::engine::materials::{Eft, Materials};
use crate::engine::settings::Settings;
use crate::engine::teaching::settings::Recipe;
use crate::run::event::Planned;
use crate::run::ids::{Model, Stage};

/// Everything from the baseline to the last evaluation.
pub fn plan(settings: &Settings, materials: &Materials) -> Vec<Planned> {
    let mut plan = Vec::new();
    let mut add = |iteration, stage, model, total: usize| {
        plan.push(Planned { iteration, stage, model, total: total as u64 });
    };
    let steps = |examples: usize, batch: u32, epochs: u32| examples.div_ceil(batch.max(1) as usize) * epochs as usize;
    let samples = settings.judge.samples as usize;
    let (to_judge, eft_examples) = match &materials.eft {
        Eft::Ranked(sets) => {
            let responses: usize = sets.iter().map(|set| set.responses.len()).sum();
            // How many agree is not known before; a third is a middling guess.
            (responses * samples, responses * samples / 3)
        }
        Eft::Labelled(rows) => (0, rows.len()),
    };
    let offered = settings.gate.queue.suspicious as usize + settings.gate.queue.random as usize;
    let ift = materials.ift.len();
    let sft = &settings.sft;
    add(0, Stage::Eval, Model::M(0), evaluation(settings, materials, Model::M(0)));
    add(0, Stage::Baseline, Model::Baseline, steps(ift, sft.batch, sft.epochs));
    add(0, Stage::Eft, Model::Baseline, to_judge);
    add(0, Stage::Eval, Model::Baseline, evaluation(settings, materials, Model::Baseline));
    add(0, Stage::Sft, Model::M(1), steps(ift + eft_examples, sft.batch, sft.epochs));
    if settings.is_reward_model() {
        let (reward, loops) = (&settings.reward, settings.loops());
        let people = HumanPairs::of(&materials.reward_sets, loops.seed_share, settings.run.seed);
        // Labels are looked at before they are learnt from.
        for number in 0..=loops.loops {
            // How much of the pool is believed is not known before; two thirds is a middling guess.
            let own = if number > 0 { people.pool.len() * 2 / 3 } else { 0 };
            if number > 0 {
                add(0, Stage::Check, Model::Reward(number - 1), offered);
            }
            add(0, Stage::Reward, Model::Reward(number), steps(people.seed.len() + own, reward.batch, reward.epochs));
        }
    }
    add(0, Stage::Eval, Model::M(1), evaluation(settings, materials, Model::M(1)));
    let prompts = settings.prompts.count as usize;
    let demo = settings.run.recipe == Recipe::TeacherDemo;
    let candidates = prompts * (settings.own_candidates() as usize + usize::from(demo));
    let judges = settings.opinions() as usize;
    for iteration in 1..=settings.run.iterations {
        let (model, next) = (Model::M(iteration), Model::M(iteration + 1));
        add(iteration, Stage::Prompts, model, prompts);
        add(iteration, Stage::Candidates, model, candidates);
        // Demonstrations are chosen because of who wrote them: nobody scores them.
        if !demo {
            add(iteration, Stage::Judge, model, candidates * samples * judges);
        }
        add(iteration, Stage::Pairs, model, prompts);
        add(iteration, Stage::Check, model, offered);
        let pairs = (prompts as f64 * 0.6 * (1.0 - settings.pairs.drop_low_policy_margin)) as usize;
        if settings.learns_from_rewards() {
            add(iteration, Stage::Rloo, next, steps(pairs, settings.rloo.batch, settings.rloo.epochs));
        } else {
            add(iteration, Stage::Dpo, next, steps(pairs, settings.dpo.batch, settings.dpo.epochs));
        }
        add(iteration, Stage::Eval, next, evaluation(settings, materials, next));
    }
    plan
}

/// Items of one model's evaluation.
pub fn evaluation(settings: &Settings, materials: &Materials, model: Model) -> usize {
    let answers = instructions(settings, materials) * 2 * settings.eval.answers as usize;
    let judged = if judges(model) {
        held_out_responses(settings, materials, model) * settings.judge.samples as usize
    } else {
        0
    };
    let duels = opponents(model).len() * instructions(settings, materials) * 2;
    let own_duels = if settings.eval.head_to_head { duels } else { 0 };
    let teacher_duels = if settings.teacher_duels() { duels } else { 0 };
    // The teacher is measured once, beside the baseline, on all of them.
    let all = materials.held_out.iter().take(ranked_sets(settings, materials)).map(|set| set.responses.len());
    let teacher_judged = if settings.teacher_holds_out() && model == Model::Baseline {
        all.sum::<usize>() * settings.judge.samples as usize
    } else {
        0
    };
    answers + judged + own_duels + teacher_duels + teacher_judged
}

/// The base is not asked to judge: it has never seen the format.
pub fn judges(model: Model) -> bool {
    !matches!(model, Model::M(0) | Model::Reward(_))
}

/// Whom a model is compared with: the model before it and the baseline.
pub fn opponents(model: Model) -> Vec<Model> {
    match model {
        Model::M(number) if number >= 1 => {
            let mut opponents = vec![Model::Baseline];
            if number > 1 {
                opponents.push(Model::M(number - 1));
            }
            opponents
        }
        Model::M(_) | Model::Baseline | Model::Reward(_) => Vec::new(),
    }
}

pub fn instructions(settings: &Settings, materials: &Materials) -> usize {
    at_most(materials.instructions.len(), settings.eval.instructions)
}

/// Held-out ranked sets that are judged, at most.
pub fn ranked_sets(settings: &Settings, materials: &Materials) -> usize {
    at_most(materials.held_out.len(), settings.eval.ranked)
}

/// Those that this model judges.
pub fn ranked_sets_of(settings: &Settings, materials: &Materials, model: Model) -> usize {
    let all = ranked_sets(settings, materials);
    if model == Model::Baseline { at_most(all, settings.eval.ranked_baseline) } else { all }
}

fn held_out_responses(settings: &Settings, materials: &Materials, model: Model) -> usize {
    materials.held_out.iter().take(ranked_sets_of(settings, materials, model)).map(|set| set.responses.len()).sum()
}

/// A limit of 0 takes all.
fn at_most(all: usize, limit: u32) -> usize {
    if limit == 0 { all } else { all.min(limit as usize) }
}
