//! A run as a viewer sees it: read to its end and on, or held at any earlier moment.
//!
//! Live, attached and replay are one thing: `head` is the fold of everything read, `view` is the fold up to the cursor. Key frames make a
//! jump anywhere cheap, backwards as forwards, and let a long run be opened at its end. Reads files of the run and writes none but these.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};

use crate::run::entry::Stamp;
use crate::run::folder::{Holder, Now, RunFolder};
use crate::run::ids::Seq;
use crate::run::journal::{Damage, Found, Place, Tail};
use crate::run::key_frames::{KeyFrame, KeyFrames};
use crate::run::view::RunView;
pub use crate::tui::landmarks::{Mark, MarkKind, Notable};
use crate::tui::landmarks::{mark, note, remember};
use crate::tui::met::{Met, Told};
use crate::tui::system::{Gauge, System};
use crate::tui::texts::Texts;

/// Entries between two key frames.
const FRAME_EVERY: u64 = 8192;
/// Damages that are kept for display.
const DAMAGES: usize = 100;

/// Bytes at the end of the engine's own log that are shown.
const ENGINE_LOG: u64 = 64 << 10;

/// One run's journal with a cursor in it.
pub struct Source {
    pub folder: RunFolder,
    pub texts: Texts,
    pub now: Option<Now>,
    pub holder: Option<Holder>,
    pub system: Option<System>,
    gauge: Gauge,
    tail: Tail,
    head: RunView,
    frames: KeyFrames,
    /// The entry before which the next frame is due.
    next_frame: Seq,
    /// The frame that was loaded last: steps backwards start from the same one again and again.
    loaded: Option<KeyFrame>,
    cursor: Option<KeyFrame>,
    marks: Vec<Mark>,
    notable: VecDeque<Notable>,
    told: Told,
    engine_log: (u64, String),
    damages: Vec<Damage>,
    /// Bytes of the journal when it was opened, to say how far the first reading is.
    size: u64,
    frame_every: u64,
    read_once: bool,
}

impl Source {
    /// A run, read as far as its key frames say.
    pub fn open(folder: RunFolder) -> Source {
        Source::open_with(folder, FRAME_EVERY)
    }

    /// The same with another distance between key frames, for tests.
    pub fn open_with(folder: RunFolder, frame_every: u64) -> Source {
        let size = journal_bytes(&folder);
        let mut source = Source {
            texts: Texts::new(folder.path()),
            tail: Tail::new(folder.path()),
            now: None,
            holder: None,
            system: None,
            gauge: Gauge::default(),
            head: RunView::default(),
            frames: KeyFrames::open(folder.path()),
            next_frame: frame_every.saturating_add(1),
            loaded: None,
            cursor: None,
            marks: Vec::new(),
            notable: VecDeque::new(),
            told: Told::default(),
            engine_log: (0, String::new()),
            damages: Vec::new(),
            size,
            frame_every,
            read_once: false,
            folder,
        };
        source.start_at_last_frame();
        source
    }

    /// Goes on from the last key frame instead of from the beginning.
    fn start_at_last_frame(&mut self) {
        let met: Option<Vec<Met>> = self.frames.met().and_then(|all| all.iter().map(|met| Met::read(met)).collect());
        let Some((met, frame)) = met.zip(self.frames.load_last()) else { return };
        for met in met {
            self.marks.extend(met.marks);
            self.damages.extend(met.damages);
            met.notable.into_iter().for_each(|notable| remember(&mut self.notable, notable));
            met.places.into_iter().for_each(|(seq, place)| self.texts.passed(seq, place));
        }
        self.told = Told::all(&self.marks, &self.damages, self.texts.places().len());
        self.tail = Tail::starting_at(self.folder.path(), frame.place, frame.expected);
        self.next_frame = frame.expected.saturating_add(self.frame_every);
        self.head = frame.view;
    }

    /// The run as known at the cursor.
    pub fn view(&self) -> &RunView {
        self.cursor.as_ref().map_or(&self.head, |cursor| &cursor.view)
    }

    /// The run as known at the end of what has been read.
    pub fn head(&self) -> &RunView {
        &self.head
    }

    /// Held at an earlier moment than the end.
    pub fn is_held(&self) -> bool {
        self.cursor.is_some()
    }

    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// What a log shows, oldest first.
    pub fn notable(&self) -> &VecDeque<Notable> {
        &self.notable
    }

    /// The end of the engine's own output.
    pub fn engine_log(&self) -> &str {
        &self.engine_log.1
    }

