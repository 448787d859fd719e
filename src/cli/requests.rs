//! Requests to the engine of a run: written durably into a file of this person's own, then answered by the engine's event.
//!
//! Used by every command that changes a run. A command never writes the journal: where no engine lives the request waits in its file.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cli::arguments::{After, Command as Asked, DecideArgs, GateArgs, Reason, RequestArgs};
use crate::cli::failure::Failure;
use crate::cli::open::{self, Opened};
use crate::cli::output::Output;
use crate::cli::pairs;
use crate::run::command::{Choice, Command, Decide, Outbox, StopWhen};
use crate::run::event::{Event, VetoReason};
use crate::run::folder::host_name;
use crate::run::ids::{PromptId, RequestId};
use crate::run::journal::{Found, Tail};
use crate::run::view::State;
use crate::text::nearest::nearest;

/// How often the journal is looked at while an answer is awaited.
const LOOK: Duration = Duration::from_millis(50);

/// Sends what was asked and reports the answer.
pub fn request(root: &Path, asked: Asked, output: &mut Output) -> Result<()> {
    let plain = |request: RequestArgs, command: Command| (request, Box::new(move |_: &Opened| Ok(command)) as Make);
    let (request, make): (RequestArgs, Make) = match asked {
        Asked::Pause(request) => plain(request, Command::Pause),
        Asked::Snapshot(request) => plain(request, Command::Snapshot),
        Asked::Stop(args) => {
            let when = match args.after {
                After::Step => StopWhen::Step,
                After::Stage => StopWhen::Stage,
                After::Iteration => StopWhen::Iteration,
            };
            plain(args.request, Command::Stop { when })
        }
        Asked::Rollback(args) => {
            let make = move |opened: &Opened| {
                // A typo is answered here and not by an event minutes later.
                crate::engine::settings::Settings::changed(&opened.view.config, &args.set).map_err(Failure::usage)?;
                Ok(Command::Rollback { to: args.to, set: args.set })
            };
            (args.request, Box::new(make))
        }
        Asked::Spend(args) => {
            if args.calls.is_none() && args.tokens.is_none() && args.cost.is_none() {
                return Err(Failure::usage("say what may be spent: --calls N, --tokens N or --cost AMOUNT"));
            }
            if args.cost.is_some_and(|cost| !cost.is_finite() || cost < 0.0) {
                return Err(Failure::usage("--cost is an amount of money, 0 or more"));
            }
            let micros = args.cost.map(|cost| (cost * 1e6).round() as u64);
            plain(args.request, Command::Spend { calls: args.calls, tokens: args.tokens, micros })
        }
        Asked::Keep(args) => decide(args, Choice::Keep, None),
        Asked::Veto(args) => decide(args.decide, Choice::Veto, args.reason.map(reason)),
        Asked::Swap(args) => decide(args, Choice::Swap, None),
        Asked::Tie(args) => decide(args, Choice::Tie, None),
        Asked::Defer(args) => decide(args, Choice::Defer, None),
        Asked::Flag(args) => decide(args, Choice::Flag, None),
        Asked::Score(args) => {
            if !(0.0..=5.0).contains(&args.score) {
                return Err(Failure::usage(format!("{} is no score: a mean score is from 0 to 5", args.score)));
            }
            let choice = Choice::Edit { candidate: args.candidate, score: args.score };
            let decide_args =
                DecideArgs { request: args.request, pairs: vec![args.pair], filter: None, note: args.note };
            decide(decide_args, choice, None)
        }
        Asked::Undo(args) => plain(args.request, Command::Undo { of: args.of }),
        Asked::Redo(args) => plain(args.request, Command::Redo { of: args.of }),
        Asked::Note(args) => {
            let make = move |opened: &Opened| {
                args.pair.map_or(Ok(()), |pair| known(opened, &[pair]))?;
                Ok(Command::Note { pair: args.pair, text: args.text })
            };
            (args.request, Box::new(make))
        }
        Asked::Ack(args) => {
            let make = move |opened: &Opened| match opened.view.alarms.get(&args.alarm) {
                Some(_) => Ok(Command::Acknowledge { alarm: args.alarm }),
                None => {
                    let standing: Vec<&str> = opened.view.alarms.keys().map(String::as_str).collect();
                    let hint = match nearest(&args.alarm, standing.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if standing.is_empty() => "no alarm stands".into(),
                        None => format!("there are: {}", standing.join(", ")),
                    };
                    anyhow::bail!("there is no alarm `{}` in {}; {hint}", args.alarm, opened.name())
                }
            };
            (args.request, Box::new(make))
        }
        // The other commands do not come here: `cli::run` names each of them.
        _ => anyhow::bail!("this command is no request"),
    };
    let opened = open::open(root, &request.run, output)?;
    let command = make(&opened)?;
    send(opened, command, request.wait, request.json, output)
}

