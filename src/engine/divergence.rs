//! How far a policy in training has moved from its reference, on prompts that it is not trained on.
//!
//! The prompts are the first held-out instructions, the replies those that the reference wrote to them when it was evaluated, at
//! temperature 1 and uncut: fair samples of the reference, in the journal already, and the same at every look. The estimator is the mean
//! over replies of log p_reference - log p_policy, which is unbiased for KL(reference ‖ policy) per reply.

use anyhow::Result;

use crate::engine::desk::tenths;
use crate::engine::drive::Engine;
use crate::engine::plan::instructions;
use crate::engine::policy::{Example, Policy, log_prob_of_each};
use crate::engine::settings::Reference;
use crate::run::ids::Model;
use crate::run::reasons::Ended;

/// The temperature at which a sample is one of the model's own distribution.
const OWN: f64 = 1.0;

/// Replies of the reference, and what it finds of them.
pub struct Probe {
    replies: Vec<Example>,
    reference: Vec<f64>,
    every: u64,
}

impl Engine {
    /// The model that preference training of this iteration starts its rewards from.
    pub(super) fn reference_model(&self, iteration: u32) -> Model {
        match self.settings.dpo.reference {
            Reference::Previous => Model::M(iteration),
            Reference::First => Model::M(1),
        }
    }

    /// Replies to look at while training, if any are wanted and there are any. The policy holds the reference afterwards.
    pub(super) fn probe(&mut self, iteration: u32) -> Result<Option<Probe>> {
        let (wanted, every) = (self.settings.dpo.kl_prompts as usize, u64::from(self.settings.dpo.kl_every));
        if every == 0 {
            return Ok(None);
        }
        let model = self.reference_model(iteration);
        let prompts =
            self.materials.instructions.iter().take(instructions(&self.settings, &self.materials).min(wanted));
        let replies: Vec<Example> = (0..)
            .zip(prompts)
            .filter_map(|(item, prompt)| {
                let answer = self.desk().held_out.get(&(model, tenths(OWN), item))?;
                let whole = answer.ended != Ended::Length;
                whole.then(|| Example { prompt: prompt.clone(), reply: answer.text.clone() })
            })
            .collect();
        if replies.is_empty() {
            return Ok(None);
        }
        self.hold(model)?;
        let reference = sums(self.policy.as_mut(), &replies)?;
        Ok(Some(Probe { replies, reference, every }))
    }
}

impl Probe {
    /// Whether the divergence is looked at after this step.
    pub fn is_due(&self, step: u64, of: u64) -> bool {
        step.is_multiple_of(self.every) || step == of
    }

    /// The estimate with the policy's weights as they are, and its count.
    pub fn divergence(&self, policy: &mut dyn Policy) -> Result<(f64, u32)> {
        let own = sums(policy, &self.replies)?;
        let total: f64 = self.reference.iter().zip(&own).map(|(reference, own)| reference - own).sum();
        Ok((total / own.len() as f64, own.len() as u32))
    }
}

fn sums(policy: &mut dyn Policy, replies: &[Example]) -> Result<Vec<f64>> {
    Ok(log_prob_of_each(policy, replies)?.iter().map(|own| own.sum).collect())
}
