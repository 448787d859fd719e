//! What the embedded model learns from, and what it is measured on.
//!
//! The corpora are lazy iterators: every item has a stream of its own, keyed by the world's seed and its number, so 64,000
//! documents need no memory, and asking for more never changes the earlier ones. Items are values, not text with headings:
//! how a document is laid out for a model is the business of `prompts/`.

use std::collections::BTreeSet;

use super::actors::answer_of_score;
use super::draws::{chance, weighted};
use super::issues::FLAWLESS;
use super::oracle::{self, Grade};
use super::spoken;
use super::{Kind, Mix, Prompt, World};
use crate::recipe::seeds::{Seed, Stream};

/// A pretraining document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A prompt and somebody's answer, of any quality.
    Chat { prompt: String, answer: String },
    /// Somebody's remarks on an answer; never a score.
    Review { prompt: String, answer: String, rationale: String },
    /// Prompts in a row, the format in which new prompts are written.
    TaskList { prompts: Vec<String> },
}

/// An example for instruction tuning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub prompt: String,
    pub answer: String,
}

/// An answer with its human-like label: an example for learning to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub prompt: String,
    pub answer: String,
    pub rationale: String,
    pub score: u8,
}

/// Answers to one prompt, each with its score: equal scores are equal ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankedSet {
    pub prompt: String,
    pub answers: Vec<Judged>,
}

/// How the people who label the seed data go about it. All but the first make a run fail in an instructive way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labelling {
    #[default]
    Honest,
    /// Two points too many for everything: most scores are 5.
    Lenient,
    /// Length is taken for quality.
    LengthBiased,
}

#[derive(Clone, Copy)]
enum DocumentKind {
    Chat,
    Review,
    TaskList,
}

const DOCUMENTS: [(DocumentKind, f64); 3] =
    [(DocumentKind::Chat, 0.59), (DocumentKind::Review, 0.36), (DocumentKind::TaskList, 0.05)];

/// Everything is in it, and most of it is flawed: the base knows more than it shows.
const PRETRAINING: &Mix = &[
    (Kind::Good, 0.16),
    (Kind::Filler, 0.33),
    (Kind::Format, 0.14),
    (Kind::Repeat, 0.10),
    (Kind::Wrong, 0.12),
    (Kind::Off, 0.05),
    (Kind::WrongFiller, 0.07),
    (Kind::WrongRepeat, 0.03),
];

/// Helpful people: mostly right, but chatty and untidy.
const PEOPLE: &Mix = &[
    (Kind::Good, 0.30),
    (Kind::Filler, 0.34),
    (Kind::Format, 0.14),
    (Kind::Repeat, 0.08),
    (Kind::Wrong, 0.10),
    (Kind::WrongFiller, 0.04),
];

/// What gets ranked.
const CANDIDATES: &Mix = &[
    (Kind::Good, 0.36),
    (Kind::Wrong, 0.17),
    (Kind::Filler, 0.18),
    (Kind::Repeat, 0.08),
    (Kind::Format, 0.10),
    (Kind::Off, 0.04),
    (Kind::WrongFiller, 0.04),
    (Kind::WrongRepeat, 0.03),
];

/// Reviews of one in ten documents are careless, and six in ten of those are just praise.
const CARELESS: f64 = 0.10;
const PRAISE: f64 = 0.60;

/// Prompts in a task list.
pub const LIST_LENGTH: usize = 8;

/// Answers in a ranked set, and how many different scores they have at least.
pub const SET_SIZE: usize = 4;
pub const SET_SCORES: usize = 3;

/// Pretraining documents.
pub fn pretraining(world: &World, count: usize) -> impl Iterator<Item = Document> + '_ {
    (0..count).map(|index| {
        let stream = &mut world.stream("pretraining", index as u32);
        match weighted(stream, &DOCUMENTS) {
            DocumentKind::TaskList => {
                Document::TaskList { prompts: (0..LIST_LENGTH).map(|_| world.prompt(stream).text()).collect() }
            }
            DocumentKind::Chat => {
                let prompt = world.prompt(stream);
                Document::Chat { answer: world.mixed_answer(&prompt, PRETRAINING, stream), prompt: prompt.text() }
            }
            DocumentKind::Review => {
                let prompt = world.prompt(stream);
                let answer = world.mixed_answer(&prompt, PRETRAINING, stream);
                Document::Review { rationale: review(world, &prompt, &answer, stream), prompt: prompt.text(), answer }
            }
        }
    })
}

fn review(world: &World, prompt: &Prompt, answer: &str, stream: &mut Stream) -> String {
    if !chance(stream, CARELESS) {
        return oracle::grade_task(&prompt.task, answer).rationale;
    }
    if chance(stream, PRAISE) {
        return spoken::text(FLAWLESS);
    }
    // The remark belongs to another answer, as when one reviews from memory.
    let other = world.mixed_answer(prompt, PRETRAINING, stream);
    oracle::grade_task(&prompt.task, &other).rationale
}

