//! Key frames are a cache: with them, without them, with damaged ones or with another run's, a viewer sees the same.

use std::path::Path;

use selfreward::run::folder::RunFolder;
use selfreward::run::journal::{Found, Tail, Writer, segment_name};
use selfreward::run::key_frames::{FILE, FORMAT, KeyFrames};
use selfreward::run::view::RunView;
use selfreward::tui::source::Source;

use crate::story::{self, Illness, Plot};

const EVERY: u64 = 97;

fn told() -> Plot {
    Plot { prompts: 14, steps: 24, illness: Illness::Nan, ..Plot::default() }
}

fn read(folder: &RunFolder) -> Source {
    let mut source = Source::open_with(folder.clone(), EVERY);
    source.read_all().unwrap();
    source
}

/// Everything that a viewer knows at the end and on the way.
fn same(one: &mut Source, two: &mut Source, why: &str) {
    assert!(one.head() == two.head(), "{why}: the heads differ");
    assert_eq!(one.marks(), two.marks(), "{why}");
    assert_eq!(one.notable(), two.notable(), "{why}");
    assert_eq!(one.damages(), two.damages(), "{why}");
    let last = one.head().seq;
    for place in [0, 1, 3, last / 3, last / 2, last / 2 - 1, last - 2] {
        one.seek(place);
        two.seek(place);
        assert!(one.view() == two.view(), "{why}: the views of entry {place} differ");
        assert_eq!(one.texts.entry(place), two.texts.entry(place), "{why}: entry {place}");
    }
}

#[test]
fn a_second_viewer_begins_at_the_last_frame_and_knows_the_same() {
    let root = tempfile::tempdir().unwrap();
    let folder = told().write(root.path());
    let mut first = read(&folder);
    drop(std::mem::replace(&mut first, Source::open_with(RunFolder::at(root.path().join("none")), EVERY)));
    let opened = Source::open_with(folder.clone(), EVERY);
    let last = folder_last(&folder);
    assert!(opened.head().seq + EVERY > last && opened.head().seq < last, "{} of {last}", opened.head().seq);
    drop(opened);
    let fresh = tempfile::tempdir().unwrap();
    let mut without = read(&told().write(fresh.path()));
    same(&mut read(&folder), &mut without, "with frames");
}

fn folder_last(folder: &RunFolder) -> u64 {
    let mut last = 0;
    Tail::new(folder.path())
        .read(|_, found| {
            if let Found::Entry(entry) = found {
                last = entry.seq;
            }
            true
        })
        .unwrap();
    last
}

#[test]
fn labels_of_a_reward_model_are_the_same_with_frames_as_without() {
    let root = tempfile::tempdir().unwrap();
    let told = || Plot { ser: true, ..told() };
    let folder = told().write(root.path());
    drop(read(&folder));
    let opened = Source::open_with(folder.clone(), EVERY);
    assert!(opened.head().seq > 0 && opened.head().reward.labelled.len() == 2);
    drop(opened);
    let fresh = tempfile::tempdir().unwrap();
    let mut without = read(&told().write(fresh.path()));
    same(&mut read(&folder), &mut without, "with labels");
}

#[test]
fn frames_that_are_damaged_cut_or_of_another_run_change_nothing_that_is_seen() {
    let root = tempfile::tempdir().unwrap();
    let folder = told().write(root.path());
    drop(read(&folder));
    let file = folder.path().join(FILE);
    let good = std::fs::read(&file).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let mut without = read(&told().write(fresh.path()));
    let other = tempfile::tempdir().unwrap();
    let other = Plot { seed: 8, ..told() }.write(other.path());
    drop(read(&other));

    let mut bad: Vec<(String, Vec<u8>)> = vec![
        ("nothing".into(), Vec::new()),
        ("noise".into(), (0..9000u32).map(|at| ((at * 7919) >> 3) as u8).collect()),
        ("another run's".into(), std::fs::read(other.path().join(FILE)).unwrap()),
        ("another format".into(), [b"key frames 0", &good[12..]].concat()),
    ];
    for part in 0..6 {
        let at = good.len() * part / 6;
        bad.push((format!("cut at {at}"), good[..at].to_vec()));
        let mut flipped = good.clone();
        flipped[at + 5] ^= 64;
        bad.push((format!("flipped at {at}"), flipped));
    }
    for (why, bytes) in bad {
        std::fs::write(&file, &bytes).unwrap();
        same(&mut read(&folder), &mut without, &why);
        // What was wrong has been written anew, or was not used.
        assert!(read(&folder).head() == without.head(), "{why}, the second time");
    }
}

