//! The boxes of Live: curves, agreement per model, scores, system, the latest pair, the alerts.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::curves::{Series, Signal};
use crate::run::event::Level;
use crate::run::ids::{Model, PromptId, Stage};
use crate::run::measures::Agreement;
use crate::run::view::{JudgeTally, PairView, PromptView, RunView};
use crate::tui::app::App;
use crate::tui::chart::{Chart, Curve, draw as chart, trend, value};
use crate::tui::figures::{bytes, count, fit, left, number, one_line, percent, points, right, visible};
use crate::tui::panes::coming;
use crate::tui::panes::live::{Pane, reward, strips::bar};
use crate::tui::screen::{boxed, empty, lines, title};
use crate::tui::theme::Role;

pub fn draw(frame: &mut Frame, area: Rect, app: &App, pane: Pane, focused: bool) {
    match pane {
        Pane::Loss => loss(frame, area, app, focused),
        Pane::Agreement => agreement(frame, area, app, focused),
        Pane::Margin => {
            let of_rewards = Signal::RewardGain;
            curves(frame, area, app, focused, ("reward margin", &[Signal::RewardMargin]), of_rewards, Signal::GradNorm);
        }
        Pane::LogProbs => {
            let both = [Signal::LogpChosenPerToken, Signal::LogpRejectedPerToken];
            let of_rewards = Signal::SampleKl;
            curves(frame, area, app, focused, ("log-prob per token", &both), of_rewards, Signal::LearningRate);
        }
        Pane::Scores => scores(frame, area, app, focused),
        Pane::System => system(frame, area, app, focused),
        Pane::Latest => latest(frame, area, app, focused),
        Pane::Alerts => alerts(frame, area, app, focused),
        Pane::Pairs => pairs(frame, area, app, focused),
    }
}

/// The model in training, or the one trained last, and the curve that matters for it.
fn learning(view: &RunView) -> Option<(Model, Signal)> {
    let last = view.stages.iter().rev().find(|span| span.stage.trains() && span.total > 0)?;
    let signal = match last.stage {
        Stage::Dpo => Signal::DpoLoss,
        Stage::Rloo => Signal::RlooLoss,
        Stage::Reward => Signal::RewardLoss,
        _ => Signal::SftLoss,
    };
    Some((last.model, signal))
}

fn loss(frame: &mut Frame, area: Rect, app: &App, focused: bool) {
    let Some((model, signal)) = learning(app.view()) else {
        let inside = boxed(frame, area, app, "loss", focused);
        return empty(frame, inside, app, "No training step yet.");
    };
    one_chart(frame, area, app, focused, &format!("{} {model}", signal.label()), model, &[signal]);
}

/// Whether this curve has begun.
fn has(app: &App, model: Model, signal: Signal) -> bool {
    app.view().curves.get(model, signal).is_some()
}

/// Curves of preferences; where rewards are learnt from, or answers, which have none of them, another one instead.
fn curves(
    frame: &mut Frame,
    area: Rect,
    app: &App,
    focused: bool,
    (title, signals): (&str, &[Signal]),
    of_rewards: Signal,
    of_answers: Signal,
) {
    let alone = |signal: Signal, model: Model| format!("{} {model}", signal.label());
    match learning(app.view()) {
        Some((model, Signal::DpoLoss | Signal::RewardLoss)) if signals.iter().any(|&s| has(app, model, s)) => {
            one_chart(frame, area, app, focused, &format!("{title} {model}"), model, signals);
        }
        Some((model, Signal::RlooLoss)) if has(app, model, of_rewards) => {
            one_chart(frame, area, app, focused, &alone(of_rewards, model), model, &[of_rewards]);
        }
        Some((model, Signal::SftLoss)) if has(app, model, of_answers) => {
            one_chart(frame, area, app, focused, &alone(of_answers, model), model, &[of_answers]);
        }
        _ => {
            let from_rewards = app.view().learns_from_rewards();
            let title = if from_rewards { of_rewards.label() } else { title };
            let inside = boxed(frame, area, app, title, focused);
            empty(frame, inside, app, &format!("Begins with the first {} step.", app.view().learner()));
        }
    }
}

