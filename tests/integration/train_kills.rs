//! A whole run with real weights is killed anywhere, in training, writing, judging and saving, and goes on to the same bits.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use selfreward::engine::checkpoints::{self, Manifest};
use selfreward::engine::launch;
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::Settings;
use selfreward::recipe::seeds::{Seed, Stream};
use selfreward::run::event::Event;
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{Model, Stage};
use selfreward::run::view::RunView;

use crate::patience::end_of;
use crate::stage::{copy_folder, entries, facts};
use crate::{train_run, train_tiny};

/// Kills in a test run of every commit; SELFREWARD_LLAMA_KILLS and SELFREWARD_SAVE_KILLS ask for more.
const KILLS: u32 = 3;
const KILLS_WHILE_SAVING: u32 = 8;

fn wanted(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// A run of every stage that is over in seconds.
fn short(root: &Path) -> Settings {
    let base = root.join("base");
    if !base.exists() {
        train_tiny::model(root, 256);
    }
    let mut settings = train_run::intrinsic(root, &base);
    settings.sft.epochs = 5;
    settings.prompts.count = 8;
    settings.dpo.batch = 1;
    settings.checkpoint.every = 2;
    settings.eval.instructions = 3;
    settings.eval.ranked = 2;
    settings.eval.anchors = 2;
    settings
}

fn start(folder: &RunFolder) -> Child {
    let mut engine = Command::new(env!("CARGO_BIN_EXE_selfreward"));
    engine.arg("engine").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Until the engine has ended by itself: true. When `dies` says so it is killed before: false.
fn live(folder: &RunFolder, mut dies: impl FnMut(Duration) -> bool) -> bool {
    let mut child = start(folder);
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut says = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut says).unwrap();
            assert!(status.success(), "{status}: {says}");
            return true;
        }
        if dies(began.elapsed()) {
            child.kill().unwrap();
            end_of(&mut child);
            return false;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "a run of seconds has not ended");
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// Hashes of all weights, optimisers and states that a run ever saved, as its journal names them, and of the models that lie there.
fn saved(folder: &RunFolder) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in entries(folder) {
        if let Event::CheckpointSaved(saved) = entry.event {
            let place =
                format!("{} step {}{}", saved.model, saved.step, if saved.finished { ", finished" } else { "" });
            let before = found.insert(place.clone(), saved.hash.clone());
            assert!(before.is_none_or(|before| before == saved.hash), "{place} was saved twice, differently");
        }
    }
    for model in [Model::Baseline, Model::M(1), Model::M(2)] {
        let weights = folder.checkpoints().join(model.to_string()).join("model.safetensors");
        found.insert(format!("{model}, file"), blake3::hash(&std::fs::read(weights).unwrap()).to_hex().to_string());
    }
    found
}

/// The whole run that others are compared with: facts, hashes and how long it took.
fn whole(root: &Path, settings: &Settings) -> (String, BTreeMap<String, String>, Duration) {
    let folder = launch::create(root, "whole", settings).unwrap();
    let began = Instant::now();
    assert!(live(&folder, |_| false));
    let took = began.elapsed();
    (facts(&folder), saved(&folder), took)
}

/// The stage that was under way when the journal ended.
fn stage(folder: &RunFolder) -> Option<Stage> {
    let mut view = RunView::default();
    if folder.has_journal() {
        // The last line may be torn.
        let _ = selfreward::run::journal::mend(folder.path(), |_, entry| view.apply(&entry));
    }
    view.stage().map(|span| span.stage)
}

#[test]
fn a_llama_that_is_killed_in_any_stage_ends_in_the_same_bits() {
    let kills = wanted("SELFREWARD_LLAMA_KILLS", KILLS);
    let root = tempfile::tempdir().unwrap();
    let settings = short(root.path());
    let (expected, hashes, took) = whole(root.path(), &settings);
    assert!(hashes.len() > 12 && hashes.keys().filter(|place| place.starts_with("M2")).count() >= 3, "{hashes:?}");
    let mut stream = Seed::root(7).named("kills").stream();
    let mut stages: BTreeMap<String, u32> = BTreeMap::new();
    let (mut killed, mut runs) = (0, 0);
    while killed < kills {
        runs += 1;
        let folder = launch::create(root.path(), &format!("killed{runs}"), &settings).unwrap();
        // A few kills a run, each so long after its start that together they are spread over all of it.
        while killed < kills {
            let patience = took.mul_f64(0.02 + 0.58 * stream.unit());
            if live(&folder, |lived| lived > patience) {
                break;
            }
            killed += 1;
            *stages.entry(stage(&folder).map_or("before the first".into(), |stage| stage.to_string())).or_default() +=
                1;
        }
        live(&folder, |_| false);
        assert_eq!(facts(&folder), expected, "run {runs} after {killed} kills");
        same(&saved(&folder), &hashes, runs);
    }
    eprintln!("{killed} kills in {runs} runs of {took:?}: the same facts and the same bits; stages: {stages:?}");
}

