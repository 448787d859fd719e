//! The words of the filter's language: what each means, and what it stands for.
//!
//! Used by the filter, by its help and by whoever writes a word of it. Data alone.

use super::{Number, Word};
use crate::run::event::VetoReason;
use crate::run::reasons::SignKind;
use crate::run::view::PairStatus;

/// Each word of the language with what it means: also the lines in the help.
pub const WORDS: &[(&str, &str)] = &[
    ("susp>.5", "suspicion over 0.5; also < >= <= ="),
    ("len>1.5", "chosen answer longer than 1.5 times the rejected one"),
    ("margin<1", "difference of the two mean scores under 1"),
    ("score>4", "mean score of the chosen answer over 4"),
    ("iter:2", "pairs of iteration 2"),
    ("id:31", "pair number 31 of its iteration"),
    ("auto", "nobody has decided"),
    ("kept", "decided: right as it is"),
    ("veto", "decided: must not be learnt from"),
    ("swap", "decided: the other way round"),
    ("tie", "decided: neither is better"),
    ("edit", "decided: another score was given"),
    ("deferred", "put off"),
    ("decided", "kept, veto, swap, tie or edit"),
    ("flagged", "marked for later reading"),
    ("noted", "somebody wrote a note"),
    ("queue", "offered in the spot check"),
    ("random", "offered there as one of the random ones"),
    ("used", "it was learnt from"),
    ("unused", "it was not"),
    ("dropped", "left out by a human, or by DPO"),
    ("label", "a label that a reward model gave itself"),
    ("reason:length", "vetoed for this reason: wrong length gaming broken prompt other"),
    ("sign:gaming", "this sign is part of its suspicion"),
    ("by:ana", "decided by this person"),
    ("\"text\"", "the prompt or one of the two answers holds this text"),
    ("!", "in front of any of these, or -: the opposite"),
];

pub(super) const STATUSES: &[(&str, PairStatus)] = &[
    ("auto", PairStatus::Auto),
    ("kept", PairStatus::Kept),
    ("keep", PairStatus::Kept),
    ("veto", PairStatus::Vetoed),
    ("vetoed", PairStatus::Vetoed),
    ("swap", PairStatus::Swapped),
    ("swapped", PairStatus::Swapped),
    ("tie", PairStatus::Tied),
    ("edit", PairStatus::Edited),
    ("edited", PairStatus::Edited),
    ("deferred", PairStatus::Deferred),
];

pub(super) const PLAIN: &[(&str, Word)] = &[
    ("decided", Word::Decided),
    ("flagged", Word::Flagged),
    ("noted", Word::Noted),
    ("queue", Word::Queued),
    ("random", Word::Random),
    ("used", Word::Used),
    ("unused", Word::Unused),
    ("dropped", Word::Dropped),
    ("label", Word::Label),
];

pub(super) const NUMBERS: &[(&str, Number)] = &[
    ("susp", Number::Suspicion),
    ("len", Number::Length),
    ("ratio", Number::Length),
    ("margin", Number::Margin),
    ("score", Number::Score),
    ("iter", Number::Iteration),
    ("id", Number::Id),
];

pub const REASONS: [(&str, VetoReason); 6] = [
    ("wrong", VetoReason::Wrong),
    ("length", VetoReason::Length),
    ("gaming", VetoReason::Gaming),
    ("broken", VetoReason::Broken),
    ("prompt", VetoReason::Prompt),
    ("other", VetoReason::Other),
];

/// The word for a veto's reason.
pub fn reason_name(reason: VetoReason) -> &'static str {
    REASONS.iter().find(|(_, known)| *known == reason).map_or("other", |(name, _)| name)
}

/// A sign's label as one word.
pub fn sign_name(kind: SignKind) -> String {
    kind.label().replace(' ', "_")
}
