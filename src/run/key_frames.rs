//! Moments of a long run that need not be folded again: a cache beside the journal, so that a viewer opens at the end and jumps anywhere
//! at once.
//!
//! Written and read by viewers. Never a source of truth: a file that is absent, damaged, of another program or of another journal is as
//! good as none and is written anew; where nothing can be written it lives nameless in the folder for temporary files. What frames have in
//! common is written once: a frame is a list of the places of its parts. Knows how views are built, and nothing of who looks at them.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use crate::run::curves::{Curves, Series, Signal};
use crate::run::entry::{Entry, Stamp};
use crate::run::event::TrainingSetFixed;
use crate::run::ids::{Model, Seq};
use crate::run::journal::{Found, Place, Tail, segment_name};
use crate::run::view::{Block, Prompts, Repeats, RunView};

mod records;

use records::{Bytes, HEADER, Written, content, header, pack, pack_named, part, unpack, unpack_named};

/// The file in the run folder.
pub const FILE: &str = "key-frames";
/// Rises when a view of the same entries is no longer the same, or is written differently; a test holds it against the code.
pub const FORMAT: u32 = 8;

/// A view before the entry at a place.
#[derive(Clone)]
pub struct KeyFrame {
    pub view: RunView,
    pub place: Place,
    /// The number of the entry there.
    pub expected: Seq,
}

impl KeyFrame {
    /// Before anything has happened.
    pub fn first() -> KeyFrame {
        KeyFrame { view: RunView::default(), place: Place { segment: 1, offset: 0, line: 1 }, expected: 1 }
    }
}

/// A frame as far as it must be known to choose it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    pub place: Place,
    pub expected: Seq,
    /// The view's own last entry and time.
    pub seq: Seq,
    pub at: Stamp,
}

/// What a record holds.
#[derive(Serialize, Deserialize)]
enum Record {
    Part,
    Frame(Box<Frame>),
}

/// Places of parts are offsets in the file.
#[derive(Serialize, Deserialize)]
struct Frame {
    known: Known,
    /// Of the entry at its place: a journal in which another entry stands there is another journal.
    digest: u32,
    /// Bytes of the segments before it, which no longer change.
    closed: Vec<u64>,
    view: u64,
    curves: Vec<((Model, Signal), u64)>,
    rounds: Vec<Round>,
    /// What the reader met since the frame before, in its own words.
    met: u64,
}

#[derive(Serialize, Deserialize)]
struct Round {
    blocks: Vec<u64>,
    training: Option<u64>,
    repeats: Vec<u64>,
    /// The part of the repeats that still grows.
    filling: u64,
}

/// The parts of one frame: what the next one need not write again.
#[derive(Default)]
struct Parts {
    series: HashMap<(Model, Signal), Written<Series>>,
    rounds: Vec<RoundParts>,
}

#[derive(Default)]
struct RoundParts {
    blocks: Vec<Written<Block>>,
    training: Option<Written<TrainingSetFixed>>,
    repeats: Vec<Written<HashSet<u64>>>,
}

/// The key frames of a run.
pub struct KeyFrames {
    folder: PathBuf,
    file: Option<File>,
    /// This viewer holds the lock, and adds frames.
    writes: bool,
    /// Where the next record begins.
    end: u64,
    /// Each with its place, oldest first.
    frames: Vec<(Known, u64)>,
    last: Parts,
    /// Blocks that somebody holds, so that views of different moments share them.
    held: HashMap<u64, Weak<Block>>,
}

impl KeyFrames {
    /// Those of a run folder, which may have none.
    pub fn open(folder: &Path) -> KeyFrames {
        let mut frames = KeyFrames {
            folder: folder.to_path_buf(),
            file: None,
            writes: false,
            end: 0,
            frames: Vec::new(),
            last: Parts::default(),
            held: HashMap::new(),
        };
        frames.begin();
        frames
    }

    /// What the reader met up to the last frame, as it was handed over. None: it cannot be read any more.
    pub fn met(&self) -> Option<Vec<Vec<u8>>> {
        let file = self.file.as_ref()?;
        self.frames.iter().map(|(_, at)| part(file, self.frame(*at).ok()?.met).ok()).collect()
    }