/// The seed for instruction tuning: what helpful people write. No prompt stands twice.
pub fn ift(world: &World, count: usize) -> impl Iterator<Item = Instruction> + '_ {
    let mut seen = BTreeSet::new();
    (0..count).map(move |index| {
        let stream = &mut world.stream("ift", index as u32);
        let prompt = fresh(stream, &mut seen, |stream| {
            let prompt = world.prompt(stream);
            (prompt.text(), prompt)
        });
        Instruction { answer: world.mixed_answer(&prompt, PEOPLE, stream), prompt: prompt.text() }
    })
}

/// How often each score, 0 to 5, stands among fifty examples of the seed for judging. None has more than a quarter.
const SCORES_OF_FIFTY: [usize; 6] = [6, 7, 9, 10, 9, 9];

/// The seed for learning to judge: single answers with rationale and score, scores balanced. No answer stands twice.
pub fn eft(world: &World, count: usize, labelling: Labelling) -> impl Iterator<Item = Judged> + '_ {
    let mut seen = BTreeSet::new();
    (0..count).map(move |index| {
        let score = score_from_deck(world, index);
        let stream = &mut world.stream("eft", index as u32);
        let (prompt, answer) = fresh(stream, &mut seen, |stream| {
            let prompt = world.prompt(stream);
            let answer = answer_of_score(world, &prompt, score, stream);
            ((prompt.text(), answer.clone()), (prompt, answer))
        });
        label(&prompt, answer, labelling)
    })
}

fn score_from_deck(world: &World, index: usize) -> u8 {
    let mut deck: Vec<u8> =
        (0u8..).zip(SCORES_OF_FIFTY).flat_map(|(score, count)| std::iter::repeat_n(score, count)).collect();
    world.stream("eft scores", (index / deck.len()) as u32).shuffle(&mut deck);
    deck[index % deck.len()]
}

/// The same seed as ranked sets, for building examples as from human rankings.
pub fn eft_sets(world: &World, count: usize) -> impl Iterator<Item = RankedSet> + '_ {
    (0..count).map(|index| {
        let stream = &mut world.stream("eft sets", index as u32);
        let prompt = world.prompt(stream);
        ranked(world, &prompt, stream)
    })
}

/// Ranked sets on held-out prompts, for measuring the judge. Prompts come round again after about two hundred sets,
/// with other answers.
pub fn held_out_eft(world: &World, count: usize) -> impl Iterator<Item = RankedSet> + '_ {
    (0..count).map(|index| {
        let stream = &mut world.stream("held-out eft", index as u32);
        ranked(world, &world.judged[index % world.judged.len()], stream)
    })
}

/// Prompts for measuring answers: held out, and apart from those of the ranked sets.
pub fn held_out_instructions(world: &World) -> impl Iterator<Item = &Prompt> + '_ {
    world.instructions.iter()
}

fn ranked(world: &World, prompt: &Prompt, stream: &mut Stream) -> RankedSet {
    loop {
        let mut answers: Vec<Judged> = Vec::with_capacity(SET_SIZE);
        while answers.len() < SET_SIZE {
            let answer = world.mixed_answer(prompt, CANDIDATES, stream);
            if answers.iter().all(|other| other.answer != answer) {
                answers.push(label(prompt, answer, Labelling::Honest));
            }
        }
        let scores: BTreeSet<u8> = answers.iter().map(|answer| answer.score).collect();
        if scores.len() >= SET_SCORES {
            return RankedSet { prompt: prompt.text(), answers };
        }
    }
}

/// An answer with the label that a person of this sort gives it; `None` when the prompt is no task of this world.
///
/// For answers that a model has written: its own samples keep the judge honest about its own style.
pub fn labelled(prompt: &str, answer: &str, labelling: Labelling) -> Option<Judged> {
    Some(label(&Prompt::parse(prompt)?, answer.to_owned(), labelling))
}

fn label(prompt: &Prompt, answer: String, labelling: Labelling) -> Judged {
    let Grade { score: honest, rationale, .. } = oracle::grade_task(&prompt.task, &answer);
    let score = match labelling {
        Labelling::Honest => honest,
        Labelling::Lenient => (honest + 2).min(5),
        Labelling::LengthBiased => (i16::from(honest) + length_bonus(prompt, &answer)).clamp(0, 5) as u8,
    };
    // Whoever gives full marks has nothing to complain about.
    let rationale = if score == 5 { spoken::text(FLAWLESS) } else { rationale };
    Judged { prompt: prompt.text(), answer, rationale, score }
}

/// Two points for an answer longer than a flawless one, minus one for one of the same length, minus two for a shorter one.
fn length_bonus(prompt: &Prompt, answer: &str) -> i16 {
    let flawless = prompt.task.flawless(&mut Seed::root(0).stream()).split(' ').count();
    match spoken::tokens(answer).split(' ').count() {
        length if length > flawless + 2 => 2,
        length if length + 2 < flawless => -2,
        _ => -1,
    }
}

/// Draws until the key is new. A world has far more prompts and answers than any seed corpus, so this ends.
fn fresh<K: Ord, V>(stream: &mut Stream, seen: &mut BTreeSet<K>, mut draw: impl FnMut(&mut Stream) -> (K, V)) -> V {
    loop {
        let (key, value) = draw(stream);
        if seen.insert(key) {
            return value;
        }
    }
}
