//! The loops of a reward model that teaches itself: how often each is right, what it learnt from, and which one judges.

use ratatui::text::{Line, Span};

use crate::run::event::RewardMeasured;
use crate::run::view::RewardView;
use crate::tui::app::App;
use crate::tui::figures::{columns, count, fit, percent};
use crate::tui::panes::live::strips::bar;
use crate::tui::theme::Role;

/// Columns that a bar may take.
const BAR: usize = 16;

/// A line for each loop, the latest first, and one that says how things stand: as many as there is room for, those that matter most
/// before the others. Nothing where there is no reward model.
pub fn loops(app: &App, width: usize, room: usize) -> Vec<Line<'static>> {
    let reward = &app.view().reward;
    if !reward.is_used() {
        return Vec::new();
    }
    let judges =
        |measured: &RewardMeasured| reward.chosen.as_ref().is_some_and(|chosen| chosen.model == measured.model);
    let mut shown: Vec<&RewardMeasured> = reward.measured.iter().rev().map(AsRef::as_ref).collect();
    // The loop that judges and the latest one are said at any size, then how things stand, then the others.
    while shown.len() + 1 > room.max(2) {
        let spare = shown.iter().enumerate().skip(1).rev().find(|(_, measured)| !judges(measured));
        let Some((place, _)) = spare else { break };
        shown.remove(place);
    }
    let heads: Vec<String> = shown.iter().map(|measured| head(measured, judges(measured))).collect();
    let left = width.saturating_sub(heads.iter().map(|head| columns(head)).max().unwrap_or(0) + 1);
    // As much of what each learnt from as all of them have room for: bars are of one length, or they could not be compared.
    let each: Vec<Vec<String>> = shown.iter().map(|measured| learnt_from(reward, measured)).collect();
    let longest = |parts: usize| each.iter().map(|all| columns(&said(all, parts))).max().unwrap_or(0);
    let most = each.iter().map(Vec::len).max().unwrap_or(0);
    let parts = (1..=most).rev().find(|&parts| longest(parts) <= left).unwrap_or(1);
    let bars = left.saturating_sub(longest(parts) + 1).min(BAR);
    let mut all = Vec::new();
    for ((measured, head), learnt) in shown.iter().zip(heads).zip(&each) {
        let role = if judges(measured) { Role::Good } else { Role::Strong };
        let mut spans = vec![Span::styled(head, app.theme.style(role))];
        if bars >= 6 {
            let half = measured.agreement.pairwise_half.unwrap_or(0.0);
            spans.push(Span::styled(bar(half, bars), app.theme.style(Role::Chosen)));
            spans.push(Span::raw(" "));
        }
        spans.push(Span::styled(fit(&said(learnt, parts), left), app.theme.style(Role::Dim)));
        all.push(Line::from(spans));
    }
    let stands = match (&reward.chosen, reward.measured.last()) {
        (Some(chosen), _) => vec![format!(" * judges: {}", chosen.why.says()), format!(" * {}", chosen.why.says())],
        (None, Some(measured)) => {
            let error = measured.calibration.error.map_or("–".into(), percent);
            vec![format!(" {} is off by {error} in how sure it is", measured.model)]
        }
        (None, None) => {
            vec![" the first loop learns from people's labels alone".into(), " R0 learns from people alone".into()]
        }
    };
    let text = stands.iter().find(|text| columns(text) <= width).or(stands.last()).cloned().unwrap_or_default();
    all.push(Line::from(Span::styled(fit(&text, width), app.theme.style(Role::Dim))));
    all.truncate(room.max(1));
    all
}

/// `R1*  79% (75–83)`
fn head(measured: &RewardMeasured, judges: bool) -> String {
    let whole = |share: f64| format!("{:.0}", share * 100.0);
    let interval = measured.agreement.interval;
    let interval = interval.map_or(String::new(), |i| format!(" ({}–{})", whole(i.low), whole(i.high)));
    let name = format!("{}{}", measured.model, if judges { "*" } else { "" });
    format!(" {name:<4}{:>4}{interval:<10}", measured.agreement.pairwise_half.map_or("–".into(), percent))
}

/// What a loop learnt from, in parts: the first ones say most.
fn learnt_from(reward: &RewardView, measured: &RewardMeasured) -> Vec<String> {
    let Some(labels) = reward.labels_of(measured.number) else {
        return vec![format!("{} human", count(measured.human.into()))];
    };
    let mut parts = vec![format!("+{} kept", count(labels.kept.into()))];
    parts.extend(labels.flipped.map(|flipped| format!("{} flipped", count(flipped.into()))));
    parts.push(format!("{} left", count(labels.left().into())));
    parts.extend(labels.fixed.and_then(|fixed| Some(format!("by people {}", fixed.says()?))));
    parts
}

fn said(parts: &[String], most: usize) -> String {
    parts.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(" ")
}
