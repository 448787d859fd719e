//! Numbers, times and texts as they stand on the screen: short, never cut in the middle of a number.
//!
//! Used by every pane. Pure.

use ratatui::text::Span;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::run::entry::Stamp;
use crate::text::visible::{Shown, show};

/// Foreign text made safe to show: the one place through which everything that a model or a file wrote goes to the screen.
/// Line feeds stay; every other character that a reader cannot see becomes a visible mark.
pub fn visible(text: &str) -> String {
    show(text, Shown { keep_tabs: false, longest_line: LONGEST_LINE }).text.into_owned()
}

/// Characters of one line that are shown; who wants more of a megabyte opens the pager.
const LONGEST_LINE: usize = 20_000;

/// The same on one line: line feeds become a mark.
pub fn one_line(text: &str) -> String {
    visible(text.trim()).replace('\n', " / ")
}

/// Columns that a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// Cuts a text to a width and says so with an ellipsis. A number is never cut: half of one is another one.
pub fn fit(text: &str, width: usize) -> String {
    if text.len() <= width || columns(text) <= width {
        return text.to_string();
    }
    if width == 0 {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > width - 1 {
            break;
        }
        used += wide;
        out.push(c);
    }
    let mut rest = text[out.len()..].chars();
    let goes_on = match rest.next() {
        Some('.' | ',' | ':') => rest.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => c.is_ascii_digit() || c == '%',
        None => false,
    };
    let part = |c: char| c.is_ascii_digit() || ".,:".contains(c);
    let number = out.len() - out.trim_end_matches(part).len();
    if goes_on && out[out.len() - number..].contains(|c: char| c.is_ascii_digit()) {
        out.truncate(out.len() - number);
    }
    out.push('…');
    out
}

/// `1 word`, `2 words`.
pub fn words(count: u32) -> String {
    if count == 1 { "1 word".into() } else { format!("{count} words") }
}

/// Cut or padded to exactly this width, text on the left.
pub fn left(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let pad = width.saturating_sub(columns(&text));
    text + &" ".repeat(pad)
}

/// Cut or padded to exactly this width, text on the right.
pub fn right(text: &str, width: usize) -> String {
    let text = fit(text, width);
    " ".repeat(width.saturating_sub(columns(&text))) + &text
}

/// Breaks a text into lines of at most this width, at spaces where there are some. Every line feed begins a line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_inclusive(' ') {
            let wide = columns(word.trim_end_matches(' '));
            if used + wide > width && used > 0 {
                lines.push(std::mem::take(&mut line).trim_end().to_string());
                used = 0;
            }
            for c in word.chars() {
                let wide = c.width().unwrap_or(0);
                if used + wide > width {
                    if c == ' ' {
                        continue;
                    }
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(c);
                used += wide;
            }
        }
        lines.push(line.trim_end().to_string());
    }
    lines
}

/// A score or a margin; a pair that nobody scored (a teacher's demonstration) has none.
pub fn points(value: f64, digits: usize) -> String {
    if value.is_nan() { "–".into() } else { number(value, digits) }
}

/// A number with about `digits` significant digits: `0.412`, `12.4`, `1.9e-6`, `NaN`.
pub fn number(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+inf".into() } else { "-inf".into() };
    }
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.*e}", digits.saturating_sub(2).min(2));
    }
    let before = size.log10().floor() as i32 + 1;
    let decimals = (digits as i32 - before.max(0)).clamp(0, 6) as usize;
    format!("{value:.decimals$}")
}

/// A share as a percentage, with a decimal only where it matters.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value.is_nan() {
        "–".into()
    } else if value != 0.0 && value.abs() < 9.95 && (value - value.round()).abs() > 0.05 {
        format!("{value:.1}%")
    } else {
        format!("{value:.0}%")
    }
}

/// A count with its thousands apart: `1,031,877`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A time span: `42s`, `8m42`, `3h12`, `2d04h`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".into();
    }
    if seconds < 10.0 && seconds > 0.0 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round().min(1e12) as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m{:02}", whole / 60, whole % 60),
        3600..86400 => format!("{}h{:02}", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d{:02}h", whole / 86400, whole % 86400 / 3600),
    }
}

