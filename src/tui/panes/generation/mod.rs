//! Gen: prompts as they are written, refused ones with the reason, and the candidates of one prompt with what the judge said of each.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::run::event::Event;
use crate::run::ids::{PromptId, Seq, Stage};
use crate::run::reasons::Refusal;
use crate::run::view::{PromptView, Round, Standing};
use crate::tui::app::{App, Effect, Screen};
use crate::tui::figures::{count, fit, left, number, one_line, percent, points, visible, wrap};
use crate::tui::keys::Action;
use crate::tui::layout::{is_compact, parts, scroll_to};
use crate::tui::panes::{Cursor, cards, check, coming};
use crate::tui::screen::{boxed, empty, lines};
use crate::tui::theme::Role;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    #[default]
    Prompts,
    Cards,
    Refused,
}

#[derive(Clone, Debug)]
pub struct State {
    pub cursor: Cursor,
    /// The prompt that is shown, once somebody has moved.
    pub at: Option<PromptId>,
    pub focus: Pane,
    pub card: usize,
    pub sample: usize,
    pub scroll: usize,
}

impl Default for State {
    fn default() -> State {
        State { cursor: Cursor::END, at: None, focus: Pane::Prompts, card: 0, sample: 0, scroll: 0 }
    }
}

/// The iteration whose prompts are listed: that of the cursor, or the latest that has some.
fn round(app: &App) -> Option<&Round> {
    let view = app.view();
    if let Some(at) = app.generation.at {
        return view.round(at.iteration).filter(|round| !round.prompts.is_empty());
    }
    view.written().rev().filter(|round| round.iteration <= view.iteration).find(|round| has_something(round))
}

fn has_something(round: &Round) -> bool {
    !round.prompts.is_empty() || !round.refused_lately.is_empty()
}

/// The prompt on which work goes on: being answered, being judged, or the newest.
fn busy(app: &App, round: &Round) -> Option<PromptId> {
    let iteration = round.iteration;
    let live = !app.is_replay() && !app.source.is_held() && app.is_alive();
    let writing = app.source.now.as_ref().and_then(|now| now.writing.as_ref()).filter(|_| live);
    if let Some(writing) = writing.filter(|writing| writing.prompt.iteration == iteration) {
        return Some(writing.prompt);
    }
    let stage = app.view().stage().filter(|span| span.iteration == iteration).map(|span| span.stage);
    let last = |wanted: fn(&PromptView) -> bool| (0..round.prompts.len()).rev().find(|&at| wanted(&round.prompts[at]));
    let place = match stage {
        Some(Stage::Candidates) => last(|prompt| !prompt.candidates.is_empty()),
        Some(Stage::Judge) => last(|prompt| prompt.candidates.iter().any(|c| !c.judgements.is_empty())),
        _ => None,
    };
    let place = place.or(round.prompts.len().checked_sub(1))?;
    Some(PromptId { iteration, number: place as u32 })
}

/// The prompt that is shown.
pub fn shown(app: &App) -> Option<PromptId> {
    let round = round(app)?;
    let there = app.generation.at.filter(|at| round.prompts.get(at.number as usize).is_some());
    there.or_else(|| busy(app, round))
}

/// Shows this prompt.
pub fn select(app: &mut App, id: PromptId) -> bool {
    // People's pairs, which a reward model labels, were not generated.
    let known = app.view().round(id.iteration).is_some_and(|round| round.prompts.get(id.number as usize).is_some());
    let there = known && !id.is_label();
    if there {
        turn_to(app, Some(id));
    }
    there
}

fn turn_to(app: &mut App, id: Option<PromptId>) {
    app.generation.at = id;
    app.generation.scroll = 0;
    app.generation.sample = 0;
}

struct Plan {
    prompts: Rect,
    text: Rect,
    cards: Rect,
    refused: Rect,
}

