//! The ways into the looking glass: watch a run, replay one, choose among all.
//!
//! Owns the loop: wake, update, do what the effects say, draw if something changed. The only file here that writes requests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use ratatui::crossterm::event::Event;

use crate::run::command::Outbox;
use crate::run::folder::RunFolder;
use crate::run::ids::Seq;
use crate::run::looking;
use crate::tui::app::{App, Effect, Leave, Mode, Msg, Screen, update};
use crate::tui::figures::Zone;
use crate::tui::panes::check::opinion::Opinions;
use crate::tui::player::PauseOn;
use crate::tui::settings::Settings;
use crate::tui::source::Source;
use crate::tui::terminal::{Pace, TermGuard, Waiting, Woken, clock, stop_self};
use crate::tui::theme::Role;
use crate::tui::until::Until;
use crate::tui::{errands, places, screen};

/// Entries that are read between two looks at the keyboard.
const AT_ONCE: usize = 4000;
/// How often the heartbeat and the lock are looked at: the engine writes the one twice a second.
const BESIDE: Duration = Duration::from_millis(500);
/// How often the journal is looked at.
const EVERY: Duration = Duration::from_millis(150);

/// Looks at a run that may be alive, until the user leaves.
pub fn watch_run(folder: RunFolder, mode: Mode, settings: Settings) -> anyhow::Result<Leave> {
    let mut app = App::new(Source::open(folder), mode, settings);
    prepare(&mut app);
    // Before a pair is chosen to be shown: others may be looking at it.
    app.check.others = looking::others(app.source.folder.path(), &app.writer, app.clock);
    run(app, None)
}

/// Counts the pairs of a run again by another rule, as known at an entry: sentences, or what is wrong with the rule. The rules are the
/// method's, which screens do not know: whoever opens a replay hands this in.
pub type WhatIf = Arc<dyn Fn(&Path, Seq, &str) -> Result<Vec<String>, String> + Send + Sync>;

/// How a replay begins.
#[derive(Clone, Default)]
pub struct ReplayOptions {
    /// The run that is shown beside it.
    pub vs: Option<RunFolder>,
    /// Where to begin: `M2:dpo:210`, `40%`, `seq:418220`, …
    pub at: Option<String>,
    pub speed: Option<f64>,
    pub idle_cap: Option<f64>,
    pub pause_on: Vec<PauseOn>,
    /// Where playing stops.
    pub until: Option<Until>,
    pub second_opinion: bool,
    pub what_if: Option<WhatIf>,
}

/// Replays a run from its journal; nothing is written into it but key frames, which anybody may delete.
pub fn replay(folder: RunFolder, options: ReplayOptions, settings: Settings) -> anyhow::Result<Leave> {
    let mode = Mode::Replay { second_opinion: options.second_opinion };
    let mut app = App::new(Source::open(folder), mode, settings);
    prepare(&mut app);
    app.source.read_all().context("reading the journal")?;
    app.other = options.vs.map(Source::open);
    if let Some(other) = &mut app.other {
        other.read_all().context("reading the journal of the second run")?;
    }
    if options.second_opinion {
        let read = |name: &str| errands::read_back(app.source.folder.path(), name);
        app.check.opinions = Opinions::resume(&app.settings.name, read);
        match app.check.opinions.given() {
            0 => {}
            given => {
                app.say(Role::Focus, format!("going on with your {given} opinions of before; u takes back the last"))
            }
        }
    }
    let start: Seq = match &options.at {
        None => 0,
        Some(place) => places::find(&app.source, app.zone, place).map_err(anyhow::Error::msg)?,
    };
    app.source.seek(start);
    app.player.speed = options.speed.unwrap_or(app.player.speed).clamp(0.25, 65_536.0);
    app.player.idle_cap = options.idle_cap.unwrap_or(app.player.idle_cap).max(0.0);
    app.player.pause_on = options.pause_on;
    app.player.until = options.until;
    run(app, options.what_if)
}

/// The list of all runs below a folder. `Leave::Open` and `Leave::Compare` say what was chosen.
pub fn runs(root: &Path, settings: Settings) -> anyhow::Result<Leave> {
    let mut app = App::new(Source::open(RunFolder::at(root.join("none"))), Mode::ReadOnly, settings);
    app.root = root.to_path_buf();
    prepare(&mut app);
    app.screen = Screen::Runs;
    run(app, None)
}

fn prepare(app: &mut App) {
    app.clock = clock();
    app.bookmarks = crate::tui::player::bookmarks(app.source.folder.path());
    app.zone = Zone { offset_s: errands::clock_offset() };
    app.writer = format!("{}-{}", app.settings.name, std::process::id());
}

