//! Training a reward model on pairs: −log σ(r_chosen − r_rejected), the mean over a batch's pairs.
//!
//! The reward of a reply is a score of the text up to its last token. It knows no judge and no run.

use anyhow::{Result, ensure};

use crate::train::batch::{self, Item, Sequence};
use crate::train::hand::pass::Manner;
use crate::train::losses::{self, PairLoss};
use crate::train::parameters::Numbers;
use crate::train::state::Fingerprint;
use crate::train::step::{LessonSettings, Pupil, RewardReport, StepReport};
use crate::train::student::{Handle, Student};
use crate::train::workers::Workers;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RewardSettings {
    pub lesson: LessonSettings,
    /// The share of the pairs that is believed to be the wrong way round.
    pub label_smoothing: f64,
}

/// Two replies to one prompt, the better one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    pub chosen: Sequence,
    pub rejected: Sequence,
}

#[derive(Debug)]
pub struct Reward {
    pub pupil: Pupil,
    pairs: Vec<Ranked>,
    held_out: Vec<Ranked>,
    settings: RewardSettings,
}

impl Reward {
    /// A student that still writes becomes a reward model.
    pub fn new(
        student: impl Into<Student>,
        pairs: Vec<Ranked>,
        held_out: Vec<Ranked>,
        settings: RewardSettings,
        workers: Workers,
    ) -> Result<Reward> {
        ensure!(!pairs.is_empty(), "there are no pairs to learn from");
        let student = student.into();
        let student = if student.shape().reward { student } else { student.into_reward_model()? };
        let steps = batch::steps(pairs.len(), settings.lesson.batch, settings.lesson.epochs);
        Ok(Reward { pupil: Pupil::new(student, &settings.lesson, steps, workers), pairs, held_out, settings })
    }

    pub fn step(&mut self) -> Result<StepReport> {
        let (report, gradient) = self.measure()?;
        self.pupil.apply(gradient, report)
    }

    /// Loss and gradient of the next step, which is not taken.
    pub fn measure(&self) -> Result<(StepReport, Numbers)> {
        let RewardSettings { lesson, .. } = self.settings;
        let step = self.pupil.taken;
        let chosen = batch::of_step(self.pairs.len(), lesson.batch, step, lesson.seed);
        let pairs: Vec<&Ranked> = chosen.iter().map(|&item| &self.pairs[item]).collect();
        let items: Vec<Item<'_>> =
            pairs.iter().map(|pair| Item::two(pair.chosen.whole(), pair.rejected.whole())).collect();
        let parts = batch::deal(&items, self.pupil.workers.count(), lesson.most_positions, false);
        let settings = self.settings;
        let (done, gradient) = self.pupil.gradient(parts, |handle, group, sum| {
            let manner = lesson.manner(step, 0, group.first().copied().unwrap_or(0));
            let own: Vec<&Ranked> = group.iter().map(|&item| pairs[item]).collect();
            let losses = rank(handle, &own, &settings, pairs.len(), manner, sum)?;
            Ok(group.into_iter().zip(losses).collect::<Vec<_>>())
        })?;
        let losses: Vec<(usize, PairLoss)> = done.into_iter().flatten().collect();
        let count = losses.len().max(1) as f64;
        let mean = |value: fn(&PairLoss) -> f64| losses.iter().map(|(_, loss)| value(loss)).sum::<f64>() / count;
        let mut broken: Vec<usize> =
            losses.iter().filter(|(_, loss)| !loss.loss.is_finite()).map(|&(item, _)| chosen[item]).collect();
        broken.sort_unstable();
        let report = StepReport {
            loss: mean(|loss| loss.loss),
            tokens: pairs.iter().map(|pair| (pair.chosen.whole().len() + pair.rejected.whole().len()) as u64).sum(),
            reward: Some(RewardReport {
                pairs: losses.len() as u32,
                reward_chosen: mean(|loss| loss.reward_chosen),
                reward_rejected: mean(|loss| loss.reward_rejected),
                accuracy: mean(|loss| losses::agrees(loss.reward_chosen, loss.reward_rejected)),
            }),
            batch: chosen,
            broken,
            ..StepReport::default()
        };
        Ok((report, gradient))
    }

    /// A name for what is learnt and in which order.
    pub fn fingerprint(&self) -> String {
        let mut print = Fingerprint::default();
        let RewardSettings { lesson, label_smoothing } = self.settings;
        print.number(lesson.seed).number(lesson.batch as u64).number(self.pairs.len() as u64);
        print.number(label_smoothing.to_bits());
        for pair in &self.pairs {
            print.sequence(&pair.chosen).sequence(&pair.rejected);
        }
        print.name()
    }

    /// Share of held-out pairs whose chosen reply has the higher reward.
    pub fn held_out(&self) -> Result<Option<f64>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let rows: Vec<&Sequence> = self.held_out.iter().flat_map(|pair| [&pair.chosen, &pair.rejected]).collect();
        let most = self.settings.lesson.most_positions;
        let rewards = rewards(self.pupil.student()?, &rows, &self.pupil.workers, most)?;
        let right: f64 = rewards.chunks_exact(2).map(|sides| losses::agrees(sides[0], sides[1])).sum();
        Ok(Some(right / self.held_out.len() as f64))
    }
}

/// Losses of some pairs of a step that has so many in all; the gradient is added to `sum`.
fn rank(
    handle: &Handle<'_>,
    pairs: &[&Ranked],
    settings: &RewardSettings,
    pairs_of_step: usize,
    manner: Manner,
    sum: &mut Numbers,
) -> Result<Vec<PairLoss>> {
    let rows: Vec<&Sequence> = pairs.iter().flat_map(|pair| [&pair.chosen, &pair.rejected]).collect();
    let mut found = Vec::new();
    let share = 1.0 / pairs_of_step.max(1) as f64;
    let derivative = |rewards: &[f64]| {
        let sides = rewards.chunks_exact(2);
        found = sides.map(|sides| losses::reward(sides[0], sides[1], settings.label_smoothing)).collect();
        found.iter().flat_map(|loss| [share * loss.by_chosen, share * loss.by_rejected]).collect()
    };
    handle.reward_gradient(&rows, manner, derivative, sum)?;
    Ok(found)
}

/// Rewards of replies in order, in groups of at most so many positions.
pub fn rewards(student: &Student, rows: &[&Sequence], workers: &Workers, most_positions: usize) -> Result<Vec<f64>> {
    student.each(rows, Sequence::whole, workers, most_positions, |handle, group| handle.rewards(group))
}
