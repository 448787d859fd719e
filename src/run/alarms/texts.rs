//! Alarms about what was written: length, likeness, endings, new prompts.

use crate::run::alarms::{Lint, percent};
use crate::run::reasons::Ended;

impl Lint<'_> {
    pub(super) fn texts(&mut self) {
        let round = self.round;
        let window = format!("{} candidates of iteration {}", round.candidates, round.iteration);
        if round.candidates >= self.limits.min_count {
            let all = round.prompts.iter().flat_map(|prompt| &prompt.candidates);
            let cut = all.filter(|candidate| candidate.ended == Ended::Length).count();
            let share = cut as f64 / f64::from(round.candidates);
            if share > self.limits.endless {
                self.warn(
                    "collapse",
                    share,
                    self.limits.endless,
                    window.clone(),
                    format!("{} of the candidates never end", percent(share)),
                    "Look for loops on the Gen screen; the model may have lost its end token.",
                );
            } else if share > self.limits.truncated {
                self.warn(
                    "truncated",
                    share,
                    self.limits.truncated,
                    window.clone(),
                    format!("{} of the candidates were cut off", percent(share)),
                    "Raise candidates.max_tokens; cut answers give no pair.",
                );
            }
        }
        self.diversity(&window);
        self.lengths(&window);
    }

    fn diversity(&mut self, window: &str) {
        if let (Some(now), Some(before)) = (self.measured("distinct_2"), self.measured_before("distinct_2"))
            && now < before * (1.0 - self.limits.distinct_fall)
        {
            self.warn(
                "collapse",
                now,
                before * (1.0 - self.limits.distinct_fall),
                window.into(),
                format!("distinct word pairs fell from {before:.2} to {now:.2}"),
                "Diversity dies: raise the temperature, train less, or go back to the model before.",
            );
        }
        if let Some(share) = self.measured("near_duplicates").filter(|&share| share > self.limits.near_duplicates) {
            self.warn(
                "collapse",
                share,
                self.limits.near_duplicates,
                window.into(),
                format!("{} of the candidate pairs are nearly the same text", percent(share)),
                "Raise the sampling temperature; equal candidates teach nothing.",
            );
        }
        if let Some(share) = self.measured("repetition").filter(|&share| share > self.limits.repetition) {
            self.warn(
                "collapse",
                share,
                self.limits.repetition,
                window.into(),
                format!("{} of the 4-word sequences repeat within an answer", percent(share)),
                "The model loops: lower the learning rate, add the NLL term, or go back.",
            );
        }
    }

    fn lengths(&mut self, window: &str) {
        if let (Some(now), Some(before)) = (self.measured("mean_words"), self.measured_before("mean_words"))
            && now > before * (1.0 + self.limits.length_growth)
        {
            self.warn(
                "len-bias",
                now / before - 1.0,
                self.limits.length_growth,
                window.into(),
                format!("answers grew from {before:.0} to {now:.0} words in one iteration"),
                "Set pairs.length_rho or the length-normalised loss; check that quality grew too.",
            );
        }
        if let Some(rho) = self.measured("length_rho").filter(|&rho| rho > self.limits.length_rho) {
            self.warn(
                "len-bias",
                rho,
                self.limits.length_rho,
                window.into(),
                format!("scores follow length (rank correlation {rho:.2} within prompts)"),
                "The judge rewards length: set pairs.length_rho, and check pairs by length.",
            );
        }
        let pairs = self.round.pairs;
        // People's answers, which a reward model labels, are not ours to shorten: a long one may well be the better one.
        if self.round.iteration > 0 && pairs >= self.limits.min_count {
            let longer = self.round.pairs().filter(|(_, pair)| pair.length_ratio > 1.0).count();
            let shorter = self.round.pairs().filter(|(_, pair)| pair.length_ratio < 1.0).count();
            let share = longer as f64 / (longer + shorter).max(1) as f64;
            if share > self.limits.chosen_longer && longer + shorter >= self.limits.min_count as usize {
                self.warn(
                    "len-bias",
                    share,
                    self.limits.chosen_longer,
                    format!("{pairs} pairs of iteration {}", self.round.iteration),
                    format!("the chosen answer is longer in {} of the pairs", percent(share)),
                    "Set pairs.length_rho or the length-normalised loss; check pairs by length.",
                );
            }
        }
    }

    pub(super) fn prompts(&mut self) {
        let round = self.round;
        let refused: u32 = round.refused.values().sum();
        let all = refused + round.prompts.len() as u32;
        if all < self.limits.min_count {
            return;
        }
        let window = format!("{all} prompts written in iteration {}", round.iteration);
        let share = f64::from(refused) / f64::from(all);
        if share > self.limits.refused_prompts {
            let most = round.refused.iter().max_by_key(|(_, count)| **count).map_or("", |(why, _)| why.as_str());
            self.warn(
                "prompts",
                share,
                self.limits.refused_prompts,
                window.clone(),
                format!("{} of the new prompts are refused, most as {most}", percent(share)),
                "See the reasons on the Gen screen; the writer may be repeating itself.",
            );
        }
        if let Some(share) = self.measured("top_opening").filter(|&share| share > self.limits.top_opening) {
            self.warn(
                "prompts",
                share,
                self.limits.top_opening,
                window.clone(),
                format!("{} of the accepted prompts begin with the same three words", percent(share)),
                "Vary the seed prompts or raise the writer's temperature.",
            );
        }
        let contaminated = f64::from(round.refused.get("contaminated").copied().unwrap_or(0)) / f64::from(all);
        if contaminated > self.limits.contaminated {
            self.warn(
                "contamination",
                contaminated,
                self.limits.contaminated,
                window,
                format!("{} of the new prompts repeat held-out data", percent(contaminated)),
                "They were refused; make sure that held-out data is not among the seeds.",
            );
        }
    }
}
