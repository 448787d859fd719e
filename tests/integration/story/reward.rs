//! The act in which a reward model teaches itself: a loop that gains, one that loses, and the first of them judges. Ana looks at labels
//! before each of them.

use selfreward::run::measures::{Agreement, Calibration, CalibrationBin, Interval};
use selfreward::run::reasons::{Settled, SideOf, Sign, SignKind};

use super::*;

impl Teller {
    /// The policy learns from the rewards of all answers.
    pub(super) fn rloo(&mut self, iteration: u32) -> Told {
        let (of, model) = (self.plot.steps, Model::M(iteration + 1));
        self.begin(iteration, Stage::Rloo, model, of);
        for step in 1..=of {
            let share = (step - 1) as f64 / of as f64;
            let noise = if step == 1 { 0.0 } else { 0.08 * self.noise() };
            let watched = step.is_multiple_of(10);
            self.say(
                1.8,
                RlooStep {
                    iteration,
                    model,
                    step,
                    of,
                    loss: number(noise - 0.2 * share),
                    reward: number(0.4 + noise),
                    gain: number(0.7 * share + noise),
                    kl: number((0.8 * share + noise * share).abs()),
                    kl_held_out: watched.then(|| number(0.5 * share)),
                    kl_held_out_n: watched.then_some(16),
                    advantage_sd: number(1.0 + noise - 0.2 * share),
                    flat: number(0.0),
                    clipped: number(0.3 * share),
                    reply_tokens: number(40.0 - 3.0 * share + noise),
                    grad_norm: number(1.6 + noise.abs()),
                    lr: number(5e-6 * (1.0 - 0.9 * share)),
                    prompts: 16,
                    samples: 64,
                    tokens: 2600,
                    not_applied: Vec::new(),
                    tokens_per_s: Some(number(900.0 + 20.0 * noise)),
                    memory_bytes: Some(880_000_000),
                },
            );
            self.maybe_end(iteration, Stage::Rloo, step as f64 / of as f64)?;
        }
        self.finish(iteration, Stage::Rloo, model, of);
        self.checkpoint(iteration, Stage::Rloo, model, of);
        Ok(())
    }

    /// Loops 0 to 3, of which the last has nothing to do.
    pub(super) fn reward_loops(&mut self) -> Told {
        for (number, right, own) in [(0, 0.71, 0), (1, 0.79, 412), (2, 0.66, 505)] {
            let (model, of) = (Model::Reward(number), 20 + u64::from(number) * 20);
            self.begin(0, Stage::Reward, model, of);
            for step in 1..=of {
                let share = step as f64 / of as f64;
                let margin = 2.0 * share + 0.3 * self.noise();
                self.say(
                    0.9,
                    RewardStep {
                        iteration: 0,
                        model,
                        step,
                        of,
                        loss: number_of((-margin).exp().ln_1p()),
                        reward_chosen: number_of(margin / 2.0),
                        reward_rejected: number_of(-margin / 2.0),
                        accuracy: number_of(0.5 + 0.4 * share),
                        grad_norm: number_of(1.3),
                        lr: number_of(1e-3 * (1.0 - share)),
                        pairs: 16,
                        tokens: 900,
                        not_applied: Vec::new(),
                        tokens_per_s: Some(number_of(2100.0)),
                        memory_bytes: Some(480_000_000),
                    },
                );
                let done = (f64::from(number) + share) / 3.0;
                self.maybe_end(0, Stage::Reward, done)?;
            }
            self.say(1.0, measured(number, right, own));
            let why = Settled::NoGain;
            match number {
                2 => self.say(0.1, RewardChosen { iteration: 0, model: Model::Reward(1), number: 1, loops: 2, why }),
                _ => self.say(0.4, labelled(number + 1, [412, 505][number as usize], [61, 118][number as usize])),
            }
            self.finish(0, Stage::Reward, model, of);
            self.check_labels(number + 1)?;
        }
        self.begin(0, Stage::Reward, Model::Reward(3), 0);
        self.finish(0, Stage::Reward, Model::Reward(3), 0);
        Ok(())
    }

