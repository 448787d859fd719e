//! Many replies at once: prompts computed once, rows that finish make room for the next, every reply its own seed.
//!
//! Commands and the policy ask here. A reply is a function of its prompt, settings and key alone: the bits of its
//! logits do not depend on the batch or the threads, and its draws are numbered from its key.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::model::packed::crew::Crew;
use crate::model::packed::engine::{Engine, EngineSettings};
use crate::model::packed::llama::PackedLlama;
use crate::model::packed::pages::Pages;
use crate::model::pick::Sampling;
use crate::model::queue::Queue;
use crate::model::rows::Run;
use crate::model::shape::Shape;
use crate::model::tokenizer::Tokenizer;
use crate::model::weights::TensorSource;

/// Rows decoded together when the settings do not say; beyond it the cores gain nothing.
const MOST_ROWS: usize = 64;
/// Weights up to this size stay in the cores' caches: then rows are dealt to the threads, each of which computes all layers
/// of its own, and nobody waits. Larger ones would be read once for each thread: there every product is cut up instead.
const SMALL_BYTES: usize = 48 << 20;
/// Weights up to this size stay in the cache that each core has for itself. Of larger ones that many rows of a thread make up
/// for reading them twice (at 19 MiB, 8 rows lost a tenth and 32 won two fifths).
const OWN_BYTES: usize = 4 << 20;
const ROWS_WORTH_IT: usize = 16;

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
    /// After every step of all rows that are computed together; small models have as many such sets as threads.
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
    /// The first is the one that all threads work on together. Of a small model each thread has one of its own; they share
    /// the weights.
    pub(crate) engines: Vec<Engine>,
    pub(crate) crew: Crew,
    rows: usize,
}

impl Sampler {
    /// Packs the weights of any source, tensor by tensor.
    pub fn new(source: &(impl TensorSource + Sync), shape: &Shape, settings: &SamplerSettings) -> Result<Sampler> {
        let crew = Crew::new(settings.engine.threads)?;
        let llama = Arc::new(PackedLlama::pack(&crew, shape, source)?);
        let own = settings.engine.cache_bytes / crew.threads();
        // A reply of any length must find room in one lane.
        let has_room = own / Pages::page_bytes(shape) > 2 * Pages::needed(shape.max_positions);
        let lanes = if llama.bytes() <= SMALL_BYTES && has_room { crew.threads() } else { 1 };
        let engines = (0..lanes).map(|_| Engine::new(&llama, settings.engine.cache_bytes / lanes)).collect();
        Ok(Sampler { engines, crew, rows: settings.rows.max(1) })
    }

    fn llama(&self) -> &PackedLlama {
        &self.engines[0].llama
    }

    pub fn shape(&self) -> &Shape {
        &self.llama().shape
    }

    pub fn threads(&self) -> usize {
        self.crew.threads()
    }

    pub fn weights_bytes(&self) -> usize {
        self.llama().bytes()
    }

    /// Pages of keys and values in use: after a run, those of remembered prefixes.
    pub fn pages_in_use(&self) -> usize {
        self.engines.iter().map(|engine| engine.pages.limit() - engine.pages.available()).sum()
    }

    /// True when bf16 holds the weights exactly and the kernels read them so.
    pub fn is_bf16(&self) -> bool {
        self.llama().is_bf16()
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
            check(&self.engines[0], ask, tokenizer).with_context(|| format!("ask {index}"))?;
        }
        let queue = Queue::new(asks);
        let lanes = self.engines.len();
        let are_few = asks.len().min(self.rows) < lanes * ROWS_WORTH_IT && self.llama().bytes() > OWN_BYTES;
        // With fewer prompts than lanes some would have nothing to do.
        if lanes == 1 || queue.prompts() < lanes || are_few {
            let mut run = Run::new((&mut self.engines[0], &self.crew), asks, tokenizer, self.rows, &queue, on_event);
            run.take_all();
            return run.finish();
        }
        let rows = self.rows.div_ceil(lanes);
        let on_event = Mutex::new(on_event);
        let hear = |event: Event<'_>| on_event.lock().unwrap_or_else(PoisonError::into_inner)(event);
        let alone = Crew::alone();
        let done = in_lanes(&mut self.engines, |engine| {
            Run::new((engine, &alone), asks, tokenizer, rows, &queue, hear).finish()
        });
        let mut replies = vec![None; asks.len()];
        for own in done {
            replies.iter_mut().zip(own?).filter(|(_, own)| own.is_some()).for_each(|(reply, own)| *reply = own);
        }
        Ok(replies)
    }
}

/// Each engine on a thread of its own.
pub(crate) fn in_lanes<R: Send>(engines: &mut [Engine], work: impl Fn(&mut Engine) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = engines.iter_mut().map(|engine| scope.spawn(move || work(engine))).collect();
        running.into_iter().map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
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
