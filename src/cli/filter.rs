//! A small language to select pairs: `susp>.5 iter:2 auto "as an AI"`. All terms must hold; `-term` turns one round.
//!
//! Used by `pairs` and by decisions about many pairs at once. Knows views and texts, no files.

use crate::cli::failure::nearest;
use crate::run::event::Outcome;
use crate::run::ids::PromptId;
use crate::run::reasons::SignKind;
use crate::run::view::PairView;

const NUMBERS: [&str; 5] = ["susp", "margin", "ratio", "score", "iter"];
const WORDS: [&str; 13] = [
    "auto", "deferred", "kept", "veto", "swap", "tie", "edit", "decided", "used", "unused", "dropped", "flagged",
    "noted",
];

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    terms: Vec<(bool, Term)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Number {
        name: &'static str,
        compare: Compare,
        value: f64,
    },
    Word(&'static str),
    Sign(SignKind),
    /// Stands in the prompt or in one of the two answers, in any case of letters.
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Filter {
    pub fn read(text: &str) -> Result<Filter, String> {
        let terms = split(text)?.into_iter().map(|(negated, word)| Ok((!negated, term(&word)?)));
        Ok(Filter { terms: terms.collect::<Result<_, String>>()? })
    }

    /// Whether texts must be fetched to answer.
    pub fn wants_texts(&self) -> bool {
        self.terms.iter().any(|(_, term)| matches!(term, Term::Text(_)))
    }

    pub fn takes(&self, id: PromptId, pair: &PairView, texts: &[&str]) -> bool {
        self.terms.iter().all(|(wanted, term)| term.holds(id, pair, texts) == *wanted)
    }
}

/// Words and quoted texts, each with whether a minus stands before it.
fn split(text: &str) -> Result<Vec<(bool, String)>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let negated = rest.starts_with('-');
        let body = rest.strip_prefix('-').unwrap_or(rest);
        let (word, after) = match body.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"').ok_or_else(|| format!("the quote in `{text}` does not end"))?;
                (format!("\"{}", &quoted[..end]), &quoted[end + 1..])
            }
            None => {
                let end = body.find(char::is_whitespace).unwrap_or(body.len());
                (body[..end].to_string(), &body[end..])
            }
        };
        words.push((negated, word));
        rest = after.trim_start();
    }
    Ok(words)
}

fn term(word: &str) -> Result<Term, String> {
    if let Some(text) = word.strip_prefix('"') {
        return Ok(Term::Text(text.to_lowercase()));
    }
    if let Some(name) = word.strip_prefix("sign:") {
        return SignKind::ALL.iter().find(|kind| sign_name(**kind) == name).map(|kind| Term::Sign(*kind)).ok_or_else(
            || format!("there is no sign `{name}`; there are {}", SignKind::ALL.map(sign_name).join(", ")),
        );
    }
    if let Some(at) = word.find(['<', '>', '=', ':']) {
        let (name, rest) = word.split_at(at);
        let known = NUMBERS.into_iter().find(|known| *known == name).ok_or_else(|| {
            let near = nearest(name, NUMBERS).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            format!("a filter knows no number `{name}`{near} ({})", NUMBERS.join(", "))
        })?;
        let comparisons = [
            ("<=", Compare::AtMost),
            (">=", Compare::AtLeast),
            ("<", Compare::Less),
            (">", Compare::More),
            ("=", Compare::Equal),
            (":", Compare::Equal),
        ];
        for (sign, compare) in comparisons {
            if let Some(number) = rest.strip_prefix(sign) {
                let value = number.parse().map_err(|_| format!("`{word}`: `{number}` is no number"))?;
                return Ok(Term::Number { name: known, compare, value });
            }
        }
    }
    WORDS.into_iter().find(|known| *known == word).map(Term::Word).ok_or_else(|| {
        let near = nearest(word, WORDS).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        format!("a filter knows no word `{word}`{near}; put texts in quotes: \"{word}\"")
    })
}

impl Term {
    fn holds(&self, id: PromptId, pair: &PairView, texts: &[&str]) -> bool {
        match self {
            Term::Number { name, compare, value } => {
                let found = match *name {
                    "susp" => pair.suspicion,
                    "margin" => pair.margin,
                    "ratio" => pair.length_ratio,
                    "score" => pair.chosen_score,
                    _ => f64::from(id.iteration),
                };
                match compare {
                    Compare::Less => found < *value,
                    Compare::AtMost => found <= *value,
                    Compare::Equal => found == *value,
                    Compare::AtLeast => found >= *value,
                    Compare::More => found > *value,
                }
            }
            Term::Word("decided") => pair.status.is_decided(),
            Term::Word("used") => pair.used == Some(true),
            Term::Word("unused") => pair.used == Some(false),
            Term::Word("dropped") => pair.outcome == Outcome::Drop,
            Term::Word("flagged") => pair.flagged,
            Term::Word("noted") => pair.notes > 0,
            Term::Word(status) => pair.status.name() == *status,
            Term::Sign(kind) => pair.signs.iter().any(|sign| sign.kind == *kind),
            Term::Text(wanted) => texts.iter().any(|text| text.to_lowercase().contains(wanted.as_str())),
        }
    }
}

/// The sign's label as one word.
pub fn sign_name(kind: SignKind) -> String {
    kind.label().replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::reasons::Sign;
    use crate::run::view::PairStatus;

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
        let id = PromptId { iteration: 2, number: 7 };
        for (text, takes) in [
            ("", true),
            ("susp>.5", true),
            ("susp>0.6", false),
            ("susp>=.6 margin<2 ratio=1.2", true),
            ("iter:2", true),
            ("iter:1", false),
            ("-iter:1", true),
            ("veto", true),
            ("auto", false),
            ("-auto decided dropped", true),
            ("sign:gaming", true),
            ("-sign:gaming", false),
            ("\"As an ai\"", true),
            ("-\"as an ai\"", false),
            ("veto \"nowhere\"", false),
            ("used", false),
        ] {
            let filter = Filter::read(text).unwrap();
            assert_eq!(filter.takes(id, &pair(), &["a prompt", "As an AI I"]), takes, "{text}");
        }
    }

    #[test]
    fn mistakes_are_answered_with_what_is_known() {
        for (text, says) in [
            ("sups>1", "did you mean `susp`"),
            ("vetoo", "did you mean `veto`"),
            ("susp>much", "is no number"),
            ("\"open", "does not end"),
            ("sign:nose", "there is no sign"),
        ] {
            let error = Filter::read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn every_status_has_its_word() {
        for status in [
            PairStatus::Auto,
            PairStatus::Deferred,
            PairStatus::Kept,
            PairStatus::Vetoed,
            PairStatus::Swapped,
            PairStatus::Tied,
            PairStatus::Edited,
        ] {
            assert!(WORDS.contains(&status.name()), "{}", status.name());
        }
    }
}
