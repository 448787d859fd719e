//! Asking a teacher, many calls at once: reserve, record, send, settle, record and sync, and only then use.
//!
//! Everything but the call itself happens on the engine's thread, so that the ledger has one hand. A request whose answer stands in the
//! journal is not sent again. What the teacher answers comes to the seat in any order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::engine::policy::{Fault, Flow, Seat, Taught, Teacher, TeacherCall, Till};
use crate::engine::teaching::retry::{Next, Waits};
use crate::engine::teaching::settings::TeacherSettings;
use crate::recipe::seeds::Seed;
use crate::run::event::*;
use crate::run::spending::{Cap, amount};
use crate::run::view::State;

/// How long to listen for answers before requests of people are looked at.
const LISTEN: Duration = Duration::from_millis(10);
/// How long a run that is asked to stop waits for answers that are paid for already, in seconds.
const DRAIN: f64 = 5.0;

/// The key of a request: whoever asks the same gets the same.
pub fn key(settings: &TeacherSettings, call: &TeacherCall) -> String {
    let mut hasher = blake3::Hasher::new();
    let sampling = &call.sampling;
    let numbers = format!(
        "{} {} {} {:?} {}",
        sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.stop, call.seed
    );
    for part in [settings.endpoint.as_str(), &settings.model, &call.text, &numbers] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_string()
}

/// A request that waits for its turn.
struct Waiting {
    index: usize,
    tries: u32,
    /// Not before this second of the engine.
    not_before: f64,
}

/// Why nothing is sent at the moment.
enum Held {
    No,
    /// The teacher does not answer: one call at a time tries whether it does again.
    Outage,
    /// A person must do something.
    Person,
    /// A cap leaves no room.
    Cap,
}

/// Asks everything, each answer as soon as it is there. `read` makes of an answer what the seat takes.
pub fn consult<T>(
    teacher: &Arc<dyn Teacher>,
    settings: &TeacherSettings,
    calls: &[TeacherCall],
    seat: &mut dyn Seat<T>,
    read: &mut dyn FnMut(usize, &Taught) -> T,
) -> Result<Flow> {
    let keys: Vec<String> = calls.iter().map(|call| key(settings, call)).collect();
    let mut waiting = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        match till(seat)?.answer(key) {
            Some(taught) => {
                let item = read(index, &taught);
                if seat.finished(index, item)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            None => waiting.push(Waiting { index, tries: 0, not_before: 0.0 }),
        }
    }
    if waiting.is_empty() {
        return Ok(Flow::Go);
    }
    let (tell, told) = channel();
    let mut desk = Counter {
        teacher,
        settings,
        waits: Waits::of(settings),
        calls,
        keys: &keys,
        waiting,
        under_way: BTreeMap::new(),
        held: Held::No,
        all_wait_until: 0.0,
        tell,
        told,
    };
    desk.serve(seat, read)
}

fn till<T>(seat: &mut dyn Seat<T>) -> Result<&mut dyn Till> {
    seat.till().context("this seat keeps no journal, so nothing that costs money may be done for it")
}

type Told = (u64, Result<Taught, Fault>);

struct Counter<'a> {
    teacher: &'a Arc<dyn Teacher>,
    settings: &'a TeacherSettings,
    waits: Waits,
    calls: &'a [TeacherCall],
    keys: &'a [String],
    waiting: Vec<Waiting>,
    /// By the call's number: which request, and which try of it.
    under_way: BTreeMap<u64, (usize, u32)>,
    held: Held,
    /// The endpoint asked everybody to wait.
    all_wait_until: f64,
    tell: Sender<Told>,
    told: Receiver<Told>,
}

