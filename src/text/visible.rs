//! Shows what a text hides: control and format characters become marks that a reader sees and a terminal ignores.
//!
//! Used by every pane, by plain listings, and by the judge's prompt. A tab is kept apart from spaces, a carriage return from
//! nothing: two texts that differ only in hidden characters never look alike. Knows no colours; the spans say where marks are.

use std::borrow::Cow;
use std::ops::Range;

use super::invisible::is_invisible;

/// A text as it can be shown, with the places of the marks in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible<'a> {
    pub text: Cow<'a, str>,
    /// Byte ranges of `text` that are marks, in order.
    pub marks: Vec<Range<usize>>,
    /// Invisible characters other than newlines and tabs: what a badge counts.
    pub hidden: usize,
}

/// What to do besides marking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Keep tabs as they are (for a model), or draw them as a mark of four cells (for a screen).
    pub keep_tabs: bool,
    /// Characters of one line after which the rest is replaced by its count.
    pub longest_line: usize,
}

impl Shown {
    pub const WHOLE: Shown = Shown { keep_tabs: false, longest_line: usize::MAX };
}

/// More combining marks than this on one character smear rows of the screen, and once ran code in a terminal.
const MOST_COMBINING: usize = 4;

/// The text with every invisible character but newlines marked.
pub fn visible(text: &str) -> Cow<'_, str> {
    show(text, Shown::WHOLE).text
}

/// How many characters of `text` a reader cannot see, newlines and tabs aside.
pub fn count_hidden(text: &str) -> usize {
    text.chars().filter(|&c| is_hidden(c)).count()
}

fn is_hidden(c: char) -> bool {
    is_invisible(c) && c != '\n' && c != '\t'
}

/// The same with its marks, and with `shown`'s rules.
pub fn show(text: &str, shown: Shown) -> Visible<'_> {
    let plain = |c: char| (' '..='~').contains(&c) && c != '<' || c == '\n';
    if text.chars().all(plain) && text.split('\n').all(|line| line.len() <= shown.longest_line) {
        return Visible { text: Cow::Borrowed(text), marks: Vec::new(), hidden: 0 };
    }
    let carets = text.chars().any(|c| is_caret_mark(c) && c != '\n' && c != '\t');
    let mut out = Out { text: String::with_capacity(text.len() + 16), marks: Vec::new() };
    let mut hidden = 0;
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.text.push('\n');
        }
        let (line, cut) = cut_line(line, shown.longest_line);
        hidden += show_line(line, shown, carets, &mut out);
        if cut > 0 {
            out.mark(&format!("<+{cut} characters>"));
        }
    }
    if out.marks.is_empty() {
        return Visible { text: Cow::Borrowed(text), marks: Vec::new(), hidden: 0 };
    }
    Visible { text: Cow::Owned(out.text), marks: out.marks, hidden }
}

struct Out {
    text: String,
    marks: Vec<Range<usize>>,
}

impl Out {
    fn mark(&mut self, mark: &str) {
        let start = self.text.len();
        self.text.push_str(mark);
        self.marks.push(start..self.text.len());
    }
}

/// Writes one line; the answer is how many hidden characters it held.
fn show_line(line: &str, shown: Shown, carets: bool, out: &mut Out) -> usize {
    let mut hidden = 0;
    let mut combining = 0;
    let mut rest = line.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if is_combining(c) {
            combining += 1;
            let last = !rest.peek().is_some_and(|(_, next)| is_combining(*next));
            if combining <= MOST_COMBINING {
                out.text.push(c);
            } else if last {
                out.mark(&format!("<+{}>", combining - MOST_COMBINING));
            }
            continue;
        }
        combining = 0;
        let after = &line[at + c.len_utf8()..];
        match c {
            '\t' if shown.keep_tabs => out.text.push(c),
            '\t' => out.mark("→   "),
            _ if is_caret_mark(c) => out.mark(&format!("^{}", (c as u8 ^ 0x40) as char)),
            _ if is_invisible(c) => out.mark(&format!("<U+{:X}>", c as u32)),
            // What looks like a mark and is none is marked itself, so that no mark can be forged.
            '<' if after.starts_with("U+") || after.starts_with('+') => out.mark("<U+3C>"),
            '→' if !shown.keep_tabs && after.starts_with("   ") => out.mark("<U+2192>"),
            '^' if carets && after.starts_with(|next| ('@'..='_').contains(&next) || next == '?') => out.mark("<U+5E>"),
            _ => out.text.push(c),
        }
        hidden += usize::from(is_hidden(c));
    }
    hidden
}

fn is_caret_mark(c: char) -> bool {
    c.is_ascii_control()
}