/// A chart with its latest value in the title; a second signal is the rejected side.
fn one_chart(frame: &mut Frame, area: Rect, app: &App, focused: bool, name: &str, model: Model, signals: &[Signal]) {
    let view = app.view();
    let look = &app.train.look;
    let found: Vec<(Signal, &Series)> =
        signals.iter().filter_map(|&signal| Some((signal, view.curves.get(model, signal)?))).collect();
    let values: Vec<String> = found
        .iter()
        .map(|(_, series)| {
            let shown = value(series, look).map_or("NaN".into(), |value| number(value, 3));
            format!("{shown} {}", trend(series))
        })
        .collect();
    let smooth = if look.smoothing > 0.0 { format!("  smooth {}", number(look.smoothing, 2)) } else { String::new() };
    let titles = match values.as_slice() {
        [chosen, rejected] => vec![
            format!("{name}  chosen {chosen}  rejected {rejected}{smooth}"),
            format!("{name}  chosen {chosen}  rejected {rejected}"),
            format!("{name}  + {chosen}  - {rejected}"),
            name.to_string(),
        ],
        _ => {
            let shown = format!("{name}  {}", values.join(" "));
            vec![format!("{shown}{smooth}"), shown]
        }
    };
    let title = title(area.width, &titles);
    let inside = boxed(frame, area, app, &title, focused);
    let guide = matches!(signals, [Signal::DpoLoss | Signal::RewardLoss]).then_some(std::f64::consts::LN_2);
    let drawn = Chart {
        curves: found
            .iter()
            .enumerate()
            .map(|(place, (_, series))| Curve {
                series,
                role: if place == 0 { Role::Chosen } else { Role::Rejected },
                second: place > 0,
            })
            .collect(),
        x: crate::tui::panes::train::range(app, model),
        y: None,
        guide,
    };
    chart(frame, inside, &app.theme, &drawn, look, app.zone);
}

fn agreement(frame: &mut Frame, area: Rect, app: &App, focused: bool) {
    let titles = ["agreement with held-out human rankings", "agreement with human rankings", "agreement"];
    let inside = boxed(frame, area, app, &title(area.width, &titles), focused);
    let view = app.view();
    let found: Vec<_> = view.models.iter().filter_map(|model| Some((model.model, model.evaluated.as_ref()?))).collect();
    let width = usize::from(inside.width);
    if found.is_empty() && !view.reward.is_used() {
        return empty(frame, inside, app, "Measured after each model is made; ties count one half.");
    }
    let share = |part: u32, of: u32| percent(f64::from(part) / f64::from(of.max(1)));
    let beside = |agreement: &Agreement| {
        let unparsed = share(agreement.unparsed, agreement.responses);
        format!("unparsed {unparsed} ties {}", share(agreement.ties, agreement.pairs))
    };
    let longest = found.iter().map(|found| beside(&found.1.1.agreement).len()).max().unwrap_or(0);
    let mut models: Vec<Vec<Line>> = Vec::new();
    for (model, (_, evaluated)) in found.iter().rev() {
        let agreement = &evaluated.agreement;
        let Some(half) = agreement.pairwise_half else { continue };
        let interval = agreement.interval.map_or(String::new(), |i| format!(" ({}–{})", whole(i.low), whole(i.high)));
        let says = beside(agreement);
        let unparsed = f64::from(agreement.unparsed) / f64::from(agreement.responses.max(1));
        let role = if unparsed > 0.10 {
            Role::Error
        } else if unparsed > 0.02 {
            Role::Warn
        } else {
            Role::Dim
        };
        let head = match agreement.is_silent() {
            true => format!(" {model:<4} {:<13}", "no scores"),
            false => format!(" {model:<4}{:>4}{interval:<10}", percent(half)),
        };
        let tight = head.chars().count() + says.len() + 1 > width;
        let mut spans = vec![Span::styled(head.clone(), app.theme.style(Role::Strong))];
        if !tight {
            let room = width.saturating_sub(head.chars().count() + longest + 3).min(24);
            if room >= 8 {
                spans.push(Span::styled(bar(half, room), app.theme.style(Role::Chosen)));
                spans.push(Span::raw(" "));
            }
            spans.push(Span::styled(says, app.theme.style(role)));
            models.push(vec![Line::from(spans)]);
        } else {
            let below = Line::from(Span::styled(fit(&format!("     {says}"), width), app.theme.style(role)));
            models.push(vec![Line::from(spans), below]);
        }
    }
    // The loops of a reward model leave room for the newest model.
    let room = usize::from(inside.height).saturating_sub(models.first().map_or(0, Vec::len));
    let mut all = reward::loops(app, width, room);
    all.extend(models.into_iter().flatten());
    let measured = view.reward.measured.last().map_or(0, |measured| measured.agreement.pairs);
    let pairs = found.last().map_or(measured, |found| found.1.1.agreement.pairs);
    let note = format!("{pairs} pairs, ties count half, 95% interval");
    for piece in crate::tui::figures::wrap(&note, width.saturating_sub(2)) {
        all.push(Line::from(Span::styled(format!(" {piece}"), app.theme.style(Role::Dim))));
    }
    lines(frame, inside, all);
}

