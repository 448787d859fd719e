//! The gate before the optimiser: offers pairs to humans, waits as configured, and fixes the exact set that training will use.

use anyhow::Result;

use crate::engine::drive::Engine;
use crate::engine::overrides::seconds;
use crate::engine::policy::Flow;
use crate::engine::settings::GateMode;
use crate::recipe::spot_check::{Suspect, queue};
use crate::run::event::*;
use crate::run::ids::{PromptId, Stage};
use crate::run::view::{PairStatus, PairView, Round};

impl Engine {
    pub(super) fn check(&mut self, iteration: u32) -> Result<Flow> {
        if self.recorder.view.round(iteration).is_some_and(|round| round.gate.is_none()) {
            self.open_gate(iteration)?;
        }
        if self.wait_at_gate(iteration, None)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        if self.desk().training.is_none() {
            let fixed = self.training_set(iteration);
            self.recorder.record(fixed)?;
        }
        Ok(Flow::Go)
    }

    fn open_gate(&mut self, iteration: u32) -> Result<()> {
        let gate = self.gate()?;
        let Some(round) = self.recorder.view.round(iteration) else { return Ok(()) };
        let suspects: Vec<Suspect> = round
            .pairs()
            .map(|(pair, view)| Suspect { pair, suspicion: view.suspicion, margin: view.margin })
            .collect();
        let alarms = self.recorder.view.alarms.values().filter(|alarm| alarm.alarm.level == Level::Error);
        let evidence: Vec<PromptId> =
            alarms.flat_map(|alarm| &alarm.alarm.evidence).filter_map(|evidence| evidence.parse().ok()).collect();
        let mut stream = self.seed(iteration, Stage::Check).stream();
        let queue = queue(&suspects, &evidence, &self.settings.gate.queue, &mut stream);
        let undecided_limit = self.settings.gate.undecided_limit;
        self.recorder.record(SpotCheckOpened { iteration, number: None, gate, queue, undecided_limit })
    }

    /// What the gate does, as set.
    pub(super) fn gate(&self) -> Result<Gate> {
        let settings = &self.settings.gate;
        Ok(match settings.mode {
            GateMode::Off => Gate::Off,
            GateMode::Wait => Gate::Wait,
            GateMode::Deadline => {
                let seconds = seconds(&settings.deadline).map_err(|why| anyhow::anyhow!("gate.deadline: {why}"))?;
                Gate::Deadline { seconds }
            }
        })
    }

    /// Waits until the gate may close, and closes it. `number` is the loop that learns, at a gate of labels.
    pub(super) fn wait_at_gate(&mut self, iteration: u32, number: Option<u32>) -> Result<Flow> {
        // Counted from now, not from the opening: nobody could decide while no engine lived.
        let began = self.recorder.uptime();
        loop {
            let Some(gate) = self.recorder.view.open_gate() else { return Ok(Flow::Go) };
            let deadline = match gate.gate {
                Gate::Deadline { seconds } => Some(seconds),
                Gate::Off | Gate::Wait => None,
            };
            let tally = self.recorder.view.round(iteration).map(|round| round.check()).unwrap_or_default();
            let why = if gate.gate == Gate::Off {
                Some(GateClosed::Off)
            } else if let Some(by) = self.desk().closing.clone() {
                Some(GateClosed::Asked { by })
            } else if tally.decided == tally.offered {
                Some(GateClosed::Decided)
            } else if deadline.is_some_and(|seconds| self.recorder.uptime() - began >= seconds) {
                Some(GateClosed::Deadline)
            } else {
                None
            };
            if let Some(why) = why {
                self.recorder.set_deadline(None);
                self.recorder.record(SpotCheckClosed {
                    iteration,
                    number,
                    why,
                    offered: tally.offered,
                    decided: tally.decided,
                    random_decided: tally.random_decided,
                    random_bad: tally.random_bad,
                })?;
                return Ok(Flow::Go);
            }
            let until = deadline.map(|seconds| {
                let left = (seconds - (self.recorder.uptime() - began)).max(0.0);
                crate::engine::recorder::Recorder::clock().0 + (left * 1e6) as i64
            });
            self.recorder.set_deadline(until);
            self.recorder.hold_word(Some("waiting for a spot check".into()));
            self.recorder.wait()?;
            if self.recorder.safe_point()? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
    }

    /// Every pair as humans left it.
    fn training_set(&self, iteration: u32) -> TrainingSetFixed {
        let nothing = Round::default();
        let round = self.recorder.view.round(iteration).unwrap_or(&nothing);
        fixed((iteration, None), round, round.pairs(), |used| {
            let texts = &self.desk().candidates[used.pair.number as usize];
            [
                &self.desk().prompts[used.pair.number as usize],
                &texts[used.chosen as usize].text,
                &texts[used.rejected as usize].text,
            ]
        })
    }
}

/// These pairs as humans left them; after a deadline, without the undecided ones that are too suspicious.
pub(super) fn fixed<'a>(
    (iteration, number): (u32, Option<u32>),
    round: &Round,
    offered: impl Iterator<Item = (PromptId, &'a PairView)>,
    texts: impl Fn(&Used) -> [&'a str; 3],
) -> TrainingSetFixed {
    let (mut pairs, mut left_out, mut hasher) = (Vec::new(), Vec::new(), blake3::Hasher::new());
    let gate = round.gate.as_ref();
    let passed_deadline =
        gate.and_then(|gate| gate.closed.as_ref()).is_some_and(|(_, closed)| closed.why == GateClosed::Deadline);
    let limit = gate.map_or(1.0, |gate| gate.undecided_limit);
    for (id, pair) in offered {
        match direction(pair, passed_deadline.then_some(limit)) {
            Ok((chosen, rejected)) => {
                let used = Used { pair: id, chosen, rejected };
                for text in texts(&used) {
                    hasher.update(&(text.len() as u64).to_le_bytes());
                    hasher.update(text.as_bytes());
                }
                pairs.push(used);
            }
            Err(why) => left_out.push(LeftOut { pair: id, why }),
        }
    }
    TrainingSetFixed { iteration, number, pairs, left_out, hash: hasher.finalize().to_hex()[..32].to_string() }
}

/// Chosen and rejected as they will be used, or why the pair is left out.
fn direction(pair: &PairView, undecided_limit: Option<f64>) -> Result<(u32, u32), LeftOutWhy> {
    match pair.outcome {
        Outcome::Use { chosen, rejected } => Ok((chosen, rejected)),
        Outcome::Drop => Err(LeftOutWhy::Human),
        Outcome::Undecided => match undecided_limit {
            Some(limit) if pair.suspicion > limit => Err(LeftOutWhy::UndecidedSuspicious),
            // Deferred and never come back to: the human wanted to look again.
            Some(_) if pair.status == PairStatus::Deferred => Err(LeftOutWhy::UndecidedSuspicious),
            _ => Ok((pair.chosen, pair.rejected)),
        },
    }
}
