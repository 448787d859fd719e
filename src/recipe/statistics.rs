//! The plain statistics that the method's measures are made of: means, intervals, rank correlations, kappa.
//!
//! Used by `agreement`, `suspicion`, `spot_check` and the alarms. Where a number is not defined, the answer is `None`, never 0.

use crate::run::measures::Interval;

/// The 97.5% point of the normal distribution: half the width of a 95% interval in standard errors.
pub const Z95: f64 = 1.959_963_984_540_054;

pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation (n - 1); undefined for fewer than two values.
pub fn sd(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// 95% interval of a mean by the normal approximation.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    let (mean, sd) = (mean(values)?, sd(values)?);
    let half = Z95 * sd / (values.len() as f64).sqrt();
    Some(Interval { low: mean - half, high: mean + half })
}

/// Wilson's 95% interval of a share. It stays inside 0..1 and says something even after 0 of n.
pub fn wilson(hits: u32, n: u32) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (n, share) = (f64::from(n), f64::from(hits) / f64::from(n));
    let scale = 1.0 + Z95 * Z95 / n;
    let middle = (share + Z95 * Z95 / (2.0 * n)) / scale;
    let half = Z95 / scale * (share * (1.0 - share) / n + Z95 * Z95 / (4.0 * n * n)).sqrt();
    Some(Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

/// Entropy of a histogram, in bits.
pub fn entropy(counts: &[u32]) -> Option<f64> {
    let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    let bits = |&count: &u32| match f64::from(count) / total {
        0.0 => 0.0,
        share => -share * share.log2(),
    };
    (total > 0.0).then(|| counts.iter().map(bits).sum())
}

/// Percentile (`share` in 0..=1) by linear interpolation between the sorted values.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    percentile_of_sorted(&sorted, share)
}

/// The same where the caller has sorted already.
pub fn percentile_of_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(last);
    Some(sorted[low] + (sorted[high] - sorted[low]) * part)
}

/// Ranks from 1, equal values sharing the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        // NaN equals nothing, not even itself: it has a rank of its own.
        let same = order[first..].iter().take_while(|&&at| values[at] == values[order[first]]).count().max(1);
        for &at in &order[first..first + same] {
            ranks[at] = first as f64 + (same as f64 + 1.0) / 2.0;
        }
        first += same;
    }
    ranks
}

/// Pearson's correlation; undefined when a side is constant.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let (mean_a, mean_b) = (mean(a)?, mean(b)?);
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - mean_a, y - mean_b)).sum::<f64>();
    let (both, left, right) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
    (left > 0.0 && right > 0.0).then(|| (both / (left * right).sqrt()).clamp(-1.0, 1.0))
}

/// Spearman's rho: Pearson's correlation of the ranks.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// The area under the ROC curve: how often a value of `yes` is above one of `no`, equal ones counting half. `None` without both.
pub fn auroc(yes: &[f64], no: &[f64]) -> Option<f64> {
    if yes.is_empty() || no.is_empty() {
        return None;
    }
    let all: Vec<f64> = yes.iter().chain(no).copied().collect();
    let sum: f64 = ranks(&all)[..yes.len()].iter().sum();
    let (yes, no) = (yes.len() as f64, no.len() as f64);
    Some((sum - yes * (yes + 1.0) / 2.0) / (yes * no))
}

/// Kendall's tau-b; undefined when a side is constant. Knight's way: sort by `a`, count the swaps that sort `b`.
pub fn kendall_tau_b(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len());
    let mut points: Vec<(f64, f64)> = a.iter().copied().zip(b.iter().copied()).collect();
    points.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1)));
    let firsts: Vec<f64> = points.iter().map(|point| point.0).collect();
    let mut seconds: Vec<f64> = points.iter().map(|point| point.1).collect();
    let (tied_a, tied_both) = (tied_pairs(&firsts), tied_pairs(&points));
    let mut room = seconds.clone();
    let swaps = sort_counting_swaps(&mut seconds, &mut room) as f64;
    let (tied_b, all) = (tied_pairs(&seconds), pairs_among(n));
    // Concordant minus discordant pairs.
    let surplus = all - tied_a - tied_b + tied_both - 2.0 * swaps;
    let (left, right) = (all - tied_a, all - tied_b);
    (left > 0.0 && right > 0.0).then(|| (surplus / left.sqrt() / right.sqrt()).clamp(-1.0, 1.0))
}

fn pairs_among(n: usize) -> f64 {
    (n * n.saturating_sub(1) / 2) as f64
}

/// Pairs of equal values in a sorted list.
fn tied_pairs<T: PartialEq>(sorted: &[T]) -> f64 {
    sorted.chunk_by(|a, b| a == b).map(|run| pairs_among(run.len())).sum()
}

