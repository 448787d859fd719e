//! Check: pairs are decided one by one, one key each, with everything beside them that a decision needs.
//!
//! `queue` says which pair comes next, `asked` what became of each request, `act` what keys do; the other files draw. Decisions are
//! requests to the engine, or second opinions in a replay.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use crate::run::command::Command;
use crate::run::entry::Stamp;
use crate::run::ids::{PromptId, RequestId};
use crate::run::looking::Looking;
use crate::tui::app::{App, Effect, Mode};
use crate::tui::diff::{Diffs, Show};
use crate::tui::keys::Action;
use crate::tui::layout::{is_compact, parts};
use crate::tui::panes::cards;

mod act;
mod answers;
pub mod asked;
mod head;
pub mod opinion;
pub mod queue;
pub mod sides;
mod summary;
mod why;

/// What has the focus, and is zoomed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    #[default]
    Left,
    Right,
    Why,
}

#[derive(Debug)]
pub struct State {
    /// The pair that is looked at; none for the first undecided one, or the summary when there is none.
    pub at: Option<PromptId>,
    /// Since when.
    pub since: Stamp,
    pub scroll: usize,
    pub focus: Pane,
    pub blind: bool,
    pub show: Show,
    /// Which of the judge's replies is shown.
    pub sample: usize,
    pub candidates: bool,
    pub advance: bool,
    pub wrap: bool,
    /// The table of pairs opened this pair: Esc goes back there.
    pub from_pairs: bool,
    /// A veto that still takes a reason, until then.
    reason_for: Option<(PromptId, Stamp)>,
    pub requests: asked::Requests,
    pub opinions: opinion::Opinions,
    /// Where other viewers look, and what they have been told of this one.
    pub others: Vec<Looking>,
    told: Option<PromptId>,
    diffs: Diffs,
}

impl Default for State {
    fn default() -> State {
        State {
            at: None,
            since: Stamp(0),
            scroll: 0,
            focus: Pane::Left,
            blind: false,
            show: Show::Side,
            sample: 0,
            candidates: false,
            advance: true,
            wrap: true,
            from_pairs: false,
            reason_for: None,
            requests: asked::Requests::default(),
            opinions: opinion::Opinions::default(),
            others: Vec::new(),
            told: None,
            diffs: Diffs::default(),
        }
    }
}

/// The pair that is shown now.
pub fn shown(app: &App) -> Option<PromptId> {
    let there = app.check.at.filter(|&pair| app.view().pair(pair).is_some());
    there.or_else(|| queue::first_open(app))
}

/// Shows this pair, wherever it came from.
pub fn open(app: &mut App, pair: PromptId, from_pairs: bool) {
    app.screen = crate::tui::app::Screen::Check;
    app.check.from_pairs = from_pairs;
    turn_to(app, Some(pair));
}

fn turn_to(app: &mut App, pair: Option<PromptId>) {
    app.check.at = pair;
    app.check.since = app.clock;
    app.check.scroll = 0;
    app.check.sample = 0;
    app.check.candidates = false;
}

/// A request was written, or not. Returns whether it was one of this screen's.
pub fn sent(app: &mut App, command: &Command, result: &Result<RequestId, String>) -> bool {
    asked::sent(app, command, result)
}

/// After every message: answers are looked for, a pair once shown stays until somebody moves, the next differences are found.
pub fn settle(app: &mut App, effects: &mut Vec<Effect>) {
    asked::settle(app, effects);
    if app.screen == crate::tui::app::Screen::Check {
        settle_shown(app);
    }
    // Others keep away from the pair that is looked at here, as long as it can be decided.
    let here = app.screen == crate::tui::app::Screen::Check && app.can_decide() && app.view().open_gate().is_some();
    let now = here.then(|| shown(app)).flatten();
    if now != app.check.told {
        app.check.told = now;
        let by = app.settings.name.clone();
        effects.push(Effect::Look(now.map(|pair| Looking { by, pair, at: app.check.since.0 })));
    }
}

