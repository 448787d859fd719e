//! The act in which a reward model teaches itself: a loop that gains, one that loses, and the first of them judges.

use selfreward::run::measures::{Agreement, Calibration, CalibrationBin, Interval};
use selfreward::run::reasons::{Settled, SideOf};

use super::*;

impl Teller {
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
        }
        self.begin(0, Stage::Reward, Model::Reward(3), 0);
        self.finish(0, Stage::Reward, Model::Reward(3), 0);
        Ok(())
    }
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
    let label = |pair| SelfLabel { pair, better: SideOf::First, first: number_of(1.2), second: number_of(-0.4) };
    SelfLabelled {
        iteration: 0,
        model: Model::Reward(number - 1),
        number,
        pool: 840,
        labels: (0..kept).map(label).collect(),
        new: if number == 1 { kept } else { kept - 412 },
        flipped: Some(flipped),
    }
}
