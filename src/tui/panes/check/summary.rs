//! What the spot check amounts to: the strip of the last decisions, and the summary when nothing is left to decide.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::event::{GateClosed, VetoReason};
use crate::run::filter::{REASONS, reason_name};
use crate::run::ids::{PromptId, Stage};
use crate::run::measures::Interval;
use crate::run::view::{DecisionView, PairStatus, Round};
use crate::tui::app::{App, Mode};
use crate::tui::figures::{columns, count, duration, number, one_line, percent};
use crate::tui::panes::check::queue;
use crate::tui::panes::coming;
use crate::tui::screen::{boxed, empty, line, lines};
use crate::tui::theme::Role;

/// `31% (5 of 16, 14–56%)`
fn share(bad: u32, n: u32) -> String {
    match Interval::wilson(bad, n) {
        None => "–".into(),
        Some(Interval { low, high }) => {
            let value = f64::from(bad) / f64::from(n);
            let low = percent(low);
            format!("{} ({bad} of {n}; 95%: {}–{})", percent(value), low.trim_end_matches('%'), percent(high))
        }
    }
}

/// One decision in a few characters: `#2:31 veto length 2.4s`.
fn brief(app: &App, decision: &DecisionView) -> (String, Role) {
    let what = decision.status().map_or("", PairStatus::name);
    let pairs = match &*decision.pairs {
        [one] => format!("#{}", one.pair),
        many => format!("{} pairs", many.len()),
    };
    let reason = decision.reason.map_or(String::new(), |reason| format!(" {}", reason_name(reason)));
    let took = decision.took_ms.map_or(String::new(), |ms| format!(" {}", duration(ms as f64 / 1000.0)));
    let by = if decision.by == app.settings.name { String::new() } else { format!(" {}", one_line(&decision.by)) };
    let kept = decision.status() == Some(PairStatus::Kept);
    (format!("{pairs} {what}{reason}{took}{by}"), if kept { Role::Plain } else { Role::Human })
}

/// The last decisions and what they say of the judge: one line, or a box.
pub fn strip(frame: &mut Frame, area: Rect, app: &App, _pair: PromptId) {
    let Some(round) = queue::round(app) else { return };
    let second = app.mode == (Mode::Replay { second_opinion: true });
    let place = if area.height >= 3 {
        let tally = round.check();
        let title = if second {
            second_opinion(app)
        } else {
            let mut title = "last decisions".to_string();
            if tally.decided > 0 {
                title += &format!("   agree with {} {} of {}", judge(app, round), tally.agrees, tally.decided);
            }
            if tally.random_decided > 0 {
                title += &format!("   wrong among random ones {}", share(tally.random_bad, tally.random_decided));
            }
            title
        };
        boxed(frame, area, app, &title, false)
    } else {
        area
    };
    if second {
        return;
    }
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    let waiting: Vec<(String, Role)> =
        app.check.requests.open().rev().map(|asked| (format!("{} …", asked.words), Role::Human)).collect();
    let taken = queue::decisions(app, round).take(30).map(|decision| brief(app, decision));
    for (text, role) in waiting.into_iter().chain(taken) {
        let wide = columns(&text) + 3;
        if used + wide > usize::from(place.width) {
            break;
        }
        used += wide;
        spans.push(Span::styled(text, app.theme.style(role)));
        spans.push(Span::styled(" · ", app.theme.style(Role::Dim)));
    }
    if spans.len() > 1 {
        spans.pop();
    } else {
        spans.push(Span::styled("no decision yet", app.theme.style(Role::Dim)));
    }
    line(frame, place, Line::from(spans));
}

/// Who chose what is looked at.
fn judge(app: &App, round: &Round) -> String {
    queue::labels(app, round).map_or("the judge".to_string(), |labels| labels.by.to_string())
}

fn second_opinion(app: &App) -> String {
    let found = app.check.opinions.agreement(app.source.head());
    let kappa = found.kappa.map_or(String::new(), |kappa| format!(", kappa {}", number(kappa, 2)));
    format!("second opinion: {} of {} as the first reader{kappa}", found.same, found.n)
}

/// Nothing to decide: why, and what the check found.
pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let inside = boxed(frame, area, app, "spot check", true);
    let Some(round) = queue::round(app) else {
        let when = coming::words(app, Stage::Check, "The check opens").map_or(String::new(), |when| format!("{when} "));
        let labels = app.view().started.as_ref().is_some_and(|started| {
            started.plan.iter().any(|planned| planned.stage == Stage::Check && planned.iteration == 0)
        });
        let learner = app.view().learner();
        let first = match app.view().iteration {
            0 if labels => {
                "No spot check yet: the first one opens when the reward model R0 has labelled people's pairs, and before R1 learns from its \
                  labels."
                    .to_string()
            }
            0 => format!(
                "No spot check yet: iteration 0 learns from human data. The first one opens in iteration 1, after the pairs are chosen and \
                  before {learner}."
            ),
            _ => format!("No spot check yet: it opens after the pairs are chosen and before {learner}."),
        };
        let text = format!("{first} {when}1 shows how far the run is, 3 shows all pairs.");
        return empty(frame, inside, app, &text);
    };
    let all = findings(app, round);
    lines(frame, inside, all);
}

