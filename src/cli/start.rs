//! Starts engines: `run`, `resume`, and the hidden `engine`, which is what a detached process does.

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use crate::cli::alerts;
use crate::cli::arguments::{EngineArgs, EngineProcessArgs, FailOn, ResumeArgs, RunArgs};
use crate::cli::failure::Failure;
use crate::cli::lines::Teller;
use crate::cli::output::Output;
use crate::cli::{look, open, requests, settings};
use crate::engine::drive::Ended;
use crate::engine::launch;
use crate::engine::materials::Materials;
use crate::engine::policy::{Policy, Teacher};
use crate::engine::recorder::Signals;
use crate::engine::settings::{PolicyKind, Settings};
use crate::engine::teaching::estimate::{estimate, in_words};
use crate::rehearsal::Rehearsal;
use crate::run::command::{Command, Outbox, StopWhen};
use crate::run::entry::Entry;
use crate::run::event::{Event, Level};
use crate::run::folder::RunFolder;
use crate::run::journal::{Found, Tail};
use crate::run::view::{RunView, State};
use crate::teacher::Client;

/// How often a follower looks for new lines.
const LOOK: Duration = Duration::from_millis(50);
/// How long an engine may take to write its first line: it reads the data and takes the lock, and loads no model before.
const FIRST_LINE: Duration = Duration::from_secs(60);

/// Begins a new run.
pub fn run(root: &Path, args: &RunArgs, output: &mut Output) -> Result<()> {
    let settings = settings::gather(&args.settings)?.settings;
    let name = args.name.clone().unwrap_or_else(|| open::name_by_date(root, settings.run.policy.name()));
    begin(root, &name, settings, &args.engine, args.yes, output)
}

/// The same with settings that are known. `agreed`: nobody needs to be asked whether a teacher may be paid.
pub fn begin(
    root: &Path,
    name: &str,
    settings: Settings,
    engine: &EngineArgs,
    agreed: bool,
    output: &mut Output,
) -> Result<()> {
    crate::run::folder::check_name(name).map_err(Failure::usage)?;
    // What cannot be read is better known before there is a folder.
    settings::check_files(&settings)?;
    let materials = Materials::read(&settings)?;
    for remark in &materials.remarks {
        output.remark(remark);
    }
    check_policy(&settings)?;
    settings.check().map_err(Failure::usage)?;
    if settings.asks_teacher() {
        // A key that cannot be read, too, is better known now.
        Client::new(&settings.teacher)?;
        confirm(&settings, &materials, agreed, output)?;
    }
    let folder = launch::create(root, name, &settings)?;
    go(&folder, engine, output)
}

/// Says what the teacher will be asked and may cost, and begins only when somebody agrees.
fn confirm(settings: &Settings, materials: &Materials, yes: bool, output: &mut Output) -> Result<()> {
    for line in in_words(&estimate(settings, materials), settings) {
        output.remark(&line);
    }
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::usage(
            "nobody is here to agree to what the teacher may cost: this is no terminal. Read the lines above and start again with --yes",
        ));
    }
    output.remark("start? [y/N]");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Err(Failure::usage("not started: nothing was sent and nothing was written"));
    }
    Ok(())
}

/// Unpauses a living engine, or goes on with an interrupted run.
pub fn resume(root: &Path, args: &ResumeArgs, output: &mut Output) -> Result<()> {
    let opened = open::open(root, &args.run, output)?;
    if opened.holder.is_some() {
        return requests::unpause(opened, args.wait, args.json, output);
    }
    if opened.view.state == State::Finished {
        bail!("the run {} is finished; look at it with `selfreward replay {0}`", opened.name());
    }
    let folder = opened.folder.clone();
    drop(opened);
    go(&folder, &args.engine, output)
}

