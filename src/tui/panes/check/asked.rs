//! What this viewer has asked about pairs and how each request stands: waiting, sent, taken, refused.
//!
//! A decision is a request; only the engine's own event makes it true. While a request on a pair is unanswered the next one on that pair
//! waits here, because it must say which decision its writer had seen: so nobody overwrites what they have not seen, not even by speed.

use crate::run::command::{Choice, Command, Decide};
use crate::run::entry::Stamp;
use crate::run::event::{Decision, VetoReason};
use crate::run::ids::{PromptId, RequestId, Seq};
use crate::run::view::{DecisionView, PairStatus, RunView};
use crate::tui::app::{App, Effect};
use crate::tui::theme::Role;

/// Answered requests that are remembered, so that a pair can say how it came to stand.
const KEPT: usize = 200;

/// A request about pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub pairs: Vec<PromptId>,
    pub ask: Ask,
    pub stand: Stand,
    pub at: Stamp,
    /// What was asked, as a person says it: `veto #2:31`.
    pub words: String,
    /// It is to be taken back as soon as it has been taken.
    pub taken_back: bool,
    command: Option<Command>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    Decide {
        choice: Choice,
        reason: Option<VetoReason>,
        took_ms: Option<u64>,
        blind: bool,
        filter: Option<String>,
    },
    /// Without a place: this viewer's last decision, whose place is not known yet.
    Undo(Option<Seq>),
    Redo(Seq),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stand {
    /// Waits for the answer to an earlier request on the same pair.
    Held,
    /// On its way into the request file.
    Going,
    Sent(RequestId),
    Taken,
    Refused(String),
}

impl Asked {
    pub fn is_open(&self) -> bool {
        matches!(self.stand, Stand::Held | Stand::Going | Stand::Sent(_))
    }

    /// Later requests on its pairs have to wait for the answer. A flag is no decision: nobody has to have seen it.
    fn blocks(&self) -> bool {
        self.is_open() && !matches!(&self.ask, Ask::Decide { choice: Choice::Flag, .. })
    }
}

/// Everything asked by this viewer, oldest first, and the last entry that it had read when somebody looked at the screen.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    all: Vec<Asked>,
    pub read: Seq,
}

impl Requests {
    pub fn open(&self) -> impl DoubleEndedIterator<Item = &Asked> {
        self.all.iter().filter(|asked| asked.is_open())
    }

    /// The latest request about a pair.
    pub fn last(&self, pair: PromptId) -> Option<&Asked> {
        self.all.iter().rev().find(|asked| asked.pairs.contains(&pair))
    }
}

/// A pair as its reader should see it: with what this viewer has asked and the engine has not answered yet.
pub fn status(app: &App, id: PromptId) -> PairStatus {
    let view = app.view();
    let Some(pair) = view.pair(id) else { return PairStatus::Auto };
    let mut status = pair.status;
    if app.is_replay() || app.source.is_held() {
        return status;
    }
    for asked in app.check.requests.open().filter(|asked| asked.pairs.contains(&id)) {
        status = match &asked.ask {
            Ask::Decide { choice, .. } => match choice {
                Choice::Keep => PairStatus::Kept,
                Choice::Veto => PairStatus::Vetoed,
                Choice::Swap => PairStatus::Swapped,
                Choice::Tie => PairStatus::Tied,
                Choice::Edit { .. } => PairStatus::Edited,
                Choice::Defer => PairStatus::Deferred,
                Choice::Flag => status,
            },
            Ask::Undo(of) => view.standing_without(pair, id, *of).0,
            Ask::Redo(of) => view.decision(*of).and_then(DecisionView::status).unwrap_or(status),
        };
    }
    status
}

/// How the latest request about a pair stands, in words.
pub fn answer(app: &App, id: PromptId) -> Option<(String, Role)> {
    let asked = app.check.requests.last(id)?;
    let words = &asked.words;
    Some(match &asked.stand {
        Stand::Held if app.is_alive() => (format!("{words}: waits for the answer before it"), Role::Warn),
        Stand::Held => (format!("{words}: waits, no engine lives"), Role::Warn),
        Stand::Going => (format!("{words}: sending"), Role::Human),
        Stand::Sent(_) if app.is_alive() => (format!("{words}: sent, not taken yet"), Role::Human),
        Stand::Sent(_) => (format!("{words}: sent; taken when an engine runs again"), Role::Human),
        Stand::Taken => (format!("{words}: taken by the engine"), Role::Good),
        Stand::Refused(why) => (format!("{words}: refused: {why}"), Role::Error),
    })
}

/// Asks for a decision.
pub fn decide(app: &mut App, pairs: Vec<PromptId>, ask: Ask, words: String, effects: &mut Vec<Effect>) {
    put(app, pairs, ask, words, effects);
}