    /// The last frame, to be continued from.
    pub fn load_last(&mut self) -> Option<KeyFrame> {
        let (known, at) = self.frames.last()?.clone();
        match self.frame(at).and_then(|frame| self.read(&frame)) {
            Ok((view, parts)) => {
                self.last = parts;
                Some(KeyFrame { view, place: known.place, expected: known.expected })
            }
            Err(_) => {
                self.forget_all();
                None
            }
        }
    }

    /// The last frame for which this holds; it must hold for all before it.
    pub fn before(&self, holds: impl Fn(&Known) -> bool) -> Option<&Known> {
        let after = self.frames.partition_point(|(known, _)| holds(known));
        self.frames.get(after.checked_sub(1)?).map(|(known, _)| known)
    }

    /// The view of a frame that is known. None when it cannot be read any more.
    pub fn load(&mut self, expected: Seq) -> Option<KeyFrame> {
        let place = self.frames.binary_search_by_key(&expected, |(known, _)| known.expected).ok()?;
        let (known, at) = self.frames[place].clone();
        let (view, _) = self.frame(at).and_then(|frame| self.read(&frame)).ok()?;
        Some(KeyFrame { view, place: known.place, expected: known.expected })
    }

    /// Adds the view before this entry. Where that is not possible nothing happens.
    pub fn add(&mut self, view: &RunView, place: Place, next: &Entry, met: &[u8]) {
        if self.file.is_none() {
            self.begin();
        }
        if self.writes && self.write(view, place, next, met).is_err() {
            // A full disk: what is there stays good, and is all there will be.
            self.writes = false;
        }
    }

    /// Whether frames are added here, and are to be prepared for it.
    pub fn grows(&self) -> bool {
        self.writes || self.file.is_none()
    }

    fn begin(&mut self) {
        let Some(title) = title(&self.folder) else { return };
        let path = self.folder.join(FILE);
        let own = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        self.file = match own {
            Ok(file) => {
                self.writes = file.try_lock().is_ok();
                Some(file)
            }
            Err(_) => File::open(&path).ok(),
        };
        let fits = self.begins_with(&title);
        if fits {
            self.end = title.len() as u64;
            self.refresh();
            self.check();
        }
        if self.writes && !fits {
            self.renew(&title);
        } else if !self.writes && self.frames.is_empty() && self.file.as_ref().is_none_or(|_| !fits) {
            self.file = nameless().ok();
            self.writes = self.file.is_some();
            self.renew(&title);
        }
    }

    fn begins_with(&self, title: &[u8]) -> bool {
        let mut have = vec![0; title.len()];
        self.file.as_ref().is_some_and(|file| file.read_exact_at(&mut have, 0).is_ok()) && have == title
    }

    fn renew(&mut self, title: &[u8]) {
        self.frames.clear();
        self.last = Parts::default();
        self.held.clear();
        let begun = self.file.as_mut().map(|file| file.set_len(0).and_then(|()| file.write_all_at(title, 0)));
        self.writes = matches!(begun, Some(Ok(())));
        self.end = title.len() as u64;
    }

    fn forget_all(&mut self) {
        match title(&self.folder) {
            Some(title) if self.writes => self.renew(&title),
            _ => {
                self.frames.clear();
                self.last = Parts::default();
            }
        }
    }