/// Work that takes longer than a frame, on threads of its own.
struct Aside {
    what_if: Option<WhatIf>,
    to: Sender<Msg>,
    done: Receiver<Msg>,
}

impl Aside {
    fn new(what_if: Option<WhatIf>) -> Aside {
        let (to, done) = channel();
        Aside { what_if, to, done }
    }

    fn count(&self, folder: &Path, upto: Seq, rule: String) {
        let to = self.to.clone();
        let Some(what_if) = self.what_if.clone() else {
            let answer = Err("pairs are counted again in a replay: selfreward replay RUN".into());
            let _ = to.send(Msg::Counted { rule, answer });
            return;
        };
        let folder = folder.to_path_buf();
        std::thread::spawn(move || {
            let answer = what_if(&folder, upto, &rule);
            // A viewer that was left meanwhile wants no answer.
            let _ = to.send(Msg::Counted { rule, answer });
        });
    }
}

fn run(mut app: App, what_if: Option<WhatIf>) -> anyhow::Result<Leave> {
    let waiting = Waiting::start().context("listening to the terminal")?;
    let mut guard = TermGuard::take(app.mouse).context("taking the terminal")?;
    let left = turn(&mut app, &waiting, &mut guard, &Aside::new(what_if));
    if app.mode.steers() {
        // What stays behind holds for a minute only.
        let _ = looking::tell(app.source.folder.path(), &app.writer, None);
    }
    drop(guard);
    left
}

fn turn(app: &mut App, waiting: &Waiting, guard: &mut TermGuard, aside: &Aside) -> anyhow::Result<Leave> {
    let mut pace = Pace::new(app.settings.frames);
    let size = guard.terminal.size()?;
    app.size = (size.width, size.height);
    let (mut dirty, mut by_key) = (true, true);
    let mut titled = String::new();
    let mut looked: Option<Instant> = None;
    let mut configured = Configured::now();
    let (mut listed, mut beside): (Option<Instant>, Option<Instant>) = (None, None);
    loop {
        let (mut messages, mut resized) = (Vec::new(), false);
        let due = if dirty { pace.wait(by_key).min(EVERY) } else { EVERY };
        let mut woken = Some(waiting.next(if app.source.loaded() < 1.0 { Duration::ZERO } else { due }));
        while let Some(each) = woken {
            match each {
                Woken::Leave => return Ok(Leave::HungUp),
                Woken::Continued => {
                    guard.clear()?;
                    (dirty, by_key) = (true, true);
                }
                Woken::Time => {}
                Woken::Input(event) => {
                    // A terminal that shrank and grew again has lost what stood outside, also where its size is the old one.
                    resized |= matches!(event, Event::Resize(..));
                    by_key = true;
                    messages.extend(message(event));
                }
            }
            woken = waiting.ready();
        }
        if resized {
            guard.clear()?;
        }
        messages.extend(aside.done.try_iter());
        if looked.is_none_or(|at| at.elapsed() >= EVERY) || app.source.loaded() < 1.0 {
            looked = Some(Instant::now());
            messages.extend(read(app)?);
        }
        if configured.changed() {
            let var = |name: &str| std::env::var(name).ok();
            messages.push(Msg::Settings(Box::new(Settings::load(var, app.settings.given.clone()))));
        }
        if !app.is_replay() && beside.is_none_or(|at| at.elapsed() >= BESIDE) {
            beside = Some(Instant::now());
            if app.source.look(app.clock) {
                messages.push(Msg::Read(0));
            }
            let others = looking::others(app.source.folder.path(), &app.writer, clock());
            if others != app.check.others {
                messages.push(Msg::Looking(others));
            }
        }
        if app.screen == Screen::Runs && listed.is_none_or(|at| at.elapsed() >= Duration::from_secs(2)) {
            listed = Some(Instant::now());
            messages.push(Msg::Runs(crate::tui::summary::summaries(&app.root)));
        }
        let before = (app.clock, app.toast.is_some(), app.view().seq);
        let mut effects = update(app, Msg::Tick(clock()));
        dirty |= ticked(app, before);
        for message in messages {
            dirty = true;
            effects.extend(update(app, message));
        }
        while let Some(effect) = (!effects.is_empty()).then(|| effects.remove(0)) {
            dirty = true;
            if let Some(left) = done(app, waiting, guard, aside, effect, &mut effects)? {
                return Ok(left);
            }
        }
        if dirty && pace.wait(by_key).is_zero() {
            let begun = Instant::now();
            guard.draw(|frame| screen::draw(frame, app))?;
            pace.drawn(begun.elapsed());
            (dirty, by_key) = (false, false);
            let title = screen::title_of_terminal(app);
            if title != titled {
                guard.title(&title)?;
                titled = title;
            }
        }
    }
}

