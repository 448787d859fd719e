//! What reached the disk, as unit tests see it: a power cut cannot be played in a test, but that a sync happened, and when, can.
//!
//! Exists in unit tests only. `journal.rs` tells it of every sync; it keeps them for the thread that made them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// One sync that succeeded, and what there was to sync at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// A folder with these names in it, sorted.
    Folder(PathBuf, Vec<String>),
    /// A file of this length.
    File(PathBuf, u64),
}

thread_local! {
    static SYNCED: RefCell<Vec<Synced>> = const { RefCell::new(Vec::new()) };
}

pub fn folder(path: &Path) {
    let items = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = items.map(|item| item.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    SYNCED.with_borrow_mut(|synced| synced.push(Synced::Folder(path.to_path_buf(), names)));
}

pub fn file(path: PathBuf, length: u64) {
    SYNCED.with_borrow_mut(|synced| synced.push(Synced::File(path, length)));
}

/// What this thread has synced since it was asked last.
pub fn take() -> Vec<Synced> {
    SYNCED.take()
}
