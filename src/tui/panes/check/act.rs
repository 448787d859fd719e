//! What keys do in Check. A decision is asked for at once and the next pair is shown in the same breath; the engine's answer follows.

use crate::run::command::Choice;
use crate::run::event::VetoReason;
use crate::run::filter::REASONS;
use crate::run::ids::PromptId;
use crate::tui::app::{App, Effect, Mode, Screen};
use crate::tui::figures::{points, visible};
use crate::tui::keys::Action;
use crate::tui::panes::check::asked::{self, Ask, named};
use crate::tui::panes::check::kept_by;
use crate::tui::panes::check::opinion::Opinion;
use crate::tui::panes::check::{Pane, answers, body, queue, shown, sides, turn_to};
use crate::tui::theme::Role;

pub fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    if let Some(place) = reason_key(action) {
        reason_or_screen(app, place, effects);
        return true;
    }
    match action {
        Action::Keep => side_or(app, 0, Choice::Keep, effects),
        Action::Swap => side_or(app, 1, Choice::Swap, effects),
        Action::Left | Action::Right if shown(app).is_some_and(|pair| sides::hidden(app, pair)) => {
            side_or(app, usize::from(action == Action::Right), Choice::Keep, effects);
        }
        Action::Veto => decide(app, Choice::Veto, effects),
        Action::Tie => decide(app, Choice::Tie, effects),
        Action::Defer => decide(app, Choice::Defer, effects),
        Action::Flag => decide(app, Choice::Flag, effects),
        Action::Undo => take_back(app, true, effects),
        Action::Redo => take_back(app, false, effects),
        Action::EditScore if shown(app).is_some_and(PromptId::is_label) => {
            app.say(Role::Warn, "a label has no score to edit: s turns it round, x leaves it out");
        }
        Action::EditScore => match shown(app).map(|pair| way(app, pair)) {
            Some(Way::No(why)) => app.say(Role::Warn, why),
            _ => return false,
        },
        Action::Blind => blind(app),
        Action::DiffMode => {
            app.check.show = app.check.show.next();
            app.check.scroll = 0;
            app.say(Role::Focus, format!("differences: {}", app.check.show.name()));
        }
        Action::Wrap => app.check.wrap = !app.check.wrap,
        Action::AutoAdvance => {
            app.check.advance = !app.check.advance;
            let text =
                if app.check.advance { "the next pair comes after each decision" } else { "a decided pair stays" };
            app.say(Role::Focus, text);
        }
        Action::AllCandidates => {
            app.check.candidates = !app.check.candidates;
            app.check.scroll = 0;
        }
        Action::NextRationale | Action::PreviousRationale => turn_reply(app, action == Action::NextRationale),
        Action::NextItem | Action::PreviousItem => {
            let from = shown(app);
            if let Some(pair) = queue::beside(app, from, action == Action::NextItem) {
                turn_to(app, Some(pair));
            }
        }
        Action::NextPane | Action::PreviousPane => {
            app.check.focus = match (app.check.focus, action) {
                (Pane::Left, Action::NextPane) | (Pane::Why, Action::PreviousPane) => Pane::Right,
                (Pane::Right, Action::NextPane) | (Pane::Left, Action::PreviousPane) => Pane::Why,
                _ => Pane::Left,
            };
            app.check.scroll = 0;
        }
        Action::Back if app.check.candidates => app.check.candidates = false,
        Action::Back if app.zoom => app.zoom = false,
        Action::Back if app.check.from_pairs => {
            app.check.from_pairs = false;
            app.screen = Screen::Pairs;
        }
        Action::Back => {
            app.toast = None;
            turn_to(app, queue::first_open(app));
        }
        _ => return scroll(app, action),
    }
    true
}

fn scroll(app: &mut App, action: Action) -> bool {
    let page = usize::from(body(app).height / 2).max(1);
    let Some(pair) = shown(app) else { return false };
    let end = if app.check.candidates || app.check.focus == Pane::Why { 400 } else { answers::depth(app, pair) };
    let at = app.check.scroll.min(end);
    app.check.scroll = match action {
        Action::Up => at.saturating_sub(1),
        Action::Down => (at + 1).min(end),
        Action::PageUp => at.saturating_sub(page),
        Action::PageDown => (at + page).min(end),
        Action::First => 0,
        Action::Last => end,
        _ => return false,
    };
    true
}

fn turn_reply(app: &mut App, forward: bool) {
    let most = shown(app)
        .and_then(|pair| sides::prompt(app, pair))
        .map_or(1, |prompt| prompt.candidates.iter().map(|c| c.judgements.len()).max().unwrap_or(1).max(1));
    let step = if forward { 1 } else { most - 1 };
    app.check.sample = (app.check.sample + step) % most;
    if app.check.focus == Pane::Why {
        app.check.scroll = 0;
    }
}

