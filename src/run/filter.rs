//! The language that selects pairs: `susp>.5 len>1.5 iter:2 veto !auto reason:length sign:gaming "text"`.
//!
//! All terms must hold; `!` or `-` in front turns a term round. A mistake is a sentence with its place. Used by the table of pairs, by
//! `selfreward pairs` and by decisions about many pairs at once. Pure: texts are asked for by the caller.

use crate::run::event::{Outcome, Picked, VetoReason};
use crate::run::ids::PromptId;
use crate::run::reasons::SignKind;
use crate::run::view::{DecisionView, PairStatus, PairView, RunView};
use crate::text::nearest::did_you_mean;

mod words;

use words::{NUMBERS, PLAIN, STATUSES};
pub use words::{REASONS, WORDS, reason_name, sign_name};

/// Terms that must all hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    terms: Vec<(bool, Term)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Number(Number, Compare, f64),
    Status(PairStatus),
    Word(Word),
    Reason(VetoReason),
    Sign(Vec<SignKind>),
    By(String),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Suspicion,
    Length,
    Margin,
    Score,
    Iteration,
    Id,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Decided,
    Flagged,
    Noted,
    Queued,
    Random,
    Used,
    Unused,
    Dropped,
    Label,
}

/// What is wrong with a filter, and at which character, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: usize,
    pub why: String,
}

/// What a filter may ask of a pair without reading its texts.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub id: PromptId,
    pub pair: &'a PairView,
    pub view: &'a RunView,
    pub picked: Option<Picked>,
}

impl<'a> Row<'a> {
    /// A pair of this run. None: there is no such pair.
    pub fn of(view: &'a RunView, id: PromptId) -> Option<Row<'a>> {
        let round = view.round(id.iteration)?;
        let queue = round.gate.as_ref().map_or(&[][..], |gate| &gate.queue);
        let picked = queue.iter().find(|queued| queued.pair == id).map(|queued| queued.picked);
        Some(Row { id, pair: round.pair(id.number)?, view, picked })
    }

    /// The decision by which the pair stands.
    pub fn decision(&self) -> Option<&'a DecisionView> {
        let view = self.view;
        self.pair.history.iter().rev().filter_map(|&seq| view.decision(seq)).find(|decision| !decision.undone)
    }
}

impl Filter {
    pub fn parse(text: &str) -> Result<Filter, Fault> {
        let chars: Vec<char> = text.chars().collect();
        let mut terms = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            if chars[at].is_whitespace() {
                at += 1;
                continue;
            }
            let begin = at;
            let mut wanted = true;
            while matches!(chars.get(at), Some('!' | '-')) {
                wanted = !wanted;
                at += 1;
            }
            if chars.get(at).is_none_or(|c| c.is_whitespace()) {
                return Err(Fault { at: begin, why: format!("`{}` stands before a term: !auto", chars[begin]) });
            }
            if chars[at] == '"' {
                let end = (at + 1..chars.len()).find(|&place| chars[place] == '"');
                let Some(end) = end else {
                    return Err(Fault { at, why: "this text has no closing \"".into() });
                };
                let text: String = chars[at + 1..end].iter().collect();
                if text.is_empty() {
                    return Err(Fault { at, why: "an empty text is in every pair".into() });
                }
                terms.push((wanted, Term::Text(text.to_lowercase())));
                at = end + 1;
                continue;
            }
            let end = (at..chars.len()).find(|&place| chars[place].is_whitespace()).unwrap_or(chars.len());
            let word: String = chars[at..end].iter().collect();
            terms.push((wanted, term(&word.to_lowercase(), at)?));
            at = end;
        }
        Ok(Filter { terms })
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether texts must be fetched to answer.
    pub fn wants_texts(&self) -> bool {
        self.texts().next().is_some()
    }

    /// The texts that are looked for, in small letters.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|(_, term)| match term {
            Term::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether all terms hold. `holds` says whether the pair's texts hold a text.
    pub fn admits(&self, row: Row, holds: impl Fn(&str) -> bool) -> bool {
        self.terms.iter().all(|(wanted, term)| term.is_true(row, &holds) == *wanted)
    }
}

