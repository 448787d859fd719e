//! Drawing from tables, on top of the one kind of stream that all of selfreward draws from.

use crate::recipe::seeds::Stream;

/// One element of a slice that is not empty: the tables of a world never are.
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
