//! The engine's seat: finished items are recorded in the order they were asked for, however they come.
//!
//! What is recorded is therefore always a prefix, and a resume asks for the rest.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::engine::policy::{Flow, Seat, Till};
use crate::engine::recorder::Recorder;
use crate::run::event::Event;
use crate::run::folder::Writing;
use crate::run::ids::PromptId;

/// Records each item by `make`, in order.
pub struct InOrder<'a, T> {
    pub recorder: &'a mut Recorder,
    /// Turns the item at this place of the asks into its event.
    pub make: &'a mut dyn FnMut(usize, T) -> Event,
    /// Which candidate the item at this place is, for whoever watches it being written.
    pub place: &'a dyn Fn(usize) -> Option<(PromptId, u32)>,
    waiting: BTreeMap<usize, T>,
    next: usize,
}

impl<'a, T> InOrder<'a, T> {
    pub fn new(
        recorder: &'a mut Recorder,
        make: &'a mut dyn FnMut(usize, T) -> Event,
        place: &'a dyn Fn(usize) -> Option<(PromptId, u32)>,
    ) -> Self {
        InOrder { recorder, make, place, waiting: BTreeMap::new(), next: 0 }
    }
}

impl<T> Seat<T> for InOrder<'_, T> {
    fn finished(&mut self, index: usize, item: T) -> Result<Flow> {
        self.waiting.insert(index, item);
        while let Some(item) = self.waiting.remove(&self.next) {
            let event = (self.make)(self.next, item);
            self.recorder.record(event)?;
            self.next += 1;
        }
        self.recorder.safe_point()
    }

    fn writing(&mut self, index: usize, text: &str) -> Result<Flow> {
        if let Some((prompt, candidate)) = (self.place)(index) {
            self.recorder.show(Some(Writing { prompt, candidate, text: text.into() }));
        }
        self.recorder.safe_point()
    }

    fn till(&mut self) -> Option<&mut dyn Till> {
        Some(self.recorder)
    }
}

/// Collects items without recording them.
pub struct Collect<'a, T> {
    pub recorder: &'a mut Recorder,
    pub items: Vec<Option<T>>,
}

impl<T> Seat<T> for Collect<'_, T> {
    fn finished(&mut self, index: usize, item: T) -> Result<Flow> {
        if let Some(place) = self.items.get_mut(index) {
            *place = Some(item);
        }
        self.recorder.safe_point()
    }

    fn writing(&mut self, _: usize, _: &str) -> Result<Flow> {
        self.recorder.safe_point()
    }

    fn till(&mut self) -> Option<&mut dyn Till> {
        Some(self.recorder)
    }
}
