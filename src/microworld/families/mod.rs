//! The eight task families and what they share: a prompt is a task in one of its wordings.
//!
//! A family states its prompts and its flawless answer as patterns, invents tasks, makes plausible slips, and marks an
//! answer. It does not know scores: the oracle turns marks into a grade.

pub(super) mod compare;
pub(super) mod describe;
mod list;
pub(super) mod opposite;
pub(super) mod pick;
pub(super) mod reply;
pub(super) mod rhyme;
mod sort;

pub use compare::Compare;
pub use describe::Describe;
pub use list::List;
pub use opposite::Opposite;
pub use pick::Pick;
pub use reply::Reply;
pub use rhyme::Rhyme;
pub use sort::Sort;

use super::draws::one_of;
use super::issues::Issue;
use super::pattern::{fill, scan};
use super::spoken;
use crate::recipe::seeds::Stream;

/// What a family finds in an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    /// Something in the answer belongs to the task.
    pub relevant: bool,
    /// The parts that the task asks for, and whether the answer has them.
    pub elements: Vec<bool>,
    /// The answer says something that is not so, or that nobody asked for.
    pub wrong: bool,
    /// The same content stands twice, apart from each other (adjacent repetitions are found for all families alike).
    pub repeated: bool,
    /// The answer has exactly the shape of a flawless one, whatever its content.
    pub well_formed: bool,
    /// Faults of content, the gravest first.
    pub issues: Vec<Issue>,
}

pub(super) trait Family: Sized {
    /// Prompts as patterns; all have the same slots in the same order.
    const WORDINGS: &'static [&'static str];

    fn invent(stream: &mut Stream) -> Self;
    /// The values of the prompt's slots.
    fn slots(&self) -> Vec<String>;
    /// The task behind such values, if there is one.
    fn read(slots: &[&str]) -> Option<Self>;
    fn flawless(&self, stream: &mut Stream) -> String;
    /// An answer with this many plausible slips of content, at least one, otherwise flawless.
    fn slipped(&self, slips: usize, stream: &mut Stream) -> String;
    /// Marks for an answer whose fillers and adjacent repetitions are gone. Takes any tokens.
    fn mark(&self, tokens: &[&str]) -> Marks;
}

/// A task of one of the families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    List(List),
    Pick(Pick),
    Compare(Compare),
    Sort(Sort),
    Reply(Reply),
    Rhyme(Rhyme),
    Opposite(Opposite),
    Describe(Describe),
}

/// Calls the same thing on whichever task it is.
macro_rules! on_task {
    ($task:expr, $inner:ident => $call:expr) => {
        match $task {
            Task::List($inner) => $call,
            Task::Pick($inner) => $call,
            Task::Compare($inner) => $call,
            Task::Sort($inner) => $call,
            Task::Reply($inner) => $call,
            Task::Rhyme($inner) => $call,
            Task::Opposite($inner) => $call,
            Task::Describe($inner) => $call,
        }
    };
}

fn wordings_of<F: Family>(_: &F) -> &'static [&'static str] {
    F::WORDINGS
}

/// The names of the families, in the order in which everything else lists them.
pub const FAMILIES: [&str; 8] = ["list", "pick", "compare", "sort", "reply", "rhyme", "opposite", "describe"];

/// All prompts as patterns, family by family.
pub(super) fn wordings() -> [&'static [&'static str]; 8] {
    [
        List::WORDINGS,
        Pick::WORDINGS,
        Compare::WORDINGS,
        Sort::WORDINGS,
        Reply::WORDINGS,
        Rhyme::WORDINGS,
        Opposite::WORDINGS,
        Describe::WORDINGS,
    ]
}

impl Task {
    /// The index of its family in `FAMILIES`.
    pub fn family(&self) -> usize {
        match self {
            Self::List(_) => 0,
            Self::Pick(_) => 1,
            Self::Compare(_) => 2,
            Self::Sort(_) => 3,
            Self::Reply(_) => 4,
            Self::Rhyme(_) => 5,
            Self::Opposite(_) => 6,
            Self::Describe(_) => 7,
        }
    }

    fn invent(family: usize, stream: &mut Stream) -> Self {
        match family % FAMILIES.len() {
            0 => Self::List(List::invent(stream)),
            1 => Self::Pick(Pick::invent(stream)),
            2 => Self::Compare(Compare::invent(stream)),
            3 => Self::Sort(Sort::invent(stream)),
            4 => Self::Reply(Reply::invent(stream)),
            5 => Self::Rhyme(Rhyme::invent(stream)),
            6 => Self::Opposite(Opposite::invent(stream)),
            _ => Self::Describe(Describe::invent(stream)),
        }
    }

    pub(super) fn flawless(&self, stream: &mut Stream) -> String {
        on_task!(self, task => task.flawless(stream))
    }

    pub(super) fn slipped(&self, slips: usize, stream: &mut Stream) -> String {
        on_task!(self, task => task.slipped(slips.max(1), stream))
    }

    pub(super) fn mark(&self, tokens: &[&str]) -> Marks {
        on_task!(self, task => task.mark(tokens))
    }
}

/// A task in one of its wordings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub task: Task,
    wording: usize,
}

impl Prompt {
    /// A prompt of this family, by its index in `FAMILIES`.
    pub fn invent(family: usize, stream: &mut Stream) -> Self {
        let task = Task::invent(family, stream);
        let wording = stream.below(on_task!(&task, inner => wordings_of(inner)).len());
        Self { task, wording }
    }

    /// The prompt as a person reads it.
    pub fn text(&self) -> String {
        spoken::text(&self.canonical())
    }

    pub(super) fn canonical(&self) -> String {
        let slots = on_task!(&self.task, inner => inner.slots());
        let values: Vec<&str> = slots.iter().map(String::as_str).collect();
        fill(on_task!(&self.task, inner => wordings_of(inner))[self.wording], &values)
    }

    /// The exact inverse of `text`; capitals and spacing aside, anything else is no prompt of this world.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = spoken::tokens(text);
        parse_as(&canonical, Task::List)
            .or_else(|| parse_as(&canonical, Task::Pick))
            .or_else(|| parse_as(&canonical, Task::Compare))
            .or_else(|| parse_as(&canonical, Task::Sort))
            .or_else(|| parse_as(&canonical, Task::Reply))
            .or_else(|| parse_as(&canonical, Task::Rhyme))
            .or_else(|| parse_as(&canonical, Task::Opposite))
            .or_else(|| parse_as(&canonical, Task::Describe))
    }
}

fn parse_as<F: Family>(canonical: &str, task: fn(F) -> Task) -> Option<Prompt> {
    F::WORDINGS.iter().enumerate().find_map(|(wording, pattern)| {
        let found = F::read(&scan(pattern, canonical)?)?;
        let prompt = Prompt { task: task(found), wording };
        // A scan is greedy in its own way; filling again makes the parser exact whatever the slots hold.
        (prompt.canonical() == canonical).then_some(prompt)
    })
}

/// `count` different numbers below `n`, in random order: which parts of an answer go wrong.
fn some_of(n: usize, count: usize, stream: &mut Stream) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    stream.shuffle(&mut all);
    all.truncate(count);
    all
}

/// One of `choices` other than `but`; `but` itself if there is no other.
fn other_than<T: PartialEq + Copy>(choices: &[T], but: T, stream: &mut Stream) -> T {
    let others: Vec<T> = choices.iter().copied().filter(|choice| *choice != but).collect();
    if others.is_empty() { but } else { *one_of(stream, &others) }
}
