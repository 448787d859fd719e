//! The numbers along an axis: a range that holds all values, ticks at round numbers, and labels no longer than they must be.
//!
//! Used by `svg`. It knows no drawing. Any floating-point values may come in: what is not finite is left out by the caller, and the
//! arithmetic is done on halves so that a range from the least to the greatest number does not overflow.

/// A step that is smaller than wanted by rounding alone is large enough.
const NEARLY: f64 = 1.0 - 1e-9;
/// In steps.
const SLACK: f64 = 1e-9;

/// A range that is not empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// The least range that holds all finite values, widened where there is only one; `None` without any.
    pub fn around(values: impl IntoIterator<Item = f64>) -> Option<Axis> {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return None;
        }
        let axis = Axis { low, high };
        if axis.span() > low.abs().max(high.abs()) * 1e-12 && axis.span().is_normal() {
            return Some(axis);
        }
        let room = (low.abs() * 0.05).max(0.5);
        Some(Axis { low: (low - room).max(f64::MIN), high: (high + room).min(f64::MAX) })
    }

    /// The range with some room at both ends, so that lines do not run along the frame.
    pub fn with_room(self) -> Axis {
        let room = self.span() * 0.1;
        let widened = |value: f64| if value.is_finite() { value } else { value.signum() * f64::MAX };
        Axis { low: widened(self.low - room), high: widened(self.high + room) }
    }

    /// Half the length of the range, which is finite whatever the range is.
    fn span(self) -> f64 {
        self.high / 2.0 - self.low / 2.0
    }

    /// Where a value stands, 0 at the low end and 1 at the high end.
    pub fn place(self, value: f64) -> f64 {
        ((value / 2.0 - self.low / 2.0) / self.span()).clamp(0.0, 1.0)
    }

    /// Round numbers inside the range, about `wanted` of them, with their labels.
    pub fn ticks(self, wanted: usize) -> Vec<(f64, String)> {
        self.stepped(wanted, 0.0)
    }

    /// The same with whole numbers only, for counts and iterations.
    pub fn whole_ticks(self, wanted: usize) -> Vec<(f64, String)> {
        self.stepped(wanted, 1.0)
    }

    fn stepped(self, wanted: usize, least: f64) -> Vec<(f64, String)> {
        let rough = self.span() / (wanted.max(1) as f64 / 2.0);
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .iter()
            .map(|n| n * power)
            .find(|step| *step >= rough * NEARLY)
            .unwrap_or(rough)
            .max(least);
        // An end of the range that is a round number must not be lost to the last bit of a division.
        let (first, last) = ((self.low / step - SLACK).ceil(), (self.high / step + SLACK).floor());
        // Beyond 2^52 steps from zero, neighbouring ticks are the same number; and a step may be too small to be one.
        let countable = step.is_normal() && first.abs().max(last.abs()) < 4e15 && last - first < 100.0;
        if !countable {
            return [self.low, self.high].map(|value| (value, format!("{value:.2e}"))).to_vec();
        }
        let count = (last - first).max(0.0) as usize;
        let values: Vec<f64> = (0..=count).map(|i| (first + i as f64) * step + 0.0).collect();
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        values.into_iter().map(|value| (value, label(value, step, largest))).collect()
    }
}

/// As many decimals as the step needs. Numbers that would be long are written with an exponent, all on one axis in the same way.
fn label(value: f64, step: f64, largest: f64) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    // The nudge keeps a step such as 0.1, which is a little over, from asking for a decimal less.
    let needed = |unit: f64| (-(step / unit).log10() - 1e-9).ceil().clamp(0.0, 15.0) as usize;
    if largest < 1e6 && step >= 1e-4 {
        return format!("{value:.*}", needed(1.0));
    }
    let unit = 10_f64.powf(value.abs().log10().floor());
    format!("{value:.*e}", if unit.is_normal() { needed(unit) } else { 1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(low: f64, high: f64) -> Vec<String> {
        Axis::around([low, high]).unwrap().ticks(5).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_stand_at_round_numbers_with_no_more_digits_than_they_need() {
        let table: [(f64, f64, &[&str]); 11] = [
            (0.0, 1.0, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (0.0, 5.0, &["0", "1", "2", "3", "4", "5"]),
            (-1.0, 1.0, &["-1.0", "-0.5", "0", "0.5", "1.0"]),
            (0.693, 0.71, &["0.695", "0.700", "0.705", "0.710"]),
            (3.0, 97.0, &["20", "40", "60", "80"]),
            (0.0, 20000.0, &["0", "5000", "10000", "15000", "20000"]),
            (0.0, 4e6, &["0", "1e6", "2e6", "3e6", "4e6"]),
            (0.0, 5.5e-6, &["0", "2e-6", "4e-6"]),
            (1e-6, 1.1e-6, &["1.00e-6", "1.02e-6", "1.04e-6", "1.06e-6", "1.08e-6", "1.10e-6"]),
            (7.0, 7.0, &["6.6", "6.8", "7.0", "7.2", "7.4"]),
            (f64::MIN, f64::MAX, &["-1e308", "0", "1e308"]),
        ];
        for (low, high, expected) in table {
            let expected: Vec<String> = expected.iter().map(|label| label.to_string()).collect();
            let found = labels(low, high);
            let zero = |label: &String| if label.parse::<f64>() == Ok(0.0) { "0".to_string() } else { label.clone() };
            assert_eq!(found, expected.iter().map(zero).collect::<Vec<_>>(), "{low} to {high}");
        }
    }

    #[test]
    fn whole_ticks_are_whole() {
        for (low, high, expected) in
            [(1.0, 3.0, "1 2 3"), (0.0, 1.05, "0 1"), (0.0, 441.0, "0 100 200 300 400"), (2.0, 2.0, "2")]
        {
            let ticks = Axis::around([low, high]).unwrap().whole_ticks(5);
            assert_eq!(
                ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" "),
                expected,
                "{low} to {high}"
            );
        }
    }

    #[test]
    fn without_a_finite_value_there_is_no_axis() {
        assert_eq!(Axis::around([]), None);
        assert_eq!(Axis::around([f64::NAN, f64::INFINITY]), None);
    }

    proptest! {
        #[test]
        fn any_values_have_few_ticks_in_order_and_places_inside(values in prop::collection::vec(any::<f64>(), 1..6), wanted in 1_usize..12) {
            let Some(axis) = Axis::around(values.clone()) else { return Ok(()) };
            for axis in [axis, axis.with_room()] {
                let ticks = axis.ticks(wanted);
                prop_assert!(ticks.len() <= 3 * wanted + 2, "{:?}", ticks);
                prop_assert!(ticks.windows(2).all(|two| two[0].0 < two[1].0), "{:?}", ticks);
                prop_assert!(ticks.iter().all(|(value, label)| value.is_finite() && label.len() <= 22), "{:?}", ticks);
                prop_assert!(values.iter().filter(|v| v.is_finite()).all(|v| (0.0..=1.0).contains(&axis.place(*v))));
            }
        }
    }
}
