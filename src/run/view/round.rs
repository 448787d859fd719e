//! One iteration as the fold knows it: prompts, candidates, judgements, pairs, the gate.
//!
//! Holds numbers and the places (seq) of texts, not the texts: a viewer of a week-long run must stay small. `lookup` fetches texts.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::run::entry::Stamp;
use crate::run::event::{
    CandidateJudged, CandidateSampled, EftFiltered, Gate, Measured, Outcome, PairSelected, Picked, Queued,
    SpotCheckClosed, TrainingSetFixed,
};
use crate::run::ids::{PromptId, Seq};
use crate::run::reasons::{Ended, Scored, Sign, Unscored};
use crate::run::view::prompts::Prompts;
use crate::run::view::repeats::Repeats;

/// An iteration. Iteration 0 has no prompts: it learns from human data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub iteration: u32,
    #[serde(skip)]
    pub prompts: Prompts,
    /// Refused prompts by reason, and the places of the latest of them.
    pub refused: OrdMap<String, u32>,
    pub refused_lately: Vector<Seq>,
    /// The highest attempt at a prompt so far.
    pub attempts: u64,
    pub eft: Option<Arc<EftFiltered>>,
    pub judge: JudgeTally,
    pub candidates: u32,
    pub pairs: u32,
    /// Prompts without a pair, by reason.
    pub skipped: OrdMap<String, u32>,
    pub gate: Option<GateView>,
    #[serde(skip)]
    pub training: Option<Arc<TrainingSetFixed>>,
    pub reference_scored: u32,
    /// The latest measures of each stage, by name.
    pub measured: OrdMap<String, f64>,
    pub phrases: Option<Arc<Measured>>,
    pub finished_at: Option<Stamp>,
}

/// What the judge's replies of one iteration amount to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgeTally {
    pub replies: u32,
    /// By reason, in the order of `Unscored::ALL`.
    pub unscored: [u32; Unscored::ALL.len()],
    /// Empty for a judge whose scores have no scale.
    pub histogram: [u32; 6],
    pub sum: f64,
    pub truncated: u32,
    pub contradictions: u32,
    /// Replies whose text had been given before in this iteration, among its last 49,152 different ones at least.
    pub repeated: u32,
    /// What has been seen lately; emptied when judging ends.
    #[serde(skip)]
    pub(in crate::run) seen: Repeats,
}

impl JudgeTally {
    pub fn unparsed(&self) -> u32 {
        self.unscored.iter().sum()
    }

    pub fn parsed(&self) -> u32 {
        self.replies - self.unparsed()
    }

    pub fn mean(&self) -> Option<f64> {
        (self.parsed() > 0).then(|| self.sum / f64::from(self.parsed()))
    }

    fn add(&mut self, event: &CandidateJudged, has_scale: bool) {
        self.replies += 1;
        match event.score {
            Ok(score) => {
                if has_scale {
                    self.histogram[score.round().clamp(0.0, 5.0) as usize] += 1;
                }
                self.sum += score;
            }
            Err(why) => {
                let place = Unscored::ALL.iter().position(|&reason| reason == why).unwrap_or(0);
                self.unscored[place] += 1;
            }
        }
        self.truncated += u32::from(event.truncated);
        self.contradictions += u32::from(event.contradicts);
        self.repeated += u32::from(self.seen.repeated(&event.reply));
    }

    pub(super) fn forget_texts(&mut self) {
        self.seen = Repeats::default();
    }
}

/// A prompt with its candidates and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptView {
    /// Where its text stands.
    pub seq: Seq,
    pub candidates: Vec<CandidateView>,
    pub standing: Standing,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateView {
    pub seq: Seq,
    pub words: u32,
    pub tokens: u32,
    pub ended: Ended,
    pub logprob_per_token: Option<f64>,
    pub judgements: Vec<JudgementView>,
}

/// One judgement. A long run has a million of them, so its parts stand close together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgementView {
    /// Zero and without meaning where there is a reason why there is no score.
    scored: f64,
    /// Four billion entries would be a journal of a terabyte.
    seq: u32,
    sample: u16,
    unscored: Option<Unscored>,
}

