//! The journal of a run: append-only segments with one writer, read live by many.
//!
//! `Writer` is the engine's; `Tail` is how everybody reads, from the start or on from where they were; `mend` is what a resume does to an
//! unfinished last line. Nothing here reads a clock: when to sync is the recorder's decision.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::entry::{Entry, Flaw};
use crate::run::ids::Seq;

/// A segment is closed when it has grown past this.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// No line is longer; a reader never allocates more for one.
pub const LINE_BYTES: usize = 8 << 20;

/// The file name of a segment, counted from 1.
pub fn segment_name(number: u32) -> String {
    format!("journal-{number:04}.jsonl")
}

/// Numbers of the segments of a folder, in order.
pub fn segments(folder: &Path) -> io::Result<Vec<u32>> {
    let mut numbers: Vec<u32> = std::fs::read_dir(folder)?
        .filter_map(|file| {
            let name = file.ok()?.file_name();
            name.to_str()?.strip_prefix("journal-")?.strip_suffix(".jsonl")?.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes a rename or a new file in `folder` survive a power cut.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    #[cfg(test)]
    crate::run::witness::folder(folder);
    Ok(())
}

/// The one writer. Each entry is one `write`; what was written survives a kill of the process, what was synced survives a power cut.
pub struct Writer {
    folder: PathBuf,
    file: File,
    segment: u32,
    /// Length of the segment up to the last whole line.
    length: u64,
    last: Place,
    segment_bytes: u64,
}

impl Writer {
    /// Goes on after the last whole line. The folder must have been mended.
    pub fn open(folder: &Path) -> io::Result<Writer> {
        Self::open_with(folder, SEGMENT_BYTES)
    }

    /// The same with another segment size, for tests.
    pub fn open_with(folder: &Path, segment_bytes: u64) -> io::Result<Writer> {
        let segment = segments(folder)?.last().copied().unwrap_or(0);
        let (segment, file) = if segment == 0 {
            (1, create(folder, 1)?)
        } else {
            (segment, OpenOptions::new().append(true).open(folder.join(segment_name(segment)))?)
        };
        let length = file.metadata()?.len();
        let last = Place { segment, offset: length, line: 0 };
        Ok(Writer { folder: folder.to_path_buf(), file, segment, length, last, segment_bytes })
    }

    /// Appends one entry. On an error nothing of it stays in the file, and the same entry may be tried again.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let line = entry.to_line().map_err(io::Error::other)?;
        if line.len() > LINE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an entry is longer than a line may be (8 MiB)"));
        }
        if self.length >= self.segment_bytes {
            self.file.sync_all()?;
            self.file = create(&self.folder, self.segment + 1)?;
            self.segment += 1;
            self.length = 0;
        }
        let mut written = 0;
        while written < line.len() {
            match self.file.write(&line[written..]) {
                Ok(0) => return self.take_back(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.take_back(error),
            }
        }
        self.last = Place { segment: self.segment, offset: self.length, line: 0 };
        self.length += line.len() as u64;
        Ok(())
    }

    /// A short write left a part of the line behind: cut it off, so that the file ends in a whole line.
    fn take_back(&mut self, error: io::Error) -> io::Result<()> {
        self.file.set_len(self.length)?;
        Err(error)
    }

    /// Where the last appended line begins, near enough for a reader to start from.
    pub fn place_of_last(&self) -> Place {
        self.last
    }

    /// Makes everything appended so far survive a power cut. A failed sync must not be tried again: the kernel may have dropped the data.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        #[cfg(test)]
        crate::run::witness::file(self.folder.join(segment_name(self.segment)), self.file.metadata()?.len());
        Ok(())
    }
}

fn create(folder: &Path, segment: u32) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(folder.join(segment_name(segment)))?;
    sync_folder(folder)?;
    Ok(file)
}

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub segment: u32,
    pub offset: u64,
    /// Counted from 1 in its segment.
    pub line: u64,
}

