//! `Write a two line rhyme about the old moon.` → `The old moon is slowly coming down,` / `It wears the morning like a crown.`

use super::{Family, Marks, other_than, some_of};
use crate::microworld::issues::Issue;
use crate::microworld::pattern::{fill, scan};
use crate::microworld::spoken::{LINE_BREAK, is_word};
use crate::recipe::seeds::Stream;

pub(in crate::microworld) const ANSWER: &str = "the {mood} {topic} {first} , / {second} .";

/// What is left of it for those who stop early.
const ONE_LINE: &str = "the {mood} {topic} {first} .";

pub(in crate::microworld) const TOPICS: [&str; 10] =
    ["rain", "snow", "sun", "moon", "tree", "cat", "dog", "bird", "star", "wind"];
pub(in crate::microworld) const MOODS: [&str; 6] = ["happy", "sad", "little", "big", "old", "quiet"];

/// A word to end on, with how a first and a second line get there. Three words in a row rhyme.
#[derive(Debug)]
pub(in crate::microworld) struct End {
    pub word: &'static str,
    pub first: &'static str,
    pub second: &'static str,
}

const fn end(word: &'static str, first: &'static str, second: &'static str) -> End {
    End { word, first, second }
}

const CLASS: usize = 3;

pub(in crate::microworld) const ENDS: [End; 18] = [
    end("street", "is dancing down the street", "it waits for me along the street"),
    end("feet", "is resting at my feet", "it comes to me on gentle feet"),
    end("sweet", "is singing low and sweet", "its gentle song is soft and sweet"),
    end("day", "is with us all the day", "i think of it the whole long day"),
    end("play", "is coming out to play", "we laugh and sing and play"),
    end("away", "is never far away", "i hope it will not go away"),
    end("night", "is singing through the night", "it comes to me at night"),
    end("light", "is waiting for the light", "it loves the early morning light"),
    end("sight", "is such a lovely sight", "i keep it always in my sight"),
    end("sky", "is looking at the sky", "it waits below the evening sky"),
    end("fly", "is dreaming it can fly", "i think that it will fly"),
    end("high", "is climbing very high", "it lifts my heart up high"),
    end("me", "is looking back at me", "it is a loving friend to me"),
    end("free", "is wild and warm and free", "my heart is always free"),
    end("sea", "is going to the sea", "it sings a song about the sea"),
    end("town", "is walking into town", "it is the finest in the town"),
    end("down", "is slowly coming down", "it never lets me down"),
    end("crown", "is wearing such a crown", "it wears the morning like a crown"),
];

/// Indices into `MOODS` and `TOPICS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rhyme {
    mood: usize,
    topic: usize,
}

impl Family for Rhyme {
    const WORDINGS: &'static [&'static str] =
        &["write a two line rhyme about the {mood} {topic} .", "please rhyme two lines about the {mood} {topic} ."];

    fn invent(stream: &mut Stream) -> Self {
        Self { mood: stream.below(MOODS.len()), topic: stream.below(TOPICS.len()) }
    }

    fn slots(&self) -> Vec<String> {
        vec![MOODS[self.mood].to_owned(), TOPICS[self.topic].to_owned()]
    }

    fn read(slots: &[&str]) -> Option<Self> {
        let &[mood, topic] = slots else { return None };
        Some(Self {
            mood: MOODS.iter().position(|known| *known == mood)?,
            topic: TOPICS.iter().position(|known| *known == topic)?,
        })
    }

    fn flawless(&self, stream: &mut Stream) -> String {
        let first = stream.below(ENDS.len());
        let second = rhyming(first, stream);
        write(MOODS[self.mood], TOPICS[self.topic], first, second)
    }

    fn slipped(&self, slips: usize, stream: &mut Stream) -> String {
        let (mut mood, mut topic) = (MOODS[self.mood], TOPICS[self.topic]);
        let first = stream.below(ENDS.len());
        let mut second = Some(rhyming(first, stream));
        for slip in some_of(3, slips, stream) {
            match slip {
                0 => mood = other_than(&MOODS, mood, stream),
                1 => topic = other_than(&TOPICS, topic, stream),
                // Mostly words that do not rhyme; now and then the same word twice, or no second line at all.
                _ => {
                    second = match stream.below(5) {
                        0 => None,
                        1 => Some(first),
                        _ => Some((first / CLASS * CLASS + CLASS + stream.below(ENDS.len() - CLASS)) % ENDS.len()),
                    }
                }
            }
        }
        match second {
            Some(second) => write(mood, topic, first, second),
            None => fill(ONE_LINE, &[mood, topic, ENDS[first].first]),
        }
    }

    fn mark(&self, tokens: &[&str]) -> Marks {
        let (mood, topic) = (MOODS[self.mood], TOPICS[self.topic]);
        let right_mood = tokens.contains(&mood);
        let right_topic = tokens.contains(&topic);
        let other_mood = MOODS.iter().any(|other| *other != mood && tokens.contains(other));
        let other_topic = TOPICS.iter().any(|other| *other != topic && tokens.contains(other));
        let lines: Vec<&[&str]> = tokens.split(|token| *token == LINE_BREAK).collect();
        let two_lines = lines.len() == 2 && lines.iter().all(|line| line.iter().any(|token| is_word(token)));
        let mut issues = Vec::new();
        if !right_topic || other_topic {
            issues.push(Issue::WrongTopic { topic });
        }
        if !right_mood || other_mood {
            issues.push(Issue::WrongMood { topic, mood });
        }
        let fault = if two_lines { rhyme_fault(lines[0], lines[1]) } else { Some(Issue::NotTwoLines) };
        let rhymes = fault.is_none();
        issues.extend(fault);
        let text = tokens.join(" ");
        let shape = scan(ANSWER, &text);
        Marks {
            relevant: right_mood || right_topic,
            elements: vec![right_topic, right_mood, two_lines, rhymes],
            wrong: other_mood || other_topic,
            repeated: false,
            well_formed: shape.is_some_and(|slots| {
                MOODS.contains(&slots[0])
                    && TOPICS.contains(&slots[1])
                    && ENDS.iter().any(|end| end.first == slots[2])
                    && ENDS.iter().any(|end| end.second == slots[3])
            }),
            issues,
        }
    }
}

/// Another word of the same class.
fn rhyming(end: usize, stream: &mut Stream) -> usize {
    let class = end / CLASS * CLASS;
    class + (end - class + 1 + stream.below(CLASS - 1)) % CLASS
}

fn write(mood: &str, topic: &str, first: usize, second: usize) -> String {
    fill(ANSWER, &[mood, topic, ENDS[first].first, ENDS[second].second])
}

/// Where the line ends, as an index into `ENDS`.
fn line_end(line: &[&str]) -> Option<usize> {
    let last = line.iter().rev().find(|token| is_word(token))?;
    ENDS.iter().position(|end| end.word == *last)
}

fn rhyme_fault(first: &[&str], second: &[&str]) -> Option<Issue> {
    match (line_end(first), line_end(second)) {
        (Some(a), Some(b)) if a == b => Some(Issue::SameEnd { word: ENDS[a].word }),
        (Some(a), Some(b)) if a / CLASS == b / CLASS => None,
        (Some(a), Some(b)) => Some(Issue::NoRhyme { first: ENDS[a].word, second: ENDS[b].word }),
        _ => Some(Issue::NoKnownRhyme),
    }
}
