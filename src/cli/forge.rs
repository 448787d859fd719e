//! `forge`: makes the embedded model and its seed data anew, and says how far it is.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cli::arguments::ForgeArgs;
use crate::cli::output::Output;
use crate::forge::{self, ForgeSettings, Progress};

/// Between two lines of progress: to a person, and to a file.
const BEAT: Duration = Duration::from_secs(5);
const SLOW_BEAT: Duration = Duration::from_secs(30);

pub fn forge(args: &ForgeArgs, output: &mut Output) -> Result<()> {
    let settings = ForgeSettings { seed: args.seed, threads: args.threads, ..ForgeSettings::default() };
    let begun = Instant::now();
    let beat = if std::io::stderr().is_terminal() { BEAT } else { SLOW_BEAT };
    let (mut first_step, mut told, mut losses) = (None, None::<Instant>, Vec::new());
    forge::forge(&settings, &args.out, &mut |progress| match progress {
        Progress::Corpus { documents, tokens, words } => {
            output.remark(&format!("{documents} documents, {tokens} tokens, {words} words"));
            first_step = Some(Instant::now());
        }
        Progress::Step { step, steps, loss, .. } => {
            losses.push(loss);
            if told.is_none_or(|told| told.elapsed() >= beat) || step == steps {
                told = Some(Instant::now());
                let spent = first_step.map_or(0.0, |first| first.elapsed().as_secs_f64());
                let left = spent / step as f64 * (steps - step) as f64;
                let loss = losses.iter().sum::<f64>() / losses.len() as f64;
                losses.clear();
                output.remark(&format!("step {step} of {steps}, loss {loss:.3}, {spent:.0} s, about {left:.0} s left"));
            }
        }
        Progress::Sampled { answers } => output.remark(&format!("{answers} answers of M0 labelled")),
        Progress::Written { file, bytes } => output.remark(&format!("{file}, {bytes} bytes")),
    })?;
    let seconds = begun.elapsed().as_secs();
    output.line(&format!("{} made in {seconds} s, seed {}", args.out.display(), args.seed))
}
