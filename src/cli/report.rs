//! The report of a run as one page: no script, nothing fetched, everything that a reader needs to judge the run.
//!
//! Written by `export RUN report`. Arranges what the view and the tables hold; it measures nothing.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cli::config::as_text;
use crate::cli::judges;
use crate::cli::open::Opened;
use crate::cli::pairs::{PairTexts, texts_of};
use crate::cli::tables::{self, counted, share};
use crate::engine::overrides;
use crate::engine::settings::Settings;
use crate::run::curves::{Series, Signal};
use crate::run::ids::{Model, PromptId};
use crate::run::measures::{Interval, Referee};
use crate::run::view::PairView;
use crate::text::duration::duration;
use crate::text::html::{self, Html};
use crate::text::svg;
use crate::text::table::{Cell, Table};

/// Pairs of each iteration that are shown whole.
const SAMPLES: usize = 6;

/// The whole page.
pub fn page(run: &Opened) -> Result<String> {
    let title = format!("Run {}", run.name());
    let mut body = Html::new();
    body.heading(1, &title, "top");
    summary(run, &mut body)?;
    let mut part = |title: &str, anchor: &str, inside: Html| {
        if !inside.as_str().is_empty() {
            body.section(title, anchor, &inside);
        }
    };
    part("Models", "models", models(run));
    part("Judges and teacher", "judges", judged(run));
    part("Curves", "curves", curves(run));
    part("Alarms", "alarms", alarms(run));
    part("Iterations", "iterations", iterations(run));
    part("Human decisions and what they changed", "decisions", decisions(run)?);
    part("Sample pairs", "pairs", samples(run)?);
    part("Configuration", "configuration", configuration(run)?);
    Ok(html::page(&title, &body))
}

fn summary(run: &Opened, body: &mut Html) -> Result<()> {
    let view = &run.view;
    let facts = run.facts()?;
    let mut lines = vec![format!("State: {}. Facts {} ({}).", run.state(), facts.digest(), facts.count())];
    if let Some(started) = &view.started {
        lines.push(format!(
            "Recipe {}, policy {}, judge {}, seed {}, {} iterations, written by {}.",
            started.recipe, started.policy, started.judge, started.seed, started.iterations, started.program
        ));
        for data in &started.data {
            lines.push(format!(
                "Data {}: {} rows from {} ({} refused), content {}.",
                data.role, data.rows, data.source, data.refused, data.hash
            ));
        }
    }
    if let Some(engine) = &view.engine {
        let versions: Vec<String> = engine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        lines.push(format!(
            "Engine on {}, device {} ({}), {} threads, {}.",
            engine.host,
            engine.device,
            engine.device_why,
            engine.threads,
            versions.join(", ")
        ));
    }
    lines.push(format!(
        "First entry {}, last {}, {} of work, {} interruptions, {} rollbacks.",
        view.first_at,
        view.at,
        duration(view.worked_seconds(view.at)),
        view.oddities.resumes,
        view.rollbacks.len()
    ));
    lines.extend(run.damage.iter().map(|damage| format!("Damaged: {damage}.")));
    body.list(lines);
    Ok(())
}