/// Something in a journal that is not as it should be, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    pub place: Place,
    pub what: DamageKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DamageKind {
    Line(Flaw),
    /// The numbering jumps.
    Gap {
        expected: Seq,
        found: Seq,
    },
    /// Longer than a line may be.
    TooLong,
    /// A whole segment is missing.
    MissingSegment,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { segment, line, .. } = self.place;
        let file = segment_name(segment);
        match &self.what {
            DamageKind::Line(flaw) => write!(f, "{file}:{line}: {flaw}"),
            DamageKind::Gap { expected, found } => {
                write!(f, "{file}:{line}: entry {found} where {expected} should be")
            }
            DamageKind::TooLong => write!(f, "{file}:{line}: the line is longer than 8 MiB"),
            DamageKind::MissingSegment => write!(f, "{file}: this segment is missing"),
        }
    }
}

/// What a reader meets.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Entry(Entry),
    Damage(DamageKind),
}

/// Reads a journal on from where it was: the whole of it first, then whatever has been appended. An unfinished last line is left for later.
pub struct Tail {
    folder: PathBuf,
    place: Place,
    expected: Seq,
    file: Option<File>,
    /// Bytes read and not yet split into lines, from `place.offset` on.
    pending: Vec<u8>,
    /// The rest of an over-long line is being skipped.
    skipping: bool,
    /// Where a line was wrong and is being read once more: the writer may have cut off a half line that was already read here.
    doubted: Option<u64>,
}

impl Tail {
    pub fn new(folder: &Path) -> Tail {
        let place = Place { segment: 1, offset: 0, line: 1 };
        Tail {
            folder: folder.to_path_buf(),
            place,
            expected: 1,
            file: None,
            pending: Vec::new(),
            skipping: false,
            doubted: None,
        }
    }

    /// Goes on at a place that an earlier reading gave, expecting this entry there.
    pub fn starting_at(folder: &Path, place: Place, expected: Seq) -> Tail {
        Tail { place, expected, ..Tail::new(folder) }
    }

    /// The place of the first line that has not been read.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Bytes of an unfinished last line.
    pub fn unfinished(&self) -> u64 {
        self.pending.len() as u64
    }

    /// Reads what is new and hands over each line, until `each` returns false. Returns whether it stopped early.
    pub fn read(&mut self, mut each: impl FnMut(Place, Found) -> bool) -> io::Result<bool> {
        loop {
            if self.file.is_none() && !self.open()? {
                return Ok(false);
            }
            if self.split(&mut each) {
                return Ok(true);
            }
            if self.file.is_none() {
                continue;
            }
            if self.fill()? == 0 && !self.next_segment(&mut each)? {
                return Ok(false);
            }
        }
    }

    fn open(&mut self) -> io::Result<bool> {
        match File::open(self.folder.join(segment_name(self.place.segment))) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(self.place.offset + self.pending.len() as u64))?;
                self.file = Some(file);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Hands over the whole lines that are pending.
    fn split(&mut self, each: &mut impl FnMut(Place, Found) -> bool) -> bool {
        let mut start = 0;
        let mut stopped = false;
        while let Some(length) = memchr::memchr(b'\n', &self.pending[start..]) {
            let line = &self.pending[start..start + length];
            let here = self.place;
            let goes_on = if self.skipping {
                self.skipping = false;
                self.expected += 1;
                each(here, Found::Damage(DamageKind::TooLong))
            } else {
                match Entry::from_line(line) {
                    Ok(entry) => {
                        let gap = (entry.seq != self.expected)
                            .then_some(DamageKind::Gap { expected: self.expected, found: entry.seq });
                        self.expected = entry.seq.saturating_add(1);
                        gap.is_none_or(|gap| each(here, Found::Damage(gap))) && each(here, Found::Entry(entry))
                    }
                    Err(Flaw::Checksum) if self.doubted != Some(here.offset) => {
                        self.doubted = Some(here.offset);
                        self.pending.clear();
                        self.file = None;
                        return false;
                    }
                    Err(flaw) => {
                        self.expected += 1;
                        each(here, Found::Damage(DamageKind::Line(flaw)))
                    }
                }
            };
            start += length + 1;
            self.place.offset += length as u64 + 1;
            self.place.line += 1;
            if !goes_on {
                stopped = true;
                break;
            }
        }
        self.pending.drain(..start);
        stopped
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.pending.len() > LINE_BYTES {
            // Forget the content of a line that is too long, but not where it began to be skipped.
            self.place.offset += self.pending.len() as u64;
            self.pending.clear();
            self.skipping = true;
        }
        let Some(file) = self.file.as_mut() else { return Ok(0) };
        file.take(256 << 10).read_to_end(&mut self.pending)
    }