fn findings(app: &App, round: &Round) -> Vec<Line<'static>> {
    let tally = round.check();
    let style = |role| app.theme.style(role);
    let row = |name: &str, value: String| {
        Line::from(vec![
            Span::styled(format!(" {}", crate::tui::figures::left(name, 26)), style(Role::Dim)),
            Span::raw(value),
        ])
    };
    let gate = round.gate.as_ref();
    let closed = gate.and_then(|gate| gate.closed.as_ref());
    let how = match closed.map(|(_, closed)| &closed.why) {
        None if tally.offered == 0 => "nothing was offered".to_string(),
        None => "everything is decided; the engine goes on".into(),
        Some(GateClosed::Off) => format!("the gate was off: {} did not wait", queue::learner(app, round)),
        Some(GateClosed::Decided) => "everything was decided".into(),
        Some(GateClosed::Deadline) => "the time was up".into(),
        Some(GateClosed::Asked { by }) => format!("closed by {}", one_line(by)),
    };
    let labels = queue::labels(app, round);
    let what = match labels {
        Some(labels) => format!("labels of {} for R{}", labels.by, labels.number),
        None => format!("iteration {}", round.iteration),
    };
    let mut all = vec![
        Line::from(Span::styled(format!(" {what}: {how}"), style(Role::Strong))),
        Line::default(),
        row("decided", format!("{} of {}", tally.decided, tally.offered)),
        row(
            "kept / not as judged",
            format!(
                "{} / {} veto, {} swap, {} tie, {} edit{}",
                tally.kept,
                tally.vetoed,
                tally.swapped,
                tally.tied,
                tally.edited,
                if tally.deferred > 0 { format!("; {} deferred", tally.deferred) } else { String::new() }
            ),
        ),
        row(&format!("agree with {}", judge(app, round)), share(tally.agrees, tally.decided)),
        row("wrong among random ones", share(tally.random_bad, tally.random_decided)),
    ];
    if let Some(Interval { low, high }) = Interval::wilson(tally.random_bad, tally.random_decided) {
        let pairs = round.drawn_from();
        let [low, high] = [low, high].map(|share| count((share * f64::from(pairs)).round() as u64));
        let name = if labels.is_some() { "so among all labels" } else { "so among all pairs" };
        all.push(row(name, format!("{low} to {high} of {} are wrong", count(pairs.into()))));
    }
    if let Some(fixed) = labels.and_then(|labels| labels.fixed) {
        let changed = fixed.says().map_or(String::new(), |says| format!("; {says}"));
        all.push(row("learnt from", format!("{} labels{changed}", count(fixed.used.into()))));
    }
    let (bad, seen) = suspicious(round);
    if seen > 0 {
        all.push(row("of suspicious ones", format!("{bad} of {seen} with suspicion 0.5 or more were wrong")));
    }
    let reasons = reasons(app, round);
    if !reasons.is_empty() {
        all.push(row("reasons of vetoes", reasons));
    }
    if let Some(median) = queue::median_seconds(app, round) {
        all.push(row("median time", duration(median)));
    }
    if app.mode == (Mode::Replay { second_opinion: true }) {
        all.push(row("second opinion", second_opinion(app)));
    }
    all.push(Line::default());
    let refused = app.check.requests.open().count();
    if refused > 0 {
        all.push(Line::from(Span::styled(
            format!(" {refused} of your decisions are sent and not taken yet"),
            style(Role::Human),
        )));
    }
    all.push(Line::from(Span::styled(
        " K looks at the last pair again, u takes back, 3 shows all pairs, 1 the run",
        style(Role::Focus),
    )));
    all
}

/// Decided pairs of at least half suspicion: how many were wrong.
fn suspicious(round: &Round) -> (u32, u32) {
    let mut found = (0, 0);
    for (_, pair) in round.pairs().filter(|(_, pair)| pair.suspicion >= 0.5 && pair.status.is_decided()) {
        found.1 += 1;
        found.0 += u32::from(pair.status != PairStatus::Kept);
    }
    found
}

fn reasons(app: &App, round: &Round) -> String {
    let given: Vec<VetoReason> = queue::decisions(app, round).filter_map(|decision| decision.reason).collect();
    let counted = REASONS.iter().filter_map(|(name, reason)| {
        let count = given.iter().filter(|given| *given == reason).count();
        (count > 0).then(|| format!("{name} {count}"))
    });
    counted.collect::<Vec<_>>().join(", ")
}
