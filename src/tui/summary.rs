//! A run in one line, read from the two ends of its journal: cheap however long the run is.
//!
//! Used by the list of runs. What stands only in the middle of a journal is absent here.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::run::entry::{Entry, Stamp};
use crate::run::event::{Event, RunStarted};
use crate::run::folder::{RunFolder, list};
use crate::run::ids::{Model, Stage};
use crate::run::journal::{segment_name, segments};

/// Bytes at the end of a journal that are read.
const TAIL: u64 = 256 << 10;
/// A first line is not longer, or it is not read.
const FIRST: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub folder: RunFolder,
    pub started: Option<RunStarted>,
    pub at: Stamp,
    pub alive: bool,
    pub state: &'static str,
    pub stage: Option<(u32, Stage)>,
    pub progress: Option<(u64, u64)>,
    pub loss: Option<f64>,
    pub agreement: Option<(Model, f64)>,
    pub alerts: usize,
}

/// Every run below a folder, newest first.
pub fn summaries(root: &Path) -> Vec<Summary> {
    let mut found: Vec<Summary> = list(root).unwrap_or_default().into_iter().map(summary).collect();
    found.sort_by_key(|summary| std::cmp::Reverse(summary.at));
    found
}

fn summary(folder: RunFolder) -> Summary {
    let mut summary = Summary {
        alive: folder.holder().is_some(),
        started: first(&folder),
        at: Stamp(0),
        state: "running",
        stage: None,
        progress: None,
        loss: None,
        agreement: None,
        alerts: 0,
        folder,
    };
    for entry in last(&summary.folder) {
        summary.add(&entry);
    }
    if !summary.alive && matches!(summary.state, "running" | "paused" | "waiting") {
        summary.state = "interrupted";
    }
    summary
}

impl Summary {
    fn add(&mut self, entry: &Entry) {
        self.at = entry.at;
        match &entry.event {
            Event::StageStarted(event) => {
                self.stage = Some((event.iteration, event.stage));
                self.progress = None;
                self.state = "running";
            }
            Event::DpoStep(event) => {
                self.stage = Some((event.iteration, Stage::Dpo));
                self.progress = Some((event.step, event.of));
                self.loss = Some(event.loss.0);
            }
            Event::RlooStep(event) => {
                self.stage = Some((event.iteration, Stage::Rloo));
                self.progress = Some((event.step, event.of));
                self.loss = Some(event.loss.0);
            }
            Event::SftStep(event) => {
                self.progress = Some((event.step, event.of));
                self.loss = Some(event.loss.0);
            }
            Event::CandidateJudged(event) => self.stage = Some((event.prompt.iteration, Stage::Judge)),
            Event::CandidateSampled(event) => self.stage = Some((event.prompt.iteration, Stage::Candidates)),
            Event::Evaluated(event) => self.agreement = event.agreement.pairwise_half.map(|half| (event.model, half)),
            Event::AlarmRaised(_) => self.alerts += 1,
            Event::AlarmCleared(event) if event.by.is_none() => self.alerts = self.alerts.saturating_sub(1),
            Event::SpotCheckOpened(_) => self.state = "waiting",
            Event::SpotCheckClosed(_) | Event::Resumed(_) | Event::EngineAttached(_) => self.state = "running",
            Event::Paused(_) => self.state = "paused",
            Event::Stopped(_) => self.state = "stopped",
            Event::RunFinished(_) => self.state = "finished",
            Event::Failed(_) => self.state = "failed",
            _ => {}
        }
    }
}

fn first(folder: &RunFolder) -> Option<RunStarted> {
    let file = File::open(folder.path().join(segment_name(1))).ok()?;
    let mut line = Vec::new();
    BufReader::new(file.take(FIRST)).read_until(b'\n', &mut line).ok()?;
    match Entry::from_line(line.strip_suffix(b"\n")?).ok()?.event {
        Event::RunStarted(started) => Some(*started),
        _ => None,
    }
}

/// The last entries of a journal, in order.
fn last(folder: &RunFolder) -> Vec<Entry> {
    let read = || -> std::io::Result<Vec<u8>> {
        let segment = segments(folder.path())?.last().copied().unwrap_or(1);
        let mut file = File::open(folder.path().join(segment_name(segment)))?;
        let start = file.metadata()?.len().saturating_sub(TAIL);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    // A line that was cut at either end has a wrong checksum and falls out.
    read().unwrap_or_default().split(|&byte| byte == b'\n').filter_map(|line| Entry::from_line(line).ok()).collect()
}
