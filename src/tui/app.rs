//! The state of a viewer and its one update: a message comes in, the state changes, effects come out.
//!
//! `update` touches no terminal and writes no file; `terminal` and `watch` do what the effects say. Panes read this state and draw.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ratatui::crossterm::event::{KeyEvent, KeyEventKind};

use crate::run::command::Command;
use crate::run::entry::Stamp;
use crate::run::ids::{PromptId, Seq};
use crate::run::view::{RunView, State};
use crate::tui::figures::Zone;
use crate::tui::keys::{Action, Meaning, Press, Scope};
pub use crate::tui::messages::{Effect, Leave, Mode, Msg, Screen, Sent, Toast};
use crate::tui::overlays::{self, Overlay};
use crate::tui::panes;
use crate::tui::player::{Bookmark, Player};
use crate::tui::settings::Settings;
use crate::tui::source::Source;
use crate::tui::theme::{Role, Theme};

/// Everything a viewer knows.
pub struct App {
    pub source: Source,
    /// Run B of a comparison.
    pub other: Option<Source>,
    pub mode: Mode,
    pub settings: Settings,
    pub theme: Theme,
    pub zone: Zone,
    /// The folder of all runs.
    pub root: PathBuf,
    /// This viewer's file in `control/`.
    pub writer: String,
    /// The wall clock, as the last tick brought it.
    pub clock: Stamp,
    pub size: (u16, u16),
    pub screen: Screen,
    pub zoom: bool,
    pub mouse: bool,
    pub overlay: Option<Overlay>,
    pub toast: Option<Toast>,
    pub sent: Vec<Sent>,
    /// Keys of an unfinished sequence.
    pub pending: Vec<Press>,
    /// What is filtered for, by screen.
    pub filters: BTreeMap<Screen, String>,
    /// The prompt or pair in hand, common to Gen, Pairs and Check: a screen that is opened shows it. None: the screen's own choice.
    pub pair: Option<PromptId>,
    /// Alerts up to this entry have been announced.
    pub announced: Seq,
    pub player: Player,
    pub bookmarks: Vec<Bookmark>,
    pub compare: panes::compare::State,
    pub live: panes::live::State,
    pub generation: panes::generation::State,
    pub pairs: panes::pairs::State,
    pub check: panes::check::State,
    pub train: panes::train::State,
    pub eval: panes::eval::State,
    pub log: panes::log::State,
    pub runs: panes::runs::State,
}

impl App {
    pub fn new(source: Source, mode: Mode, settings: Settings) -> App {
        let root = source.folder.path().parent().map(PathBuf::from).unwrap_or_default();
        App {
            source,
            other: None,
            mode,
            theme: settings.theme,
            mouse: settings.mouse,
            settings,
            zone: Zone::default(),
            root,
            writer: "viewer".into(),
            clock: Stamp(0),
            size: (80, 24),
            screen: if mode == Mode::Check { Screen::Check } else { Screen::Live },
            zoom: false,
            overlay: None,
            toast: None,
            sent: Vec::new(),
            pending: Vec::new(),
            filters: BTreeMap::new(),
            pair: None,
            announced: 0,
            player: Player::default(),
            bookmarks: Vec::new(),
            compare: Default::default(),
            live: Default::default(),
            generation: Default::default(),
            pairs: Default::default(),
            check: Default::default(),
            train: Default::default(),
            eval: Default::default(),
            log: Default::default(),
            runs: Default::default(),
        }
    }

    /// The run as known at the cursor.
    pub fn view(&self) -> &RunView {
        self.source.view()
    }

    pub fn is_replay(&self) -> bool {
        matches!(self.mode, Mode::Replay { .. })
    }

    /// Decisions and requests can be made now: the right to steer, and no view of the past.
    pub fn can_decide(&self) -> bool {
        self.mode.steers() && !self.source.is_held() && !matches!(self.source.head().state, State::Finished)
    }

    /// An engine works on this run now.
    pub fn is_alive(&self) -> bool {
        self.source.holder.is_some()
    }

