//! A second opinion: the same queue decided again in a replay, blind, without the first decisions, which stay as they are.
//!
//! Kept beside the journal, never in it. Says how far the two opinions agree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::run::command::Choice;
use crate::run::event::VetoReason;
use crate::run::ids::PromptId;
use crate::run::view::{PairStatus, RunView};

/// One decision of the second reader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    pub pair: PromptId,
    pub choice: Choice,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<VetoReason>,
    pub took_ms: u64,
    pub by: String,
}

#[derive(Clone, Debug, Default)]
pub struct Opinions {
    given: Vec<Opinion>,
    undone: Vec<Opinion>,
    /// The file could not be read: another one is written.
    number: u32,
}

/// What a decision does to a pair, as far as two readers can agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    AsJudged,
    Turned,
    Out,
}

/// How far two readers agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    pub n: u32,
    pub same: u32,
    /// Cohen's kappa; none where chance alone would agree always.
    pub kappa: Option<f64>,
}

impl Opinions {
    /// Goes on with what this person has given before. A file that cannot be read whole is left alone, and the next name is taken.
    pub fn resume(by: &str, read: impl Fn(&str) -> Option<String>) -> Opinions {
        let mut opinions = Opinions::default();
        while let Some(text) = read(&opinions.file_name(by)) {
            match text.lines().map(serde_json::from_str).collect() {
                Ok(given) => {
                    opinions.given = given;
                    break;
                }
                Err(_) => opinions.number += 1,
            }
        }
        opinions
    }

    /// The file beside the journal.
    pub fn file_name(&self, by: &str) -> String {
        match self.number {
            0 => format!("second-opinion-{by}.jsonl"),
            number => format!("second-opinion-{by}-{}.jsonl", number + 1),
        }
    }

    pub fn given(&self) -> usize {
        self.given.len()
    }

    pub fn give(&mut self, opinion: Opinion) {
        self.given.push(opinion);
        self.undone.clear();
    }

    /// Amends the last opinion on this pair with a reason.
    pub fn amend(&mut self, pair: PromptId, reason: VetoReason) {
        if let Some(opinion) = self.given.iter_mut().rev().find(|opinion| opinion.pair == pair) {
            opinion.reason = Some(reason);
        }
    }

    pub fn undo(&mut self) -> Option<PromptId> {
        let opinion = self.given.pop()?;
        let pair = opinion.pair;
        self.undone.push(opinion);
        Some(pair)
    }

    pub fn redo(&mut self) -> Option<PromptId> {
        let opinion = self.undone.pop()?;
        let pair = opinion.pair;
        self.given.push(opinion);
        Some(pair)
    }

    fn standing(&self) -> BTreeMap<PromptId, &Opinion> {
        self.given.iter().map(|opinion| (opinion.pair, opinion)).collect()
    }

    pub fn status(&self, pair: PromptId) -> PairStatus {
        match self.given.iter().rev().find(|opinion| opinion.pair == pair).map(|opinion| opinion.choice) {
            None | Some(Choice::Flag) => PairStatus::Auto,
            Some(Choice::Keep) => PairStatus::Kept,
            Some(Choice::Veto) => PairStatus::Vetoed,
            Some(Choice::Swap) => PairStatus::Swapped,
            Some(Choice::Tie) => PairStatus::Tied,
            Some(Choice::Edit { .. }) => PairStatus::Edited,
            Some(Choice::Defer) => PairStatus::Deferred,
        }
    }

    /// The file beside the journal: one opinion a line.
    pub fn file(&self) -> String {
        let lines = self.standing().into_values().filter_map(|opinion| serde_json::to_string(opinion).ok());
        lines.map(|line| line + "\n").collect()
    }

    /// Both readers' decisions on the pairs that both have decided.
    pub fn agreement(&self, first: &RunView) -> Agreement {
        let both = self.standing().into_iter().filter_map(|(id, opinion)| {
            let theirs = verdict(first.pair(id)?.status)?;
            Some((theirs, verdict(self.status(opinion.pair))?))
        });
        agreement(&both.collect::<Vec<_>>())
    }
}

fn verdict(status: PairStatus) -> Option<Verdict> {
    match status {
        PairStatus::Auto | PairStatus::Deferred => None,
        PairStatus::Kept => Some(Verdict::AsJudged),
        PairStatus::Swapped | PairStatus::Edited => Some(Verdict::Turned),
        PairStatus::Vetoed | PairStatus::Tied => Some(Verdict::Out),
    }
}

fn agreement(both: &[(Verdict, Verdict)]) -> Agreement {
    let n = both.len() as f64;
    let same = both.iter().filter(|(a, b)| a == b).count();
    let share = |of: fn(&(Verdict, Verdict)) -> Verdict, verdict: Verdict| {
        both.iter().filter(|pair| of(pair) == verdict).count() as f64 / n
    };
    let by_chance: f64 = [Verdict::AsJudged, Verdict::Turned, Verdict::Out]
        .into_iter()
        .map(|verdict| share(|pair| pair.0, verdict) * share(|pair| pair.1, verdict))
        .sum();
    let kappa = (!both.is_empty() && by_chance < 1.0).then(|| (same as f64 / n - by_chance) / (1.0 - by_chance));
    Agreement { n: both.len() as u32, same: same as u32, kappa }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opinion_is_gone_on_with_and_a_file_that_cannot_be_read_is_left_alone() {
        let pair = PromptId { iteration: 1, number: 3 };
        let mut first = Opinions::default();
        let (choice, reason) = (Choice::Edit { candidate: 2, score: 4.5 }, Some(VetoReason::Gaming));
        first.give(Opinion { pair, choice, reason, took_ms: 900, by: "ana".into() });
        let text = first.file();
        let again = Opinions::resume("ana", |name| (name == "second-opinion-ana.jsonl").then(|| text.clone()));
        assert_eq!((again.file(), again.given()), (text, 1));
        let broken = Opinions::resume("ana", |name| (name == "second-opinion-ana.jsonl").then(|| "{\"pair".into()));
        assert_eq!((broken.given(), broken.file_name("ana").as_str()), (0, "second-opinion-ana-2.jsonl"));
    }

    #[test]
    fn kappa_is_agreement_beyond_chance() {
        use Verdict::*;
        // Cohen's table: 20 and 15 agree of 50, margins 25:25 and 30:20, so 0.5 by chance and kappa 0.4.
        let mut both = vec![(AsJudged, AsJudged); 20];
        both.extend([(AsJudged, Out); 5]);
        both.extend([(Out, AsJudged); 10]);
        both.extend([(Out, Out); 15]);
        let found = agreement(&both);
        assert_eq!((found.n, found.same), (50, 35));
        assert!((found.kappa.unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(agreement(&[(Out, Out)]).kappa, None, "two readers who always say the same may agree by chance");
        assert_eq!(agreement(&[]), Agreement { n: 0, same: 0, kappa: None });
    }
}
