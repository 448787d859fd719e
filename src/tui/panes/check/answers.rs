//! The two answers: side by side, in one column, or plain, with what each alone has marked.

use std::rc::Rc;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::ids::{PromptId, Seq};
use crate::run::view::PairView;
use crate::tui::app::App;
use crate::tui::diff::{Diff, Owner, Show};
use crate::tui::figures::{fit, number, visible};
use crate::tui::panes::check::{Pane, body, compact, head, plan, queue, shown, sides};
use crate::tui::prose::{self, Piece};
use crate::tui::screen::{boxed, lines};
use crate::tui::theme::Role;

/// Pairs whose differences are found before they are shown.
const AHEAD: usize = 3;

/// Both answers of a pair, as they stand on the screen.
struct Both<'a> {
    pair: &'a PairView,
    numbers: [u32; 2],
    seqs: [Seq; 2],
}

fn both(app: &App, id: PromptId) -> Option<Both<'_>> {
    let pair = app.view().pair(id)?;
    let numbers = sides::sides(app, id, pair);
    let seq = |number| sides::candidate(app, id, number).map(|candidate| candidate.seq);
    Some(Both { pair, numbers, seqs: [seq(numbers[0])?, seq(numbers[1])?] })
}

fn difference(app: &App, both: &Both) -> Rc<Diff> {
    let [left, right] = both.seqs;
    app.check.diffs.get((left, right), || (visible(&sides::text(app, left)), visible(&sides::text(app, right))))
}

/// Finds the differences of the next pairs, one a call, so that no key waits for more than one.
pub fn prepare(app: &App) {
    let Some(now) = shown(app) else { return };
    let order = queue::order(app);
    let place = order.iter().position(|(pair, _)| *pair == now).map_or(0, |place| place + 1);
    for (pair, _) in order.iter().skip(place).take(AHEAD) {
        if let Some(both) = both(app, *pair)
            && !app.check.diffs.knows((both.seqs[0], both.seqs[1]))
        {
            difference(app, &both);
            return;
        }
    }
}

/// What is shown of the differences, and why not when they are not.
enum Marks {
    Shown(Rc<Diff>),
    Off(&'static str),
}

fn marks(app: &App, both: &Both) -> Marks {
    if app.check.show == Show::Off {
        return Marks::Off("diff off");
    }
    let found = difference(app, both);
    if found.is_noise() { Marks::Off("too different to diff") } else { Marks::Shown(found) }
}

/// Why no differences are marked, if none are.
pub fn unmarked(app: &App, id: PromptId) -> Option<&'static str> {
    match marks(app, &both(app, id)?) {
        Marks::Off(why) => Some(why),
        Marks::Shown(_) => None,
    }
}

/// The lines of one side.
fn side_lines(app: &App, both: &Both, side: usize, width: usize) -> Vec<Vec<Piece>> {
    let owner = if side == 0 { Owner::Left } else { Owner::Right };
    match marks(app, both) {
        Marks::Shown(found) => {
            let pieces = found.side(owner, prose::needs_brackets(&app.theme));
            prose::collapse(prose::lines(&pieces, width, app.check.wrap))
        }
        Marks::Off(_) => {
            let pieces = prose::foreign(&sides::text(app, both.seqs[side]), Role::Plain);
            prose::lines(&pieces, width, app.check.wrap)
        }
    }
}

fn inline_lines(app: &App, found: &Diff, width: usize) -> Vec<Vec<Piece>> {
    prose::collapse(prose::lines(&found.inline(), width, app.check.wrap))
}

/// `CHOSEN + 4.0 (3 5 4) sd 1  88 words`, shorter where there is less room; blind, only what anybody may know.
fn title(app: &App, id: PromptId, both: &Both, side: usize, width: usize) -> (String, Role) {
    let number_of = both.numbers[side];
    let Some(candidate) = sides::candidate(app, id, number_of) else { return (String::new(), Role::Plain) };
    let words = crate::tui::figures::words(candidate.words);
    if sides::hidden(app, id) {
        let (letter, key) = if side == 0 { ("A", "a") } else { ("B", "s") };
        return (format!("{letter}  {words}  ({key}: this one is better)"), Role::Strong);
    }
    let chosen = number_of == both.pair.chosen;
    let (name, role) = if chosen { ("CHOSEN +", Role::Chosen) } else { ("REJECTED -", Role::Rejected) };
    let mean = sides::mean(candidate).map_or("–".to_string(), |mean| number(mean, 2));
    let scores = sides::scores(candidate);
    let cut = if candidate.ended == crate::run::reasons::Ended::Length { "  cut off" } else { "" };
    if id.is_label() {
        let whole = format!("{name} reward {mean}  {words}");
        let fits = crate::tui::figures::columns(&whole) + 4 <= width;
        return (if fits { whole } else { format!("{name} reward {mean}") }, role);
    }
    for text in [
        format!("{name} {mean} {scores}  {words}  candidate {}{cut}", number_of + 1),
        format!("{name} {mean} {scores}  {words}{cut}"),
        format!("{name} {mean} {scores}"),
    ] {
        if crate::tui::figures::columns(&text) + 4 <= width {
            return (text, role);
        }
    }
    (format!("{name} {mean}"), role)
}

