//! Continuous batching: asks wait, rows come and go, each step gives every row one token.
//!
//! [`Sampler::run`](crate::model::sampler::Sampler::run) is the only caller. Order is by ask, so that the same asks in
//! the same order meet the same pages; what a row says never depends on it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::model::packed::attention::Span;
use crate::model::packed::crew::Crew;
use crate::model::packed::engine::{Engine, Placed};
use crate::model::packed::pages::PageId;
use crate::model::packed::tile::PANEL;
use crate::model::pick;
use crate::model::queue::Queue;
use crate::model::random;
use crate::model::sampler::{Ask, Event, Finish, Flow, Manner, Reply, most_pages};
use crate::model::stop::StopWatch;
use crate::model::tokenizer::{Pieces, TextStream, Tokenizer};

/// A prompt that was computed, until its last ask has begun.
#[derive(Debug)]
struct Prompt {
    table: Vec<PageId>,
    logits: Vec<f32>,
    log_total: f32,
}

/// A reply being written.
struct Row<'a> {
    ask: usize,
    manner: &'a Manner,
    key: u64,
    table: Vec<PageId>,
    /// Pages that this row may still take.
    promised: usize,
    /// Tokens whose keys are in the pages.
    computed: usize,
    most_tokens: usize,
    seen: BTreeSet<u32>,
    reply: Reply,
    stream: TextStream,
    watch: StopWatch<'a>,
    done: bool,
}

pub(crate) struct Run<'a, F> {
    engine: &'a mut Engine,
    crew: &'a Crew,
    asks: &'a [Ask],
    tokenizer: Option<&'a Tokenizer>,
    most_rows: usize,
    on_event: F,
    queue: &'a Queue,
    /// Taken, and not begun.
    waiting: VecDeque<usize>,
    prompts: HashMap<Arc<[u32]>, Prompt>,
    /// Asks of each prompt that have not begun.
    not_begun: HashMap<&'a [u32], usize>,
    rows: Vec<Row<'a>>,
    replies: Vec<Option<Reply>>,
    pieces: Pieces,
}

