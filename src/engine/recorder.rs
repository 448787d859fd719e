//! The one hand that writes: appends facts, keeps view and desk in step, syncs, raises alarms, and waits where the run must wait.
//!
//! The only part of the engine that reads a clock. Everything that can hold a run up (a pause, a full disk, an open gate) happens in here,
//! at safe points between items.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use crate::engine::ballast::Ballast;
use crate::engine::desk::Desk;
use crate::engine::policy::{Flow, Taught, Till};
use crate::engine::settings::Settings;
use crate::recipe::pairs::PairSettings;
use crate::run::alarms::{AlarmSettings, lint};
use crate::run::command::{Inbox, StopWhen};
use crate::run::entry::{Entry, Stamp};
use crate::run::event::*;
use crate::run::folder::{Now, RunFolder, Writing};
use crate::run::ids::{PromptId, RequestId};
use crate::run::journal::Writer;
use crate::run::lookup::{Entries, Lookup};
use crate::run::view::{RunView, State};

/// Lines that may be unsynced, and how long.
const UNSYNCED_LINES: u32 = 64;
const UNSYNCED: Duration = Duration::from_secs(1);
/// How often the heartbeat is written and requests are looked for.
const BEAT: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(50);
/// How long to sleep while there is nothing to do but wait.
const NAP: Duration = Duration::from_millis(20);

/// Signals that ask the engine to leave, set by handlers.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// Leave at the next safe point.
    pub stop: Arc<AtomicBool>,
}

/// Who is told of each entry as it is recorded: headless lines, tests.
pub type Listener = Box<dyn FnMut(&Entry, &RunView)>;

/// Why the engine is about to leave its loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaving {
    Asked {
        why: String,
        request: Option<RequestId>,
    },
    /// Plan again from the view: the run went back.
    Again,
}

pub struct Recorder {
    pub folder: RunFolder,
    pub view: RunView,
    pub desk: Desk,
    pub(super) lookup: Lookup,
    writer: Writer,
    pub(super) inbox: Inbox,
    pub(super) limits: AlarmSettings,
    ballast: Ballast,
    signals: Signals,
    listener: Listener,
    pub(super) now: Now,
    pub(super) leaving: Option<Leaving>,
    pub(super) stop_when: Option<(StopWhen, RequestId, String)>,
    pub(super) snapshot: Option<(RequestId, String)>,
    /// Mean scores of the candidates of each pair and how pairs are chosen: what an edited score needs.
    pub(super) means: BTreeMap<PromptId, Vec<Option<f64>>>,
    pub(super) pair_settings: PairSettings,
    began: Instant,
    unsynced: u32,
    last_sync: Instant,
    last_beat: Instant,
    last_look: Instant,
    /// The last fact was one after which the linter looks.
    lint_due: bool,
}

impl Recorder {
    /// `view`, `desk` and `lookup` are the folds of what the folder's journal holds already.
    pub fn new(
        folder: RunFolder,
        view: RunView,
        desk: Desk,
        lookup: Lookup,
        settings: &Settings,
        signals: Signals,
        listener: Listener,
    ) -> Result<Recorder> {
        let writer = Writer::open(folder.path()).context("opening the journal for writing")?;
        let long_ago = Instant::now().checked_sub(BEAT).unwrap_or_else(Instant::now);
        let now = Now { pid: std::process::id(), host: crate::run::folder::host_name(), ..Now::default() };
        Ok(Recorder {
            inbox: Inbox::open(folder.path()),
            ballast: Ballast::new(folder.path()),
            folder,
            view,
            desk,
            lookup,
            writer,
            limits: settings.alarms.clone(),
            signals,
            listener,
            now,
            leaving: None,
            stop_when: None,
            snapshot: None,
            means: BTreeMap::new(),
            pair_settings: settings.pairs.clone(),
            began: Instant::now(),
            unsynced: 0,
            last_sync: long_ago,
            last_beat: long_ago,
            last_look: long_ago,
            lint_due: false,
        })
    }

    /// On resume: the candidates' means of these pairs, read again from the journal.
    pub fn recall_means(&mut self, pairs: &[PromptId]) {
        for id in pairs {
            let Some(seq) = self.view.pair(*id).map(|pair| pair.seq) else { continue };
            if let Some(Entry { event: Event::PairSelected(event), .. }) = self.lookup.entry(seq) {
                self.means.insert(*id, event.means);
            }
        }
    }