/// Merge sort; the answer is how many pairs stood in the wrong order.
fn sort_counting_swaps(values: &mut [f64], room: &mut [f64]) -> u64 {
    let half = values.len() / 2;
    if half == 0 {
        return 0;
    }
    let mut swaps = sort_counting_swaps(&mut values[..half], &mut room[..half]);
    swaps += sort_counting_swaps(&mut values[half..], &mut room[half..]);
    let (mut left, mut right) = (0, half);
    for place in room.iter_mut() {
        let take_left = right == values.len() || (left < half && values[left] <= values[right]);
        if take_left {
            *place = values[left];
            left += 1;
        } else {
            *place = values[right];
            right += 1;
            swaps += (half - left) as u64;
        }
    }
    values.copy_from_slice(room);
    swaps
}

/// Cohen's kappa of two raters over the same items; undefined when chance alone agrees always.
pub fn kappa<T: PartialEq>(ratings: &[(T, T)]) -> Option<f64> {
    let n = ratings.len() as f64;
    if ratings.is_empty() {
        return None;
    }
    let observed = ratings.iter().filter(|(a, b)| a == b).count() as f64 / n;
    let mut labels: Vec<&T> = Vec::new();
    for (a, b) in ratings {
        for label in [a, b] {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
    }
    let share = |side: &dyn Fn(&(T, T)) -> bool| ratings.iter().filter(|pair| side(pair)).count() as f64 / n;
    let chance: f64 = labels.iter().map(|&label| share(&|p| p.0 == *label) * share(&|p| p.1 == *label)).sum();
    (chance < 1.0).then(|| (observed - chance) / (1.0 - chance))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-6), "{found:?} is not {expected}");
    }

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!(mean(&[]), None);
        assert_eq!(sd(&[3.0]), None);
        assert_eq!(wilson(0, 0), None);
        assert_eq!(entropy(&[0, 0]), None);
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(kendall_tau_b(&[1.0, 2.0], &[4.0, 4.0]), None);
        assert_eq!(kendall_tau_b(&[], &[]), None);
        assert_eq!(kappa::<bool>(&[]), None);
        assert_eq!(kappa(&[(1, 1), (1, 1)]), None);
    }

    #[test]
    fn small_tables_computed_by_hand() {
        close(sd(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 2.138_090);
        close(entropy(&[1, 1, 2]), 1.5);
        close(percentile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(ranks(&[f64::NAN, 1.0]), [2.0, 1.0]);
        assert_eq!(ranks(&[10.0, 20.0, 10.0, 30.0]), [1.5, 3.0, 1.5, 4.0]);
        // Two raters, 50 items: 20 both yes, 15 both no, 5 and 10 crossed: 0.7 observed, 0.5 by chance.
        let mut ratings = vec![(true, true); 20];
        ratings.extend([vec![(false, false); 15], vec![(true, false); 5], vec![(false, true); 10]].concat());
        close(kappa(&ratings), 0.4);
        // The published example of the interval: 0 of 10 is still up to 28%.
        let none = wilson(0, 10).unwrap();
        close(Some(none.low), 0.0);
        close(Some(none.high), 0.277_533);
    }

    fn naive_tau_b(a: &[f64], b: &[f64]) -> Option<f64> {
        let (mut surplus, mut left, mut right) = (0.0, 0.0, 0.0);
        for i in 0..a.len() {
            for j in 0..i {
                let sign = |x: f64, y: f64| if x == y { 0.0 } else { (x - y).signum() };
                let (x, y) = (sign(a[i], a[j]), sign(b[i], b[j]));
                surplus += x * y;
                left += x.abs();
                right += y.abs();
            }
        }
        (left > 0.0 && right > 0.0).then(|| surplus / f64::sqrt(left) / f64::sqrt(right))
    }

    proptest! {
        #[test]
        fn the_fast_tau_is_the_slow_one(points in prop::collection::vec((0i8..6, 0i8..6), 0..40)) {
            let (a, b): (Vec<f64>, Vec<f64>) = points.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).unzip();
            match (kendall_tau_b(&a, &b), naive_tau_b(&a, &b)) {
                (Some(fast), Some(slow)) => prop_assert!((fast - slow).abs() < 1e-12),
                (fast, slow) => prop_assert_eq!(fast, slow),
            }
        }
    }

    #[test]
    fn auroc_counts_ordered_pairs() {
        for (yes, no, expected) in [
            (&[3.0, 4.0][..], &[1.0, 2.0][..], Some(1.0)),
            (&[1.0], &[2.0, 3.0], Some(0.0)),
            (&[1.0, 3.0], &[2.0], Some(0.5)),
            (&[2.0, 3.0], &[2.0], Some(0.75)),
            (&[], &[2.0], None),
        ] {
            assert_eq!(auroc(yes, no), expected);
        }
    }
}
