//! The finished runs that come with the program: they fold without damage and show what they are there to show.

use std::path::Path;

use selfreward::run::event::Event;
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::Model;
use selfreward::run::view::{RunView, State};

use crate::stage::entries;

fn example(name: &str) -> (RunFolder, RunView) {
    let folder = RunFolder::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("runs").join(name));
    let mut view = RunView::default();
    // `entries` fails on damage.
    entries(&folder).iter().for_each(|entry| view.apply(entry));
    (folder, view)
}

fn bytes(folder: &Path) -> u64 {
    let items = std::fs::read_dir(folder).unwrap().map(|item| item.unwrap());
    items.map(|item| if item.path().is_dir() { bytes(&item.path()) } else { item.metadata().unwrap().len() }).sum()
}

fn perfect(view: &RunView, model: Model) -> f64 {
    view.model(model).unwrap().evaluated.as_ref().unwrap().1.oracle.as_ref().unwrap().perfect_t07
}

#[test]
fn the_example_is_a_finished_run_that_improves_and_that_somebody_looked_at() {
    let (folder, view) = example("example");
    assert_eq!((view.state.clone(), view.oddities.stray), (State::Finished, 0));
    let names: Vec<String> = view.models.iter().map(|model| model.model.to_string()).collect();
    assert_eq!(names, ["M0", "SFT", "M1", "M2", "M3"]);
    let [m1, m2, m3] = [1, 2, 3].map(|number| perfect(&view, Model::M(number)));
    assert!(m1 < m2 && m1 < m3, "{m1} {m2} {m3}");
    for number in [2, 3] {
        let hindsight = view.model(Model::M(number)).unwrap().evaluated.as_ref().unwrap().1.hindsight.unwrap();
        assert!(hindsight.decided > 0 && hindsight.suspicion_auroc.unwrap() > 0.5, "{hindsight:?}");
    }
    let decided = entries(&folder).into_iter().filter_map(|entry| match entry.event {
        Event::PairDecided(event) => Some(event.by.clone()),
        _ => None,
    });
    assert!(decided.into_iter().all(|by| by == "simulated-human"), "who decided must be plain");
    assert!(bytes(folder.path()) < 5 << 20, "{} bytes", bytes(folder.path()));
}

#[test]
fn the_collapsed_example_raises_its_alarm_before_the_answers_are_worse() {
    let (folder, view) = example("example-collapsed");
    let entries = entries(&folder);
    let alarm =
        entries.iter().position(|entry| matches!(&entry.event, Event::AlarmRaised(alarm) if alarm.id == "overfit"));
    let measured =
        entries.iter().position(|entry| matches!(&entry.event, Event::Evaluated(event) if event.model == Model::M(2)));
    assert!(alarm.unwrap() < measured.unwrap());
    let (before, after) = (perfect(&view, Model::M(1)), perfect(&view, Model::M(2)));
    assert!(after < before - 0.1, "{before} {after}");
    assert!(bytes(folder.path()) < 5 << 20);
}
