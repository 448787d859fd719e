//! How alike two texts are, and how varied a set of texts is: ROUGE-L F1, distinct-n, repetition.
//!
//! Used by the prompt filters (thousands against thousands), pairs, suspicion and the diversity measures. Words are runs of
//! letters and digits in lower case, as in the rouge_score package without stemming; unlike there, letters outside ASCII count.

use std::collections::{HashMap, HashSet};

/// The words of a text. A sign of a script without spaces is a word of its own.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        let alone = is_ideograph(c);
        if (alone || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if alone {
            words.push(c.to_string());
        } else if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn is_ideograph(c: char) -> bool {
    matches!(c as u32, 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

/// ROUGE-L F1 of two texts: twice the longest common subsequence of words over the sum of their lengths. 0 without words.
pub fn rouge_l(a: &str, b: &str) -> f64 {
    let mut texts = Texts::default();
    let (a, b) = (texts.encode(a), texts.encode(b));
    f1(Masks::new(&a.words).common(&b.words), a.words.len(), b.words.len())
}

/// Mean ROUGE-L F1 over all pairs of a set: 1 when a model has one answer only. `None` for fewer than two texts.
pub fn self_rouge(set: &[&str]) -> Option<f64> {
    let mut texts = Texts::default();
    let encoded: Vec<Encoded> = set.iter().map(|text| texts.encode(text)).collect();
    let mut sum = 0.0;
    let mut pairs = 0u32;
    for (at, a) in encoded.iter().enumerate() {
        let masks = Masks::new(&a.words);
        for b in &encoded[..at] {
            sum += f1(masks.common(&b.words), a.words.len(), b.words.len());
            pairs += 1;
        }
    }
    (pairs > 0).then(|| sum / f64::from(pairs))
}

/// Different n-grams over all n-grams of a set of texts. `None` where there is no n-gram.
pub fn distinct(set: &[&str], n: usize) -> Option<f64> {
    let mut seen = HashSet::new();
    let mut all = 0u64;
    for text in set {
        let words = words(text);
        for gram in words.windows(n.max(1)) {
            all += 1;
            seen.insert(gram.to_vec());
        }
    }
    (all > 0).then(|| seen.len() as f64 / all as f64)
}

/// Share of a text's 4-grams that stood in it before: 0 for ordinary prose, near 1 for a loop.
pub fn repetition(text: &str) -> f64 {
    const GRAM: usize = 4;
    let words = words(text);
    let grams = words.windows(GRAM);
    let all = grams.len();
    if all == 0 {
        return 0.0;
    }
    let different: HashSet<&[String]> = grams.collect();
    1.0 - different.len() as f64 / all as f64
}

fn f1(common: usize, a: usize, b: usize) -> f64 {
    if a + b == 0 { 0.0 } else { 2.0 * common as f64 / (a + b) as f64 }
}

/// Texts to compare new ones with.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    numbers: HashMap<String, u32>,
    all: Vec<Encoded>,
}

/// A text as word numbers, with a set of its words that is compared in a few instructions.
#[derive(Clone, Debug)]
struct Encoded {
    words: Vec<u32>,
    signature: [u64; 4],
}

impl Texts {
    pub fn add(&mut self, text: &str) {
        let encoded = self.encode(text);
        self.all.push(encoded);
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn encode(&mut self, text: &str) -> Encoded {
        let words = words(text)
            .into_iter()
            .map(|word| {
                let next = self.numbers.len() as u32;
                *self.numbers.entry(word).or_insert(next)
            })
            .collect();
        Encoded::new(words)
    }

    /// The most alike of these texts, where its ROUGE-L F1 is over `limit`: its place and the F1. The first of equals.
    pub fn closest_over(&self, text: &str, limit: f64) -> Option<(usize, f64)> {
        self.closest(0, text, limit)
    }

    /// The highest ROUGE-L F1 with one of the last `count` texts; 0 without any.
    pub fn likeness_with_last(&self, count: usize, text: &str) -> f64 {
        self.closest(self.all.len().saturating_sub(count), text, 0.0).map_or(0.0, |(_, f1)| f1)
    }

    fn closest(&self, first: usize, text: &str, limit: f64) -> Option<(usize, f64)> {
        // A word that none of the texts has gets a number that none of them has.
        let unknown = u32::MAX;
        let new =
            Encoded::new(words(text).iter().map(|word| self.numbers.get(word).copied().unwrap_or(unknown)).collect());
        let masks = Masks::new(&new.words);
        let mut best: Option<(usize, f64)> = None;
        for (at, other) in self.all.iter().enumerate().skip(first) {
            let limit = best.map_or(limit, |(_, f1)| f1);
            // Nearly all comparisons end here: what the two can have in common at most is too little.
            if f1(new.most_common(other), new.words.len(), other.words.len()) <= limit {
                continue;
            }
            let found = f1(masks.common(&other.words), new.words.len(), other.words.len());
            if found > limit {
                best = Some((at, found));
            }
        }
        best
    }
}

impl Encoded {
    fn new(words: Vec<u32>) -> Self {
        let mut signature = [0u64; 4];
        for word in &words {
            // The top byte of a multiplicative hash spreads neighbouring numbers.
            let bit = word.wrapping_mul(0x9e37_79b1) >> 24;
            signature[bit as usize / 64] |= 1 << (bit % 64);
        }
        Encoded { words, signature }
    }

    /// An upper bound of the common subsequence: a word whose bit the other lacks cannot be matched.
    fn most_common(&self, other: &Encoded) -> usize {
        let lacking =
            |a: &[u64; 4], b: &[u64; 4]| a.iter().zip(b).map(|(a, b)| (a & !b).count_ones() as usize).sum::<usize>();
        let from_self = self.words.len() - lacking(&self.signature, &other.signature);
        let from_other = other.words.len() - lacking(&other.signature, &self.signature);
        from_self.min(from_other)
    }
}

/// Where each word stands in a text, one bit a place: the longest common subsequence 64 words at a time.
struct Masks {
    places: HashMap<u32, Vec<u64>>,
    blocks: usize,
}

impl Masks {
    fn new(words: &[u32]) -> Self {
        let blocks = words.len().div_ceil(64);
        let mut places: HashMap<u32, Vec<u64>> = HashMap::new();
        for (at, word) in words.iter().enumerate() {
            places.entry(*word).or_insert_with(|| vec![0; blocks])[at / 64] |= 1 << (at % 64);
        }
        Masks { places, blocks }
    }

    /// Length of the longest common subsequence (Hyyrö's bit-parallel form): a zero bit in `row` is a step of it.
    fn common(&self, other: &[u32]) -> usize {
        let mut row = vec![u64::MAX; self.blocks];
        for word in other {
            let Some(mask) = self.places.get(word) else { continue };
            let mut carry = false;
            for (bits, mask) in row.iter_mut().zip(mask) {
                let matched = *bits & mask;
                let (sum, over) = bits.overflowing_add(matched);
                let (sum, again) = sum.overflowing_add(u64::from(carry));
                carry = over || again;
                *bits = sum | (*bits & !mask);
            }
        }
        row.iter().map(|bits| bits.count_zeros() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rouge_l_counts_common_words_in_order() {
        let table = [
            ("the cat sat on the mat", "the cat sat on the mat", 1.0),
            ("police killed the gunman", "police kill the gunman", 0.75),
            ("police killed the gunman", "the gunman kill police", 0.5),
            ("The CAT, sat!", "the cat sat", 1.0),
            ("one two", "three four", 0.0),
            ("", "", 0.0),
            ("a", "", 0.0),
            ("写一首诗", "写一首歌", 0.75),
        ];
        for (a, b, expected) in table {
            assert!((rouge_l(a, b) - expected).abs() < 1e-12, "{a} / {b}: {}", rouge_l(a, b));
        }
    }

    #[test]
    fn variety_of_sets() {
        assert_eq!(distinct(&["a b a b"], 1), Some(0.5));
        assert_eq!(distinct(&["a b", "a b"], 2), Some(0.5));
        assert_eq!(distinct(&["a"], 2), None);
        assert_eq!(self_rouge(&["a b", "a b", "c d"]), Some(1.0 / 3.0));
        assert_eq!(self_rouge(&["a b"]), None);
        assert_eq!(repetition("one two three four five"), 0.0);
        assert_eq!(repetition("a b c"), 0.0);
        assert!(repetition(&"say it again now ".repeat(20)) > 0.9);
    }

    fn slow_common(a: &[String], b: &[String]) -> usize {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut corner = 0;
            for (at, y) in b.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if x == y { corner + 1 } else { above.max(row[at]) };
                corner = above;
            }
        }
        row[b.len()]
    }

    proptest! {
        #[test]
        fn the_fast_subsequence_is_the_slow_one(a in "([a-f] ){0,150}", b in "([a-f] ){0,150}") {
            let (x, y) = (words(&a), words(&b));
            prop_assert!((rouge_l(&a, &b) - f1(slow_common(&x, &y), x.len(), y.len())).abs() < 1e-12);
        }

        #[test]
        fn the_bound_hides_no_likeness(pool in prop::collection::vec("([a-h] ){1,8}", 1..12), text in "([a-j] ){0,8}", limit in 0.0f64..0.9) {
            let mut texts = Texts::default();
            pool.iter().for_each(|text| texts.add(text));
            let slow = pool.iter().map(|other| rouge_l(&text, other)).fold(0.0, f64::max);
            match texts.closest_over(&text, limit) {
                Some((at, found)) => {
                    prop_assert_eq!(found, slow);
                    prop_assert_eq!(rouge_l(&text, &pool[at]), found);
                }
                None => prop_assert!(slow <= limit),
            }
        }
    }
}