    /// The gate between two loops. Without labels there is nothing to look at.
    fn check_labels(&mut self, number: u32) -> Told {
        let by = Model::Reward(number - 1);
        if self.view.reward.labels_of(number).is_none() {
            self.begin(0, Stage::Check, by, 0);
            self.finish(0, Stage::Check, by, 0);
            return Ok(());
        }
        let open = self.view.round(0).unwrap().pairs().filter(|(_, pair)| !pair.status.is_decided());
        let mut labels: Vec<(PromptId, f64)> = open.map(|(id, pair)| (id, pair.suspicion)).collect();
        labels.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let suspicious = labels.iter().take(5).map(|(pair, _)| (*pair, Picked::Suspicious));
        let random = labels.iter().skip(9).step_by(60).take(5).map(|(pair, _)| (*pair, Picked::Random));
        let queue: Vec<Queued> = suspicious.chain(random).map(|(pair, picked)| Queued { pair, picked }).collect();
        let offered = queue.len() as u32;
        self.begin(0, Stage::Check, by, offered.into());
        for queued in &queue {
            let pair = queued.pair;
            for (answer, text) in texts(pair.number) {
                self.say(0.0, TextOffered { pair, answer, text });
            }
        }
        let gate = Gate::Deadline { seconds: 1800.0 };
        let opened =
            SpotCheckOpened { iteration: 0, number: Some(number), gate, queue: queue.clone(), undecided_limit: 0.9 };
        self.say(0.1, opened);
        self.maybe_end(0, Stage::Check, 0.0)?;
        let mut random_bad = 0;
        for (place, queued) in queue.iter().enumerate() {
            let pair = self.view.pair(queued.pair).unwrap().clone();
            let stands = Outcome::Use { chosen: pair.chosen, rejected: pair.rejected };
            let (decision, outcome, reason) = match place {
                0 => (Decision::Veto, Outcome::Drop, Some(VetoReason::Wrong)),
                1 | 6 => (Decision::Swap, Outcome::Use { chosen: pair.rejected, rejected: pair.chosen }, None),
                _ => (Decision::Keep, stands, None),
            };
            random_bad += u32::from(queued.picked == Picked::Random && outcome != stands);
            let took = 1200 + self.below(3000) as u64;
            let decided = PairDecided {
                decision,
                pairs: vec![Decided { pair: queued.pair, outcome }],
                by: "ana".into(),
                request: self.request(),
                reason,
                note: None,
                took_ms: Some(took),
                blind: false,
                filter: None,
            };
            self.say(took as f64 / 1000.0, decided);
        }
        let (why, random_decided) = (GateClosed::Decided, offered - 5);
        self.say(
            0.1,
            SpotCheckClosed {
                iteration: 0,
                number: Some(number),
                why,
                offered,
                decided: offered,
                random_decided,
                random_bad,
            },
        );
        let (mut pairs, mut left_out) = (Vec::new(), Vec::new());
        for (pair, view) in self.view.round(0).unwrap().pairs() {
            match view.outcome {
                Outcome::Undecided => pairs.push(Used { pair, chosen: view.chosen, rejected: view.rejected }),
                Outcome::Use { chosen, rejected } => pairs.push(Used { pair, chosen, rejected }),
                Outcome::Drop => left_out.push(LeftOut { pair, why: LeftOutWhy::Human }),
            }
        }
        let hash = "1".repeat(32);
        self.say(0.1, TrainingSetFixed { iteration: 0, number: Some(number), pairs, left_out, hash });
        self.finish(0, Stage::Check, by, offered.into());
        Ok(())
    }
}

/// A pair of the pool as people wrote it.
fn texts(number: u32) -> [(Option<SideOf>, String); 3] {
    const THINGS: [&str; 4] = ["a hedgehog sleeps in winter", "tea cools down", "leaves turn red", "iron rusts"];
    let thing = THINGS[number as usize % THINGS.len()];
    [
        (
            Some(SideOf::First),
            format!("Because of what happens inside: {thing} little by little, and warmth is saved."),
        ),
        (Some(SideOf::Second), format!("Nobody knows why {thing}, it has always been like that.")),
        (None, format!("Explain to a child why {thing}.")),
    ]
}

fn number_of(value: f64) -> selfreward::run::number::Num {
    selfreward::run::number::Num(value)
}

fn measured(number: u32, right: f64, own: u32) -> RewardMeasured {
    let bin = |n: u32, sure: f64, right: f64| CalibrationBin { n, sure, right };
    RewardMeasured {
        iteration: 0,
        model: Model::Reward(number),
        number,
        human: 148,
        own,
        deciding: Some(right - 0.01),
        deciding_pairs: 310,
        agreement: Agreement {
            prompts: 96,
            pairs: 322,
            pairwise_strict: Some(right),
            pairwise_half: Some(right),
            interval: Some(Interval { low: right - 0.04, high: right + 0.04 }),
            responses: 400,
            ..Agreement::default()
        },
        loss: Some(0.55),
        calibration: Calibration {
            error: Some(0.06),
            bins: vec![
                bin(60, 0.55, 0.5),
                bin(60, 0.65, 0.6),
                bin(70, 0.75, 0.7),
                bin(70, 0.85, 0.8),
                bin(62, 0.95, 0.88),
            ],
        },
    }
}

fn labelled(number: u32, kept: u32, flipped: u32) -> SelfLabelled {
    let sign = |kind, amount| Sign { kind, amount };
    let label = |pair: u32| {
        let signs = match pair % 40 {
            3 => vec![sign(SignKind::Length, 0.28), sign(SignKind::Unsure, 0.31)],
            17 => vec![sign(SignKind::Unsure, 0.12)],
            31 if number > 1 => vec![sign(SignKind::Unsure, 0.35), sign(SignKind::Turned, 0.45)],
            _ => Vec::new(),
        };
        let first = if signs.is_empty() { 1.2 } else { 0.2 };
        SelfLabel {
            pair,
            better: SideOf::First,
            first: number_of(first),
            second: number_of(-0.4),
            length_ratio: Some(1.0 + f64::from(pair % 7) / 10.0),
            suspicion: signs.iter().map(|sign| sign.amount).sum(),
            signs,
        }
    };
    SelfLabelled {
        iteration: 0,
        model: Model::Reward(number - 1),
        number,
        pool: 840,
        labels: (0..kept).map(label).collect(),
        new: if number == 1 { kept } else { kept - 412 },
        flipped: Some(flipped),
        suspicion_auroc: Some(0.68),
    }
}