    /// Reads the end of the engine's output when it has grown. Returns whether it has.
    fn look_at_log(&mut self) -> bool {
        let Ok(mut file) = std::fs::File::open(self.folder.engine_log()) else { return false };
        let size = file.metadata().map_or(0, |file| file.len());
        if size == self.engine_log.0 {
            return false;
        }
        let start = size.saturating_sub(ENGINE_LOG);
        let mut tail = Vec::new();
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.take(ENGINE_LOG).read_to_end(&mut tail));
        if read.is_err() {
            return false;
        }
        let text = String::from_utf8_lossy(&tail);
        let whole = if start > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
        self.engine_log = (size, whole.to_string());
        true
    }

    /// How much of the journal has been read, 0 to 1; 1 once its end was reached.
    pub fn loaded(&self) -> f64 {
        if self.read_once || self.size == 0 {
            return 1.0;
        }
        let place = self.tail.place();
        let before = u64::from(place.segment - 1) * crate::run::journal::SEGMENT_BYTES;
        ((before + place.offset) as f64 / self.size as f64).clamp(0.0, 0.999)
    }

    /// Reads what is new, at most `limit` entries. Returns how many there were; `limit` means that there may be more.
    pub fn poll(&mut self, limit: usize) -> io::Result<usize> {
        let every = self.frame_every;
        let Source { tail, head, frames, next_frame, marks, notable, told, damages, texts, .. } = self;
        let mut count = 0;
        let stopped = tail.read(|place, found| {
            match found {
                Found::Entry(entry) => {
                    if entry.seq >= *next_frame {
                        *next_frame = entry.seq.saturating_add(every);
                        if frames.grows() {
                            let met = Met::since(told, marks, notable, damages, texts.places());
                            frames.add(head, place, &entry, &met.written());
                            *told = Told::all(marks, damages, texts.places().len());
                        }
                    }
                    texts.passed(entry.seq, place);
                    mark(marks, &entry);
                    if let Some(notable_now) = note(&entry) {
                        remember(notable, notable_now);
                        told.new_notable += 1;
                    }
                    head.apply(&entry);
                    count += 1;
                }
                Found::Damage(what) => {
                    if damages.len() < DAMAGES {
                        damages.push(Damage { place, what });
                    }
                }
            }
            count < limit
        })?;
        self.read_once |= !stopped;
        Ok(count)
    }

    /// Reads the whole journal that is there now.
    pub fn read_all(&mut self) -> io::Result<()> {
        self.poll(usize::MAX).map(|_| ())
    }

    /// Looks at the heartbeat, the lock and the machine. Returns whether something to be drawn changed.
    pub fn look(&mut self, clock: Stamp) -> bool {
        let (now, holder) = (self.folder.now(), self.folder.holder());
        let here = holder.as_ref().filter(|holder| holder.host == crate::run::folder::host_name());
        let system = self.gauge.look(self.folder.path(), here.map(|holder| holder.pid), clock.0);
        let logged = self.look_at_log();
        let changed = logged || now != self.now || holder != self.holder || system != self.system;
        self.system = system;
        self.now = now;
        self.holder = holder;
        changed
    }

    /// Shows the run as it was after this entry. Past the end means the end.
    pub fn seek(&mut self, target: Seq) {
        if target >= self.head.seq {
            self.cursor = None;
            return;
        }
        let mut from = self.start_for(|seq, _| seq <= target);
        advance(&self.folder, &mut from, |_, seq| seq <= target);
        self.cursor = Some(from);
    }

    /// Shows the run as it was at this time: after the last entry that is not later.
    pub fn seek_time(&mut self, at: Stamp) {
        if at >= self.head.at {
            self.cursor = None;
            return;
        }
        let mut from = self.start_for(|_, time| time <= at);
        advance(&self.folder, &mut from, |time, _| time <= at);
        self.cursor = Some(from);
    }

    /// Follows the end again.
    pub fn follow(&mut self) {
        self.cursor = None;
    }

    /// The nearest known state of those that are not too late.
    fn start_for(&mut self, fits: impl Fn(Seq, Stamp) -> bool) -> KeyFrame {
        self.frames.refresh();
        let framed = self.frames.before(|known| fits(known.seq, known.at)).map(|known| known.expected);
        let fits = |frame: &&KeyFrame| frame.view.seq == 0 || fits(frame.view.seq, frame.view.at);
        let here = self.cursor.as_ref().filter(fits);
        let near = [here, self.loaded.as_ref().filter(fits)].into_iter().flatten().max_by_key(|frame| frame.expected);
        match framed {
            Some(expected) if near.is_none_or(|near| near.expected < expected) => {
                // The views of before are let go first: a long run has no room for many.
                self.cursor = None;
                self.loaded = None;
                self.loaded = self.frames.load(expected);
                self.loaded.clone()
            }
            _ => near.cloned(),
        }
        .unwrap_or_else(KeyFrame::first)
    }

    /// The entry after `after` and up to `upto` by which something begins to hold: the first one, or the last one.
    pub fn edge(&mut self, after: Seq, upto: Seq, first: bool, holds: impl Fn(&RunView) -> bool) -> Option<Seq> {
        // Looking elsewhere moves nothing.
        let cursor = self.cursor.clone();
        let found = self.edge_from(after, upto, first, holds);
        self.cursor = cursor;
        found
    }

    fn edge_from(&mut self, after: Seq, upto: Seq, first: bool, holds: impl Fn(&RunView) -> bool) -> Option<Seq> {
        // From the end backwards it goes from key frame to key frame, so that what is near is found soon.
        let mut from = match first {
            true => after,
            false => self.frames.before(|known| known.seq < upto).map_or(after, |known| known.seq.max(after)),
        };
        let mut to = upto;
        loop {
            let found = self.edge_between(from, to, first, &holds);
            if found.is_some() || first || from <= after {
                return found;
            }
            to = from;
            from = self.frames.before(|known| known.seq < to).map_or(after, |known| known.seq.max(after));
        }
    }

    fn edge_between(&mut self, after: Seq, upto: Seq, first: bool, holds: impl Fn(&RunView) -> bool) -> Option<Seq> {
        let mut from = self.start_for(|seq, _| seq <= after);
        advance(&self.folder, &mut from, |_, seq| seq <= after);
        let mut view = from.view;
        let (mut held, mut found) = (holds(&view), None);
        let mut tail = Tail::starting_at(self.folder.path(), from.place, from.expected);
        tail.read(|_, read| {
            let Found::Entry(entry) = read else { return true };
            if entry.seq > upto {
                return false;
            }
            view.apply(&entry);
            let now = holds(&view);
            if now && !held {
                found = Some(entry.seq);
            }
            held = now;
            !(first && found.is_some())
        })
        .ok()?;
        found
    }

    /// The next or previous mark of this sort, seen from the cursor.
    pub fn next_mark(&self, forward: bool, wanted: impl Fn(MarkKind) -> bool) -> Option<Mark> {
        let here = self.view().seq;
        if forward {
            // A jump lands just before its mark, so the mark right after the cursor is the one that was jumped to.
            self.marks.iter().find(|mark| mark.seq > here + 1 && wanted(mark.kind)).copied()
        } else {
            self.marks.iter().rev().find(|mark| mark.seq <= here && wanted(mark.kind)).copied()
        }
    }

    /// A place in the journal at or before this entry, and the number of the entry that stands there.
    pub fn place_before(&self, seq: Seq) -> (Place, Seq) {
        match self.frames.before(|known| known.expected <= seq) {
            Some(known) => (known.place, known.expected),
            None => (Place { segment: 1, offset: 0, line: 1 }, 1),
        }
    }

    /// When the entry after the cursor was recorded: how long a replay has to wait.
    pub fn next_at(&self) -> Option<Stamp> {
        let cursor = self.cursor.as_ref()?;
        let mut tail = Tail::starting_at(self.folder.path(), cursor.place, cursor.expected);
        let mut at = None;
        tail.read(|_, found| {
            if let Found::Entry(entry) = found {
                at = Some(entry.at);
                return false;
            }
            true
        })
        .ok()?;
        at
    }
}

/// Applies entries while `wanted` holds for their time and number.
fn advance(folder: &RunFolder, from: &mut KeyFrame, wanted: impl Fn(Stamp, Seq) -> bool) {
    let mut tail = Tail::starting_at(folder.path(), from.place, from.expected);
    let mut next = (from.place, from.expected);
    let view = &mut from.view;
    let read = tail.read(|place, found| {
        if let Found::Entry(entry) = found {
            next = (place, entry.seq);
            if !wanted(entry.at, entry.seq) {
                return false;
            }
            view.apply(&entry);
        }
        true
    });
    if matches!(read, Ok(true)) {
        (from.place, from.expected) = next;
    } else {
        (from.place, from.expected) = (tail.place(), from.view.seq + 1);
    }
}

fn journal_bytes(folder: &RunFolder) -> u64 {
    let Ok(numbers) = crate::run::journal::segments(folder.path()) else { return 0 };
    numbers
        .into_iter()
        .filter_map(|number| {
            std::fs::metadata(folder.path().join(crate::run::journal::segment_name(number))).ok().map(|file| file.len())
        })
        .sum()
}
