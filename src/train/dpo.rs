//! Preference training: pairs of replies, the reference's log-probs given, and examples mixed in if wanted.
//!
//! The loss that is reported is the preference loss alone, so that it is ln 2 where policy and reference are the same; the
//! terms beside it are reported beside it.

use anyhow::{Result, ensure};

use crate::train::batch::{self, Item, Sequence};
use crate::train::gradient::TokenLogProbs;
use crate::train::hand::pass::Manner;
use crate::train::log_probs;
use crate::train::losses::{self, PairLogProbs, PairLoss, PreferenceLoss};
use crate::train::parameters::Numbers;
use crate::train::sft;
use crate::train::state::Fingerprint;
use crate::train::step::{LessonSettings, PreferenceReport, Pupil, StepReport};
use crate::train::student::{Handle, Student};
use crate::train::workers::Workers;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DpoSettings {
    pub lesson: LessonSettings,
    pub loss: PreferenceLoss,
    /// Weight of the chosen reply's negative log-likelihood per token.
    pub nll_weight: f64,
    /// Weight of tokens beyond the shorter reply's length; 1 is plain DPO.
    pub length_tail: f64,
    /// Examples mixed into each step, at weight 1.
    pub replay: usize,
}

/// Two replies to one prompt, and what the reference says of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub chosen: Sequence,
    pub rejected: Sequence,
    /// Sums of log-probs, of which the tail's tokens have the tail's weight.
    pub reference_chosen: f64,
    pub reference_rejected: f64,
}

impl Pair {
    fn shorter(&self) -> usize {
        self.chosen.reply.len().min(self.rejected.reply.len())
    }

    /// The log-prob of a reply with its tail's weight.
    pub fn weighted(&self, log_probs: &[f32], tail: f64) -> f64 {
        let shorter = self.shorter();
        let weigh = |(at, &log_prob): (usize, &f32)| losses::tail_weight(at, shorter, tail) * f64::from(log_prob);
        log_probs.iter().enumerate().map(weigh).sum()
    }

    fn item(&self, pads: bool) -> Item<'_> {
        let (chosen, rejected) = (self.chosen.read(), self.rejected.read());
        let both = Item::two(chosen, rejected);
        if pads { Item { positions: 2 * chosen.len().max(rejected.len()), ..both } } else { both }
    }
}

/// One pair after a forward pass.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    log_probs: PairLogProbs,
    loss: PairLoss,
    nll: f64,
}

enum Work {
    Pairs(Vec<usize>),
    Replay(Vec<usize>),
}

enum Done {
    /// Places in the step, and what became of each.
    Pairs(Vec<(usize, Outcome)>),
    Replay(f64),
}

#[derive(Debug)]
pub struct Dpo {
    pub pupil: Pupil,
    pairs: Vec<Pair>,
    held_out: Vec<Pair>,
    replay: Vec<Sequence>,
    settings: DpoSettings,
}

impl Dpo {
    pub fn new(
        student: impl Into<Student>,
        pairs: Vec<Pair>,
        held_out: Vec<Pair>,
        replay: Vec<Sequence>,
        settings: DpoSettings,
        workers: Workers,
    ) -> Result<Dpo> {
        ensure!(!pairs.is_empty(), "there are no pairs to learn from");
        let steps = batch::steps(pairs.len(), settings.lesson.batch, settings.lesson.epochs);
        Ok(Dpo { pupil: Pupil::new(student, &settings.lesson, steps, workers), pairs, held_out, replay, settings })
    }

    pub fn step(&mut self) -> Result<StepReport> {
        let (report, gradient) = self.measure()?;
        self.pupil.apply(gradient, report)
    }

