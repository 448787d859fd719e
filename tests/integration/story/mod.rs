//! Journals in memory: healthy runs and each way in which they go wrong, told with seeded numbers.
//!
//! A story is what an engine would have recorded, alarms included (they come from the same linter). Screens, replays and summaries are
//! tested on it without a model and without an engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use selfreward::run::alarms::{AlarmSettings, lint};
use selfreward::run::entry::{Entry, Stamp};
use selfreward::run::event::*;
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{Model, PromptId, RequestId, Seq, Stage};
use selfreward::run::journal::{Writer, segment_name};
use selfreward::run::number::Num;
use selfreward::run::view::RunView;

mod acts;
mod reward;
mod words;

/// What is wrong with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illness {
    Healthy,
    /// The judge forgets its format from iteration 2 on.
    Unparsed,
    /// The judge gives nearly everything the same score.
    Saturated,
    /// Longer answers win.
    Length,
    /// Answers speak to the judge.
    Gaming,
    /// DPO goes too far.
    HotDpo,
    /// A loss becomes NaN.
    Nan,
    /// Answers become alike.
    Collapse,
    /// Texts full of escape sequences and hidden characters.
    Hostile,
}

/// How a run goes, and where the story ends.
#[derive(Clone, Debug)]
pub struct Plot {
    pub name: &'static str,
    pub illness: Illness,
    pub iterations: u32,
    pub prompts: u32,
    pub steps: u64,
    pub seed: u64,
    /// The story breaks off when this share of the stage of this iteration is done.
    pub until: Option<(u32, Stage, f64)>,
    /// Humans decide the queue of every gate that is passed.
    pub decided: bool,
    /// A reward model judges, and teaches itself.
    pub ser: bool,
    /// The policy learns from the rewards of all answers.
    pub rloo: bool,
}

impl Default for Plot {
    fn default() -> Plot {
        Plot {
            name: "haiku",
            illness: Illness::Healthy,
            iterations: 2,
            prompts: 60,
            steps: 120,
            seed: 7,
            until: None,
            decided: true,
            ser: false,
            rloo: false,
        }
    }
}

/// The stories that most tests look at: a name and how it goes.
pub fn shelf() -> Vec<(&'static str, Plot)> {
    let plot = Plot::default;
    let mut shelf = vec![
        ("finished", plot()),
        ("started", Plot { until: Some((0, Stage::Sft, 0.4)), ..plot() }),
        ("writing", Plot { until: Some((1, Stage::Candidates, 0.5)), ..plot() }),
        ("judging", Plot { until: Some((2, Stage::Judge, 0.7)), ..plot() }),
        ("gate", Plot { until: Some((2, Stage::Check, 0.0)), ..plot() }),
        ("learning", Plot { until: Some((2, Stage::Dpo, 0.6)), ..plot() }),
    ];
    shelf.extend([
        ("unparsed", Plot { illness: Illness::Unparsed, ..plot() }),
        ("saturated", Plot { illness: Illness::Saturated, ..plot() }),
        ("length", Plot { illness: Illness::Length, ..plot() }),
        ("gaming", Plot { illness: Illness::Gaming, until: Some((2, Stage::Check, 0.0)), ..plot() }),
        ("hot", Plot { illness: Illness::HotDpo, until: Some((1, Stage::Dpo, 0.9)), ..plot() }),
        ("nan", Plot { illness: Illness::Nan, until: Some((1, Stage::Dpo, 0.9)), ..plot() }),
        ("collapse", Plot { illness: Illness::Collapse, ..plot() }),
        ("started-ser", Plot { ser: true, until: Some((0, Stage::Sft, 0.4)), ..plot() }),
        ("labels", Plot { ser: true, until: Some((0, Stage::Check, 0.0)), ..plot() }),
        ("loops", Plot { ser: true, until: Some((0, Stage::Reward, 0.6)), ..plot() }),
        ("rewarded", Plot { ser: true, until: Some((1, Stage::Prompts, 0.5)), ..plot() }),
        ("rloo", Plot { ser: true, rloo: true, until: Some((2, Stage::Rloo, 0.6)), ..plot() }),
        ("rloo-gate", Plot { rloo: true, until: Some((1, Stage::Check, 0.0)), ..plot() }),
        ("hostile", Plot { illness: Illness::Hostile, until: Some((1, Stage::Check, 0.0)), ..plot() }),
    ]);
    shelf
}

/// The story of this name.
pub fn named(name: &str) -> Plot {
    shelf().into_iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no story {name}")).1
}

impl Plot {
    /// Everything that happened.
    pub fn tell(&self) -> Vec<Entry> {
        let mut teller = Teller::new(self.clone());
        let _ = teller.whole();
        teller.entries
    }