fn whole(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}

fn scores(frame: &mut Frame, area: Rect, app: &App, focused: bool) {
    let view = app.view();
    let tally =
        view.rounds.iter().rev().find(|round| round.judge.replies > 0).map(|round| (round.iteration, &round.judge));
    let title = tally.map_or("judge scores".into(), |(iteration, _)| format!("judge scores, iteration {iteration}"));
    let inside = boxed(frame, area, app, &title, focused);
    let Some((iteration, tally)) = tally else {
        return empty(frame, inside, app, "No judgement yet.");
    };
    if !view.has_scale() {
        return rewards(frame, inside, app, iteration, tally);
    }
    let parsed = tally.parsed().max(1);
    let most = tally.histogram.iter().copied().max().unwrap_or(1).max(1);
    let room = usize::from(inside.width).saturating_sub(9);
    let row = |(score, n): (usize, &u32)| {
        Line::from(vec![
            Span::raw(format!(" {score} ")),
            Span::styled(left(&bar_only(f64::from(*n) / f64::from(most), room), room), app.theme.style(Role::Chosen)),
            Span::raw(right(&percent(f64::from(*n) / f64::from(parsed)), 5)),
        ])
    };
    let mut all: Vec<Line> = tally.histogram.iter().enumerate().rev().map(row).collect();
    let mean = tally.mean().map_or("–".into(), |mean| number(mean, 3));
    let unparsed = f64::from(tally.unparsed()) / f64::from(tally.replies.max(1));
    let role = if unparsed > 0.02 { Role::Error } else { Role::Dim };
    let says = format!(" mean {mean}  unparsed {}", percent(unparsed));
    all.push(Line::from(Span::styled(fit(&says, inside.width.into()), app.theme.style(role))));
    if inside.height < 7 {
        all.swap_remove(5);
    }
    lines(frame, inside, all);
}

/// Rewards without a scale: their mean, and whether the model before ranks alike.
fn rewards(frame: &mut Frame, inside: Rect, app: &App, iteration: u32, tally: &JudgeTally) {
    let mean = tally.mean().map_or("–".into(), |mean| number(mean, 3));
    let mut all = vec![
        (format!("mean {mean} nats over M0"), Role::Plain),
        (format!("{} rewards, {} missing", tally.parsed(), tally.unparsed()), Role::Dim),
    ];
    match app.view().consistency(iteration) {
        Some(found) => {
            let tau = found.agreement.kendall;
            let says =
                tau.map_or("–".into(), |tau| format!("{} = tau {}", number((tau + 1.0) / 2.0, 2), number(tau, 2)));
            all.push((format!("consistency {says}"), Role::Strong));
            let earlier = found.judge.trim_start_matches("intrinsic").trim().trim_matches(['(', ')']);
            all.push((format!("with {}, {} prompts", visible(earlier), found.agreement.kendall_n), Role::Dim));
        }
        None => all.push(("consistency –".into(), Role::Dim)),
    }
    let width = usize::from(inside.width);
    let row =
        |(says, role): (String, Role)| Line::from(Span::styled(fit(&format!(" {says}"), width), app.theme.style(role)));
    lines(frame, inside, all.into_iter().map(row));
}

fn bar_only(share: f64, width: usize) -> String {
    "█".repeat((share * width as f64).round() as usize)
}

