//! Asks of the engine to the sampler, and its events back to the seat.
//!
//! The sampler computes on a thread of its own while the engine's thread puts replies down: the seat may write files, wait
//! out a pause, or say stop, and nothing of the engine has to cross threads. A growing reply is shown now and then, not token
//! by token: a small model writes tens of thousands a second, and each would wake the other thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::engine::policy::{Ask, Flow, Reply, Seat};
use crate::model::chat_template::Turn;
use crate::model::pick::Sampling;
use crate::model::sampler::{self, Event, Finish, Manner, Sampler};
use crate::model::tokenizer::Tokenizer;
use crate::run::reasons::Ended;

/// Events that may wait for the seat; beyond it the sampler waits, so that a pause pauses it.
const WAITING: usize = 64;
/// How often the sampler shows what it writes, and waits until the seat has looked at it: so soon it hears of a pause.
const LOOK: Duration = Duration::from_millis(50);

enum News {
    /// All that there is of a reply.
    Text(usize, String),
    Finished(usize, Reply),
}

pub fn reply(sampler: &mut Sampler, tokenizer: &Tokenizer, asks: &[Ask], seat: &mut dyn Seat<Reply>) -> Result<Flow> {
    let most = sampler.shape().max_positions;
    let eos = sampler.shape().eos.clone();
    let (mut to_do, mut place) = (Vec::new(), Vec::new());
    for (index, ask) in asks.iter().enumerate() {
        let prompt = if ask.continues {
            tokenizer.encode(&ask.text, true)?
        } else {
            tokenizer.prompt(&[Turn::new("user", &ask.text)])?
        };
        if prompt.len() >= most || ask.sampling.max_tokens == 0 {
            // No room for a single token: an empty reply that was cut off.
            let nothing = Reply {
                text: String::new(),
                ended: Ended::Length,
                tokens: 0,
                token_ids: Vec::new(),
                logprob_per_token: None,
            };
            if seat.finished(index, nothing)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            continue;
        }
        place.push(index);
        to_do.push(sampler::Ask {
            prompt: prompt.into(),
            manner: Arc::new(Manner {
                sampling: Sampling {
                    temperature: ask.sampling.temperature as f32,
                    top_p: ask.sampling.top_p as f32,
                    ..Sampling::default()
                },
                max_tokens: ask.sampling.max_tokens as usize,
                stop: ask.sampling.stop.clone(),
                eos: eos.clone(),
                keep_log_probs: true,
            }),
            key: ask.seed,
        });
    }
    if to_do.is_empty() {
        return Ok(Flow::Go);
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Whoever leaves, by an error or a panic too, drops these ends, and the other side waits no longer.
        let (send, news) = sync_channel(WAITING);
        let (looked, wait_for_look) = sync_channel::<()>(1);
        let (stop, to_do) = (&stop, &to_do);
        let running = scope.spawn(move || {
            // Of replies that still grow; the newest is shown.
            let mut texts: HashMap<usize, String> = HashMap::new();
            let (mut newest, mut shown) = (None, Instant::now());
            let written = sampler.run(to_do, Some(tokenizer), move |event| {
                let heard = match event {
                    Event::Text { ask, text } => {
                        texts.entry(ask).or_default().push_str(text);
                        newest = Some(ask);
                        true
                    }
                    Event::Finished { ask, reply } => {
                        texts.remove(&ask);
                        send.send(News::Finished(ask, finished(reply))).is_ok()
                    }
                    Event::Step { .. } if shown.elapsed() < LOOK => true,
                    Event::Step { .. } => match newest.and_then(|ask| Some((ask, texts.get(&ask)?.clone()))) {
                        // It has just finished: the next step shows another.
                        None => true,
                        Some((ask, text)) => {
                            let seen = send.send(News::Text(ask, text)).is_ok() && wait_for_look.recv().is_ok();
                            shown = Instant::now();
                            seen
                        }
                    },
                };
                // Nobody listens any more, or the listener said stop.
                if heard && !stop.load(Ordering::Relaxed) { sampler::Flow::Go } else { sampler::Flow::Stop }
            });
            written.map(|_| ())
        });
        let mut flow: Result<Flow> = Ok(Flow::Go);
        for news in news {
            flow = match news {
                News::Text(ask, text) => {
                    let flow = seat.writing(place[ask], &text);
                    // It goes on, or it is gone: then the next send says so.
                    let _ = looked.send(());
                    flow
                }
                News::Finished(ask, reply) => seat.finished(place[ask], reply),
            };
            if !matches!(flow, Ok(Flow::Go)) {
                stop.store(true, Ordering::Relaxed);
                break;
            }
        }
        // Both channels are gone now, so the sampler waits for nobody.
        drop(looked);
        match running.join() {
            Ok(written) => written?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        flow
    })
}

fn finished(reply: &sampler::Reply) -> Reply {
    let sum: f64 = reply.log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum();
    Reply {
        text: reply.text.clone(),
        ended: match reply.finish {
            Finish::Eos => Ended::Eos,
            Finish::Stop => Ended::Stop,
            Finish::Length => Ended::Length,
        },
        tokens: reply.tokens.len() as u32,
        token_ids: reply.tokens.clone(),
        logprob_per_token: (!reply.log_probs.is_empty()).then(|| sum / reply.log_probs.len() as f64),
    }
}