fn plan(area: Rect, refused: bool) -> Plan {
    if area.width >= 100 {
        let side = (area.width * 2 / 5).min(60);
        let [list, rest] = area.layout(&Layout::horizontal([Constraint::Length(side), Constraint::Fill(1)]));
        let low = if refused { list.height / 3 } else { 0 };
        let [prompts, refused] = list.layout(&Layout::vertical([Constraint::Fill(1), Constraint::Length(low)]));
        let [text, cards] = rest.layout(&Layout::vertical([Constraint::Length(5), Constraint::Fill(1)]));
        return Plan { prompts, text, cards, refused };
    }
    let [prompts, text, cards] =
        area.layout(&Layout::vertical([Constraint::Length(6), Constraint::Length(1), Constraint::Fill(1)]));
    Plan { prompts, text, cards, refused: Rect::default() }
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let Some(round) = round(app) else {
        let inside = boxed(frame, area, app, "prompts and candidates", true);
        return coming::draw(
            frame,
            inside,
            app,
            "No prompts yet: iteration 0 learns from human data, and prompts are written in iteration 1. 1 shows the run at a glance.",
        );
    };
    let id = shown(app);
    if is_compact(Rect::new(0, 0, app.size.0, app.size.1)) {
        return prompts(frame, area, app, round, id, false);
    }
    let has_cards = id.is_some_and(|id| !candidates_of(app, id).is_empty_or_unwritten(app, id));
    let plan = plan(area, !round.refused_lately.is_empty());
    if app.zoom {
        return match (app.generation.focus, id) {
            (Pane::Refused, _) => refused(frame, area, app, round, true),
            (Pane::Cards, Some(id)) => one_card(frame, area, app, id),
            _ => prompts(frame, area, app, round, id, true),
        };
    }
    prompts(frame, plan.prompts, app, round, id, true);
    if !plan.refused.is_empty() {
        refused(frame, plan.refused, app, round, app.generation.focus == Pane::Refused);
    }
    let narrow = plan.refused.is_empty();
    match id {
        Some(id) if has_cards && !(narrow && app.generation.focus == Pane::Refused) => {
            prompt_text(frame, plan.text, app, id);
            cards::draw(frame, plan.cards, app, id, &looks(app));
        }
        _ => {
            let below = plan.text.union(plan.cards);
            if narrow && !round.refused_lately.is_empty() {
                refused(frame, below, app, round, app.generation.focus == Pane::Refused);
            } else {
                if let Some(id) = id {
                    prompt_text(frame, plan.text, app, id);
                }
                let inside = boxed(frame, plan.cards, app, "candidates", false);
                empty(
                    frame,
                    inside,
                    app,
                    "Candidates are written when all prompts are there; each is then judged several times.",
                );
            }
        }
    }
}

/// The candidates of a prompt, or that none has begun.
struct Candidates(usize);

impl Candidates {
    fn is_empty_or_unwritten(&self, app: &App, id: PromptId) -> bool {
        let writing = app.source.now.as_ref().and_then(|now| now.writing.as_ref());
        self.0 == 0 && writing.is_none_or(|writing| writing.prompt != id)
    }
}

fn candidates_of(app: &App, id: PromptId) -> Candidates {
    Candidates(check::sides::prompt(app, id).map_or(0, |prompt| prompt.candidates.len()))
}

fn looks(app: &App) -> cards::Looks {
    let focus = (app.generation.focus == Pane::Cards).then_some(app.generation.card);
    cards::Looks { hidden: false, sample: app.generation.sample, focus, scroll: app.generation.scroll }
}

/// The focused card alone.
fn one_card(frame: &mut Frame, area: Rect, app: &App, id: PromptId) {
    cards::draw_one(frame, area, app, id, app.generation.card, &looks(app));
}

fn prompt_text(frame: &mut Frame, area: Rect, app: &App, id: PromptId) {
    let text = check::sides::prompt(app, id).map(|prompt| check::sides::text(app, prompt.seq)).unwrap_or_default();
    if area.height < 3 {
        let text = format!(" #{id}  {}", one_line(&text));
        return lines(frame, area, [Line::from(fit(&text, area.width.into()))]);
    }
    let inside = boxed(frame, area, app, &format!("prompt #{id}{}", standing_words(app, id)), false);
    let all = wrap(&visible(&text), usize::from(inside.width).saturating_sub(2));
    lines(frame, inside, all.into_iter().map(|text| Line::from(format!(" {text}"))));
}

/// What became of a prompt, in words.
fn standing_words(app: &App, id: PromptId) -> String {
    match check::sides::prompt(app, id).map(|prompt| &prompt.standing) {
        Some(Standing::Pair(pair)) => {
            format!("  a pair: margin {}, {}", points(pair.margin, 2), check::asked::status(app, id).name())
        }
        Some(Standing::Skipped { why, .. }) => format!("  no pair: {}", why.replace('_', " ")),
        Some(Standing::Open) | None => String::new(),
    }
}