const _: () = assert!(size_of::<JudgementView>() == 16);

impl JudgementView {
    pub(super) fn new(seq: Seq, sample: u32, score: Scored) -> JudgementView {
        JudgementView {
            seq: u32::try_from(seq).unwrap_or(u32::MAX),
            scored: score.unwrap_or(0.0),
            sample: u16::try_from(sample).unwrap_or(u16::MAX),
            unscored: score.err(),
        }
    }

    /// Where its reply stands.
    pub fn seq(&self) -> Seq {
        self.seq.into()
    }

    pub fn score(&self) -> Scored {
        match self.unscored {
            Some(why) => Err(why),
            None => Ok(self.scored),
        }
    }

    pub fn sample(&self) -> u32 {
        u32::from(self.sample)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Standing {
    /// Not paired yet.
    Open,
    /// No pair; the reason's name, and where it was recorded.
    Skipped {
        seq: Seq,
        why: String,
    },
    Pair(Box<PairView>),
}

/// A pair and what humans did with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairView {
    pub seq: Seq,
    /// As the judge made it.
    pub chosen: u32,
    pub rejected: u32,
    /// No number (NaN), like the scores, where no judge was asked: nothing compares with it and nothing counts it.
    pub margin: f64,
    pub chosen_score: f64,
    pub rejected_score: f64,
    pub length_ratio: f64,
    pub suspicion: f64,
    pub signs: Vec<Sign>,
    /// Places of the decisions about it, oldest first, undone ones included.
    pub history: Vec<Seq>,
    pub status: PairStatus,
    pub outcome: Outcome,
    pub flagged: bool,
    pub notes: u32,
    /// Whether it stands in the set that DPO used; none while that set is not fixed.
    pub used: Option<bool>,
    pub reference: Option<(f64, f64)>,
}

/// How a pair stands with humans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PairStatus {
    /// No human has decided.
    Auto,
    Deferred,
    Kept,
    Vetoed,
    Swapped,
    Tied,
    Edited,
}

impl PairStatus {
    pub fn name(self) -> &'static str {
        match self {
            PairStatus::Auto => "auto",
            PairStatus::Deferred => "deferred",
            PairStatus::Kept => "kept",
            PairStatus::Vetoed => "veto",
            PairStatus::Swapped => "swap",
            PairStatus::Tied => "tie",
            PairStatus::Edited => "edit",
        }
    }

    /// A human has said what becomes of it.
    pub fn is_decided(self) -> bool {
        !matches!(self, PairStatus::Auto | PairStatus::Deferred)
    }
}

/// The gate of an iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateView {
    pub opened_seq: Seq,
    pub opened: Stamp,
    pub gate: Gate,
    pub queue: Arc<[Queued]>,
    pub undecided_limit: f64,
    pub closed: Option<(Stamp, Arc<SpotCheckClosed>)>,
}

impl GateView {
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}

/// How the spot check of an iteration stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckTally {
    pub offered: u32,
    pub decided: u32,
    pub kept: u32,
    pub vetoed: u32,
    pub swapped: u32,
    pub tied: u32,
    pub edited: u32,
    pub deferred: u32,
    /// Of the random part.
    pub random_decided: u32,
    pub random_bad: u32,
    /// Decisions that agree with the judge, of those that say so (keep, swap, tie, veto).
    pub agrees: u32,
}

impl Round {
    pub fn pair(&self, number: u32) -> Option<&PairView> {
        match &self.prompts.get(number as usize)?.standing {
            Standing::Pair(pair) => Some(pair),
            Standing::Open | Standing::Skipped { .. } => None,
        }
    }

    pub(super) fn pair_mut(&mut self, number: u32) -> Option<&mut PairView> {
        match &mut self.prompts.get_mut(number as usize)?.standing {
            Standing::Pair(pair) => Some(pair),
            Standing::Open | Standing::Skipped { .. } => None,
        }
    }