impl Term {
    fn is_true(&self, row: Row, holds: &impl Fn(&str) -> bool) -> bool {
        match self {
            Term::Number(number, compare, limit) => {
                let value = match number {
                    Number::Suspicion => row.pair.suspicion,
                    Number::Length => row.pair.length_ratio,
                    Number::Margin => row.pair.margin,
                    Number::Score => row.pair.chosen_score,
                    Number::Iteration => f64::from(row.id.iteration),
                    Number::Id => f64::from(row.id.number),
                };
                match compare {
                    Compare::Above => value > *limit,
                    Compare::AtLeast => value >= *limit,
                    Compare::Below => value < *limit,
                    Compare::AtMost => value <= *limit,
                    // Numbers are compared as they are shown: with two decimals.
                    Compare::Equal => (value - limit).abs() < 0.005,
                }
            }
            Term::Status(status) => row.pair.status == *status,
            Term::Word(Word::Decided) => row.pair.status.is_decided(),
            Term::Word(Word::Flagged) => row.pair.flagged,
            Term::Word(Word::Noted) => row.pair.notes > 0,
            Term::Word(Word::Queued) => row.picked.is_some(),
            Term::Word(Word::Random) => row.picked == Some(Picked::Random),
            Term::Word(Word::Used) => row.pair.used == Some(true),
            Term::Word(Word::Unused) => row.pair.used == Some(false),
            Term::Word(Word::Dropped) => row.pair.outcome == Outcome::Drop || row.pair.used == Some(false),
            Term::Word(Word::Label) => row.id.is_label(),
            Term::Reason(reason) => row.decision().is_some_and(|decision| decision.reason == Some(*reason)),
            Term::Sign(kinds) => row.pair.signs.iter().any(|sign| kinds.contains(&sign.kind)),
            Term::By(name) => row.decision().is_some_and(|decision| decision.by.to_lowercase() == *name),
            Term::Text(text) => holds(text),
        }
    }
}