fn models(run: &Opened) -> Html {
    let mut inside = Html::new();
    let measured: Vec<_> = run
        .view
        .models
        .iter()
        .filter_map(|model| Some((model.model, model.evaluated.as_ref().map(|(_, evaluated)| evaluated)?)))
        .collect();
    if measured.is_empty() {
        return inside;
    }
    let interval = |at: Option<Interval>| at.map(|at| format!("{:.3}–{:.3}", at.low, at.high));
    let mut agreement = Table::new([
        "model",
        "strict",
        "95%",
        "tie = ½",
        "95%",
        "excluding",
        "coverage",
        "pairs",
        "ties",
        "unparsed",
        "5-best",
        "exact",
        "Spearman",
        "Kendall",
        "pooled Spearman",
        "pooled Kendall",
    ]);
    let mut oracle = Table::new([
        "model",
        "mean t=0.7",
        "95%",
        "perfect t=0.7",
        "95%",
        "mean t=1.0",
        "95%",
        "perfect t=1.0",
        "95%",
        "n",
    ]);
    let mut duels = Table::new(["model", "against", "by", "win", "tie", "lose", "unparsed", "words", "words against"]);
    let mut hindsight = Table::new([
        "model",
        "prompts",
        "well formed",
        "pairs",
        "chosen truly better",
        "offered as suspicious",
        "of these wrong",
        "AUROC of suspicion",
        "decided by people",
        "changed by them",
        "used pairs truly better",
    ]);
    let mut texts =
        Table::new(["model", "mean words", "p95 words", "distinct-1", "distinct-2", "repetition", "cut off"]);
    for (model, evaluated) in &measured {
        let found = &evaluated.agreement;
        let says = !found.is_silent();
        agreement.push([
            model.to_string().into(),
            share(found.pairwise_strict.filter(|_| says)),
            interval(found.interval_strict.filter(|_| says)).into(),
            share(found.pairwise_half.filter(|_| says)),
            interval(found.interval.filter(|_| says)).into(),
            share(found.pairwise_excluding),
            share(found.coverage),
            u64::from(found.pairs).into(),
            u64::from(found.ties).into(),
            u64::from(found.unparsed).into(),
            counted(found.five_best, found.five_best_n),
            counted(found.exact_match, found.exact_match_n),
            counted(found.spearman, found.spearman_n),
            counted(found.kendall, found.kendall_n),
            share(found.pooled_spearman),
            share(found.pooled_kendall),
        ]);
        if let Some(quality) = &evaluated.oracle {
            oracle.push([
                model.to_string().into(),
                share(Some(quality.mean_t07)),
                interval(Some(quality.mean_t07_interval)).into(),
                share(Some(quality.perfect_t07)),
                interval(Some(quality.perfect_t07_interval)).into(),
                share(Some(quality.mean_t10)),
                interval(Some(quality.mean_t10_interval)).into(),
                share(Some(quality.perfect_t10)),
                interval(Some(quality.perfect_t10_interval)).into(),
                u64::from(quality.n).into(),
            ]);
        }
        if let Some(found) = &evaluated.hindsight {
            let used = evaluated.pairs_truly_better.filter(|used| used.n > 0);
            hindsight.push([
                model.to_string().into(),
                u64::from(found.prompts).into(),
                u64::from(found.well_formed).into(),
                u64::from(found.pairs).into(),
                u64::from(found.better).into(),
                u64::from(found.offered).into(),
                u64::from(found.offered_wrong).into(),
                share(found.suspicion_auroc),
                u64::from(found.decided).into(),
                u64::from(found.changed).into(),
                share(used.map(|used| f64::from(used.count) / f64::from(used.n))),
            ]);
        }
        for duel in &evaluated.head_to_head {
            duels.push([
                model.to_string().into(),
                duel.against.to_string().into(),
                match duel.by {
                    Referee::Judge => "judge, both orders",
                    Referee::Oracle => "exact oracle",
                    Referee::Teacher => "teacher, both orders",
                }
                .into(),
                u64::from(duel.win).into(),
                u64::from(duel.tie).into(),
                u64::from(duel.lose).into(),
                u64::from(duel.unparsed).into(),
                Cell::number(duel.words, 1),
                Cell::number(duel.words_against, 1),
            ]);
        }
        texts.push([
            model.to_string().into(),
            Cell::number(evaluated.lengths.mean, 1),
            Cell::number(evaluated.lengths.p95, 1),
            share(Some(evaluated.diversity.distinct_1)),
            share(Some(evaluated.diversity.distinct_2)),
            share(Some(evaluated.diversity.repetition)),
            share(Some(evaluated.diversity.truncated)),
        ]);
    }
    inside.table("Agreement with held-out human rankings; intervals are bootstraps over instructions.", &agreement);
    if !oracle.rows().is_empty() {
        inside.table("Answers to held-out instructions by an exact oracle, which the models never see.", &oracle);
    }
    if !hindsight.rows().is_empty() {
        inside.table("The pairs behind each model in hindsight, by the oracle; nothing was decided by it.", &hindsight);
    }
    if !duels.rows().is_empty() {
        inside.table("Head to head on held-out instructions; without both verdicts a comparison is a tie.", &duels);
    }
    inside.table("Answers to held-out instructions.", &texts);
    inside
}

