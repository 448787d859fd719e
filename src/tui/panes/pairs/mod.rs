//! Pairs: every pair of the run as a table, newest first, to sort, to filter, to mark, to decide many at once.
//!
//! `list` says which rows there are; this file draws them and takes keys.

use std::collections::BTreeSet;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::command::Choice;
use crate::run::ids::{PromptId, Stage};
use crate::run::view::PairStatus;
use crate::tui::app::{App, Effect, Screen};
use crate::tui::figures::{count, left, one_line, points, right};
use crate::tui::keys::Action;
use crate::tui::layout::{Width, parts, scroll_to, width};
use crate::tui::overlays::{self, Overlay};
use crate::tui::panes::check::signed_percent;
use crate::tui::panes::{Cursor, check, coming};
use crate::tui::screen::{boxed, empty, lines};
use crate::tui::theme::Role;

pub mod list;

pub use list::Column;

#[derive(Clone, Debug)]
pub struct State {
    pub cursor: Cursor,
    /// The pair under the cursor: rows come and go, the selection stays with its pair.
    pub at: Option<PromptId>,
    pub marked: BTreeSet<PromptId>,
    /// Where a range began.
    pub range: Option<PromptId>,
    pub list: list::List,
}

impl Default for State {
    fn default() -> State {
        State { cursor: Cursor::TOP, at: None, marked: BTreeSet::new(), range: None, list: list::List::default() }
    }
}

/// The pair under the cursor.
pub fn selected(app: &App) -> Option<PromptId> {
    let rows = app.pairs.list.rows();
    rows.get(app.pairs.cursor.at(rows.len())).copied()
}

/// Brings the rows up to date and the cursor back to its pair.
pub fn settle(app: &mut App) {
    if app.screen != Screen::Pairs {
        return;
    }
    list::settle(app);
    let rows = app.pairs.list.rows();
    let place = app.pairs.at.and_then(|at| rows.iter().position(|&row| row == at));
    match place {
        Some(place) => app.pairs.cursor.row = place,
        None => app.pairs.at = rows.get(app.pairs.cursor.at(rows.len())).copied(),
    }
}

/// Selects a pair if it is in the table; returns whether it is.
pub fn select(app: &mut App, id: PromptId) -> bool {
    let place = app.pairs.list.rows().iter().position(|&row| row == id);
    if let Some(place) = place {
        app.pairs.cursor = Cursor { row: place, follows: false };
        app.pairs.at = Some(id);
    }
    place.is_some()
}

/// The pairs that a decision is about: the marked ones and the range, or the one under the cursor.
pub fn chosen(app: &App) -> Vec<PromptId> {
    let rows = app.pairs.list.rows();
    let mut ids = app.pairs.marked.clone();
    if let (Some(from), Some(to)) = (app.pairs.range, app.pairs.at)
        && let (Some(from), Some(to)) =
            (rows.iter().position(|&row| row == from), rows.iter().position(|&row| row == to))
    {
        ids.extend(&rows[from.min(to)..=from.max(to)]);
    }
    if ids.is_empty() {
        ids.extend(selected(app));
    }
    ids.into_iter().collect()
}

pub fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    let len = app.pairs.list.rows().len();
    let held = app.is_replay() || app.source.is_held();
    let body = parts(Rect::new(0, 0, app.size.0, app.size.1), held).body;
    if app.pairs.cursor.act(action, len, usize::from(body.height / 2)) {
        app.pairs.at = selected(app);
        return true;
    }
    match action {
        Action::Enter | Action::OpenInCheck => match selected(app) {
            Some(id) => check::open(app, id, true),
            None => app.say(Role::Dim, "there is no pair to open"),
        },
        Action::Mark => {
            if let Some(id) = selected(app) {
                if !app.pairs.marked.remove(&id) {
                    app.pairs.marked.insert(id);
                }
                app.pairs.cursor.act(Action::Down, len, 1);
                app.pairs.at = selected(app);
            }
        }
        Action::Range => {
            // The second `v` makes the range a set of marks, so that another one can follow.
            if app.pairs.range.is_some() {
                app.pairs.marked.extend(chosen(app));
                app.pairs.range = None;
            } else {
                app.pairs.range = selected(app);
            }
        }
        Action::Back if app.pairs.range.is_some() || !app.pairs.marked.is_empty() => clear(app),
        Action::Back if !app.filter().is_empty() => {
            app.filters.remove(&Screen::Pairs);
        }
        Action::SortNext => app.pairs.list.sort_next(),
        Action::SortReverse => app.pairs.list.reverse(),
        Action::NextMatch | Action::PreviousMatch => next_undecided(app, action == Action::NextMatch),
        Action::Keep => decide(app, Choice::Keep, effects),
        Action::Veto => decide(app, Choice::Veto, effects),
        Action::Swap => decide(app, Choice::Swap, effects),
        Action::Undo => check::take_back(app, true, effects),
        Action::Redo => check::take_back(app, false, effects),
        _ => return false,
    }
    true
}