/// Starts the engine as asked and does what the caller wants meanwhile.
fn go(folder: &RunFolder, args: &EngineArgs, output: &mut Output) -> Result<()> {
    if args.foreground {
        return foreground(folder, args.fail_on, output);
    }
    let from = Tail::new(folder.path());
    let child = launch::detach(folder, &[])?;
    if args.detach {
        wait_for_first_line(folder, child)?;
        output.line(&format!("run {0} goes on by itself; look at it with: selfreward attach {0}", folder.name()))?;
        return Ok(());
    }
    let screens = std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !args.headless;
    if screens {
        let mut child = wait_for_first_line(folder, child)?;
        let looked = look::control(folder, output);
        // Reaps the engine if it has ended; it goes on otherwise.
        let _ = child.try_wait();
        return looked;
    }
    follow(folder, from, child, args.fail_on, output)
}

/// Waits until the engine has written something, or says why it has not.
fn wait_for_first_line(folder: &RunFolder, mut child: Child) -> Result<Child> {
    let mut waited = Duration::ZERO;
    loop {
        if folder.has_journal() && folder.holder().is_some() {
            return Ok(child);
        }
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(child);
            }
            bail!("the engine ended at once: {}", last_words(folder));
        }
        if waited > FIRST_LINE {
            bail!(
                "the engine has written nothing for {} s; its log is {}",
                waited.as_secs(),
                folder.engine_log().display()
            );
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
}

/// The end of the engine's log.
fn last_words(folder: &RunFolder) -> String {
    let log = std::fs::read_to_string(folder.engine_log()).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(6).collect();
    match lines.is_empty() {
        true => format!("nothing in {}", folder.engine_log().display()),
        false => lines.into_iter().rev().collect::<Vec<_>>().join("\n  "),
    }
}

/// Prints what a detached engine does until it ends. Leaving does not end it.
fn follow(
    folder: &RunFolder,
    mut tail: Tail,
    mut child: Child,
    fail_on: Option<FailOn>,
    output: &mut Output,
) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, interrupted.clone())?;
    let already = folder.has_journal();
    let (mut view, mut teller) = (RunView::default(), Teller::default());
    // What an earlier engine did is folded and not told again.
    let mut new = !already;
    loop {
        // Whether the child has ended is asked first: what is read after that is all there is.
        let ended = child.try_wait()?;
        let mut printed = Ok(());
        tail.read(|_, found| {
            if let Found::Entry(entry) = found {
                view.apply(&entry);
                new |= matches!(&entry.event, Event::EngineAttached(event) if event.pid == child.id());
                if new {
                    printed = teller.print(&entry, &view, output);
                }
            }
            printed.is_ok()
        })?;
        printed?;
        if new && let Some(wanted) = fail_on {
            let failed = alerts::fail_on(&view, Some(wanted));
            if failed.is_err() {
                let outbox = Outbox::open(folder.path(), "fail-on")?;
                outbox.send("--fail-on", open::now(), Command::Stop { when: StopWhen::Step })?;
                return failed;
            }
        }
        if interrupted.load(Ordering::Relaxed) {
            output.remark(&format!(
                "the engine goes on; look at it with `selfreward attach {0}`, end it with `selfreward stop {0}`",
                folder.name()
            ));
            return Ok(());
        }
        if let Some(status) = ended {
            return match &view.state {
                State::Finished | State::Stopped(_) if status.success() => Ok(()),
                State::Failed(error) => bail!("the run failed: {error}"),
                _ => bail!("the engine ended ({status}): {}", last_words(folder)),
            };
        }
        std::thread::sleep(LOOK);
    }
}