    /// The time that "now" means: the clock when live, the cursor's time in the past.
    pub fn moment(&self) -> Stamp {
        if self.is_replay() || self.source.is_held() || !self.is_alive() { self.view().at } else { self.clock }
    }

    pub fn filter(&self) -> &str {
        self.filters.get(&self.screen).map_or("", String::as_str)
    }

    /// Where keys are looked up, first match first.
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::with_capacity(6);
        // Where nothing can be decided, the keys of a replay come first: the space bar plays.
        if self.mode == (Mode::Replay { second_opinion: false }) && self.screen == Screen::Check {
            scopes.push(Scope::Replay);
        }
        match self.screen {
            Screen::Gen => scopes.push(Scope::Gen),
            Screen::Pairs => scopes.push(Scope::Pairs),
            Screen::Check => scopes.push(Scope::Check),
            Screen::Log => scopes.push(Scope::Log),
            Screen::Runs => scopes.push(Scope::Runs),
            Screen::Live | Screen::Train | Screen::Eval => {}
        }
        if self.is_replay() || self.source.is_held() {
            scopes.push(Scope::Replay);
        }
        if matches!(self.screen, Screen::Live | Screen::Train | Screen::Eval) {
            scopes.push(Scope::Charts);
        }
        if self.can_decide() {
            scopes.push(Scope::Control);
        }
        scopes.push(Scope::Everywhere);
        scopes
    }

    pub fn say(&mut self, role: Role, text: impl Into<String>) {
        let until = Stamp(self.clock.0 + 4_000_000);
        self.toast = Some(Toast { text: text.into(), role, until });
    }

    /// Asks the engine for something, if this viewer may.
    pub fn ask(&mut self, what: impl Into<String>, command: Command, effects: &mut Vec<Effect>) {
        if !self.mode.steers() {
            self.say(Role::Warn, "this viewer only looks; `selfreward attach` may also steer");
            return;
        }
        effects.push(Effect::Send { what: what.into(), command });
    }

    /// Requests that the engine has not answered yet.
    pub fn unanswered(&self) -> impl Iterator<Item = &Sent> {
        let head = self.source.head();
        self.sent.iter().filter(|sent| sent.id.number > head.answered(&sent.id.writer))
    }
}

/// The one way in which the state changes.
pub fn update(app: &mut App, msg: Msg) -> Vec<Effect> {
    let mut effects = Vec::new();
    let before = app.source.view().seq;
    match msg {
        Msg::Key(key) if key.kind == KeyEventKind::Release => {}
        Msg::Key(key) => pressed(app, key, &mut effects),
        Msg::Paste(text) => overlays::paste(app, &text),
        Msg::Mouse(event) => crate::tui::mouse::mouse(app, event, &mut effects),
        Msg::Looking(others) => app.check.others = others,
        Msg::Settings(settings) => take_settings(app, *settings),
        Msg::Resize(width, height) => app.size = (width, height),
        Msg::Tick(clock) => ticked(app, clock),
        Msg::Read(_) => {
            announce(app, &mut effects);
            // What came before this frame will have been seen when the next key is pressed.
            app.check.requests.read = app.source.head().seq;
        }
        Msg::Sent { what, command, result } => match (panes::check::sent(app, &command, &result), result) {
            (ours, Ok(id)) => {
                if !ours {
                    app.say(Role::Focus, format!("{what}: sent"));
                }
                let at = app.clock;
                app.sent.push(Sent { id, what, command, at });
                if app.sent.len() > 200 {
                    app.sent.remove(0);
                }
            }
            (_, Err(why)) => app.say(Role::Error, format!("{what}: not sent: {why}")),
        },
        Msg::Runs(list) => {
            app.runs.list = list;
            app.runs.read = true;
        }
        Msg::Counted { rule, answer } => {
            if let Some(Overlay::WhatIf(state)) = &mut app.overlay {
                overlays::what_if::answered(state, &rule, answer);
            }
        }
        Msg::Note(text) => app.say(Role::Focus, text),
        Msg::Complaint(text) => app.say(Role::Error, text),
    }
    if app.source.view().seq != before {
        panes::compare::align(app);
    }
    panes::settle(app, &mut effects);
    effects
}

