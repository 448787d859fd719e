//! A packed Llama with its pages, prefixes and threads: what sampling and scoring both run on.
//!
//! It places texts in pages, computes what is not there yet in chunks of bounded size, and hands pages back.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::model::packed::attention::Span;
use crate::model::packed::crew::Crew;
use crate::model::packed::llama::{PackedLlama, Workspace};
use crate::model::packed::pages::{PageId, Pages};
use crate::model::packed::prefixes::Prefixes;
use crate::model::packed::tile::PANEL;

/// Tokens of one pass through the layers when texts are computed: enough for full speed, and a bound on buffers.
const PASS_TOKENS: usize = 512;

#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Threads to compute with; 0 means as many as there are processors.
    pub threads: usize,
    /// Memory for keys and values of all rows and remembered prefixes.
    pub cache_bytes: usize,
}

impl Default for EngineSettings {
    fn default() -> EngineSettings {
        EngineSettings { threads: 0, cache_bytes: 1 << 30 }
    }
}

#[derive(Debug)]
pub struct Engine {
    pub llama: Arc<PackedLlama>,
    pub pages: Pages,
    pub prefixes: Prefixes,
    pub work: Workspace,
}

/// A text in pages. Its pages are in use until they are released.
#[derive(Debug)]
pub struct Placed {
    pub table: Vec<PageId>,
    /// The first position that is not computed yet.
    pub computed: usize,
}

impl Engine {
    /// Several engines may share the weights.
    pub fn new(llama: &Arc<PackedLlama>, cache_bytes: usize) -> Engine {
        let (llama, pages) = (Arc::clone(llama), Pages::new(&llama.shape, cache_bytes));
        Engine { llama, pages, prefixes: Prefixes::default(), work: Workspace::default() }
    }

    pub fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        ensure!(!tokens.is_empty(), "a text without tokens cannot be continued or scored");
        let vocab = self.llama.shape.vocab;
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= vocab) {
            anyhow::bail!("token {token} is beyond the vocabulary of {vocab}");
        }
        let most = self.llama.shape.max_positions;
        ensure!(tokens.len() <= most, "a text of {} tokens is longer than the model's {most} positions", tokens.len());
        Ok(())
    }

    /// Gives a text its pages, shared where its beginning is known. Positions from `needed` on are computed anew,
    /// because what the layers say about them is wanted. None when there is no room just now.
    pub fn place(&mut self, tokens: &[u32], needed: usize, reserve: usize) -> Result<Option<Placed>> {
        let mut table = self.prefixes.find(tokens, needed / PANEL, &mut self.pages);
        let computed = table.len() * PANEL;
        let missing = Pages::needed(tokens.len()) - table.len();
        self.prefixes.make_room(missing + reserve, &mut self.pages);
        if self.pages.available() < missing + reserve {
            self.release(&table);
            return Ok(None);
        }
        for _ in 0..missing {
            table.push(self.pages.take()?);
        }
        // Known from now on: whoever shares these pages is computed after, or in the same pass, layer by layer.
        self.prefixes.remember(tokens, &table, &mut self.pages);
        Ok(Some(Placed { table, computed }))
    }

    pub fn release(&mut self, table: &[PageId]) {
        table.iter().for_each(|&page| self.pages.release(page));
    }

    /// Computes placed texts, several in one pass. After each pass `look` gets the engine, the rows of the pass and for
    /// each row `(text, position)`.
    pub fn compute(
        &mut self,
        crew: &Crew,
        texts: &[(&[u32], &Placed)],
        mut look: impl FnMut(&mut Engine, &[(usize, usize)]) -> Result<()>,
    ) -> Result<()> {
        let mut text = 0;
        let mut at = texts.first().map_or(0, |(_, placed)| placed.computed);
        while text < texts.len() {
            let (mut spans, mut tokens, mut rows) = (Vec::new(), Vec::new(), Vec::new());
            while text < texts.len() && tokens.len() < PASS_TOKENS {
                let (all, placed) = texts[text];
                let count = (all.len() - at).min(PASS_TOKENS - tokens.len());
                spans.push(Span { first: at, count, table: &placed.table });
                tokens.extend_from_slice(&all[at..at + count]);
                rows.extend((at..at + count).map(|position| (text, position)));
                at += count;
                if at == all.len() {
                    text += 1;
                    at = texts.get(text).map_or(0, |(_, placed)| placed.computed);
                }
            }
            self.llama.forward(crew, &spans, &tokens, &mut self.pages, &mut self.work);
            look(self, &rows)?;
        }
        Ok(())
    }
}
