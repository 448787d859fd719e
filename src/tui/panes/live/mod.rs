//! Live: the run at a glance: where it is, how long it will take, whether it is healthy, the curves, the latest pair, the alerts.
//!
//! Panes keep their identity while the layout changes with the size, so that the focus survives a resize.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use crate::tui::app::{App, Effect, Screen};
use crate::tui::keys::Action;
use crate::tui::layout::{Width, columns, is_compact, width};
use crate::tui::panes::train;

mod boxes;
mod compact;
mod reward;
pub mod strips;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Loss,
    Agreement,
    Margin,
    LogProbs,
    Scores,
    System,
    Latest,
    Alerts,
    Pairs,
}

#[derive(Clone, Debug)]
pub struct State {
    pub focus: Pane,
}

impl Default for State {
    fn default() -> State {
        State { focus: Pane::Loss }
    }
}

/// Which panes stand where. The strips stand above and are not focused.
fn plan(area: Rect) -> (Rect, Vec<(Pane, Rect)>) {
    let strips = if area.height >= 30 { 6 } else { 4 };
    let [top, rest] = area.layout(&Layout::vertical([Constraint::Length(strips), Constraint::Fill(1)]));
    let mut panes = Vec::new();
    let mut put = |kinds: &[Pane], row: Rect| panes.extend(kinds.iter().copied().zip(columns(row, kinds.len())));
    match width(area) {
        Width::Compact => put(&[Pane::Alerts], rest),
        Width::One => {
            let pair = if rest.height >= 14 { 5 } else { 0 };
            let alerts = if rest.height >= 30 { 9 } else { 5 };
            let [charts, pair, alerts] = rest.layout(&Layout::vertical([
                Constraint::Fill(1),
                Constraint::Length(pair),
                Constraint::Length(alerts.min(rest.height / 2)),
            ]));
            if charts.height >= 20 {
                let [upper, lower] = charts.layout(&Layout::vertical([Constraint::Fill(1); 2]));
                put(&[Pane::Loss, Pane::Agreement], upper);
                put(&[Pane::Margin, Pane::Scores], lower);
            } else {
                put(&[Pane::Loss, Pane::Agreement], charts);
            }
            if pair.height > 0 {
                put(&[Pane::Latest], pair);
            }
            put(&[Pane::Alerts], alerts);
        }
        Width::Two => {
            let small = if rest.height >= 24 { 9 } else { 0 };
            let [charts, small, below] = rest.layout(&Layout::vertical([
                Constraint::Fill(1),
                Constraint::Length(small),
                Constraint::Length((rest.height / 3).min(12)),
            ]));
            put(&[Pane::Loss, Pane::Agreement], charts);
            if small.height > 0 {
                put(&[Pane::Margin, Pane::LogProbs, Pane::Scores, Pane::System], small);
            }
            put(&[Pane::Latest, Pane::Alerts], below);
        }
        Width::Three => {
            let [charts, small, below] =
                rest.layout(&Layout::vertical([Constraint::Fill(3), Constraint::Fill(2), Constraint::Fill(3)]));
            put(&[Pane::Loss, Pane::Margin, Pane::Agreement], charts);
            put(&[Pane::LogProbs, Pane::Scores, Pane::System], small);
            put(&[Pane::Latest, Pane::Pairs, Pane::Alerts], below);
        }
    }
    (top, panes)
}

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    if is_compact(Rect { width: app.size.0, height: app.size.1, ..area }) {
        return compact::draw(frame, area, app);
    }
    let (top, panes) = plan(area);
    let focus = focused(app, &panes);
    if app.zoom {
        return boxes::draw(frame, area, app, focus, true);
    }
    strips::draw(frame, top, app);
    for (pane, place) in panes {
        boxes::draw(frame, place, app, pane, pane == focus);
    }
}

/// The focused pane, or the first one when it has no room at this size.
fn focused(app: &App, panes: &[(Pane, Rect)]) -> Pane {
    let there = panes.iter().any(|(pane, _)| *pane == app.live.focus);
    if there { app.live.focus } else { panes.first().map_or(Pane::Alerts, |(pane, _)| *pane) }
}

pub fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    let (_, panes) = plan(Rect::new(0, 0, app.size.0, app.size.1.saturating_sub(3)));
    let focus = focused(app, &panes);
    let place = panes.iter().position(|(pane, _)| *pane == focus).unwrap_or(0);
    match action {
        Action::NextPane | Action::PreviousPane => {
            let step = if action == Action::NextPane { 1 } else { panes.len().saturating_sub(1) };
            if let Some((pane, _)) = panes.get((place + step) % panes.len().max(1)) {
                app.live.focus = *pane;
            }
            true
        }
        Action::Enter => {
            match focus {
                Pane::Loss | Pane::Margin | Pane::LogProbs => app.screen = Screen::Train,
                Pane::Agreement | Pane::Scores => app.screen = Screen::Eval,
                Pane::Latest => app.screen = Screen::Gen,
                Pane::Pairs => app.screen = Screen::Pairs,
                Pane::System => app.screen = Screen::Log,
                Pane::Alerts => crate::tui::app::act(app, Action::Alerts, effects),
            }
            app.zoom = false;
            true
        }
        _ => train::act_on_charts(app, action),
    }
}
