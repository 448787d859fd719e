//! Optimiser steps as a table, under the names that TRL's logs use, so that existing notebooks read them.
//!
//! Used by `export`. What a crash repeated or a rollback undid is not in it.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cli::open::Opened;
use crate::cli::tables::{count, num};
use crate::run::event::{DpoStep, Event, RlooStep, SftStep};
use crate::run::ids::Model;
use crate::text::table::{Cell, Table};

const STEP_COLUMNS: [&str; 31] = [
    "iteration",
    "stage",
    "model",
    "step",
    "of",
    "loss",
    "learning_rate",
    "grad_norm",
    "num_tokens",
    "eval_loss",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
    "logps_per_token/chosen",
    "logps_per_token/rejected",
    "ref_logps_per_token/chosen",
    "kl",
    "kl_held_out",
    "kl_held_out_n",
    "eval_rewards/accuracies",
    "reward",
    "reward_gain",
    "advantage_sd",
    "frac_reward_zero_std",
    "clip_ratio/region_mean",
    "completions/mean_length",
    "tokens_per_s",
    "memory_bytes",
];

/// The place of `kl`.
const KL_COLUMN: usize = 19;

/// Optimiser steps under the names that TRL logs. Steps that were repeated after a crash stand once.
pub fn steps(run: &Opened) -> Result<Table> {
    let mut steps: BTreeMap<(u32, Model, u64), Vec<Cell>> = BTreeMap::new();
    run.each(|entry| match &entry.event {
        Event::SftStep(step) => {
            steps.insert((step.iteration, step.model, step.step), sft_row(step));
        }
        Event::DpoStep(step) => {
            steps.insert((step.iteration, step.model, step.step), dpo_row(step));
        }
        Event::RlooStep(step) => {
            steps.insert((step.iteration, step.model, step.step), rloo_row(step));
        }
        Event::StepsAbandoned(event) => {
            steps.retain(|(_, model, step), _| *model != event.model || *step <= event.after);
        }
        Event::RolledBack(back) => {
            if let Model::M(kept) = back.to {
                steps.retain(|(iteration, _, _), _| *iteration < kept);
            }
        }
        _ => {}
    })?;
    let mut table = Table::new(STEP_COLUMNS);
    steps.into_values().for_each(|row| table.push(row));
    Ok(table)
}

fn sft_row(step: &SftStep) -> Vec<Cell> {
    let stage = if step.model == Model::Baseline { "baseline" } else { "sft" };
    let mut row = vec![
        count(step.iteration),
        stage.into(),
        step.model.to_string().into(),
        step.step.into(),
        step.of.into(),
        num(step.loss),
        num(step.lr),
        num(step.grad_norm),
        step.tokens.into(),
        step.held_out_loss.map(num).into(),
    ];
    row.resize(STEP_COLUMNS.len() - 2, Cell::Nothing);
    row.extend([step.tokens_per_s.map(num).into(), step.memory_bytes.into()]);
    row
}

fn rloo_row(step: &RlooStep) -> Vec<Cell> {
    let mut row = vec![
        count(step.iteration),
        "rloo".into(),
        step.model.to_string().into(),
        step.step.into(),
        step.of.into(),
        num(step.loss),
        num(step.lr),
        num(step.grad_norm),
        step.tokens.into(),
    ];
    // What is measured of pairs has no place here.
    row.resize(KL_COLUMN, Cell::Nothing);
    row.extend([
        num(step.kl),
        step.kl_held_out.map(num).into(),
        step.kl_held_out_n.map(u64::from).into(),
        Cell::Nothing,
        num(step.reward),
        num(step.gain),
        num(step.advantage_sd),
        num(step.flat),
        num(step.clipped),
        num(step.reply_tokens),
        step.tokens_per_s.map(num).into(),
        step.memory_bytes.into(),
    ]);
    row
}

fn dpo_row(step: &DpoStep) -> Vec<Cell> {
    let mut row = vec![
        count(step.iteration),
        "dpo".into(),
        step.model.to_string().into(),
        step.step.into(),
        step.of.into(),
        num(step.loss),
        num(step.lr),
        num(step.grad_norm),
        step.tokens.into(),
        Cell::Nothing,
        num(step.reward_chosen),
        num(step.reward_rejected),
        num(step.margin),
        num(step.accuracy),
        num(step.logp_chosen),
        num(step.logp_rejected),
        num(step.logp_chosen_per_token),
        num(step.logp_rejected_per_token),
        num(step.reference_chosen_per_token),
        step.kl.map(num).into(),
        step.kl_held_out.map(num).into(),
        step.kl_held_out_n.map(u64::from).into(),
        step.held_out_accuracy.map(num).into(),
    ];
    row.resize(STEP_COLUMNS.len() - 2, Cell::Nothing);
    row.extend([step.tokens_per_s.map(num).into(), step.memory_bytes.into()]);
    row
}
