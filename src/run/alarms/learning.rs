//! Alarms about the optimiser: numbers that are not finite, jumps, over-fitting, a wrong start.

use crate::run::alarms::{Finding, Lint, percent};
use crate::run::curves::Signal;
use crate::run::event::{DpoStep, Level, RewardMeasured, RlooStep};
use crate::run::ids::Model;
use crate::run::ids::Stage;

/// Steps that a judgement about a trend looks at.
const RECENT: usize = 5;

/// The first of many names; all of them are the alarm's evidence.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let rest = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - rest].join(", ");
    if rest > 0 { format!("{shown} and {rest} more") } else { shown }
}

impl Lint<'_> {
    pub(super) fn steps(&mut self) {
        let Some(span) = self.view.stage() else { return };
        match span.stage {
            Stage::Sft | Stage::Baseline => {
                if let Some(step) = self.view.last_sft.clone() {
                    let finite = step.loss.0.is_finite() && step.grad_norm.0.is_finite();
                    let named = step.not_applied.iter().map(|number| format!("example {number}")).collect();
                    self.finite(finite, step.loss.0, step.step, &step.model.to_string(), named);
                    self.spike(Signal::SftLoss, step.loss.0, step.grad_norm.0, step.step);
                }
            }
            Stage::Dpo => {
                if let Some(step) = self.view.last_dpo.clone() {
                    let finite = [step.loss, step.grad_norm, step.margin, step.logp_chosen, step.logp_rejected];
                    self.finite(
                        finite.iter().all(|n| n.0.is_finite()),
                        step.loss.0,
                        step.step,
                        &step.model.to_string(),
                        step.not_applied.iter().map(ToString::to_string).collect(),
                    );
                    self.spike(Signal::DpoLoss, step.loss.0, step.grad_norm.0, step.step);
                    self.start(&step);
                    self.overfit(&step);
                }
            }
            Stage::Rloo => {
                if let Some(step) = self.view.last_rloo.clone() {
                    let named = step.not_applied.iter().map(ToString::to_string).collect();
                    self.finite(step.is_finite(), step.loss.0, step.step, &step.model.to_string(), named);
                    self.spike(Signal::RlooLoss, step.loss.0, step.grad_norm.0, step.step);
                    self.rewarded(&step);
                }
            }
            Stage::Reward => {
                if let Some(step) = self.view.reward.last.clone() {
                    let finite = step.loss.0.is_finite() && step.grad_norm.0.is_finite();
                    let named = step.not_applied.iter().map(|number| format!("pair {number}")).collect();
                    self.finite(finite, step.loss.0, step.step, &step.model.to_string(), named);
                    self.spike(Signal::RewardLoss, step.loss.0, step.grad_norm.0, step.step);
                }
            }
            Stage::Eft
            | Stage::Prompts
            | Stage::Candidates
            | Stage::Judge
            | Stage::Pairs
            | Stage::Check
            | Stage::Eval => {}
        }
    }

    /// A loop of the reward model that is below the interval of the best one before it.
    pub(super) fn lost_loop(&mut self) {
        let measured = &self.view.reward.measured;
        let Some(last) = measured.last().cloned() else { return };
        let before = measured.iter().filter(|other| other.number < last.number);
        let accuracy = |of: &RewardMeasured| of.agreement.pairwise_half.unwrap_or(0.0);
        let Some(best) = before.max_by(|a, b| accuracy(a).total_cmp(&accuracy(b))).cloned() else { return };
        let (Some(now), Some(within)) = (last.agreement.pairwise_half, best.agreement.interval) else { return };
        if now < within.low {
            let (was, pairs) = (percent(accuracy(&best)), last.agreement.pairs);
            let says = format!(
                "{} is right on {} of held-out pairs, {} was on {was} (at least {})",
                last.model,
                percent(now),
                best.model,
                percent(within.low)
            );
            let finding = Finding {
                level: Level::Warn,
                value: now,
                threshold: within.low,
                window: format!("{pairs} held-out pairs"),
                says,
                advice: "The earlier loop is used. Its labels went wrong: raise ser.high or ser.gap, or use more human labels.",
                evidence: vec![last.model.to_string(), best.model.to_string()],
            };
            self.raise("reward-loop", finding);
        }
    }

    fn finite(&mut self, finite: bool, loss: f64, step: u64, model: &str, named: Vec<String>) {
        if !finite {
            let on = if named.is_empty() { String::new() } else { format!(", computed on {}", few(&named)) };
            let evidence = [vec![format!("{model}:{step}")], named].concat();
            self.raise(
                "nan",
                Finding {
                    level: Level::Error,
                    value: loss,
                    threshold: 0.0,
                    window: format!("step {step} of {model}"),
                    says: format!("loss, gradient or a log-prob is not finite at step {step}{on}"),
                    advice: "The step was not applied. Lower the learning rate, or look at the step's examples.",
                    evidence,
                },
            );
        }
    }

    fn spike(&mut self, signal: Signal, loss: f64, grad_norm: f64, step: u64) {
        let Some(model) = self.view.stage().map(|span| span.model) else { return };
        let usual = self.view.curves.get(model, signal).and_then(|series| {
            let means: Vec<f64> = series.spans().iter().rev().skip(1).take(50).filter_map(|span| span.mean()).collect();
            (means.len() >= RECENT).then(|| means.iter().sum::<f64>() / means.len() as f64)
        });
        let window = format!("step {step} of {model}");
        if let Some(usual) = usual.filter(|&usual| usual > 0.05 && loss > self.limits.loss_spike * usual) {
            self.warn(
                "spike",
                loss,
                self.limits.loss_spike * usual,
                window,
                format!("the loss jumped to {loss:.3}, from {usual:.3}"),
                "Look at the step's examples; a lower learning rate or clipping helps.",
            );
        } else if grad_norm.is_finite() && grad_norm > self.limits.grad_norm {
            self.warn(
                "spike",
                grad_norm,
                self.limits.grad_norm,
                window,
                format!("the gradient norm is {grad_norm:.0}"),
                "It was clipped; a lower learning rate may be needed.",
            );
        }
    }

    fn start(&mut self, first: &DpoStep) {
        // Only where no step has been taken are policy and reference the same; other losses start elsewhere.
        let kind = self.view.config.pointer("/dpo/loss").and_then(|kind| kind.as_str()).unwrap_or("dpo");
        if first.step != 1 || !matches!(kind, "dpo" | "length_normalised") {
            return;
        }
        let off = (first.loss.0 - std::f64::consts::LN_2).abs();
        if off > self.limits.start {
            self.raise(
                "start",
                Finding {
                    level: Level::Error,
                    value: first.loss.0,
                    threshold: std::f64::consts::LN_2,
                    window: format!("step 1 of {}", first.model),
                    says: format!("the first DPO loss is {:.4}, not ln 2 = 0.6931", first.loss.0),
                    advice: "Policy and reference differ before training: check the reference model, dropout and the prompt mask.",
                    evidence: vec![format!("{}:1", first.model)],
                },
            );
        }
    }

    fn overfit(&mut self, step: &DpoStep) {
        let window = format!("step {} of {} ({})", step.step, step.of, step.model);
        let advice = "Preference training goes too far: lower the learning rate, raise beta, or add the NLL term.";
        let early = step.step as f64 <= self.limits.early_share * step.of as f64;
        if let Some(accuracy) = self.recent(step.model, Signal::RewardAccuracy)
            && early
            && accuracy > self.limits.early_accuracy
        {
            let says = format!("reward accuracy is {} after {} of {} steps", percent(accuracy), step.step, step.of);
            self.warn("overfit", accuracy, self.limits.early_accuracy, window.clone(), says, advice);
        }
        if let Some(loss) = self.recent(step.model, Signal::DpoLoss).filter(|&loss| loss < self.limits.low_loss) {
            let says = format!("the DPO loss fell to {loss:.3}");
            self.warn("overfit", loss, self.limits.low_loss, window.clone(), says, advice);
        }
        let fall =
            step.reference_chosen_per_token.0 - self.recent(step.model, Signal::LogpChosenPerToken).unwrap_or(f64::NAN);
        if fall > self.limits.chosen_fall && step.margin.0 > 0.0 {
            let says = format!("chosen answers lost {fall:.2} nats per token while the margin grew");
            self.warn("overfit", fall, self.limits.chosen_fall, window.clone(), says, advice);
        }
        self.held_out_falls(step, window, advice);
    }

    fn held_out_falls(&mut self, step: &DpoStep, window: String, advice: &'static str) {
        let held_out: Vec<f64> = match self.view.curves.get(step.model, Signal::HeldOutAccuracy) {
            Some(series) => series.spans().iter().filter_map(|span| span.mean()).collect(),
            None => return,
        };
        let [.., a, b, c] = held_out[..] else { return };
        let train = self.view.curves.get(step.model, Signal::RewardAccuracy).map(|series| {
            let means: Vec<f64> = series.spans().iter().filter_map(|span| span.mean()).collect();
            (means.first().copied().unwrap_or(0.0), means.last().copied().unwrap_or(0.0))
        });
        if a > b && b > c && a - c > 0.05 && train.is_some_and(|(first, last)| last > first) {
            let says =
                format!("held-out accuracy fell from {} to {} while training accuracy rose", percent(a), percent(c));
            self.warn("overfit", c, a, window, says, advice);
        }
    }

    /// Learning from rewards: where it starts, how far it goes, and whether there is anything to learn.
    fn rewarded(&mut self, step: &RlooStep) {
        let window = format!("step {} of {} ({})", step.step, step.of, step.model);
        if step.step == 1 && step.kl.0 > self.limits.start {
            let finding = Finding {
                level: Level::Error,
                value: step.kl.0,
                threshold: 0.0,
                window: window.clone(),
                says: format!("the KL of the first step is {:.4}, not 0", step.kl.0),
                advice: "Policy and reference differ before training: check dropout and the prompt mask.",
                evidence: vec![format!("{}:1", step.model)],
            };
            self.raise("start", finding);
        }
        if let Some(kl) = self.recent(step.model, Signal::SampleKl).filter(|&kl| kl > self.limits.sample_kl) {
            let says = format!("an answer's log-prob has moved by {kl:.1} nats of KL");
            let advice = "The reward model may be exploited: raise rloo.beta, or lower rloo.lr or rloo.epochs.";
            self.warn("reward-kl", kl, self.limits.sample_kl, window.clone(), says, advice);
        }
        let flat = self.recent(step.model, Signal::FlatPrompts).filter(|&flat| flat > self.limits.flat_prompts);
        if let Some(flat) = flat {
            let says = format!("{} of the prompts have answers of one and the same reward", percent(flat));
            let advice = "They teach nothing: sample hotter, take more candidates, or use a judge with finer scores.";
            self.warn("reward-flat", flat, self.limits.flat_prompts, window, says, advice);
        }
    }

    /// Mean over the last few steps, when there are enough.
    fn recent(&self, model: Model, signal: Signal) -> Option<f64> {
        let series = self.view.curves.get(model, signal)?;
        let means: Vec<f64> = series.spans().iter().rev().take(RECENT).filter_map(|span| span.mean()).collect();
        (means.len() == RECENT).then(|| means.iter().sum::<f64>() / RECENT as f64)
    }
}