/// Bytes: `2.1 GB`.
pub fn bytes(value: u64) -> String {
    let mut size = value as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if size < 999.5 || unit == "TB" {
            return if unit == "B" || size >= 99.5 { format!("{size:.0} {unit}") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    String::new()
}

/// Offset of the local clock from UTC, in seconds; set once at the start, 0 in tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    pub offset_s: i64,
}

impl Zone {
    fn parts(self, at: Stamp) -> (i64, i64) {
        let seconds = at.0.div_euclid(1_000_000) + self.offset_s;
        (seconds.div_euclid(86_400), seconds.rem_euclid(86_400))
    }

    /// `14:02`
    pub fn minute(self, at: Stamp) -> String {
        let (_, second) = self.parts(at);
        format!("{:02}:{:02}", second / 3600, second % 3600 / 60)
    }

    /// `14:02:11`
    pub fn second(self, at: Stamp) -> String {
        let (_, second) = self.parts(at);
        format!("{:02}:{:02}:{:02}", second / 3600, second % 3600 / 60, second % 60)
    }

    /// `2026-11-21 14:02`
    pub fn day(self, at: Stamp) -> String {
        let local = Stamp(at.0.saturating_add(self.offset_s.saturating_mul(1_000_000))).to_string();
        local.get(..16).unwrap_or_default().replace('T', " ")
    }

    /// The clock time, with the day when it is not the day of `today`.
    pub fn clock(self, at: Stamp, today: Stamp) -> String {
        if self.parts(at).0 == self.parts(today).0 { self.minute(at) } else { self.day(at) }
    }
}

/// Joins pieces with spans between them.
pub fn spaced<'a>(pieces: impl IntoIterator<Item = Span<'a>>, between: &'static str) -> Vec<Span<'a>> {
    let mut out = Vec::new();
    for piece in pieces {
        if !out.is_empty() {
            out.push(Span::raw(between));
        }
        out.push(piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_left_out_rather_than_cut() {
        for (text, width, shown) in [
            ("judge began: 480 to do", 16, "judge began: …"),
            ("judge began: 4800 to do", 17, "judge began: …"),
            ("length 0.28 and more", 10, "length …"),
            ("length 0.28 and more", 9, "length …"),
            ("93% of all", 3, "…"),
            ("1,024 of all", 4, "…"),
            ("at 15:12 it was", 6, "at …"),
            ("one. two", 5, "one.…"),
            ("in 2026", 7, "in 2026"),
            ("iteration 2 of 3", 12, "iteration 2…"),
        ] {
            assert_eq!(fit(text, width), shown, "{text} in {width}");
        }
        assert_eq!((words(1), words(2)), ("1 word".to_string(), "2 words".to_string()));
    }

    #[test]
    fn numbers_are_short_and_whole() {
        for (value, digits, shown) in [
            (0.412_34, 3, "0.412"),
            (-0.412_34, 3, "-0.412"),
            (12.44, 3, "12.4"),
            (123.4, 3, "123"),
            (123_456.0, 3, "123456"),
            (1.9e-6, 3, "1.9e-6"),
            (0.0, 3, "0"),
            (f64::NAN, 3, "NaN"),
            (f64::INFINITY, 3, "+inf"),
            (0.12345, 4, "0.1235"),
        ] {
            assert_eq!(number(value, digits), shown);
        }
        for (seconds, shown) in
            [(4.23, "4.2s"), (42.0, "42s"), (522.0, "8m42"), (11520.0, "3h12"), (187_200.0, "2d04h")]
        {
            assert_eq!(duration(seconds), shown);
        }
        for (share, shown) in [(0.784, "78%"), (0.0375, "3.8%"), (0.02, "2%"), (1.0, "100%"), (f64::NAN, "–")] {
            assert_eq!(percent(share), shown);
        }
        assert_eq!((count(1_031_877).as_str(), count(12).as_str()), ("1,031,877", "12"));
        assert_eq!((bytes(2_100_000_000).as_str(), bytes(512).as_str()), ("2.1 GB", "512 B"));
    }

    #[test]
    fn wrapped_lines_fit_and_lose_no_visible_character() {
        for text in
            ["", "a", "one two three four", "averyveryverylongwordthatmustbebroken x", "漢字漢字漢字 漢字", "a\n\nb  c"]
        {
            for width in 1..20 {
                let lines = wrap(text, width);
                assert!(lines.iter().all(|line| columns(line) <= width.max(2)), "{text} {width}: {lines:?}");
                let kept: String = lines.concat().chars().filter(|c| !c.is_whitespace()).collect();
                assert_eq!(kept, text.chars().filter(|c| !c.is_whitespace()).collect::<String>());
            }
        }
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(
            (fit("haiku", 5).as_str(), fit("haikus", 5).as_str(), fit("漢字", 3).as_str()),
            ("haiku", "haik…", "漢…")
        );
        assert_eq!((left("ab", 4).as_str(), right("ab", 4).as_str()), ("ab  ", "  ab"));
    }

    #[test]
    fn nothing_that_hides_or_steers_stays_as_it_is() {
        assert_eq!(visible("\u{1b}[31m\u{202e}a\tb\n"), "^[[31m<U+202E>a→   b\n");
        assert_eq!(one_line(" a\nb\u{0} "), "a / b^@");
    }
}