    fn frame(&self, at: u64) -> io::Result<Frame> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        match unpack(&content(file, at)?)? {
            Record::Frame(frame) => Ok(*frame),
            Record::Part => Err(io::Error::other("a part stands where a frame should be")),
        }
    }

    /// Takes up frames that are not known yet: another viewer may add some.
    pub fn refresh(&mut self) {
        let Some(file) = &self.file else { return };
        let Ok(size) = file.metadata().map(|file| file.len()) else { return };
        let mut at = self.end;
        let mut first = [0];
        while let Some((length, _)) = header(file, at).filter(|(length, _)| at + HEADER + length <= size) {
            // The first byte of a record says which it is; parts are skipped.
            if file.read_exact_at(&mut first, at + HEADER).is_err() {
                break;
            }
            let next = at + HEADER + length;
            if first != [0] {
                let Ok(frame) = self.frame(at) else { break };
                self.frames.push((frame.known, at));
                self.end = next;
            }
            at = next;
        }
    }

    /// Keeps the frames that this journal still agrees with.
    fn check(&mut self) {
        while let Some((_, at)) = self.frames.last() {
            if self.frame(*at).is_ok_and(|frame| self.agrees(&frame)) {
                break;
            }
            self.end = *at;
            self.frames.pop();
        }
        if self.writes
            && let Some(file) = &self.file
        {
            // What follows the last frame belongs to one that was not finished, or that was given up.
            let _ = file.set_len(self.end);
        }
    }

    fn agrees(&self, frame: &Frame) -> bool {
        let Known { place, expected, .. } = frame.known;
        let closed = (1..).zip(&frame.closed).all(|(number, &bytes)| length(&self.folder, number) == Some(bytes));
        if !closed || length(&self.folder, place.segment).is_none_or(|bytes| bytes < place.offset) {
            return false;
        }
        let mut same = false;
        let read = Tail::starting_at(&self.folder, place, expected).read(|_, found| {
            same =
                matches!(&found, Found::Entry(entry) if entry.seq == expected && digest(entry) == Some(frame.digest));
            false
        });
        read.is_ok() && same
    }

    fn read(&mut self, frame: &Frame) -> io::Result<(RunView, Parts)> {
        let KeyFrames { file: Some(file), held, .. } = self else { return Err(io::ErrorKind::NotFound.into()) };
        let mut view: RunView =
            rmp_serde::from_slice(&part(file, frame.view)?).map_err(|error| io::Error::other(error.to_string()))?;
        let mut parts = Parts::default();
        let mut curves = Vec::new();
        for (key, at) in &frame.curves {
            let series: Arc<Series> = Arc::new(unpack(&part(file, *at)?)?);
            parts.series.insert(*key, (*at, Arc::downgrade(&series)));
            curves.push((*key, series));
        }
        view.curves = Curves::from_shared(curves);
        if view.rounds.len() != frame.rounds.len() {
            return Err(io::Error::other("rounds are missing"));
        }
        for (round, listed) in view.rounds.iter_mut().zip(&frame.rounds) {
            let mut own = RoundParts::default();
            let mut blocks = Vec::new();
            for &at in &listed.blocks {
                let block = match held.get(&at).and_then(Weak::upgrade) {
                    Some(block) => block,
                    None => Arc::new(unpack(&part(file, at)?)?),
                };
                held.insert(at, Arc::downgrade(&block));
                own.blocks.push((at, Arc::downgrade(&block)));
                blocks.push(block);
            }
            if let Some(at) = listed.training {
                let training: Arc<TrainingSetFixed> = Arc::new(unpack_named(&part(file, at)?)?);
                own.training = Some((at, Arc::downgrade(&training)));
                round.training = Some(training);
            }
            let mut full = Vec::new();
            for &at in &listed.repeats {
                let seen: Arc<HashSet<u64>> = Arc::new(unpack(&part(file, at)?)?);
                own.repeats.push((at, Arc::downgrade(&seen)));
                full.push(seen);
            }
            round.prompts = Prompts::from_blocks(blocks).ok_or_else(|| io::Error::other("prompts are missing"))?;
            round.judge.seen = Repeats::from_parts(full, unpack(&part(file, listed.filling)?)?);
            parts.rounds.push(own);
        }
        Ok((view, parts))
    }

    fn write(&mut self, view: &RunView, place: Place, next: &Entry, met: &[u8]) -> io::Result<()> {
        let digest = digest(next).ok_or_else(|| io::Error::other("the entry cannot be written"))?;
        let closed = (1..place.segment).map(|number| length(&self.folder, number));
        let closed = closed.collect::<Option<Vec<u64>>>().ok_or_else(|| io::Error::other("a segment is missing"))?;
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        let mut new = Bytes { begin: self.end, bytes: Vec::new() };
        let packed = pack_named(view)?;
        let whole = new.part(&packed);
        let mut parts = Parts::default();
        for (key, series) in view.curves.shared() {
            let before = self.last.series.get(key);
            parts.series.insert(*key, new.shared(before, series)?);
        }
        for (number, round) in view.rounds.iter().enumerate() {
            let nothing = RoundParts::default();
            let before = self.last.rounds.get(number).unwrap_or(&nothing);
            let mut own = RoundParts::default();
            for (at, block) in round.prompts.blocks().iter().enumerate() {
                let (place, block) = new.shared(before.blocks.get(at), block)?;
                self.held.insert(place, block.clone());
                own.blocks.push((place, block));
            }
            if let Some(training) = &round.training {
                own.training = Some(new.shared_as(before.training.as_ref(), training, pack_named)?);
            }
            for part in round.judge.seen.parts().0 {
                let known = before.repeats.iter().find(|(_, known)| known.as_ptr() == Arc::as_ptr(part));
                own.repeats.push(new.shared(known, part)?);
            }
            parts.rounds.push(own);
        }
        let mut rounds = Vec::new();
        for (own, round) in parts.rounds.iter().zip(&view.rounds) {
            rounds.push(Round {
                blocks: own.blocks.iter().map(|(at, _)| *at).collect(),
                training: own.training.as_ref().map(|(at, _)| *at),
                repeats: own.repeats.iter().map(|(at, _)| *at).collect(),
                filling: new.part(&pack(round.judge.seen.parts().1)?),
            });
        }
        let known = Known { place, expected: next.seq, seq: view.seq, at: view.at };
        let frame = Frame {
            known: known.clone(),
            digest,
            closed,
            view: whole,
            curves: parts.series.iter().map(|(key, (at, _))| (*key, *at)).collect(),
            rounds,
            met: new.part(met),
        };
        let at = new.record(&pack(&Record::Frame(Box::new(frame)))?);
        file.write_all_at(&new.bytes, self.end)?;
        self.end += new.bytes.len() as u64;
        self.frames.push((known, at));
        self.last = parts;
        Ok(())
    }
}

