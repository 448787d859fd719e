//! Starts an engine: makes the run's folder, takes the lock, reads what the journal holds, and goes on from there.
//!
//! A fresh start is a resume of an empty journal. Also starts an engine as a process of its own, which no terminal can take down.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::engine::desk::Desk;
use crate::engine::drive::{Ended, Engine};
use crate::engine::expected_judge::ExpectedJudge;
use crate::engine::intrinsic_judge::IntrinsicJudge;
use crate::engine::materials::Materials;
use crate::engine::plan::plan;
use crate::engine::policy::{Judge, Policy, Teacher};
use crate::engine::recorder::{Listener, Recorder, Signals};
use crate::engine::self_judge::SelfJudge;
use crate::engine::settings::{JudgeKind, Settings};
use crate::recipe::prompts::Prompts;
use crate::run::event::*;
use crate::run::folder::{EngineLock, RunFolder, host_name};
use crate::run::journal::mend;
use crate::run::lookup::Lookup;
use crate::run::view::{RunView, State};

/// Makes the model that a run asks for. The engine does not know which kinds there are.
pub type MakePolicy<'a> = &'a mut dyn FnMut(&Settings, &Materials) -> Result<Box<dyn Policy>>;

/// Makes the teacher that a run asks for, key and all.
pub type MakeTeacher<'a> = &'a mut dyn FnMut(&Settings) -> Result<Arc<dyn Teacher>>;

/// Makes the folder of a new run with its configuration.
pub fn create(root: &Path, name: &str, settings: &Settings) -> Result<RunFolder> {
    settings.check().map_err(anyhow::Error::msg)?;
    let folder = RunFolder::create(root, name).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!(
                "there is a run `{name}` already; give another --name, or go on with `selfreward resume {name}`"
            )
        }
        _ => anyhow::Error::new(error).context(format!("making the folder of the run `{name}` in {}", root.display())),
    })?;
    let path = folder.run_json();
    std::fs::write(&path, serde_json::to_vec_pretty(settings)?)
        .inspect_err(|_| folder.forget())
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(folder)
}

/// Runs the engine in this process until the run is finished, stopped or failed. It has no teacher.
pub fn engine(
    folder: &RunFolder,
    make_policy: MakePolicy,
    signals: Signals,
    listener: Listener,
) -> Result<(Ended, RunView)> {
    let mut nobody = |_: &Settings| bail!("this run asks a teacher, and this engine has none");
    engine_with_teacher(folder, make_policy, &mut nobody, signals, listener)
}

/// The same, with a teacher for the recipes that ask one.
pub fn engine_with_teacher(
    folder: &RunFolder,
    make_policy: MakePolicy,
    make_teacher: MakeTeacher,
    signals: Signals,
    listener: Listener,
) -> Result<(Ended, RunView)> {
    engine_with(folder, &Materials::read, make_policy, make_teacher, signals, listener)
}

/// The same, with human data that the caller reads.
pub fn engine_with(
    folder: &RunFolder,
    read: &dyn Fn(&Settings) -> Result<Materials>,
    make_policy: MakePolicy,
    make_teacher: MakeTeacher,
    signals: Signals,
    listener: Listener,
) -> Result<(Ended, RunView)> {
    let _lock = lock(folder)?;
    let (mut view, mut desk, mut lookup) = (RunView::default(), Desk::default(), Lookup::new(folder.path()));
    let mut last_fact: Option<Event> = None;
    let torn = mend(folder.path(), |place, entry| {
        view.apply(&entry);
        desk.apply(&entry.event);
        lookup.passed(entry.seq, place);
        if !matches!(
            entry.event,
            Event::AlarmRaised(_)
                | Event::AlarmCleared(_)
                | Event::EngineAttached(_)
                | Event::TornTailSetAside(_)
                | Event::Paused(_)
                | Event::Resumed(_)
                | Event::Stopped(_)
                | Event::Failed(_)
                | Event::RequestTaken(_)
                | Event::CommandRefused(_)
        ) {
            last_fact = Some(entry.event);
        }
    })?;
    if view.state == State::Finished {
        return Ok((Ended::Finished, view));
    }
    let settings = settings_of(folder, &view)?;
    let materials = read(&settings).context("reading the run's data")?;
    check_data(&view, &materials)?;
    let means: Vec<_> = Vec::from_iter(view.written().flat_map(|round| round.pairs().map(|(id, _)| id)));
    let attempt = view.oddities.resumes + 1 + u32::from(view.engine.is_some());
    let fresh = view.seq == 0;
    let mut recorder = Recorder::new(folder.clone(), view, desk, lookup, &settings, signals, listener)?;
    recorder.recall_means(&means);
    if fresh {
        recorder.record(started(folder, &settings, &materials)?)?;
    }
    // The journal says that somebody tried, before a model of gigabytes is loaded.
    let teacher = match settings.asks_teacher() {
        true => settings.teacher.check().map_err(anyhow::Error::msg).and_then(|()| make_teacher(&settings)).map(Some),
        false => Ok(None),
    };
    let made = teacher.and_then(|teacher| Ok((make_policy(&settings, &materials)?, teacher)));
    let (policy, teacher) = match made {
        Ok(made) => made,
        Err(error) => {
            recorder.record(Failed { error: format!("{error:#}") })?;
            recorder.close()?;
            return Err(error);
        }
    };
    let mut identity = policy.identity();
    identity.versions.extend(teacher.as_ref().map(|teacher| ("teacher".to_string(), teacher.name().to_string())));
    recorder.set_device(&identity.device);
    recorder.record(EngineAttached {
        pid: std::process::id(),
        host: host_name(),
        attempt,
        device: identity.device,
        device_why: identity.device_why,
        versions: identity.versions.into_iter().collect(),
        threads: identity.threads,
    })?;
    if let Some(torn) = torn {
        recorder.record(TornTailSetAside { file: torn.file, bytes: torn.bytes })?;
    }
    recorder.owe_lint(last_fact.as_ref())?;
    let judge = make_judge(&settings, &materials.prompts);
    Engine::new(recorder, policy, judge, teacher, settings, materials).run()
}

