//! Texts of a run by their place, fetched when a screen shows them and kept for a while.
//!
//! A journal only grows, so an entry once read never changes: this is a memo, and asking it while drawing changes nothing that can be seen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use crate::run::entry::Entry;
use crate::run::ids::Seq;
use crate::run::journal::Place;
use crate::run::lookup::{Entries, Lookup};

/// Entries kept; a screen shows a few dozen.
const KEPT: usize = 512;

pub struct Texts {
    lookup: RefCell<Lookup>,
    memo: RefCell<HashMap<Seq, Option<Rc<Entry>>>>,
}

impl Texts {
    pub fn new(folder: &Path) -> Texts {
        Texts { lookup: RefCell::new(Lookup::new(folder)), memo: RefCell::new(HashMap::new()) }
    }

    /// To be called for every entry that is read, in order.
    pub fn passed(&mut self, seq: Seq, place: Place) {
        self.lookup.get_mut().passed(seq, place);
    }

    /// The places that were passed and are remembered.
    pub fn places(&mut self) -> &[(Seq, Place)] {
        self.lookup.get_mut().places()
    }

    /// The entry with this number; none when it is not there or cannot be read.
    pub fn entry(&self, seq: Seq) -> Option<Rc<Entry>> {
        if let Some(known) = self.memo.borrow().get(&seq) {
            return known.clone();
        }
        let found = self.lookup.borrow_mut().entry(seq).map(Rc::new);
        let mut memo = self.memo.borrow_mut();
        if memo.len() >= KEPT {
            memo.clear();
        }
        // What is missing now may be there later: only what was found is remembered.
        if found.is_some() {
            memo.insert(seq, found.clone());
        }
        found
    }

    /// The text that was written at this place, as it was written: not yet safe to show.
    pub fn text(&self, seq: Seq) -> Option<String> {
        let entry = self.entry(seq)?;
        vec![entry.as_ref().clone()].text(seq)
    }
}