impl<'a, F: FnMut(Event<'_>) -> Flow + Send> Run<'a, F> {
    pub(crate) fn new(
        (engine, crew): (&'a mut Engine, &'a Crew),
        asks: &'a [Ask],
        tokenizer: Option<&'a Tokenizer>,
        most_rows: usize,
        queue: &'a Queue,
        on_event: F,
    ) -> Self {
        let (waiting, replies, rows) = (VecDeque::new(), vec![None; asks.len()], Vec::new());
        let (prompts, not_begun, pieces) = (HashMap::new(), HashMap::new(), Pieces::default());
        Run {
            engine,
            crew,
            asks,
            tokenizer,
            most_rows,
            on_event,
            queue,
            waiting,
            prompts,
            not_begun,
            rows,
            replies,
            pieces,
        }
    }

    /// Takes some asks out of the queue: false when there are none.
    fn take(&mut self) -> bool {
        let Some(taken) = self.queue.take() else { return false };
        *self.not_begun.entry(&self.asks[taken.start].prompt).or_default() += taken.len();
        self.waiting.extend(taken);
        true
    }

    /// Takes everything: a prompt that comes again later is then kept until it does.
    pub(crate) fn take_all(&mut self) {
        while self.take() {}
    }

    /// Until every ask is answered, or the listener says stop. The replies to asks that others took are none.
    pub(crate) fn finish(mut self) -> Result<Vec<Option<Reply>>> {
        let result = self.finish_all();
        if result.is_err() {
            self.queue.stop();
        }
        // Whether all went well or not, no page stays behind.
        self.give_back_all();
        result.map(|()| self.replies)
    }

    fn finish_all(&mut self) -> Result<()> {
        while !self.queue.stopped() {
            self.admit()?;
            if self.rows.is_empty() {
                if let Some(&ask) = self.waiting.front() {
                    // Prompts whose other asks come later may hold the room; they can be computed again.
                    if !self.prompts.is_empty() {
                        self.give_back_all();
                        continue;
                    }
                    bail!("there is no room for ask {ask} in the memory for keys and values");
                }
                return Ok(());
            }
            self.step()?;
        }
        Ok(())
    }

    /// Lets waiting asks in while there are rows and pages for them; their new prompts are computed together.
    fn admit(&mut self) -> Result<()> {
        let mut admitted = Vec::new();
        let mut fresh: Vec<(Arc<[u32]>, Placed)> = Vec::new();
        while self.rows.len() + admitted.len() < self.most_rows {
            if self.waiting.is_empty() && !self.take() {
                break;
            }
            let Some(&index) = self.waiting.front() else { break };
            let ask = &self.asks[index];
            let growth = most_pages(self.engine, ask) - ask.prompt.len() / PANEL;
            let promised: usize = self.rows.iter().map(|row| row.promised).sum();
            let reserve = growth + promised + admitted.iter().map(|&(_, growth)| growth).sum::<usize>();
            let known = self.prompts.contains_key(&ask.prompt) || fresh.iter().any(|(prompt, _)| *prompt == ask.prompt);
            if known {
                self.engine.prefixes.make_room(reserve, &mut self.engine.pages);
                if self.engine.pages.available() < reserve {
                    break;
                }
            } else {
                match self.engine.place(&ask.prompt, ask.prompt.len() - 1, reserve)? {
                    Some(placed) => fresh.push((Arc::clone(&ask.prompt), placed)),
                    None => break,
                }
            }
            admitted.push((index, growth));
            self.waiting.pop_front();
        }
        self.compute_prompts(fresh)?;
        for (index, growth) in admitted {
            self.begin(index, growth)?;
        }
        Ok(())
    }

    fn compute_prompts(&mut self, fresh: Vec<(Arc<[u32]>, Placed)>) -> Result<()> {
        let texts: Vec<(&[u32], &Placed)> = fresh.iter().map(|(prompt, placed)| (&prompt[..], placed)).collect();
        let mut ends: Vec<(Vec<f32>, f32)> = vec![Default::default(); fresh.len()];
        let crew = self.crew;
        self.engine.compute(crew, &texts, |engine, rows| {
            let is_end = |&(text, position): &(usize, usize)| position + 1 == texts[text].0.len();
            let picked: Vec<usize> = (0..rows.len()).filter(|&row| is_end(&rows[row])).collect();
            if !picked.is_empty() {
                let logits = engine.llama.logits(crew, rows.len(), &picked, &mut engine.work);
                for (at, &row) in picked.iter().enumerate() {
                    let (all, total) = &mut ends[rows[row].0];
                    engine.llama.gather_logits(logits, picked.len(), at, all);
                    *total = engine.llama.log_total(logits, picked.len(), at);
                }
            }
            Ok(())
        })?;
        for ((prompt, placed), (logits, log_total)) in fresh.into_iter().zip(ends) {
            self.prompts.insert(prompt, Prompt { table: placed.table, logits, log_total });
        }
        Ok(())
    }

    /// Starts a reply: shares the prompt's full pages, copies the half-filled one, picks the first token.
    fn begin(&mut self, index: usize, growth: usize) -> Result<()> {
        let (asks, tokenizer) = (self.asks, self.tokenizer);
        let ask = &asks[index];
        let prompt = self.prompts.get_mut(&ask.prompt).context("a prompt was not computed")?;
        let full = ask.prompt.len() / PANEL;
        let mut table = prompt.table[..full].to_vec();
        table.iter().for_each(|&page| self.engine.pages.share(page));
        if let Some(&half) = prompt.table.get(full) {
            table.push(self.engine.pages.copy(half)?);
        }
        let room = self.engine.llama.shape.max_positions - ask.prompt.len();
        let seen = if ask.manner.sampling.repetition_penalty == 1.0 {
            BTreeSet::new()
        } else {
            ask.prompt.iter().copied().collect()
        };
        let mut row = Row {
            ask: index,
            manner: &ask.manner,
            key: ask.key,
            promised: growth - (table.len() - full),
            table,
            computed: ask.prompt.len(),
            most_tokens: ask.manner.max_tokens.min(room),
            seen,
            reply: Reply { tokens: Vec::new(), text: String::new(), finish: Finish::Length, log_probs: Vec::new() },
            stream: TextStream::default(),
            watch: StopWatch::new(&ask.manner.stop),
            done: false,
        };
        row.choose(pulp::Arch::new(), &mut prompt.logits.clone(), prompt.log_total);
        let left = self.not_begun.entry(&ask.prompt).or_default();
        *left = left.saturating_sub(1);
        if *left == 0
            && let Some(prompt) = self.prompts.remove(&ask.prompt)
        {
            self.engine.release(&prompt.table);
        }
        let text = row.follow(tokenizer, &mut self.pieces)?;
        self.rows.push(row);
        self.tell(self.rows.len() - 1, &text);
        self.remove_finished();
        Ok(())
    }

    /// One token more for every row.
    fn step(&mut self) -> Result<()> {
        for row in &mut self.rows {
            if row.computed == row.table.len() * PANEL {
                row.table.push(self.engine.pages.take()?);
                row.promised = row.promised.saturating_sub(1);
            }
        }
        let spans: Vec<Span> =
            self.rows.iter().map(|row| Span { first: row.computed, count: 1, table: &row.table }).collect();
        let newest = |row: &Row| row.reply.tokens.last().copied().unwrap_or_default();
        let tokens: Vec<u32> = self.rows.iter().map(newest).collect();
        let Engine { llama, pages, work, .. } = &mut *self.engine;
        llama.forward(self.crew, &spans, &tokens, pages, work);
        drop(spans);
        let count = self.rows.len();
        let all: Vec<usize> = (0..count).collect();
        let logits = llama.logits(self.crew, count, &all, work);
        let choose = |buffer: &mut Vec<f32>, (at, row): (usize, &mut Row<'_>)| {
            row.computed += 1;
            llama.gather_logits(logits, count, at, buffer);
            let log_total = if row.manner.keep_log_probs { llama.log_total(logits, count, at) } else { 0.0 };
            row.choose(pulp::Arch::new(), buffer, log_total);
        };
        self.crew.share_with(Vec::new, self.rows.iter_mut().enumerate(), choose);
        for index in 0..count {
            let text = self.rows[index].follow(self.tokenizer, &mut self.pieces)?;
            self.tell(index, &text);
        }
        self.remove_finished();
        let step =
            Event::Step { tokens: count, rows: self.rows.len(), waiting: self.waiting.len() + self.queue.left() };
        self.send(step);
        Ok(())
    }

    fn tell(&mut self, index: usize, text: &str) {
        let row = &self.rows[index];
        if !text.is_empty() && (self.on_event)(Event::Text { ask: row.ask, text }) == Flow::Stop {
            self.queue.stop();
        }
    }

    fn send(&mut self, event: Event<'_>) {
        if (self.on_event)(event) == Flow::Stop {
            self.queue.stop();
        }
    }

    fn remove_finished(&mut self) {
        let mut index = 0;
        while index < self.rows.len() {
            if !self.rows[index].done {
                index += 1;
                continue;
            }
            let row = self.rows.remove(index);
            self.engine.release(&row.table);
            self.send(Event::Finished { ask: row.ask, reply: &row.reply });
            self.replies[row.ask] = Some(row.reply);
        }
    }

    fn give_back_all(&mut self) {
        for row in self.rows.drain(..) {
            row.table.iter().for_each(|&page| self.engine.pages.release(page));
        }
        for (_, prompt) in self.prompts.drain() {
            prompt.table.iter().for_each(|&page| self.engine.pages.release(page));
        }
    }
}