fn put(app: &mut App, pairs: Vec<PromptId>, ask: Ask, words: String, effects: &mut Vec<Effect>) {
    let earlier = app.check.requests.all.iter().filter(|asked| asked.blocks());
    let waits = earlier.into_iter().any(|asked| asked.pairs.iter().any(|pair| pairs.contains(pair)));
    let held = waits
        && match ask {
            Ask::Decide { .. } => true,
            // Without an engine no answer comes: the undo then speaks of the writer's last decision, whichever place that will get.
            Ask::Undo(None) => app.is_alive(),
            // They name what they are about, so nothing unseen can be overwritten.
            Ask::Undo(Some(_)) | Ask::Redo(_) => false,
        };
    let at = app.clock;
    let asked = Asked { pairs, ask, stand: Stand::Held, at, words, taken_back: false, command: None };
    app.check.requests.all.push(asked);
    if !held {
        let last = app.check.requests.all.len() - 1;
        go(app, last, effects);
    }
}

/// Hands a request over to be written.
fn go(app: &mut App, place: usize, effects: &mut Vec<Effect>) {
    let Some(asked) = app.check.requests.all.get(place) else { return };
    let command = match &asked.ask {
        Ask::Decide { choice, reason, took_ms, blind, filter } => Command::Decide(Decide {
            pairs: asked.pairs.clone(),
            choice: *choice,
            reason: *reason,
            note: None,
            took_ms: *took_ms,
            blind: *blind,
            filter: filter.clone(),
            seen: Some(seen(app, &asked.pairs)),
        }),
        Ask::Undo(of) => Command::Undo { of: *of },
        Ask::Redo(of) => Command::Redo { of: Some(*of) },
    };
    let what = asked.words.clone();
    if let Some(asked) = app.check.requests.all.get_mut(place) {
        asked.stand = Stand::Going;
        asked.command = Some(command.clone());
    }
    effects.push(Effect::Send { what, command });
}

/// The last decision on any of these pairs that was there when the screen was last made.
fn seen(app: &App, pairs: &[PromptId]) -> Seq {
    let head = app.source.head();
    let known = pairs.iter().filter_map(|&pair| head.pair(pair)).flat_map(|pair| pair.history.iter().copied());
    known.filter(|&seq| seq <= app.check.requests.read).max().unwrap_or(0)
}

/// The request was written, or could not be. Returns whether it was one of ours.
pub fn sent(app: &mut App, command: &Command, result: &Result<RequestId, String>) -> bool {
    let ours = |asked: &&mut Asked| asked.stand == Stand::Going && asked.command.as_ref() == Some(command);
    let Some(asked) = app.check.requests.all.iter_mut().find(ours) else { return false };
    asked.stand = match result {
        Ok(id) => Stand::Sent(id.clone()),
        Err(why) => Stand::Refused(format!("it could not be written: {why}")),
    };
    result.is_ok()
}

/// Looks for answers, says what was refused, and lets go what waited for them.
pub fn settle(app: &mut App, effects: &mut Vec<Effect>) {
    let head = app.source.head();
    let mut refused = Vec::new();
    for asked in &mut app.check.requests.all {
        let Stand::Sent(id) = &asked.stand else { continue };
        if head.answered(&id.writer) < id.number {
            continue;
        }
        let why = head.refusals.iter().rev().find(|(_, refusal)| refusal.request == *id).map(|(_, r)| r.why.clone());
        asked.stand = match why {
            Some(why) => {
                refused.push((asked.words.clone(), why.clone()));
                Stand::Refused(why)
            }
            None => Stand::Taken,
        };
    }
    for (words, why) in refused {
        app.say(Role::Error, format!("{words} was refused: {why}"));
    }
    release(app, effects);
    let excess = app.check.requests.all.len().saturating_sub(KEPT);
    let done = |asked: &Asked| !asked.is_open();
    if excess > 0 && app.check.requests.all.iter().take(excess).all(done) {
        app.check.requests.all.drain(..excess);
    }
}

fn release(app: &mut App, effects: &mut Vec<Effect>) {
    for place in 0..app.check.requests.all.len() {
        let asked = &app.check.requests.all[place];
        if asked.stand != Stand::Held {
            continue;
        }
        let touches = |other: &&Asked| other.pairs.iter().any(|pair| asked.pairs.contains(pair));
        let before = &app.check.requests.all[..place];
        if before.iter().filter(touches).any(Asked::blocks) {
            continue;
        }
        if let Some(Asked { stand: Stand::Refused(_), words, .. }) = before.iter().rev().find(touches) {
            let why = format!("{words} before it was refused");
            app.check.requests.all[place].stand = Stand::Refused(why);
            continue;
        }
        if asked.ask == Ask::Undo(None) {
            let mine = newest(app.source.head(), &app.settings.name, |decision| {
                decision.pairs.iter().any(|decided| asked.pairs.contains(&decided.pair))
            });
            let of = mine.map(|decision| decision.seq);
            app.check.requests.all[place].ask = Ask::Undo(of);
        }
        // The engine has just answered: its answer is what this person knows of these pairs.
        app.check.requests.read = app.check.requests.read.max(app.source.head().seq);
        go(app, place, effects);
    }
}

fn newest<'a>(view: &'a RunView, by: &str, wanted: impl Fn(&DecisionView) -> bool) -> Option<&'a DecisionView> {
    let mine = |decision: &&DecisionView| decision.by == by && !decision.undone && decision.status().is_some();
    view.decisions.iter().rev().filter(mine).find(|decision| wanted(decision))
}

