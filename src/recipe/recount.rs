//! What would have become of a prompt's candidates under another rule: the pairs counted again from what was recorded, without a model.
//!
//! Used by `what-if`, on the command line and in a replay. Decides nothing in a run: the engine's own pairs come from `pairs`.

use std::collections::BTreeMap;

use crate::recipe::judge::{JudgeSettings, pool};
use crate::recipe::pairs::{Candidate, PairSettings, choose_pair, cut_low_policy_margins};
use crate::recipe::score::read_score;
use crate::run::reasons::{Ended, NoPair, Scored, Unscored};

/// Which of equally good candidates become a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TieRule {
    /// None: equal scores give no pair.
    #[default]
    Skip,
    /// The shortest against the longest.
    Shorter,
    /// The one that the policy finds likeliest, per token, against the one it finds least likely.
    Likelier,
}

/// How a score is read from a judge's reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parser {
    /// As it was read in the run.
    #[default]
    Recorded,
    /// As this program reads it.
    Ours,
    /// The first `Score:` with a digit behind it, wherever it stands, as published code reads it.
    First,
}

/// Another rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    pub pairs: PairSettings,
    pub judge: JudgeSettings,
    pub tie: TieRule,
    pub parser: Parser,
}

/// A candidate with what its judges said.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub text: String,
    pub ended: Ended,
    pub logprob_per_token: Option<f64>,
    /// Each score as it was recorded, with the reply where another parser is to read it.
    pub judged: Vec<(Scored, String)>,
}

/// Chosen and rejected, as places among the candidates, or why there is no pair.
pub type Outcome = Result<(u32, u32), NoPair>;

/// The pairs of one iteration by this rule, prompt by prompt.
pub fn recount(prompts: &[Vec<Answer>], rule: &Rule) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = prompts.iter().map(|answers| choose(answers, rule)).collect();
    let margins: Vec<Option<f64>> = prompts
        .iter()
        .zip(&outcomes)
        .map(|(answers, outcome)| {
            let (chosen, rejected) = *outcome.as_ref().ok()?;
            let log_prob = |at: u32| answers.get(at as usize)?.logprob_per_token;
            Some(log_prob(chosen)? - log_prob(rejected)?)
        })
        .collect();
    for (outcome, cut) in outcomes.iter_mut().zip(cut_low_policy_margins(&margins, rule.pairs.drop_low_policy_margin)) {
        if let (true, Some(why)) = (outcome.is_ok(), cut) {
            *outcome = Err(why);
        }
    }
    outcomes
}

/// The score of one reply by this parser.
pub fn score(recorded: Scored, reply: &str, parser: Parser) -> Scored {
    match parser {
        Parser::Recorded => recorded,
        Parser::Ours => read_score(reply).score,
        Parser::First => first_score(reply),
    }
}

fn first_score(reply: &str) -> Scored {
    let mut rest = reply;
    while let Some(at) = rest.find("core:") {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + 5..];
        if matches!(before, Some('S' | 's'))
            && let Some(digit @ '0'..='5') = rest.strip_prefix(' ').and_then(|rest| rest.chars().next())
        {
            return Ok(f64::from(digit as u8 - b'0'));
        }
    }
    Err(Unscored::Missing)
}

fn choose(answers: &[Answer], rule: &Rule) -> Outcome {
    let mean = |answer: &Answer| {
        let scores: Vec<Scored> =
            answer.judged.iter().map(|(recorded, reply)| score(*recorded, reply, rule.parser)).collect();
        pool(&scores, &rule.judge).mean
    };
    let mut candidates: Vec<Candidate> = answers
        .iter()
        .map(|answer| Candidate { mean: mean(answer), edited: None, text: &answer.text, ended: answer.ended })
        .collect();
    let chosen = match choose_pair(&candidates, &rule.pairs) {
        Err(NoPair::Tie) if rule.tie != TieRule::Skip => {
            // All that have a score have the same one: a second measure takes its place, and every other rule still holds.
            for (candidate, answer) in candidates.iter_mut().zip(answers) {
                candidate.edited = candidate.mean.and_then(|_| match rule.tie {
                    TieRule::Skip => None,
                    TieRule::Shorter => Some(-(answer.text.chars().count() as f64)),
                    TieRule::Likelier => answer.logprob_per_token,
                });
                candidate.mean = None;
            }
            let plain = PairSettings { min_margin: 0.0, length_rho: 0.0, ..rule.pairs.clone() };
            choose_pair(&candidates, &plain)?
        }
        other => other?,
    };
    Ok((chosen.chosen as u32, chosen.rejected as u32))
}

/// What changed in one iteration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    pub iteration: u32,
    /// Pairs as recorded, and by the other rule.
    pub before: u32,
    pub after: u32,
    pub same: u32,
    /// Chosen and rejected changed places.
    pub turned: u32,
    /// Another candidate is chosen or rejected.
    pub other: u32,
    pub new: u32,
    pub gone: u32,
    /// Prompts without a pair by the other rule, by reason.
    pub why: BTreeMap<&'static str, u32>,
    /// Pairs whose chosen answer is the longer one.
    pub longer_before: u32,
    pub longer_after: u32,
    pub replies: u32,
    pub read_before: u32,
    pub read_after: u32,
}

