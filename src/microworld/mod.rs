//! The microworld: a small seeded world of tasks in plain English, with an oracle that knows what every answer is worth.
//!
//! The embedded Llama is pretrained on it, improves itself in it, and is measured by its oracle; `rehearsal` borrows its
//! sentences. The world is pure: no files, no clock, no tensors. It refuses to know how a run works, how a judge is
//! prompted or how tokens are numbered.
//!
//! In reading order: `words` (what exists), `spoken` (ordinary text and canonical tokens), `pattern` (sentences with
//! slots), `families` (the tasks), `answers` and `fillers` (how people answer), `oracle` and `issues` (what it is worth
//! and why), `corpus` (documents and seed data), `actors` (answers and critiques of a chosen quality),
//! `vocabulary` and `tokenizer` (the words of the world, and a `tokenizer.json` for them).

pub mod actors;
mod answers;
pub mod corpus;
mod draws;
mod families;
mod fillers;
mod issues;
pub mod oracle;
mod pattern;
pub mod spoken;
pub mod tokenizer;
mod vocabulary;
mod words;

use std::collections::BTreeSet;

use crate::recipe::seeds::{Seed, Stream};

pub use answers::{Kind, Mix};
pub use families::{FAMILIES, Prompt, Task};
pub use issues::Issue;
pub use oracle::{Grade, Points};
pub use vocabulary::vocabulary;
pub use words::{Category, Group, ITEMS, Item};

/// How many prompt texts each family holds out, in the order of `FAMILIES`. Families with few prompts hold out fewer.
const HELD_OUT: [usize; 8] = [36, 64, 48, 64, 40, 36, 64, 44];

/// A world: its seed, and the prompts that no training text of it ever shows.
#[derive(Clone, Debug)]
pub struct World {
    seed: Seed,
    /// Half of the held-out prompts, for evaluating answers.
    instructions: Vec<Prompt>,
    /// The other half, for evaluating the judge.
    judged: Vec<Prompt>,
    held_out: BTreeSet<String>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let seed = Seed::root(seed).named("world");
        let mut held_out = BTreeSet::new();
        let (mut instructions, mut judged) = (Vec::new(), Vec::new());
        for (family, &count) in HELD_OUT.iter().enumerate() {
            let mut stream = seed.named("held out").sample(family as u32).stream();
            let mut found = 0;
            while found < count {
                let prompt = Prompt::invent(family, &mut stream);
                if held_out.insert(prompt.canonical()) {
                    if found % 2 == 0 { &mut instructions } else { &mut judged }.push(prompt);
                    found += 1;
                }
            }
        }
        // Mixed, so that the first hundred are a fair sample of all families.
        seed.named("held-out instructions").stream().shuffle(&mut instructions);
        seed.named("held-out judged").stream().shuffle(&mut judged);
        Self { seed, instructions, judged, held_out }
    }

    /// The stream of this world for one purpose and number. All chance in a world comes from such streams, so more draws
    /// for one purpose never shift another.
    pub fn stream(&self, purpose: &str, index: u32) -> Stream {
        self.seed.named(purpose).sample(index).stream()
    }

    /// A prompt for training: never a held-out one. All families are equally frequent.
    pub fn prompt(&self, stream: &mut Stream) -> Prompt {
        let family = stream.below(FAMILIES.len());
        loop {
            let prompt = Prompt::invent(family, stream);
            if !self.held_out.contains(&prompt.canonical()) {
                return prompt;
            }
        }
    }

    /// An answer of this kind in ordinary text.
    pub fn answer(&self, prompt: &Prompt, kind: Kind, stream: &mut Stream) -> String {
        answers::answer(prompt, kind, stream, |stream| self.prompt(stream))
    }

    /// An answer whose kind is drawn from a mix.
    pub fn mixed_answer(&self, prompt: &Prompt, mix: &Mix, stream: &mut Stream) -> String {
        let kind = answers::kind_of(mix, stream);
        self.answer(prompt, kind, stream)
    }

    /// Whether this text is a held-out prompt, capitals and spacing aside.
    pub fn holds_out(&self, prompt: &str) -> bool {
        self.held_out.contains(&spoken::tokens(prompt))
    }
}