impl Row<'_> {
    /// Picks the next token from logits, which are used up.
    fn choose(&mut self, arch: pulp::Arch, logits: &mut [f32], log_total: f32) {
        let draw = random::uniform(self.key, self.reply.tokens.len() as u64);
        let plain = self.manner.keep_log_probs.then(|| logits.to_vec());
        let token = pick::pick(arch, logits, &self.manner.sampling, &self.seen, draw);
        if let Some(plain) = plain {
            self.reply.log_probs.push(plain[token as usize] - log_total);
        }
        if self.manner.sampling.repetition_penalty != 1.0 {
            self.seen.insert(token);
        }
        self.reply.tokens.push(token);
    }

    /// Follows the newest token with the text, and sees whether the reply ends here. Gives the text to show.
    fn follow(&mut self, tokenizer: Option<&Tokenizer>, pieces: &mut Pieces) -> Result<String> {
        let token = self.reply.tokens.last().copied().unwrap_or_default();
        let mut shown = String::new();
        if self.manner.eos.contains(&token) {
            (self.done, self.reply.finish) = (true, Finish::Eos);
        } else if let Some(tokenizer) = tokenizer {
            let seen = self.watch.push(&self.stream.push(tokenizer, token, pieces)?);
            shown = seen.text;
            if seen.stopped {
                (self.done, self.reply.finish) = (true, Finish::Stop);
            }
        }
        if !self.done && self.reply.tokens.len() >= self.most_tokens {
            (self.done, self.reply.finish) = (true, Finish::Length);
        }
        if self.done
            && self.reply.finish != Finish::Stop
            && let Some(tokenizer) = tokenizer
        {
            let seen = self.watch.push(&self.stream.finish(tokenizer)?);
            shown += &seen.text;
            if seen.stopped {
                self.reply.finish = Finish::Stop;
            } else {
                shown += &self.watch.finish();
            }
        }
        self.reply.text += &shown;
        Ok(shown)
    }
}
