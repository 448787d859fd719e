//! A scripted run from M0 to M3: what it leaves in the journal, and which alarms each way of failing raises.

use std::collections::BTreeSet;
use std::path::Path;

use selfreward::engine::drive::Ended;
use selfreward::engine::launch;
use selfreward::engine::materials::Materials;
use selfreward::engine::policy::Policy;
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::{Settings, Story};
use selfreward::rehearsal::Rehearsal;
use selfreward::run::command::{Command, Outbox};
use selfreward::run::entry::Entry;
use selfreward::run::event::{Event, Level, PauseReason, Paused};
use selfreward::run::ids::Model;
use selfreward::run::view::{RunView, State};

use crate::stage::{engine_with, entries, play, size, small, story};

#[test]
fn a_healthy_run_makes_m3_and_measures_every_model() {
    let root = tempfile::tempdir().unwrap();
    let (folder, view) = play(root.path(), "a", &small(7));
    assert_eq!(view.state, State::Finished);
    assert_eq!(view.oddities.stray, 0);
    let models: Vec<Model> = view.models.iter().map(|model| model.model).collect();
    assert_eq!(models, [Model::M(0), Model::Baseline, Model::M(1), Model::M(2), Model::M(3)]);
    for model in &view.models {
        let evaluated = &model.evaluated.as_ref().unwrap().1;
        assert!(evaluated.oracle.as_ref().is_some_and(|oracle| oracle.n == 24), "{}", model.model);
        if model.model > Model::M(0) {
            assert!(evaluated.agreement.pairs > 50 && evaluated.agreement.interval.is_some(), "{}", model.model);
            assert!(folder.path().join(model.folder.as_ref().unwrap()).join("MANIFEST.json").exists());
        }
    }
    for iteration in [1, 2] {
        let round = view.round(iteration).unwrap();
        assert_eq!(round.prompts.len(), 60);
        assert_eq!(round.judge.replies, 60 * 4 * 3);
        let training = round.training.as_ref().unwrap();
        assert_eq!(training.pairs.len() as u32, round.pairs);
        assert!(round.pairs > 15, "{}", round.pairs);
    }
    let kinds: BTreeSet<String> = entries(&folder).iter().map(|entry| entry.event.kind().to_string()).collect();
    for kind in
        ["spot_check_opened", "spot_check_closed", "reference_scored", "dpo_step", "sft_step", "duelled", "measured"]
    {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
}

fn errors(view: &RunView) -> BTreeSet<String> {
    let errors = view.alarm_log.iter().filter(|(_, _, alarm)| alarm.level == Level::Error);
    errors.map(|(_, _, alarm)| alarm.id.clone()).collect()
}

#[test]
fn twenty_healthy_seeds_raise_no_error() {
    let root = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let mut settings = small(seed);
        settings.prompts.count = size(30, settings.prompts.count);
        settings.eval.instructions = size(12, settings.eval.instructions);
        settings.eval.ranked = size(12, settings.eval.ranked);
        let (_, view) = play(root.path(), &format!("seed{seed}"), &settings);
        assert_eq!(errors(&view), BTreeSet::new(), "seed {seed}: {:?}", view.alarm_log);
    }
}

#[test]
fn each_way_of_failing_raises_its_alarm() {
    let root = tempfile::tempdir().unwrap();
    // What fires, and whether it stops the run before the optimiser sees the data.
    let table = [
        (Story::Parse, "judge-parse", Some(Level::Error)),
        (Story::Saturation, "judge-sat", None),
        (Story::Length, "len-bias", None),
        (Story::Overfit, "overfit", None),
        (Story::Collapse, "collapse", None),
        (Story::Gaming, "gaming", Some(Level::Error)),
        (Story::Nan, "nan", Some(Level::Error)),
    ];
    for (at, (turn, alarm, level)) in table.into_iter().enumerate() {
        let folder = launch::create(root.path(), &format!("s{at}"), &story(turn, 3)).unwrap();
        // The expected error ends the run; a human who has seen another one lets it go on.
        let signals = Signals::default();
        let stop = signals.stop.clone();
        let outbox = Outbox::open(folder.path(), "ana").unwrap();
        let listener = Box::new(move |entry: &Entry, view: &RunView| {
            if let Event::Paused(Paused { why: PauseReason::Alarm { .. }, .. }) = &entry.event {
                if level.is_some() && view.alarms.contains_key(alarm) {
                    stop.store(true, std::sync::atomic::Ordering::Relaxed);
                } else {
                    outbox.send("ana", entry.at, Command::Resume).unwrap();
                }
            }
        });
        let (ended, view) = engine_with(&folder, signals, listener).unwrap();
        let raised = view.alarm_log.iter().find(|(_, _, raised)| raised.id == alarm);
        let (seq, _, raised) = raised.unwrap_or_else(|| panic!("{turn:?} raised {:?}", view.alarm_log));
        assert!(!raised.advice.is_empty() && !raised.says.is_empty() && !raised.window.is_empty());
        assert_eq!(matches!(ended, Ended::Stopped(_)), level.is_some(), "{turn:?}: {:?}", errors(&view));
        if level == Some(Level::Error) && turn != Story::Nan {
            assert_eq!(raised.level, Level::Error, "{turn:?}");
            let steps = entries(&folder).into_iter().filter(|entry| entry.seq > *seq);
            let after: Vec<Event> = steps.map(|entry| entry.event).collect();
            assert!(
                !after.iter().any(|event| matches!(event, Event::DpoStep(_))),
                "{turn:?} trained on what the alarm named"
            );
        }
    }
}

/// What a run decided, without what an oracle said of it afterwards.
fn decided(root: &Path, name: &str, read: &dyn Fn(&Settings) -> anyhow::Result<Materials>) -> Vec<String> {
    let folder = launch::create(root, name, &small(3)).unwrap();
    let mut make = |settings: &Settings, materials: &Materials| {
        let policy = Rehearsal::new(settings.rehearsal.clone(), settings.run.seed, materials.prompts.clone());
        Ok(Box::new(policy) as Box<dyn Policy>)
    };
    let mut nobody = |_: &Settings| anyhow::bail!("nobody teaches here");
    let quiet = Box::new(|_: &Entry, _: &RunView| {});
    let (ended, _) = launch::engine_with(&folder, read, &mut make, &mut nobody, Signals::default(), quiet).unwrap();
    assert_eq!(ended, Ended::Finished);
    let decides = [
        "prompt_written",
        "prompt_refused",
        "candidate_sampled",
        "candidate_judged",
        "pair_selected",
        "prompt_skipped",
        "spot_check_opened",
        "training_set_fixed",
        "reference_scored",
    ];
    let all = entries(&folder);
    let facts = all.iter().filter(|entry| decides.contains(&entry.event.kind()));
    facts.map(|entry| serde_json::to_string(&entry.event).unwrap()).collect()
}

#[test]
fn no_value_of_the_oracle_reaches_prompts_judging_or_pairing() {
    let root = tempfile::tempdir().unwrap();
    let honest = decided(root.path(), "honest", &Materials::read);
    let garbage = decided(root.path(), "garbage", &|settings| {
        let mut materials = Materials::read(settings)?;
        assert!(materials.oracle.is_some());
        materials.oracle = Some(|prompt, answer| Some(((prompt.len() * 7 + answer.len() * 13) % 6) as f64));
        Ok(materials)
    });
    assert_eq!(honest, garbage);
    assert!(honest.iter().filter(|fact| fact.contains("length_ratio")).count() > 20);
}
