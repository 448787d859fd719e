//! Seeds and streams: every random choice of a run follows from its root seed and the place where the choice is made.
//!
//! Used by every stage that samples or shuffles. Knows no generator of any library: a stream's output never changes,
//! so a run can be repeated years later, and nothing depends on the order in which places are visited.

use crate::run::ids::Stage;

/// A seed at one place of a run. Going down (`iteration`, `stage`, `prompt`, …) gives an unrelated seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed that the configuration names.
    pub fn root(number: u64) -> Self {
        Seed(*blake3::hash(&[b"selfreward seed 1\0".as_slice(), &number.to_le_bytes()].concat()).as_bytes())
    }

    pub fn iteration(self, number: u32) -> Self {
        self.down("iteration", number)
    }

    /// Stages are told apart by name, so that a new stage in the middle moves no other seed.
    pub fn stage(self, stage: Stage) -> Self {
        self.named(stage.name())
    }

    pub fn prompt(self, number: u32) -> Self {
        self.down("prompt", number)
    }

    pub fn candidate(self, number: u32) -> Self {
        self.down("candidate", number)
    }

    pub fn sample(self, number: u32) -> Self {
        self.down("sample", number)
    }

    /// For choices that belong to no number: the bootstrap, the shuffle of a file.
    pub fn named(self, what: &str) -> Self {
        self.hashed(&[b"name\0", what.as_bytes()])
    }

    fn down(self, level: &str, number: u32) -> Self {
        self.hashed(&[level.as_bytes(), b"\0", &number.to_le_bytes()])
    }

    fn hashed(self, parts: &[&[u8]]) -> Self {
        // Keyed by the parent: a child says nothing about its parent or its siblings.
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        Seed(*hasher.finalize().as_bytes())
    }

    /// One number, for a sampler that brings its own generator.
    pub fn number(self) -> u64 {
        self.stream().u64()
    }

    /// 128 bits as 32 hexadecimal digits: a fence that no candidate can guess.
    pub fn nonce(self) -> String {
        let mut stream = self.named("nonce").stream();
        format!("{:016x}{:016x}", stream.u64(), stream.u64())
    }

    pub fn stream(self) -> Stream {
        let mut state = [0u64; 4];
        for (word, bytes) in state.iter_mut().zip(self.0.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        Stream { state }
    }
}

/// xoshiro256++ over a seed's 256 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    state: [u64; 4],
}

impl Stream {
    pub fn u64(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Uniform in [0, 1), from 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in 0..n without bias; 0 for n = 0, where there is nothing to choose from.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        // Numbers under this bound would make the low results a little likelier: drawn again.
        let refused = n.wrapping_neg() % n;
        loop {
            let wide = u128::from(self.u64()) * u128::from(n);
            if wide as u64 >= refused {
                return (wide >> 64) as usize;
            }
        }
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// `k` different places out of 0..n (all of them when n < k), in random order.
    pub fn choose(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..n).collect();
        let k = k.min(n);
        for at in 0..k {
            let other = at + self.below(n - at);
            places.swap(at, other);
        }
        places.truncate(k);
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Seed {
        Seed::root(7).iteration(2).stage(Stage::Judge).prompt(810).candidate(3).sample(1)
    }

    #[test]
    fn streams_never_change() {
        let mut stream = place().stream();
        let first: Vec<u64> = (0..3).map(|_| stream.u64()).collect();
        assert_eq!(first, GOLDEN, "a run made before this change could not be repeated");
        assert_eq!(place().nonce(), GOLDEN_NONCE);
        let mut items: Vec<u32> = (0..8).collect();
        place().stream().shuffle(&mut items);
        assert_eq!(items, GOLDEN_SHUFFLE);
    }

    #[test]
    fn the_generator_is_xoshiro256_plus_plus() {
        // The state 1, 2, 3, 4 and its outputs are the published example of the reference implementation.
        let mut stream = Stream { state: [1, 2, 3, 4] };
        let out: Vec<u64> = (0..4).map(|_| stream.u64()).collect();
        assert_eq!(out, [41943041, 58720359, 3588806011781223, 3591011842654386]);
    }

    #[test]
    fn every_place_has_its_own_seed() {
        let root = Seed::root(7);
        let mut seen = std::collections::HashSet::new();
        for iteration in 0..3 {
            for stage in Stage::ALL {
                for prompt in 0..4 {
                    let prompt = root.iteration(iteration).stage(stage).prompt(prompt);
                    assert!(seen.insert(prompt));
                    assert!(seen.insert(prompt.candidate(1)));
                    assert!(seen.insert(prompt.sample(1)));
                    assert!(seen.insert(prompt.candidate(1).sample(1)));
                }
            }
        }
        assert_ne!(Seed::root(7), Seed::root(8));
    }

    #[test]
    fn choices_are_uniform_and_in_range() {
        let mut stream = Seed::root(1).stream();
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7)] += 1;
            assert!((0.0..1.0).contains(&stream.unit()));
        }
        // 10,000 expected, standard deviation 93.
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
        assert_eq!(stream.below(0), 0);
        assert_eq!(stream.pick::<u8>(&[]), None);
        let mut chosen = stream.choose(10, 4);
        chosen.sort();
        chosen.dedup();
        assert_eq!(chosen.len(), 4);
        assert_eq!(stream.choose(3, 9).len(), 3);
    }

    // Computed by a second implementation, in another language.
    const GOLDEN: [u64; 3] = [6839162607468277739, 10693452258594393265, 14790315518270149382];
    const GOLDEN_NONCE: &str = "29e237648b783706ffafc2f447890ed1";
    const GOLDEN_SHUFFLE: [u32; 8] = [1, 7, 0, 3, 5, 6, 4, 2];
}
