//! The intrinsic judge in a run: what the base finds of each answer, and whether this model and the one before rank alike (CREAM).
//!
//! Consistency is the mean over prompts of (tau + 1) / 2, tau being Kendall's between both models' rewards of the prompt's candidates.
//! It is computed from journaled rewards by the comparison of judges; preference training may weigh its loss by it.

use anyhow::{Context, Result};

use crate::engine::drive::Engine;
use crate::engine::policy::{Example, Flow, JudgeAsk, log_prob_of_each};
use crate::engine::questions::{LOT, example, questions};
use crate::engine::settings::DpoSettings;
use crate::engine::teaching::lessons::Second;
use crate::run::ids::Model;

impl Engine {
    /// Adds what the base finds of each answer, for a judge that wants to know. The policy holds the base afterwards.
    pub(super) fn with_base(&mut self, asks: &mut [JudgeAsk]) -> Result<Flow> {
        if !self.judge.reads_base() || asks.is_empty() {
            return Ok(Flow::Go);
        }
        self.hold(Model::M(0))?;
        for lot in questions(asks).chunks(LOT) {
            let items: Vec<Example> = lot.iter().map(|range| example(&asks[range.start])).collect();
            for (range, base) in lot.iter().zip(log_prob_of_each(self.policy.as_mut(), &items)?) {
                asks[range.clone()].iter_mut().for_each(|ask| ask.base = Some(base.sum));
            }
            if self.recorder.safe_point()? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Go)
    }

    /// The rewards of the model before, on the candidates that this iteration's model has rewarded.
    pub(super) fn earlier_rewards(&mut self, iteration: u32) -> Result<Flow> {
        // M1's next of kin is the baseline: under M0, the reference, every reward is 0 and nothing is ranked.
        let model = if iteration > 1 { Model::M(iteration - 1) } else { Model::Baseline };
        let judge = self.judge.name();
        let second = Second { model, judge: format!("{judge} ({model})"), reference: judge.to_string() };
        self.second_opinion(iteration, &second)
    }

    /// Preference settings with this iteration's consistency C in force: C times the loss of the pair and 1 - C times that of the
    /// reversed pair, which is label smoothing by 1 - C.
    pub(super) fn weighed(&self, iteration: u32) -> Result<DpoSettings> {
        let settings = self.settings.dpo.clone();
        if !settings.consistency {
            return Ok(settings);
        }
        let mut compared = self.recorder.view.teacher.compared.iter().rev();
        let found = compared.find(|found| found.iteration == iteration && found.reference == self.judge.name());
        let tau = found.and_then(|found| found.agreement.kendall);
        let tau = tau.context("dpo.consistency: no prompt has rewards that both models rank")?;
        Ok(DpoSettings { label_smoothing: 1.0 - (tau + 1.0) / 2.0, ..settings })
    }
}
