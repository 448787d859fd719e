//! Log-probs of given tokens: how likely the model finds a reply that is already there.
//!
//! The `logprobs` command and preference training use it. Many texts go through in one pass, common beginnings once,
//! and no more than a bounded piece of the logits ever exists.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use crate::model::packed::crew::Crew;
use crate::model::packed::engine::{Engine, Placed};
use crate::model::packed::tile::PANEL;
use crate::model::sampler::{Flow, Sampler, in_lanes};

/// Values of logits held at a time: 16 MiB.
const LOGITS_AT_ONCE: usize = 4 << 20;
/// Texts placed together share passes; more would only hold more pages.
const TEXTS_TOGETHER: usize = 64;
/// Parts of the texts for each lane, so that one with longer texts keeps nobody waiting.
const PARTS_PER_LANE: usize = 2;

/// A text whose tokens from `from` on are to be scored, each given all before it.
#[derive(Debug, Clone)]
pub struct Scored {
    pub tokens: Vec<u32>,
    /// At least 1: nothing comes before the first token.
    pub from: usize,
}

impl Sampler {
    /// Log-probs of each text's tokens from `from` on, in the order of the texts; None when `on_progress`, which hears
    /// the number of texts done, says stop.
    pub fn log_probs(
        &mut self,
        texts: &[Scored],
        on_progress: impl FnMut(usize) -> Flow + Send,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        for (index, text) in texts.iter().enumerate() {
            self.engines[0].check_tokens(&text.tokens).with_context(|| format!("text {index}"))?;
            ensure!((1..=text.tokens.len()).contains(&text.from), "text {index} has no tokens from {} on", text.from);
        }
        let mut scores: Vec<Vec<f32>> = texts.iter().map(|text| vec![0.0; text.tokens.len() - text.from]).collect();
        let lanes = self.engines.len();
        let together = texts.len().div_ceil(PARTS_PER_LANE * lanes).clamp(1, TEXTS_TOGETHER);
        let parts = Mutex::new(texts.chunks(together).zip(scores.chunks_mut(together)));
        let progress = Mutex::new((0, Flow::Go, on_progress));
        let hear = |count: usize| {
            let (done, flow, on_progress) = &mut *progress.lock().unwrap_or_else(PoisonError::into_inner);
            *done += count;
            if *flow == Flow::Go {
                *flow = on_progress(*done);
            }
            *flow
        };
        let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
        let lane = |engine: &mut Engine, crew: &Crew| -> Result<Flow> {
            while let Some((texts, scores)) = next() {
                if score_all(engine, crew, texts, scores, &hear)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            Ok(Flow::Go)
        };
        let flows = if lanes == 1 {
            vec![lane(&mut self.engines[0], &self.crew)]
        } else {
            let alone = Crew::alone();
            in_lanes(&mut self.engines, |engine| lane(engine, &alone))
        };
        let flows = flows.into_iter().collect::<Result<Vec<Flow>>>()?;
        Ok(if flows.contains(&Flow::Stop) { None } else { Some(scores) })
    }
}

fn score_all(
    engine: &mut Engine,
    crew: &Crew,
    texts: &[Scored],
    scores: &mut [Vec<f32>],
    hear: &impl Fn(usize) -> Flow,
) -> Result<Flow> {
    let mut done = 0;
    while done < texts.len() {
        let placed = place_some(engine, &texts[done..])?;
        let together = placed.len();
        ensure!(together > 0, "the memory for keys and values is too small for a text of {}", texts[done].tokens.len());
        let range = done..done + together;
        let computed = score(engine, crew, &texts[range.clone()], &placed, &mut scores[range]);
        placed.iter().for_each(|placed| engine.release(&placed.table));
        computed?;
        done += together;
        if hear(together) == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Go)
}

fn place_some(engine: &mut Engine, texts: &[Scored]) -> Result<Vec<Placed>> {
    let mut placed = Vec::new();
    for text in texts {
        // The score of token `from` is in what the layers say about the one before.
        match engine.place(&text.tokens, text.from - 1, 0)? {
            Some(one) => placed.push(one),
            None => break,
        }
    }
    Ok(placed)
}

fn score(engine: &mut Engine, crew: &Crew, texts: &[Scored], placed: &[Placed], scores: &mut [Vec<f32>]) -> Result<()> {
    let pairs: Vec<(&[u32], &Placed)> = texts.iter().map(|text| &text.tokens[..]).zip(placed).collect();
    let panels = engine.llama.shape.vocab.div_ceil(PANEL);
    let rows_at_once = (LOGITS_AT_ONCE / (panels * PANEL)).clamp(8, 512);
    engine.compute(crew, &pairs, |engine, rows| {
        let wanted = |&row: &usize| {
            let (text, position) = rows[row];
            position + 1 >= texts[text].from && position + 1 < texts[text].tokens.len()
        };
        let wanted: Vec<usize> = (0..rows.len()).filter(wanted).collect();
        for picked in wanted.chunks(rows_at_once) {
            let llama = &engine.llama;
            let logits = llama.logits(crew, rows.len(), picked, &mut engine.work);
            let mut found = vec![0.0; picked.len()];
            crew.share(found.iter_mut().enumerate(), |(at, found)| {
                let (text, position) = rows[picked[at]];
                let token = texts[text].tokens[position + 1] as usize;
                let logit = logits[token / PANEL * picked.len() + at][token % PANEL];
                *found = logit - llama.log_total(logits, picked.len(), at);
            });
            for (&row, log_prob) in picked.iter().zip(found) {
                let (text, position) = rows[row];
                scores[text][position + 1 - texts[text].from] = log_prob;
            }
        }
        Ok(())
    })
}
