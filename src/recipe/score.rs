//! Reads the score out of a judge's reply, or says why there is none.
//!
//! Used on generated text only: the prompt, and with it the candidate, never reaches this parser. A reply may still quote
//! a candidate, so a line of its own outranks a score inside a sentence, quoted lines do not count, and the last line wins.
//! What cannot be read without a guess is not read: a missing score costs a sample, a wrong one costs a pair.

use std::ops::Range;

use crate::run::reasons::{Scored, Unscored};
use crate::text::invisible::is_invisible;

/// The scale of the additive rubric.
pub const LOWEST: f64 = 0.0;
pub const HIGHEST: f64 = 5.0;

/// What a reply says, and where it says it (byte ranges, for highlighting).
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub score: Scored,
    /// The line that decided.
    pub line: Option<Range<usize>>,
    /// The number in it.
    pub number: Option<Range<usize>>,
    /// Where the deciding mention of the score begins: what stands before it is the rationale.
    pub start: Option<usize>,
    /// How often the reply names a score; more than one is worth a look.
    pub marks: u32,
    /// Two of these name different numbers, anywhere in the reply.
    pub conflicting: bool,
}

impl Reading {
    /// What the reply says before its verdict; all of it where there is none. A verdict may share its line with the rationale.
    pub fn rationale<'a>(&self, reply: &'a str) -> &'a str {
        self.start.and_then(|start| reply.get(..start)).unwrap_or(reply)
    }
}

/// Finds the reply's verdict.
pub fn read_score(reply: &str) -> Reading {
    let mut lines: Vec<Line> = Vec::new();
    let mut start = 0;
    for line in reply.split('\n') {
        let chars = folded(line, start);
        let found = marks(&chars);
        if !found.is_empty() && !is_quoted(&chars) {
            let anchored = found.iter().any(|mark| mark.anchored);
            lines.push(Line { span: start..start + line.trim_end().len(), marks: found, anchored });
        }
        start += line.len() + 1;
    }
    let all = || lines.iter().flat_map(|line| &line.marks);
    let mut named = all().filter_map(|mark| mark.value.as_ref().ok()).map(|(score, _)| *score);
    let conflicting = named.next().is_some_and(|first| named.any(|other| other != first));
    let count = all().count() as u32;

    // A verdict on a line of its own, if there is any; else a score inside a sentence.
    let decisive = lines.iter().rev().find(|line| line.anchored).or(lines.last());
    let Some(line) = decisive else {
        return Reading {
            score: Err(Unscored::Missing),
            line: None,
            number: None,
            start: None,
            marks: count,
            conflicting,
        };
    };
    let (score, number) = verdict(&line.marks);
    let start = line.marks.first().map(|mark| mark.start);
    Reading { score, line: Some(line.span.clone()), number, start, marks: count, conflicting }
}

struct Line {
    span: Range<usize>,
    marks: Vec<Mark>,
    anchored: bool,
}

/// One place where a line names a score.
struct Mark {
    start: usize,
    value: Result<(f64, Range<usize>), Unscored>,
    /// Nothing but ornament and words such as `final` stands before it.
    anchored: bool,
}

/// Several marks on one line must agree; the last one is shown.
fn verdict(marks: &[Mark]) -> (Scored, Option<Range<usize>>) {
    let Some(last) = marks.last() else { return (Err(Unscored::Missing), None) };
    let (score, number) = match &last.value {
        Ok((score, number)) => (*score, number.clone()),
        Err(why) => return (Err(*why), None),
    };
    let agrees = |mark: &Mark| matches!(&mark.value, Ok((other, _)) if *other == score);
    if marks.iter().all(agrees) { (Ok(score), Some(number)) } else { (Err(Unscored::Ambiguous), Some(number)) }
}

/// The line's characters with their byte offsets, full-width forms folded to ASCII and letters to lower case.
fn folded(line: &str, offset: usize) -> Vec<(usize, char)> {
    let fold = |c: char| match c as u32 {
        code @ 0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(c),
        0x3000 => ' ',
        0x2212 => '-',
        _ => c,
    };
    // The line's end closes the list, so that every character has a byte after it.
    let end = (offset + line.len(), '\n');
    line.char_indices().map(|(at, c)| (offset + at, fold(c).to_ascii_lowercase())).chain([end]).collect()
}

fn is_quoted(chars: &[(usize, char)]) -> bool {
    chars.iter().map(|(_, c)| *c).find(|c| !c.is_whitespace()) == Some('>')
}

/// Marks that wrap a label or a number in Markdown, JSON or quotes.
fn is_ornament(c: char) -> bool {
    c.is_whitespace() && c != '\n' || "*_`\"'#[](){}<>$\\".contains(c)
}

fn marks(chars: &[(usize, char)]) -> Vec<Mark> {
    const WORD: &str = "score";
    let mut found = Vec::new();
    let mut at = 0;
    while at + WORD.len() <= chars.len() {
        let here = chars[at..].iter().map(|(_, c)| *c).zip(WORD.chars()).all(|(a, b)| a == b);
        let before = |back: usize| at.checked_sub(back).map_or(' ', |at| chars[at].1);
        // `_score_` is emphasis, `total_score` a name in a program.
        let begins = !before(1).is_alphanumeric() && (before(1) != '_' || !before(2).is_alphanumeric());
        if here && begins {
            let after = at + WORD.len();
            if let Some(value) = after_colon(chars, after) {
                found.push(Mark {
                    start: chars[at].0,
                    value: read_value(chars, value),
                    anchored: is_anchored(&chars[..at]),
                });
            }
            at = after;
        } else {
            at += 1;
        }
    }
    found
}