fn term(word: &str, at: usize) -> Result<Term, Fault> {
    let fault = |offset: usize, why: String| Err(Fault { at: at + offset, why });
    if let Some((_, status)) = STATUSES.iter().find(|(name, _)| *name == word) {
        return Ok(Term::Status(*status));
    }
    if let Some((_, plain)) = PLAIN.iter().find(|(name, _)| *name == word) {
        return Ok(Term::Word(*plain));
    }
    let Some(split) = word.find([':', '<', '>', '=']) else {
        let names = STATUSES.iter().map(|(name, _)| *name).chain(PLAIN.iter().map(|(name, _)| *name));
        let hint = did_you_mean(word, names);
        return fault(0, format!("`{word}` is no word of the filter{hint}; a text stands in quotes: \"{word}\""));
    };
    let (name, rest) = word.split_at(split);
    let (sign, value) = match rest.get(..2) {
        Some(sign @ (">=" | "<=")) => (sign, &rest[2..]),
        _ => (&rest[..1], &rest[1..]),
    };
    let value_at = name.chars().count() + sign.len();
    if value.is_empty() {
        return fault(value_at, format!("`{name}{sign}` wants a value"));
    }
    if let Some((_, number)) = NUMBERS.iter().find(|(known, _)| *known == name) {
        let Some(limit) = value.parse::<f64>().ok().filter(|limit| limit.is_finite()) else {
            return fault(value_at, format!("`{value}` is no number"));
        };
        let compare = match sign {
            ">" => Compare::Above,
            ">=" => Compare::AtLeast,
            "<" => Compare::Below,
            "<=" => Compare::AtMost,
            _ => Compare::Equal,
        };
        return Ok(Term::Number(*number, compare, limit));
    }
    if !matches!(name, "reason" | "sign" | "by") {
        let names = NUMBERS.iter().map(|(name, _)| *name).chain(["reason", "sign", "by"]);
        let all = || format!("; there are {}", names.clone().collect::<Vec<_>>().join(", "));
        let hint = Some(did_you_mean(name, names.clone())).filter(|hint| !hint.is_empty()).unwrap_or_else(all);
        return fault(0, format!("`{name}` is nothing that a pair has{hint}"));
    }
    if !matches!(sign, ":" | "=") {
        return fault(name.len(), format!("`{name}` is not compared; write {name}:{value}"));
    }
    match name {
        "reason" => match REASONS.iter().find(|(known, _)| *known == value) {
            Some((_, reason)) => Ok(Term::Reason(*reason)),
            None => {
                let names = REASONS.iter().map(|(name, _)| *name);
                let all: Vec<&str> = names.clone().collect();
                fault(
                    value_at,
                    format!("`{value}` is no reason{}; there are {}", did_you_mean(value, names), all.join(" ")),
                )
            }
        },
        "sign" => {
            let wanted = value.replace(['_', '-'], " ");
            let kinds: Vec<SignKind> =
                SignKind::ALL.into_iter().filter(|kind| kind.label().contains(&wanted)).collect();
            if kinds.is_empty() {
                let labels: Vec<String> = SignKind::ALL.iter().map(|kind| kind.label().replace(' ', "-")).collect();
                return fault(value_at, format!("`{value}` is no sign; there are {}", labels.join(" ")));
            }
            Ok(Term::Sign(kinds))
        }
        _ => Ok(Term::By(value.to_string())),
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (at character {})", self.why, self.at + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::run::reasons::Sign;

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (text, at, why) in [
            ("susp>", 5, "`susp>` wants a value"),
            ("auto susp>x", 10, "`x` is no number"),
            ("susp>nan", 5, "`nan` is no number"),
            ("vetos", 0, "`vetos` is no word of the filter"),
            ("kept foo:1", 5, "`foo` is nothing that a pair has"),
            ("reason>length", 6, "`reason` is not compared; write reason:length"),
            ("reason:long", 7, "`long` is no reason"),
            ("sign:sneaky", 5, "`sneaky` is no sign; there are"),
            ("auto \"rain", 5, "this text has no closing \""),
            ("\"\"", 0, "an empty text is in every pair"),
            ("auto !", 5, "`!` stands before a term"),
            ("-", 0, "`-` stands before a term"),
            ("sups>1", 0, "`sups` is nothing that a pair has; did you mean `susp`?"),
            ("é rain", 0, "`é` is no word"),
        ] {
            let fault = Filter::parse(text).unwrap_err();
            assert_eq!(fault.at, at, "{text}");
            assert!(fault.why.starts_with(why), "{text}: {}", fault.why);
        }
        assert!(Filter::parse("vetos").unwrap_err().why.contains("veto"), "the nearest word is named");
    }

    #[test]
    fn every_word_of_the_help_is_understood() {
        for (word, _) in WORDS.iter().filter(|(word, _)| *word != "!") {
            assert!(Filter::parse(word).is_ok(), "{word}");
            assert!(Filter::parse(&format!("!{word}")).is_ok(), "!{word}");
        }
    }

    #[test]
    fn texts_are_looked_for_in_small_letters_and_may_hold_spaces() {
        let filter = Filter::parse("auto \"As A Judge\" !\"x\"").unwrap();
        assert_eq!(filter.texts().collect::<Vec<_>>(), ["as a judge", "x"]);
    }

    fn pair() -> PairView {
        PairView {
            seq: 9,
            chosen: 0,
            rejected: 1,
            margin: 1.5,
            chosen_score: 4.0,
            rejected_score: 2.5,
            length_ratio: 1.2,
            suspicion: 0.6,
            signs: vec![Sign { kind: SignKind::Gaming, amount: 0.6 }],
            history: vec![],
            status: PairStatus::Vetoed,
            outcome: Outcome::Drop,
            flagged: false,
            notes: 0,
            used: None,
            reference: None,
        }
    }

    #[test]
    fn terms_select_pairs() {
        let (pair, view) = (pair(), RunView::default());
        let id = PromptId { iteration: 2, number: 7 };
        let row = Row { id, pair: &pair, view: &view, picked: Some(Picked::Random) };
        for (text, takes) in [
            ("", true),
            ("susp>.5", true),
            ("susp>0.6", false),
            ("susp>=.6 margin<2 ratio=1.2 len:1.2 score>3.9", true),
            ("iter:2 id:7", true),
            ("iter:1", false),
            ("-iter:1 !!veto", true),
            ("veto queue random", true),
            ("auto", false),
            ("-auto decided dropped !unused", true),
            ("sign:gaming", true),
            ("-sign:gaming", false),
            ("sign:near_duplicate", false),
            ("\"As an ai\"", true),
            ("-\"as an ai\"", false),
            ("veto \"nowhere\"", false),
            ("used", false),
            ("reason:gaming", false),
            ("by:ana", false),
        ] {
            let filter = Filter::parse(text).unwrap();
            assert_eq!(filter.admits(row, |wanted| "as an ai i".contains(wanted)), takes, "{text}");
        }
    }

    #[test]
    fn every_status_and_every_sign_has_its_word() {
        use PairStatus::*;
        for status in [Auto, Deferred, Kept, Vetoed, Swapped, Tied, Edited] {
            assert_eq!(Filter::parse(status.name()).unwrap().terms, [(true, Term::Status(status))]);
        }
        for kind in SignKind::ALL {
            let filter = Filter::parse(&format!("sign:{}", sign_name(kind))).unwrap();
            assert!(matches!(&filter.terms[..], [(true, Term::Sign(kinds))] if kinds.contains(&kind)));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_understood_or_refused_at_a_place_inside_it(text in "[a-z!<>=:\" .0-9-é漢]{0,24}") {
            match Filter::parse(&text) {
                Ok(_) => {}
                Err(fault) => prop_assert!(fault.at <= text.chars().count(), "{fault:?}"),
            }
        }

        #[test]
        fn any_text_at_all_can_be_given(text in any::<String>()) {
            let _ = Filter::parse(&text);
        }
    }
}
