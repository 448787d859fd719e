//! A run with a cursor: every moment is what the fold of the entries up to it says, however one gets there.

use selfreward::run::entry::{Entry, Stamp};
use selfreward::run::event::Event;
use selfreward::run::journal::{Writer, segment_name};
use selfreward::run::view::RunView;
use selfreward::tui::figures::Zone;
use selfreward::tui::places;
use selfreward::tui::source::{MarkKind, Source};

use crate::story::{self, Plot};

fn small(illness: story::Illness) -> Plot {
    Plot { prompts: 12, steps: 24, illness, ..Plot::default() }
}

fn fold(entries: &[Entry]) -> RunView {
    let mut view = RunView::default();
    entries.iter().for_each(|entry| view.apply(entry));
    view
}

#[test]
fn every_moment_is_the_fold_of_what_came_before_forwards_and_backwards() {
    let root = tempfile::tempdir().unwrap();
    let entries = small(story::Illness::Nan).tell();
    let folder = story::write(root.path(), "a", &entries);
    let last = entries.len() as u64;
    for every in [1, 7, 100, 100_000] {
        let mut source = Source::open_with(folder.clone(), every);
        source.read_all().unwrap();
        let mut at = 3u64;
        for _ in 0..40 {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let wanted = (at >> 33) % (last + 3);
            source.seek(wanted);
            assert_eq!(
                source.view(),
                &fold(&entries[..wanted.min(last) as usize]),
                "key frames every {every}, at {wanted}"
            );
            // A step on from there is the same as a jump.
            source.seek(wanted + 1);
            assert_eq!(source.view().seq, (wanted + 1).min(last));
        }
        source.follow();
        assert_eq!(source.view(), &fold(&entries));
    }
}

#[test]
fn a_run_that_is_watched_at_its_end_can_be_looked_back_at() {
    let root = tempfile::tempdir().unwrap();
    let entries = small(story::Illness::Healthy).tell();
    let mut source = Source::open(story::write(root.path(), "a", &entries));
    source.read_all().unwrap();
    for wanted in [300, 20, 500] {
        source.seek(wanted);
        assert_eq!(source.view(), &fold(&entries[..wanted as usize]));
    }
    source.follow();
    assert_eq!(source.view(), &fold(&entries));
}

#[test]
fn a_moment_by_the_clock_is_after_the_last_entry_that_is_not_later() {
    let root = tempfile::tempdir().unwrap();
    let entries = small(story::Illness::Healthy).tell();
    let folder = story::write(root.path(), "a", &entries);
    let mut source = Source::open_with(folder, 50);
    source.read_all().unwrap();
    for place in (0..entries.len() - 1).step_by(37) {
        let at = Stamp(entries[place].at.0);
        source.seek_time(at);
        let expected = entries.iter().filter(|entry| entry.at <= at).count() as u64;
        assert_eq!(source.view().seq, expected);
    }
}

#[test]
fn what_is_appended_later_is_read_and_a_held_view_stays_where_it_is() {
    let root = tempfile::tempdir().unwrap();
    let entries = small(story::Illness::Healthy).tell();
    let (early, late) = entries.split_at(entries.len() / 2);
    let folder = story::write(root.path(), "a", early);
    let mut source = Source::open_with(folder.clone(), 50);
    source.read_all().unwrap();
    source.seek(20);
    let mut writer = Writer::open(folder.path()).unwrap();
    late.iter().for_each(|entry| writer.append(entry).unwrap());
    assert_eq!(source.poll(usize::MAX).unwrap(), late.len());
    assert_eq!((source.view().seq, source.head().seq), (20, entries.len() as u64));
    source.follow();
    assert_eq!(source.view(), &fold(&entries));
}

#[test]
fn jumps_land_just_before_what_is_looked_for() {
    let root = tempfile::tempdir().unwrap();
    let entries = small(story::Illness::Nan).tell();
    let folder = story::write(root.path(), "a", &entries);
    let mut source = Source::open(folder);
    source.read_all().unwrap();
    source.seek(0);
    let mut met = 0;
    while let Some(mark) = source.next_mark(true, |kind| kind == MarkKind::Decision) {
        source.seek(mark.seq - 1);
        assert!(matches!(entries[source.view().seq as usize].event, Event::PairDecided(_)));
        met += 1;
    }
    let decisions = entries.iter().filter(|entry| matches!(entry.event, Event::PairDecided(_))).count();
    assert_eq!(met, decisions);
    let nan = source.next_mark(false, |kind| kind == MarkKind::Nan).unwrap();
    assert!(matches!(&entries[nan.seq as usize - 1].event, Event::DpoStep(step) if step.loss.0.is_nan()));
}

