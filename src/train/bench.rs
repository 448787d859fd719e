//! How long an optimiser step takes: what `selfreward bench` measures beside sampling and scoring.
//!
//! It reads the clock, as nothing else in training does.

use std::time::Instant;

use anyhow::Result;

use crate::model::random;
use crate::model::shape::Shape;
use crate::model::weights::TensorSource;
use crate::train::batch::Sequence;
use crate::train::dpo::{Dpo, DpoSettings, Pair};
use crate::train::hand::net::Net;
use crate::train::losses::PreferenceLoss;
use crate::train::optimizer::OptimizerSettings;
use crate::train::schedule::{Curve, Schedule};
use crate::train::sft::Sft;
use crate::train::step::{LessonSettings, StepReport};
use crate::train::workers::Workers;

/// What is timed.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub rows: usize,
    /// Positions of each row that are computed.
    pub length: usize,
    pub threads: usize,
    pub most_positions: usize,
    pub recompute: bool,
    pub repeats: usize,
}

/// Median seconds of a step of fine-tuning in which every position counts, and of one of preferences on as many rows.
#[derive(Clone, Copy, Debug)]
pub struct StepTimes {
    pub sft: f64,
    pub dpo: f64,
}

pub fn steps(shape: &Shape, source: &(impl TensorSource + ?Sized), load: Load) -> Result<StepTimes> {
    let lesson = LessonSettings {
        optimizer: OptimizerSettings::default(),
        schedule: Schedule { curve: Curve::Constant, lr: 1e-5, lr_end: 1e-5, warmup: 0.0 },
        batch: load.rows,
        epochs: 1 << 20,
        most_positions: load.most_positions,
        dropout: 0.0,
        adapter_dropout: 0.0,
        recompute: load.recompute,
        seed: 1,
    };
    let row = |key: usize| -> Result<Sequence> {
        let token = |at: usize| (random::derive(key as u64, at as u64) % shape.vocab as u64) as u32;
        Sequence::new((0..=load.length).map(token).collect(), 1..load.length + 1, load.length + 1)
    };
    let rows = (0..load.rows).map(row).collect::<Result<Vec<Sequence>>>()?;
    let workers = Workers::new(load.threads)?;
    let mut sft = Sft::new(Net::load(shape, source)?, rows.clone(), Vec::new(), lesson, workers)?;
    let sft_time = median(load.repeats, || sft.step())?;
    // The same memory serves the second kind.
    let (student, workers) = sft.pupil.into_student()?;
    let pair = |sides: &[Sequence]| Pair {
        chosen: sides[0].clone(),
        rejected: sides[1].clone(),
        reference_chosen: 0.0,
        reference_rejected: 0.0,
    };
    let pairs: Vec<Pair> = rows.chunks_exact(2).map(pair).collect();
    let settings = DpoSettings {
        lesson: LessonSettings { batch: pairs.len(), ..lesson },
        loss: PreferenceLoss::Dpo { beta: 0.1, label_smoothing: 0.0 },
        nll_weight: 0.0,
        length_tail: 1.0,
        replay: 0,
    };
    let mut dpo = Dpo::new(student, pairs, Vec::new(), Vec::new(), settings, workers)?;
    Ok(StepTimes { sft: sft_time, dpo: median(load.repeats, || dpo.step())? })
}

fn median(repeats: usize, mut step: impl FnMut() -> Result<StepReport>) -> Result<f64> {
    // The first step makes the buffers that all others use.
    step()?;
    let mut times = Vec::new();
    for _ in 0..repeats.max(1) {
        let start = Instant::now();
        step()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