    /// The same as a run folder. Many tests want the same story: a short one is told once.
    pub fn write(&self, root: &Path) -> RunFolder {
        static TOLD: Mutex<BTreeMap<String, Arc<Vec<u8>>>> = Mutex::new(BTreeMap::new());
        let folder = RunFolder::create(root, self.name).unwrap();
        let (key, journal) = (format!("{self:?}"), folder.path().join(segment_name(1)));
        let told = TOLD.lock().unwrap().get(&key).cloned();
        if let Some(told) = told {
            std::fs::write(journal, told.as_slice()).unwrap();
            return folder;
        }
        self.tell_into(&folder);
        if !folder.path().join(segment_name(2)).exists() {
            let told = Arc::new(std::fs::read(journal).unwrap());
            TOLD.lock().unwrap().insert(key, told);
        }
        folder
    }

    fn tell_into(&self, folder: &RunFolder) {
        let mut teller = Teller::new(self.clone());
        // Written as it is told: a long story has no room in memory.
        teller.writer = Some(Writer::open(folder.path()).unwrap());
        let _ = teller.whole();
    }
}

/// Writes entries as a run's journal.
pub fn write(root: &Path, name: &str, entries: &[Entry]) -> RunFolder {
    let folder = RunFolder::create(root, name).unwrap();
    let mut writer = Writer::open(folder.path()).unwrap();
    for entry in entries {
        writer.append(entry).unwrap();
    }
    folder
}

/// The story has reached its end.
struct TheEnd;
type Told = Result<(), TheEnd>;

struct Teller {
    plot: Plot,
    at: Stamp,
    seq: Seq,
    entries: Vec<Entry>,
    view: RunView,
    random: u64,
    requests: u64,
    /// Where entries go instead of staying here.
    writer: Option<Writer>,
}

impl Teller {
    fn new(plot: Plot) -> Teller {
        // 2026-11-21 09:00:00 UTC.
        let at = Stamp(1_795_251_600_000_000);
        let random = plot.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Teller { plot, at, seq: 0, entries: Vec::new(), view: RunView::default(), random, requests: 0, writer: None }
    }

    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Between 0 and 1.
    fn chance(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// About 0, mostly within 1.
    fn noise(&mut self) -> f64 {
        (0..4).map(|_| self.chance() - 0.5).sum()
    }

    fn ill(&self, illness: Illness, iteration: u32) -> bool {
        self.plot.illness == illness && iteration >= 1
    }

    fn say(&mut self, seconds: f64, event: impl Into<Event>) {
        self.at.0 += (seconds * 1e6) as i64;
        self.seq += 1;
        let entry = Entry { seq: self.seq, at: self.at, event: event.into() };
        self.view.apply(&entry);
        match &mut self.writer {
            Some(writer) => writer.append(&entry).unwrap(),
            None => self.entries.push(entry),
        }
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId { writer: "ana-1".into(), number: self.requests }
    }

    /// Breaks off when the story ends here.
    fn maybe_end(&self, iteration: u32, stage: Stage, share: f64) -> Told {
        match self.plot.until {
            Some((last, at, part)) if (last, at) == (iteration, stage) && share >= part => Err(TheEnd),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, iteration: u32, stage: Stage, model: Model, total: u64) {
        self.say(0.5, StageStarted { iteration, stage, model, total });
    }

    fn finish(&mut self, iteration: u32, stage: Stage, model: Model, done: u64) {
        self.say(0.1, StageFinished { iteration, stage, model, done });
        self.warn();
    }

    /// What the linter finds is raised once, as the engine does.
    fn warn(&mut self) {
        let limits = AlarmSettings { min_count: 20, ..AlarmSettings::default() };
        let found = lint(&self.view, &limits);
        let standing: Vec<String> =
            self.view.alarms.keys().filter(|id| found.iter().all(|new| new.id != **id)).cloned().collect();
        for id in standing {
            self.say(0.0, AlarmCleared { id, iteration: self.view.iteration, by: None, request: None });
        }
        for alarm in found {
            let known = self.view.alarms.get(&alarm.id).is_some_and(|known| known.alarm.level >= alarm.level);
            if !known {
                self.say(0.0, alarm);
            }
        }
    }

    fn whole(&mut self) -> Told {
        self.opening();
        self.iteration_zero()?;
        for iteration in 1..=self.plot.iterations {
            self.prompts(iteration)?;
            self.candidates(iteration)?;
            self.judging(iteration)?;
            self.pairing(iteration)?;
            self.check(iteration)?;
            if self.plot.rloo {
                self.rloo(iteration)?
            } else {
                self.dpo(iteration)?
            }
            self.eval(iteration, Model::M(iteration + 1))?;
        }
        self.say(1.0, RunFinished { model: Model::M(self.plot.iterations + 1) });
        Ok(())
    }
}

fn number(value: f64) -> Num {
    Num(value)
}

fn pair_id(iteration: u32, number: u32) -> PromptId {
    PromptId { iteration, number }
}
