//! The human-labelled pairs of a reward model: a seed share with its labels, and a pool without.
//!
//! What people said of the pool's pairs is locked away here: it can be counted against labels that were given already, and is given to
//! nobody.

use std::collections::BTreeSet;

use crate::engine::materials::Ranking;
use crate::engine::policy::Example;
use crate::recipe::ser::{seed_share, stands_first};
use crate::recipe::statistics::auroc;
use crate::run::event::SelfLabel;
use crate::run::reasons::SideOf;

/// A pair of the pool, in an order that says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Unlabelled {
    pub prompt: String,
    pub first: String,
    pub second: String,
}

impl Unlabelled {
    /// Both answers, the better one by this label first.
    pub fn sides(&self, better: SideOf) -> [Example; 2] {
        let (chosen, rejected) = match better {
            SideOf::First => (&self.first, &self.second),
            SideOf::Second => (&self.second, &self.first),
        };
        [chosen, rejected].map(|reply| Example { prompt: self.prompt.clone(), reply: reply.clone() })
    }
}

/// What a reward model learns from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HumanPairs {
    /// The better answer first.
    pub seed: Vec<[Example; 2]>,
    pub pool: Vec<Unlabelled>,
    hidden: Vec<SideOf>,
}

impl HumanPairs {
    /// Every two responses of unequal rank are a pair. A prompt's pairs stand together, in the seed or in the pool: else the pool would
    /// hold answers that people have judged.
    pub fn of(sets: &[Ranking], share: f64, seed: u64) -> HumanPairs {
        let drawn = drawn(sets, share, seed);
        let mut pairs = HumanPairs::default();
        for set in sets {
            let seeds = drawn.contains(set.prompt.as_str());
            for (at, a) in set.responses.iter().enumerate() {
                for b in &set.responses[at + 1..] {
                    if a.rank == b.rank || a.text == b.text {
                        continue;
                    }
                    let (first, second) = if stands_first(&set.prompt, &a.text, &b.text) { (a, b) } else { (b, a) };
                    let better = if first.rank < second.rank { SideOf::First } else { SideOf::Second };
                    let (prompt, first, second) = (set.prompt.clone(), first.text.clone(), second.text.clone());
                    let pair = Unlabelled { prompt, first, second };
                    if seeds {
                        pairs.seed.push(pair.sides(better));
                    } else {
                        pairs.pool.push(pair);
                        pairs.hidden.push(better);
                    }
                }
            }
        }
        pairs
    }

    /// How many of these labels, by place in the pool, stand the other way round than people put the pair: for the report.
    pub fn flipped(&self, labels: &[Option<SideOf>]) -> u32 {
        let against =
            labels.iter().zip(&self.hidden).filter(|(label, people)| label.is_some_and(|label| label != **people));
        against.count() as u32
    }

    /// How well suspicion tells labels that stand the other way round from the others: for the report.
    pub fn suspicion_auroc(&self, labels: &[SelfLabel]) -> Option<f64> {
        let known = labels.iter().filter_map(|label| Some((label, *self.hidden.get(label.pair as usize)?)));
        let (flipped, right): (Vec<_>, Vec<_>) = known.partition(|(label, people)| label.better != *people);
        let suspicions = |labels: Vec<(&SelfLabel, SideOf)>| -> Vec<f64> {
            labels.into_iter().map(|(label, _)| label.suspicion).collect()
        };
        auroc(&suspicions(flipped), &suspicions(right))
    }
}

/// The prompts of this share, drawn by content: the same ones in whatever order and however often they stand.
pub fn drawn(sets: &[Ranking], share: f64, seed: u64) -> BTreeSet<&str> {
    let prompts: BTreeSet<&str> = sets.iter().map(|set| set.prompt.as_str()).collect();
    let prompts: Vec<&str> = prompts.into_iter().collect();
    let chosen = seed_share(&prompts, share, seed);
    prompts.into_iter().zip(chosen).filter_map(|(prompt, chosen)| chosen.then_some(prompt)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::materials::RankedResponse;

    fn sets(count: usize) -> Vec<Ranking> {
        let response = |text: String, rank: f64| RankedResponse { text, rank };
        let set = |number: usize| Ranking {
            prompt: format!("prompt {number}"),
            responses: vec![
                response(format!("best {number}"), 0.0),
                response(format!("middling {number}"), 1.0),
                response(format!("as middling {number}"), 1.0),
            ],
        };
        (0..count).map(set).collect()
    }

    #[test]
    fn a_prompt_is_in_the_seed_or_in_the_pool_and_ties_are_no_pair() {
        let pairs = HumanPairs::of(&sets(40), 0.15, 3);
        assert_eq!((pairs.seed.len(), pairs.pool.len()), (12, 68), "six prompts of forty, two pairs each");
        assert!(pairs.seed.iter().all(|[chosen, _]| chosen.reply.starts_with("best")));
        assert!(pairs.seed.iter().all(|[seed, _]| pairs.pool.iter().all(|pair| pair.prompt != seed.prompt)));
        let firsts = pairs.pool.iter().filter(|pair| pair.first.starts_with("best")).count();
        assert!((15..53).contains(&firsts), "the order says nothing: {firsts}");
        let all = HumanPairs::of(&sets(40), 1.0, 3);
        assert_eq!((all.seed.len(), all.pool.len()), (80, 0));
    }

    #[test]
    fn labels_are_counted_against_people_afterwards() {
        let pairs = HumanPairs::of(&sets(40), 0.15, 3);
        let right: Vec<Option<SideOf>> = pairs
            .pool
            .iter()
            .map(|pair| Some(if pair.first.starts_with("best") { SideOf::First } else { SideOf::Second }))
            .collect();
        assert_eq!(pairs.flipped(&right), 0);
        let mut some = right.clone();
        some[0] = None;
        some[1] = Some(if right[1] == Some(SideOf::First) { SideOf::Second } else { SideOf::First });
        assert_eq!(pairs.flipped(&some), 1);
        assert!(pairs.pool[0].sides(right[0].unwrap())[0].reply.starts_with("best"));
    }
}
