//! Which characters a reader cannot see: controls, format characters, tags, variation selectors, fillers.
//!
//! One definition for the journal (which escapes them) and the screen (which marks them). Knows nothing of either.

/// Inclusive ranges of characters that draw nothing or steer a terminal, in order.
/// Unicode's Cc, Cf, Zl and Zp, the tag and variation-selector blocks, and the letters that draw as blanks.
const RANGES: &[(u32, u32)] = &[
    (0x00, 0x1f),
    (0x7f, 0x9f),
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d159, 0x1d159),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

/// True for every character that a reader cannot see or that can steer a terminal. Newline and tab are among them.
pub fn is_invisible(c: char) -> bool {
    // Nearly all text is ASCII: decide it without a search.
    if c.is_ascii() {
        return c < ' ' || c == '\u{7f}';
    }
    let code = c as u32;
    let after = RANGES.partition_point(|&(first, _)| first <= code);
    after > 0 && code <= RANGES[after - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_in_order_and_do_not_touch() {
        assert!(RANGES.windows(2).all(|two| two[0].1 < two[1].0 && two[0].0 <= two[0].1));
    }

    #[test]
    fn what_hides_is_found_and_what_shows_is_not() {
        for hidden in
            ['\0', '\x1b', '\n', '\u{9b}', '\u{202e}', '\u{200d}', '\u{e0041}', '\u{fe0f}', '\u{2028}', '\u{feff}']
        {
            assert!(is_invisible(hidden), "{:x}", hidden as u32);
        }
        for shown in [' ', 'a', 'é', '漢', 'ش', '🦀', '~', '\u{301}'] {
            assert!(!is_invisible(shown), "{shown}");
        }
    }
}
