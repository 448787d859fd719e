//! A run is killed, cut and damaged at every place; what it makes in the end is the same, or the damage is named.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use selfreward::engine::drive::Ended;
use selfreward::engine::launch;
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::Settings;
use selfreward::recipe::seeds::Seed;
use selfreward::run::folder::RunFolder;
use selfreward::run::journal::{mend, segment_name};
use selfreward::run::view::RunView;

use crate::stage::{cut, engine, facts, play, size, small};

/// Kills in a test run of every commit; set SELFREWARD_KILLS for more.
const KILLS: u32 = 6;

/// `step` in a test run of every commit, 1 (every entry, every byte) in the long form.
fn every(step: usize) -> usize {
    size(step, 1)
}

fn tiny() -> Settings {
    let mut settings = small(11);
    settings.prompts.count = 14;
    settings.eval.instructions = 5;
    settings.eval.ranked = 5;
    settings.eval.anchors = 10;
    settings.checkpoint.every = 3;
    settings
}

#[test]
fn a_run_that_is_killed_again_and_again_makes_the_same_facts() {
    let kills: u32 = std::env::var("SELFREWARD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let root = tempfile::tempdir().unwrap();
    let mut settings = small(12);
    settings.prompts.count = 30;
    settings.eval.instructions = 8;
    settings.eval.ranked = 8;
    settings.checkpoint.every = 3;
    // Slow enough that a kill lands in every stage, fast enough for a test.
    settings.rehearsal.tempo = 0.02;
    let (whole, _) = play(root.path(), "whole", &settings);
    let expected = facts(&whole);
    let mut stream = Seed::root(99).named("kills").stream();
    let (mut killed, mut runs) = (0, 0);
    while killed < kills {
        runs += 1;
        let folder = launch::create(root.path(), &format!("killed{runs}"), &settings).unwrap();
        loop {
            let mut child = Command::new(env!("CARGO_BIN_EXE_selfreward"))
                .arg("engine")
                .arg(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let patience = Duration::from_millis(150 + stream.below(1500) as u64);
            let began = std::time::Instant::now();
            let ended = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break Some(status);
                }
                if began.elapsed() >= patience && killed < kills {
                    break None;
                }
                std::thread::sleep(Duration::from_millis(2));
            };
            match ended {
                Some(status) => {
                    let mut says = String::new();
                    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut says).unwrap();
                    assert!(status.success(), "{status}: {says}");
                    break;
                }
                None => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    killed += 1;
                }
            }
        }
        assert_eq!(facts(&folder), expected, "run {runs} after {killed} kills");
    }
    eprintln!("{killed} kills in {runs} runs: the facts were the same in all of them");
}

/// Where each line of a journal ends.
fn line_ends(journal: &[u8]) -> Vec<usize> {
    journal.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect()
}

#[test]
fn a_journal_cut_after_any_entry_resumes_to_the_same_facts() {
    let root = tempfile::tempdir().unwrap();
    let (whole, _) = play(root.path(), "whole", &tiny());
    let expected = facts(&whole);
    let journal = std::fs::read(whole.path().join(segment_name(1))).unwrap();
    let ends = line_ends(&journal);
    // Each resume runs to the end of the run: a spread of entries, and both sides of every stage's border.
    let text = String::from_utf8(journal.clone()).unwrap();
    let border = |at: usize| {
        let line = text.lines().nth(at).unwrap_or_default();
        ["stage_", "spot_check", "training_set", "checkpoint", "evaluated", "measured"]
            .iter()
            .any(|kind| line.contains(&format!("\"kind\":\"{kind}")))
    };
    let chosen: Vec<usize> =
        (0..ends.len()).filter(|&at| at % every(149) == 0 || (border(at) && at % 5 == 0)).collect();
    for at in &chosen {
        let folder = cut(&whole, root.path(), &format!("cut{at}"), ends[*at]);
        let (ended, _) =
            engine(&folder, Signals::default()).unwrap_or_else(|error| panic!("cut after line {}: {error:#}", at + 1));
        assert_eq!((ended, facts(&folder)), (Ended::Finished, expected.clone()), "cut after line {}", at + 1);
        std::fs::remove_dir_all(folder.path()).unwrap();
    }
    assert!(chosen.len() > 15, "{}", chosen.len());
}

#[test]
fn every_cut_of_a_journal_is_mended_to_its_longest_whole_prefix() {
    let root = tempfile::tempdir().unwrap();
    let (whole, _) = play(root.path(), "whole", &tiny());
    let journal = std::fs::read(whole.path().join(segment_name(1))).unwrap();
    let ends = line_ends(&journal);
    let folder = RunFolder::create(root.path(), "cut").unwrap();
    let path = folder.path().join(segment_name(1));
    let mended = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let mut view = RunView::default();
        let torn = mend(folder.path(), |_, entry| view.apply(&entry)).map(|torn| torn.map_or(0, |torn| torn.bytes));
        (torn, view, std::fs::metadata(&path).unwrap().len())
    };
    // After every entry.
    for end in ends.iter().step_by(every(23)) {
        let (torn, view, length) = mended(&journal[..*end]);
        assert_eq!((torn.unwrap(), length), (0, *end as u64));
        assert_eq!(view.seq as usize, ends.iter().position(|at| at == end).unwrap() + 1);
    }
    // Inside every byte of the last line of a young journal, and of the whole one.
    for (line, step) in [(40, 1), (ends.len() - 1, every(13))] {
        let (from, to) = (ends[line - 1], ends[line]);
        for bytes in (from..to).step_by(step) {
            let (torn, view, length) = mended(&journal[..bytes]);
            assert_eq!((torn.unwrap(), length), ((bytes - from) as u64, from as u64), "cut at byte {bytes}");
            assert_eq!(view.seq as usize, line);
        }
    }
    // Zeros where the end should be, as a power cut leaves them.
    let end = ends[ends.len() / 3];
    for zeros in [1, 100, 5000] {
        for newline in [false, true] {
            let mut bytes = journal[..end].to_vec();
            bytes.extend(vec![0; zeros]);
            bytes.extend(newline.then_some(b'\n'));
            let (torn, _, length) = mended(&bytes);
            assert_eq!((torn.unwrap(), length), ((zeros + usize::from(newline)) as u64, end as u64));
        }
    }
}

