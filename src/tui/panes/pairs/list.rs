//! The rows of the table of pairs: filtered and sorted, kept between messages, so that drawing only reads.
//!
//! Texts lie in the journal; a filter for a text reads them a few at a time and remembers what it found.

use std::collections::HashMap;

use crate::run::filter::{Fault, Filter, Row};
use crate::run::ids::PromptId;
use crate::run::view::{PairView, RunView};
use crate::tui::app::{App, Screen};
use crate::tui::panes::check::{queue, sides};

/// Pairs whose texts are read between two looks at the keyboard.
const AT_ONCE: usize = 150;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    #[default]
    Id,
    Suspicion,
    Margin,
    Length,
    Status,
    Who,
}

impl Column {
    const ALL: [Column; 6] =
        [Column::Id, Column::Suspicion, Column::Margin, Column::Length, Column::Status, Column::Who];
}

/// The rows and what they were made from.
#[derive(Clone, Debug, Default)]
pub struct List {
    rows: Vec<PromptId>,
    /// All pairs, before the filter.
    pub total: usize,
    pub column: Column,
    reversed: bool,
    pub fault: Option<Fault>,
    filter: Filter,
    made_of: Option<(u64, String, Column, bool, usize)>,
    /// For each pair whether its texts hold the texts that are looked for, in the filter's order.
    found: HashMap<PromptId, Vec<bool>>,
    texts: Vec<String>,
    unread: usize,
}

impl List {
    pub fn rows(&self) -> &[PromptId] {
        &self.rows
    }

    pub fn sort_next(&mut self) {
        let place = Column::ALL.iter().position(|&column| column == self.column).unwrap_or(0);
        self.column = Column::ALL[(place + 1) % Column::ALL.len()];
        self.reversed = false;
    }

    pub fn reverse(&mut self) {
        self.reversed = !self.reversed;
    }

    /// Large values first, unless reversed.
    pub fn descending(&self) -> bool {
        !self.reversed
    }

    /// How far the texts have been searched, while that is under way.
    pub fn searching(&self) -> Option<f64> {
        (self.unread > 0).then(|| 1.0 - self.unread as f64 / self.total.max(1) as f64)
    }

    /// The filter as it is in force, for the record of a decision about many.
    pub fn filter(&self) -> Option<&Filter> {
        (!self.filter.is_empty()).then_some(&self.filter)
    }
}

/// Who decided, if anybody did.
pub fn who(view: &RunView, pair: &PairView) -> String {
    let latest = pair.history.iter().rev().filter_map(|&seq| view.decision(seq)).find(|decision| !decision.undone);
    latest.map_or(String::new(), |decision| decision.by.clone())
}

/// Makes the rows anew when something they depend on has changed.
pub fn settle(app: &mut App) {
    let text = app.filters.get(&Screen::Pairs).cloned().unwrap_or_default();
    let list = &app.pairs.list;
    let key = (app.view().seq, text.clone(), list.column, list.reversed, list.unread);
    if list.made_of.as_ref() == Some(&key) && list.unread == 0 {
        return;
    }
    match Filter::parse(&text) {
        Ok(filter) => {
            let texts: Vec<String> = filter.texts().map(str::to_string).collect();
            let list = &mut app.pairs.list;
            if texts != list.texts {
                list.found.clear();
                list.texts = texts;
            }
            list.filter = filter;
            list.fault = None;
        }
        // The rows of the last filter that was understood stay while one writes.
        Err(fault) => app.pairs.list.fault = Some(fault),
    }
    read_texts(app);
    let (rows, total) = rows(app);
    let list = &mut app.pairs.list;
    list.rows = rows;
    list.total = total;
    list.made_of = Some((key.0, text, list.column, list.reversed, list.unread));
}

fn read_texts(app: &mut App) {
    if app.pairs.list.texts.is_empty() {
        app.pairs.list.unread = 0;
        return;
    }
    let all: Vec<PromptId> = app.view().rounds.iter().flat_map(|round| round.pairs().map(|(id, _)| id)).collect();
    let unread: Vec<PromptId> = all.into_iter().rev().filter(|id| !app.pairs.list.found.contains_key(id)).collect();
    for &id in unread.iter().take(AT_ONCE) {
        let holds = holds(app, id);
        app.pairs.list.found.insert(id, holds);
    }
    app.pairs.list.unread = unread.len().saturating_sub(AT_ONCE);
}

/// For each text that is looked for: whether the prompt or one of the two answers holds it.
fn holds(app: &App, id: PromptId) -> Vec<bool> {
    let mut text = String::new();
    if let (Some(prompt), Some(pair)) = (sides::prompt(app, id), app.view().pair(id)) {
        let answers = [pair.chosen, pair.rejected].into_iter().filter_map(|n| sides::candidate(app, id, n));
        for seq in std::iter::once(prompt.seq).chain(answers.map(|candidate| candidate.seq)) {
            text.push_str(&sides::text(app, seq).to_lowercase());
            text.push('\n');
        }
    }
    app.pairs.list.texts.iter().map(|wanted| text.contains(wanted)).collect()
}

fn rows(app: &App) -> (Vec<PromptId>, usize) {
    let view = app.view();
    let list = &app.pairs.list;
    let mut total = 0;
    let mut rows: Vec<(PromptId, &PairView)> = Vec::new();
    for round in &view.rounds {
        for (id, pair) in round.pairs() {
            total += 1;
            let row = Row { id, pair, view, picked: queue::picked(app, id) };
            let found = list.found.get(&id);
            let holds = |wanted: &str| {
                let place = list.texts.iter().position(|text| text == wanted);
                place.and_then(|place| found?.get(place).copied()).unwrap_or(false)
            };
            // A pair whose texts have not been read yet is neither in nor out: it comes when they have been.
            let known = list.texts.is_empty() || found.is_some();
            if known && list.filter.admits(row, holds) {
                rows.push((id, pair));
            }
        }
    }
    // Newest first among equals, whatever the column.
    rows.sort_by(|(a, _), (b, _)| b.cmp(a));
    match list.column {
        Column::Id => {}
        Column::Suspicion => rows.sort_by(|(_, a), (_, b)| b.suspicion.total_cmp(&a.suspicion)),
        Column::Margin => rows.sort_by(|(_, a), (_, b)| b.margin.total_cmp(&a.margin)),
        Column::Length => rows.sort_by(|(_, a), (_, b)| b.length_ratio.total_cmp(&a.length_ratio)),
        Column::Status => rows.sort_by_key(|(_, pair)| std::cmp::Reverse(pair.status)),
        Column::Who => rows.sort_by_cached_key(|(_, pair)| std::cmp::Reverse(who(view, pair))),
    }
    if list.reversed {
        rows.reverse();
    }
    (rows.into_iter().map(|(id, _)| id).collect(), total)
}
