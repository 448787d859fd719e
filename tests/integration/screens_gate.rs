//! A spot check without an engine: a viewer at an open gate, and answers that come when a test wants them.
//!
//! Used by `screens_check`; tests nothing itself.

use std::path::Path;

use selfreward::run::command::{Choice, Command};
use selfreward::run::entry::{Entry, Stamp};
use selfreward::run::event::*;
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{PromptId, RequestId, Seq};
use selfreward::run::journal::Writer;
use selfreward::tui::app::{App, Effect, Mode, Msg, update};
use selfreward::tui::panes::check;

use crate::tui_screens::{press, viewer};

/// A viewer at an open gate, and an engine that answers when it is told to.
pub struct Gate {
    pub app: App,
    pub folder: RunFolder,
    pub sent: Vec<Command>,
    unanswered: Vec<(RequestId, Command)>,
    opened: Seq,
}

impl Gate {
    pub fn of(root: &Path, story: &str) -> Gate {
        let app = viewer(root, story, Mode::Control);
        let folder = app.source.folder.clone();
        let opened = app.source.head().seq;
        let mut gate = Gate { app, folder, sent: Vec::new(), unanswered: Vec::new(), opened };
        gate.keys("4");
        gate
    }

    /// Presses keys; a second passes before each. `ENGINE` lets the engine answer, `BO` lets somebody else veto the shown pair first.
    pub fn keys(&mut self, keys: &str) {
        for key in keys.split_whitespace() {
            match key {
                "ENGINE" => self.answer(),
                "BO" => {
                    let pair = check::shown(&self.app).unwrap();
                    self.decide(
                        "bo",
                        pair,
                        Decision::Veto,
                        Outcome::Drop,
                        RequestId { writer: "bo".into(), number: 1 },
                    );
                }
                "READ" => self.read(),
                "LATER" => self.pass(10_000),
                key => {
                    self.pass(1000);
                    let effects = press(&mut self.app, key);
                    self.write(effects);
                }
            }
        }
    }

    fn pass(&mut self, ms: i64) {
        let clock = Stamp(self.app.clock.0 + ms * 1000);
        let effects = update(&mut self.app, Msg::Tick(clock));
        self.write(effects);
    }

    /// What `watch` does with the effects.
    pub fn write(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Send { what, command } = effect {
                let id = RequestId { writer: "viewer".into(), number: self.sent.len() as u64 + 1 };
                self.sent.push(command.clone());
                self.unanswered.push((id.clone(), command.clone()));
                let more = update(&mut self.app, Msg::Sent { what, command, result: Ok(id) });
                self.write(more);
            }
        }
    }

    pub fn record(&mut self, event: impl Into<Event>) {
        self.app.source.poll(usize::MAX).unwrap();
        let head = self.app.source.head();
        let entry = Entry { seq: head.seq + 1, at: Stamp(head.at.0 + 1000), event: event.into() };
        Writer::open(self.folder.path()).unwrap().append(&entry).unwrap();
        self.app.source.poll(usize::MAX).unwrap();
    }

    fn decide(&mut self, by: &str, pair: PromptId, decision: Decision, outcome: Outcome, request: RequestId) {
        self.record(PairDecided {
            decision,
            pairs: vec![Decided { pair, outcome }],
            by: by.into(),
            request,
            reason: None,
            note: None,
            took_ms: None,
            blind: false,
            filter: None,
        });
    }

    fn read(&mut self) {
        self.app.source.poll(usize::MAX).unwrap();
        let effects = update(&mut self.app, Msg::Read(1));
        self.write(effects);
    }

    /// Answers as the engine does: in order, refusing what its writer had not seen.
    fn answer(&mut self) {
        while !self.unanswered.is_empty() {
            let (request, command) = self.unanswered.remove(0);
            let event = self.event(&request, command);
            self.record(event);
            if self.unanswered.is_empty() {
                self.read();
            }
        }
    }

    fn event(&self, request: &RequestId, command: Command) -> Event {
        let view = self.app.source.head();
        let request = request.clone();
        let decided = |decision, pairs, reason, took_ms| {
            let by = "ana".to_string();
            Event::from(PairDecided {
                decision,
                pairs,
                by,
                request: request.clone(),
                reason,
                note: None,
                took_ms,
                blind: false,
                filter: None,
            })
        };
        let again = |seq: Option<Seq>| {
            view.decision(seq.unwrap_or_else(|| view.last_of("ana", false).unwrap().seq)).unwrap().clone()
        };
        match command {
            Command::Decide(decide) => {
                let id = decide.pairs[0];
                let pair = view.pair(id).unwrap();
                if pair.history.last().is_some_and(|&last| decide.seen.is_some_and(|seen| last > seen)) {
                    let why = format!("bo decided pair {id} meanwhile (veto)");
                    return CommandRefused { request, by: "ana".into(), what: "decide".into(), why }.into();
                }
                let outcome = match decide.choice {
                    Choice::Keep => Outcome::Use { chosen: pair.chosen, rejected: pair.rejected },
                    Choice::Swap => Outcome::Use { chosen: pair.rejected, rejected: pair.chosen },
                    Choice::Veto | Choice::Tie => Outcome::Drop,
                    Choice::Edit { .. } | Choice::Defer | Choice::Flag => pair.outcome,
                };
                let decision = match decide.choice {
                    Choice::Keep => Decision::Keep,
                    Choice::Veto => Decision::Veto,
                    Choice::Swap => Decision::Swap,
                    Choice::Tie => Decision::Tie,
                    Choice::Edit { candidate, score } => Decision::Edit { candidate, score },
                    Choice::Defer => Decision::Defer,
                    Choice::Flag => Decision::Flag,
                };
                let pairs = decide.pairs.iter().map(|&pair| Decided { pair, outcome }).collect();
                decided(decision, pairs, decide.reason, decide.took_ms)
            }
            Command::Undo { of } => {
                let old = again(of);
                decided(Decision::Undo { of: old.seq }, old.pairs.to_vec(), None, None)
            }
            Command::Redo { of } => {
                let old = again(of);
                decided(Decision::Redo { of: old.seq }, old.pairs.to_vec(), None, None)
            }
            other => panic!("{other:?}"),
        }
    }

    /// A place in the journal as a reader of the table knows it: `+1` is the first entry after the gate opened.
    pub fn place(&self, seq: Seq) -> String {
        if seq == 0 { "nothing".into() } else { format!("+{}", seq - self.opened) }
    }

    /// What was sent, in words.
    pub fn requests(&self) -> Vec<String> {
        self.sent
            .iter()
            .map(|command| match command {
                Command::Decide(decide) => {
                    let pairs: Vec<String> = decide.pairs.iter().map(|pair| pair.to_string()).collect();
                    let mut words = format!("{:?} {}", decide.choice, pairs.join(" ")).to_lowercase();
                    if let Some(reason) = decide.reason {
                        words += &format!(" for {reason:?}").to_lowercase();
                    }
                    if let Some(ms) = decide.took_ms {
                        words += &format!(" after {ms} ms");
                    }
                    if decide.blind {
                        words += " blind";
                    }
                    if let Some(filter) = &decide.filter {
                        words += &format!(" by `{filter}`");
                    }
                    words + &format!(", seen {}", self.place(decide.seen.unwrap()))
                }
                Command::Undo { of } => format!("undo {}", of.map_or("the last".into(), |of| self.place(of))),
                Command::Redo { of } => format!("redo {}", self.place(of.unwrap())),
                other => format!("{other:?}"),
            })
            .collect()
    }
}
