//! A time span for lines that are printed: its two greatest units. Screens have a narrower form of their own.

/// `42s`, `8m42s`, `3h12m`, `2d04h`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3600..86400 => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d{:02}h", whole / 86400, whole % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_at_most_two_units() {
        for (seconds, said) in [
            (-1.0, "0s"),
            (0.4, "0s"),
            (59.4, "59s"),
            (59.6, "1m00s"),
            (522.0, "8m42s"),
            (11_520.0, "3h12m"),
            (187_200.0, "2d04h"),
            (f64::NAN, "0s"),
        ] {
            assert_eq!(duration(seconds), said);
        }
    }
}