/// The settings file as it was last seen.
struct Configured {
    path: Option<PathBuf>,
    seen: Option<SystemTime>,
    looked: Instant,
}

impl Configured {
    fn now() -> Configured {
        let path = Settings::path();
        Configured { seen: modified(path.as_deref()), path, looked: Instant::now() }
    }

    /// Whether somebody has saved it since the last time.
    fn changed(&mut self) -> bool {
        if self.looked.elapsed() < BESIDE {
            return false;
        }
        self.looked = Instant::now();
        let before = std::mem::replace(&mut self.seen, modified(self.path.as_deref()));
        before != self.seen
    }
}

fn modified(path: Option<&Path>) -> Option<SystemTime> {
    std::fs::metadata(path?).ok()?.modified().ok()
}

/// Whether the passing of time alone changed the picture.
fn ticked(app: &App, (clock, toast, seq): (crate::run::entry::Stamp, bool, Seq)) -> bool {
    let minute = |at: crate::run::entry::Stamp| at.0.div_euclid(60_000_000);
    toast != app.toast.is_some() || seq != app.view().seq || minute(clock) != minute(app.clock)
}

fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) => Some(Msg::Key(key)),
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Resize(width, height) => Some(Msg::Resize(width, height)),
        Event::Mouse(event) => Some(Msg::Mouse(event)),
        Event::FocusGained | Event::FocusLost => None,
    }
}

/// Reads what is new in the journal.
fn read(app: &mut App) -> anyhow::Result<Option<Msg>> {
    let count = app.source.poll(AT_ONCE).context("reading the journal")?;
    Ok((count > 0).then_some(Msg::Read(count)))
}

/// Tells the user how an errand went.
fn complaint(app: &mut App, went: anyhow::Result<Option<String>>) -> Vec<Effect> {
    match went {
        Ok(None) => Vec::new(),
        Ok(Some(says)) => update(app, Msg::Note(says)),
        Err(error) => update(app, Msg::Complaint(format!("{error:#}"))),
    }
}

/// Does one effect. Some means that the viewer is left.
fn done(
    app: &mut App,
    waiting: &Waiting,
    guard: &mut TermGuard,
    aside: &Aside,
    effect: Effect,
    more: &mut Vec<Effect>,
) -> anyhow::Result<Option<Leave>> {
    match effect {
        Effect::Leave(left) => return Ok(Some(left)),
        Effect::Send { what, command } => {
            let folder = app.source.folder.path();
            let result = Outbox::open(folder, &app.writer)
                .and_then(|out| out.send(&app.settings.name, clock(), command.clone()))
                .map_err(|error: io::Error| error.to_string());
            more.extend(update(app, Msg::Sent { what, command, result }));
        }
        Effect::Redraw => guard.clear()?,
        Effect::Mouse(on) => guard.set_mouse(on)?,
        Effect::Bell => guard.bell()?,
        Effect::Suspend => {
            if let Err(error) = waiting.lend(|| guard.lend(stop_self))? {
                more.extend(update(app, Msg::Complaint(error.to_string())));
            }
        }
        Effect::Copy { what, text } => {
            let says = errands::copy(app.source.folder.path(), &what, &text);
            more.extend(update(app, Msg::Note(says)));
        }
        Effect::Page { title, text } => {
            let shown = waiting.lend(|| guard.lend(|| errands::page(&title, &text)))?;
            more.extend(complaint(app, shown.map(|()| None)));
        }
        Effect::Save { name, text } => {
            let written = errands::replace(app.source.folder.path(), &name, &text);
            more.extend(complaint(app, written.map(|()| None).with_context(|| format!("writing {name}"))));
        }
        Effect::Append { file, line } => {
            let written = errands::append(app.source.folder.path(), &file, &line);
            more.extend(complaint(app, written.map(|()| None).with_context(|| format!("writing {file}"))));
        }
        Effect::Look(looking) => {
            // A courtesy between viewers: where it cannot be written they do without.
            let _ = looking::tell(app.source.folder.path(), &app.writer, looking.as_ref());
        }
        Effect::WhatIf { upto, rule } => aside.count(app.source.folder.path(), upto, rule),
        Effect::ListRuns => {
            let list = crate::tui::summary::summaries(&app.root);
            more.extend(update(app, Msg::Runs(list)));
        }
        Effect::Export => {
            let written = errands::export(app);
            more.extend(complaint(app, written.map(Some)));
        }
        Effect::Hook(alarm) => {
            if let Some(command) = app.settings.on_alert.clone() {
                let run = app.source.folder.name();
                more.extend(complaint(app, errands::hook(&command, &run, &alarm).map(|()| None)));
            }
        }
    }
    Ok(None)
}
