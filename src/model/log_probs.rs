//! Log-probs of given tokens: how likely the model finds a reply that is already there.
//!
//! The `logprobs` command and preference training use it. Many texts go through in one pass, common beginnings once,
//! and no more than a bounded piece of the logits ever exists.

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use crate::model::packed::engine::Placed;
use crate::model::packed::tile::PANEL;
use crate::model::sampler::{Flow, Sampler};

/// Values of logits held at a time: 16 MiB.
const LOGITS_AT_ONCE: usize = 4 << 20;
/// Texts placed together share passes; more would only hold more pages.
const TEXTS_TOGETHER: usize = 64;

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
        mut on_progress: impl FnMut(usize) -> Flow + Send,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        for (index, text) in texts.iter().enumerate() {
            self.engine.check_tokens(&text.tokens).with_context(|| format!("text {index}"))?;
            ensure!((1..=text.tokens.len()).contains(&text.from), "text {index} has no tokens from {} on", text.from);
        }
        let threads = self.threads.clone();
        threads.install(|| {
            let mut scores: Vec<Vec<f32>> = texts.iter().map(|text| vec![0.0; text.tokens.len() - text.from]).collect();
            let mut done = 0;
            while done < texts.len() {
                let placed = self.place_some(&texts[done..])?;
                let together = placed.len();
                ensure!(together > 0, "the memory for keys and values is too small for text {done}");
                let computed = self.score(&texts[done..done + together], &placed, &mut scores[done..done + together]);
                placed.iter().for_each(|placed| self.engine.release(&placed.table));
                computed?;
                done += together;
                if on_progress(done) == Flow::Stop {
                    return Ok(None);
                }
            }
            Ok(Some(scores))
        })
    }

    fn place_some(&mut self, texts: &[Scored]) -> Result<Vec<Placed>> {
        let mut placed = Vec::new();
        for text in texts.iter().take(TEXTS_TOGETHER) {
            // The score of token `from` is in what the layers say about the one before.
            match self.engine.place(&text.tokens, text.from - 1, 0)? {
                Some(one) => placed.push(one),
                None => break,
            }
        }
        Ok(placed)
    }

    fn score(&mut self, texts: &[Scored], placed: &[Placed], scores: &mut [Vec<f32>]) -> Result<()> {
        let pairs: Vec<(&[u32], &Placed)> = texts.iter().map(|text| &text.tokens[..]).zip(placed).collect();
        let panels = self.engine.llama.shape.vocab.div_ceil(PANEL);
        let rows_at_once = (LOGITS_AT_ONCE / (panels * PANEL)).clamp(8, 512);
        self.engine.compute(&pairs, |engine, rows| {
            let wanted = |&row: &usize| {
                let (text, position) = rows[row];
                position + 1 >= texts[text].from && position + 1 < texts[text].tokens.len()
            };
            let wanted: Vec<usize> = (0..rows.len()).filter(wanted).collect();
            for picked in wanted.chunks(rows_at_once) {
                let llama = &engine.llama;
                let logits = llama.logits(rows.len(), picked, &mut engine.work);
                let score = |at: usize| {
                    let (text, position) = rows[picked[at]];
                    let token = texts[text].tokens[position + 1] as usize;
                    let logit = logits[token / PANEL * picked.len() + at][token % PANEL];
                    (text, position + 1 - texts[text].from, logit - llama.log_total(logits, picked.len(), at))
                };
                let found: Vec<(usize, usize, f32)> = (0..picked.len()).into_par_iter().map(score).collect();
                for (text, place, log_prob) in found {
                    scores[text][place] = log_prob;
                }
            }
            Ok(())
        })
    }
}
