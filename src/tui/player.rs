//! Time in a replay: play, speed, steps, and jumps to what happened.
//!
//! Moves the cursor of the source; a live run that is looked at in its past uses the same. Pure, but for the source's reading of the journal.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::run::entry::Stamp;
use crate::run::ids::Seq;
use crate::tui::app::{App, Effect, Screen};
use crate::tui::keys::Action;
use crate::tui::source::MarkKind;
use crate::tui::theme::Role;
use crate::tui::until::Until;

/// How a replay plays.
#[derive(Clone, Debug, PartialEq)]
pub struct Player {
    pub playing: bool,
    /// Seconds of the run per second.
    pub speed: f64,
    /// Longer pauses of the run are cut to this many seconds of the run.
    pub idle_cap: f64,
    pub pause_on: Vec<PauseOn>,
    /// Playing stops just before the entry by which this begins to hold.
    pub until: Option<Until>,
    /// Seconds of the run that are due and have not been played.
    pub owed: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseOn {
    Decision,
    Alert,
    Stage,
    Nan,
}

impl Default for Player {
    fn default() -> Player {
        Player { playing: false, speed: 16.0, idle_cap: 5.0, pause_on: Vec::new(), until: None, owed: 0.0 }
    }
}

/// A moment that somebody marked; kept in a file beside the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bookmark {
    pub seq: Seq,
    pub by: String,
    /// What happened just after it.
    pub says: String,
}

/// The file of the bookmarks in the run folder.
pub const BOOKMARKS: &str = "bookmarks.jsonl";

/// The bookmarks of a run, in the order of the run; lines that cannot be read are left out.
pub fn bookmarks(folder: &Path) -> Vec<Bookmark> {
    let text = std::fs::read_to_string(folder.join(BOOKMARKS)).unwrap_or_default();
    let mut found: Vec<Bookmark> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    found.sort_by_key(|mark| mark.seq);
    found
}

fn set_bookmark(app: &mut App, effects: &mut Vec<Effect>) {
    let seq = app.view().seq;
    let next = app.source.texts.entry(seq + 1);
    let says = next.map_or("the end of the run".into(), |entry| crate::tui::tell::tell(&entry.event).1);
    let mark = Bookmark { seq, by: app.settings.name.clone(), says };
    match serde_json::to_string(&mark) {
        Ok(line) => effects.push(Effect::Append { file: BOOKMARKS.into(), line }),
        Err(error) => return app.say(Role::Error, error.to_string()),
    }
    app.say(Role::Focus, format!("bookmark before: {}", mark.says));
    let place = app.bookmarks.partition_point(|other| other.seq <= seq);
    app.bookmarks.insert(place, mark);
}

fn to_bookmark(app: &mut App, forward: bool) {
    let here = app.view().seq;
    let found = if forward {
        app.bookmarks.iter().find(|mark| mark.seq > here)
    } else {
        app.bookmarks.iter().rev().find(|mark| mark.seq < here)
    };
    match found.cloned() {
        Some(mark) => {
            app.source.seek(mark.seq);
            app.say(Role::Focus, format!("bookmark of {}, before: {}", mark.by, mark.says));
        }
        None => app.say(Role::Dim, "no bookmark there; M sets one"),
    }
}

/// Leads to the list of runs to choose the second one, or closes the second one.
fn pick_other(app: &mut App, effects: &mut Vec<Effect>) {
    if app.other.take().is_some() {
        return app.say(Role::Dim, "the second run is closed");
    }
    app.screen = Screen::Runs;
    app.runs.chosen = Some(app.source.folder.clone());
    effects.push(Effect::ListRuns);
}

/// Plays `seconds` of real time.
pub fn play(app: &mut App, seconds: f64) {
    if !app.player.playing {
        return;
    }
    app.player.owed += seconds.min(1.0) * app.player.speed;
    let start = app.view().seq;
    let mut at = app.view().at;
    while app.player.owed > 0.0 {
        let before = app.view().seq;
        let Some(next) = app.source.next_at() else {
            app.player.playing = false;
            break;
        };
        let wait = next.seconds_since(at);
        if wait > app.player.owed && wait <= app.player.idle_cap {
            break;
        }
        let cost = wait.min(app.player.idle_cap);
        if cost > app.player.owed {
            break;
        }
        app.player.owed -= cost;
        // Everything up to the time that is paid for, in one reading.
        let until = if wait > app.player.idle_cap {
            next
        } else {
            Stamp(at.0 + (wait + app.player.owed).max(0.0) as i64 * 1_000_000)
        };
        app.source.seek_time(Stamp(until.0.max(next.0)));
        app.player.owed = if wait > app.player.idle_cap { app.player.owed } else { 0.0 };
        at = app.view().at;
        // A clock that was set back in the middle of the run must not hold the replay: then it goes on entry by entry.
        if app.view().seq == before {
            app.source.seek(before + 1);
        }
        if !app.source.is_held() {
            app.player.playing = false;
            break;
        }
    }
    stop_at_marks(app, start);
}

