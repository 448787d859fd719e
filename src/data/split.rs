//! Which rows train and which are held out, decided by what they say; and whether two sets share prompts.
//!
//! Used by the engine before a run and by `check`. It knows no files and draws no random number: the side of a prompt depends on its
//! text, the seed and the share alone, so it stays the same when rows are added, removed, shuffled or copied to another machine.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, ensure};

use super::instructions::{Instruction, Prompt};
use super::rankings::RankedSet;
use super::turns::{Role, Turn};

/// What a row says, for comparison with others.
pub trait Content {
    /// The turns before the prompt, and the prompt. A system text does not make another question.
    fn question(&self) -> (&[Turn], &str);
    /// Everything a model could learn from the row, in a fixed order.
    fn learnt(&self) -> Vec<&str>;
}

impl Content for Instruction {
    fn question(&self) -> (&[Turn], &str) {
        (&self.context, &self.prompt)
    }
    fn learnt(&self) -> Vec<&str> {
        vec![self.system.as_deref().unwrap_or_default(), &self.response]
    }
}

impl Content for Prompt {
    fn question(&self) -> (&[Turn], &str) {
        (&self.context, &self.prompt)
    }
    fn learnt(&self) -> Vec<&str> {
        vec![self.system.as_deref().unwrap_or_default()]
    }
}

impl Content for RankedSet {
    fn question(&self) -> (&[Turn], &str) {
        (&self.context, &self.prompt)
    }
    fn learnt(&self) -> Vec<&str> {
        let mut texts: Vec<&str> = self.responses.iter().map(|response| response.text.as_str()).collect();
        texts.sort_unstable();
        texts.insert(0, self.system.as_deref().unwrap_or_default());
        texts
    }
}

/// Two sides of one set.
#[derive(Clone, Debug, PartialEq)]
pub struct Split<T> {
    pub train: Vec<T>,
    pub held_out: Vec<T>,
    /// Rows that repeat an earlier row in every text, byte for byte. They are kept, on the side of the first.
    pub exact_repeats: usize,
    /// Rows that ask what an earlier row asks (up to case and white space) and are no exact repeat. They stand on the same side too.
    pub repeated_questions: usize,
}

/// Splits rows by the hash of their question. `share` of all different questions is held out, up to chance.
pub fn split<T: Content>(rows: Vec<T>, share: f64, seed: u64) -> Result<Split<T>> {
    ensure!((0.0..=1.0).contains(&share), "the held-out share is {share}, where a number from 0 to 1 was expected");
    let mut found = Split { train: Vec::new(), held_out: Vec::new(), exact_repeats: 0, repeated_questions: 0 };
    let mut questions = HashSet::new();
    let mut wholes = HashSet::new();
    for row in rows {
        let question = question_key(&row);
        let first = questions.insert(question);
        if !wholes.insert(whole_key(&row)) {
            found.exact_repeats += 1;
        } else if !first {
            found.repeated_questions += 1;
        }
        if is_held_out(&question, share, seed) { found.held_out.push(row) } else { found.train.push(row) }
    }
    Ok(found)
}

/// A question that stands in both of two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Where it stands first in the one set, and first in the other.
    pub left: usize,
    pub right: usize,
}

/// The questions (up to case and white space) that two sets share, in the order of the left set. Training on one and measuring on the
/// other is honest only where this is empty.
pub fn overlap<A: Content, B: Content>(left: &[A], right: &[B]) -> Vec<Shared> {
    let mut on_the_right = HashMap::new();
    for (i, row) in right.iter().enumerate() {
        on_the_right.entry(question_key(row)).or_insert(i);
    }
    let mut seen = HashSet::new();
    let shared = |(i, row): (usize, &A)| {
        let key = question_key(row);
        let right = *on_the_right.get(&key)?;
        seen.insert(key).then_some(Shared { left: i, right })
    };
    left.iter().enumerate().filter_map(shared).collect()
}

/// Text as two people would call it the same: white space collapsed, case folded, nothing else touched.
pub fn normalised(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

type Key = [u8; 32];

fn question_key(row: &impl Content) -> Key {
    let (context, prompt) = row.question();
    let mut hasher = blake3::Hasher::new();
    for turn in context {
        add(&mut hasher, if turn.role == Role::User { "user" } else { "assistant" });
        add(&mut hasher, &normalised(&turn.text));
    }
    add(&mut hasher, &normalised(prompt));
    *hasher.finalize().as_bytes()
}

fn whole_key(row: &impl Content) -> Key {
    let (context, prompt) = row.question();
    let mut hasher = blake3::Hasher::new();
    for turn in context {
        add(&mut hasher, &turn.text);
    }
    add(&mut hasher, prompt);
    for text in row.learnt() {
        add(&mut hasher, text);
    }
    *hasher.finalize().as_bytes()
}

/// Each part with its length before it, so that no two lists of parts run together.
fn add(hasher: &mut blake3::Hasher, part: &str) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part.as_bytes());
}

fn is_held_out(question: &Key, share: f64, seed: u64) -> bool {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"held-out");
    hasher.update(&seed.to_le_bytes());
    hasher.update(question);
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    // The upper 53 bits are what a f64 holds exactly; the draw is below 1, so a share of 1 takes everything and a share of 0 nothing.
    let draw = (u64::from_le_bytes(first) >> 11) as f64 / (1_u64 << 53) as f64;
    draw < share
}