fn system(frame: &mut Frame, area: Rect, app: &App, focused: bool) {
    let inside = boxed(frame, area, app, "system", focused);
    let view = app.view();
    let mut rows: Vec<(&str, String)> = Vec::new();
    match (&app.source.holder, app.is_replay()) {
        (Some(holder), false) => {
            rows.push(("engine", format!("process {}", holder.pid)));
            rows.push(("host", visible(&holder.host)));
        }
        _ => rows.extend(view.engine.as_ref().map(|engine| ("host", format!("was {}", visible(&engine.host))))),
    }
    rows.extend(view.engine.as_ref().map(|engine| ("device", visible(&engine.device))));
    let mut late = None;
    if let Some(now) = app.source.now.as_ref().filter(|_| app.is_alive()) {
        rows.extend(now.tokens_per_s.map(|rate| ("tokens", format!("{} a second", number(rate, 4)))));
        rows.extend(now.memory_bytes.map(|memory| ("memory", format!("peak {}", bytes(memory)))));
        late = Some(app.clock.seconds_since(crate::run::entry::Stamp(now.at))).filter(|age| *age > 30.0);
    }
    if let Some(system) = app.source.system.filter(|_| !app.is_replay()) {
        rows.extend(system.engine_cpu.map(|cpu| ("uses", format!("{} of a core", percent(cpu)))));
        rows.push(("disk", format!("{} free", bytes(system.disk_free))));
    }
    rows.extend(view.checkpoints.last().map(|saved| ("saved", format!("{} step {}", saved.model, count(saved.step)))));
    // When there is little room, where it runs is known from elsewhere.
    let spare = usize::from(inside.height).saturating_sub(usize::from(late.is_some()));
    for name in ["host", "device", "engine"] {
        if rows.len() > spare {
            rows.retain(|(other, _)| *other != name);
        }
    }
    let width = usize::from(inside.width).saturating_sub(9);
    let mut all: Vec<Line> = late
        .map(|age| format!(" no heartbeat for {}", crate::tui::figures::duration(age)))
        .map(|says| Line::from(Span::styled(says, app.theme.style(Role::Error))))
        .into_iter()
        .collect();
    all.extend(rows.into_iter().map(|(name, text)| {
        Line::from(vec![Span::styled(format!(" {name:<8}"), app.theme.style(Role::Dim)), Span::raw(fit(&text, width))])
    }));
    lines(frame, inside, all);
}

/// The pair that was made last, with its prompt.
fn last_pair(view: &RunView) -> Option<(PromptId, &PromptView, &PairView)> {
    let id = view.last_pair?;
    let round = view.round(id.iteration)?;
    Some((id, round.prompts.get(id.number as usize)?, round.pair(id.number)?))
}

fn latest(frame: &mut Frame, area: Rect, app: &App, focused: bool) {
    let view = app.view();
    let Some((id, prompt, pair)) = last_pair(view) else { return writing(frame, area, app, focused) };
    let longer = pair.length_ratio - 1.0;
    let length = format!("{}{}", if longer >= 0.0 { "+" } else { "-" }, percent(longer.abs()));
    let (margin, suspicion) = (points(pair.margin, 2), number(pair.suspicion, 2));
    let titles = [
        format!("latest pair #{id}  margin {margin}  length {length}  suspicion {suspicion}"),
        format!("pair #{id}  margin {margin}  suspicion {suspicion}"),
        format!("pair #{id}"),
    ];
    let inside = boxed(frame, area, app, &title(area.width, &titles), focused);
    let width = usize::from(inside.width).saturating_sub(9);
    let text = |seq: u64| app.source.texts.text(seq).map_or("(not found)".into(), |text| text);
    let candidate = |number: u32| prompt.candidates.get(number as usize).map_or(0, |candidate| candidate.seq);
    let rows = usize::from(inside.height);
    let each = (rows.saturating_sub(1) / 2).max(1);
    let mut all = Vec::new();
    let mut part = |mark: &str, role: Role, seq: u64, rows: usize| {
        let shown = crate::tui::figures::wrap(&one_line(&text(seq)), width);
        let more = shown.len() > rows;
        for (place, piece) in shown.into_iter().take(rows).enumerate() {
            let piece = if more && place + 1 == rows { fit(&format!("{piece} …"), width) } else { piece };
            let mark = if place == 0 { mark } else { "" };
            all.push(Line::from(vec![Span::styled(format!(" {mark:<8}"), app.theme.style(role)), Span::raw(piece)]));
        }
    };
    part("prompt", Role::Dim, prompt.seq, 1);
    part(&format!("+ {}", points(pair.chosen_score, 3)), Role::Chosen, candidate(pair.chosen), each);
    part(&format!("- {}", points(pair.rejected_score, 3)), Role::Rejected, candidate(pair.rejected), each);
    lines(frame, inside, all);
}

/// While there is no pair: what is being written, from the heartbeat, or the latest candidate.
fn writing(frame: &mut Frame, area: Rect, app: &App, focused: bool) {
    let inside = boxed(frame, area, app, "latest text", focused);
    let view = app.view();
    let now = app.source.now.as_ref().and_then(|now| now.writing.as_ref()).filter(|_| app.is_alive());
    let text = match now {
        Some(writing) => Some(writing.text.clone()),
        None => view.written().rev().find_map(|round| {
            // Candidates are written prompt by prompt: those that have some stand before those that have none.
            let begun = round.prompts.partition_point(|prompt| !prompt.candidates.is_empty());
            let prompt = begun.checked_sub(1).and_then(|last| round.prompts.get(last)).or(round.prompts.last())?;
            app.source.texts.text(prompt.candidates.last().map_or(prompt.seq, |candidate| candidate.seq))
        }),
    };
    let Some(text) = text.or_else(|| coming::latest(app)) else {
        let when = coming::words(app, Stage::Prompts, "Prompts are written").unwrap_or_default();
        return empty(frame, inside, app, &format!("No text yet: iteration 0 learns from human data. {when}"));
    };
    let shown = crate::tui::figures::wrap(&visible(&text), usize::from(inside.width).saturating_sub(2));
    let skip = shown.len().saturating_sub(inside.height.into());
    lines(frame, inside, shown.into_iter().skip(skip).map(|piece| Line::from(format!(" {piece}"))));
}