    /// Wall-clock time, for entries.
    pub fn clock() -> Stamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Stamp(since.as_micros() as i64)
    }

    /// Seconds since this engine began, by a clock that nobody sets.
    pub fn uptime(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Records one fact. A full disk holds the run here, aloud, until there is space or somebody stops it.
    pub fn record(&mut self, event: impl Into<Event>) -> Result<()> {
        self.put(event.into())?;
        if self.lint_due {
            self.lint()?;
        }
        Ok(())
    }

    fn put(&mut self, event: Event) -> Result<()> {
        let syncs = is_worth_a_sync(&event);
        let mut entry = Entry { seq: self.view.seq + 1, at: Self::clock(), event };
        if let Err(error) = self.writer.append(&entry) {
            entry = self.hold_for_storage(entry, &error)?;
        }
        self.take(&entry);
        // Alarms change no fact: what the linter owes after the last fact it still owes.
        if !matches!(entry.event, Event::AlarmRaised(_) | Event::AlarmCleared(_)) {
            // Asked of the view that holds the event, as a resume will ask it.
            self.lint_due = is_lint_moment(&entry.event, &self.view);
        }
        self.unsynced += 1;
        if syncs || self.unsynced >= UNSYNCED_LINES || self.last_sync.elapsed() >= UNSYNCED {
            self.sync()?;
        }
        Ok(())
    }

    /// Folds an entry that stands in the journal.
    fn take(&mut self, entry: &Entry) {
        self.view.apply(entry);
        self.desk.apply(&entry.event);
        if let Event::PairSelected(event) = &entry.event {
            self.means.insert(event.id, event.means.clone());
        }
        self.lookup.passed(entry.seq, self.writer.place_of_last());
        (self.listener)(entry, &self.view);
    }

    /// Makes everything recorded so far survive a power cut.
    pub fn sync(&mut self) -> Result<()> {
        if self.unsynced > 0 {
            // The kernel may have dropped what it failed to write: going on would record facts after a hole.
            self.writer
                .sync()
                .context("syncing the journal; restart with `selfreward resume` to re-read what is on the disk")?;
            self.unsynced = 0;
        }
        self.last_sync = Instant::now();
        Ok(())
    }

    /// The journal cannot be written. Says so (room for that was kept), then tries again until it works or the run is stopped.
    fn hold_for_storage(&mut self, mut entry: Entry, error: &std::io::Error) -> Result<Entry> {
        self.ballast.drop_it();
        let what = format!("writing the journal: {error}");
        let paused = Paused { why: PauseReason::Storage { error: what.clone() }, by: None, request: None };
        let mut said = self.say(&paused);
        loop {
            if self.signals.stop.load(Ordering::Relaxed) {
                bail!("{what}; stopped while waiting for space");
            }
            self.now.held = Some(what.clone());
            self.beat(true);
            std::thread::sleep(Duration::from_millis(300));
            said = said || self.say(&paused);
            if !said {
                continue;
            }
            let resumed = Resumed { by: None, request: None };
            let back = Entry { seq: self.view.seq + 1, at: Self::clock(), event: resumed.into() };
            entry.seq = back.seq + 1;
            entry.at = Self::clock();
            if self.ballast.there_is_room() && self.writer.append(&back).is_ok() {
                self.take(&back);
                self.now.held = None;
                if self.writer.append(&entry).is_ok() {
                    self.ballast.restore();
                    return Ok(entry);
                }
                said = false;
                entry.seq = self.view.seq + 1;
            }
        }
    }

    /// Records a pause if there is room for the line.
    fn say(&mut self, paused: &Paused) -> bool {
        let entry = Entry { seq: self.view.seq + 1, at: Self::clock(), event: paused.clone().into() };
        let written = self.writer.append(&entry).is_ok();
        if written {
            self.take(&entry);
        }
        written
    }

    /// Does something that needs space on the disk. While there is none the run is paused, aloud; none when it was stopped meanwhile.
    pub fn until_there_is_space<T>(&mut self, mut write: impl FnMut() -> Result<T>) -> Result<Option<T>> {
        loop {
            let error = match write() {
                Ok(done) => {
                    if matches!(self.view.state, State::Paused(PauseReason::Storage { .. })) {
                        self.put(Resumed { by: None, request: None }.into())?;
                        self.ballast.restore();
                    }
                    return Ok(Some(done));
                }
                Err(error) => error,
            };
            let kind = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
            use std::io::ErrorKind::*;
            if !matches!(kind, Some(StorageFull | QuotaExceeded | FileTooLarge | WriteZero)) {
                return Err(error);
            }
            if !matches!(self.view.state, State::Paused(_)) {
                self.ballast.drop_it();
                let why = PauseReason::Storage { error: format!("{error:#}") };
                self.put(Paused { why, by: None, request: None }.into())?;
            }
            self.now.held = Some(format!("{error:#}"));
            for _ in 0..15 {
                self.wait()?;
                if self.leaving.is_some() {
                    return Ok(None);
                }
            }
        }
    }

    /// Compares what looks wrong now with what was said: raises what is new, clears what is over.
    pub(super) fn lint(&mut self) -> Result<()> {
        self.lint_due = false;
        let found = lint(&self.view, &self.limits);
        for alarm in &found {
            let graver = |known: &crate::run::view::AlarmView| known.alarm.level < alarm.level;
            if self.view.alarms.get(&alarm.id).is_none_or(graver) {
                self.put(alarm.clone().into())?;
            }
        }
        let over: Vec<String> = self
            .view
            .alarms
            .iter()
            .filter(|(id, _)| !id.starts_with("sys") && !found.iter().any(|alarm| alarm.id == **id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            self.put(AlarmCleared { id, iteration: self.view.iteration, by: None, request: None }.into())?;
        }
        Ok(())
    }

    /// On resume: the linter may owe a look after the last fact.
    pub fn owe_lint(&mut self, last_fact: Option<&Event>) -> Result<()> {
        if last_fact.is_some_and(|event| is_lint_moment(event, &self.view)) {
            self.lint()?;
        }
        Ok(())
    }

    fn heed_signals(&mut self) {
        if self.signals.stop.load(Ordering::Relaxed) && self.leaving.is_none() {
            self.leaving = Some(Leaving::Asked { why: "a signal asked the engine to stop".into(), request: None });
        }
    }

    /// Hears signals and, when it is time again, requests; lets the heart beat.
    fn attend(&mut self) -> Result<()> {
        self.heed_signals();
        if self.last_look.elapsed() >= LOOK {
            self.last_look = Instant::now();
            self.answer_requests()?;
        }
        self.beat(false);
        Ok(())
    }

    /// Between items: answers requests, waits while paused, and says whether to go on.
    pub fn safe_point(&mut self) -> Result<Flow> {
        self.attend()?;
        if let Some(id) = self.unseen_error() {
            self.put(Paused { why: PauseReason::Alarm { id }, by: None, request: None }.into())?;
            self.sync()?;
        }
        // Who asks a teacher waits for it where it is asked: here nobody would ask again.
        let waits = |state: &State| matches!(state, State::Paused(why) if !matches!(why, PauseReason::Teacher { .. }));
        while waits(&self.view.state) && self.leaving.is_none() {
            self.now.held = Some("paused".into());
            self.wait()?;
        }
        self.now.held = None;
        Ok(if self.leaving.is_some() { Flow::Stop } else { Flow::Go })
    }

    /// One short wait, in which requests are answered and the heart beats.
    pub fn wait(&mut self) -> Result<()> {
        if self.unsynced > 0 {
            self.sync()?;
        }
        std::thread::sleep(NAP);
        self.last_look = Instant::now();
        self.answer_requests()?;
        self.beat(false);
        self.heed_signals();
        Ok(())
    }

    /// An ERROR alarm that nobody has answered and the run has not paused for.
    fn unseen_error(&self) -> Option<String> {
        if !self.limits.pause || matches!(self.view.state, State::Paused(_)) {
            return None;
        }
        let unseen =
            |alarm: &&crate::run::view::AlarmView| alarm.alarm.level == Level::Error && alarm.acknowledged.is_none();
        self.view.alarms.values().find(unseen).map(|alarm| alarm.alarm.id.clone())
    }

    /// A stage or an iteration ended: a stop that waited for it is due.
    pub fn reached(&mut self, reached: StopWhen) {
        if let Some((when, request, by)) = &self.stop_when
            && *when == reached
        {
            let why = format!(
                "{by} asked to stop after the {}",
                if reached == StopWhen::Stage { "stage" } else { "iteration" }
            );
            self.leaving = Some(Leaving::Asked { why, request: Some(request.clone()) });
        }
    }

    pub fn leaving(&self) -> Option<&Leaving> {
        self.leaving.as_ref()
    }

    pub fn take_leaving(&mut self) -> Option<Leaving> {
        self.leaving.take()
    }

    /// The request for a checkpoint, if somebody made one.
    pub fn take_snapshot(&mut self) -> Option<(RequestId, String)> {
        self.snapshot.take()
    }

    /// Tells whoever looks what is being written this moment.
    pub fn show(&mut self, writing: Option<Writing>) {
        if self.last_beat.elapsed() >= BEAT {
            self.now.writing = writing;
            self.beat(true);
        }
    }

    pub fn show_pace(&mut self, tokens_per_s: Option<f64>, memory_bytes: Option<u64>) {
        self.now.tokens_per_s = tokens_per_s.or(self.now.tokens_per_s);
        self.now.memory_bytes = memory_bytes.or(self.now.memory_bytes);
    }

    pub fn set_device(&mut self, device: &str) {
        self.now.device = device.into();
    }

    pub(super) fn set_deadline(&mut self, deadline: Option<i64>) {
        self.now.deadline = deadline;
    }

    pub(super) fn hold_word(&mut self, held: Option<String>) {
        self.now.held = held;
    }

    /// Writes the heartbeat when it is due. It may fail: nothing depends on it.
    fn beat(&mut self, at_once: bool) {
        if !at_once && self.last_beat.elapsed() < BEAT {
            return;
        }
        self.last_beat = Instant::now();
        let span = self.view.stage();
        self.now.at = Self::clock().0;
        self.now.seq = self.view.seq;
        self.now.iteration = self.view.iteration;
        self.now.stage = span.map(|span| span.stage);
        (self.now.done, self.now.total) = span.map_or((0, 0), |span| (span.done, span.total));
        let _ = self.folder.write_now(&self.now);
    }

    /// The last heartbeat, and the ballast is given back.
    pub fn close(mut self) -> Result<RunView> {
        self.sync()?;
        self.now.writing = None;
        self.beat(true);
        self.ballast.drop_it();
        Ok(self.view)
    }
}

impl Till for Recorder {
    fn view(&self) -> &RunView {
        &self.view
    }

    fn uptime(&self) -> f64 {
        Recorder::uptime(self)
    }

    fn record(&mut self, event: Event) -> Result<()> {
        Recorder::record(self, event)
    }

    fn sync(&mut self) -> Result<()> {
        Recorder::sync(self)
    }

    fn answer(&self, key: &str) -> Option<Taught> {
        self.desk.taught.get(key).cloned()
    }

    fn look(&mut self) -> Result<Flow> {
        self.attend()?;
        Ok(if self.leaving.is_some() { Flow::Stop } else { Flow::Go })
    }

    fn waits_for(&mut self, what: Option<String>) {
        self.now.held = what;
    }
}

/// Facts after which the linter looks. They depend on facts alone, so that an interrupted run raises the same alarms.
fn is_lint_moment(event: &Event, view: &RunView) -> bool {
    match event {
        Event::StageFinished(_) | Event::Measured(_) | Event::Evaluated(_) | Event::SpotCheckClosed(_) => true,
        Event::DpoStep(_) | Event::RlooStep(_) | Event::SftStep(_) | Event::TeacherChanged(_) => true,
        Event::CandidateJudged(_) | Event::PromptRefused(_) => view.stage().is_some_and(|span| span.done % 64 == 0),
        _ => false,
    }
}

/// Facts that are synced before anything else happens.
fn is_worth_a_sync(event: &Event) -> bool {
    matches!(
        event,
        Event::RunStarted(_)
            | Event::StageFinished(_)
            | Event::SpotCheckOpened(_)
            | Event::PairDecided(_)
            | Event::NoteAdded(_)
            | Event::SpotCheckClosed(_)
            | Event::TrainingSetFixed(_)
            | Event::CheckpointSaved(_)
            | Event::CapsChanged(_)
            | Event::RolledBack(_)
            | Event::Paused(_)
            | Event::Stopped(_)
            | Event::RunFinished(_)
            | Event::Failed(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::witness::{self, Synced};

    #[test]
    fn what_a_human_said_is_on_the_disk_before_anything_else_happens() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        let lookup = Lookup::new(folder.path());
        let journal = folder.path().join(crate::run::journal::segment_name(1));
        let (view, desk, settings) = (RunView::default(), Desk::default(), Settings::tiny());
        let quiet = Box::new(|_: &Entry, _: &RunView| {});
        let mut recorder = Recorder::new(folder, view, desk, lookup, &settings, Signals::default(), quiet).unwrap();
        let request = RequestId { writer: "ana".into(), number: 1 };
        let decided = |decision| PairDecided {
            decision,
            pairs: Vec::new(),
            by: "ana".into(),
            request: request.clone(),
            reason: None,
            note: None,
            took_ms: None,
            blind: false,
            filter: None,
        };
        let note = NoteAdded { pair: None, text: "odd".into(), by: "ana".into(), request: request.clone() };
        let said: [(&str, Event); 4] = [
            ("a veto", decided(Decision::Veto).into()),
            ("a swap", decided(Decision::Swap).into()),
            ("an undo", decided(Decision::Undo { of: 1 }).into()),
            ("a note", note.into()),
        ];
        for (what, event) in said {
            witness::take();
            recorder.record(event).unwrap();
            let length = std::fs::metadata(&journal).unwrap().len();
            assert_eq!(witness::take(), [Synced::File(journal.clone(), length)], "{what}");
        }
    }
}
