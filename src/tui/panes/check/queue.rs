//! Which pairs are to be decided, in which order, and how far that has come.

use crate::run::entry::Stamp;
use crate::run::event::{Gate, Picked};
use crate::run::ids::{Model, PromptId};
use crate::run::view::{DecisionView, Labelled, PairStatus, Round};
use crate::tui::app::{App, Mode};
use crate::tui::panes::check::{asked, kept_by};

/// The iteration whose gate is shown: the latest that has one.
pub fn round(app: &App) -> Option<&Round> {
    let view = app.view();
    view.rounds.iter().rev().filter(|round| round.iteration <= view.iteration).find(|round| round.gate.is_some())
}

/// The labels of a reward model that a gate is about; none where it is about an iteration's pairs.
pub fn labels<'a>(app: &'a App, round: &Round) -> Option<&'a Labelled> {
    app.view().reward.labelled.last().filter(|_| round.iteration == 0)
}

/// Who learns from what the gate lets through, in a word: `R1`, `DPO` or `RLOO`.
pub fn learner(app: &App, round: &Round) -> String {
    labels(app, round).map_or(app.view().learner().to_string(), |labels| Model::Reward(labels.number).to_string())
}

/// The queue with the deferred pairs at its end.
pub fn order(app: &App) -> Vec<(PromptId, Picked)> {
    let Some(gate) = round(app).and_then(|round| round.gate.as_ref()) else { return Vec::new() };
    let mut order: Vec<(PromptId, Picked)> = gate.queue.iter().map(|queued| (queued.pair, queued.picked)).collect();
    order.sort_by_key(|(pair, _)| status(app, *pair) == PairStatus::Deferred);
    order
}

/// How a pair stands for the one who decides now: in a second opinion the first one is out of sight.
pub fn status(app: &App, id: PromptId) -> PairStatus {
    if app.mode == (Mode::Replay { second_opinion: true }) {
        return app.check.opinions.status(id);
    }
    asked::status(app, id)
}

pub fn picked(app: &App, id: PromptId) -> Option<Picked> {
    let gate = app.view().round(id.iteration)?.gate.as_ref()?;
    gate.queue.iter().find(|queued| queued.pair == id).map(|queued| queued.picked)
}

/// The first pair that nobody has decided, and that nobody else looks at if there is one.
pub fn first_open(app: &App) -> Option<PromptId> {
    let open = || order(app).into_iter().map(|(pair, _)| pair).filter(|&pair| !status(app, pair).is_decided());
    open().find(|&pair| kept_by(app, pair).is_none()).or_else(|| open().next())
}

/// The next undecided pair after this one, round the queue; `order` as it was before the decision.
pub fn next_open(app: &App, order: &[(PromptId, Picked)], from: PromptId) -> Option<PromptId> {
    let place = order.iter().position(|(pair, _)| *pair == from).map_or(0, |place| place + 1);
    let (before, after) = order.split_at(place.min(order.len()));
    let open = |pair: &PromptId| !status(app, *pair).is_decided();
    let all = || after.iter().chain(before).map(|(pair, _)| *pair).filter(open);
    // What was put off comes when nothing else is left.
    all()
        .find(|&pair| pair != from && status(app, pair) != PairStatus::Deferred && kept_by(app, pair).is_none())
        .or_else(|| all().find(|&pair| pair != from && kept_by(app, pair).is_none()))
        .or_else(|| all().find(|&pair| pair != from))
        .or_else(|| all().next())
}

/// The neighbour of a pair in the queue.
pub fn beside(app: &App, from: Option<PromptId>, forward: bool) -> Option<PromptId> {
    let order = order(app);
    let place = order.iter().position(|(pair, _)| Some(*pair) == from);
    let place = match (place, forward) {
        (None, true) => 0,
        (None, false) => order.len().checked_sub(1)?,
        (Some(place), true) => (place + 1).min(order.len().saturating_sub(1)),
        (Some(place), false) => place.saturating_sub(1),
    };
    order.get(place).map(|(pair, _)| *pair)
}

/// Decisions about this iteration's pairs that stand, newest first.
pub fn decisions<'a>(app: &'a App, round: &'a Round) -> impl Iterator<Item = &'a DecisionView> {
    let iteration = round.iteration;
    app.view()
        .decisions
        .iter()
        .rev()
        .filter(move |d| !d.undone && d.pairs.first().is_some_and(|one| one.pair.iteration == iteration))
}

/// The median time of one decision, in seconds.
pub fn median_seconds(app: &App, round: &Round) -> Option<f64> {
    let mut took: Vec<u64> = decisions(app, round).filter_map(|decision| decision.took_ms).collect();
    took.sort_unstable();
    let middle = *took.get(took.len() / 2)?;
    Some(middle as f64 / 1000.0)
}

/// When the gate closes by itself.
pub fn deadline(app: &App, round: &Round) -> Option<Stamp> {
    let gate = round.gate.as_ref().filter(|gate| gate.is_open())?;
    let Gate::Deadline { seconds } = gate.gate else { return None };
    let live = !app.is_replay() && !app.source.is_held();
    match app.source.now.as_ref().and_then(|now| now.deadline).filter(|_| live && app.is_alive()) {
        Some(at) => Some(Stamp(at)),
        None => Some(Stamp(gate.opened.0 + (seconds * 1e6) as i64)),
    }
}
