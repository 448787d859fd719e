//! How people answer: flawlessly, wrongly, with needless words, twice, untidily, or beside the point.

use super::draws::{chance, one_of, weighted};
use super::families::{FAMILIES, Prompt};
use super::fillers;
use super::oracle;
use super::spoken::{self, LINE_BREAK, is_mark, is_word};
use crate::recipe::seeds::Stream;

/// What is the matter with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Good,
    /// One plausible slip of content, now and then two.
    Wrong,
    /// Right, with needless words before or after.
    Filler,
    /// Right, said twice or with a stutter.
    Repeat,
    /// Right, with its punctuation dropped or its last third cut.
    Format,
    /// A flawless answer to a prompt of another family.
    Off,
    WrongFiller,
    /// Wrong, and said twice.
    WrongRepeat,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Good,
        Self::Wrong,
        Self::Filler,
        Self::Repeat,
        Self::Format,
        Self::Off,
        Self::WrongFiller,
        Self::WrongRepeat,
    ];
}

/// Shares of kinds. They need not sum to one.
pub type Mix = [(Kind, f64)];

/// How often a wrong answer is wrong twice.
const SECOND_SLIP: f64 = 0.25;

/// An answer of this kind, in ordinary text. `elsewhere` gives prompts to answer when the answer is beside the point.
pub(super) fn answer(
    prompt: &Prompt,
    kind: Kind,
    stream: &mut Stream,
    elsewhere: impl FnMut(&mut Stream) -> Prompt,
) -> String {
    let slips = 1 + usize::from(chance(stream, SECOND_SLIP));
    let canonical = match kind {
        Kind::Good => prompt.task.flawless(stream),
        Kind::Wrong => prompt.task.slipped(slips, stream),
        Kind::Filler => fillers::add(&prompt.task.flawless(stream), stream),
        Kind::Repeat => repeated(&prompt.task.flawless(stream), stream),
        Kind::Format => untidy(&prompt.task.flawless(stream), stream),
        Kind::Off => beside_the_point(prompt, stream, elsewhere),
        Kind::WrongFiller => fillers::add(&prompt.task.slipped(slips, stream), stream),
        Kind::WrongRepeat => twice(&prompt.task.slipped(slips, stream)),
    };
    spoken::text(&canonical)
}

/// One kind of a mix.
pub(super) fn kind_of(mix: &Mix, stream: &mut Stream) -> Kind {
    weighted(stream, mix)
}

fn twice(answer: &str) -> String {
    format!("{answer} {answer}")
}

fn repeated(answer: &str, stream: &mut Stream) -> String {
    if chance(stream, 0.5) { twice(answer) } else { stuttered(answer, stream) }
}

/// A span of one to three tokens, the first a word, is said twice.
fn stuttered(answer: &str, stream: &mut Stream) -> String {
    let tokens: Vec<&str> = answer.split(' ').collect();
    let words: Vec<usize> = (0..tokens.len()).filter(|&at| is_word(tokens[at])).collect();
    let start = *one_of(stream, &words);
    let end = (start + 1 + stream.below(3)).min(tokens.len());
    let mut said = tokens[..end].to_vec();
    said.extend(&tokens[start..]);
    said.join(" ")
}

fn untidy(answer: &str, stream: &mut Stream) -> String {
    let tokens: Vec<&str> = answer.split(' ').collect();
    if chance(stream, 0.5) {
        // Line breaks stay: a person who drops punctuation still starts a new line.
        tokens.into_iter().filter(|token| !is_mark(token)).collect::<Vec<_>>().join(" ")
    } else {
        let mut kept = &tokens[..tokens.len() - (tokens.len() / 3).max(1)];
        while let [init @ .., LINE_BREAK] = kept {
            kept = init;
        }
        kept.join(" ")
    }
}

fn beside_the_point(prompt: &Prompt, stream: &mut Stream, mut elsewhere: impl FnMut(&mut Stream) -> Prompt) -> String {
    // An answer from elsewhere can touch this task by accident (a list of animals, a question about one of them);
    // a few fresh tries make that rare without making it impossible.
    let mut answer = String::new();
    for _ in 0..8 * FAMILIES.len() {
        let other = elsewhere(stream);
        if other.task.family() == prompt.task.family() {
            continue;
        }
        answer = other.task.flawless(stream);
        if oracle::grade_task(&prompt.task, &answer).score == 0 {
            break;
        }
    }
    answer
}
