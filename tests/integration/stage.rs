//! A stage for rehearsals: plays whole runs in a temporary folder, in this process, in a second.

use std::path::Path;

use selfreward::engine::drive::Ended;
use selfreward::engine::launch;
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::{GateMode, PolicyKind, Settings, Story};
use selfreward::rehearsal::Rehearsal;
use selfreward::run::entry::Entry;
use selfreward::run::facts::Facts;
use selfreward::run::folder::RunFolder;
use selfreward::run::journal::{Found, Tail, segment_name};
use selfreward::run::view::RunView;

/// A size for every commit, or the whole one where somebody asks for it: `SELFREWARD_LONG=1`.
pub fn size<T>(quick: T, whole: T) -> T {
    if std::env::var_os("SELFREWARD_LONG").is_some() { whole } else { quick }
}

/// A small run: everything happens, nothing takes long.
pub fn small(seed: u64) -> Settings {
    let mut settings = Settings::tiny();
    settings.run.policy = PolicyKind::Rehearsal;
    settings.run.seed = seed;
    settings.data.limit = 48;
    settings.prompts.count = 60;
    settings.eval.instructions = 24;
    settings.eval.ranked = 25;
    settings.eval.anchors = 40;
    settings.eval.bootstrap = 200;
    settings.eval.head_to_head = true;
    settings.gate.mode = GateMode::Off;
    settings
}

pub fn story(story: Story, seed: u64) -> Settings {
    let mut settings = small(seed);
    settings.rehearsal.story = story;
    settings
}

/// Runs an engine on a run's folder until it ends.
pub fn engine(folder: &RunFolder, signals: Signals) -> anyhow::Result<(Ended, RunView)> {
    engine_with(folder, signals, Box::new(|_, _| {}))
}

pub fn engine_with(
    folder: &RunFolder,
    signals: Signals,
    listener: selfreward::engine::recorder::Listener,
) -> anyhow::Result<(Ended, RunView)> {
    let mut make = |settings: &Settings, materials: &selfreward::engine::materials::Materials| {
        let policy = Rehearsal::new(settings.rehearsal.clone(), settings.run.seed, materials.prompts.clone());
        Ok(Box::new(policy) as Box<dyn selfreward::engine::policy::Policy>)
    };
    launch::engine(folder, &mut make, signals, listener)
}

/// Plays a whole run.
pub fn play(root: &Path, name: &str, settings: &Settings) -> (RunFolder, RunView) {
    let folder = launch::create(root, name, settings).unwrap();
    let (ended, view) = engine(&folder, Signals::default()).unwrap();
    assert_eq!(ended, Ended::Finished);
    (folder, view)
}

/// Every entry of a journal; damage is a failure.
pub fn entries(folder: &RunFolder) -> Vec<Entry> {
    let mut entries = Vec::new();
    Tail::new(folder.path())
        .read(|place, found| {
            match found {
                Found::Entry(entry) => entries.push(entry),
                Found::Damage(damage) => panic!("{place:?}: {damage:?}"),
            }
            true
        })
        .unwrap();
    entries
}

pub fn facts(folder: &RunFolder) -> String {
    let mut facts = Facts::default();
    entries(folder).iter().for_each(|entry| facts.add(&entry.event));
    facts.digest()
}

/// A copy of a run's folder, cut to the first `bytes` bytes of its journal.
pub fn cut(whole: &RunFolder, root: &Path, name: &str, bytes: usize) -> RunFolder {
    let folder = RunFolder::create(root, name).unwrap();
    std::fs::copy(whole.run_json(), folder.run_json()).unwrap();
    let journal = std::fs::read(whole.path().join(segment_name(1))).unwrap();
    std::fs::write(folder.path().join(segment_name(1)), &journal[..bytes]).unwrap();
    copy_folder(&whole.checkpoints(), &folder.checkpoints());
    folder
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}
