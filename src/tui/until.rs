//! A condition on a run, as `--until` takes it: `loss>2`, `unparsed>.1`, `vetoes>=3`. A replay stops where it begins to hold.
//!
//! Pure: a condition is asked of a view. Used by `player`.

use crate::run::event::{Decision, DpoStep, RlooStep};
use crate::run::view::RunView;
use crate::text::nearest::did_you_mean;

/// A number of the run, compared with another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Until {
    /// As it was written.
    pub says: String,
    number: usize,
    compare: Compare,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equal,
}

type Number = fn(&RunView) -> Option<f64>;

fn share(part: u32, of: u32) -> Option<f64> {
    (of > 0).then(|| f64::from(part) / f64::from(of))
}

/// A number of the policy's last step, whichever way it learns.
fn either(
    view: &RunView,
    dpo: impl Fn(&DpoStep) -> Option<f64>,
    rloo: impl Fn(&RlooStep) -> Option<f64>,
) -> Option<f64> {
    match (&view.last_rloo, &view.last_dpo) {
        (Some(step), _) if view.learns_from_rewards() => rloo(step),
        (_, step) => dpo(step.as_ref()?),
    }
}

/// What can be compared. A number that is not known yet satisfies nothing; a NaN is neither above nor below.
const NUMBERS: [(&str, Number); 16] = [
    ("loss", |view| either(view, |dpo| Some(dpo.loss.0), |rloo| Some(rloo.loss.0))),
    ("gain", |view| Some(view.last_rloo.as_ref()?.gain.0)),
    ("margin", |view| Some(view.last_dpo.as_ref()?.margin.0)),
    ("accuracy", |view| Some(view.last_dpo.as_ref()?.accuracy.0)),
    ("grad", |view| either(view, |dpo| Some(dpo.grad_norm.0), |rloo| Some(rloo.grad_norm.0))),
    ("kl", |view| either(view, |dpo| Some(dpo.kl?.0), |rloo| Some(rloo.kl.0))),
    ("kl-held-out", |view| either(view, |dpo| Some(dpo.kl_held_out?.0), |rloo| Some(rloo.kl_held_out?.0))),
    ("step", |view| either(view, |dpo| Some(dpo.step as f64), |rloo| Some(rloo.step as f64))),
    ("sft-loss", |view| Some(view.last_sft.as_ref()?.loss.0)),
    ("iteration", |view| Some(f64::from(view.iteration))),
    ("unparsed", |view| {
        let judge = &view.round(view.iteration)?.judge;
        share(judge.unparsed(), judge.replies)
    }),
    ("tie", |view| {
        let round = view.round(view.iteration).filter(|round| round.iteration > 0)?;
        let ties = round.skipped.get("tie").copied().unwrap_or(0);
        share(ties, round.pairs + round.skipped.values().sum::<u32>())
    }),
    ("pairs", |view| {
        let round = view.round(view.iteration)?;
        Some(if round.iteration > 0 { f64::from(round.pairs) } else { 0.0 })
    }),
    ("vetoes", |view| {
        let standing = view.decisions.iter().filter(|decision| !decision.undone);
        Some(
            standing.filter(|decision| decision.decision == Decision::Veto).map(|veto| veto.pairs.len()).sum::<usize>()
                as f64,
        )
    }),
    ("alerts", |view| Some(view.alarms.len() as f64)),
    ("resumes", |view| Some(f64::from(view.oddities.resumes))),
];

impl Until {
    pub fn parse(text: &str) -> Result<Until, String> {
        let says = text.trim().to_string();
        let names = NUMBERS.map(|(name, _)| name);
        let wanted = || format!("a condition is a number and a limit, as loss>2; numbers are {}", names.join(", "));
        let split = says.find(['<', '>', '=']).ok_or_else(wanted)?;
        let (name, rest) = says.split_at(split);
        let name = name.trim();
        let number = names
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| format!("`{name}` is no number of a run{}; {}", did_you_mean(name, names), wanted()))?;
        let signs = [
            (">=", Compare::AtLeast),
            ("<=", Compare::AtMost),
            (">", Compare::Above),
            ("<", Compare::Below),
            ("=", Compare::Equal),
        ];
        let (limit, compare) = signs
            .into_iter()
            .find_map(|(sign, compare)| Some((rest.strip_prefix(sign)?.trim(), compare)))
            .ok_or_else(wanted)?;
        let limit = limit
            .parse::<f64>()
            .ok()
            .filter(|limit| limit.is_finite())
            .ok_or_else(|| format!("`{limit}` is no limit; {}", wanted()))?;
        Ok(Until { number, compare, limit, says })
    }

    pub fn holds(&self, view: &RunView) -> bool {
        let Some(value) = NUMBERS[self.number].1(view) else { return false };
        match self.compare {
            Compare::AtLeast => value >= self.limit,
            Compare::AtMost => value <= self.limit,
            Compare::Above => value > self.limit,
            Compare::Below => value < self.limit,
            Compare::Equal => (value - self.limit).abs() < 1e-9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_mistakes_are_answered() {
        for text in ["loss>2", " unparsed >= .1", "step=40", "sft-loss<1e-1", "vetoes<=0"] {
            assert!(Until::parse(text).is_ok(), "{text}");
        }
        for (text, says) in [
            ("loss", "a condition is a number and a limit"),
            ("los>2", "did you mean `loss`?"),
            ("loss>much", "`much` is no limit"),
            ("loss>nan", "is no limit"),
            (">2", "`` is no number of a run"),
        ] {
            let error = Until::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(Until::parse("vetoes=0").unwrap().holds(&RunView::default()));
        assert!(!Until::parse("loss<9").unwrap().holds(&RunView::default()), "what is not known yet holds nothing");
    }
}
