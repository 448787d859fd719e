//! Ready judging examples: a prompt, a response, and what a good judge says of it.
//!
//! For researchers who have judgements already and need no baseline to write them (EFT data of other projects, labelled seeds).

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::fields::{identifier, needed_text, number};
use super::lines::Limits;
use super::rows::{Read, each_row};
use crate::recipe::score::read_score;

/// One judging example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub id: Option<String>,
    pub prompt: String,
    pub response: String,
    /// Rationale and score line, as a judge would write them.
    pub judgement: String,
    pub score: f64,
}

const SHAPES: [&str; 2] =
    ["{prompt, response, judgement} whose judgement ends in `Score: n`", "{prompt, response, rationale, score}"];

/// Reads judging examples; a judgement without a readable score is refused.
pub fn read(path: &Path, limits: Limits) -> Result<Read<Judgement>> {
    let mut rows = Vec::new();
    let account = each_row(path, limits, |_, _, members| {
        let prompt = needed_text(members, &["prompt", "instruction"])?;
        let response = needed_text(members, &["response", "answer", "completion"])?;
        let judgement = match members.get("judgement").or(members.get("judgment")).and_then(|text| text.as_str()) {
            Some(text) => text.to_string(),
            None => {
                let rationale = needed_text(members, &["rationale", "reasoning", "review"])?;
                let score = members.get("score").ok_or("has no `judgement` and no `score`")?;
                let score = number(score, "score")?.ok_or("has no score")?;
                crate::recipe::judge::judgement_text(&rationale, score)
            }
        };
        let score = read_score(&judgement).score.map_err(|why| {
            format!("its judgement holds no score ({}); end it with `Score: n`, n from 0 to 5", why.name())
        })?;
        rows.push(Judgement { id: identifier(members, &["id", "prompt_id"]), prompt, response, judgement, score });
        Ok(())
    })?;
    account.close(rows, "judging examples", &SHAPES)
}
