//! Why the judge gave its scores: its replies on both answers, with the score it was read from, and the signs of suspicion.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::ids::PromptId;
use crate::run::reasons::SignKind;
use crate::tui::app::App;
use crate::tui::figures::{number, percent, wrap};
use crate::tui::layout::columns;
use crate::tui::panes::check::{Pane, head, sides};
use crate::tui::prose;
use crate::tui::screen::{boxed, lines};
use crate::tui::theme::Role;

pub fn draw(frame: &mut Frame, area: Rect, app: &App, id: PromptId) {
    let Some(pair) = app.view().pair(id) else { return };
    if area.height < 3 {
        return;
    }
    let focused = app.check.focus == Pane::Why;
    if sides::hidden(app, id) {
        let inside = boxed(frame, area, app, "judge", focused);
        let text = " hidden until you decide: a A is better  s B is better  t neither  x veto  b ends blind mode";
        let text = crate::tui::figures::fit(text, inside.width.into());
        let mut all = vec![Line::from(Span::styled(text, app.theme.style(Role::Dim)))];
        all.extend(head::answer(app, id));
        return lines(frame, inside, all);
    }
    if id.is_label() {
        return label(frame, area, app, id, focused);
    }
    let numbers = sides::sides(app, id, pair);
    if area.width >= 100 {
        for (number, place) in numbers.into_iter().zip(columns(area, 2)) {
            one(frame, place, app, id, number, focused);
        }
        return;
    }
    let side = usize::from(app.check.focus == Pane::Right);
    one(frame, area, app, id, numbers[side], focused);
}

/// Why a label is believed, and why it is doubted.
fn label(frame: &mut Frame, area: Rect, app: &App, id: PromptId, focused: bool) {
    let Some(pair) = app.view().pair(id) else { return };
    let labels = app.view().reward.labelled.iter().rev().find(|labels| labels.seq == pair.seq);
    let by = labels.map_or("a reward model".to_string(), |labels| labels.by.to_string());
    let inside = boxed(frame, area, app, &format!("why {by} prefers it, and what speaks against that"), focused);
    let width = usize::from(inside.width).saturating_sub(2);
    let mut all: Vec<Line> = head::answer(app, id).into_iter().collect();
    let (chosen, rejected) = (number(pair.chosen_score, 3), number(pair.rejected_score, 3));
    let sure = pair.probability(id).map_or("–".into(), percent);
    let mut says = vec![(
        format!("{by}: {chosen} against {rejected}, {sure} sure that the chosen answer is better."),
        Role::Plain,
    )];
    let mut signs = pair.signs.clone();
    signs.sort_by(|a, b| b.amount.total_cmp(&a.amount));
    says.extend(signs.iter().map(|sign| (format!("{}.", against(sign.kind)), Role::Warn)));
    if signs.is_empty() {
        says.push(("Nothing that the run knows speaks against it.".into(), Role::Dim));
    }
    says.push(("a keep, s turn it round, x leave it out: your word holds in all later loops.".into(), Role::Dim));
    let wrapped = says.into_iter().flat_map(|(text, role)| {
        let style = app.theme.style(role);
        wrap(&text, width).into_iter().map(move |part| Line::from(Span::styled(format!(" {part}"), style)))
    });
    let text: Vec<Line> = wrapped.collect();
    let room = usize::from(inside.height).saturating_sub(all.len());
    let first = if focused { app.check.scroll.min(text.len().saturating_sub(room)) } else { 0 };
    let left = text.len().saturating_sub(first + room);
    all.extend(text.into_iter().skip(first));
    lines(frame, inside, all);
    more(frame, inside, app, left);
}

