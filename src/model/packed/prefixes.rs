//! Which full pages already hold which beginnings of texts, so that a common prefix is computed once.
//!
//! The engine asks before it computes a prompt. A page is known by the page before it and its own 32 tokens, which
//! names its whole text exactly. It never touches numbers.

use std::collections::HashMap;

use crate::model::packed::pages::{PageId, Pages};
use crate::model::packed::tile::PANEL;

type Key = (Option<PageId>, [u32; PANEL]);

#[derive(Debug, Default)]
pub struct Prefixes {
    known: HashMap<Key, PageId>,
    /// Each known page with its key and the number of known pages that follow it, oldest first.
    pages: Vec<(PageId, Key)>,
    followers: HashMap<PageId, usize>,
}

impl Prefixes {
    /// The known pages at the beginning of a text, at most `most`. The caller becomes one more user of each.
    pub fn find(&self, tokens: &[u32], most: usize, pages: &mut Pages) -> Vec<PageId> {
        let mut found: Vec<PageId> = Vec::new();
        for block in tokens.as_chunks::<PANEL>().0.iter().take(most) {
            match self.known.get(&(found.last().copied(), *block)) {
                Some(&page) => found.push(page),
                None => break,
            }
        }
        found.iter().for_each(|&page| pages.share(page));
        found
    }

    /// Remembers the full pages of a text; they stay in use until they are forgotten.
    pub fn remember(&mut self, tokens: &[u32], table: &[PageId], pages: &mut Pages) {
        let mut parent = None;
        for (block, &page) in tokens.as_chunks::<PANEL>().0.iter().zip(table) {
            let key = (parent, *block);
            if let Some(&known) = self.known.get(&key) {
                // Another page holds the same text already; what follows is remembered behind that one.
                parent = Some(known);
                continue;
            }
            if self.followers.contains_key(&page) {
                break;
            }
            pages.share(page);
            self.known.insert(key, page);
            self.pages.push((page, key));
            self.followers.insert(page, 0);
            if let Some(count) = parent.and_then(|parent| self.followers.get_mut(&parent)) {
                *count += 1;
            }
            parent = Some(page);
        }
    }

    /// Forgets pages that nobody else uses, oldest ends first, until `wanted` pages are free or none is left to forget.
    pub fn make_room(&mut self, wanted: usize, pages: &mut Pages) {
        while pages.available() < wanted {
            let unused = |&(page, _): &(PageId, Key)| self.followers.get(&page) == Some(&0) && pages.uses(page) == 1;
            let Some(index) = self.pages.iter().position(unused) else { return };
            let (page, key) = self.pages.remove(index);
            self.known.remove(&key);
            self.followers.remove(&page);
            if let Some(count) = key.0.and_then(|parent| self.followers.get_mut(&parent)) {
                *count -= 1;
            }
            pages.release(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shape::{Rope, Scaling, Shape};

    fn pages(limit: usize) -> Pages {
        let rope = Rope { theta: 1e4, scaling: Scaling::None };
        let shape = Shape {
            vocab: 8,
            hidden: 2,
            mlp: 2,
            layers: 1,
            heads: 1,
            kv_heads: 1,
            head_dim: 2,
            max_positions: 64,
            rms_eps: 1e-5,
            rope,
            tied: true,
            reward: false,
            attention_bias: false,
            mlp_bias: false,
            bos: None,
            eos: Vec::new(),
            pad: None,
        };
        Pages::new(&shape, limit * Pages::page_bytes(&shape))
    }

    #[test]
    fn a_text_finds_the_pages_of_its_common_beginning_and_no_more() {
        let (mut pages, mut prefixes) = (pages(8), Prefixes::default());
        let first: Vec<u32> = (0..100).collect();
        let table: Vec<PageId> = (0..4).map(|_| pages.take().unwrap()).collect();
        prefixes.remember(&first, &table, &mut pages);
        let mut second = first.clone();
        second[70] = 7;
        assert_eq!(prefixes.find(&second, 9, &mut pages), table[..2]);
        assert_eq!(prefixes.find(&first, 9, &mut pages), table[..3]);
        assert!(prefixes.find(&first[1..], 9, &mut pages).is_empty());
        assert_eq!(prefixes.find(&first, 1, &mut pages), table[..1]);
    }

    #[test]
    fn room_is_made_from_the_ends_of_unused_texts_only() {
        let (mut pages, mut prefixes) = (pages(4), Prefixes::default());
        let text: Vec<u32> = (0..128).collect();
        let table: Vec<PageId> = (0..4).map(|_| pages.take().unwrap()).collect();
        prefixes.remember(&text, &table, &mut pages);
        table[1..].iter().for_each(|&page| pages.release(page));
        prefixes.make_room(2, &mut pages);
        assert_eq!(pages.available(), 2);
        assert_eq!(prefixes.find(&text, 9, &mut pages), table[..2]);
        prefixes.make_room(4, &mut pages);
        assert_eq!(pages.available(), 2, "the first page is in use, the second was just found");
    }
}
