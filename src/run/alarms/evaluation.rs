//! Alarms about the judge on held-out sets: drift away from humans, saturation, and which place wins.

use crate::run::alarms::{Finding, Lint, percent};
use crate::run::event::Level;
use crate::run::ids::Model;
use crate::run::measures::ScoreSpread;

impl Lint<'_> {
    pub(super) fn evaluation(&mut self) {
        let newest = self.view.models.iter().rev().find_map(|view| Some((view.model, &view.evaluated.as_ref()?.1)));
        let Some((model, now)) = newest else { return };
        let window = format!("{} held-out responses judged by {model}", now.agreement.responses);
        // The baseline has never seen the score format: its misses are data for the EFT step, not a failure.
        if model > Model::M(0) && now.agreement.responses >= self.limits.min_count {
            let share = f64::from(now.agreement.unparsed) / f64::from(now.agreement.responses);
            self.unparsed(share, now.agreement.unparsed, window.clone(), vec![model.to_string()]);
        }
        self.fixed_answers(model, &now.scores, &window);
        let previous = match model {
            Model::M(number) if number > 1 => self.view.model(Model::M(number - 1)),
            Model::M(_) | Model::Baseline | Model::Reward(_) => None,
        };
        let previous = previous.and_then(|view| Some(&view.evaluated.as_ref()?.1));
        if let (Some(interval), Some(before)) = (now.agreement.interval, previous)
            && let (Some(value), Some(base)) = (now.agreement.pairwise_half, before.agreement.interval)
            && interval.high < base.low
        {
            self.raise(
                "judge-drift",
                Finding {
                    level: Level::Error,
                    value,
                    threshold: base.low,
                    window: window.clone(),
                    says: format!("pairwise accuracy fell to {} (interval below the previous model's)", percent(value)),
                    advice: "Go back to the model before (rollback) and train more gently, or refresh the judge with EFT data.",
                    evidence: vec![model.to_string()],
                },
            );
        }
        if let Some(anchors) = now.anchors {
            let tau = anchors.tau_previous.filter(|&tau| tau < self.limits.anchor_tau);
            let before = previous.and_then(|before| before.anchors);
            let drift = before.map(|before| anchors.mean - before.mean);
            if let Some(tau) = tau {
                self.warn(
                    "anchor-drift",
                    tau,
                    self.limits.anchor_tau,
                    window,
                    format!("{model} ranks the anchor items unlike the model before (tau {tau:.2})"),
                    "Read the anchors on the Eval screen; agreement with humans says which of the two is right.",
                );
            } else if let Some(drift) =
                drift.filter(|drift| self.view.has_scale() && drift.abs() > self.limits.anchor_drift)
            {
                self.warn(
                    "anchor-drift",
                    drift,
                    self.limits.anchor_drift,
                    window,
                    format!("{model} scores the anchor items {drift:+.2} against the model before"),
                    "Scores of two iterations can not be compared; look at ranks, not at means.",
                );
            }
        }
        self.order(model);
    }

    /// What the judge does with answers that do not change: no model's progress can explain it away.
    fn fixed_answers(&mut self, model: Model, scores: &ScoreSpread, window: &str) {
        let parsed: u32 = scores.histogram.iter().sum();
        if model == Model::M(0) || parsed < self.limits.min_count {
            return;
        }
        let (top, count) =
            scores.histogram.iter().copied().enumerate().max_by_key(|&(_, count)| count).unwrap_or((0, 0));
        let share = f64::from(count) / f64::from(parsed);
        if share > self.limits.saturation_held_out {
            self.warn(
                "judge-sat",
                share,
                self.limits.saturation_held_out,
                window.into(),
                format!("{} of its scores of held-out responses are {top}", percent(share)),
                "The judge hardly tells answers apart: look at the labels that it learnt from (EFT).",
            );
        }
        if let Some(rho) = scores.length_rho.filter(|&rho| rho > self.limits.length_rho) {
            self.warn(
                "len-bias",
                rho,
                self.limits.length_rho,
                window.into(),
                format!("scores of held-out responses follow their length (rho {rho:.2})"),
                "The judge takes length for quality: look at the labels that it learnt from, or set pairs.length_rho.",
            );
        }
    }

    fn order(&mut self, model: Model) {
        let Some(duels) = self.measured("duels").filter(|&duels| duels >= 30.0) else { return };
        let window = format!("{duels:.0} pairwise comparisons in both orders by {model}");
        if let Some(consistency) = self.measured("duel_consistency").filter(|&c| c < self.limits.order_consistency) {
            self.warn(
                "order-bias",
                consistency,
                self.limits.order_consistency,
                window,
                format!("only {} of the verdicts survive a swap", percent(consistency)),
                "Read head-to-head results with care: disagreement counts as a tie.",
            );
        } else if let Some(first) = self.measured("duel_first").filter(|s| (s - 0.5).abs() > self.limits.order_share) {
            self.warn(
                "order-bias",
                first,
                0.5 + self.limits.order_share,
                window,
                format!("the first place wins {} of the verdicts", percent(first)),
                "Read head-to-head results with care: both orders are always asked.",
            );
        }
    }
}