/// When playing went over something that one wants to see: back to just before it.
fn stop_at_marks(app: &mut App, start: u64) {
    let wanted = app.player.pause_on.clone();
    let here = app.view().seq;
    let hit = app
        .source
        .marks()
        .iter()
        .find(|mark| {
            mark.seq > start + 1
                && mark.seq <= here
                && wanted.iter().any(|&on| match on {
                    PauseOn::Decision => mark.kind == MarkKind::Decision,
                    PauseOn::Alert => matches!(mark.kind, MarkKind::Alert(_)),
                    PauseOn::Stage => matches!(mark.kind, MarkKind::Stage | MarkKind::Iteration),
                    PauseOn::Nan => mark.kind == MarkKind::Nan,
                })
        })
        .copied();
    let hit = hit.map(|mark| mark.seq);
    let until =
        app.player.until.as_ref().and_then(|until| app.source.edge(start, here, true, |view| until.holds(view)));
    if let Some(seq) = hit.into_iter().chain(until).min() {
        app.source.seek(seq - 1);
        app.player.playing = false;
        app.player.owed = 0.0;
    }
}

/// Keys that move time. Returns whether the key was one.
pub fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) -> bool {
    let seq = app.view().seq;
    let percent = (app.source.head().seq / 100).max(1);
    match action {
        Action::Play => {
            app.player.playing = !app.player.playing;
            app.player.owed = 0.0;
            if app.player.playing && !app.source.is_held() {
                app.source.seek(0);
            }
        }
        Action::BackOne => app.source.seek(seq.saturating_sub(1)),
        Action::ForwardOne => app.source.seek(seq + 1),
        Action::Back1 => app.source.seek(seq.saturating_sub(percent)),
        Action::Forward1 => app.source.seek(seq + percent),
        Action::Back10 => app.source.seek(seq.saturating_sub(10 * percent)),
        Action::Forward10 => app.source.seek(seq + 10 * percent),
        Action::Export => effects.push(Effect::Export),
        Action::Bookmark => set_bookmark(app, effects),
        Action::NextBookmark => to_bookmark(app, true),
        Action::PreviousBookmark => to_bookmark(app, false),
        Action::PickOther => pick_other(app, effects),
        Action::SwapRuns => {
            if let Some(other) = &mut app.other {
                std::mem::swap(&mut app.source, other);
            }
        }
        Action::DiffOnly => app.compare.all = !app.compare.all,
        Action::Slower => app.player.speed = (app.player.speed / 2.0).max(0.25),
        Action::Faster => app.player.speed = (app.player.speed * 2.0).min(65_536.0),
        Action::FollowTail => {
            app.source.follow();
            app.player.playing = false;
        }
        Action::NextIteration => jump(app, true, "stage", |kind| matches!(kind, MarkKind::Stage | MarkKind::Iteration)),
        Action::PreviousIteration => {
            jump(app, false, "stage", |kind| matches!(kind, MarkKind::Stage | MarkKind::Iteration));
        }
        Action::NextDecision => jump(app, true, "decision", |kind| kind == MarkKind::Decision),
        Action::PreviousDecision => jump(app, false, "decision", |kind| kind == MarkKind::Decision),
        Action::NextAlert => jump(app, true, "alert", |kind| matches!(kind, MarkKind::Alert(_))),
        Action::PreviousAlert => jump(app, false, "alert", |kind| matches!(kind, MarkKind::Alert(_))),
        Action::NextNan => jump(app, true, "NaN", |kind| kind == MarkKind::Nan),
        Action::PreviousNan => jump(app, false, "NaN", |kind| kind == MarkKind::Nan),
        Action::NextUntil => to_condition(app, true),
        Action::PreviousUntil => to_condition(app, false),
        _ => return false,
    }
    true
}

/// Lands just before the entry by which the condition of `--until` begins to hold.
fn to_condition(app: &mut App, forward: bool) {
    let Some(until) = app.player.until.clone() else {
        return app
            .say(Role::Dim, "there is no condition: start the replay with --until, for example --until 'loss>2'");
    };
    let (here, last) = (app.view().seq, app.source.head().seq);
    // Where a jump has landed, the next entry is the one that was jumped to.
    let found = match forward {
        true => app.source.edge(here + 1, last, true, |view| until.holds(view)),
        false => app.source.edge(0, here, false, |view| until.holds(view)),
    };
    match found {
        Some(seq) => {
            app.source.seek(seq - 1);
            app.player.playing = false;
            app.say(Role::Focus, format!("the next entry is the one by which {} holds", until.says));
        }
        None => {
            let place = if forward { "later" } else { "earlier" };
            app.say(Role::Dim, format!("{} begins to hold nowhere {place} in this run", until.says));
        }
    }
}

/// Lands just before the mark, so that the next event is the one that was looked for.
fn jump(app: &mut App, forward: bool, what: &str, wanted: impl Fn(MarkKind) -> bool) {
    match app.source.next_mark(forward, wanted) {
        Some(mark) => app.source.seek(mark.seq - 1),
        None => {
            let place = if forward { "no later" } else { "no earlier" };
            app.say(Role::Dim, format!("{place} {what} in this run"));
        }
    }
}

/// Goes to a place that somebody wrote: `40%`, `seq:418220`, `#2:810`, `M2:dpo:210`, `13:58`, or a text.
pub fn go_to(app: &mut App, place: &str) {
    match crate::tui::places::find(&app.source, app.zone, place) {
        Ok(seq) => app.source.seek(seq),
        Err(why) => app.say(Role::Warn, why),
    }
}