    /// Moves on when a later segment exists. The writer begins one only after a whole line.
    fn next_segment(&mut self, each: &mut impl FnMut(Place, Found) -> bool) -> io::Result<bool> {
        let Some(next) = segments(&self.folder)?.into_iter().find(|&number| number > self.place.segment) else {
            return Ok(false);
        };
        if self.fill()? > 0 {
            // Lines arrived between the last read and the listing.
            return Ok(true);
        }
        if !self.pending.is_empty() || self.skipping {
            each(self.place, Found::Damage(DamageKind::Line(Flaw::Checksum)));
            self.pending.clear();
            self.skipping = false;
        }
        if next != self.place.segment + 1 {
            let place = Place { segment: self.place.segment + 1, offset: 0, line: 1 };
            each(place, Found::Damage(DamageKind::MissingSegment));
        }
        self.place = Place { segment: next, offset: 0, line: 1 };
        self.file = None;
        Ok(true)
    }
}

/// What was cut from the end of a journal, and kept in `journal.torn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    pub file: String,
    pub bytes: u64,
}

/// Reads the whole journal before an engine writes to it: hands every entry over, sets an unfinished last line aside, and refuses a journal
/// that is damaged before its end.
pub fn mend(folder: &Path, mut each: impl FnMut(Place, Entry)) -> anyhow::Result<Option<Torn>> {
    use anyhow::Context as _;
    let mut tail = Tail::new(folder);
    let mut damages: Vec<Damage> = Vec::new();
    let mut good_after_damage = false;
    tail.read(|place, found| {
        match found {
            Found::Entry(entry) => {
                good_after_damage |= !damages.is_empty();
                each(place, entry);
            }
            Found::Damage(what) => damages.push(Damage { place, what }),
        }
        damages.len() < 32
    })
    .with_context(|| format!("reading the journal in {}", folder.display()))?;
    // A power cut can leave zeros where the last line should be: with nothing good after them they are part of the torn tail.
    let zeros_from = match damages.as_slice() {
        [Damage { place, .. }] if !good_after_damage && holds_zeros(folder, *place)? => Some(*place),
        [] => None,
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more places)", rest.len()) };
            anyhow::bail!(
                "the journal in {} is damaged: {first}{more}\n  The run can be looked at and replayed, but not continued. \
                 Restore the file from a backup, or start a new run from its last model.",
                folder.display()
            );
        }
    };
    let from = zeros_from.unwrap_or(tail.place());
    set_aside(folder, from)
}

fn holds_zeros(folder: &Path, place: Place) -> io::Result<bool> {
    let mut file = File::open(folder.join(segment_name(place.segment)))?;
    file.seek(SeekFrom::Start(place.offset))?;
    let mut rest = Vec::new();
    file.take(LINE_BYTES as u64).read_to_end(&mut rest)?;
    Ok(rest.contains(&0))
}

/// Moves what follows `from` in the last segment to `journal.torn`, durably, before it is cut off.
fn set_aside(folder: &Path, from: Place) -> anyhow::Result<Option<Torn>> {
    use anyhow::Context as _;
    let name = segment_name(from.segment);
    let path = folder.join(&name);
    if !path.exists() {
        return Ok(None);
    }
    let mut file =
        OpenOptions::new().read(true).write(true).open(&path).with_context(|| format!("opening {}", path.display()))?;
    let length = file.metadata()?.len();
    if length <= from.offset {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(from.offset))?;
    let torn_path = folder.join("journal.torn");
    let mut torn = OpenOptions::new().append(true).create(true).mode(0o600).open(&torn_path)?;
    let bytes = io::copy(&mut file, &mut torn).with_context(|| format!("writing {}", torn_path.display()))?;
    torn.sync_all()?;
    sync_folder(folder)?;
    file.set_len(from.offset).with_context(|| format!("cutting the torn tail off {}", path.display()))?;
    file.sync_all()?;
    Ok(Some(Torn { file: name, bytes }))
}
