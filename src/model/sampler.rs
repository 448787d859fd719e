//! Many replies at once: prompts computed once, rows that finish make room for the next, every reply its own seed.
//!
//! Commands and the policy ask here. A reply is a function of its prompt, settings and key alone: the bits of its
//! logits do not depend on the batch or the threads, and its draws are numbered from its key.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::model::packed::engine::{Engine, EngineSettings, thread_pool};
use crate::model::packed::llama::PackedLlama;
use crate::model::packed::pages::Pages;
use crate::model::pick::Sampling;
use crate::model::rows::{Queue, Run};
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
    pub(crate) engine: Engine,
    pub(crate) threads: Arc<rayon::ThreadPool>,
    rows: usize,
    lanes: Lanes,
}

/// One thread of its own for the sampler's engine and for each further one, which share its weights; none for a model that
/// is not small.
#[derive(Debug, Default)]
struct Lanes {
    threads: Vec<rayon::ThreadPool>,
    engines: Vec<Engine>,
}

impl Lanes {
    /// The engine's memory is divided among all.
    fn new(engine: &mut Engine, threads: usize, cache_bytes: usize) -> Result<Lanes> {
        let (llama, own) = (Arc::clone(&engine.llama), cache_bytes / threads);
        // A reply of any length must find room in one lane.
        let room = own / Pages::page_bytes(&llama.shape) > 2 * Pages::needed(llama.shape.max_positions);
        if threads == 1 || llama.bytes() > SMALL_BYTES || !room {
            return Ok(Lanes::default());
        }
        *engine = Engine::new(&llama, own);
        Ok(Lanes {
            threads: (0..threads).map(|_| thread_pool(1)).collect::<Result<_>>()?,
            engines: (1..threads).map(|_| Engine::new(&llama, own)).collect(),
        })
    }
}

impl Sampler {
    /// Packs the weights of any source, tensor by tensor.
    pub fn new(source: &(impl TensorSource + Sync), shape: &Shape, settings: &SamplerSettings) -> Result<Sampler> {
        let threads = thread_pool(settings.engine.threads)?;
        let llama = threads.install(|| PackedLlama::pack(shape, source))?;
        let cache_bytes = settings.engine.cache_bytes;
        let mut engine = Engine::new(&Arc::new(llama), cache_bytes);
        let lanes = Lanes::new(&mut engine, threads.current_num_threads(), cache_bytes)?;
        Ok(Sampler { engine, threads: Arc::new(threads), rows: settings.rows.max(1), lanes })
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
        let engines = std::iter::once(&self.engine).chain(&self.lanes.engines);
        engines.map(|engine| engine.pages.limit() - engine.pages.available()).sum()
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
        let queue = Queue::new(asks);
        let lanes = self.lanes.threads.len();
        let are_few = asks.len().min(self.rows) < lanes * ROWS_WORTH_IT && self.engine.llama.bytes() > OWN_BYTES;
        // With fewer prompts than lanes some would have nothing to do.
        if lanes == 0 || queue.prompts() < lanes || are_few {
            let threads = Arc::clone(&self.threads);
            return threads.install(|| {
                let mut run = Run::new(&mut self.engine, asks, tokenizer, self.rows, &queue, on_event);
                run.take_all();
                run.finish()
            });
        }
        let rows = self.rows.div_ceil(lanes);
        let on_event = Mutex::new(on_event);
        let hear = |event: Event<'_>| on_event.lock().unwrap_or_else(PoisonError::into_inner)(event);
        let lane = |engine: &mut Engine| Run::new(engine, asks, tokenizer, rows, &queue, hear).finish();
        let engines = std::iter::once(&mut self.engine).chain(&mut self.lanes.engines);
        let done: Vec<Result<Vec<Option<Reply>>>> = std::thread::scope(|scope| {
            let lane = &lane;
            let running: Vec<_> = engines
                .zip(&self.lanes.threads)
                .map(|(engine, thread)| scope.spawn(move || thread.install(|| lane(engine))))
                .collect();
            running.into_iter().map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        let mut replies = vec![None; asks.len()];
        for own in done {
            replies.iter_mut().zip(own?).filter(|(_, own)| own.is_some()).for_each(|(reply, own)| *reply = own);
        }
        Ok(replies)
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