/// The settings file was changed while the viewer runs. The mouse stays as it is: a key turns it on and off.
fn take_settings(app: &mut App, settings: Settings) {
    match settings.complaints.first() {
        Some(complaint) => app.say(Role::Warn, format!("the settings were read again: {complaint}")),
        None => app.say(Role::Focus, "the settings were read again"),
    }
    app.theme = settings.theme;
    app.settings = settings;
}

fn ticked(app: &mut App, clock: Stamp) {
    let passed = app.clock;
    app.clock = clock;
    if app.toast.as_ref().is_some_and(|toast| toast.until <= clock) {
        app.toast = None;
    }
    if passed.0 > 0 {
        crate::tui::player::play(app, clock.seconds_since(passed));
    }
}

/// Tells of alerts that came since the last time: bell and hook.
fn announce(app: &mut App, effects: &mut Vec<Effect>) {
    let head = app.source.head();
    let new: Vec<_> =
        head.alarm_log.iter().rev().take_while(|(seq, _, _)| *seq > app.announced).map(|(_, _, a)| a.clone()).collect();
    let first_reading = app.announced == 0;
    app.announced = app.announced.max(head.seq);
    if first_reading || app.is_replay() {
        return;
    }
    let new: Vec<_> = new.into_iter().filter(|alarm| app.settings.tells_of(alarm)).collect();
    if !new.is_empty() && app.settings.bell {
        effects.push(Effect::Bell);
    }
    if app.settings.on_alert.is_some() {
        effects.extend(new.into_iter().rev().map(|alarm| Effect::Hook(Box::new((*alarm).clone()))));
    }
}

/// Keys as if they had been pressed.
pub fn pressed_all(app: &mut App, presses: Vec<Press>, effects: &mut Vec<Effect>) {
    for press in presses {
        pressed(app, KeyEvent::new(press.code, press.modifiers), effects);
    }
}

fn pressed(app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) {
    if app.overlay.is_some() {
        overlays::key(app, key, effects);
        return;
    }
    let press = Press::from(key);
    let before = std::mem::take(&mut app.pending);
    match app.settings.keys.meaning(&app.scopes(), &before, press) {
        Meaning::Do(action) => act(app, action, effects),
        Meaning::Begins => {
            app.pending = before;
            app.pending.push(press);
        }
        // A key that ends no sequence is taken as the beginning of a new one.
        Meaning::Nothing if !before.is_empty() => pressed(app, key, effects),
        Meaning::Nothing => {}
    }
}

/// Does what a key or a palette line asks for.
pub fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    if panes::act(app, action, effects) || crate::tui::player::act(app, action, effects) {
        return;
    }
    let show = |app: &mut App, screen| {
        app.screen = screen;
        app.zoom = false;
    };
    match action {
        Action::ShowLive => show(app, Screen::Live),
        Action::ShowGen => show(app, Screen::Gen),
        Action::ShowPairs => show(app, Screen::Pairs),
        Action::ShowCheck => show(app, Screen::Check),
        Action::ShowTrain => show(app, Screen::Train),
        Action::ShowEval => show(app, Screen::Eval),
        Action::ShowLog => show(app, Screen::Log),
        Action::ShowRuns => {
            show(app, Screen::Runs);
            effects.push(Effect::ListRuns);
        }
        Action::Alerts => {
            show(app, Screen::Log);
            app.log.show_alerts();
        }
        Action::Zoom => app.zoom = !app.zoom,
        Action::Back => {
            app.zoom = false;
            app.toast = None;
        }
        Action::Mouse => {
            app.mouse = !app.mouse;
            effects.push(Effect::Mouse(app.mouse));
        }
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Detach => effects.push(Effect::Leave(Leave::Detached)),
        Action::Pause => {
            let (what, command) = match app.source.head().state {
                State::Paused(_) => ("go on", Command::Resume),
                _ => ("pause at the next safe point", Command::Pause),
            };
            app.ask(what, command, effects);
        }
        Action::CloseGate => app.ask("close the spot check", Command::CloseGate, effects),
        Action::Snapshot => app.ask("save a checkpoint now", Command::Snapshot, effects),
        _ => overlays::open(app, action),
    }
}
