//! Sentences with slots: filling them, and reading them back.
//!
//! Patterns are canonical (see `spoken`) and name their slots in braces: `find the {category} : {words} .` Every family
//! states its prompts and its flawless answer as patterns, so that writing and parsing cannot drift apart.

/// The pattern with its slots filled in order.
pub(super) fn fill(pattern: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let mut filled = String::new();
    for part in parts(pattern) {
        match part {
            Part::Literal(literal) => filled.push_str(literal),
            Part::Slot => filled.push_str(values.next().copied().unwrap_or_default()),
        }
    }
    filled
}

/// The values that fill the pattern to this text. A slot takes the least that fits, and never nothing.
///
/// Slots may hold what the next literal repeats; a caller that needs an exact inverse fills again and compares.
pub(super) fn scan<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
    // Nearly every pattern that is tried does not fit, and most of those show it in their first words.
    let opening = pattern.find('{').map_or(pattern, |slot| &pattern[..slot]);
    if !text.starts_with(opening) {
        return None;
    }
    let mut values = Vec::new();
    let mut rest = text;
    let mut slot_open = false;
    let all: Vec<Part<'_>> = parts(pattern).collect();
    for (index, part) in all.iter().enumerate() {
        let last = index + 1 == all.len();
        match part {
            Part::Slot => slot_open = true,
            Part::Literal(literal) if slot_open => {
                let at = if last { rest.len().checked_sub(literal.len())? } else { rest.find(literal)? };
                if rest.get(at..at + literal.len()) != Some(*literal) {
                    return None;
                }
                values.push(&rest[..at]);
                rest = &rest[at + literal.len()..];
                slot_open = false;
            }
            Part::Literal(literal) => rest = rest.strip_prefix(literal)?,
        }
    }
    if slot_open {
        values.push(rest);
        rest = "";
    }
    (rest.is_empty() && values.iter().all(|value| !value.is_empty())).then_some(values)
}

/// The words that a pattern itself brings.
pub(super) fn own_words(pattern: &str) -> impl Iterator<Item = &str> {
    parts(pattern)
        .filter_map(|part| match part {
            Part::Literal(literal) => Some(literal.split_whitespace()),
            Part::Slot => None,
        })
        .flatten()
}

enum Part<'p> {
    Literal(&'p str),
    Slot,
}

fn parts(pattern: &str) -> impl Iterator<Item = Part<'_>> {
    pattern.split_inclusive(['{', '}']).filter_map(|piece| match piece.as_bytes() {
        [b'{'] => None,
        [.., b'}'] => Some(Part::Slot),
        [.., b'{'] => Some(Part::Literal(&piece[..piece.len() - 1])),
        _ => Some(Part::Literal(piece)),
    })
}

pub(super) fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

pub(super) fn with_article(word: &str) -> String {
    format!("{} {word}", article(word))
}

/// The word after its right article; nothing if the article is missing or wrong.
pub(super) fn without_article(phrase: &str) -> Option<&str> {
    let (found, word) = phrase.split_once(' ')?;
    (found == article(word)).then_some(word)
}

/// `a , b , c`
pub(super) fn with_commas(words: &[&str]) -> String {
    words.join(" , ")
}

/// `a , b and c`
pub(super) fn with_and(words: &[&str]) -> String {
    match words {
        [init @ .., last] if !init.is_empty() => format!("{} and {last}", with_commas(init)),
        _ => words.concat(),
    }
}

pub(super) fn contains_phrase(tokens: &[&str], phrase: &str) -> bool {
    let words: Vec<&str> = phrase.split_whitespace().collect();
    !words.is_empty() && tokens.windows(words.len()).any(|window| window == words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reads_back_what_filled_it() {
        for (pattern, values) in [
            ("find the {category} : {words} .", vec!["fruit", "pear , bus"]),
            ("{word} is a {category} .", vec!["pear", "fruit"]),
            ("the {a} {noun} is {b}", vec!["big", "cow", "sad"]),
        ] {
            let text = fill(pattern, &values);
            assert_eq!(scan(pattern, &text), Some(values));
        }
        for broken in ["find the : pear .", "find the fruit : .", "find the fruit : pear", "", "."] {
            assert_eq!(scan("find the {category} : {words} .", broken), None, "{broken}");
        }
    }

    #[test]
    fn lists_read_like_english() {
        assert_eq!(with_and(&["apple"]), "apple");
        assert_eq!(with_and(&["apple", "pear"]), "apple and pear");
        assert_eq!(with_and(&["apple", "pear", "lime"]), "apple , pear and lime");
        assert_eq!(without_article("an owl"), Some("owl"));
        assert_eq!(without_article("a owl"), None);
    }
}