pub fn clear(app: &mut App) {
    app.pairs.range = None;
    app.pairs.marked.clear();
}

/// The next row that nobody has decided: what is left to do in what the filter lists.
fn next_undecided(app: &mut App, forward: bool) {
    let rows = app.pairs.list.rows();
    let here = app.pairs.cursor.at(rows.len());
    let open = |place: &usize| rows.get(*place).is_some_and(|&id| !check::asked::status(app, id).is_decided());
    let found = if forward { (here + 1..rows.len()).find(open) } else { (0..here).rev().find(open) };
    match found.and_then(|place| rows.get(place).copied()) {
        Some(id) => {
            select(app, id);
        }
        None => app.say(Role::Dim, "no further undecided pair here"),
    }
}

/// One pair is decided at once; many ask for their count, typed.
fn decide(app: &mut App, choice: Choice, effects: &mut Vec<Effect>) {
    let ids = chosen(app);
    match ids.len() {
        0 => app.say(Role::Dim, "there is no pair to decide"),
        1 => {
            check::decide_many(app, ids, choice, None, effects);
            clear(app);
        }
        _ => app.overlay = Some(Overlay::Bulk(overlays::bulk::State::new(ids, choice))),
    }
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let list = &app.pairs.list;
    let rows = list.rows();
    let compact = area.width < 60 || area.height < 12;
    let inside = if compact { area } else { boxed(frame, area, app, &title(app), true) };
    if rows.is_empty() {
        let text = match (&list.fault, app.filter().is_empty()) {
            (Some(fault), _) => format!("The filter is not understood: {}. / changes it.", fault.why),
            (None, false) if list.total > 0 => {
                format!("None of {} pairs passes the filter `{}`. Esc removes it.", list.total, app.filter())
            }
            _ => {
                let when = coming::words(app, Stage::Pairs, "Pairs are chosen").unwrap_or_default();
                format!("No pairs yet: they are chosen after judging. {when} 1 shows how far the run is.")
            }
        };
        return empty(frame, inside, app, &text);
    }
    let shape = Shape::of(area, compact);
    let selected = app.pairs.cursor.at(rows.len());
    let head = u16::from(!compact);
    let room = usize::from(inside.height.saturating_sub(head));
    let first = scroll_to(selected.saturating_sub(room / 2), selected, room, rows.len());
    if head > 0 {
        lines(frame, inside, [header(app, &shape, inside.width.into())]);
    }
    let below = Rect { y: inside.y + head, height: inside.height - head.min(inside.height), ..inside };
    let picked: BTreeSet<PromptId> = match (app.pairs.range, app.pairs.marked.is_empty()) {
        (None, true) => BTreeSet::new(),
        _ => chosen(app).into_iter().collect(),
    };
    let shown = rows.iter().enumerate().skip(first).take(room);
    let all =
        shown.map(|(place, &id)| row(app, id, place == selected, picked.contains(&id), &shape, inside.width.into()));
    lines(frame, below, all);
}

fn title(app: &App) -> String {
    let list = &app.pairs.list;
    let mut title = format!("pairs  {}", count(list.rows().len() as u64));
    if !app.filter().is_empty() {
        title = format!("{title} of {}  filter: {}", count(list.total as u64), one_line(app.filter()));
    }
    if let Some(share) = list.searching() {
        title = format!("{title}  searching the texts {}", crate::tui::figures::percent(share));
    }
    let picked = if app.pairs.range.is_some() || !app.pairs.marked.is_empty() { chosen(app).len() } else { 0 };
    if picked > 0 {
        title = format!("{title}  {picked} selected: a keep  x veto  s swap");
    }
    title
}

