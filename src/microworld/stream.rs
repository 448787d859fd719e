//! A seeded stream of choices: SplitMix64, so that a world is nothing but its seed.
//!
//! Everything in `microworld` that chooses takes a `&mut Stream`. The stream knows no clock and no other source of chance.

/// A deterministic generator. Equal keys give equal streams on every machine.
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
}

impl Stream {
    pub fn new(seed: u64) -> Self {
        let mut stream = Self { state: seed };
        // The first output of small neighbouring seeds is thrown away, because their states differ in one bit only.
        stream.next_u64();
        stream
    }

    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The stream that belongs to `purpose` and `index` under `seed`: streams of different purposes never share a state,
/// so adding draws in one corpus does not shift another.
pub(super) fn keyed(seed: u64, purpose: &str, index: u64) -> Stream {
    let mut state = Stream::new(seed).next_u64();
    for byte in purpose.bytes() {
        state = Stream { state: state ^ u64::from(byte) }.next_u64();
    }
    Stream::new(Stream { state: state ^ index.wrapping_mul(0xD1B5_4A32_D192_ED03) }.next_u64())
}

/// One element of a slice that is not empty.
pub(super) fn one_of<'a, T>(stream: &mut Stream, choices: &'a [T]) -> &'a T {
    &choices[stream.below(choices.len())]
}

/// True with probability `p`.
pub(super) fn chance(stream: &mut Stream, p: f64) -> bool {
    stream.unit() < p
}

/// One value of a table of shares. Shares need not sum to one.
pub(super) fn weighted<T: Copy>(stream: &mut Stream, table: &[(T, f64)]) -> T {
    let total: f64 = table.iter().map(|(_, share)| share).sum();
    let mut left = stream.unit() * total;
    for &(value, share) in table {
        left -= share;
        if left < 0.0 {
            return value;
        }
    }
    // Rounding may leave a crumb: the last row takes it.
    table[table.len() - 1].0
}