/// The place after the colon that must follow the word, with at most ornament and one short bracket between.
fn after_colon(chars: &[(usize, char)], mut at: usize) -> Option<usize> {
    const LONGEST_BRACKET: usize = 24;
    while let Some((_, c)) = chars.get(at) {
        match c {
            // A colon only: `score = 0` is what judges write who have taken to programming.
            ':' => return Some(at + 1),
            '(' => {
                let close = chars[at..].iter().take(LONGEST_BRACKET).position(|(_, c)| *c == ')')?;
                at += close + 1;
            }
            c if is_ornament(*c) => at += 1,
            _ => return None,
        }
    }
    None
}

fn is_anchored(before: &[(usize, char)]) -> bool {
    const LABELS: [&str; 5] = ["final", "total", "overall", "my", "points"];
    let text: String = before.iter().map(|(_, c)| *c).collect();
    text.chars().all(|c| c.is_alphabetic() || is_ornament(c) || "-•".contains(c))
        && text.split(|c: char| !c.is_alphabetic()).all(|word| word.is_empty() || LABELS.contains(&word))
}

fn read_value(chars: &[(usize, char)], mut at: usize) -> Result<(f64, Range<usize>), Unscored> {
    while chars.get(at).is_some_and(|(_, c)| is_ornament(*c) || *c == ':') {
        at += 1;
    }
    let (value, number, mut at) = number_at(chars, at).ok_or(Unscored::NotANumber)?;
    // `4th`, `4x` or a digit hidden behind an invisible character: not the number that it seems to be.
    if chars.get(at).is_some_and(|(_, c)| c.is_alphanumeric() || (is_invisible(*c) && !c.is_whitespace())) {
        return Err(Unscored::NotANumber);
    }
    let bound = |value: f64| if (LOWEST..=HIGHEST).contains(&value) { Ok(value) } else { Err(Unscored::OutOfRange) };
    loop {
        let (next, joined) = skip_joints(chars, at);
        let Some((other, _, after)) = number_at(chars, next) else { break };
        match joined {
            Joint::Scale if other == HIGHEST => {}
            // Four of ten is not four of five.
            Joint::Scale if other > HIGHEST => return Err(Unscored::OutOfRange),
            Joint::None => break,
            _ if other == value => {}
            _ => return Err(Unscored::Ambiguous),
        }
        at = after;
    }
    Ok((bound(value)?, number))
}

#[derive(PartialEq)]
enum Joint {
    /// Prose comes next: its numbers are not the verdict's.
    None,
    /// `/`, `of`, `out of`: the number that follows is the top of a scale.
    Scale,
    /// A space, `or`, `-`, `,` …: the number that follows is a second answer.
    Other,
}

/// Skips what may stand between two numbers of one verdict.
fn skip_joints(chars: &[(usize, char)], mut at: usize) -> (usize, Joint) {
    const SCALE: [&str; 3] = ["out", "of", "points"];
    const OTHER: [&str; 9] = ["or", "to", "and", "maybe", "perhaps", "possibly", "even", "through", "rather"];
    let mut joint = Joint::Other;
    while let Some((_, c)) = chars.get(at) {
        if c.is_alphabetic() {
            let word: String = chars[at..].iter().map(|(_, c)| *c).take_while(|c| c.is_alphabetic()).collect();
            if SCALE.contains(&word.as_str()) {
                joint = Joint::Scale;
            } else if !OTHER.contains(&word.as_str()) {
                return (at, Joint::None);
            }
            at += word.chars().count();
        } else if *c == '/' {
            joint = Joint::Scale;
            at += 1;
        } else if c.is_whitespace() || "*_`\"',-–—~|&?+=".contains(*c) {
            at += 1;
        } else if c.is_ascii_digit() {
            return (at, joint);
        } else {
            // A bracket, a full stop: what follows explains, it does not answer.
            return (at, Joint::None);
        }
    }
    (at, Joint::None)
}

/// A decimal number, its bytes, and the place after it. `4.` is four and a full stop; `4.5.1` is no number.
fn number_at(chars: &[(usize, char)], start: usize) -> Option<(f64, Range<usize>, usize)> {
    let mut at = start;
    let signed = chars.get(at).is_some_and(|(_, c)| matches!(c, '-' | '+'));
    at += usize::from(signed);
    let digits = |from: usize| chars[from.min(chars.len())..].iter().take_while(|(_, c)| c.is_ascii_digit()).count();
    let whole = digits(at);
    if whole == 0 {
        return None;
    }
    at += whole;
    if chars.get(at).is_some_and(|(_, c)| *c == '.') && digits(at + 1) > 0 {
        at += 1 + digits(at + 1);
        if chars.get(at).is_some_and(|(_, c)| *c == '.') && digits(at + 1) > 0 {
            return None;
        }
    }
    let text: String = chars[start..at].iter().map(|(_, c)| *c).collect();
    let (end, _) = *chars.get(at)?;
    Some((text.parse().ok()?, chars[start].0..end, at))
}