/// Takes back the last decision of this person. Returns the pairs it was about, or why nothing is taken back.
pub fn undo(app: &mut App, effects: &mut Vec<Effect>) -> Result<(Vec<PromptId>, String), String> {
    let open = app.check.requests.all.iter().rposition(|asked| {
        let decides = matches!(&asked.ask, Ask::Decide { choice, .. } if *choice != Choice::Flag);
        asked.is_open() && decides && !asked.taken_back
    });
    if let Some(place) = open {
        let asked = &mut app.check.requests.all[place];
        asked.taken_back = true;
        let (pairs, words) = (asked.pairs.clone(), asked.words.clone());
        if asked.stand == Stand::Held {
            // It never left: nothing has to be taken back from the engine.
            app.check.requests.all.remove(place);
        } else {
            put(app, pairs.clone(), Ask::Undo(None), format!("take back {words}"), effects);
        }
        return Ok((pairs, words));
    }
    let going: Vec<Seq> = undoing(app);
    let name = app.settings.name.clone();
    let head = app.source.head();
    let last = newest(head, &name, |decision| !going.contains(&decision.seq) && still_open(head, decision));
    let Some(last) = last.cloned() else {
        let past = newest(head, &name, |_| true).is_some_and(|decision| !still_open(head, decision));
        let why = if past {
            "what you decided before has been learnt from"
        } else {
            "there is nothing of yours to take back"
        };
        return Err(why.into());
    };
    let mut all = vec![last.clone()];
    // A veto whose reason came a moment later stands as two decisions: both go.
    if last.decision == Decision::Veto
        && last.reason.is_some()
        && let [one] = *last.pairs
    {
        let head = app.source.head();
        let history = head.pair(one.pair).map(|pair| pair.history.clone()).unwrap_or_default();
        let before = history.iter().rev().find(|&&seq| seq < last.seq).and_then(|&seq| head.decision(seq));
        let bare = |d: &&DecisionView| d.by == name && !d.undone && d.decision == Decision::Veto && d.reason.is_none();
        all.extend(before.filter(bare).cloned());
    }
    let words = words_of(&last);
    let pairs: Vec<PromptId> = last.pairs.iter().map(|decided| decided.pair).collect();
    for decision in all {
        put(app, pairs.clone(), Ask::Undo(Some(decision.seq)), format!("take back {words}"), effects);
    }
    Ok((pairs, words))
}

/// The engine takes decisions back until the model learns from the pairs.
fn still_open(head: &RunView, decision: &DecisionView) -> bool {
    decision.pairs.iter().all(|decided| {
        let round = head.round(decided.pair.iteration);
        decided.pair.iteration == head.iteration && round.is_some_and(|round| round.training.is_none())
    })
}

/// Decisions that this viewer has asked to take back.
fn undoing(app: &App) -> Vec<Seq> {
    let asked = app.check.requests.open().filter_map(|asked| match asked.ask {
        Ask::Undo(of) => of,
        _ => None,
    });
    asked.collect()
}

/// Restores what was taken back last.
pub fn redo(app: &mut App, effects: &mut Vec<Effect>) -> Result<(Vec<PromptId>, String), String> {
    let going = undoing(app);
    let restoring: Vec<Seq> = app
        .check
        .requests
        .open()
        .filter_map(|asked| match asked.ask {
            Ask::Redo(of) => Some(of),
            _ => None,
        })
        .collect();
    let name = app.settings.name.clone();
    let head = app.source.head();
    let mine = || {
        let own = |d: &&DecisionView| d.by == name && d.status().is_some() && still_open(head, d);
        head.decisions.iter().filter(own)
    };
    let undone = |decision: &DecisionView| {
        (decision.undone || going.contains(&decision.seq)) && !restoring.contains(&decision.seq)
    };
    let newest_standing = mine().rev().find(|decision| !undone(decision)).map_or(0, |decision| decision.seq);
    let mut next = mine().filter(|decision| undone(decision) && decision.seq > newest_standing);
    let Some(first) = next.next().cloned() else { return Err("there is nothing to restore".into()) };
    let mut all = vec![first.clone()];
    // The reason that was taken back with its veto comes back with it.
    all.extend(next.next().filter(|d| d.pairs == first.pairs && d.reason.is_some() && first.reason.is_none()).cloned());
    let words = words_of(&first);
    let pairs: Vec<PromptId> = first.pairs.iter().map(|decided| decided.pair).collect();
    for decision in all {
        put(app, pairs.clone(), Ask::Redo(decision.seq), format!("restore {words}"), effects);
    }
    Ok((pairs, words))
}

/// A decision in words: `veto #2:31`.
pub fn words_of(decision: &DecisionView) -> String {
    let what = decision.status().map_or("decision", PairStatus::name);
    named(what, &decision.pairs.iter().map(|decided| decided.pair).collect::<Vec<_>>())
}

pub fn named(what: &str, pairs: &[PromptId]) -> String {
    match pairs {
        [pair] => format!("{what} #{pair}"),
        pairs => format!("{what} {} pairs", pairs.len()),
    }
}