    /// Every pair with its prompt's number.
    pub fn pairs(&self) -> impl Iterator<Item = (PromptId, &PairView)> {
        self.prompts.iter().zip(0..).filter_map(|(prompt, number)| match &prompt.standing {
            Standing::Pair(pair) => Some((PromptId { iteration: self.iteration, number }, pair.as_ref())),
            Standing::Open | Standing::Skipped { .. } => None,
        })
    }

    /// How far the queue of the gate has been decided.
    pub fn check(&self) -> CheckTally {
        let mut tally = CheckTally::default();
        let Some(gate) = &self.gate else { return tally };
        for queued in gate.queue.iter() {
            let Some(pair) = self.pair(queued.pair.number) else { continue };
            tally.offered += 1;
            let status = pair.status;
            match status {
                PairStatus::Auto => {}
                PairStatus::Deferred => tally.deferred += 1,
                PairStatus::Kept => tally.kept += 1,
                PairStatus::Vetoed => tally.vetoed += 1,
                PairStatus::Swapped => tally.swapped += 1,
                PairStatus::Tied => tally.tied += 1,
                PairStatus::Edited => tally.edited += 1,
            }
            if status.is_decided() {
                let stands = pair.outcome == Outcome::Use { chosen: pair.chosen, rejected: pair.rejected };
                tally.decided += 1;
                tally.agrees += u32::from(stands);
                if queued.picked == Picked::Random {
                    tally.random_decided += 1;
                    tally.random_bad += u32::from(!stands);
                }
            }
        }
        tally
    }

    /// How many pairs the random part was drawn from: all, but for labels that humans had decided about in an earlier loop.
    pub fn drawn_from(&self) -> u32 {
        let Some(gate) = self.gate.as_ref().filter(|_| self.iteration == 0) else { return self.pairs };
        let asked = |pair: &PairView| pair.history.first().is_none_or(|&seq| seq > gate.opened_seq);
        self.pairs().filter(|(_, pair)| asked(pair)).count() as u32
    }

    pub(super) fn sampled(&mut self, seq: Seq, event: &CandidateSampled) -> bool {
        let Some(prompt) = self.prompts.get_mut(event.prompt.number as usize) else { return false };
        if event.candidate as usize != prompt.candidates.len() {
            return false;
        }
        // There are few, and there are a million of them: no room is kept for more.
        prompt.candidates.reserve_exact(1);
        prompt.candidates.reserve_exact(1);
        prompt.candidates.push(CandidateView {
            seq,
            words: event.text.split_whitespace().count() as u32,
            tokens: event.tokens,
            ended: event.ended,
            logprob_per_token: event.logprob_per_token,
            judgements: Vec::new(),
        });
        self.candidates += 1;
        true
    }

    pub(super) fn judged(&mut self, seq: Seq, event: &CandidateJudged, has_scale: bool) -> bool {
        let candidate = self
            .prompts
            .get_mut(event.prompt.number as usize)
            .and_then(|prompt| prompt.candidates.get_mut(event.candidate as usize));
        let Some(candidate) = candidate else { return false };
        candidate.judgements.reserve_exact(1);
        // They are few and never more than planned: room for others would be most of what a long run takes.
        candidate.judgements.reserve_exact(1);
        candidate.judgements.push(JudgementView::new(seq, event.sample, event.score));
        self.judge.add(event, has_scale);
        true
    }

    pub(super) fn paired(&mut self, seq: Seq, event: &PairSelected) -> bool {
        let Some(prompt) = self.prompts.get_mut(event.id.number as usize) else { return false };
        let scores = (event.chosen_score.unwrap_or(f64::NAN), event.rejected_score.unwrap_or(f64::NAN));
        prompt.standing = Standing::Pair(Box::new(PairView {
            seq,
            chosen: event.chosen,
            rejected: event.rejected,
            margin: scores.0 - scores.1,
            chosen_score: scores.0,
            rejected_score: scores.1,
            length_ratio: event.length_ratio,
            suspicion: event.suspicion,
            signs: event.signs.clone(),
            history: Vec::new(),
            status: PairStatus::Auto,
            outcome: Outcome::Undecided,
            flagged: false,
            notes: 0,
            used: None,
            reference: None,
        }));
        self.pairs += 1;
        true
    }
}
