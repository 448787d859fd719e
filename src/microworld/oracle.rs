//! The oracle: what an answer is worth, from the text of prompt and answer alone.
//!
//! It serves three purposes and no fourth: the human-like labels of the seed data, evaluation after the fact, and
//! simulated people. Nothing inside a run (writing prompts, judging, pairing, training) may ask it.
//!
//! The rubric is additive, one point each; an answer that is not relevant has none of them:
//!
//! | point | given when |
//! |---|---|
//! | relevant | something in the answer belongs to the task |
//! | covers | more than half of what the task asks for is there |
//! | correct | all of it is there, and nothing is wrong |
//! | clear | the answer has exactly the shape of a good one and does not repeat itself |
//! | expert | correct and clear, without a needless word |

use super::families::{Prompt, Task};
use super::fillers;
use super::issues::{FLAWLESS, Issue};
use super::spoken::{self, is_word};

/// The five points of the rubric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points {
    pub relevant: bool,
    pub covers: bool,
    pub correct: bool,
    pub clear: bool,
    pub expert: bool,
}

impl Points {
    fn total(self) -> u8 {
        [self.relevant, self.covers, self.correct, self.clear, self.expert].into_iter().map(u8::from).sum()
    }
}

/// What an answer is worth and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grade {
    /// 0 to 5: how many points.
    pub score: u8,
    pub points: Points,
    /// All faults: content first, then repetition and form, then needless words.
    pub issues: Vec<Issue>,
    /// The first two faults in plain English.
    pub rationale: String,
}

/// The grade of an answer; `None` when the prompt is no task of this world, because then nobody can tell.
pub fn grade(prompt: &str, answer: &str) -> Option<Grade> {
    Some(grade_task(&Prompt::parse(prompt)?.task, answer))
}

/// The grade of an answer to a known task.
pub fn grade_task(task: &Task, answer: &str) -> Grade {
    let canonical = spoken::tokens(answer);
    let (kept, filler) = fillers::without(&canonical.split(' ').filter(|token| !token.is_empty()).collect::<Vec<_>>());
    let (kept, stutters) = without_repetition(&kept);
    let marks = task.mark(&kept);
    let repeats = stutters || marks.repeated;
    let present = marks.elements.iter().filter(|present| **present).count();

    let mut points = Points { relevant: marks.relevant, ..Points::default() };
    if points.relevant {
        points.covers = 2 * present > marks.elements.len();
        points.correct = present == marks.elements.len() && !marks.wrong;
        points.clear = marks.well_formed && !repeats;
        points.expert = points.correct && points.clear && !filler;
    }
    let mut issues = if points.relevant { marks.issues } else { vec![Issue::OffTask] };
    let form = [(repeats, Issue::Repeats), (!marks.well_formed, Issue::IllFormed), (filler, Issue::NeedlessWords)];
    if points.relevant {
        issues.extend(form.into_iter().filter_map(|(holds, issue)| holds.then_some(issue)));
    }
    Grade { score: points.total(), points, rationale: rationale(&issues), issues }
}

/// The first two faults in words, or that there is none.
fn rationale(issues: &[Issue]) -> String {
    if issues.is_empty() {
        return spoken::text(FLAWLESS);
    }
    let sentences: Vec<String> = issues.iter().take(2).map(Issue::sentence).collect();
    spoken::text(&sentences.join(" "))
}

/// Longer spans than this are not looked for. The longest flawless answer has about twenty tokens.
const LONGEST_SPAN: usize = 64;

/// The tokens without adjacent repetitions of any span that holds a word, and whether there were any.
fn without_repetition<'t>(tokens: &[&'t str]) -> (Vec<&'t str>, bool) {
    let mut kept: Vec<&str> = Vec::with_capacity(tokens.len());
    let mut repeats = false;
    for token in tokens {
        kept.push(token);
        let end = kept.len();
        let span = (1..=LONGEST_SPAN.min(end / 2)).find(|span| {
            let (before, last) = (&kept[end - 2 * span..end - span], &kept[end - span..]);
            // The last token alone refutes most spans.
            before[span - 1] == *token && before == last && last.iter().any(|it| is_word(it))
        });
        if let Some(span) = span {
            kept.truncate(end - span);
            repeats = true;
        }
    }
    (kept, repeats)
}
