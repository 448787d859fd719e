//! Which pairs a human looks at before training, and what the decisions say about the pairs nobody looked at.
//!
//! Used by the gate. The most suspicious pairs find bugs; only the random part, drawn from all pairs before anything else,
//! estimates how many pairs are bad.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seeds::Stream;
use super::statistics::wilson;
use crate::run::event::{Picked, Queued};
use crate::run::ids::PromptId;
use crate::run::measures::Interval;

/// How many pairs a human is asked to look at in each iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpotCheckSettings {
    /// The most suspicious pairs.
    pub suspicious: u32,
    /// Pairs drawn at random from all; only these estimate the bad-pair rate.
    pub random: u32,
    /// At most this many pairs more from the evidence of ERROR alarms.
    pub evidence: u32,
}

impl Default for SpotCheckSettings {
    fn default() -> Self {
        SpotCheckSettings { suspicious: 15, random: 10, evidence: 5 }
    }
}

/// A pair that may be queued.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suspect {
    pub pair: PromptId,
    pub suspicion: f64,
    pub margin: f64,
}

/// The queue in the order of showing: suspicious ones first (ties: the smaller margin), then evidence, then the random part.
pub fn queue(
    pairs: &[Suspect],
    evidence: &[PromptId],
    settings: &SpotCheckSettings,
    stream: &mut Stream,
) -> Vec<Queued> {
    // Drawn before the others are set aside: drawing from what they leave over would flatter the judge.
    let random: Vec<PromptId> =
        stream.choose(pairs.len(), settings.random as usize).into_iter().map(|at| pairs[at].pair).collect();
    let mut rest: Vec<&Suspect> = pairs.iter().filter(|suspect| !random.contains(&suspect.pair)).collect();
    rest.sort_by(|a, b| {
        b.suspicion.total_cmp(&a.suspicion).then(a.margin.total_cmp(&b.margin)).then(a.pair.cmp(&b.pair))
    });
    let suspicious = rest.iter().take(settings.suspicious as usize).map(|suspect| suspect.pair);
    let mut queue: Vec<Queued> = suspicious.map(|pair| Queued { pair, picked: Picked::Suspicious }).collect();
    let mut room = settings.evidence;
    for &pair in evidence {
        let known = pairs.iter().any(|suspect| suspect.pair == pair);
        let queued = random.contains(&pair) || queue.iter().any(|item| item.pair == pair);
        if known && !queued && room > 0 {
            queue.push(Queued { pair, picked: Picked::Evidence });
            room -= 1;
        }
    }
    queue.extend(random.into_iter().map(|pair| Queued { pair, picked: Picked::Random }));
    queue
}

/// How many pairs are bad, as far as the random part tells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BadPairRate {
    pub bad: u32,
    /// Decided pairs of the random part.
    pub n: u32,
    pub share: f64,
    /// Wilson's 95% interval.
    pub interval: Interval,
}

/// The estimate from decided pairs (`true`: bad). `None` until a random one is decided.
pub fn bad_pair_rate(decided: &[(Picked, bool)]) -> Option<BadPairRate> {
    let random: Vec<bool> =
        decided.iter().filter(|(picked, _)| *picked == Picked::Random).map(|(_, bad)| *bad).collect();
    let (bad, n) = (random.iter().filter(|bad| **bad).count() as u32, random.len() as u32);
    Some(BadPairRate { bad, n, share: f64::from(bad) / f64::from(n), interval: wilson(bad, n)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::seeds::Seed;

    fn pairs(n: u32) -> Vec<Suspect> {
        let suspect = |number| Suspect {
            pair: PromptId { iteration: 1, number },
            suspicion: f64::from(number % 10) / 10.0,
            margin: f64::from(number),
        };
        (0..n).map(suspect).collect()
    }

    #[test]
    fn the_queue_holds_the_most_suspicious_then_evidence_then_random_pairs_each_once() {
        let settings = SpotCheckSettings { suspicious: 5, random: 4, evidence: 2 };
        let evidence: Vec<PromptId> = [3, 9, 3, 12, 13, 999].map(|number| PromptId { iteration: 1, number }).to_vec();
        let queue = queue(&pairs(100), &evidence, &settings, &mut Seed::root(1).stream());
        let of =
            |picked| queue.iter().filter(|item| item.picked == picked).map(|item| item.pair.number).collect::<Vec<_>>();
        let order = [Picked::Suspicious, Picked::Evidence, Picked::Random];
        assert!(queue.is_sorted_by_key(|item| order.iter().position(|picked| *picked == item.picked)));
        assert_eq!(of(Picked::Random).len(), 4);
        assert_eq!(of(Picked::Evidence), [3, 12]);
        let suspicious = of(Picked::Suspicious);
        assert_eq!(suspicious.len(), 5);
        assert!(suspicious.iter().all(|number| number % 10 == 9) && suspicious.is_sorted());
        let mut all: Vec<u32> = queue.iter().map(|item| item.pair.number).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), queue.len());
    }

    #[test]
    fn few_pairs_are_all_shown() {
        let queue = queue(&pairs(7), &[], &SpotCheckSettings::default(), &mut Seed::root(1).stream());
        assert_eq!(queue.len(), 7);
    }

    #[test]
    fn the_random_part_is_drawn_from_all_pairs_alike() {
        let settings = SpotCheckSettings { suspicious: 5, random: 5, evidence: 0 };
        let mut counts = [0u32; 20];
        for seed in 0..4000 {
            for item in queue(&pairs(20), &[], &settings, &mut Seed::root(seed).stream()) {
                counts[item.pair.number as usize] += u32::from(item.picked == Picked::Random);
            }
        }
        // 1,000 expected for each, suspicious or not; standard deviation 27.
        assert!(counts.iter().all(|count| (880..1120).contains(count)), "{counts:?}");
    }

    #[test]
    fn only_the_random_part_estimates() {
        let decided =
            [(Picked::Suspicious, true), (Picked::Random, false), (Picked::Random, true), (Picked::Evidence, true)];
        let rate = bad_pair_rate(&decided).unwrap();
        assert_eq!((rate.bad, rate.n, rate.share), (1, 2, 0.5));
        assert!(rate.interval.low < 0.1 && rate.interval.high > 0.9);
        assert_eq!(bad_pair_rate(&decided[..1]), None);
    }
}
