//! Two score files as one table: what the judge said beside what the reference says, response by response.
//!
//! Used by the `metrics` command, which hands the table to the agreement metrics. It reads no files and computes no metric. A response
//! joins by prompt id and equal text; where neither file has texts, by prompt id and response id. What stays alone is counted on its
//! side, because a metric over half of the rows is a different metric.

use std::collections::HashMap;

use super::scores::{ScoredPrompt, ScoredResponse};
use crate::recipe::agreement::Response;

/// Everything that joined, and a count of what did not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined {
    /// In the order of the judge's file.
    pub prompts: Vec<JoinedPrompt>,
    pub judge_alone: Alone,
    pub reference_alone: Alone,
    /// Prompts that have the same id and a different text in the two files; they are among those alone.
    pub other_prompt_text: usize,
}

/// What one side has and the other has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alone {
    /// Prompts of which no response joined.
    pub prompts: usize,
    /// Responses that did not join, those of such prompts included.
    pub responses: usize,
}

/// One instruction with the responses that both files know.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedPrompt {
    pub id: String,
    pub prompt: Option<String>,
    pub responses: Vec<JoinedResponse>,
}

/// One response under both views. A side without a score or rank is `None`; it is never a number.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedResponse {
    /// Higher is better. A judge's file of ranks gives the negated rank.
    pub judge_score: Option<f64>,
    /// Lower is better. A reference of scores gives the negated score, so that `-reference_rank` is the score again.
    pub reference_rank: Option<f64>,
    /// The length of the response, where a file has its text.
    pub chars: Option<usize>,
}

impl Joined {
    /// The table as the agreement metrics take it: one list for each instruction.
    pub fn responses(&self) -> Vec<Vec<Response>> {
        let response = |joined: &JoinedResponse| Response { judge: joined.judge_score, rank: joined.reference_rank };
        self.prompts.iter().map(|prompt| prompt.responses.iter().map(response).collect()).collect()
    }
}

/// Joins a judge's file with a reference.
pub fn join(judge: &[ScoredPrompt], reference: &[ScoredPrompt]) -> Joined {
    let by_id: HashMap<&str, (usize, &ScoredPrompt)> =
        reference.iter().enumerate().map(|(i, prompt)| (prompt.id.as_str(), (i, prompt))).collect();
    let mut found = Joined::default();
    let mut met = vec![false; reference.len()];
    for ours in judge {
        let Some(&(at, theirs)) = by_id.get(ours.id.as_str()) else {
            found.judge_alone.add(ours.responses.len(), true);
            continue;
        };
        if let Some(met) = met.get_mut(at) {
            *met = true;
        }
        if matches!((&ours.prompt, &theirs.prompt), (Some(a), Some(b)) if a != b) {
            found.other_prompt_text += 1;
            found.judge_alone.add(ours.responses.len(), true);
            found.reference_alone.add(theirs.responses.len(), true);
            continue;
        }
        let responses = join_responses(&ours.responses, &theirs.responses);
        let joined = responses.len();
        found.judge_alone.add(ours.responses.len() - joined, joined == 0);
        found.reference_alone.add(theirs.responses.len() - joined, joined == 0);
        if joined > 0 {
            let prompt = ours.prompt.clone().or_else(|| theirs.prompt.clone());
            found.prompts.push(JoinedPrompt { id: ours.id.clone(), prompt, responses });
        }
    }
    for (theirs, _) in reference.iter().zip(met).filter(|(_, met)| !met) {
        found.reference_alone.add(theirs.responses.len(), true);
    }
    found
}

impl Alone {
    fn add(&mut self, responses: usize, whole_prompt: bool) {
        self.responses += responses;
        self.prompts += usize::from(whole_prompt);
    }
}

/// Matches each of ours with at most one of theirs. Where the same text stands several times, the one with the same id comes first.
fn join_responses(ours: &[ScoredResponse], theirs: &[ScoredResponse]) -> Vec<JoinedResponse> {
    let texts = |side: &[ScoredResponse]| side.iter().any(|response| response.text.is_some());
    let by_text = texts(ours) && texts(theirs);
    let same = |a: &ScoredResponse, b: &ScoredResponse| match by_text {
        true => a.text.is_some() && a.text == b.text,
        false => a.id.is_some() && a.id == b.id,
    };
    let mut used = vec![false; theirs.len()];
    let mut partner: Vec<Option<usize>> = vec![None; ours.len()];
    for same_id_too in [true, false] {
        for (our, slot) in ours.iter().zip(&mut partner).filter(|(_, slot)| slot.is_none()) {
            let fits =
                |their: &ScoredResponse| same(our, their) && (!same_id_too || (our.id.is_some() && our.id == their.id));
            if let Some((at, _)) =
                theirs.iter().enumerate().find(|(i, their)| used.get(*i) == Some(&false) && fits(their))
            {
                *slot = Some(at);
                if let Some(used) = used.get_mut(at) {
                    *used = true;
                }
            }
        }
    }
    let pairs = ours.iter().zip(partner).filter_map(|(our, at)| Some((our, theirs.get(at?)?)));
    pairs.map(|(our, their)| joined(our, their)).collect()
}

fn joined(ours: &ScoredResponse, theirs: &ScoredResponse) -> JoinedResponse {
    // Adding zero turns the -0.0 of a negated zero into 0.0.
    let negated = |value: f64| -value + 0.0;
    JoinedResponse {
        judge_score: ours.score.or(ours.rank.map(negated)),
        reference_rank: theirs.rank.or(theirs.score.map(negated)),
        chars: ours.text.as_ref().or(theirs.text.as_ref()).map(|text| text.chars().count()),
    }
}