type Make = Box<dyn FnOnce(&Opened) -> Result<Command>>;

/// Lets a paused engine go on.
pub fn unpause(opened: Opened, wait: f64, json: bool, output: &mut Output) -> Result<()> {
    send(opened, Command::Resume, wait, json, output)
}

/// Shows the gate, or closes it.
pub fn gate(root: &Path, args: &GateArgs, output: &mut Output) -> Result<()> {
    let opened = open::open(root, &args.request.run, output)?;
    if args.action.is_some() {
        return send(opened, Command::CloseGate, args.request.wait, args.request.json, output);
    }
    let view = &opened.view;
    let check = view.round(view.iteration).map(|round| round.check()).unwrap_or_default();
    let gate = view.round(view.iteration).and_then(|round| round.gate.as_ref());
    if args.request.json {
        return output.json(json!({
            "run": opened.name(),
            "iteration": view.iteration,
            "loop": gate.and(view.reward.labelled.last()).filter(|_| view.iteration == 0).map(|labels| labels.number),
            "open": view.open_gate().is_some(),
            "mode": gate.map(|gate| gate.gate),
            "opened": gate.map(|gate| gate.opened.to_string()),
            "offered": check.offered,
            "decided": check.decided,
            "random_decided": check.random_decided,
            "random_bad": check.random_bad,
            "closed": gate.and_then(|gate| gate.closed.as_ref()).map(|(_, closed)| closed.why.clone()),
        }));
    }
    match gate {
        None => output.line(&format!("iteration {} has no gate yet", view.iteration)),
        Some(gate) => output.line(&format!(
            "the gate of {} is {}: {} of {} offered {} are decided",
            match view.reward.labelled.last().filter(|_| view.iteration == 0) {
                Some(labels) => format!("the labels that R{} learns from", labels.number),
                None => format!("iteration {}", view.iteration),
            },
            if gate.is_open() { "open" } else { "closed" },
            check.decided,
            check.offered,
            if view.iteration == 0 { "labels" } else { "pairs" }
        )),
    }
}

fn reason(reason: Reason) -> VetoReason {
    match reason {
        Reason::Wrong => VetoReason::Wrong,
        Reason::Length => VetoReason::Length,
        Reason::Gaming => VetoReason::Gaming,
        Reason::Broken => VetoReason::Broken,
        Reason::Prompt => VetoReason::Prompt,
        Reason::Other => VetoReason::Other,
    }
}

fn decide(args: DecideArgs, choice: Choice, reason: Option<VetoReason>) -> (RequestArgs, Make) {
    let DecideArgs { request, pairs, filter, note } = args;
    let make = move |opened: &Opened| {
        let pairs = match &filter {
            Some(text) => {
                let wanted = pairs::read_filter(text)?;
                // Decisions are taken for the iteration under way only; the filter need not say so.
                let now = opened.view.iteration;
                let pairs: Vec<PromptId> = pairs::select(opened, &wanted)?
                    .iter()
                    .map(|(id, _)| *id)
                    .filter(|id| id.iteration == now)
                    .collect();
                anyhow::ensure!(!pairs.is_empty(), "no pair of iteration {now} is selected by `{text}`");
                pairs
            }
            None => {
                known(opened, &pairs)?;
                pairs
            }
        };
        Ok(Command::Decide(Decide { pairs, choice, reason, note, took_ms: None, blind: false, filter, seen: None }))
    };
    (request, Box::new(make))
}