/// `4/4 12/12 pair`: how far a prompt has come.
fn progress(prompt: &PromptView) -> (String, Role) {
    let candidates = prompt.candidates.len();
    let judged: usize = prompt.candidates.iter().map(|candidate| candidate.judgements.len()).sum();
    match &prompt.standing {
        Standing::Pair(pair) => (format!("pair {}", points(pair.margin, 2)), Role::Good),
        Standing::Skipped { why, .. } => (why.replace('_', " "), Role::Dim),
        Standing::Open if judged > 0 => (format!("{judged} scores"), Role::Plain),
        Standing::Open if candidates > 0 => (format!("{candidates} answers"), Role::Plain),
        Standing::Open => ("written".into(), Role::Dim),
    }
}

fn prompts(frame: &mut Frame, area: Rect, app: &App, round: &Round, id: Option<PromptId>, framed: bool) {
    let total: u32 = round.refused.values().sum();
    let accepted = round.prompts.len();
    let share = f64::from(total) / (f64::from(total) + accepted as f64).max(1.0);
    let follows = if app.generation.at.is_none() { "  following" } else { "" };
    let title =
        format!("{} prompts, {} refused ({}){follows}", count(accepted as u64), count(total.into()), percent(share));
    let focused = app.generation.focus == Pane::Prompts;
    let inside = if framed { boxed(frame, area, app, &title, focused) } else { area };
    if accepted == 0 {
        return empty(frame, inside, app, "No prompt has been accepted yet.");
    }
    let selected = id.map_or(0, |id| id.number as usize);
    let room = usize::from(inside.height);
    let first = scroll_to(selected.saturating_sub(room / 2), selected, room, accepted);
    let rows = round.prompts.iter().enumerate().skip(first).take(room);
    let width = usize::from(inside.width);
    let all = rows.map(|(place, prompt)| {
        let (word, role) = progress(prompt);
        let last = 11.min(width / 3);
        let text = one_line(&check::sides::text(app, prompt.seq));
        let base = if place == selected { Role::Selected } else { Role::Plain };
        let point = if place == selected { "›" } else { " " };
        Line::from(vec![
            Span::styled(
                format!(
                    "{point}{} {} ",
                    left(&format!("#{}:{place}", round.iteration), 7),
                    left(&text, width.saturating_sub(10 + last))
                ),
                app.theme.style(base),
            ),
            Span::styled(left(&word, last), app.theme.style(role)),
        ])
    });
    lines(frame, inside, all);
}

/// Why a prompt was refused, in words.
pub fn refusal(why: &Refusal) -> String {
    match why {
        Refusal::Empty => "empty".into(),
        Refusal::TooShort { words } => format!("too short: {}", crate::tui::figures::words(*words)),
        Refusal::TooLong { words } => format!("too long: {words} words"),
        Refusal::Keyword { word } => format!("asks for what text cannot give: {}", one_line(word)),
        Refusal::Shape { what } => format!("shape: {}", one_line(what)),
        Refusal::TooLike { likeness, other } => format!("{} like: {}", percent(*likeness), one_line(other)),
        Refusal::Contaminated { likeness, other } => {
            format!("{} like held-out: {}", percent(*likeness), one_line(other))
        }
        Refusal::Truncated => "cut off".into(),
        Refusal::Unlikely { nll, .. } => format!("unlikely text: {} nats a token", number(*nll, 2)),
    }
}

fn refused(frame: &mut Frame, area: Rect, app: &App, round: &Round, focused: bool) {
    let mut reasons: Vec<(&String, &u32)> = round.refused.iter().collect();
    reasons.sort_by(|a, b| b.1.cmp(a.1));
    let reasons: Vec<String> = reasons.iter().map(|(why, n)| format!("{} {n}", why.replace('_', " "))).collect();
    let inside = boxed(frame, area, app, &format!("refused: {}", reasons.join(", ")), focused);
    let width = usize::from(inside.width);
    let room = usize::from(inside.height) / 2;
    let first = if focused { app.generation.scroll } else { 0 };
    let lately: Vec<Seq> = round.refused_lately.iter().rev().skip(first).take(room).copied().collect();
    let all = lately.into_iter().filter_map(|seq| app.source.texts.entry(seq)).flat_map(|entry| {
        let Event::PromptRefused(event) = &entry.event else { return Vec::new() };
        vec![
            Line::from(fit(&format!(" {}", one_line(&event.text)), width)),
            Line::from(Span::styled(fit(&format!("   {}", refusal(&event.why)), width), app.theme.style(Role::Warn))),
        ]
    });
    lines(frame, inside, all);
}

