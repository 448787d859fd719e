//! What a policy reports of a step as the event that the journal keeps.
//!
//! Pure; `learning` records it. It knows no policy.

use crate::engine::policy::{GroupsReport, PreferenceReport, RewardReport, StepReport};
use crate::run::event::*;
use crate::run::ids::{Model, PromptId};
use crate::run::number::Num;

/// Which step it is.
#[derive(Clone, Copy)]
pub(super) struct StepAt {
    pub iteration: u32,
    pub model: Model,
    pub step: u64,
    pub of: u64,
}

/// `pairs` names what the lesson was of, in its order, where it has names.
pub(super) fn step_event(at: StepAt, report: &StepReport, divergence: Option<(f64, u32)>, pairs: &[PromptId]) -> Event {
    if let Some(groups) = &report.groups {
        return rloo(at, report, groups, divergence, pairs);
    }
    match (&report.preference, &report.reward) {
        (_, Some(reward)) => rewards(at, report, reward),
        (Some(preference), None) => preferences(at, report, preference, divergence, pairs),
        (None, None) => answers(at, report),
    }
}

fn refused(report: &StepReport) -> &[usize] {
    report.not_finite.as_deref().unwrap_or_default()
}

/// Examples without a name are counted from 1.
fn numbers(report: &StepReport) -> Vec<u32> {
    refused(report).iter().map(|&at| at as u32 + 1).collect()
}

fn names(report: &StepReport, pairs: &[PromptId]) -> Vec<PromptId> {
    refused(report).iter().filter_map(|&at| pairs.get(at).copied()).collect()
}

fn rewards(at: StepAt, report: &StepReport, reward: &RewardReport) -> Event {
    RewardStep {
        iteration: at.iteration,
        model: at.model,
        step: at.step,
        of: at.of,
        loss: Num(report.loss),
        reward_chosen: Num(reward.reward_chosen),
        reward_rejected: Num(reward.reward_rejected),
        accuracy: Num(reward.accuracy),
        grad_norm: Num(report.grad_norm),
        lr: Num(report.lr),
        pairs: reward.pairs,
        tokens: report.tokens,
        not_applied: numbers(report),
        tokens_per_s: report.tokens_per_s.map(Num),
        memory_bytes: report.memory_bytes,
    }
    .into()
}

fn preferences(
    at: StepAt,
    report: &StepReport,
    preference: &PreferenceReport,
    divergence: Option<(f64, u32)>,
    pairs: &[PromptId],
) -> Event {
    DpoStep {
        iteration: at.iteration,
        model: at.model,
        step: at.step,
        of: at.of,
        loss: Num(report.loss),
        reward_chosen: Num(preference.reward_chosen),
        reward_rejected: Num(preference.reward_rejected),
        margin: Num(preference.reward_chosen - preference.reward_rejected),
        accuracy: Num(preference.accuracy),
        logp_chosen: Num(preference.logp_chosen),
        logp_rejected: Num(preference.logp_rejected),
        logp_chosen_per_token: Num(preference.logp_chosen_per_token),
        logp_rejected_per_token: Num(preference.logp_rejected_per_token),
        reference_chosen_per_token: Num(preference.reference_chosen_per_token),
        kl: preference.kl.map(Num),
        kl_held_out: divergence.map(|(kl, _)| Num(kl)),
        kl_held_out_n: divergence.map(|(_, n)| n),
        grad_norm: Num(report.grad_norm),
        lr: Num(report.lr),
        pairs: preference.pairs,
        tokens: report.tokens,
        not_applied: names(report, pairs),
        held_out_accuracy: report.held_out.map(Num),
        tokens_per_s: report.tokens_per_s.map(Num),
        memory_bytes: report.memory_bytes,
    }
    .into()
}

fn rloo(
    at: StepAt,
    report: &StepReport,
    groups: &GroupsReport,
    divergence: Option<(f64, u32)>,
    pairs: &[PromptId],
) -> Event {
    RlooStep {
        iteration: at.iteration,
        model: at.model,
        step: at.step,
        of: at.of,
        loss: Num(report.loss),
        reward: Num(groups.reward),
        gain: Num(groups.gain),
        kl: Num(groups.kl),
        kl_held_out: divergence.map(|(kl, _)| Num(kl)),
        kl_held_out_n: divergence.map(|(_, n)| n),
        advantage_sd: Num(groups.advantage_sd),
        flat: Num(groups.flat),
        clipped: Num(groups.clipped),
        reply_tokens: Num(groups.reply_tokens),
        grad_norm: Num(report.grad_norm),
        lr: Num(report.lr),
        prompts: groups.prompts,
        samples: groups.answers,
        tokens: report.tokens,
        not_applied: names(report, pairs),
        tokens_per_s: report.tokens_per_s.map(Num),
        memory_bytes: report.memory_bytes,
    }
    .into()
}

fn answers(at: StepAt, report: &StepReport) -> Event {
    SftStep {
        iteration: at.iteration,
        model: at.model,
        step: at.step,
        of: at.of,
        loss: Num(report.loss),
        lr: Num(report.lr),
        grad_norm: Num(report.grad_norm),
        tokens: report.tokens,
        not_applied: numbers(report),
        held_out_loss: report.held_out.map(Num),
        tokens_per_s: report.tokens_per_s.map(Num),
        memory_bytes: report.memory_bytes,
    }
    .into()
}