#[test]
fn damage_before_the_end_is_named_with_its_line_and_refused() {
    let root = tempfile::tempdir().unwrap();
    let (whole, _) = play(root.path(), "whole", &tiny());
    let journal = std::fs::read(whole.path().join(segment_name(1))).unwrap();
    let ends = line_ends(&journal);
    let refused = |name: &str, bytes: Vec<u8>| {
        let folder = cut(&whole, root.path(), name, 0);
        std::fs::write(folder.path().join(segment_name(1)), &bytes).unwrap();
        let error = format!("{:#}", engine(&folder, Signals::default()).unwrap_err());
        assert_eq!(std::fs::read(folder.path().join(segment_name(1))).unwrap(), bytes, "{name}: the file was changed");
        error
    };
    let mut flipped = journal.clone();
    flipped[ends[99] + 30] ^= 1;
    let error = refused("flipped", flipped);
    assert!(error.contains("journal-0001.jsonl:101: its checksum is wrong"), "{error}");

    let mut gap = journal[..ends[99]].to_vec();
    gap.extend(&journal[ends[100]..]);
    let error = refused("gap", gap);
    assert!(error.contains("journal-0001.jsonl:101: entry 102 where 101 should be"), "{error}");

    let mut long = journal[..ends[99]].to_vec();
    long.extend(vec![b'x'; 9 << 20]);
    long.push(b'\n');
    long.extend(&journal[ends[99]..]);
    let error = refused("long", long);
    assert!(error.contains("journal-0001.jsonl:101: the line is longer than 8 MiB"), "{error}");
}

#[test]
fn a_second_engine_is_refused_and_told_who_runs() {
    let root = tempfile::tempdir().unwrap();
    let folder = launch::create(root.path(), "a", &tiny()).unwrap();
    let _lock = folder.lock().unwrap().unwrap();
    let error = format!("{:#}", engine(&folder, Signals::default()).unwrap_err());
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
}

#[test]
fn changed_data_is_refused_on_resume() {
    let root = tempfile::tempdir().unwrap();
    let ift = root.path().join("ift.jsonl");
    let write = |rows: u32| {
        let mut file = File::create(&ift).unwrap();
        for row in 0..rows {
            writeln!(file, "{{\"prompt\":\"Name the number {row} in words.\",\"response\":\"It is {row}.\"}}").unwrap();
        }
    };
    write(60);
    let mut settings = tiny();
    settings.data.ift = Some(ift.to_str().unwrap().into());
    let signals = Signals::default();
    signals.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let folder = launch::create(root.path(), "a", &settings).unwrap();
    assert!(matches!(engine(&folder, signals).unwrap().0, Ended::Stopped(_)));
    write(61);
    let error = format!("{:#}", engine(&folder, Signals::default()).unwrap_err());
    assert!(error.contains("ift") && error.contains("is not what it was"), "{error}");
    write(60);
    assert_eq!(engine(&folder, Signals::default()).unwrap().0, Ended::Finished);
}

#[test]
fn damaged_checkpoints_are_named_and_the_next_older_is_used() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = tiny();
    settings.checkpoint.every = 2;
    settings.checkpoint.keep = 3;
    let (whole, _) = play(root.path(), "whole", &settings);
    let expected = facts(&whole);
    // Stopped in the middle of a training, with checkpoints behind it.
    let folder = launch::create(root.path(), "stopped", &settings).unwrap();
    let signals = Signals::default();
    let stop = signals.stop.clone();
    let listener = Box::new(move |entry: &selfreward::run::entry::Entry, _: &RunView| {
        if let selfreward::run::event::Event::SftStep(step) = &entry.event
            && step.step == 9
        {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    crate::stage::engine_with(&folder, signals, listener).unwrap();
    let mut saved: Vec<_> = std::fs::read_dir(folder.checkpoints()).unwrap().map(|item| item.unwrap().path()).collect();
    saved.sort();
    assert!(saved.len() >= 2, "{saved:?}");
    let newest = saved.last().unwrap();
    OpenOptions::new().append(true).open(newest.join("rehearsal.json")).unwrap().write_all(b" ").unwrap();
    let (ended, view) = engine(&folder, Signals::default()).unwrap();
    assert_eq!((ended, view.oddities.damaged_checkpoints, facts(&folder)), (Ended::Finished, 1, expected));
}
