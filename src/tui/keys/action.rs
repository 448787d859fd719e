//! What keys can ask for, and where.

/// Declares the closed set of actions and the list of them.
macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Everything that a key or a palette line can do. What it means is decided by the screen that takes it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)+ }

        impl Action {
            pub const ALL: &[Action] = &[$(Action::$name),+];
        }
    };
}

actions! {
    // Everywhere.
    ShowLive, ShowGen, ShowPairs, ShowCheck, ShowTrain, ShowEval, ShowLog, ShowRuns,
    NextPane, PreviousPane, Up, Down, Left, Right, First, Last, PageUp, PageDown, Enter, Back,
    Zoom, Filter, NextMatch, PreviousMatch, Palette, Help, Copy, External, Mouse, Redraw, Suspend, Alerts,
    NextIteration, PreviousIteration, NextDecision, PreviousDecision, NextAlert, PreviousAlert, GoTo,
    Detach, StopMenu,
    // Control of a run.
    Pause, CloseGate, Snapshot, Note,
    // Charts.
    SmoothMore, SmoothLess, LogY, XAxis, CursorLeft, CursorRight, ZoomIn, ZoomOut, Envelope, ResetChart,
    // The spot check.
    Keep, Veto, Swap, Tie, EditScore, Defer, Flag, Undo, Redo, Blind, DiffMode,
    NextRationale, PreviousRationale, AllCandidates, NextItem, PreviousItem, AutoAdvance, Wrap,
    Reason1, Reason2, Reason3, Reason4, Reason5, Reason6,
    // The table of pairs.
    Range, Mark, SortNext, SortReverse, OpenInCheck,
    // The log.
    Level, Follow, Evidence, Acknowledge,
    // The list of runs.
    Compare,
    // Replay.
    Play, BackOne, ForwardOne, Back1, Forward1, Back10, Forward10, Slower, Faster, FollowTail, PickOther,
    SwapRuns, DiffOnly, Export, Bookmark, NextBookmark, PreviousBookmark, NextNan, PreviousNan,
    WhatIf, NextUntil, PreviousUntil,
}

/// Where a binding holds. A screen is asked first, then what the screen has (charts, a replay, control), then everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Everywhere,
    /// Only with the right to steer a living run.
    Control,
    Charts,
    Gen,
    Pairs,
    Check,
    Log,
    Runs,
    Replay,
}

impl Scope {
    pub const ALL: [Scope; 9] = [
        Scope::Everywhere,
        Scope::Control,
        Scope::Charts,
        Scope::Gen,
        Scope::Pairs,
        Scope::Check,
        Scope::Log,
        Scope::Runs,
        Scope::Replay,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Scope::Everywhere => "everywhere",
            Scope::Control => "run control",
            Scope::Charts => "charts",
            Scope::Gen => "gen",
            Scope::Pairs => "pairs",
            Scope::Check => "check",
            Scope::Log => "log",
            Scope::Runs => "runs",
            Scope::Replay => "replay",
        }
    }
}
