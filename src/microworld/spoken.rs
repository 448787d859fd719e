//! Ordinary English text to canonical tokens and back: two pure functions, each the inverse of the other.
//!
//! Everything that leaves or enters the world is ordinary text (`Dear Anna, I am sorry that you lost your keys.`); inside,
//! the world works on canonical tokens: lower-case words and single punctuation marks, written with one space between
//! them (`dear anna , i am sorry that you lost your keys .`). A word-level tokenizer with a vocabulary of a few hundred
//! words therefore suffices for ordinary text, because capitals and spacing carry no information:
//!
//! * `tokens(&text(&t)) == t` for every sequence `t` of canonical tokens, sensible or not, so what a model sampled
//!   survives printing and reading;
//! * `text(&tokens(s)) == s` for every prompt, answer and rationale that the world makes.
//!
//! `tokenizer` states the same two maps as a `tokenizer.json`.
//! Foreign text loses capitals, runs of spaces and its slashes; that is the price, and it concerns no text of this world.

/// The token that stands for a line break.
pub const LINE_BREAK: &str = "/";

/// The people of this world: the first five are `her`, the others `his`.
pub const NAMES: [&str; 10] = ["anna", "maria", "emma", "lucy", "nina", "tom", "peter", "omar", "leo", "jack"];

pub(super) const MARKS: [&str; 5] = [".", ",", ":", "?", "!"];

pub(super) fn is_mark(token: &str) -> bool {
    MARKS.contains(&token)
}

/// Neither a punctuation mark nor a line break.
pub(super) fn is_word(token: &str) -> bool {
    !is_mark(token) && token != LINE_BREAK
}

/// The canonical tokens of any text, one space between them.
pub fn tokens(text: &str) -> String {
    let mut canonical = String::with_capacity(text.len() + 16);
    // Whether the next character belongs to another token than the last one.
    let mut apart = false;
    for character in text.chars() {
        let mark = matches!(character, '\n' | '/' | '.' | ',' | ':' | '?' | '!');
        if !mark && character.is_whitespace() {
            apart = true;
            continue;
        }
        if (apart || mark) && !canonical.is_empty() {
            canonical.push(' ');
        }
        apart = mark;
        match character {
            '\n' => canonical.push_str(LINE_BREAK),
            'A'..='Z' => canonical.push(character.to_ascii_lowercase()),
            '\0'..='\x7f' => canonical.push(character),
            other => canonical.extend(other.to_lowercase()),
        }
    }
    canonical
}

/// Ordinary text from canonical tokens.
pub fn text(canonical: &str) -> String {
    let mut printed = String::with_capacity(canonical.len());
    let mut starts = true;
    for token in canonical.split_whitespace() {
        if token == LINE_BREAK {
            printed.push('\n');
            starts = true;
            continue;
        }
        if is_mark(token) {
            printed.push_str(token);
            starts = matches!(token, "." | "?" | "!");
            continue;
        }
        if !printed.is_empty() && !printed.ends_with('\n') {
            printed.push(' ');
        }
        if starts || token == "i" || NAMES.contains(&token) {
            let mut letters = token.chars();
            printed.extend(letters.next().into_iter().flat_map(char::to_uppercase));
            printed.push_str(letters.as_str());
        } else {
            printed.push_str(token);
        }
        // A dash begins an item of a list, and an item begins like a sentence.
        starts = token == "-";
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_and_canonical_tokens_are_two_forms_of_one_thing() {
        for (spoken, canonical) in [
            (
                "Dear Anna, I am sorry that you lost your keys. I hope you find them soon.",
                "dear anna , i am sorry that you lost your keys . i hope you find them soon .",
            ),
            ("Which word is the fruit: pear, bus, cow?", "which word is the fruit : pear , bus , cow ?"),
            ("The old moon is never far away,\nIt sings.", "the old moon is never far away , / it sings ."),
            ("Review: complete, correct and clear. Score: 5", "review : complete , correct and clear . score : 5"),
            ("\n\nTom", "/ / tom"),
            (",, a", ", , a"),
            ("So! And on? On.", "so ! and on ? on ."),
            ("New tasks:\n- What is a lemon?\n- Name two", "new tasks : / - what is a lemon ? / - name two"),
            ("", ""),
        ] {
            assert_eq!(tokens(spoken), canonical);
            assert_eq!(text(canonical), spoken);
        }
    }

    #[test]
    fn untidy_text_has_tidy_tokens() {
        for (untidy, canonical) in
            [("  A\u{a0}b\t.C \r\n ", "a b . c /"), (" \t ", ""), ("ÉTÉ İ/ß!!", "été i\u{307} / ß ! !")]
        {
            assert_eq!(tokens(untidy), canonical);
        }
    }
}