/// The judges beside each other, where there was more than the model itself; a reward model's loops; what a teacher cost.
fn judged(run: &Opened) -> Html {
    let mut inside = Html::new();
    let view = &run.view;
    if view.reward.is_used() {
        inside.paragraph(&format!("Reward model: {}.", view.reward.says().join("; ")));
        inside.table(
            "A reward model's loops on held-out human rankings: which one counts is decided on one half of them, the numbers are of the other.",
            &judges::loops(view),
        );
    }
    if !view.teacher.is_used() && !view.reward.is_used() {
        return inside;
    }
    if view.teacher.is_used() {
        inside.paragraph(&format!("Teacher: {}.", view.teacher.account(&view.caps(), view.currency())));
    }
    let versions: Vec<&str> = view.teacher.versions.iter().map(String::as_str).collect();
    if !versions.is_empty() {
        inside.paragraph(&format!("Answered by {}.", versions.join(", then ")));
    }
    let rows = judges::rows(view);
    if !rows.is_empty() {
        inside.table(
            "Agreement on the same answers, joined by prompt and candidate; what one side could not score is kept out and counted.",
            &judges::table(&rows),
        );
    }
    inside
}

fn curves(run: &Opened) -> Html {
    let mut inside = Html::new();
    let mut by_signal: BTreeMap<Signal, Vec<(Model, &Series)>> = BTreeMap::new();
    for ((model, signal), series) in run.view.curves.iter() {
        if !series.is_empty() {
            by_signal.entry(*signal).or_default().push((*model, series));
        }
    }
    for (signal, models) in by_signal {
        let series = models.into_iter().map(|(model, series)| svg::Series {
            name: model.to_string(),
            points: series
                .spans()
                .iter()
                .map(|span| {
                    let x = (span.first + span.last) as f64 / 2.0;
                    match span.mean() {
                        Some(mean) => svg::Point { x, y: mean, low: span.min, high: span.max },
                        // Nothing finite in it: the drawing shows a gap and a cross.
                        None => svg::Point::at(x, f64::NAN),
                    }
                })
                .collect(),
        });
        let guides = match signal {
            Signal::DpoLoss | Signal::RewardLoss => vec![svg::Guide { name: "ln 2".into(), y: std::f64::consts::LN_2 }],
            Signal::RewardAccuracy | Signal::HeldOutAccuracy => vec![svg::Guide { name: "chance".into(), y: 0.5 }],
            _ => Vec::new(),
        };
        let chart = svg::LineChart {
            title: signal.label().to_string(),
            x_label: "step".into(),
            series: series.collect(),
            guides,
        };
        inside.figure(&chart.draw(), signal.trl_name().map_or("", |name| name));
    }
    inside
}

fn alarms(run: &Opened) -> Html {
    let mut inside = Html::new();
    let mut table = Table::new(["at", "level", "alarm", "iteration", "what", "advice", "evidence"]);
    for (_, at, alarm) in &run.view.alarm_log {
        table.push([
            at.to_string().into(),
            alarm.level.name().into(),
            alarm.id.as_str().into(),
            u64::from(alarm.iteration).into(),
            alarm.says.as_str().into(),
            alarm.advice.as_str().into(),
            alarm.evidence.join(" ").into(),
        ]);
    }
    if table.rows().is_empty() {
        inside.paragraph("No alarm was raised.");
    } else {
        inside.table("", &table);
    }
    inside
}

fn iterations(run: &Opened) -> Html {
    let mut inside = Html::new();
    for round in run.view.written().filter(|round| !round.prompts.is_empty()) {
        let counts = |reasons: &imbl::OrdMap<String, u32>| {
            reasons.iter().map(|(why, count)| format!("{why} {count}")).collect::<Vec<_>>().join(", ")
        };
        let check = round.check();
        inside.heading(3, &format!("Iteration {}", round.iteration), &format!("iteration-{}", round.iteration));
        let mut lines = vec![
            format!("{} prompts accepted; refused: {}", round.prompts.len(), counts(&round.refused)),
            format!(
                "{} judgements, {} without a score, mean {}",
                round.judge.replies,
                round.judge.unparsed(),
                round.judge.mean().map_or_else(|| "–".into(), |mean| format!("{mean:.3}"))
            ),
            format!("{} pairs; no pair: {}", round.pairs, counts(&round.skipped)),
            format!(
                "{} pairs offered to humans, {} decided; of the random part {} of {} were changed",
                check.offered, check.decided, check.random_bad, check.random_decided
            ),
        ];
        if let Some(training) = &round.training {
            lines.push(format!(
                "{} pairs used, {} left out, training set {}",
                training.pairs.len(),
                training.left_out.len(),
                training.hash
            ));
        }
        inside.list(lines);
        let bars = svg::Bars {
            title: format!("Judge's scores in iteration {}", round.iteration),
            x_label: "score, rounded".into(),
            classes: (0..=5).map(|score| score.to_string()).collect(),
            groups: vec![("scores".into(), round.judge.histogram.iter().map(|count| u64::from(*count)).collect())],
        };
        inside.figure(&bars.draw(), "");
    }
    inside
}

