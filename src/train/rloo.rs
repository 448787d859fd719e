//! Learning from rewards (RLOO): the answers to one prompt push by how much better each is than the mean of the others.
//!
//! What an answer is worth and how hard it pushes is `recipe::rloo`; here it becomes a gradient: every token of an answer has the same
//! coefficient. It knows no judge and no run.

use anyhow::{Result, ensure};

use crate::recipe::rloo::{self, Looked, Rule, Sample};
use crate::train::batch::{self, Item, Sequence};
use crate::train::gradient::TokenLogProbs;
use crate::train::hand::pass::Manner;
use crate::train::log_probs;
use crate::train::parameters::Numbers;
use crate::train::state::Fingerprint;
use crate::train::step::{LessonSettings, Pupil, StepReport};
use crate::train::student::{Handle, Student};
use crate::train::workers::Workers;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RlooSettings {
    /// Its batch counts prompts.
    pub lesson: LessonSettings,
    pub rule: Rule,
}

/// One answer and what a judge and the reference say of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub text: Sequence,
    /// As the judge gave it: reported.
    pub reward: f64,
    /// As it counts.
    pub worth: f64,
    pub reference: f64,
}

/// The answers to one prompt.
pub type Group = Vec<Answer>;

#[derive(Debug)]
pub struct Rloo {
    pub pupil: Pupil,
    groups: Vec<Group>,
    settings: RlooSettings,
}

impl Rloo {
    pub fn new(
        student: impl Into<Student>,
        groups: Vec<Group>,
        settings: RlooSettings,
        workers: Workers,
    ) -> Result<Rloo> {
        ensure!(!groups.is_empty(), "there are no answers to learn from");
        ensure!(groups.iter().all(|group| !group.is_empty()), "a prompt without answers teaches nothing");
        let steps = batch::steps(groups.len(), settings.lesson.batch, settings.lesson.epochs);
        Ok(Rloo { pupil: Pupil::new(student, &settings.lesson, steps, workers), groups, settings })
    }

    pub fn step(&mut self) -> Result<StepReport> {
        let (report, gradient) = self.measure()?;
        self.pupil.apply(gradient, report)
    }

    /// Loss and gradient of the next step, which is not taken.
    pub fn measure(&self) -> Result<(StepReport, Numbers)> {
        let RlooSettings { lesson, rule } = self.settings;
        let step = self.pupil.taken;
        let chosen = batch::of_step(self.groups.len(), lesson.batch, step, lesson.seed);
        let groups: Vec<&Group> = chosen.iter().map(|&item| &self.groups[item]).collect();
        let answers: usize = groups.iter().map(|group| group.len()).sum();
        let pads = self.pupil.student()?.pads();
        let items: Vec<Item<'_>> = groups.iter().map(|group| item(group, pads)).collect();
        let parts = batch::deal(&items, self.pupil.workers.count(), lesson.most_positions, pads);
        let (done, gradient) = self.pupil.gradient(parts, |handle, part, sum| {
            let manner = lesson.manner(step, 0, part.first().copied().unwrap_or(0));
            let own: Vec<&Group> = part.iter().map(|&item| groups[item]).collect();
            let looked = push(handle, &own, rule, answers, manner, sum)?;
            Ok(part.into_iter().zip(looked).collect::<Vec<_>>())
        })?;
        let mut looked: Vec<(usize, Vec<Looked>)> = done.into_iter().flatten().collect();
        // Sums do not depend on which worker was given what.
        looked.sort_by_key(|(item, _)| *item);
        let is_broken = |looked: &[Looked]| looked.iter().any(|answer| !answer.push.loss.is_finite());
        let mut broken: Vec<usize> =
            looked.iter().filter(|(_, looked)| is_broken(looked)).map(|&(item, _)| chosen[item]).collect();
        broken.sort_unstable();
        let looked: Vec<Vec<Looked>> = looked.into_iter().map(|(_, looked)| looked).collect();
        let found = rloo::summary(&looked);
        let report = StepReport {
            loss: found.loss,
            tokens: looked.iter().flatten().map(|answer| u64::from(answer.tokens)).sum(),
            groups: Some(found),
            batch: chosen,
            broken,
            ..StepReport::default()
        };
        Ok((report, gradient))
    }

    /// A name for what is learnt and in which order.
    pub fn fingerprint(&self) -> String {
        let RlooSettings { lesson, rule } = self.settings;
        let mut print = Fingerprint::default();
        print.number(lesson.seed).number(lesson.batch as u64).number(self.groups.len() as u64);
        print.number(rule.beta.to_bits()).number(rule.clip.to_bits());
        for group in &self.groups {
            print.number(group.len() as u64);
            for answer in group {
                print.sequence(&answer.text).number(answer.worth.to_bits()).number(answer.reference.to_bits());
            }
        }
        print.name()
    }
}

/// A prompt's answers stay together: what they begin with alike is computed once.
fn item(group: &Group, pads: bool) -> Item<'_> {
    let texts: Vec<&[u32]> = group.iter().map(|answer| answer.text.read()).collect();
    let together = Item::several(&texts);
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    if pads { Item { positions: texts.len() * longest, ..together } } else { together }
}

/// Pushes of some prompts of a step that has so many answers in all; the gradient is added to `sum`. With dropout, where answers push is
/// said by the whole network, by a pass of its own, because the reference was scored whole; the gradient is that of the thinned one.
fn push(
    handle: &Handle<'_>,
    groups: &[&Group],
    rule: Rule,
    answers: usize,
    manner: Manner,
    sum: &mut Numbers,
) -> Result<Vec<Vec<Looked>>> {
    let rows: Vec<&Sequence> = groups.iter().flat_map(|group| group.iter().map(|answer| &answer.text)).collect();
    let mut looked = Vec::new();
    let drops = manner.dropout.is_some() || manner.adapter_dropout.is_some();
    let whole = if drops { Some(handle.log_probs(&rows)?) } else { None };
    let share = 1.0 / answers.max(1) as f64;
    let derivative = |thinned: &TokenLogProbs| {
        let mut rest = whole.as_ref().unwrap_or(thinned).as_slice();
        for group in groups {
            let (own, after) = rest.split_at(group.len());
            rest = after;
            looked.push(look(group, own, rule));
        }
        let by = looked.iter().flatten().map(|answer| (share * answer.push.by_log_prob) as f32);
        by.zip(thinned).map(|(by, tokens)| vec![by; tokens.len()]).collect()
    };
    handle.gradient(&rows, manner, derivative, sum)?;
    Ok(looked)
}

fn look(group: &Group, log_probs: &[Vec<f32>], rule: Rule) -> Vec<Looked> {
    let samples: Vec<Sample> = group
        .iter()
        .zip(log_probs)
        .map(|(answer, tokens)| Sample {
            reward: answer.worth,
            log_prob: log_probs::sum(tokens),
            reference: answer.reference,
        })
        .collect();
    let pushes = rloo::pushes(&samples, rule);
    let all = group.iter().zip(samples).zip(pushes);
    all.map(|((answer, sample), push)| Looked {
        sample,
        reward: answer.reward,
        tokens: answer.text.reply_tokens(),
        push,
    })
    .collect()
}
