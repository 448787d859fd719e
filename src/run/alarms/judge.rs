//! Alarms about the judge: scores that are missing, saturated, noisy, biased, or drift away from humans.

use crate::run::alarms::{Finding, Lint, percent};
use crate::run::event::Level;

use crate::run::measures::Interval;
use crate::run::reasons::{SignKind, Unscored};

/// Text that has no effect on the judge is chosen as often as not.
const HALF: f64 = 0.5;

impl Lint<'_> {
    pub(super) fn judging(&mut self) {
        let tally = &self.round.judge;
        let replies = tally.replies;
        if replies < self.limits.min_count {
            return;
        }
        let of = |count: u32| f64::from(count) / f64::from(replies);
        let window = format!("{replies} judge replies of iteration {}", self.view.iteration);
        self.unparsed(of(tally.unparsed()), tally.unparsed(), window.clone(), Vec::new());

        let missing = tally.unscored[Unscored::ALL.iter().position(|&why| why == Unscored::Missing).unwrap_or(0)];
        let ambiguous = of(tally.unparsed() - missing);
        if ambiguous > self.limits.ambiguous {
            self.warn(
                "judge-ambig",
                ambiguous,
                self.limits.ambiguous,
                window.clone(),
                format!("{} of the replies hold several, impossible or garbled scores", percent(ambiguous)),
                "Read the replies on the Gen screen; the judge may be losing the score format.",
            );
        }
        if of(tally.truncated) > self.limits.truncated {
            self.warn(
                "truncated",
                of(tally.truncated),
                self.limits.truncated,
                window.clone(),
                format!("{} of the judge's replies were cut off", percent(of(tally.truncated))),
                "Raise judge.max_tokens.",
            );
        }
        if self.view.has_scale() {
            self.saturation(&window);
        }
        if !self.view.judge_writes() {
            self.consistency();
            return;
        }
        let contradictions = of(tally.contradictions);
        if contradictions > self.limits.contradictions {
            self.warn(
                "contradiction",
                contradictions,
                self.limits.contradictions,
                window.clone(),
                format!("{} of the rationales contradict their score", percent(contradictions)),
                "Sort pairs by score and read the rationales; veto what they contradict.",
            );
        }
        let repeated = of(tally.repeated);
        if repeated > self.limits.repeated_rationales {
            self.warn(
                "contradiction",
                repeated,
                self.limits.repeated_rationales,
                window,
                format!("{} of the replies repeat another one word for word", percent(repeated)),
                "The judge may no longer read the answers; compare with the held-out agreement.",
            );
        }
    }

    pub(super) fn unparsed(&mut self, share: f64, count: u32, window: String, evidence: Vec<String>) {
        let (level, threshold) = if share > self.limits.unparsed_stop {
            (Level::Error, self.limits.unparsed_stop)
        } else if share > self.limits.unparsed_warn {
            (Level::Warn, self.limits.unparsed_warn)
        } else {
            return;
        };
        let says = format!("{} of the judge's replies hold no score ({count})", percent(share));
        let advice = "Read the replies; go back to the model before, or train the judge format again. Missing scores are never counted.";
        self.raise("judge-parse", Finding { level, value: share, threshold, window, says, advice, evidence });
    }

    /// Rewards of two successive models on the same candidates.
    fn consistency(&mut self) {
        let Some(found) = self.view.consistency(self.round.iteration) else { return };
        let (n, limit) = (found.agreement.kendall_n, self.limits.consistency_tau);
        if let Some(tau) = found.agreement.kendall.filter(|&tau| tau < limit && n >= 30) {
            self.warn(
                "consistency",
                tau,
                limit,
                format!("{n} prompts of iteration {}", self.round.iteration),
                format!("this model's rewards rank candidates unlike those of the model before (tau {tau:.2})"),
                "Pairs follow a ranking that does not last: weigh the loss by it (dpo.consistency), or stop here.",
            );
        }
    }

    fn saturation(&mut self, window: &str) {
        let tally = &self.round.judge;
        let parsed = tally.parsed();
        if parsed < self.limits.min_count {
            return;
        }
        let (top, count) =
            tally.histogram.iter().copied().enumerate().max_by_key(|&(_, count)| count).unwrap_or((0, 0));
        let share = f64::from(count) / f64::from(parsed);
        if share > self.limits.saturation_share {
            self.warn(
                "judge-sat",
                share,
                self.limits.saturation_share,
                window.into(),
                format!("{} of the scores are {top}", percent(share)),
                "Check the score spread on the Eval screen; a saturated judge gives few and random pairs.",
            );
        }
        if let (Some(mean), Some(before)) = (tally.mean(), self.before.and_then(|round| round.judge.mean()))
            && mean - before > self.limits.saturation_rise
        {
            self.warn(
                "judge-sat",
                mean - before,
                self.limits.saturation_rise,
                window.into(),
                format!("the mean score rose from {before:.2} to {mean:.2} in one iteration"),
                "Compare with the anchor items: a judge that grows generous is not a model that grows better.",
            );
        }
    }

    pub(super) fn pairing(&mut self) {
        let round = self.round;
        let skipped: u32 = round.skipped.values().sum();
        let prompts = round.pairs + skipped;
        self.gaming();
        if prompts < self.limits.min_count {
            return;
        }
        let window = format!("{prompts} prompts of iteration {}", round.iteration);
        let share = f64::from(round.pairs) / f64::from(prompts);
        let before = self.before.and_then(|before| {
            let prompts = before.pairs + before.skipped.values().sum::<u32>();
            (prompts > 0).then(|| f64::from(before.pairs) / f64::from(prompts))
        });
        if share < self.limits.yield_low || before.is_some_and(|before| share < before * self.limits.yield_fall) {
            let ties = round.skipped.get("tie").copied().unwrap_or(0);
            self.warn(
                "yield",
                share,
                self.limits.yield_low,
                window,
                format!("only {} of the prompts give a pair ({ties} ties)", percent(share)),
                "More judge samples or a finer rubric break ties; few pairs train little.",
            );
        }
        self.pair_measures();
        self.spot_check();
    }

    /// Text that speaks to the judge is one thing, text that wins by it another: a judge that marks it down trains it away.
    fn gaming(&mut self) {
        let (Some(forged), Some(chosen)) = (self.measured("forged_pairs"), self.measured("forged_chosen")) else {
            return;
        };
        let (forged, chosen) = (forged as u32, chosen as u32);
        if forged < self.limits.gaming_pairs {
            return;
        }
        let round = self.round;
        let evidence: Vec<String> = round
            .pairs()
            .filter(|(_, pair)| pair.signs.iter().any(|sign| sign.kind == SignKind::Gaming))
            .map(|(id, _)| id.to_string())
            .take(20)
            .collect();
        let pays = chosen >= self.limits.gaming_pairs
            && Interval::wilson(chosen, forged).is_some_and(|interval| interval.low > HALF);
        let (level, value) = if pays { (Level::Error, chosen) } else { (Level::Warn, forged) };
        self.raise(
            "gaming",
            Finding {
                level,
                value: f64::from(value),
                threshold: f64::from(self.limits.gaming_pairs),
                window: format!("{} pairs of iteration {}", round.pairs, round.iteration),
                says: format!("{forged} pairs hold text that speaks to the judge; in {chosen} of them it was chosen"),
                advice: "Open them in Check and veto what was written for the judge.",
                evidence,
            },
        );
    }

    fn pair_measures(&mut self) {
        let window = format!("{} pairs of iteration {}", self.round.pairs, self.round.iteration);
        if self.round.pairs < self.limits.min_count {
            return;
        }
        if let Some(noisy) = self.measured("noisy_pairs").filter(|&share| share > self.limits.noisy_pairs) {
            self.warn(
                "judge-sd",
                noisy,
                self.limits.noisy_pairs,
                window.clone(),
                format!("{} of the pairs have a margin within two standard errors", percent(noisy)),
                "Take more judge samples (judge.samples) or ask for a margin (pairs.min_margin).",
            );
        }
        if let (Some(now), Some(before)) = (self.measured("mean_margin"), self.measured_before("mean_margin"))
            && now < before * self.limits.margin_fall
        {
            self.warn(
                "margin",
                now,
                before * self.limits.margin_fall,
                window,
                format!("the mean margin fell from {before:.2} to {now:.2}"),
                "Candidates grow alike: raise the sampling temperature or stop here.",
            );
        }
    }

    fn spot_check(&mut self) {
        let check = self.round.check();
        if check.random_decided < 5 {
            return;
        }
        let Some(interval) = Interval::wilson(check.random_bad, check.random_decided) else { return };
        let low = interval.low;
        if low > self.limits.bad_pairs {
            let share = f64::from(check.random_bad) / f64::from(check.random_decided);
            let (what, advice) = match self.round.iteration {
                0 => (
                    "labels",
                    "The reward model and you disagree: raise ser.gap and ser.high, or give it more of people's labels.",
                ),
                _ => ("pairs", "The judge and you disagree: check more pairs, or stop and train the judge."),
            };
            self.warn(
                "human",
                low,
                self.limits.bad_pairs,
                format!("{} random {what} decided", check.random_decided),
                format!("humans reject {} of random {what}, at least {}", percent(share), percent(low)),
                advice,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::run::alarms::{AlarmSettings, lint};
    use crate::run::entry::{Entry, Stamp};
    use crate::run::event::{Event, Measured, RunStarted, StageStarted};
    use crate::run::ids::{Model, Stage};
    use crate::run::number::Num;
    use crate::run::view::RunView;

    fn with_forged(forged: f64, chosen: f64) -> RunView {
        let started = RunStarted {
            name: "forged".into(),
            program: "test".into(),
            config: serde_json::json!({}),
            config_hash: String::new(),
            seed: 0,
            policy: "none".into(),
            judge: "self".into(),
            recipe: "self".into(),
            iterations: 2,
            data: Vec::new(),
            plan: Vec::new(),
        };
        let values: BTreeMap<String, Num> =
            [("forged_pairs".to_string(), Num(forged)), ("forged_chosen".to_string(), Num(chosen))].into();
        let events: [Event; 3] = [
            started.into(),
            StageStarted { iteration: 1, stage: Stage::Pairs, model: Model::M(1), total: 500 }.into(),
            Measured { iteration: 1, stage: Stage::Pairs, values, phrases: Vec::new() }.into(),
        ];
        let mut view = RunView::default();
        for (seq, event) in (1..).zip(events) {
            view.apply(&Entry { seq, at: Stamp(seq as i64), event });
        }
        view
    }

    #[test]
    fn text_for_the_judge_stops_a_run_only_where_it_wins() {
        let table = [
            ("two are too few to say anything", 2.0, 2.0, None),
            ("three that the judge marked down are a healthy run's slips", 3.0, 0.0, Some(Level::Warn)),
            ("three of three may be luck", 3.0, 3.0, Some(Level::Warn)),
            ("half of many is no effect", 20.0, 10.0, Some(Level::Warn)),
            ("a sixth of many is trained away", 60.0, 10.0, Some(Level::Warn)),
            ("all of a few is gaming", 5.0, 5.0, Some(Level::Error)),
            ("most of many is gaming", 30.0, 24.0, Some(Level::Error)),
        ];
        for (says, forged, chosen, level) in table {
            let alarms = lint(&with_forged(forged, chosen), &AlarmSettings::default());
            let found = alarms.iter().find(|alarm| alarm.id == "gaming").map(|alarm| alarm.level);
            assert_eq!(found, level, "{says}");
        }
    }
}
