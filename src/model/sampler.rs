//! Many replies at once: prompts computed once, rows that finish make room for the next, every reply its own seed.
//!
//! Commands and the policy ask here. A reply is a function of its prompt, settings and key alone: the bits of its
//! logits do not depend on the batch or the threads, and its draws are numbered from its key.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::model::packed::engine::{Engine, EngineSettings, thread_pool};
use crate::model::packed::llama::PackedLlama;
use crate::model::packed::pages::Pages;
use crate::model::pick::Sampling;
use crate::model::rows::Run;
use crate::model::shape::Shape;
use crate::model::tokenizer::Tokenizer;
use crate::model::weights::TensorSource;

/// Rows decoded together when the settings do not say; beyond it the cores gain nothing.
const MOST_ROWS: usize = 64;

#[derive(Debug, Clone)]
pub struct SamplerSettings {
    pub engine: EngineSettings,
    /// Rows decoded together.
    pub rows: usize,
}

impl Default for SamplerSettings {
    fn default() -> SamplerSettings {
        SamplerSettings { engine: EngineSettings::default(), rows: MOST_ROWS }
    }
}

/// How replies are to be written; shared by many asks.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    pub sampling: Sampling,
    pub max_tokens: usize,
    /// The reply ends before any of these strings.
    pub stop: Vec<String>,
    /// Tokens that end the reply; they belong to its tokens but not to its text.
    pub eos: Vec<u32>,
    pub keep_log_probs: bool,
}

#[derive(Debug, Clone)]
pub struct Ask {
    /// Equal prompts are computed once, whether they share the allocation or not.
    pub prompt: Arc<[u32]>,
    pub manner: Arc<Manner>,
    /// All randomness of this reply.
    pub key: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    Eos,
    Stop,
    /// Cut off: the token limit or the model's last position came first.
    Length,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub tokens: Vec<u32>,
    /// Without the end token and without the stop string; empty when there was no tokenizer.
    pub text: String,
    pub finish: Finish,
    /// Log-prob of each token under the model itself, before temperature and filters; empty unless asked for.
    pub log_probs: Vec<f32>,
}

#[derive(Debug)]
pub enum Event<'a> {
    /// Text that is certain to stay; asks go by their index.
    Text {
        ask: usize,
        text: &'a str,
    },
    Finished {
        ask: usize,
        reply: &'a Reply,
    },
    /// After every step of all rows.
    Step {
        tokens: usize,
        rows: usize,
        waiting: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Go,
    Stop,
}

#[derive(Debug)]
pub struct Sampler {
    pub(crate) engine: Engine,
    pub(crate) threads: Arc<rayon::ThreadPool>,
    rows: usize,
}

impl Sampler {
    /// Packs the weights of any source, tensor by tensor.
    pub fn new(source: &(impl TensorSource + Sync), shape: &Shape, settings: &SamplerSettings) -> Result<Sampler> {
        let threads = thread_pool(settings.engine.threads)?;
        let llama = threads.install(|| PackedLlama::pack(shape, source))?;
        let engine = Engine::new(llama, settings.engine.cache_bytes);
        Ok(Sampler { engine, threads: Arc::new(threads), rows: settings.rows.max(1) })
    }

    pub fn shape(&self) -> &Shape {
        &self.engine.llama.shape
    }

    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    pub fn weights_bytes(&self) -> usize {
        self.engine.llama.bytes()
    }

    /// Pages of keys and values in use: after a run, those of remembered prefixes.
    pub fn pages_in_use(&self) -> usize {
        self.engine.pages.limit() - self.engine.pages.available()
    }

    /// True when bf16 holds the weights exactly and the kernels read them so.
    pub fn is_bf16(&self) -> bool {
        self.engine.llama.is_bf16()
    }

    /// Answers all asks; the replies come in the order of the asks. After [`Flow::Stop`] those that had not finished
    /// are `None`. Without a tokenizer replies have no text, and stop strings are an error.
    pub fn run(
        &mut self,
        asks: &[Ask],
        tokenizer: Option<&Tokenizer>,
        on_event: impl FnMut(Event<'_>) -> Flow + Send,
    ) -> Result<Vec<Option<Reply>>> {
        for (index, ask) in asks.iter().enumerate() {
            check(&self.engine, ask, tokenizer).with_context(|| format!("ask {index}"))?;
        }
        let threads = Arc::clone(&self.threads);
        threads.install(|| {
            let mut run = Run::new(&mut self.engine, asks, tokenizer, self.rows, on_event);
            let result = run.finish_all();
            // Whether all went well or not, no page stays behind.
            run.give_back_all();
            result.map(|()| run.replies)
        })
    }
}

fn check(engine: &Engine, ask: &Ask, tokenizer: Option<&Tokenizer>) -> Result<()> {
    engine.check_tokens(&ask.prompt)?;
    ask.manner.sampling.check()?;
    let most = engine.llama.shape.max_positions;
    ensure!(ask.prompt.len() < most, "the prompt fills all {most} positions of the model");
    ensure!(ask.manner.max_tokens > 0, "a reply of no tokens was asked for");
    ensure!(ask.manner.stop.iter().all(|stop| !stop.is_empty()), "an empty stop string would stop at once");
    ensure!(ask.manner.stop.is_empty() || tokenizer.is_some(), "stop strings need a tokenizer");
    let needed = most_pages(engine, ask);
    let limit = engine.pages.limit();
    ensure!(
        needed < limit,
        "a prompt of {} tokens and a reply of {} need {needed} pages of keys and values, the memory setting allows {limit}",
        ask.prompt.len(),
        ask.manner.max_tokens
    );
    Ok(())
}

/// Pages that an ask may come to use, the shared ones counted too, and one more for the copy of a half-filled page.
pub(crate) fn most_pages(engine: &Engine, ask: &Ask) -> usize {
    Pages::needed((ask.prompt.len() + ask.manner.max_tokens).min(engine.llama.shape.max_positions)) + 1
}