/// A sign of a label as a sentence, without its full stop.
fn against(kind: SignKind) -> String {
    match kind {
        SignKind::Unsure => "Barely believed: the answers' p are close to ser.low, ser.high or ser.gap",
        SignKind::Turned => "The belief has turned since the loop before",
        SignKind::SelfDisagrees => "The run's own model scored the other answer higher",
        SignKind::Length => "The chosen answer is much longer than the other",
        SignKind::NearDuplicate => "Both answers are nearly the same text",
        SignKind::Gaming => "An answer speaks to a judge",
        SignKind::HiddenText => "A text holds invisible characters",
        SignKind::Degenerate => "The chosen answer is empty, looping or a refusal",
        // Signs of pairs that a judge scored.
        SignKind::UnlikelyChosen
        | SignKind::PolicyDisagrees
        | SignKind::Contradiction
        | SignKind::MissingScore
        | SignKind::Minority
        | SignKind::JudgeNoise
        | SignKind::CopiedPrompt
        | SignKind::SmallMargin => kind.label(),
    }
    .to_string()
}

/// The judge's reply on one candidate.
fn one(frame: &mut Frame, area: Rect, app: &App, id: PromptId, number_of: u32, focused: bool) {
    let Some(candidate) = sides::candidate(app, id, number_of) else { return };
    let Some(pair) = app.view().pair(id) else { return };
    let role = if number_of == pair.chosen { "CHOSEN" } else { "REJECTED" };
    let count = candidate.judgements.len();
    if count == 0 {
        let inside = boxed(frame, area, app, &format!("judge on {role}"), focused);
        return lines(frame, inside, [Line::from(" not judged")]);
    }
    let place = app.check.sample % count;
    let judgement = &candidate.judgements[place];
    let score = judgement.score().map_or_else(|why| format!("no score: {}", in_words(why)), sides::points);
    let title = format!("judge on {role}: {score}  reply {} of {count}  (r next)", place + 1);
    let inside = boxed(frame, area, app, &title, focused);
    let width = usize::from(inside.width).saturating_sub(2);
    let mut all: Vec<Line> = head::answer(app, id).into_iter().collect();
    let mut left = 0;
    match sides::Reply::of(app, judgement.seq()) {
        Some(reply) => {
            if let Some(judged) = reply.judged() {
                let pieces = prose::reply(&judged.reply, judged.span);
                let warn = match (judged.contradicts, judged.truncated) {
                    (true, _) => Some(" ! the words and the score say different things"),
                    (false, true) => Some(" ! the judge was cut off"),
                    (false, false) => None,
                };
                all.extend(warn.map(|text| Line::from(Span::styled(text, app.theme.style(Role::Warn)))));
                let text = prose::lines(&pieces, width, true);
                let room = usize::from(inside.height).saturating_sub(all.len());
                let first = if focused { app.check.scroll.min(text.len().saturating_sub(room)) } else { 0 };
                left = text.len().saturating_sub(first + room);
                all.extend(text.into_iter().skip(first).map(|pieces| prose::drawn(&app.theme, pieces)));
            }
        }
        None => all.push(Line::from(" (this reply is missing from the journal)")),
    }
    lines(frame, inside, all);
    more(frame, inside, app, left);
}

/// Says how many lines lie below the last one.
pub fn more(frame: &mut Frame, inside: Rect, app: &App, left: usize) {
    let text = format!(" ▼ {left} more ");
    let wide = crate::tui::figures::columns(&text) as u16;
    if left > 0 && inside.height > 0 && wide < inside.width {
        frame.buffer_mut().set_string(inside.right() - wide, inside.bottom() - 1, text, app.theme.style(Role::Focus));
    }
}

/// Why there is no score, as a person says it.
pub fn in_words(why: crate::run::reasons::Unscored) -> &'static str {
    use crate::run::reasons::Unscored;
    match why {
        Unscored::Missing => "none was given",
        Unscored::NotANumber => "it is no number",
        Unscored::OutOfRange => "it is outside 0 to 5",
        Unscored::Ambiguous => "two different ones were given",
        Unscored::Refused => "the teacher refused to judge",
        Unscored::Filtered => "the endpoint withheld the judgement",
        Unscored::CutOff => "the judgement was cut off",
        Unscored::TooLong => "the texts were too long to judge",
    }
}
