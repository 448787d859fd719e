//! How long a run of these settings would take on this machine: what it reads and writes, at the rates that were measured.
//!
//! `bench` prints it. People who wait at a gate, and teachers, are not in it.

use std::path::Path;

use anyhow::{Context, Result};

use crate::engine::materials::Materials;
use crate::engine::settings::Settings;
use crate::engine::workload::{self, Lengths, Work};
use crate::model::commands::bench::{RunTime, Speeds, StageTime};
use crate::model::tokenizer::Tokenizer;
use crate::run::ids::Stage;

/// What a run of these settings does, in tokens of its model.
pub struct Workload {
    lengths: Lengths,
    works: Vec<Work>,
    iterations: u32,
}

impl Workload {
    pub fn of(settings: &Settings, model: &Path) -> Result<Workload> {
        let materials = Materials::read(settings)?;
        let tokenizer = Tokenizer::open(model).context("the run's texts are counted in tokens")?;
        let lengths = Lengths::of(settings, &materials, &|text| Ok(tokenizer.encode(text, false)?.len()))?;
        let works = workload::of(settings, &materials, lengths);
        Ok(Workload { lengths, works, iterations: settings.run.iterations })
    }

    pub fn time(&self, speeds: Speeds) -> RunTime {
        let seconds = |work: &Work| {
            work.read / speeds.prefill
                + work.written / speeds.decode
                + work.learnt / speeds.sft
                + work.compared / speeds.dpo
        };
        let mut stages: Vec<StageTime> = Vec::new();
        for work in &self.works {
            let what = label(work);
            match stages.iter_mut().find(|stage| stage.what == what) {
                Some(stage) => stage.seconds += seconds(work),
                None => stages.push(StageTime { what, seconds: seconds(work) }),
            }
        }
        let Lengths { prompt, answer, judge_prompt, judgement, .. } = self.lengths;
        let of = format!(
            "a run of {} iterations by the settings, with {prompt:.0} tokens a prompt, {answer:.0} an answer, {judge_prompt:.0} a judge prompt, {judgement:.0} a judgement",
            self.iterations
        );
        RunTime { of, seconds: stages.iter().map(|stage| stage.seconds).sum(), stages }
    }
}

/// Stages that every iteration has are added up.
fn label(work: &Work) -> String {
    let name = match work.stage {
        Stage::Eval => "measuring models",
        Stage::Baseline => "SFT baseline",
        Stage::Eft => "judging people's data",
        Stage::Sft => "M1",
        Stage::Reward => "reward models",
        Stage::Prompts => "prompts",
        Stage::Candidates => "candidates",
        Stage::Judge => "judging",
        Stage::Dpo => "preferences",
        Stage::Rloo => "rewards",
        Stage::Pairs | Stage::Check => "choosing",
    };
    name.to_owned()
}