/// The first line: which program wrote it, of which journal.
fn title(folder: &Path) -> Option<Vec<u8>> {
    let mut first = None;
    Tail::new(folder)
        .read(|_, found| {
            if let Found::Entry(entry) = found {
                first = digest(&entry);
            }
            false
        })
        .ok()?;
    Some(format!("key frames {FORMAT} of selfreward {} {:08x}\n", env!("CARGO_PKG_VERSION"), first?).into_bytes())
}

/// A file without a name, which ends with this process.
fn nameless() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("selfreward-{FILE}-{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn length(folder: &Path, segment: u32) -> Option<u64> {
    std::fs::metadata(folder.join(segment_name(segment))).ok().map(|file| file.len())
}

fn digest(entry: &Entry) -> Option<u32> {
    entry.to_line().ok().map(|line| crc32fast::hash(&line))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

    use super::*;

    #[test]
    fn a_frame_that_was_written_holds_nothing_of_its_view() {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal-v1");
        for file in std::fs::read_dir(fixture).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        let mut frames = KeyFrames::open(folder.path());
        let (mut view, mut written) = (RunView::default(), 0);
        Tail::new(folder.path())
            .read(|place, found| {
                let Found::Entry(entry) = found else { return true };
                if entry.seq % 40 == 0 {
                    frames.add(&view, place, &entry, &[]);
                    written += 1;
                    let series = view.curves.shared().map(|(_, series)| Arc::strong_count(series));
                    let blocks =
                        view.rounds.iter().flat_map(|round| round.prompts.blocks().iter().map(Arc::strong_count));
                    let shared: Vec<usize> = series.chain(blocks).filter(|holders| *holders > 1).collect();
                    assert!(shared.is_empty(), "{} parts would be copied by the next change", shared.len());
                }
                view.apply(&entry);
                true
            })
            .unwrap();
        assert!(written > 5 && frames.frames.len() == written);
    }
}
