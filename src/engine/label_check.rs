//! The gate between two loops of the reward model: humans look at labels that it gave itself before the next loop learns from them.
//!
//! The same gate as before DPO, with the same settings and requests; the labels are pairs of iteration 0. Offered texts are written into
//! the journal first, so that every viewer can show them. A human's word on a pair holds through all later loops.

use std::collections::HashMap;

use anyhow::Result;

use crate::engine::drive::Engine;
use crate::engine::gate::fixed;
use crate::engine::human_pairs::{HumanPairs, Unlabelled};
use crate::engine::materials::Eft;
use crate::engine::policy::Flow;
use crate::recipe::label_suspicion::{LabelFacts, UsualLength, label_suspicion};
use crate::recipe::spot_check::{Suspect, queue};
use crate::recipe::statistics::mean;
use crate::run::event::*;
use crate::run::ids::{PromptId, Stage};
use crate::run::number::Num;
use crate::run::reasons::SideOf;
use crate::run::view::{PairView, Round};

/// A number for each answer of a pair.
type Both = (f64, f64);

impl Engine {
    /// The gate before this loop. Where the loops have settled there is nothing to do.
    pub(super) fn check_labels(&mut self, number: u32) -> Result<Flow> {
        let view = &self.recorder.view;
        let Some(labelled) = view.reward.labels_of(number) else { return Ok(Flow::Go) };
        let (since, is_fixed) = (labelled.seq, labelled.fixed.is_some());
        let people = self.human_pairs();
        let gate = self.recorder.view.round(0).and_then(|round| round.gate.as_ref());
        if gate.is_none_or(|gate| gate.opened_seq < since) {
            self.open_label_gate(number, &people)?;
        }
        if self.wait_at_gate(0, Some(number))? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        if !is_fixed {
            let fixed = self.fixed_labels(number, &people);
            self.recorder.record(fixed)?;
        }
        Ok(Flow::Go)
    }

    fn open_label_gate(&mut self, number: u32, people: &HumanPairs) -> Result<()> {
        let gate = self.gate()?;
        let Some(round) = self.recorder.view.round(0) else { return Ok(()) };
        // What a human has decided in an earlier loop is not asked again, and the random part is drawn from the others alone.
        let open = self.labels(number, round).filter(|(_, pair)| !pair.status.is_decided());
        let suspects: Vec<Suspect> =
            open.map(|(pair, view)| Suspect { pair, suspicion: view.suspicion, margin: view.margin }).collect();
        let mut stream = self.seed(0, Stage::Check).sample(number).stream();
        let queue = queue(&suspects, &[], &self.settings.gate.queue, &mut stream);
        let is_known = |pair: PromptId| round.prompts.get(pair.number as usize).is_some_and(|prompt| prompt.seq > 0);
        let unknown: Vec<PromptId> = queue.iter().map(|queued| queued.pair).filter(|pair| !is_known(*pair)).collect();
        for pair in unknown {
            self.offer(pair, people)?;
        }
        let undecided_limit = self.settings.gate.undecided_limit;
        self.recorder.record(SpotCheckOpened { iteration: 0, number: Some(number), gate, queue, undecided_limit })
    }

    /// Writes a pair's texts into the journal: the prompt last, so that a pair with a prompt has them all.
    fn offer(&mut self, pair: PromptId, people: &HumanPairs) -> Result<()> {
        let Some(Unlabelled { prompt, first, second }) = people.pool.get(pair.number as usize) else { return Ok(()) };
        for (answer, text) in [(Some(SideOf::First), first), (Some(SideOf::Second), second), (None, prompt)] {
            self.recorder.record(TextOffered { pair, answer, text: text.clone() })?;
        }
        Ok(())
    }

    /// The labels that are believed now, and those that humans gave in earlier loops.
    fn labels<'a>(&self, number: u32, round: &'a Round) -> impl Iterator<Item = (PromptId, &'a PairView)> {
        let since = self.recorder.view.reward.labels_of(number).map_or(0, |labelled| labelled.seq);
        round.pairs().filter(move |(_, pair)| pair.seq == since || pair.status.is_decided())
    }

    fn fixed_labels(&self, number: u32, people: &HumanPairs) -> TrainingSetFixed {
        let nothing = Round::default();
        let round = self.recorder.view.round(0).unwrap_or(&nothing);
        fixed((0, Some(number)), round, self.labels(number, round), |used| {
            let Some(pair) = people.pool.get(used.pair.number as usize) else { return [""; 3] };
            let answer = |candidate: u32| if candidate == 0 { pair.first.as_str() } else { pair.second.as_str() };
            [&pair.prompt, answer(used.chosen), answer(used.rejected)]
        })
    }

    /// What a reward model believes of the pool, each label with what speaks against it. `p` are the probabilities of these rewards.
    pub(super) fn self_labels(
        &self,
        people: &HumanPairs,
        (before, labels): (&[Option<SideOf>], &[Option<SideOf>]),
        (rewards, p): (&[Both], &[Both]),
    ) -> Vec<SelfLabel> {
        let judged = self.own_judgements();
        let believed: Vec<(usize, SideOf, LabelFacts)> = people
            .pool
            .iter()
            .enumerate()
            .filter_map(|(at, pair)| {
                let side = labels.get(at).copied().flatten()?;
                let was = before.get(at).copied().flatten();
                let judged = |answer: &str| judged.get(&(pair.prompt.as_str(), answer)).copied();
                let judged = judged(&pair.first).zip(judged(&pair.second));
                let turn = |both: Both| if side == SideOf::First { both } else { (both.1, both.0) };
                let (better, other) = match side {
                    SideOf::First => (&pair.first, &pair.second),
                    SideOf::Second => (&pair.second, &pair.first),
                };
                let facts = LabelFacts {
                    prompt: &pair.prompt,
                    better,
                    other,
                    p: turn(*p.get(at)?),
                    was_opposite: was.is_some_and(|was| was != side),
                    judged: judged.map(turn),
                };
                Some((at, side, facts))
            })
            .collect();
        let all: Vec<LabelFacts> = believed.iter().map(|(_, _, facts)| *facts).collect();
        let usual = UsualLength::of(&all);
        let (settings, of_texts) = (self.ser(), &self.settings.suspicion);
        let label = |(at, better, facts): (usize, SideOf, LabelFacts)| {
            let (first, second) = rewards[at];
            let found = label_suspicion(&facts, &usual, &settings, of_texts);
            SelfLabel {
                pair: at as u32,
                better,
                first: Num(first),
                second: Num(second),
                length_ratio: Some(facts.length_ratio()),
                suspicion: found.total,
                signs: found.signs,
            }
        };
        believed.into_iter().map(label).collect()
    }

    /// Mean scores that the baseline gave to people's answers when it judged them for its own training, by prompt and answer.
    fn own_judgements(&self) -> HashMap<(&str, &str), f64> {
        let Eft::Ranked(sets) = &self.materials.eft else { return HashMap::new() };
        let mut scores: HashMap<(&str, &str), Vec<f64>> = HashMap::new();
        for (&(set, response, _), (_, score)) in &self.desk().eft {
            let judged = sets.get(set as usize).and_then(|set| Some((set, set.responses.get(response as usize)?)));
            if let (Some((set, response)), Ok(score)) = (judged, score) {
                scores.entry((&set.prompt, &response.text)).or_default().push(*score);
            }
        }
        scores.into_iter().filter_map(|(answer, scores)| Some((answer, mean(&scores)?))).collect()
    }
}