    /// Loss and gradient of the next step, which is not taken.
    pub fn measure(&self) -> Result<(StepReport, Numbers)> {
        let DpoSettings { lesson, .. } = self.settings;
        let (step, workers) = (self.pupil.taken, self.pupil.workers.count());
        let chosen = batch::of_step(self.pairs.len(), lesson.batch, step, lesson.seed);
        let pairs: Vec<&Pair> = chosen.iter().map(|&item| &self.pairs[item]).collect();
        let replay: Vec<&Sequence> =
            batch::in_turn(self.replay.len(), self.settings.replay, step, lesson.seed ^ REPLAY_ORDER)
                .into_iter()
                .map(|item| &self.replay[item])
                .collect();
        let tokens_of = |sequences: &[&Sequence]| -> u64 {
            sequences.iter().map(|sequence| u64::from(sequence.reply_tokens())).sum()
        };
        let replay_tokens = tokens_of(&replay);
        let pair_tokens: u64 = pairs.iter().map(|pair| tokens_of(&[&pair.chosen, &pair.rejected])).sum();

        let pads = self.pupil.student()?.pads();
        let items: Vec<Item<'_>> = pairs.iter().map(|pair| pair.item(pads)).collect();
        let dealt = batch::deal(&items, workers, lesson.most_positions, pads);
        let mut parts: Vec<Vec<Work>> =
            dealt.into_iter().map(|groups| groups.into_iter().map(Work::Pairs).collect()).collect();
        let items: Vec<Item<'_>> = replay.iter().map(|sequence| Item::text(sequence.read())).collect();
        let dealt =
            if replay.is_empty() { Vec::new() } else { batch::deal(&items, workers, lesson.most_positions, pads) };
        for (worker, groups) in dealt.into_iter().enumerate() {
            let groups = groups.into_iter().map(Work::Replay);
            match parts.get_mut(worker) {
                Some(part) => part.extend(groups),
                None => parts.push(groups.collect()),
            }
        }
        let settings = self.settings;
        let (done, gradient) = self.pupil.gradient(parts, |handle, work, sum| match work {
            Work::Pairs(group) => {
                let manner = lesson.manner(step, 0, group.first().copied().unwrap_or(0));
                let own: Vec<&Pair> = group.iter().map(|&item| pairs[item]).collect();
                let outcomes = preferences(handle, &own, &settings, pairs.len(), manner, sum)?;
                Ok(Done::Pairs(group.into_iter().zip(outcomes).collect()))
            }
            Work::Replay(group) => {
                let manner = lesson.manner(step, 1, group.first().copied().unwrap_or(0));
                let group: Vec<&Sequence> = group.into_iter().map(|item| replay[item]).collect();
                Ok(Done::Replay(sft::answers(handle, &group, replay_tokens, manner, sum)?))
            }
        })?;
        let (mut outcomes, mut broken, mut replayed) = (Vec::new(), Vec::new(), None);
        for done in done {
            match done {
                Done::Pairs(own) => {
                    let damaged = own.iter().filter(|(_, outcome)| !(outcome.loss.loss + outcome.nll).is_finite());
                    broken.extend(damaged.map(|&(item, _)| chosen[item]));
                    outcomes.extend(own.into_iter().map(|(_, outcome)| outcome));
                }
                Done::Replay(loss) => *replayed.get_or_insert(0.0) += loss,
            }
        }
        broken.sort_unstable();
        let preference = PreferenceReport { replay: replayed, ..summarise(&outcomes) };
        let count = outcomes.len().max(1) as f64;
        let loss = outcomes.iter().map(|outcome| outcome.loss.loss).sum::<f64>() / count;
        let report = StepReport {
            loss,
            tokens: pair_tokens + replay_tokens,
            preference: Some(preference),
            batch: chosen,
            broken,
            ..StepReport::default()
        };
        Ok((report, gradient))
    }

    /// A name for what is learnt and in which order.
    pub fn fingerprint(&self) -> String {
        let DpoSettings { lesson, replay, .. } = self.settings;
        let mut print = Fingerprint::default();
        print.number(lesson.seed).number(lesson.batch as u64).number(replay as u64).number(self.pairs.len() as u64);
        for pair in &self.pairs {
            print.sequence(&pair.chosen).sequence(&pair.rejected);
            print.number(pair.reference_chosen.to_bits()).number(pair.reference_rejected.to_bits());
        }
        self.replay.iter().for_each(|example| {
            print.sequence(example);
        });
        print.name()
    }

    /// Share of held-out pairs whose chosen reply has the higher reward.
    pub fn held_out(&self) -> Result<Option<f64>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let rows: Vec<&Sequence> = self.held_out.iter().flat_map(|pair| [&pair.chosen, &pair.rejected]).collect();
        let most = self.settings.lesson.most_positions;
        let scored = log_probs::log_probs(self.pupil.student()?, &rows, &self.pupil.workers, most)?;
        let outcomes: Vec<Outcome> = self
            .held_out
            .iter()
            .zip(scored.chunks_exact(2))
            .map(|(pair, sides)| outcome(pair, &sides[0], &sides[1], &self.settings))
            .collect();
        Ok(Some(summarise(&outcomes).accuracy))
    }
}

/// Pairs and replay are shuffled apart.
const REPLAY_ORDER: u64 = 0x7265_706c_6179;