#[test]
fn places_are_found_as_people_write_them() {
    let root = tempfile::tempdir().unwrap();
    let entries = small(story::Illness::Healthy).tell();
    let folder = story::write(root.path(), "a", &entries);
    let mut source = Source::open(folder);
    source.read_all().unwrap();
    let after = |source: &Source, place: &str| places::find(source, Zone::default(), place).map(|seq| seq as usize);
    assert_eq!(after(&source, "50%"), Ok((entries.len() as f64 / 2.0).round() as usize));
    assert_eq!(after(&source, "seq:1,024"), Ok(1024));
    let step = after(&source, "M2:dpo:9").unwrap();
    assert!(matches!(&entries[step].event, Event::DpoStep(event) if (event.step, event.iteration) == (9, 1)));
    let judge = after(&source, "M3:judge").unwrap();
    assert!(
        matches!(&entries[judge].event, Event::StageStarted(event) if event.iteration == 2 && event.stage.name() == "judge")
    );
    let pair = source.head().rounds[1].pairs().next().unwrap().0;
    let found = after(&source, &format!("#{pair}")).unwrap();
    assert!(matches!(&entries[found].event, Event::PairSelected(event) if event.id == pair));
    let clock = after(&source, "09:02").unwrap();
    assert!(entries[clock].at > entries[clock - 1].at && entries[clock].at.to_string().contains("T09:02"));
    let text = after(&source, "baking SODA").unwrap();
    assert!(matches!(&entries[text].event, Event::PromptWritten(event) if event.text.contains("baking soda")));
    for wrong in ["M9:dpo", "M2:sleep", "#9:9", "x%", "seq:x", "nowhere to be found", ""] {
        assert!(after(&source, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_damaged_journal_opens_with_what_is_good_and_says_what_is_not() {
    let root = tempfile::tempdir().unwrap();
    let entries = small(story::Illness::Healthy).tell();
    let folder = story::write(root.path(), "a", &entries);
    let path = folder.path().join(segment_name(1));
    let mut bytes = std::fs::read(&path).unwrap();
    let line = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(40).unwrap().0;
    bytes[line + 30] ^= 1;
    bytes.extend_from_slice(b"{\"v\":1,\"seq\":99");
    std::fs::write(&path, bytes).unwrap();
    let mut source = Source::open(folder);
    source.read_all().unwrap();
    assert_eq!(source.head().seq, entries.len() as u64);
    assert_eq!(source.damages().len(), 1);
    assert!(source.damages()[0].to_string().contains("checksum"));
}

#[test]
fn playing_reaches_the_end_and_stops_before_what_it_should_pause_on() {
    use selfreward::tui::app::{App, Mode, Msg, update};
    use selfreward::tui::player::PauseOn;
    use selfreward::tui::settings::Settings;
    let root = tempfile::tempdir().unwrap();
    let mut entries = small(story::Illness::Healthy).tell();
    // A night without work, and a clock that was set back.
    let middle = entries.len() / 2;
    entries[middle..].iter_mut().for_each(|entry| entry.at.0 += 8 * 3_600_000_000);
    entries[middle + 50..].iter_mut().for_each(|entry| entry.at.0 -= 1_000_000_000);
    let folder = story::write(root.path(), "a", &entries);
    for (pause_on, idle_cap) in [(vec![], 5.0), (vec![], 0.0), (vec![PauseOn::Decision], 5.0)] {
        let mut source = Source::open_with(folder.clone(), 64);
        source.read_all().unwrap();
        source.seek(0);
        let mut app = App::new(source, Mode::Replay { second_opinion: false }, Settings::default());
        app.player.playing = true;
        app.player.speed = 64.0;
        app.player.idle_cap = idle_cap;
        app.player.pause_on = pause_on.clone();
        let mut clock = Stamp(1_000_000_000);
        let mut seen = app.view().seq;
        for _ in 0..2000 {
            clock.0 += 100_000;
            update(&mut app, Msg::Tick(clock));
            assert!(app.view().seq >= seen, "time ran backwards");
            seen = app.view().seq;
        }
        if pause_on.is_empty() {
            assert_eq!((seen, app.player.playing), (entries.len() as u64, false));
        } else {
            assert!(!app.player.playing);
            assert!(matches!(entries[seen as usize].event, Event::PairDecided(_)));
        }
    }
}