fn known(opened: &Opened, pairs: &[PromptId]) -> Result<()> {
    match pairs.iter().find(|id| opened.view.pair(**id).is_none()) {
        Some(id) => {
            anyhow::bail!("there is no pair {id} in {}; `selfreward pairs {}` lists them", opened.name(), opened.name())
        }
        None => Ok(()),
    }
}

/// Who asks: the person and the machine.
pub fn person() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let user = user.unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()));
    format!("{user}@{}", host_name())
}

/// Writes the request, and waits for the engine's answer where an engine lives.
fn send(opened: Opened, command: Command, wait: f64, as_json: bool, output: &mut Output) -> Result<()> {
    let name = opened.name();
    // Nobody will ever read a request there, so it must not seem to wait.
    anyhow::ensure!(
        opened.holder.is_some() || opened.view.state != State::Finished,
        "the run {name} is finished and takes no more requests; look at it with `selfreward replay {name}`"
    );
    let path = opened.folder.path().to_path_buf();
    let person = person();
    let cannot = || format!("writing a request for {name}: its folder {} cannot be written", path.display());
    let outbox = Outbox::open(&path, &person).with_context(cannot)?;
    // Reading starts before the request is written, so that no answer can be missed.
    let mut tail = Tail::new(&path);
    tail.read(|_, _| true)?;
    let id = outbox.send(&person, open::now(), command).with_context(cannot)?;
    let answer = match opened.holder {
        None => Answer::Waits,
        Some(_) => await_answer(&mut tail, &id, wait)?,
    };
    let (state, seq, event) = match &answer {
        Answer::Waits => ("waits", None, None),
        Answer::None => ("unanswered", None, None),
        Answer::Taken(seq, event) => ("taken", Some(*seq), Some(event)),
        Answer::Refused(seq, event, _) => ("refused", Some(*seq), Some(event)),
    };
    if as_json {
        output.json(json!({ "run": name, "request": id.to_string(), "answer": state, "seq": seq, "event": event }))?;
    }
    match answer {
        Answer::Refused(_, _, why) => anyhow::bail!("the engine of {name} refused: {why}"),
        _ if as_json => Ok(()),
        Answer::Taken(seq, event) => {
            let kind = event.get("kind").and_then(Value::as_str).unwrap_or("answered").replace('_', " ");
            output.line(&format!("{name}: {kind} (entry {seq}, request {id})"))
        }
        Answer::Waits => output.line(&format!(
            "{name}: no engine runs it; the request waits in {}/control until `selfreward resume {name}`",
            path.display()
        )),
        Answer::None => output.line(&format!(
            "{name}: sent as {id}, and not answered within {wait} s: the engine answers at its next safe point"
        )),
    }
}

enum Answer {
    /// No engine lives.
    Waits,
    /// The engine has not answered in time.
    None,
    Taken(u64, Value),
    Refused(u64, Value, String),
}

fn await_answer(tail: &mut Tail, id: &RequestId, wait: f64) -> Result<Answer> {
    let until = Instant::now() + Duration::from_secs_f64(wait.clamp(0.0, 86400.0));
    loop {
        let mut answer = None;
        tail.read(|_, found| {
            if let Found::Entry(entry) = found
                && entry.event.answers() == Some(id)
            {
                let event = serde_json::to_value(&entry.event).unwrap_or_default();
                answer = Some(match &entry.event {
                    Event::CommandRefused(refused) => Answer::Refused(entry.seq, event, refused.why.clone()),
                    _ => Answer::Taken(entry.seq, event),
                });
            }
            answer.is_none()
        })?;
        match answer {
            Some(answer) => return Ok(answer),
            None if Instant::now() >= until => return Ok(Answer::None),
            None => std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now()))),
        }
    }
}