fn decisions(run: &Opened) -> Result<Html> {
    let mut inside = Html::new();
    let table = tables::decisions(run)?;
    if table.rows().is_empty() && run.view.notes.is_empty() {
        inside.paragraph("No human decided anything.");
        return Ok(inside);
    }
    let changed = |pair: &PairView| pair.status.is_decided() && pair.used != Some(true);
    let dropped = run.view.rounds.iter().flat_map(|round| round.pairs()).filter(|(_, pair)| changed(pair)).count();
    let turned = run
        .view
        .rounds
        .iter()
        .filter_map(|round| Some((round, round.training.as_ref()?)))
        .flat_map(|(round, training)| training.pairs.iter().map(move |used| (round, used)))
        .filter(|(round, used)| {
            round
                .pair(used.pair.number)
                .is_some_and(|pair| (pair.chosen, pair.rejected) != (used.chosen, used.rejected))
        })
        .count();
    inside.paragraph(&format!("{dropped} decided pairs did not reach training, {turned} were trained in another direction or on other answers."));
    inside.table("", &table);
    inside.list(run.view.notes.iter().map(|(_, at, note)| {
        let about = note.pair.map_or(String::new(), |pair| format!(" on pair {pair}"));
        format!("{at} {}{about}: {}", note.by, note.text)
    }));
    Ok(inside)
}

/// Decided pairs first, then the most suspicious ones.
fn samples(run: &Opened) -> Result<Html> {
    let mut inside = Html::new();
    let mut shown: Vec<(PromptId, &PairView)> = Vec::new();
    for round in run.view.written() {
        let mut pairs: Vec<_> = round.pairs().collect();
        pairs.sort_by(|a, b| {
            let key = |pair: &PairView| (pair.status.is_decided(), pair.suspicion);
            let (a, b) = (key(a.1), key(b.1));
            b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
        });
        shown.extend(pairs.into_iter().take(SAMPLES));
    }
    let texts = texts_of(run, &shown.iter().map(|(id, _)| *id).collect::<Vec<_>>())?;
    let none = PairTexts::default();
    for (id, pair) in shown {
        let texts = texts.get(&id).unwrap_or(&none);
        let mut pane = Html::new();
        pane.paragraph("Prompt").verbatim(&texts.prompt);
        pane.paragraph(&format!("Chosen, score {:.2}", pair.chosen_score)).verbatim(&texts.chosen);
        pane.paragraph(&format!("Rejected, score {:.2}", pair.rejected_score)).verbatim(&texts.rejected);
        let signs: Vec<String> =
            pair.signs.iter().map(|sign| format!("{} {:.2}", sign.kind.label(), sign.amount)).collect();
        let line = format!("Pair {id}: {}, suspicion {:.2} ({})", pair.status.name(), pair.suspicion, signs.join(", "));
        inside.details(&line, &pane);
    }
    Ok(inside)
}

fn configuration(run: &Opened) -> Result<Html> {
    let mut inside = Html::new();
    let paper = serde_json::to_value(Settings::paper())?;
    let mut table = Table::new(["setting", "value", "paper"]);
    for (key, _) in overrides::keys() {
        let pointer = format!("/{}", key.replace('.', "/"));
        let (Some(value), paper) = (run.view.config.pointer(&pointer), paper.pointer(&pointer)) else { continue };
        let other = paper.filter(|paper| *paper != value).map(as_text);
        table.push([key.into(), as_text(value).into(), other.into()]);
    }
    inside.table("The last column says what the method's authors used, where it differs.", &table);
    for back in &run.view.rollbacks {
        inside.paragraph(&format!("{} went back to {} with {}.", back.by, back.to, back.set.join(" ")));
    }
    Ok(inside)
}