/// Compares what was recorded with what the rule makes of it. Both lists are in the order of the prompts.
pub fn compare(iteration: u32, prompts: &[Vec<Answer>], recorded: &[Option<(u32, u32)>], rule: &Rule) -> Change {
    let mut change = Change { iteration, ..Change::default() };
    for (recorded, reply) in prompts.iter().flatten().flat_map(|answer| &answer.judged) {
        change.replies += 1;
        change.read_before += u32::from(recorded.is_ok());
        change.read_after += u32::from(score(*recorded, reply, rule.parser).is_ok());
    }
    for ((answers, before), after) in prompts.iter().zip(recorded).zip(recount(prompts, rule)) {
        let length = |at: u32| answers.get(at as usize).map_or(0, |answer| answer.text.chars().count());
        let longer = |(chosen, rejected): (u32, u32)| u32::from(length(chosen) > length(rejected));
        if let Some(before) = before {
            change.before += 1;
            change.longer_before += longer(*before);
        }
        if let Ok(after) = after {
            change.after += 1;
            change.longer_after += longer(after);
        }
        match (before, after) {
            (Some(before), Ok(after)) if *before == after => change.same += 1,
            (Some((chosen, rejected)), Ok(after)) if (*rejected, *chosen) == after => change.turned += 1,
            (Some(_), Ok(_)) => change.other += 1,
            (None, Ok(_)) => change.new += 1,
            (before, Err(why)) => {
                change.gone += u32::from(before.is_some());
                *change.why.entry(why.name()).or_default() += 1;
            }
        }
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str, scores: &[&str], logprob: f64) -> Answer {
        let judged = scores.iter().map(|reply| (read_score(reply).score, reply.to_string())).collect();
        Answer { text: text.into(), ended: Ended::Eos, logprob_per_token: Some(logprob), judged }
    }

    fn prompts() -> Vec<Vec<Answer>> {
        vec![
            vec![answer("a plain and long answer", &["Score: 5"], -1.0), answer("brief words", &["Score: 1"], -2.0)],
            vec![answer("one two three four", &["Score: 3"], -1.5), answer("other things", &["Score: 3"], -0.5)],
            vec![
                answer("first of three", &["It asks for Score: 5\nScore: 1"], -1.0),
                answer("second thing here", &["Score: 2"], -1.0),
            ],
        ]
    }

    fn rule() -> Rule {
        Rule { judge: JudgeSettings { samples: 1, min_parsed: 1, ..JudgeSettings::default() }, ..Rule::default() }
    }

    #[test]
    fn each_rule_makes_its_own_pairs_of_the_same_scores() {
        let margin = PairSettings { min_margin: 2.0, ..PairSettings::default() };
        let cut = PairSettings { drop_low_policy_margin: 0.5, ..PairSettings::default() };
        for (name, rule, expected) in [
            ("as it was", rule(), [Ok((0, 1)), Err("tie"), Ok((1, 0))]),
            ("a margin", Rule { pairs: margin, ..rule() }, [Ok((0, 1)), Err("tie"), Err("small_margin")]),
            ("shorter of equals", Rule { tie: TieRule::Shorter, ..rule() }, [Ok((0, 1)), Ok((1, 0)), Ok((1, 0))]),
            ("likelier of equals", Rule { tie: TieRule::Likelier, ..rule() }, [Ok((0, 1)), Ok((1, 0)), Ok((1, 0))]),
            ("our parser", Rule { parser: Parser::Ours, ..rule() }, [Ok((0, 1)), Err("tie"), Ok((1, 0))]),
            ("the first score", Rule { parser: Parser::First, ..rule() }, [Ok((0, 1)), Err("tie"), Ok((0, 1))]),
            ("the likelier half", Rule { pairs: cut, ..rule() }, [Ok((0, 1)), Err("tie"), Err("low_policy_margin")]),
        ] {
            let found: Vec<_> =
                recount(&prompts(), &rule).into_iter().map(|outcome| outcome.map_err(|why| why.name())).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn what_changed_is_counted_once_each() {
        let recorded = [Some((0, 1)), None, Some((1, 0))];
        let same = compare(1, &prompts(), &recorded, &rule());
        assert_eq!((same.before, same.after, same.same, same.why.get("tie")), (2, 2, 2, Some(&1)));
        let first = compare(1, &prompts(), &recorded, &Rule { parser: Parser::First, tie: TieRule::Shorter, ..rule() });
        assert_eq!((first.same, first.turned, first.new, first.gone, first.other), (1, 1, 1, 0, 0));
        assert_eq!((first.longer_before, first.longer_after), (2, 1));
        let none = compare(1, &prompts(), &[Some((1, 0)), None, None], &rule());
        assert_eq!((none.turned, none.new, none.gone), (1, 1, 0));
    }

    #[test]
    fn the_first_score_is_found_as_a_pattern_finds_it() {
        for (reply, score) in [
            ("Score: 4", Ok(4.0)),
            ("score: 0 and Score: 5", Ok(0.0)),
            ("Score:4", Err(Unscored::Missing)),
            ("Score: 7 then Score: 2", Ok(2.0)),
            ("core: 3, Score: x", Err(Unscored::Missing)),
            ("", Err(Unscored::Missing)),
        ] {
            assert_eq!(first_score(reply), score, "{reply}");
        }
    }
}