pub fn act(app: &mut App, action: Action, _effects: &mut Vec<Effect>) -> bool {
    let Some(id) = shown(app) else { return false };
    let held = app.is_replay() || app.source.is_held();
    let page = usize::from(parts(Rect::new(0, 0, app.size.0, app.size.1), held).body.height / 2).max(1) as u32;
    let count = candidates_of(app, id).0;
    let last = app.view().round(id.iteration).map_or(0, |round| round.prompts.len() as u32).saturating_sub(1);
    let go = |app: &mut App, number: u32| turn_to(app, Some(PromptId { number: number.min(last), ..id }));
    let scrolls = app.generation.focus != Pane::Prompts;
    match action {
        Action::NextItem => go(app, id.number + 1),
        Action::PreviousItem => go(app, id.number.saturating_sub(1)),
        Action::Up if scrolls => app.generation.scroll = app.generation.scroll.saturating_sub(1),
        Action::Down if scrolls => app.generation.scroll = (app.generation.scroll + 1).min(2000),
        Action::Up => go(app, id.number.saturating_sub(1)),
        Action::Down => go(app, id.number + 1),
        Action::PageUp => go(app, id.number.saturating_sub(page)),
        Action::PageDown => go(app, id.number + page),
        Action::First => go(app, 0),
        Action::Last => go(app, last),
        Action::Left | Action::Right if app.generation.focus == Pane::Cards && count > 0 => {
            let step = if action == Action::Right { 1 } else { count - 1 };
            app.generation.card = (app.generation.card.min(count - 1) + step) % count;
            app.generation.scroll = 0;
        }
        Action::NextRationale => app.generation.sample += 1,
        Action::PreviousRationale => app.generation.sample = app.generation.sample.wrapping_sub(1).min(11),
        Action::NextPane | Action::PreviousPane => {
            app.generation.focus = match (app.generation.focus, action) {
                (Pane::Prompts, Action::NextPane) | (Pane::Refused, Action::PreviousPane) => Pane::Cards,
                (Pane::Cards, Action::NextPane) | (Pane::Prompts, Action::PreviousPane) => Pane::Refused,
                _ => Pane::Prompts,
            };
            app.generation.scroll = 0;
        }
        Action::Follow => {
            turn_to(app, None);
            app.say(Role::Focus, "following what is being written");
        }
        Action::Enter | Action::OpenInCheck => {
            if app.view().pair(id).is_some() {
                check::open(app, id, false);
            } else if action == Action::Enter && app.generation.focus == Pane::Prompts {
                app.generation.focus = Pane::Cards;
            } else {
                app.say(Role::Dim, format!("#{id} has become no pair{}", standing_words(app, id)));
            }
        }
        Action::NextMatch | Action::PreviousMatch => find(app, id, last, action == Action::NextMatch),
        _ => return false,
    }
    true
}

/// The next prompt that holds the text of the filter.
fn find(app: &mut App, from: PromptId, last: u32, forward: bool) {
    let wanted = app.filters.get(&Screen::Gen).map(|text| text.to_lowercase()).unwrap_or_default();
    if wanted.is_empty() {
        return app.say(Role::Dim, "/ says what to look for");
    }
    let holds = |number: &u32| {
        let prompt = check::sides::prompt(app, PromptId { number: *number, ..from });
        prompt.is_some_and(|prompt| check::sides::text(app, prompt.seq).to_lowercase().contains(&wanted))
    };
    let found = if forward { (from.number + 1..=last).find(holds) } else { (0..from.number).rev().find(holds) };
    match found {
        Some(number) => turn_to(app, Some(PromptId { number, ..from })),
        None => app.say(Role::Dim, format!("no further prompt holds `{}`", one_line(&wanted))),
    }
}