fn blind(app: &mut App) {
    if app.mode == (Mode::Replay { second_opinion: true }) {
        app.say(Role::Warn, "a second opinion is always blind");
        return;
    }
    app.check.blind = !app.check.blind;
    app.check.scroll = 0;
    let text = if app.check.blind {
        "blind: a says A is better, s says B; scores and roles come after your decision"
    } else {
        "no longer blind"
    };
    app.say(Role::Focus, text);
}

/// Where a decision goes.
enum Way {
    Engine,
    Opinion,
    No(String),
}

fn way(app: &App, pair: PromptId) -> Way {
    let no = |why: &str| Way::No(why.into());
    match app.mode {
        Mode::Replay { second_opinion: true } => return Way::Opinion,
        Mode::Replay { second_opinion: false } => {
            return no("a replay shows what was decided; `replay --second-opinion` lets you decide anew");
        }
        Mode::ReadOnly => return no("this viewer only looks; `selfreward attach` may also decide"),
        Mode::Control | Mode::Check => {}
    }
    if app.source.is_held() {
        return no("this is the past: F goes to the end, where decisions are made");
    }
    let head = app.source.head();
    let fixed = head.round(pair.iteration).is_some_and(|round| round.training.is_some());
    if !app.can_decide() || pair.iteration != head.iteration || fixed {
        return no(match pair.is_label() {
            true => "too late: the reward model has learnt from these labels",
            false => "too late: the model has learnt from this iteration's pairs",
        });
    }
    if let Some(other) = kept_by(app, pair) {
        let left = other.left(app.clock).ceil();
        return Way::No(format!(
            "{} is looking at this pair, for {left} s more at most; J goes on",
            visible(&other.by)
        ));
    }
    Way::Engine
}

/// In blind mode the two keys speak of sides; what is chosen and what rejected stays hidden.
fn side_or(app: &mut App, side: usize, choice: Choice, effects: &mut Vec<Effect>) {
    let Some(id) = shown(app) else { return nothing(app) };
    if !sides::hidden(app, id) {
        return decide_on(app, id, choice, effects);
    }
    let Some(pair) = app.view().pair(id) else { return };
    let better = sides::sides(app, id, pair)[side];
    let choice = if better == pair.chosen { Choice::Keep } else { Choice::Swap };
    decide_on(app, id, choice, effects);
}

fn nothing(app: &mut App) {
    app.say(Role::Dim, "there is no pair to decide; 3 shows all pairs");
}

fn decide(app: &mut App, choice: Choice, effects: &mut Vec<Effect>) {
    match shown(app) {
        Some(id) => decide_on(app, id, choice, effects),
        None => nothing(app),
    }
}

fn verb(choice: Choice) -> String {
    match choice {
        Choice::Keep => "keep".into(),
        Choice::Veto => "veto".into(),
        Choice::Swap => "swap".into(),
        Choice::Tie => "tie".into(),
        Choice::Edit { candidate, score } => format!("score {} for candidate {} of", points(score, 2), candidate + 1),
        Choice::Defer => "defer".into(),
        Choice::Flag => "flag".into(),
    }
}

/// Asks for a decision on the pair that is shown, and shows the next one.
pub fn decide_on(app: &mut App, id: PromptId, choice: Choice, effects: &mut Vec<Effect>) {
    let took_ms = u64::try_from((app.clock.0 - app.check.since.0) / 1000).unwrap_or(0);
    let hidden = sides::hidden(app, id);
    let order = queue::order(app);
    let words = named(&verb(choice), &[id]);
    match way(app, id) {
        Way::No(why) => return app.say(Role::Warn, why),
        Way::Opinion => {
            let opinion = Opinion { pair: id, choice, reason: None, took_ms, by: app.settings.name.clone() };
            app.check.opinions.give(opinion);
            save(app, effects);
        }
        Way::Engine => {
            let ask = Ask::Decide { choice, reason: None, took_ms: Some(took_ms), blind: hidden, filter: None };
            asked::decide(app, vec![id], ask, words.clone(), effects);
        }
    }
    app.check.reason_for = None;
    let says = toast(app, id, choice, &words, hidden);
    app.say(Role::Human, says);
    if choice == Choice::Veto {
        // As long as the words that offer it stand on the screen.
        app.check.reason_for = app.toast.as_ref().map(|toast| (id, toast.until));
    }
    if choice != Choice::Flag && (app.check.advance || choice == Choice::Defer) {
        advance(app, &order, id);
    }
}

fn advance(app: &mut App, order: &[(PromptId, crate::run::event::Picked)], from: PromptId) {
    if app.check.from_pairs && !order.iter().any(|(pair, _)| *pair == from) {
        // It was opened for itself: there is no queue to go on with.
        app.check.from_pairs = false;
        app.screen = Screen::Pairs;
        return;
    }
    let next = queue::next_open(app, order, from);
    turn_to(app, next);
}

