//! Every token that the world can utter, for a word-level tokenizer and for the test that it stays small.

use std::collections::BTreeSet;

use super::families::{self, compare, describe, opposite, pick, reply, rhyme};
use super::fillers::{PREFIXES, SUFFIXES};
use super::issues::{FLAWLESS, SENTENCES};
use super::pattern::own_words;
use super::spoken::{LINE_BREAK, NAMES};
use super::words::{CLAUSES, COLOURS, Category, ITEMS, NUMBERS, groups};

/// All canonical tokens of prompts, answers, rationales and scores, in alphabetical order.
///
/// The words of the judge's instructions and of document headings belong to whoever writes those texts.
pub fn vocabulary() -> Vec<String> {
    let mut words: BTreeSet<String> = BTreeSet::new();
    let mut add = |text: &str| words.extend(text.split_whitespace().map(str::to_owned));
    for pattern in families::wordings().into_iter().flatten().chain(&SENTENCES) {
        own_words(pattern).for_each(&mut add);
    }
    for pattern in [compare::ANSWER, describe::ANSWER, opposite::ANSWER, pick::ANSWER, reply::ANSWER, rhyme::ANSWER] {
        own_words(pattern).for_each(&mut add);
    }
    for item in &ITEMS {
        add(item.name);
    }
    for category in Category::ALL {
        add(category.word());
        add(category.plural());
    }
    groups().iter().for_each(|group| add(group.attribute));
    for text in COLOURS.iter().chain(&NUMBERS).chain(&NAMES).chain(&PREFIXES).chain(&SUFFIXES) {
        add(text);
    }
    CLAUSES.iter().for_each(|(_, clause)| add(clause));
    for event in &reply::EVENTS {
        own_words(event.what).for_each(&mut add);
        add(event.wish);
    }
    for text in reply::TONES.iter().chain(&rhyme::TOPICS).chain(&rhyme::MOODS).chain(opposite::OPPOSITES.as_flattened())
    {
        add(text);
    }
    for end in &rhyme::ENDS {
        add(end.first);
        add(end.second);
    }
    ["her", "his", "your", "a", "an", "and", "bigger", "0", "1", "2", "3", "4", "5", LINE_BREAK, FLAWLESS]
        .into_iter()
        .for_each(&mut add);
    words.into_iter().collect()
}
