//! Word differences between two answers: what each side alone has, within a deadline, kept for the pairs that come next.
//!
//! Used by the spot check. Compares what is shown, marks of hidden characters included, so that two answers that differ only in what a
//! reader cannot see do differ here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use crate::run::ids::Seq;
use crate::tui::prose::Piece;
use crate::tui::theme::Role;

/// Finding the best differences stops here; what is known by then is shown.
pub const DEADLINE: Duration = Duration::from_millis(20);
/// Under this likeness marks are noise.
pub const TOO_DIFFERENT: f64 = 0.35;
/// Differences that are kept.
const KEPT: usize = 64;

/// How differences are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    #[default]
    Side,
    Inline,
    Off,
}

impl Show {
    pub fn next(self) -> Show {
        match self {
            Show::Side => Show::Inline,
            Show::Inline => Show::Off,
            Show::Off => Show::Side,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Show::Side => "side",
            Show::Inline => "inline",
            Show::Off => "off",
        }
    }
}

/// Who has a stretch of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Both,
    Left,
    Right,
}

/// Two texts as one sequence of stretches. What both have stands once.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    pub parts: Vec<(Owner, String)>,
    /// 0 to 1: the share of letters that stand in both.
    pub likeness: f64,
}

impl Diff {
    pub fn is_noise(&self) -> bool {
        self.likeness < TOO_DIFFERENT
    }

    /// One side's text with what only it has marked.
    pub fn side(&self, side: Owner, brackets: bool) -> Vec<Piece> {
        let own = self.parts.iter().filter(|(owner, _)| *owner == Owner::Both || *owner == side);
        own.map(|(owner, text)| marked(*owner, text, brackets)).collect()
    }

    /// Both texts in one: what only the left has, then what only the right has.
    pub fn inline(&self) -> Vec<Piece> {
        self.parts.iter().map(|(owner, text)| marked(*owner, text, true)).collect()
    }
}

fn marked(owner: Owner, text: &str, brackets: bool) -> Piece {
    let (role, mark) = match owner {
        Owner::Both => return Piece::new(text, Role::Plain),
        Owner::Left => (Role::Added, '+'),
        Owner::Right => (Role::Removed, '-'),
    };
    // Brackets hold the words, not the space around them: a line may begin there.
    let words = text.trim();
    if !brackets || words.is_empty() {
        return Piece::new(text, role);
    }
    let start = text.len() - text.trim_start().len();
    let (before, after) = (&text[..start], &text[start + words.len()..]);
    Piece::new(format!("{before}{{{mark}{words}{mark}}}{after}"), role)
}

/// Finds the differences. With a deadline the result may not be the smallest, but it is always true.
pub fn diff(left: &str, right: &str, deadline: Option<Instant>) -> Diff {
    let (a, b) = (words(left), words(right));
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &a, &b, deadline);
    let mut parts = Parts::default();
    let mut common = 0;
    for op in ops {
        match op {
            DiffOp::Equal { old_index, len, .. } => {
                let same = &a[old_index..old_index + len];
                common += same.iter().map(|word| letters(word)).sum::<usize>();
                parts.both(same.concat());
            }
            DiffOp::Delete { old_index, old_len, .. } => parts.differ(&a[old_index..old_index + old_len], &[]),
            DiffOp::Insert { new_index, new_len, .. } => parts.differ(&[], &b[new_index..new_index + new_len]),
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                parts.differ(&a[old_index..old_index + old_len], &b[new_index..new_index + new_len]);
            }
        }
    }
    let all = letters(left) + letters(right);
    let likeness = if all == 0 { 1.0 } else { 2.0 * common as f64 / all as f64 };
    Diff { parts: parts.finish(), likeness }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// Words, stretches of space, line feeds and single signs.