/// What was decided, what it revealed, and how to go back.
fn toast(app: &App, id: PromptId, choice: Choice, words: &str, was_hidden: bool) -> String {
    let revealed = match app.view().pair(id) {
        Some(pair) if was_hidden && choice != Choice::Defer && choice != Choice::Flag => {
            let side = if sides::sides(app, id, pair)[0] == pair.chosen { "A" } else { "B" };
            let judge = if id.is_label() { "reward model" } else { "judge" };
            format!(
                "; the {judge} chose {side}, {} over {}",
                points(pair.chosen_score, 2),
                points(pair.rejected_score, 2)
            )
        }
        _ => String::new(),
    };
    match choice {
        Choice::Veto => {
            let reasons: Vec<String> =
                REASONS.iter().enumerate().map(|(place, (name, _))| format!("{} {name}", place + 1)).collect();
            format!("{words}{revealed}: {} · u undo", reasons.join(" "))
        }
        Choice::Flag => words.to_string(),
        _ => format!("{words}{revealed} · u undo"),
    }
}

pub fn decide_many(
    app: &mut App,
    pairs: Vec<PromptId>,
    choice: Choice,
    filter: Option<String>,
    effects: &mut Vec<Effect>,
) {
    let refusal = pairs.iter().find_map(|&pair| match way(app, pair) {
        Way::No(why) => Some(why),
        Way::Opinion => Some("a second opinion is given pair by pair".into()),
        Way::Engine => None,
    });
    if let Some(why) = refusal {
        return app.say(Role::Warn, why);
    }
    let words = named(&verb(choice), &pairs);
    let ask = Ask::Decide { choice, reason: None, took_ms: None, blind: false, filter };
    asked::decide(app, pairs, ask, words.clone(), effects);
    app.say(Role::Human, format!("{words} · u undo"));
}

fn reason_key(action: Action) -> Option<usize> {
    let keys = [Action::Reason1, Action::Reason2, Action::Reason3, Action::Reason4, Action::Reason5, Action::Reason6];
    keys.iter().position(|&key| key == action)
}

/// Just after a veto the digits say why; otherwise they are the screens that they are everywhere.
fn reason_or_screen(app: &mut App, place: usize, effects: &mut Vec<Effect>) {
    let open = app.check.reason_for.take().filter(|(_, until)| app.clock < *until);
    let (Some((pair, _)), Some((name, reason))) = (open, REASONS.get(place)) else {
        app.screen = Screen::ALL.get(place).copied().unwrap_or(app.screen);
        app.zoom = false;
        return;
    };
    if app.mode == (Mode::Replay { second_opinion: true }) {
        app.check.opinions.amend(pair, *reason);
        save(app, effects);
    } else {
        amend(app, pair, *reason, name, effects);
    }
    app.say(Role::Human, format!("veto #{pair}: {name} · u undo"));
}

fn amend(app: &mut App, pair: PromptId, reason: VetoReason, name: &str, effects: &mut Vec<Effect>) {
    let ask = Ask::Decide { choice: Choice::Veto, reason: Some(reason), took_ms: None, blind: false, filter: None };
    asked::decide(app, vec![pair], ask, format!("veto #{pair} for {name}"), effects);
}

fn save(app: &App, effects: &mut Vec<Effect>) {
    let name = app.check.opinions.file_name(&app.settings.name);
    effects.push(Effect::Save { name, text: app.check.opinions.file() });
}

/// Undo and redo. The pair comes back on the screen.
pub fn take_back(app: &mut App, undo: bool, effects: &mut Vec<Effect>) {
    app.check.reason_for = None;
    if app.mode == (Mode::Replay { second_opinion: true }) {
        let pair = if undo { app.check.opinions.undo() } else { app.check.opinions.redo() };
        match pair {
            Some(pair) => {
                save(app, effects);
                turn_to(app, Some(pair));
            }
            None => app.say(Role::Dim, "there is nothing more of yours"),
        }
        return;
    }
    if !app.mode.steers() || app.source.is_held() {
        return app.say(Role::Warn, "decisions are made and taken back at the end of a living run");
    }
    let done = if undo { asked::undo(app, effects) } else { asked::redo(app, effects) };
    match done {
        Ok((pairs, words)) => {
            let word = if undo { "taken back" } else { "restored" };
            let more = if undo { "U restores it" } else { "u takes it back" };
            app.say(Role::Human, format!("{word}: {words} · {more}"));
            if let [pair] = pairs[..]
                && app.screen == Screen::Check
                && undo
            {
                turn_to(app, Some(pair));
            }
        }
        Err(why) => app.say(Role::Dim, why),
    }
}
