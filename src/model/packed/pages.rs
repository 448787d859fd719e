//! Keys and values in pages of 32 positions, shared among rows that begin alike.
//!
//! The sampler counts who uses a page; attention reads it. A page holds all layers: for each layer and key-value head
//! the keys `[D, 32 positions]` and the values `[D / 32][32 positions, 32]`, both as the kernel multiplies them.

use anyhow::{Result, ensure};

use crate::model::packed::tile::{PANEL, Row};
use crate::model::shape::Shape;

pub type PageId = u32;

#[derive(Debug)]
pub struct Pages {
    pages: Vec<Vec<Row>>,
    uses: Vec<u32>,
    free: Vec<PageId>,
    limit: usize,
    /// Rows (of 32 values) of one head's keys; the values need as many.
    head_rows: usize,
    kv_heads: usize,
    layers: usize,
}

impl Pages {
    /// As many pages as fit the budget, allocated only when first used and kept from then on.
    pub fn new(shape: &Shape, budget_bytes: usize) -> Pages {
        let bytes = Pages::page_bytes(shape);
        Pages {
            pages: Vec::new(),
            uses: Vec::new(),
            free: Vec::new(),
            limit: (budget_bytes / bytes).min(u32::MAX as usize),
            head_rows: shape.head_dim.next_multiple_of(PANEL),
            kv_heads: shape.kv_heads,
            layers: shape.layers,
        }
    }

    pub fn page_bytes(shape: &Shape) -> usize {
        shape.layers * shape.kv_heads * 2 * shape.head_dim.next_multiple_of(PANEL) * PANEL * 4
    }

    /// Pages needed for this many positions.
    pub fn needed(positions: usize) -> usize {
        positions.div_ceil(PANEL)
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn available(&self) -> usize {
        self.limit - (self.pages.len() - self.free.len())
    }

    /// A page with one user. What it held before is still there: positions are written before they are read.
    pub fn take(&mut self) -> Result<PageId> {
        if let Some(id) = self.free.pop() {
            self.uses[id as usize] = 1;
            return Ok(id);
        }
        ensure!(self.pages.len() < self.limit, "all {} pages of the key-value cache are in use", self.limit);
        self.pages.push(vec![[0.0; PANEL]; self.layers * self.kv_heads * 2 * self.head_rows]);
        self.uses.push(1);
        Ok((self.pages.len() - 1) as PageId)
    }

    pub fn share(&mut self, id: PageId) {
        self.uses[id as usize] += 1;
    }

    pub fn uses(&self, id: PageId) -> u32 {
        self.uses[id as usize]
    }

    /// One user less; a page without any is free.
    pub fn release(&mut self, id: PageId) {
        let uses = &mut self.uses[id as usize];
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            self.free.push(id);
        }
    }

    /// A page of one's own with the same contents, to go on writing where another row stopped.
    pub fn copy(&mut self, id: PageId) -> Result<PageId> {
        let copy = self.take()?;
        let [from, to] = self.pages.get_disjoint_mut([id as usize, copy as usize])?;
        to.copy_from_slice(from);
        Ok(copy)
    }

    /// Where a head's keys begin in a page; its values follow.
    pub fn place(&self, layer: usize, head: usize) -> usize {
        (layer * self.kv_heads + head) * 2 * self.head_rows
    }

    pub fn keys(&self, id: PageId, layer: usize, head: usize) -> &[Row] {
        &self.pages[id as usize][self.place(layer, head)..][..self.head_rows]
    }

    pub fn values(&self, id: PageId, layer: usize, head: usize) -> &[Row] {
        &self.pages[id as usize][self.place(layer, head) + self.head_rows..][..self.head_rows]
    }

    /// A page's rows, to be written by one thread and handed back. Of the texts that share a page only one writes it.
    pub fn lend(&mut self, id: PageId) -> Vec<Row> {
        std::mem::take(&mut self.pages[id as usize])
    }

    pub fn take_back(&mut self, id: PageId, page: Vec<Row>) {
        self.pages[id as usize] = page;
    }
}
