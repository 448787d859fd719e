//! Needless words: the polite noise that people put around a right answer, and how to take it away again.

use super::draws::{chance, one_of};
use super::spoken::is_word;
use crate::recipe::seeds::Stream;

/// Said before an answer.
pub(super) const PREFIXES: [&str; 2] = ["well , i think that maybe", "as far as i know ,"];

/// Said after it.
pub(super) const SUFFIXES: [&str; 4] = [
    "and so on and so on .",
    "i hope this helps you a lot .",
    "that is all i know about it .",
    "thank you very much for asking .",
];

/// The answer with one needless phrase around it.
pub(super) fn add(answer: &str, stream: &mut Stream) -> String {
    if chance(stream, 0.4) {
        format!("{} {answer}", one_of(stream, &PREFIXES))
    } else {
        format!("{answer} {}", one_of(stream, &SUFFIXES))
    }
}

/// The tokens without needless phrases, and whether there were any.
///
/// A phrase is known by its words, so that one whose punctuation is lost is found too; its own closing mark goes with it.
pub(super) fn without<'t>(tokens: &[&'t str]) -> (Vec<&'t str>, bool) {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut found = false;
    let mut at = 0;
    while at < tokens.len() {
        let end = PREFIXES.iter().chain(&SUFFIXES).find_map(|phrase| ends_at(phrase, &tokens[at..]));
        match end {
            Some(length) => {
                found = true;
                at += length;
            }
            None => {
                kept.push(tokens[at]);
                at += 1;
            }
        }
    }
    (kept, found)
}

/// How many tokens the phrase takes if it stands right here.
fn ends_at(phrase: &str, tokens: &[&str]) -> Option<usize> {
    let mut at = 0;
    for wanted in phrase.split(' ') {
        if is_word(wanted) {
            if tokens.get(at) != Some(&wanted) {
                return None;
            }
            at += 1;
        } else if tokens.get(at) == Some(&wanted) {
            at += 1;
        }
    }
    Some(at)
}