/// Losses of some pairs of a step that has so many pairs in all; the gradient is added to `sum`. With dropout, the losses and where they push
/// are those of the whole network, by a pass of its own, because the reference was scored whole; the gradient is that of
/// the thinned one.
fn preferences(
    handle: &Handle<'_>,
    pairs: &[&Pair],
    settings: &DpoSettings,
    pairs_of_step: usize,
    manner: Manner,
    sum: &mut Numbers,
) -> Result<Vec<Outcome>> {
    // All chosen replies first, then all rejected ones.
    let chosen = pairs.iter().map(|pair| &pair.chosen);
    let rows: Vec<&Sequence> = chosen.chain(pairs.iter().map(|pair| &pair.rejected)).collect();
    let mut outcomes = Vec::new();
    let drops = manner.dropout.is_some() || manner.adapter_dropout.is_some();
    let whole = if drops { Some(handle.log_probs(&rows)?) } else { None };
    let derivative = |log_probs: &TokenLogProbs| {
        let log_probs = whole.as_ref().unwrap_or(log_probs);
        let (chosen, rejected) = log_probs.split_at(pairs.len());
        let sides = pairs.iter().zip(chosen.iter().zip(rejected));
        outcomes = sides.map(|(pair, (chosen, rejected))| outcome(pair, chosen, rejected, settings)).collect();
        derivatives(pairs, &outcomes, settings, pairs_of_step)
    };
    handle.gradient(&rows, manner, derivative, sum)?;
    Ok(outcomes)
}

fn outcome(pair: &Pair, chosen: &[f32], rejected: &[f32], settings: &DpoSettings) -> Outcome {
    let log_probs = PairLogProbs {
        chosen: pair.weighted(chosen, settings.length_tail),
        rejected: pair.weighted(rejected, settings.length_tail),
        reference_chosen: pair.reference_chosen,
        reference_rejected: pair.reference_rejected,
        chosen_tokens: pair.chosen.reply_tokens(),
        rejected_tokens: pair.rejected.reply_tokens(),
    };
    let (nll, _) = losses::nll(log_probs::sum(chosen), pair.chosen.reply_tokens());
    Outcome { log_probs, loss: settings.loss.of(&log_probs), nll }
}

/// ∂ (mean over the step's pairs) / ∂ log p, token by token, chosen rows first.
fn derivatives(pairs: &[&Pair], outcomes: &[Outcome], settings: &DpoSettings, pairs_of_step: usize) -> TokenLogProbs {
    let share = 1.0 / pairs_of_step.max(1) as f64;
    let of = |pair: &Pair, tokens: usize, by_sum: f64, by_token: f64| -> Vec<f32> {
        let shorter = pair.shorter();
        let weigh = |at: usize| losses::tail_weight(at, shorter, settings.length_tail) * by_sum + by_token;
        (0..tokens).map(|at| (share * weigh(at)) as f32).collect()
    };
    let both = || pairs.iter().zip(outcomes);
    let chosen = both().map(|(pair, outcome)| {
        let tokens = pair.chosen.reply_tokens();
        let by_token = settings.nll_weight * losses::nll(0.0, tokens).1;
        of(pair, tokens as usize, outcome.loss.by_chosen, by_token)
    });
    let rejected = both().map(|(pair, outcome)| of(pair, pair.rejected.reply.len(), outcome.loss.by_rejected, 0.0));
    chosen.chain(rejected).collect()
}

fn summarise(outcomes: &[Outcome]) -> PreferenceReport {
    let count = outcomes.len().max(1) as f64;
    let sum = |value: fn(&Outcome) -> f64| outcomes.iter().map(value).sum::<f64>();
    let mean = |value: fn(&Outcome) -> f64| sum(value) / count;
    let chosen_tokens = sum(|outcome| f64::from(outcome.log_probs.chosen_tokens)).max(1.0);
    let rejected_tokens = sum(|outcome| f64::from(outcome.log_probs.rejected_tokens)).max(1.0);
    PreferenceReport {
        pairs: outcomes.len() as u32,
        reward_chosen: mean(|outcome| outcome.loss.reward_chosen),
        reward_rejected: mean(|outcome| outcome.loss.reward_rejected),
        accuracy: mean(|outcome| losses::agrees(outcome.loss.reward_chosen, outcome.loss.reward_rejected)),
        logp_chosen: mean(|outcome| outcome.log_probs.chosen),
        logp_rejected: mean(|outcome| outcome.log_probs.rejected),
        logp_chosen_per_token: sum(|outcome| outcome.log_probs.chosen) / chosen_tokens,
        logp_rejected_per_token: sum(|outcome| outcome.log_probs.rejected) / rejected_tokens,
        reference_chosen_per_token: sum(|outcome| outcome.log_probs.reference_chosen) / chosen_tokens,
        kl: mean(|outcome| {
            let PairLogProbs { chosen, rejected, reference_chosen, reference_rejected, .. } = outcome.log_probs;
            0.5 * (reference_chosen - chosen + reference_rejected - rejected)
        }),
        nll: mean(|outcome| outcome.nll),
        replay: None,
        largest_log_ratio: outcomes
            .iter()
            .flat_map(|outcome| {
                let PairLogProbs { chosen, rejected, reference_chosen, reference_rejected, .. } = outcome.log_probs;
                [(chosen - reference_chosen).abs(), (rejected - reference_rejected).abs()]
            })
            .fold(0.0, f64::max),
    }
}
