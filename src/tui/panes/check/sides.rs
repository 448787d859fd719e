//! Which answer stands on which side, what may be said about it, and its text.
//!
//! Blind, the sides are drawn by lot, once and for ever for each pair: from its name and the run's seed, never from a clock.

use std::rc::Rc;

use crate::run::entry::Entry;
use crate::run::event::Event;
use crate::run::ids::{PromptId, Seq};
use crate::run::view::{CandidateView, PairView, PromptView};
use crate::tui::app::App;
use crate::tui::figures::number;
use crate::tui::panes::check::queue;

/// Scores, roles, signs and rationales are out of sight until the pair is decided.
pub fn hidden(app: &App, id: PromptId) -> bool {
    app.check.blind && !queue::status(app, id).is_decided()
}

/// The candidates on the left and on the right.
pub fn sides(app: &App, id: PromptId, pair: &PairView) -> [u32; 2] {
    let judged = [pair.chosen, pair.rejected];
    if app.check.blind && turned(app, id) { [pair.rejected, pair.chosen] } else { judged }
}

/// Whether the chosen answer stands on the right in blind mode.
fn turned(app: &App, id: PromptId) -> bool {
    let seed = app.view().started.as_ref().map_or(0, |started| started.seed);
    blake3::hash(format!("sides of {id} in {seed}").as_bytes()).as_bytes()[0] & 1 == 1
}

pub fn prompt(app: &App, id: PromptId) -> Option<&PromptView> {
    app.view().round(id.iteration)?.prompts.get(id.number as usize)
}

pub fn candidate(app: &App, id: PromptId, number: u32) -> Option<&CandidateView> {
    prompt(app, id)?.candidates.get(number as usize)
}

/// What was written at this place, as it was written.
pub fn text(app: &App, seq: Seq) -> String {
    if seq == 0 {
        // Only people's pairs have no place: the journal holds those that were offered.
        return "(not offered: its text is in the data alone)".into();
    }
    app.source.texts.text(seq).unwrap_or_else(|| "(this text is missing from the journal)".into())
}

/// A judge's reply with the place of its score.
pub struct Reply {
    entry: Rc<Entry>,
}

impl Reply {
    pub fn of(app: &App, seq: Seq) -> Option<Reply> {
        let entry = app.source.texts.entry(seq)?;
        matches!(entry.event, Event::CandidateJudged(_)).then_some(Reply { entry })
    }

    pub fn judged(&self) -> Option<&crate::run::event::CandidateJudged> {
        match &self.entry.event {
            Event::CandidateJudged(judged) => Some(judged),
            _ => None,
        }
    }
}

/// A score as a person writes it: `3`, `3.5`.
pub fn points(score: f64) -> String {
    if score.fract() == 0.0 { format!("{score:.0}") } else { number(score, 2) }
}

/// `(3 5 –) sd 1.0`: what each of the judge's replies gave, and how far they lie apart.
pub fn scores(candidate: &CandidateView) -> String {
    if candidate.judgements.is_empty() {
        return "not judged".into();
    }
    let each: Vec<String> = candidate.judgements.iter().map(|j| j.score().map_or("–".to_string(), points)).collect();
    let sd = spread(candidate).map_or(String::new(), |sd| format!(" sd {}", number(sd, 2)));
    format!("({}){sd}", each.join(" "))
}

fn parsed(candidate: &CandidateView) -> Vec<f64> {
    candidate.judgements.iter().filter_map(|judgement| judgement.score().ok()).collect()
}

/// The mean of the parsed scores.
pub fn mean(candidate: &CandidateView) -> Option<f64> {
    let scores = parsed(candidate);
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// The standard deviation of the parsed scores.
pub fn spread(candidate: &CandidateView) -> Option<f64> {
    let scores = parsed(candidate);
    let mean = mean(candidate)?;
    let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
    (scores.len() > 1).then(|| (squares / (scores.len() - 1) as f64).sqrt())
}