fn pairs(frame: &mut Frame, area: Rect, app: &App, focused: bool) {
    let inside = boxed(frame, area, app, "pairs, newest first", focused);
    let view = app.view();
    let newest = view.written().rev().find(|round| round.pairs > 0);
    let Some(round) = newest else {
        let when = coming::words(app, Stage::Pairs, "Pairs are chosen").unwrap_or_default();
        return empty(frame, inside, app, &format!("No pair yet. {when}"));
    };
    let width = usize::from(inside.width);
    let heading = left(" pair", 8) + &left("prompt", width.saturating_sub(38)) + "  margin  length  status";
    let mut all = vec![Line::from(Span::styled(heading, app.theme.style(Role::Dim)))];
    let found: Vec<_> = round.pairs().collect();
    for (id, pair) in found.into_iter().rev().take(inside.height.saturating_sub(1).into()) {
        let text = round.prompts.get(id.number as usize).and_then(|prompt| app.source.texts.text(prompt.seq));
        let text = one_line(&text.unwrap_or_default());
        let row = left(&format!(" #{id}"), 8)
            + &left(&text, width.saturating_sub(38))
            + &right(&points(pair.margin, 2), 8)
            + &right(&format!("{:+.0}%", (pair.length_ratio - 1.0) * 100.0), 8);
        let role = if pair.status.is_decided() { Role::Human } else { Role::Plain };
        all.push(Line::from(vec![
            Span::raw(row),
            Span::styled(format!("  {}", pair.status.name()), app.theme.style(role)),
        ]));
    }
    lines(frame, inside, all);
}

fn alerts(frame: &mut Frame, area: Rect, app: &App, focused: bool) {
    let view = app.view();
    let title = if view.alarms.is_empty() { "alerts".to_string() } else { format!("alerts ({})", view.alarms.len()) };
    let inside = boxed(frame, area, app, &title, focused);
    let mut open: Vec<_> = view.alarms.values().collect();
    open.sort_by_key(|alarm| (alarm.acknowledged.is_some(), std::cmp::Reverse((alarm.alarm.level, alarm.seq))));
    let width = usize::from(inside.width).saturating_sub(10);
    let mut all = Vec::new();
    let room = usize::from(inside.height);
    for alarm in open {
        let (mark, role) = match (alarm.alarm.level, &alarm.acknowledged) {
            (_, Some(_)) => (" ok", Role::Dim),
            (Level::Error, None) => (" !!", Role::Error),
            (Level::Warn, None) => (" ! ", Role::Warn),
            (Level::Info, None) => (" · ", Role::Dim),
        };
        let body = if room >= 6 { Role::Plain } else { role };
        let says = crate::tui::figures::wrap(&one_line(&alarm.alarm.says), width);
        for (place, piece) in says.into_iter().enumerate() {
            let (mark, time) = if place == 0 { (mark, app.zone.minute(alarm.at)) } else { ("   ", String::new()) };
            all.push(Line::from(vec![
                Span::styled(mark, app.theme.style(role)),
                Span::styled(format!(" {time:<5} "), app.theme.style(Role::Dim)),
                Span::styled(piece, app.theme.style(if body == Role::Error { Role::Plain } else { body })),
            ]));
        }
        if room >= 8 && alarm.acknowledged.is_none() {
            for piece in crate::tui::figures::wrap(&one_line(&alarm.alarm.advice), width) {
                all.push(Line::from(Span::styled(format!("          {piece}"), app.theme.style(Role::Dim))));
            }
        }
    }
    if all.is_empty() {
        let text = "Nothing looks wrong.";
        return lines(frame, inside, [Line::from(Span::styled(format!(" {text}"), app.theme.style(Role::Good)))]);
    }
    let hidden = all.len().saturating_sub(room);
    if hidden > 0 && room > 0 {
        all.truncate(room - 1);
        let says = format!("   {} more lines: ! shows all alerts", hidden + 1);
        all.push(Line::from(Span::styled(says, app.theme.style(Role::Focus))));
    }
    lines(frame, inside, all);
}
