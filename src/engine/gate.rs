//! The gate before the optimiser: offers pairs to humans, waits as configured, and fixes the exact set that training will use.

use std::time::Instant;

use anyhow::Result;

use crate::engine::drive::Engine;
use crate::engine::overrides::seconds;
use crate::engine::policy::Flow;
use crate::engine::settings::GateMode;
use crate::recipe::spot_check::{Suspect, queue};
use crate::run::event::*;
use crate::run::ids::{PromptId, Stage};
use crate::run::view::{PairStatus, PairView};

impl Engine {
    pub(super) fn check(&mut self, iteration: u32) -> Result<Flow> {
        if self.recorder.view.round(iteration).is_some_and(|round| round.gate.is_none()) {
            self.open_gate(iteration)?;
        }
        if self.wait_at_gate(iteration)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        if self.desk().training.is_none() {
            let fixed = self.training_set(iteration);
            self.recorder.record(fixed)?;
        }
        Ok(Flow::Go)
    }

    fn open_gate(&mut self, iteration: u32) -> Result<()> {
        let settings = &self.settings.gate;
        let gate = match settings.mode {
            GateMode::Off => Gate::Off,
            GateMode::Wait => Gate::Wait,
            GateMode::Deadline => {
                let seconds = seconds(&settings.deadline).map_err(|why| anyhow::anyhow!("gate.deadline: {why}"))?;
                Gate::Deadline { seconds }
            }
        };
        let Some(round) = self.recorder.view.round(iteration) else { return Ok(()) };
        let suspects: Vec<Suspect> = round
            .pairs()
            .map(|(pair, view)| Suspect { pair, suspicion: view.suspicion, margin: view.margin })
            .collect();
        let alarms = self.recorder.view.alarms.values().filter(|alarm| alarm.alarm.level == Level::Error);
        let evidence: Vec<PromptId> =
            alarms.flat_map(|alarm| &alarm.alarm.evidence).filter_map(|evidence| evidence.parse().ok()).collect();
        let mut stream = self.seed(iteration, Stage::Check).stream();
        let queue = queue(&suspects, &evidence, &settings.queue, &mut stream);
        let undecided_limit = settings.undecided_limit;
        self.recorder.record(SpotCheckOpened { iteration, gate, queue, undecided_limit })
    }

    /// Waits until the gate may close, and closes it.
    fn wait_at_gate(&mut self, iteration: u32) -> Result<Flow> {
        // Counted from now, not from the opening: nobody could decide while no engine lived.
        let began = Instant::now();
        loop {
            let Some(gate) = self.recorder.view.open_gate() else { return Ok(Flow::Go) };
            let deadline = match gate.gate {
                Gate::Deadline { seconds } => Some(seconds),
                Gate::Off | Gate::Wait => None,
            };
            let tally = self.recorder.view.round(iteration).map(|round| round.check()).unwrap_or_default();
            let why = if gate.gate == Gate::Off {
                Some(GateClosed::Off)
            } else if let Some(by) = self.recorder.closed_by.take() {
                Some(GateClosed::Asked { by })
            } else if tally.decided == tally.offered {
                Some(GateClosed::Decided)
            } else if deadline.is_some_and(|seconds| began.elapsed().as_secs_f64() >= seconds) {
                Some(GateClosed::Deadline)
            } else {
                None
            };
            if let Some(why) = why {
                self.recorder.set_deadline(None);
                self.recorder.record(SpotCheckClosed {
                    iteration,
                    why,
                    offered: tally.offered,
                    decided: tally.decided,
                    random_decided: tally.random_decided,
                    random_bad: tally.random_bad,
                })?;
                return Ok(Flow::Go);
            }
            let until = deadline.map(|seconds| {
                let left = (seconds - began.elapsed().as_secs_f64()).max(0.0);
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

    /// Every pair as humans left it; with a deadline, without the undecided ones that are too suspicious.
    fn training_set(&self, iteration: u32) -> TrainingSetFixed {
        let mut pairs = Vec::new();
        let mut left_out = Vec::new();
        let mut hasher = blake3::Hasher::new();
        let Some(round) = self.recorder.view.round(iteration) else {
            return TrainingSetFixed { iteration, pairs, left_out, hash: String::new() };
        };
        let gate = round.gate.as_ref();
        let passed_deadline =
            gate.and_then(|gate| gate.closed.as_ref()).is_some_and(|(_, closed)| closed.why == GateClosed::Deadline);
        let limit = gate.map_or(1.0, |gate| gate.undecided_limit);
        for (id, pair) in round.pairs() {
            match direction(pair, passed_deadline.then_some(limit)) {
                Ok((chosen, rejected)) => {
                    let texts = &self.desk().candidates[id.number as usize];
                    for text in [
                        &self.desk().prompts[id.number as usize],
                        &texts[chosen as usize].text,
                        &texts[rejected as usize].text,
                    ] {
                        hasher.update(&(text.len() as u64).to_le_bytes());
                        hasher.update(text.as_bytes());
                    }
                    pairs.push(Used { pair: id, chosen, rejected });
                }
                Err(why) => left_out.push(LeftOut { pair: id, why }),
            }
        }
        TrainingSetFixed { iteration, pairs, left_out, hash: hasher.finalize().to_hex()[..32].to_string() }
    }
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