/// The judge that the settings ask for.
pub fn make_judge(settings: &Settings, prompts: &Prompts) -> Box<dyn Judge> {
    match settings.run.judge {
        JudgeKind::Expected => Box::new(ExpectedJudge::new(prompts.judge.clone())),
        JudgeKind::Intrinsic => Box::new(IntrinsicJudge),
        // A teacher or a reward model judges beside the model, which goes on judging what is its own.
        JudgeKind::SelfJudge | JudgeKind::Teacher | JudgeKind::RewardModel => {
            Box::new(SelfJudge::new(prompts.judge.clone(), settings.judge.clone()))
        }
    }
}

/// A viewer that asks who holds the lock holds it for a moment itself, so one refusal is not yet an answer.
fn lock(folder: &RunFolder) -> Result<EngineLock> {
    let mut refused = None;
    for _ in 0..5 {
        let locked = folder.lock().with_context(|| format!("locking the run in {}", folder.path().display()))?;
        match locked {
            Ok(lock) => return Ok(lock),
            Err(holder) => refused = Some(holder),
        }
        std::thread::sleep(Duration::from_millis(15));
    }
    let (pid, host) = refused.map_or((0, "?".into()), |holder| (holder.pid, holder.host));
    bail!(
        "an engine runs `{name}` already: process {pid} on {host}\n  Look at it with `selfreward attach {name}`, or stop it with `selfreward stop {name}`.",
        name = folder.name()
    )
}

fn settings_of(folder: &RunFolder, view: &RunView) -> Result<Settings> {
    if view.seq > 0 {
        return serde_json::from_value(view.config.as_ref().clone())
            .context("reading the configuration in the journal");
    }
    let path = folder.run_json();
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no configuration", path.display()))
}

fn started(folder: &RunFolder, settings: &Settings, materials: &Materials) -> Result<RunStarted> {
    let config = serde_json::to_value(settings)?;
    Ok(RunStarted {
        name: folder.name(),
        program: concat!("selfreward ", env!("CARGO_PKG_VERSION")).into(),
        config_hash: blake3::hash(config.to_string().as_bytes()).to_hex()[..32].to_string(),
        config,
        seed: settings.run.seed,
        policy: settings.run.policy.name().into(),
        judge: settings.judge_name().into(),
        recipe: settings.recipe_name().into(),
        iterations: settings.run.iterations,
        data: materials.read.clone(),
        plan: plan(settings, materials),
    })
}

/// The run goes on with the data it began with, or not at all.
fn check_data(view: &RunView, materials: &Materials) -> Result<()> {
    let Some(started) = &view.started else { return Ok(()) };
    for then in &started.data {
        if let Some(now) = materials.read.iter().find(|now| now.role == then.role)
            && now.hash != then.hash
        {
            bail!(
                "{} ({}) is not what it was when the run began: {} rows then, {} now.\n  Restore the file, or start a new run.",
                then.role,
                then.source,
                then.rows,
                now.rows
            );
        }
    }
    Ok(())
}

/// Starts an engine for this run as a process of its own. It leaves this terminal's session as the first thing it does.
pub fn detach(folder: &RunFolder, arguments: &[String]) -> Result<Child> {
    let program = std::env::current_exe().context("finding this program's own file")?;
    let log_path = folder.engine_log();
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&log_path)
        .with_context(|| format!("opening {}", log_path.display()))?;
    Command::new(program)
        .arg("engine")
        .arg(folder.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("starting the engine")
}

/// What a detached engine does first: a session of its own, where no closed terminal reaches it, and a low priority, so that whoever looks
/// is served first.
pub fn leave_terminal() -> Result<()> {
    rustix::process::setsid().context("leaving the terminal's session")?;
    // Some sandboxes forbid it; the engine works all the same.
    let _ = rustix::process::nice(10);
    Ok(())
}