fn answer_box(frame: &mut Frame, area: Rect, app: &App, title: (String, Role), focused: bool) -> Rect {
    let inside = boxed(frame, area, app, &title.0, focused);
    // The title carries the role's look, so that a side is known at a glance.
    if area.width > 6 && area.height >= 3 {
        let text = fit(&title.0, usize::from(area.width).saturating_sub(4));
        let place = Rect { x: area.x + 2, y: area.y, width: area.width - 4, height: 1 };
        frame.buffer_mut().set_stringn(place.x, place.y, text, place.width.into(), app.theme.style(title.1));
    }
    inside
}

fn scrolled(frame: &mut Frame, inside: Rect, app: &App, all: Vec<Vec<Piece>>) {
    let room = usize::from(inside.height);
    let first = app.check.scroll.min(all.len().saturating_sub(room));
    let left = all.len().saturating_sub(first + room);
    let shown = all.into_iter().skip(first).take(room);
    lines(frame, inside, shown.map(|pieces| prose::drawn(&app.theme, pieces)));
    crate::tui::panes::check::why::more(frame, inside, app, left);
}

pub fn draw(frame: &mut Frame, left: Rect, right: Rect, app: &App, id: PromptId) {
    let Some(both) = both(app, id) else { return };
    if let (Show::Inline, Marks::Shown(found)) = (app.check.show, marks(app, &both)) {
        let area = left.union(right);
        let all = inline_lines(app, &found, usize::from(area.width).saturating_sub(4));
        let inside = inline_box(frame, area, app, id);
        return scrolled(frame, inside, app, all);
    }
    for (side, area) in [left, right].into_iter().enumerate() {
        let focused = app.check.focus == if side == 0 { Pane::Left } else { Pane::Right };
        let title = title(app, id, &both, side, area.width.into());
        let inside = answer_box(frame, area, app, title, focused);
        let all = side_lines(app, &both, side, usize::from(area.width).saturating_sub(4));
        scrolled(frame, inside, app, all);
    }
}

fn inline_box(frame: &mut Frame, area: Rect, app: &App, id: PromptId) -> Rect {
    let [plus, minus] = if sides::hidden(app, id) || app.check.blind { ["A", "B"] } else { ["chosen", "rejected"] };
    let title = format!("both answers: {{+only {plus}+}} {{-only {minus}-}}");
    boxed(frame, area, app, &title, true)
}

/// The focused answer alone, with the whole room.
pub fn draw_one(frame: &mut Frame, area: Rect, app: &App, id: PromptId) {
    let Some(both) = both(app, id) else { return };
    if let (Show::Inline, Marks::Shown(found)) = (app.check.show, marks(app, &both)) {
        let all = inline_lines(app, &found, usize::from(area.width).saturating_sub(4));
        let inside = inline_box(frame, area, app, id);
        return scrolled(frame, inside, app, all);
    }
    let side = usize::from(app.check.focus == Pane::Right);
    let inside = answer_box(frame, area, app, title(app, id, &both, side, area.width.into()), true);
    scrolled(frame, inside, app, side_lines(app, &both, side, usize::from(area.width).saturating_sub(4)));
}

/// Forty columns: the head, the prompt, then one answer; Tab shows the other, then the judge.
pub fn draw_compact(frame: &mut Frame, area: Rect, app: &App, id: PromptId) {
    let Some(both) = both(app, id) else { return };
    let side = usize::from(app.check.focus == Pane::Right);
    let width = usize::from(area.width);
    let [top, answer] = area.layout(&ratatui::layout::Layout::vertical([
        ratatui::layout::Constraint::Length(area.height.min(4)),
        ratatui::layout::Constraint::Fill(1),
    ]));
    head::draw(frame, Rect { height: top.height.min(2), ..top }, app, id);
    let (text, role) = title(app, id, &both, side, width + 4);
    if app.check.focus == Pane::Why {
        let rest = Rect { y: top.y + top.height.min(2), height: area.height - top.height.min(2), ..area };
        return crate::tui::panes::check::why::draw(frame, rest, app, id);
    }
    if top.height > 3 {
        head::prompt(frame, Rect { y: top.y + 2, height: 1, ..top }, app, id);
        let at = Rect { y: top.y + 3, height: 1, ..top };
        crate::tui::screen::line(
            frame,
            at,
            Line::from(Span::styled(format!(" {}", fit(&text, width.saturating_sub(2))), app.theme.style(role))),
        );
    }
    scrolled(frame, answer, app, side_lines(app, &both, side, width.saturating_sub(2)));
}

/// How far one can scroll: the longer of the two answers at this size.
pub fn depth(app: &App, id: PromptId) -> usize {
    let Some(both) = both(app, id) else { return 0 };
    let area = body(app);
    if compact(app) {
        let width = usize::from(area.width).saturating_sub(2);
        let longest = (0..2).map(|side| side_lines(app, &both, side, width).len()).max().unwrap_or(0);
        return longest.saturating_sub(usize::from(area.height.saturating_sub(4)));
    }
    let plan = plan(area);
    let whole = app.zoom || app.check.show == Show::Inline;
    let width = usize::from(if whole { area.width } else { plan.left.width }).saturating_sub(4);
    let height = if app.zoom { area.height.saturating_sub(4) } else { plan.left.height.saturating_sub(2) };
    let longest = match (app.check.show, marks(app, &both)) {
        (Show::Inline, Marks::Shown(found)) => inline_lines(app, &found, width).len(),
        _ => (0..2).map(|side| side_lines(app, &both, side, width).len()).max().unwrap_or(0),
    };
    longest.saturating_sub(height.into())
}