/// What a killed run saved again or for the first time is what the whole run saved there.
fn same(found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>, run: u32) {
    for (place, hash) in found {
        // A stop may save at a step at which a whole run does not; a kill never does.
        assert_eq!(Some(hash), expected.get(place), "run {run}: {place}");
    }
    let finished = |all: &BTreeMap<String, String>| all.keys().filter(|place| !place.contains("step")).count();
    assert_eq!(finished(found), finished(expected));
    assert_eq!(found.len(), expected.len(), "run {run}: {found:?}");
}

/// Whether a checkpoint is being built at this moment.
fn is_saving(folder: &RunFolder) -> bool {
    let Ok(items) = std::fs::read_dir(folder.checkpoints()) else { return false };
    items.flatten().any(|item| item.file_name().to_string_lossy().contains(".tmp-"))
}

#[test]
fn a_llama_that_is_killed_while_it_saves_never_loses_a_checkpoint() {
    let kills = wanted("SELFREWARD_SAVE_KILLS", KILLS_WHILE_SAVING);
    let root = tempfile::tempdir().unwrap();
    let mut settings = short(root.path());
    settings.checkpoint.every = 1;
    let (expected, hashes, _) = whole(root.path(), &settings);
    let mut stream: Stream = Seed::root(8).named("kills while saving").stream();
    let (mut killed, mut runs) = (0, 0);
    while killed < kills {
        runs += 1;
        let folder = launch::create(root.path(), &format!("saving{runs}"), &settings).unwrap();
        while killed < kills {
            // Somewhere in the building of one of the next checkpoints.
            let (mut skip, within) = (stream.below(4), Duration::from_micros(stream.below(4000) as u64));
            let (mut was, mut seen) = (false, None::<Instant>);
            let ended = live(&folder, |_| {
                let saves = is_saving(&folder);
                if saves && !was && seen.is_none() {
                    if skip == 0 { seen = Some(Instant::now()) } else { skip -= 1 }
                }
                was = saves;
                seen.is_some_and(|seen| seen.elapsed() >= within)
            });
            if ended {
                break;
            }
            // Only what was interrupted counts: a folder half built, beside whole ones.
            killed += u32::from(is_saving(&folder));
            for item in std::fs::read_dir(folder.checkpoints()).unwrap() {
                let item = item.unwrap();
                if !item.file_name().to_string_lossy().contains(".tmp-") {
                    checkpoints::verify(&item.path()).unwrap();
                }
            }
        }
        live(&folder, |_| false);
        assert_eq!(facts(&folder), expected, "run {runs} after {killed} kills");
        same(&saved(&folder), &hashes, runs);
    }
    eprintln!("{killed} kills while saving, in {runs} runs: every checkpoint whole, the same facts and the same bits");
}

/// Writes a file of a checkpoint anew and makes its manifest agree, so that only the content is wrong.
fn forge(checkpoint: &Path, name: &str, content: &[u8]) {
    std::fs::write(checkpoint.join(name), content).unwrap();
    let path = checkpoint.join("MANIFEST.json");
    let mut manifest: Manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let file = manifest.files.iter_mut().find(|file| file.name == name).unwrap();
    (file.bytes, file.hash) = (content.len() as u64, blake3::hash(content).to_hex().to_string());
    std::fs::write(&path, serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
    checkpoints::verify(checkpoint).unwrap();
}

#[test]
fn a_run_whose_state_lacks_any_field_does_not_go_on() {
    let root = tempfile::tempdir().unwrap();
    let settings = short(root.path());
    let stopped = launch::create(root.path(), "stopped", &settings).unwrap();
    let signals = Signals::default();
    let stop = signals.stop.clone();
    let listener = Box::new(move |entry: &selfreward::run::entry::Entry, _: &RunView| {
        if matches!(&entry.event, Event::SftStep(step) if step.step == 3) {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    train_run::engine(&stopped, signals, listener).unwrap();
    let mut saved = entries(&stopped).into_iter().filter_map(|entry| match entry.event {
        Event::CheckpointSaved(saved) if !saved.finished => Some(saved.folder.clone()),
        _ => None,
    });
    let saved = saved.next_back().unwrap();
    let again = |name: &str, damage: &dyn Fn(&Path)| {
        let folder = RunFolder::create(root.path(), name).unwrap();
        std::fs::remove_dir_all(folder.path()).unwrap();
        copy_folder(stopped.path(), folder.path());
        damage(&folder.path().join(&saved));
        let signals = Signals::default();
        let stop = signals.stop.clone();
        // Going on is enough: it is stopped after its next step.
        let listener = Box::new(move |entry: &selfreward::run::entry::Entry, _: &RunView| {
            if matches!(&entry.event, Event::SftStep(step) if step.step == 5) {
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        });
        train_run::engine(&folder, signals, listener).map(|_| ()).map_err(|error| format!("{error:#}"))
    };
    assert_eq!(again("untouched", &|_| {}), Ok(()));
    let state = std::fs::read(stopped.path().join(&saved).join("training_state.json")).unwrap();
    let state: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&state).unwrap();
    assert!(state.len() >= 6, "{state:?}");
    for field in state.keys() {
        let mut less = state.clone();
        less.remove(field);
        let content = serde_json::to_vec(&less).unwrap();
        let error =
            again(&format!("without-{field}"), &|checkpoint| forge(checkpoint, "training_state.json", &content));
        assert!(error.as_ref().is_err_and(|error| error.contains(field.as_str())), "{field}: {error:?}");
    }
}
