//! What a reviewer can find fault with, and the short true sentence that says so.

use super::pattern::{fill, with_article};

/// One fault of an answer. Each holds what its sentence needs, so that the sentence can be checked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issue {
    /// Nothing in the answer belongs to the task.
    OffTask,
    /// The named thing is not of the kind asked for.
    NotA {
        item: &'static str,
        kind: String,
    },
    /// The named thing is of another kind than the answer says.
    IsA {
        item: &'static str,
        kind: &'static str,
    },
    ListsOnly {
        found: &'static str,
        wanted: &'static str,
    },
    ListsMore {
        wanted: &'static str,
    },
    Bigger {
        bigger: &'static str,
        smaller: &'static str,
    },
    Missing {
        word: &'static str,
    },
    NotInTask {
        word: &'static str,
    },
    WrongName {
        name: &'static str,
    },
    WrongTone {
        tone: &'static str,
    },
    NoEvent,
    NoWish,
    UnfitWish,
    WrongTopic {
        topic: &'static str,
    },
    WrongMood {
        topic: &'static str,
        mood: &'static str,
    },
    NotTwoLines,
    NoRhyme {
        first: &'static str,
        second: &'static str,
    },
    SameEnd {
        word: &'static str,
    },
    NoKnownRhyme,
    Opposite {
        word: &'static str,
        opposite: &'static str,
    },
    /// A fact about the described thing that the answer lacks or contradicts: `is yellow`, `tastes sour`.
    Fact {
        item: &'static str,
        fact: String,
    },
    Repeats,
    IllFormed,
    NeedlessWords,
}

/// What the rationale says when there is nothing to find.
pub const FLAWLESS: &str = "complete , correct and clear .";

/// Every sentence of a rationale, with slots. The order is that of `Issue`.
pub(super) const SENTENCES: [&str; 25] = [
    "this does not answer the task .",
    "{item} is not {kind} .",
    "{item} is {kind} .",
    "it lists only {found} of {wanted} .",
    "it lists none of {wanted} .",
    "it lists more than {wanted} .",
    "{bigger} is bigger than {smaller} .",
    "{word} is missing .",
    "{word} is not in the task .",
    "the name is {name} .",
    "the tone should be {tone} .",
    "it misses the event .",
    "it misses the wish .",
    "the wish does not fit .",
    "the topic is the {topic} .",
    "the {topic} should be {mood} .",
    "it needs two lines .",
    "{first} and {second} do not rhyme .",
    "both lines end on {word} .",
    "the lines do not rhyme .",
    "the opposite of {word} is {opposite} .",
    "{item} {fact} .",
    "it repeats itself .",
    "it is not well formed .",
    "it adds needless words .",
];

impl Issue {
    /// The sentence, canonical.
    pub(super) fn sentence(&self) -> String {
        let of = |index: usize, values: &[&str]| fill(SENTENCES[index], values);
        match self {
            Self::OffTask => of(0, &[]),
            Self::NotA { item, kind } => of(1, &[item, &with_article(kind)]),
            Self::IsA { item, kind } => of(2, &[item, &with_article(kind)]),
            Self::ListsOnly { found: "none", wanted } => of(4, &[wanted]),
            Self::ListsOnly { found, wanted } => of(3, &[found, wanted]),
            Self::ListsMore { wanted } => of(5, &[wanted]),
            Self::Bigger { bigger, smaller } => of(6, &[&with_article(bigger), &with_article(smaller)]),
            Self::Missing { word } => of(7, &[word]),
            Self::NotInTask { word } => of(8, &[word]),
            Self::WrongName { name } => of(9, &[name]),
            Self::WrongTone { tone } => of(10, &[tone]),
            Self::NoEvent => of(11, &[]),
            Self::NoWish => of(12, &[]),
            Self::UnfitWish => of(13, &[]),
            Self::WrongTopic { topic } => of(14, &[topic]),
            Self::WrongMood { topic, mood } => of(15, &[topic, mood]),
            Self::NotTwoLines => of(16, &[]),
            Self::NoRhyme { first, second } => of(17, &[first, second]),
            Self::SameEnd { word } => of(18, &[word]),
            Self::NoKnownRhyme => of(19, &[]),
            Self::Opposite { word, opposite } => of(20, &[word, opposite]),
            Self::Fact { item, fact } => of(21, &[&with_article(item), fact]),
            Self::Repeats => of(22, &[]),
            Self::IllFormed => of(23, &[]),
            Self::NeedlessWords => of(24, &[]),
        }
    }
}
