//! What a pane shows while it has nothing yet: when its stage begins, what runs until then, and what was written last.
//!
//! Used by Gen, Pairs and Check in iteration 0, when a run measures and trains before it writes a single prompt of its own.

use std::rc::Rc;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::run::entry::Entry;
use crate::run::eta;
use crate::run::event::Event;
use crate::run::ids::{Seq, Stage};
use crate::run::view::State;
use crate::tui::app::App;
use crate::tui::figures::{count, duration, fit, one_line, wrap};
use crate::tui::screen::{boxed, lines};
use crate::tui::tell;
use crate::tui::theme::Role;

/// Entries back to which the last written texts are looked for.
const BACK: Seq = 60;

/// `sft of M1 is at 120 of 330. Judging begins in about 38s.`; nothing of a run that has no such stage ahead.
pub fn words(app: &App, stage: Stage, what: &str) -> Option<String> {
    let view = app.view();
    let now = app.moment();
    let span = view.stage()?;
    let ahead = view.started.as_ref()?.plan.iter().any(|planned| {
        planned.stage == stage && view.stage_of(planned.iteration, planned.stage, planned.model).is_none()
    });
    if !ahead || matches!(view.state, State::Finished | State::Failed(_)) {
        return None;
    }
    let doing = match span.finished {
        Some(_) => format!("{} of {} is done.", span.stage, span.model),
        None => format!("{} of {} is at {} of {}.", span.stage, span.model, count(span.done), count(span.total)),
    };
    let when = match eta::until(view, now, stage) {
        Some(left) if left.rough => format!("in roughly {}", duration(left.mid)),
        Some(left) => format!("in {} to {}", duration(left.low), duration(left.high)),
        None => "when is not known yet".to_string(),
    };
    Some(format!("{doing} {what} {when}."))
}

/// The texts that were written last while a model is measured or taught to judge: newest first.
fn written(app: &App) -> impl Iterator<Item = Rc<Entry>> {
    let view = app.view();
    // A training writes nothing: what was written before it stays in sight.
    let last = view.stage().filter(|span| span.stage.trains()).map_or(view.seq, |span| span.started_seq);
    let entries = (last.saturating_sub(BACK)..=last).rev().filter_map(|seq| app.source.texts.entry(seq));
    entries.filter(|entry| text(&entry.event).is_some())
}

/// The text that was written last for a measurement.
pub fn latest(app: &App) -> Option<String> {
    written(app).next().and_then(|entry| text(&entry.event).map(str::to_string))
}

fn text(event: &Event) -> Option<&str> {
    match event {
        Event::HeldOutAnswered(event) => Some(&event.text),
        Event::EftJudged(event) => Some(&event.reply),
        _ => None,
    }
}

/// What stands where a run's own prompts will stand: when they come, and until then the held-out answers and judgements.
pub fn draw(frame: &mut Frame, area: Rect, app: &App, nothing: &str) {
    let says = words(app, Stage::Prompts, "Prompts are written").unwrap_or_else(|| nothing.to_string());
    let wrapped = wrap(&says, usize::from(area.width).saturating_sub(2).max(1));
    let mut shown = written(app).peekable();
    let [head, rest] = area.layout(&Layout::vertical([
        Constraint::Length((wrapped.len() as u16 + 1).min(area.height)),
        Constraint::Fill(1),
    ]));
    let dim = app.theme.style(Role::Dim);
    lines(frame, head, wrapped.into_iter().map(|text| Line::from(Span::styled(format!(" {text}"), dim))));
    if shown.peek().is_none() || rest.height < 3 {
        return;
    }
    let inside = boxed(frame, rest, app, "written to be measured, newest first", false);
    let width = usize::from(inside.width);
    let all = shown.take(usize::from(inside.height).div_ceil(2)).flat_map(|entry| {
        let (_, says) = tell::tell(&entry.event);
        let text = text(&entry.event).unwrap_or_default();
        vec![
            Line::from(Span::styled(fit(&format!(" {says}"), width), dim)),
            Line::from(fit(&format!("   {}", one_line(text)), width)),
        ]
    });
    lines(frame, inside, all);
}