fn words(text: &str) -> Vec<&str> {
    #[derive(PartialEq)]
    enum Kind {
        Word,
        Space,
        Single,
    }
    let kind = |c: char| match c {
        '\n' => Kind::Single,
        c if c.is_alphanumeric() || c == '_' || c == '\'' => Kind::Word,
        c if c.is_whitespace() => Kind::Space,
        _ => Kind::Single,
    };
    let mut words = Vec::new();
    let mut start = 0;
    let mut before: Option<Kind> = None;
    for (at, c) in text.char_indices() {
        let now = kind(c);
        if before.as_ref().is_some_and(|before| *before != now || now == Kind::Single) {
            words.push(&text[start..at]);
            start = at;
        }
        before = Some(now);
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

/// Collects stretches; a space between two differences belongs to both of them, so that a phrase is one mark.
#[derive(Default)]
struct Parts {
    done: Vec<(Owner, String)>,
    left: String,
    right: String,
    between: String,
}

impl Parts {
    fn both(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        let differing = !self.left.is_empty() || !self.right.is_empty();
        if differing && self.between.is_empty() && text.trim().is_empty() && !text.contains('\n') {
            self.between = text;
            return;
        }
        self.flush();
        match self.done.last_mut() {
            Some((Owner::Both, last)) => last.push_str(&text),
            _ => self.done.push((Owner::Both, text)),
        }
    }

    fn differ(&mut self, left: &[&str], right: &[&str]) {
        let between = std::mem::take(&mut self.between);
        // A side without words on both ends of the space would get a mark on nothing.
        if !between.is_empty() {
            self.left.push_str(&between);
            self.right.push_str(&between);
        }
        self.left.push_str(&left.concat());
        self.right.push_str(&right.concat());
    }

    fn flush(&mut self) {
        for (owner, text) in
            [(Owner::Left, std::mem::take(&mut self.left)), (Owner::Right, std::mem::take(&mut self.right))]
        {
            if !text.is_empty() {
                self.done.push((owner, text));
            }
        }
        let between = std::mem::take(&mut self.between);
        if !between.is_empty() {
            self.done.push((Owner::Both, between));
        }
    }

    fn finish(mut self) -> Vec<(Owner, String)> {
        self.flush();
        self.done
    }
}

/// Differences by the places of the two texts. A journal's texts never change, so asking while drawing changes nothing that can be seen.
#[derive(Debug, Default)]
pub struct Diffs {
    memo: RefCell<HashMap<(Seq, Seq), Rc<Diff>>>,
}

impl Diffs {
    pub fn knows(&self, key: (Seq, Seq)) -> bool {
        self.memo.borrow().contains_key(&key)
    }

    pub fn get(&self, key: (Seq, Seq), texts: impl FnOnce() -> (String, String)) -> Rc<Diff> {
        if let Some(known) = self.memo.borrow().get(&key) {
            return known.clone();
        }
        let (left, right) = texts();
        let found = Rc::new(diff(&left, &right, Some(Instant::now() + DEADLINE)));
        let mut memo = self.memo.borrow_mut();
        if memo.len() >= KEPT {
            memo.clear();
        }
        memo.insert(key, found.clone());
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(left: &str, right: &str) -> String {
        diff(left, right, None).inline().into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn differences_are_whole_words_and_phrases() {
        for (left, right, inline) in [
            ("the same", "the same", "the same"),
            ("the sky is blue", "the sea is blue", "the {+sky+}{-sea-} is blue"),
            ("a blue sky", "a very grey sea", "a {+blue sky+}{-very grey sea-}"),
            ("It rains. As a judge: 5", "It rains.", "It rains. {+As a judge: 5+}"),
            ("", "new", "{-new-}"),
            ("", "", ""),
            ("one\ntwo", "one\nthree", "one\n{+two+}{-three-}"),
        ] {
            assert_eq!(shown(left, right), inline, "{left:?} {right:?}");
        }
    }

    #[test]
    fn texts_with_little_in_common_are_noise() {
        assert!(diff("Autumn rain falls soft", "import numpy as np", None).is_noise());
        assert!(!diff("Autumn rain falls soft", "Autumn rain falls hard", None).is_noise());
        assert!(!diff("", "", None).is_noise());
    }

    #[test]
    fn a_deadline_that_has_passed_still_gives_a_true_answer() {
        let left: String = (0..4000).map(|n| format!("w{} ", n * 7919 % 4001)).collect();
        let right: String = (0..4000).map(|n| format!("w{} ", n * 104_729 % 4001)).collect();
        let begun = Instant::now();
        let found = diff(&left, &right, Some(begun));
        assert_eq!(own(&found, Owner::Left), left);
        assert_eq!(own(&found, Owner::Right), right);
    }

    #[test]
    fn a_difference_is_found_once_and_kept() {
        let diffs = Diffs::default();
        diffs.get((1, 2), || ("a".into(), "b".into()));
        assert!(diffs.knows((1, 2)) && !diffs.knows((2, 1)));
        diffs.get((1, 2), || panic!("it is known"));
    }

    fn own(found: &Diff, side: Owner) -> String {
        found.side(side, false).into_iter().map(|piece| piece.text).collect()
    }

    proptest! {
        #[test]
        fn each_side_reads_as_it_was_written(left in "[ab \n.漢]{0,30}", right in "[ab \n.漢]{0,30}") {
            let found = diff(&left, &right, None);
            prop_assert_eq!(own(&found, Owner::Left), left);
            prop_assert_eq!(own(&found, Owner::Right), right);
            prop_assert!((0.0..=1.0).contains(&found.likeness));
        }

        #[test]
        fn any_two_texts_can_be_compared(left in any::<String>(), right in any::<String>()) {
            let found = diff(&left, &right, Some(Instant::now() + DEADLINE));
            prop_assert_eq!(own(&found, Owner::Left), left);
            found.inline();
        }
    }
}