/// Which columns there is room for.
struct Shape {
    id: usize,
    numbers: bool,
    who: bool,
    sign: bool,
}

impl Shape {
    fn of(area: Rect, compact: bool) -> Shape {
        let id = 7;
        Shape { id, numbers: !compact, who: width(area) >= Width::Two, sign: width(area) >= Width::Two }
    }

    fn fixed(&self) -> usize {
        let numbers = if self.numbers { 7 + 8 + 8 } else { 5 };
        2 + self.id + 1 + numbers + 11 + if self.who { 10 } else { 0 } + if self.sign { 18 } else { 0 }
    }
}

fn header(app: &App, shape: &Shape, width: usize) -> Line<'static> {
    let list = &app.pairs.list;
    let prompt = width.saturating_sub(shape.fixed()).max(8);
    let mark = |column: Column, name: &str| {
        if list.column != column {
            return name.to_string();
        }
        format!("{name}{}", if list.descending() { "▼" } else { "▲" })
    };
    let mut text = format!("  {} {}", left(&mark(Column::Id, "id"), shape.id), left("prompt", prompt));
    text += &right(&mark(Column::Suspicion, "susp"), 7);
    text += &right(&mark(Column::Margin, "margin"), 8);
    text += &right(&mark(Column::Length, "len"), 8);
    text += &format!(" {}", left(&mark(Column::Status, "status"), 10));
    if shape.sign {
        text += &left("strongest sign", 18);
    }
    if shape.who {
        text += &left(&mark(Column::Who, "who"), 10);
    }
    Line::from(Span::styled(text, app.theme.style(Role::Dim)))
}

fn row(app: &App, id: PromptId, selected: bool, picked: bool, shape: &Shape, width: usize) -> Line<'static> {
    let view = app.view();
    let Some(pair) = view.pair(id) else { return Line::default() };
    let style = |role| app.theme.style(role);
    let status = check::asked::status(app, id);
    // A sum of nothing may be a negative zero.
    let suspicion = pair.suspicion + 0.0;
    let waiting = app.check.requests.open().any(|asked| asked.pairs.contains(&id));
    let prompt = width.saturating_sub(shape.fixed()).max(8);
    let text = check::sides::prompt(app, id).map(|prompt| one_line(&check::sides::text(app, prompt.seq)));
    let base = if selected { Role::Selected } else { Role::Plain };
    let sign = if picked { "*" } else { " " };
    let point = if selected { "›" } else { " " };
    let mut spans = vec![
        Span::styled(format!("{point}{sign}"), style(if picked { Role::Focus } else { base })),
        Span::styled(left(&format!("#{id}"), shape.id), style(base)),
        Span::styled(format!(" {}", left(&text.unwrap_or_default(), prompt)), style(base)),
    ];
    let suspicious = if pair.suspicion >= 0.5 { Role::Warn } else { base };
    if shape.numbers {
        let bang = if pair.suspicion >= 0.5 { "!" } else { "" };
        spans.push(Span::styled(right(&format!("{bang}{suspicion:.2}"), 7), style(suspicious)));
        spans.push(Span::styled(right(&points(pair.margin, 2), 8), style(base)));
        spans.push(Span::styled(right(&signed_percent(pair.length_ratio - 1.0), 8), style(base)));
    } else {
        spans.push(Span::styled(right(&format!("{suspicion:.2}"), 5), style(suspicious)));
    }
    let name = match (status, pair.flagged) {
        (PairStatus::Auto | PairStatus::Kept | PairStatus::Deferred, flagged) => {
            format!("{}{}", status.name(), if flagged { " flag" } else { "" })
        }
        (status, _) => status.name().to_uppercase(),
    };
    let name = if waiting { format!("{name} …") } else { name };
    let human = status.is_decided() && status != PairStatus::Kept || waiting;
    spans.push(Span::styled(format!(" {}", left(&name, 10)), style(if human { Role::Human } else { base })));
    if shape.sign {
        let strongest = pair.signs.iter().max_by(|a, b| a.amount.total_cmp(&b.amount));
        let label = strongest.map_or(String::new(), |sign| format!("{} {:.2}", sign.kind.label(), sign.amount));
        spans.push(Span::styled(left(&label, 18), style(base)));
    }
    if shape.who {
        spans.push(Span::styled(left(&one_line(&list::who(view, pair)), 10), style(base)));
    }
    Line::from(spans)
}
