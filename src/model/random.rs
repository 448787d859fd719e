//! Random numbers by counter: the n-th number of a key is a pure function of both.
//!
//! Fresh weights and sampling draw from here, so that nothing depends on who drew before. It keeps no state.

/// A new key for one part of what `key` stands for (SplitMix64's finaliser over both).
pub fn derive(key: u64, part: u64) -> u64 {
    let mut z = key ^ part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Uniform in [0, 1), 53 bits.
pub fn uniform(key: u64, counter: u64) -> f64 {
    (derive(key, counter) >> 11) as f64 / (1u64 << 53) as f64
}

/// Standard normal, by the sum of twelve uniforms: only additions, so the bits are the same everywhere.
/// Its tails end at six deviations, which suits weights.
pub fn normal(key: u64, counter: u64) -> f32 {
    let sum: f64 = (0..12).map(|i| uniform(key, counter.wrapping_mul(12).wrapping_add(i))).sum();
    (sum - 6.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_has_mean_zero_and_deviation_one() {
        let draws: Vec<f64> = (0..20_000).map(|i| f64::from(normal(7, i))).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "mean {mean}, variance {variance}");
    }

    #[test]
    fn keys_and_counters_give_unrelated_draws() {
        let mut seen: Vec<u64> = (0..100).flat_map(|key| (0..100).map(move |n| derive(key, n))).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 10_000);
    }
}
