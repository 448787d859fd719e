//! Which of a judge's replies have been given before: a memory for the latest replies, bounded however long the iteration.
//!
//! Used by `JudgeTally`. Knows a hash of each reply, not the reply.

use std::collections::HashSet;
use std::sync::Arc;

/// Different replies in one part of the memory, and parts that are kept.
const PART: usize = 16_384;
const PARTS: usize = 4;

/// The last 49,152 to 65,536 different replies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repeats {
    /// Full parts, oldest first, shared between views.
    full: Vec<Arc<HashSet<u64>>>,
    filling: HashSet<u64>,
}

impl Repeats {
    /// Remembers a reply. Returns whether it had been given before.
    pub(super) fn repeated(&mut self, reply: &str) -> bool {
        let hash = hash(reply.as_bytes());
        if self.full.iter().any(|part| part.contains(&hash)) || !self.filling.insert(hash) {
            return true;
        }
        if self.filling.len() == PART {
            if self.full.len() == PARTS - 1 {
                self.full.remove(0);
            }
            self.full.push(Arc::new(std::mem::take(&mut self.filling)));
        }
        false
    }

    pub(in crate::run) fn parts(&self) -> (&[Arc<HashSet<u64>>], &HashSet<u64>) {
        (&self.full, &self.filling)
    }

    pub(in crate::run) fn from_parts(full: Vec<Arc<HashSet<u64>>>, filling: HashSet<u64>) -> Repeats {
        Repeats { full, filling }
    }
}

/// 64 bits of a text, the same on every machine. Nobody gains by forging one: a false repeat changes a count by one.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = (bytes.len() as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
    for eight in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..eight.len()].copy_from_slice(eight);
        let product = u128::from(hash ^ u64::from_le_bytes(word) ^ 0x2d35_8dcc_aa6c_78a5) * 0x9e37_79b9_7f4a_7c15;
        hash = (product as u64) ^ ((product >> 64) as u64);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_known_again_and_only_then() {
        let mut repeats = Repeats::default();
        for number in 0..100_000 {
            assert!(!repeats.repeated(&format!("Score: {number}")), "{number} is new");
            if number >= 40_000 {
                assert!(repeats.repeated(&format!("Score: {}", number - 40_000)), "{number}");
            }
        }
        let (full, filling) = repeats.parts();
        assert!(full.len() == PARTS - 1 && filling.len() < PART, "the memory is bounded");
        assert!(!repeats.repeated("Score: 1"), "and forgets what is long ago");
    }

    #[test]
    fn short_texts_that_differ_a_little_differ_in_their_hash() {
        let texts = (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| vec![a, b])).chain((0..64).map(|n| vec![0; n]));
        let mut all: Vec<u64> = texts.map(|text| hash(&text)).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        // The two zero bytes stand in both lists.
        assert_eq!(all.len(), count - 1);
    }
}