#[test]
fn a_journal_that_became_shorter_or_another_one_is_not_taken_for_the_old_one() {
    let root = tempfile::tempdir().unwrap();
    let folder = told().write(root.path());
    drop(read(&folder));
    let path = folder.path().join(segment_name(1));
    let whole = std::fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|&byte| byte == b'\n').collect();
    for kept in [lines.len() - 1, lines.len() * 2 / 3, 40] {
        std::fs::write(&path, lines[..kept].concat()).unwrap();
        let seen = read(&folder).head().clone();
        assert_eq!(seen.seq, kept as u64);
        let fresh = tempfile::tempdir().unwrap();
        let copy = RunFolder::create(fresh.path(), "copy").unwrap();
        std::fs::write(copy.path().join(segment_name(1)), lines[..kept].concat()).unwrap();
        assert!(seen == *read(&copy).head(), "{kept} lines");
    }
}

#[test]
fn two_viewers_share_the_frames_and_one_of_them_writes() {
    let root = tempfile::tempdir().unwrap();
    let entries = told().tell();
    let (early, late) = entries.split_at(entries.len() / 2);
    let folder = story::write(root.path(), "a", early);
    let mut one = read(&folder);
    let mut two = read(&folder);
    let mut writer = Writer::open(folder.path()).unwrap();
    late.iter().for_each(|entry| writer.append(entry).unwrap());
    two.read_all().unwrap();
    let before = KeyFrames::open(folder.path()).before(|_| true).map(|known| known.seq);
    assert!(before.is_some_and(|seq| seq < early.len() as u64), "the second viewer wrote");
    one.read_all().unwrap();
    let after = KeyFrames::open(folder.path()).before(|_| true).map(|known| known.seq);
    assert!(after.is_some_and(|seq| seq > early.len() as u64), "the first viewer did not write");
    same(&mut one, &mut two, "two viewers");
}

#[test]
fn a_folder_that_cannot_be_written_is_read_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let folder = told().write(root.path());
    // Nobody can write a file where a folder stands, whatever they may.
    std::fs::create_dir(folder.path().join(FILE)).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let mut without = read(&told().write(fresh.path()));
    same(&mut read(&folder), &mut without, "read-only");
    assert!(std::fs::read_dir(folder.path().join(FILE)).unwrap().next().is_none());
}

/// The view of the golden journal as key frames write it.
fn fingerprint(folder: &Path) -> String {
    let mut view = RunView::default();
    let mut held = Vec::new();
    Tail::new(folder)
        .read(|_, found| {
            if let Found::Entry(entry) = found {
                view.apply(&entry);
                if entry.seq.is_multiple_of(100) {
                    held.extend(rmp_serde::to_vec_named(&view).unwrap());
                    let prompts: Vec<_> = view.rounds.iter().map(|round| &round.prompts).collect();
                    held.extend(format!("{prompts:?} {:?}", view.curves).into_bytes());
                }
            }
            true
        })
        .unwrap();
    blake3::hash(&held).to_hex()[..16].to_string()
}

#[test]
fn the_fold_of_the_golden_journal_is_the_one_that_this_format_stands_for() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal-v1");
    let expected = (8, "bd01fd2242625634");
    assert_eq!(
        (FORMAT, fingerprint(&golden).as_str()),
        expected,
        "the fold has changed, so frames of before are wrong: raise FORMAT in run/key_frames.rs, and write both here"
    );
}