/// Runs the engine in this process and tells what it does.
fn foreground(folder: &RunFolder, fail_on: Option<FailOn>, output: &mut Output) -> Result<()> {
    let caught = catch_signals()?;
    let (mut teller, stop) = (Teller::default(), caught.signals.stop.clone());
    let failed = Arc::new(AtomicBool::new(false));
    let failing = failed.clone();
    let mut lines = Output::of_process();
    let listener = Box::new(move |entry: &Entry, view: &RunView| {
        // Nobody may be reading any more; the run goes on.
        let _ = teller.print(entry, view, &mut lines);
        if let (Event::AlarmRaised(alarm), Some(wanted)) = (&entry.event, fail_on) {
            let grave = match wanted {
                FailOn::Warn => Level::Warn,
                FailOn::Error => Level::Error,
            };
            if alarm.level >= grave {
                failing.store(true, Ordering::Relaxed);
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    let (ended, view) =
        launch::engine_with_teacher(folder, &mut make_policy, &mut make_teacher, caught.signals.clone(), listener)?;
    output.finish()?;
    if failed.load(Ordering::Relaxed) {
        return alerts::fail_on(&view, fail_on);
    }
    caught.end(&ended)
}

/// What a detached process does: leaves the terminal, then runs the engine.
pub fn engine(args: &EngineProcessArgs) -> Result<()> {
    launch::leave_terminal()?;
    let caught = catch_signals()?;
    let folder = RunFolder::at(&args.folder);
    let listener = Box::new(|_: &Entry, _: &RunView| {});
    let (ended, _) =
        launch::engine_with_teacher(&folder, &mut make_policy, &mut make_teacher, caught.signals.clone(), listener)?;
    caught.end(&ended)
}

/// Signals as an engine takes them.
struct Caught {
    signals: Signals,
    term: Arc<AtomicBool>,
    int: Arc<AtomicBool>,
}

/// TERM and the first INT stop the engine at the next safe point, with a checkpoint; a second INT ends it at once. HUP is nobody's business,
/// and a file that grows too large is an error to be told, not a death.
fn catch_signals() -> Result<Caught> {
    let caught = Caught { signals: Signals::default(), term: Arc::default(), int: Arc::default() };
    // The order matters: the second INT finds the flag that the first one set.
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, caught.int.clone())?;
    signal_hook::flag::register(SIGINT, caught.int.clone())?;
    signal_hook::flag::register(SIGTERM, caught.term.clone())?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, caught.signals.stop.clone())?;
    }
    for signal in [SIGHUP, SIGXFSZ] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(caught)
}

impl Caught {
    /// A run that a signal stopped ends with the code that scripts expect of it.
    fn end(&self, ended: &Ended) -> Result<()> {
        match ended {
            Ended::Stopped(_) if self.term.load(Ordering::Relaxed) => Err(Failure::Signal(143).into()),
            Ended::Stopped(_) if self.int.load(Ordering::Relaxed) => Err(Failure::Signal(130).into()),
            Ended::Stopped(_) | Ended::Finished => Ok(()),
        }
    }
}

/// Whether this program can play the model that is asked for; asked before there is a folder.
fn check_policy(settings: &Settings) -> Result<()> {
    match settings.run.policy {
        PolicyKind::Rehearsal => Ok(()),
        PolicyKind::Llama if !cfg!(feature = "llama") => Err(Failure::usage(
            "this program was built without the model (feature `llama`); try the scripted one: selfreward run --policy rehearsal",
        )),
        PolicyKind::Llama => Ok(()),
    }
}

fn make_teacher(settings: &Settings) -> Result<Arc<dyn Teacher>> {
    Ok(Arc::new(Client::new(&settings.teacher)?))
}

fn make_policy(settings: &Settings, materials: &Materials) -> Result<Box<dyn Policy>> {
    check_policy(settings)?;
    #[cfg(feature = "llama")]
    if settings.run.policy == PolicyKind::Llama {
        let base = settings.model.base.as_ref().map(Path::new).or(materials.base.as_deref());
        let Some(base) = base else { bail!("there is no base model: name one with --set model.base=DIR") };
        return Ok(Box::new(crate::llama_policy::LlamaPolicy::new(settings, base)?));
    }
    let policy = Rehearsal::new(settings.rehearsal.clone(), settings.run.seed, materials.prompts.clone());
    Ok(Box::new(policy))
}
