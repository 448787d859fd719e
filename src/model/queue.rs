//! Asks that wait to be answered, taken prompt by prompt by whoever computes.
//!
//! The sampler makes one for each run; every set of rows takes from it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::model::sampler::Ask;

/// Asks that wait for somebody with room. Those of one prompt that stand together are taken together.
pub(crate) struct Queue {
    prompts: Vec<Range<usize>>,
    next: AtomicUsize,
    /// The listener said stop, or somebody failed.
    stopped: AtomicBool,
}

impl Queue {
    pub(crate) fn new(asks: &[Ask]) -> Queue {
        let mut prompts: Vec<Range<usize>> = Vec::new();
        for (at, ask) in asks.iter().enumerate() {
            match prompts.last_mut() {
                Some(last) if asks[last.start].prompt == ask.prompt => last.end = at + 1,
                _ => prompts.push(at..at + 1),
            }
        }
        Queue { prompts, next: AtomicUsize::new(0), stopped: AtomicBool::new(false) }
    }

    pub(crate) fn prompts(&self) -> usize {
        self.prompts.len()
    }

    pub(crate) fn take(&self) -> Option<Range<usize>> {
        self.prompts.get(self.next.fetch_add(1, Ordering::Relaxed)).cloned()
    }

    /// Asks that nobody has taken.
    pub(crate) fn left(&self) -> usize {
        let from = self.prompts.get(self.next.load(Ordering::Relaxed)).map(|asks| asks.start);
        self.prompts.last().zip(from).map_or(0, |(last, from)| last.end - from)
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
