//! What the oracle says of an iteration's pairs when all is done. Nothing in the run is decided by it.

use crate::engine::drive::Engine;
use crate::recipe::statistics::auroc;
use crate::run::event::{Outcome, Picked, Share};
use crate::run::ids::{Model, PromptId};
use crate::run::measures::Hindsight;
use crate::run::view::PairView;

impl Engine {
    /// How often the chosen answer of the pairs that made this model was truly better.
    pub(super) fn truly_better(&self, iteration: u32, model: Model) -> Option<Share> {
        let training = self.desk().training.as_ref().filter(|set| set.iteration == iteration)?;
        if model != Model::M(iteration + 1) {
            return None;
        }
        let mut share = Share { count: 0, n: 0 };
        for used in &training.pairs {
            if let Some(better) = self.is_better(used.pair, used.chosen, used.rejected) {
                share.n += 1;
                share.count += u32::from(better);
            }
        }
        (share.n > 0).then_some(share)
    }

    /// All pairs of the iteration, those that the gate offered, and what people changed.
    pub(super) fn hindsight(&self, iteration: u32, model: Model) -> Option<Hindsight> {
        let oracle = self.materials.oracle?;
        let round = self.recorder.view.round(iteration)?;
        if iteration == 0 || model != Model::M(iteration + 1) {
            return None;
        }
        let suspicious: Vec<PromptId> = round
            .gate
            .iter()
            .flat_map(|gate| gate.queue.iter())
            .filter(|item| item.picked == Picked::Suspicious)
            .map(|item| item.pair)
            .collect();
        let prompts = &self.desk().prompts;
        let mut found = Hindsight {
            prompts: prompts.len() as u32,
            well_formed: prompts.iter().filter(|prompt| oracle(prompt, "").is_some()).count() as u32,
            pairs: 0,
            better: 0,
            offered: 0,
            offered_wrong: 0,
            decided: 0,
            changed: 0,
            suspicion_auroc: None,
        };
        let (mut wrong, mut right) = (Vec::new(), Vec::new());
        for (id, pair) in round.pairs() {
            found.decided += u32::from(pair.outcome != Outcome::Undecided);
            found.changed += u32::from(is_changed(pair));
            let Some(better) = self.is_better(id, pair.chosen, pair.rejected) else { continue };
            let offered = suspicious.contains(&id);
            found.pairs += 1;
            found.better += u32::from(better);
            found.offered += u32::from(offered);
            found.offered_wrong += u32::from(offered && !better);
            if better { &mut right } else { &mut wrong }.push(pair.suspicion);
        }
        found.suspicion_auroc = auroc(&wrong, &right);
        Some(found)
    }

    /// Whether one candidate is truly better than another; `None` where the oracle does not know the prompt.
    fn is_better(&self, pair: PromptId, chosen: u32, rejected: u32) -> Option<bool> {
        let oracle = self.materials.oracle?;
        let prompt = self.desk().prompts.get(pair.number as usize)?;
        let candidates = self.desk().candidates.get(pair.number as usize)?;
        let grade = |candidate: u32| oracle(prompt, &candidates.get(candidate as usize)?.text);
        Some(grade(chosen)? > grade(rejected)?)
    }
}

/// Whether people's decisions left the pair other than the judge made it.
fn is_changed(pair: &PairView) -> bool {
    match pair.outcome {
        Outcome::Use { chosen, rejected } => (chosen, rejected) != (pair.chosen, pair.rejected),
        Outcome::Drop => true,
        Outcome::Undecided => false,
    }
}