/// Who else turned to this pair less than a minute ago, and before this viewer did.
pub fn kept_by(app: &App, pair: PromptId) -> Option<&Looking> {
    let live = !app.is_replay() && !app.source.is_held();
    let mine = (app.check.told == Some(pair)).then_some(app.check.since.0);
    app.check.others.iter().find(|looking| {
        live && looking.pair == pair && looking.left(app.clock) > 0.0 && mine.is_none_or(|since| looking.at <= since)
    })
}

fn settle_shown(app: &mut App) {
    if app.mode == (Mode::Replay { second_opinion: true }) {
        app.check.blind = true;
    }
    let live = !app.is_replay() && !app.source.is_held();
    let second = app.mode == (Mode::Replay { second_opinion: true });
    if app.check.at.is_some_and(|pair| app.view().pair(pair).is_none()) {
        turn_to(app, None);
    }
    if app.check.at.is_none() && (live || second) {
        let first = queue::first_open(app);
        if first.is_some() {
            turn_to(app, first);
        }
    }
    answers::prepare(app);
}

/// The places of everything at this size.
struct Plan {
    head: Rect,
    prompt: Rect,
    left: Rect,
    right: Rect,
    why: Rect,
    strip: Rect,
}

fn plan(area: Rect) -> Plan {
    let prompt = if area.height >= 30 { 4 } else { 1 };
    let why = match area.height {
        0..16 => 0,
        16..18 => 4,
        18..24 => 6,
        24..40 => 8,
        _ => 12,
    };
    let strip = if area.height >= 30 { 3 } else { 1 };
    let [head, prompt, answers, why, strip] = area.layout(&Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(prompt),
        Constraint::Fill(1),
        Constraint::Length(why),
        Constraint::Length(strip),
    ]));
    let [left, right] = answers.layout(&Layout::horizontal([Constraint::Fill(1); 2]));
    Plan { head, prompt, left, right, why, strip }
}

fn compact(app: &App) -> bool {
    is_compact(Rect::new(0, 0, app.size.0, app.size.1))
}

fn body(app: &App) -> Rect {
    let held = app.is_replay() || app.source.is_held();
    parts(Rect::new(0, 0, app.size.0, app.size.1), held).body
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let Some(pair) = shown(app) else { return summary::draw(frame, area, app) };
    if compact(app) {
        return answers::draw_compact(frame, area, app, pair);
    }
    let plan = plan(area);
    head::draw(frame, plan.head, app, pair);
    if app.check.candidates {
        let rest = Rect { y: plan.prompt.y, height: area.bottom() - plan.prompt.y, ..area };
        return four(frame, rest, app, pair);
    }
    if app.zoom {
        let rest = Rect { y: plan.prompt.y, height: area.bottom() - plan.prompt.y, ..area };
        return match app.check.focus {
            Pane::Why => why::draw(frame, rest, app, pair),
            Pane::Left | Pane::Right => answers::draw_one(frame, rest, app, pair),
        };
    }
    head::prompt(frame, plan.prompt, app, pair);
    answers::draw(frame, plan.left, plan.right, app, pair);
    why::draw(frame, plan.why, app, pair);
    summary::strip(frame, plan.strip, app, pair);
}

/// All four candidates. Blind, they carry neither score nor role.
fn four(frame: &mut Frame, area: Rect, app: &App, pair: PromptId) {
    let hidden = sides::hidden(app, pair);
    let looks = cards::Looks { hidden, sample: app.check.sample, focus: None, scroll: app.check.scroll };
    cards::draw(frame, area, app, pair, &looks);
}

pub fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    act::act(app, action, effects)
}

pub use act::take_back;
pub use head::signed_percent;

/// Gives a candidate another score, as the score editor asks for it.
pub fn edit_score(app: &mut App, pair: PromptId, candidate: u32, score: f64, effects: &mut Vec<Effect>) {
    act::decide_on(app, pair, crate::run::command::Choice::Edit { candidate, score }, effects);
}

/// A decision about many pairs at once, from the table.
pub fn decide_many(
    app: &mut App,
    pairs: Vec<PromptId>,
    choice: crate::run::command::Choice,
    filter: Option<String>,
    effects: &mut Vec<Effect>,
) {
    act::decide_many(app, pairs, choice, filter, effects);
}
