//! Fetches single entries by their number, so that a view need not hold texts.
//!
//! `Lookup` remembers the place of every 64th line as a reader passes by, and reads at most that many lines to answer. Screens, reports and
//! a resume use it through `Entries`, which tests implement over a plain vector.

use std::path::{Path, PathBuf};

use crate::run::entry::Entry;
use crate::run::event::Event;
use crate::run::ids::Seq;
use crate::run::journal::{Found, Place, Tail};

/// Something that can give an entry back.
pub trait Entries {
    fn entry(&mut self, seq: Seq) -> Option<Entry>;

    /// The text of what was written at this place: a prompt, an answer or a judge's reply.
    fn text(&mut self, seq: Seq) -> Option<String> {
        match self.entry(seq)?.event {
            Event::PromptWritten(event) => Some(event.text),
            Event::PromptRefused(event) => Some(event.text),
            Event::CandidateSampled(event) => Some(event.text),
            Event::CandidateJudged(event) => Some(event.reply),
            Event::TextOffered(event) => Some(event.text),
            Event::EftJudged(event) => Some(event.reply),
            Event::HeldOutAnswered(event) => Some(event.text),
            Event::Duelled(event) => Some(event.reply),
            Event::NoteAdded(event) => Some(event.text),
            _ => None,
        }
    }
}

impl Entries for Vec<Entry> {
    fn entry(&mut self, seq: Seq) -> Option<Entry> {
        let place = self.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        self.get(place).cloned()
    }
}

/// Lines between two remembered places.
const STRIDE: u64 = 64;

/// Where entries of a journal stand.
#[derive(Clone, Debug)]
pub struct Lookup {
    folder: PathBuf,
    marks: Vec<(Seq, Place)>,
}

impl Lookup {
    pub fn new(folder: &Path) -> Lookup {
        Lookup { folder: folder.to_path_buf(), marks: Vec::new() }
    }

    /// To be called for every entry that a reader meets, in order.
    pub fn passed(&mut self, seq: Seq, place: Place) {
        if self.marks.last().is_none_or(|&(marked, _)| seq >= marked + STRIDE) {
            self.marks.push((seq, place));
        }
    }
}

impl Lookup {
    /// What has been remembered, to be told to another one.
    pub fn places(&self) -> &[(Seq, Place)] {
        &self.marks
    }
}

impl Entries for Lookup {
    fn entry(&mut self, seq: Seq) -> Option<Entry> {
        let after = self.marks.partition_point(|&(marked, _)| marked <= seq);
        let &(marked, place) = self.marks.get(after.checked_sub(1)?)?;
        let mut tail = Tail::starting_at(&self.folder, place, marked);
        let mut wanted = None;
        // A file that vanished under a viewer is a missing text, not an error.
        tail.read(|_, found| {
            if let Found::Entry(entry) = found
                && entry.seq >= seq
            {
                wanted = (entry.seq == seq).then_some(entry);
                return false;
            }
            true
        })
        .ok()?;
        wanted
    }
}