/// The line's first `longest` characters, and how many characters follow them.
fn cut_line(line: &str, longest: usize) -> (&str, usize) {
    if line.len() <= longest {
        return (line, 0);
    }
    match line.char_indices().nth(longest) {
        Some((at, _)) => (&line[..at], line[at..].chars().count()),
        None => (line, 0),
    }
}

/// Combining diacritics: the blocks that stack on the character before them.
fn is_combining(c: char) -> bool {
    // A joiner among them draws nothing: it is marked, not stacked.
    !is_invisible(c)
        && matches!(c as u32, 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x610..=0x61a | 0x64b..=0x65f | 0xe31 | 0xe34..=0xe3a
        | 0xe47..=0xe4e | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hidden_characters_become_marks() {
        let long = "e".to_string() + &"\u{301}".repeat(40);
        let table = [
            ("plain text\nand a line", "plain text\nand a line"),
            ("good\rbad", "good^Mbad"),
            ("\x1b[31mred\x1b[0m", "^[[31mred^[[0m"),
            ("\0\x7f", "^@^?"),
            ("a\tb", "a→   b"),
            ("\u{202e}evil\u{2066}", "<U+202E>evil<U+2066>"),
            ("\u{9b}31m", "<U+9B>31m"),
            ("tag\u{e0041}\u{200d}", "tag<U+E0041><U+200D>"),
            ("<U+202E>", "<U+3C>U+202E>"),
            ("e^X, a < b, <b>", "e^X, a < b, <b>"),
            ("^[ and \x1b", "<U+5E>[ and ^["),
            ("é e\u{301} 漢 ش 🦀", "é e\u{301} 漢 ش 🦀"),
            (long.as_str(), "e\u{301}\u{301}\u{301}\u{301}<+36>"),
        ];
        for (text, expected) in table {
            assert_eq!(visible(text), expected, "{text:?}");
        }
    }

    #[test]
    fn marks_are_spans_and_hidden_characters_are_counted() {
        let shown = show("a\tb\u{200b}<c>\x07", Shown::WHOLE);
        let marks: Vec<&str> = shown.marks.iter().map(|span| &shown.text[span.clone()]).collect();
        assert_eq!((marks, shown.hidden), (vec!["→   ", "<U+200B>", "^G"], 2));
        assert_eq!(count_hidden("a\tb\u{200b}<c>\x07\n"), 2);
        assert!(matches!(visible("nothing <hidden>"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_long_line_is_cut_with_its_count() {
        let shown = Shown { keep_tabs: true, longest_line: 3 };
        assert_eq!(show("ééééé\nab\tcd", shown).text, "ééé<+2 characters>\nab\t<+2 characters>");
        assert_eq!(show("ééé\nabc", shown).text, "ééé\nabc");
    }

    const ALPHABET: &str = "[a \\^\\[<U+>0-9→\t\n\r\x1b\x01\u{7f}\u{9b}\u{200b}\u{202e}\u{e0041}\u{feff}]{0,10}";

    proptest! {
        #[test]
        fn nothing_invisible_is_left_but_newlines(text in prop_oneof![any::<String>(), ALPHABET]) {
            prop_assert!(visible(&text).chars().all(|c| c == '\n' || !is_invisible(c)));
            prop_assert_eq!(show(&text, Shown::WHOLE).hidden, count_hidden(&text));
        }

        #[test]
        fn texts_that_differ_only_in_hidden_characters_look_different(
            seen in prop::collection::vec("[a \\^\\[<U+>0-9→]", 0..6),
            hidden in prop::collection::vec(("[\t\r\x1b\u{200b}]{0,2}", "[\t\r\x1b\u{200b}]{0,2}"), 7),
        ) {
            let text = |side: fn(&(String, String)) -> &String| {
                let mut text = String::new();
                for (at, hidden) in hidden.iter().enumerate() {
                    text.push_str(side(hidden));
                    text.push_str(seen.get(at).map_or("", String::as_str));
                }
                text
            };
            let (a, b) = (text(|two| &two.0), text(|two| &two.1));
            prop_assume!(a != b);
            prop_assert_ne!(visible(&a), visible(&b));
        }

        #[test]
        fn moving_a_hidden_character_changes_what_is_seen(text in "[a \\^\\[<U+>→]{1,8}", hidden in "[\t\r\x1b\u{200b}]", i in 0usize..9, j in 0usize..9) {
            let chars: Vec<char> = text.chars().collect();
            let put = |at: usize| {
                let (left, right) = chars.split_at(at.min(chars.len()));
                left.iter().collect::<String>() + &hidden + &right.iter().collect::<String>()
            };
            prop_assume!(put(i) != put(j));
            let (a, b) = (put(i), put(j));
            prop_assert_ne!(visible(&a), visible(&b));
        }
    }
}