impl Counter<'_> {
    fn serve<T>(&mut self, seat: &mut dyn Seat<T>, read: &mut dyn FnMut(usize, &Taught) -> T) -> Result<Flow> {
        let mut leaving_since = None;
        while !self.waiting.is_empty() || !self.under_way.is_empty() {
            let till = till(seat)?;
            if till.look()? == Flow::Stop {
                let now = till.uptime();
                let since = *leaving_since.get_or_insert(now);
                if self.under_way.is_empty() || now - since > DRAIN {
                    return Ok(Flow::Stop);
                }
            } else {
                self.look_at_hold(till)?;
                self.send(till)?;
            }
            let mut answered = Vec::new();
            let mut next = self.told.recv_timeout(LISTEN).ok();
            while let Some((call, outcome)) = next {
                if let Some(taught) = self.settle(till, call, outcome)? {
                    answered.push(taught);
                }
                next = self.told.try_recv().ok();
            }
            if answered.is_empty() {
                continue;
            }
            till.sync()?;
            for (index, taught) in answered {
                let item = read(index, &taught);
                // Where the seat says stop, what is under way is still waited for: it is paid for.
                let _ = seat.finished(index, item)?;
            }
        }
        till(seat)?.look()
    }

    /// Whether what nothing is sent for is over.
    fn look_at_hold(&mut self, till: &mut dyn Till) -> Result<()> {
        let paused = matches!(till.view().state, State::Paused(PauseReason::Teacher { .. }));
        match self.held {
            Held::No => {}
            Held::Cap if paused => {
                let needed = self.waiting.iter().map(|waiting| self.most(waiting.index).tokens).max().unwrap_or(0);
                let caps = till.view().caps();
                let fits = self
                    .waiting
                    .iter()
                    .all(|waiting| till.view().teacher.spending.room(&caps, self.most(waiting.index)).is_ok());
                if fits && needed > 0 {
                    till.record(Resumed { by: None, request: None }.into())?;
                    self.held = Held::No;
                }
            }
            Held::Outage | Held::Person | Held::Cap if !paused => {
                // A person said to go on: at once.
                self.held = Held::No;
                self.all_wait_until = 0.0;
                self.waiting.iter_mut().for_each(|waiting| waiting.not_before = 0.0);
            }
            Held::Outage | Held::Person | Held::Cap => {}
        }
        if matches!(self.held, Held::No) {
            till.waits_for(None);
        }
        Ok(())
    }

    fn most(&self, index: usize) -> crate::run::spending::Charge {
        let call = &self.calls[index];
        self.settings.most(&call.text, call.sampling.max_tokens)
    }

    /// Sends what may be sent now.
    fn send(&mut self, till: &mut dyn Till) -> Result<()> {
        loop {
            let at_once = match self.held {
                Held::No => self.settings.concurrency.max(1) as usize,
                Held::Outage => 1,
                Held::Person | Held::Cap => return Ok(()),
            };
            // A person's pause holds what is not sent yet.
            let asked_to_pause =
                matches!(&till.view().state, State::Paused(why) if !matches!(why, PauseReason::Teacher { .. }));
            let now = till.uptime();
            if self.under_way.len() >= at_once || asked_to_pause || now < self.all_wait_until {
                return Ok(());
            }
            let ready = self.waiting.iter().position(|waiting| waiting.not_before <= now);
            let Some(place) = ready else { return Ok(()) };
            let index = self.waiting[place].index;
            let most = self.most(index);
            let caps = till.view().caps();
            if let Err(cap) = till.view().teacher.spending.room(&caps, most) {
                // What is under way may turn out cheaper than was set aside for it.
                if self.under_way.is_empty() {
                    self.held = Held::Cap;
                    self.pause(till, no_room(cap, &self.settings.currency))?;
                }
                return Ok(());
            }
            let Waiting { tries, .. } = self.waiting.remove(place);
            let call = till.view().teacher.asked + 1;
            till.record(TeacherAsked { call, key: self.keys[index].clone(), most }.into())?;
            self.under_way.insert(call, (index, tries + 1));
            let (teacher, request, tell) = (self.teacher.clone(), self.calls[index].clone(), self.tell.clone());
            // A thread for each call: it lives as long as an HTTP exchange. One that nobody waits for any more ends by its time-out.
            std::thread::Builder::new()
                .name("teacher".into())
                .spawn(move || {
                    let _ = tell.send((call, teacher.ask(&request)));
                })
                .context("starting a thread for a call to the teacher")?;
        }
    }

    /// Writes down how a call ended. What was answered is returned, recorded and not yet synced.
    fn settle(
        &mut self,
        till: &mut dyn Till,
        call: u64,
        outcome: Result<Taught, Fault>,
    ) -> Result<Option<(usize, Taught)>> {
        let Some((index, tries)) = self.under_way.remove(&call) else { return Ok(None) };
        let key = self.keys[index].clone();
        let most = self.most(index);
        match outcome {
            Ok(taught) => {
                let (tokens_in, tokens_out) = taught.usage.unwrap_or((most.tokens, 0));
                let paid = taught.usage.map_or(most, |(sent, answered)| self.settings.charge(sent, answered));
                let was = till.view().teacher.versions.last().cloned();
                till.record(
                    TeacherAnswered {
                        call,
                        key,
                        text: taught.text.clone(),
                        finish: taught.finish,
                        tokens_in,
                        tokens_out,
                        paid,
                        metered: taught.usage.is_some(),
                        version: taught.version.clone(),
                        took_ms: taught.took_ms,
                    }
                    .into(),
                )?;
                let known = till.view().teacher.changes.last().map_or(was, |change| Some(change.now.clone()));
                if let Some(was) = known.filter(|was| *was != taught.version && !taught.version.is_empty()) {
                    till.record(TeacherChanged { was, now: taught.version.clone() }.into())?;
                }
                if matches!(self.held, Held::Outage) {
                    till.record(Resumed { by: None, request: None }.into())?;
                    self.held = Held::No;
                    self.waiting.iter_mut().for_each(|waiting| waiting.not_before = 0.0);
                }
                Ok(Some((index, taught)))
            }
            Err(fault) => {
                let next = self.waits.next(&fault, tries, draw(call));
                let now = till.uptime();
                let (again_ms, not_before) = match next {
                    Next::Again { after_ms, .. } => (Some(after_ms), now + after_ms as f64 / 1000.0),
                    Next::Person => (None, now),
                };
                till.record(
                    TeacherFailed {
                        call,
                        key,
                        fault: fault.kind,
                        says: fault.says.clone(),
                        tries,
                        again_ms,
                        paid: fault.charged.then_some(most),
                    }
                    .into(),
                )?;
                self.waiting.push(Waiting { index, tries, not_before });
                self.waiting.sort_by_key(|waiting| waiting.index);
                if let (FaultKind::RateLimited, Some(asked)) = (fault.kind, fault.wait_ms) {
                    // The limit is the account's and not this request's.
                    let until = now + (asked as f64 / 1000.0).min(3600.0);
                    self.all_wait_until = self.all_wait_until.max(until);
                }
                match (next, &self.held) {
                    (Next::Person, Held::No | Held::Outage) => {
                        self.held = Held::Person;
                        self.pause(till, format!("{}; when that is mended, `selfreward resume` goes on", fault.says))?;
                    }
                    (Next::Again { aloud: true, .. }, Held::No) => {
                        self.held = Held::Outage;
                        self.pause(
                            till,
                            format!("{} ({tries} tries); the run goes on by itself when it answers", fault.says),
                        )?;
                    }
                    _ => {}
                }
                Ok(None)
            }
        }
    }

    fn pause(&mut self, till: &mut dyn Till, error: String) -> Result<()> {
        till.waits_for(Some(format!("the teacher: {error}")));
        if !matches!(till.view().state, State::Paused(_)) {
            let why = PauseReason::Teacher { error };
            till.record(Paused { why, by: None, request: None }.into())?;
        }
        Ok(())
    }
}

/// Where in its interval a wait lies: no decision of the run depends on it, and two engines must not wait alike.
fn draw(call: u64) -> f64 {
    Seed::root(call ^ (u64::from(std::process::id()) << 32)).named("jitter").stream().unit()
}

/// A cap in words, with what to do.
fn no_room(cap: Cap, currency: &str) -> String {
    let (says, flag) = match cap {
        Cap::Calls { cap } => (format!("the cap of {cap} calls is reached"), "--calls N"),
        Cap::Tokens { cap, left, needed } => {
            (format!("of the cap of {cap} tokens {left} are left and the next call may take {needed}"), "--tokens N")
        }
        Cap::Cost { cap, left, needed } => (
            format!(
                "of the cap of {} {currency} {} is left and the next call may cost {}",
                amount(cap),
                amount(left),
                amount(needed)
            ),
            "--cost AMOUNT",
        ),
    };
    format!("{says}; raise it with `selfreward spend RUN {flag}`, or stop the run")
}
