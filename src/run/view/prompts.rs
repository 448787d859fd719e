//! The prompts of an iteration, in blocks that views share: a copy of a view costs little, and what has not changed since is known to be
//! the same without being looked at.
//!
//! Used by `Round`; key frames write each block once.

use std::sync::Arc;

use crate::run::view::PromptView;

/// Prompts of one block.
pub type Block = Vec<PromptView>;
const BLOCK: usize = 64;

/// A growing list; every block but the last is full.
#[derive(Clone, Debug, Default)]
pub struct Prompts {
    blocks: Vec<Arc<Block>>,
}

impl Prompts {
    pub fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub fn get(&self, number: usize) -> Option<&PromptView> {
        self.blocks.get(number / BLOCK)?.get(number % BLOCK)
    }

    pub fn last(&self) -> Option<&PromptView> {
        self.blocks.last()?.last()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PromptView> + Clone {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// Where a property that holds for the first prompts and for no later ones ends.
    pub fn partition_point(&self, holds: impl Fn(&PromptView) -> bool) -> usize {
        let full = self.blocks.partition_point(|block| block.last().is_some_and(&holds));
        full * BLOCK + self.blocks.get(full).map_or(0, |block| block.partition_point(holds))
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut PromptView> {
        Arc::make_mut(self.blocks.get_mut(number / BLOCK)?).get_mut(number % BLOCK)
    }

    pub(super) fn push(&mut self, prompt: PromptView) {
        match self.blocks.last_mut().filter(|last| last.len() < BLOCK) {
            Some(last) => Arc::make_mut(last).push(prompt),
            None => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(prompt);
                self.blocks.push(Arc::new(block));
            }
        }
    }

    pub(in crate::run) fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    /// None: these are not the blocks of a list.
    pub(in crate::run) fn from_blocks(blocks: Vec<Arc<Block>>) -> Option<Prompts> {
        let (last, full) = match blocks.split_last() {
            Some((last, full)) => (last.len(), full),
            None => (1, &[][..]),
        };
        let fits = (1..=BLOCK).contains(&last) && full.iter().all(|block| block.len() == BLOCK);
        fits.then_some(Prompts { blocks })
    }
}

impl PartialEq for Prompts {
    fn eq(&self, other: &Prompts) -> bool {
        // Blocks that two views share are equal without a look.
        self.blocks.len() == other.blocks.len()
            && self.blocks.iter().zip(&other.blocks).all(|(one, two)| Arc::ptr_eq(one, two) || one == two)
    }
}

impl std::ops::Index<usize> for Prompts {
    type Output = PromptView;

    fn index(&self, number: usize) -> &PromptView {
        &self.blocks[number / BLOCK][number % BLOCK]
    }
}
