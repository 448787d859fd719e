//! The loops of a reward model that teaches itself: how often each is right, what it learnt from, and which one judges.

use ratatui::text::{Line, Span};

use crate::run::view::RewardView;
use crate::tui::app::App;
use crate::tui::figures::{columns, count, fit, percent};
use crate::tui::panes::live::strips::bar;
use crate::tui::theme::Role;

/// Columns that a bar may take.
const BAR: usize = 16;

/// A line for each loop, the latest first, and one that says how things stand. Nothing where there is no reward model.
pub fn loops(app: &App, width: usize) -> Vec<Line<'static>> {
    let view = app.view();
    let reward = &view.reward;
    if !reward.is_used() {
        return Vec::new();
    }
    let whole = |share: f64| format!("{:.0}", share * 100.0);
    let mut all = Vec::new();
    for measured in reward.measured.iter().rev() {
        let judges = reward.chosen.as_ref().is_some_and(|chosen| chosen.model == measured.model);
        let (mark, role) = if judges { ("*", Role::Good) } else { (" ", Role::Strong) };
        let half = measured.agreement.pairwise_half;
        let interval = measured.agreement.interval;
        let interval = interval.map_or(String::new(), |i| format!(" ({}–{})", whole(i.low), whole(i.high)));
        let name = format!("{}{mark}", measured.model);
        let head = format!(" {name:<4}{:>4}{interval:<10}", half.map_or("–".into(), percent));
        let says = learnt_from(reward, measured.number, measured.human);
        let room = width.saturating_sub(columns(&head) + columns(&says) + 2).min(BAR);
        let mut spans = vec![Span::styled(head.clone(), app.theme.style(role))];
        if room >= 6 {
            spans.push(Span::styled(bar(half.unwrap_or(0.0), room), app.theme.style(Role::Chosen)));
            spans.push(Span::raw(" "));
        }
        let rest = width.saturating_sub(spans.iter().map(Span::width).sum::<usize>() + 1);
        spans.push(Span::styled(fit(&says, rest), app.theme.style(Role::Dim)));
        all.push(Line::from(spans));
    }
    let stands = match (&reward.chosen, reward.measured.last()) {
        (Some(chosen), _) => format!(" * judges: {}", chosen.why.says()),
        (None, Some(measured)) => {
            let error = measured.calibration.error.map_or("–".into(), percent);
            format!(" {} is off by {error} in how sure it is", measured.model)
        }
        (None, None) => " the first loop learns from people's labels alone".to_string(),
    };
    all.push(Line::from(Span::styled(fit(&stands, width), app.theme.style(Role::Dim))));
    all
}

/// What a loop learnt from, in words.
fn learnt_from(reward: &RewardView, number: u32, human: u32) -> String {
    match reward.labels_of(number) {
        None => format!("{} human", count(human.into())),
        Some(labels) => {
            let flipped = labels.flipped.map_or(String::new(), |flipped| format!(" {} flipped", count(flipped.into())));
            format!("+{} kept{flipped} {} left", count(labels.kept.into()), count(labels.left().into()))
        }
    }
}
