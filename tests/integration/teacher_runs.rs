//! Whole runs with a teacher, over HTTP, against a scripted endpoint: faults, outages, caps, kills, changed models, demonstrations.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use selfreward::engine::drive::Ended;
use selfreward::engine::launch;
use selfreward::engine::materials::Materials;
use selfreward::engine::policy::{Policy, Teacher};
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::Settings;
use selfreward::engine::teaching::estimate::{estimate, in_words};
use selfreward::engine::teaching::settings::Recipe;
use selfreward::recipe::seeds::Seed;
use selfreward::rehearsal::Rehearsal;
use selfreward::run::command::{Command as Ask, Outbox};
use selfreward::run::entry::Stamp;
use selfreward::run::event::*;
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::Model;
use selfreward::run::measures::Referee;
use selfreward::run::reasons::Unscored;
use selfreward::run::view::{RunView, State};
use selfreward::teacher::Client;

use crate::patience::{PATIENCE, end_of, until};
use crate::stage::{entries, small};
use crate::teacher_server::{Act, Asked, Server, chat, faulty, lesson, say, steady};
use crate::teacher_wire;

/// Kills in a test run of every commit; set SELFREWARD_KILLS for more.
const KILLS: u32 = 6;

/// A small run in which a teacher does everything that a teacher can.
pub fn taught(recipe: Recipe, base: &str, seed: u64) -> Settings {
    let mut settings = small(seed);
    settings.run.recipe = recipe;
    settings.run.iterations = 1;
    settings.teacher = teacher_wire::settings(base);
    settings.teacher.timeout_answer = "400ms".into();
    settings.prompts.count = 12;
    settings.judge.samples = 1;
    settings.eval.instructions = 4;
    settings.eval.ranked = 4;
    settings.eval.anchors = 8;
    settings
}

fn run_on(folder: &RunFolder) -> (Ended, RunView) {
    let mut policy = |settings: &Settings, materials: &Materials| {
        let policy = Rehearsal::new(settings.rehearsal.clone(), settings.run.seed, materials.prompts.clone());
        Ok(Box::new(policy) as Box<dyn Policy>)
    };
    let mut teacher = |settings: &Settings| Ok(Arc::new(Client::new(&settings.teacher)?) as Arc<dyn Teacher>);
    launch::engine_with_teacher(folder, &mut policy, &mut teacher, Signals::default(), Box::new(|_, _| {})).unwrap()
}

fn play(root: &Path, name: &str, settings: &Settings) -> (RunFolder, RunView) {
    let folder = launch::create(root, name, settings).unwrap();
    let (ended, view) = run_on(&folder);
    assert_eq!((ended, view.oddities.stray), (Ended::Finished, 0));
    (folder, view)
}

fn view(folder: &RunFolder) -> RunView {
    let mut view = RunView::default();
    if folder.has_journal() {
        entries(folder).iter().for_each(|entry| view.apply(entry));
    }
    view
}

#[test]
fn a_teacher_judges_the_candidates_and_every_call_was_foreseen() {
    let server = Server::start(steady);
    let root = tempfile::tempdir().unwrap();
    let settings = taught(Recipe::TeacherReward, &server.base, 1);
    let (folder, view) = play(root.path(), "a", &settings);
    assert_eq!((view.recipe(), view.started.as_ref().unwrap().judge.as_str()), ("teacher-reward", "teacher"));

    // What was announced is what was asked.
    let announced = estimate(&settings, &Materials::read(&settings).unwrap());
    assert_eq!((announced.calls as usize, server.asked().len()), (server.asked().len(), server.delivered().0));
    assert!(view.teacher.spending.spent.tokens <= announced.most.tokens);
    let said = in_words(&announced, &settings).join("\n");
    assert!(said.contains("48 judgements of candidates") && said.contains("no price is set"), "{said}");

    // Connections are kept: most calls came on one that had brought another before.
    let kept = server.asked().iter().filter(|asked| asked.on_connection > 0).count();
    assert!(kept * 2 > server.asked().len(), "{kept} of {}", server.asked().len());

    // The scores of the journal are the teacher's, word for word.
    for entry in entries(&folder) {
        if let Event::CandidateJudged(judged) = entry.event {
            // What the filter withheld is no score, under its own name, and nothing else is without one.
            assert_eq!(judged.score == Err(Unscored::Filtered), judged.reply.is_empty(), "{judged:?}");
            assert!(judged.score.is_ok() || judged.reply.is_empty(), "{judged:?}");
            assert!(judged.reply.starts_with("It was read with care.") || judged.reply.is_empty(), "{}", judged.reply);
        }
    }
    let round = view.round(1).unwrap();
    assert!(round.judge.replies == 48 && round.pairs > 3, "{} {}", round.judge.replies, round.pairs);

    // Teacher and model on the same candidates, and the teacher on held-out rankings.
    let compared: BTreeMap<(String, String), u32> = view
        .teacher
        .compared
        .iter()
        .map(|one| ((one.judge.clone(), one.reference.clone()), one.agreement.responses))
        .collect();
    let of = |judge: &str, reference: &str| compared[&(judge.to_string(), reference.to_string())];
    assert_eq!(of("self", "teacher"), 48);
    assert!(of("teacher", "human") >= 8);
    // Both orders of every comparison, and both referees in the result.
    let evaluated = &view.model(Model::M(2)).unwrap().evaluated.as_ref().unwrap().1;
    let by = |referee: Referee| evaluated.head_to_head.iter().filter(|one| one.by == referee).collect::<Vec<_>>();
    assert_eq!((by(Referee::Teacher).len(), by(Referee::Judge).len()), (2, 2));
    assert!(by(Referee::Teacher).iter().all(|one| one.win + one.tie + one.lose == 4 && one.words > 0.0));

    // The account in the view is the account in the journal.
    assert_eq!(view.teacher.answered as usize, server.asked().len());
    assert_eq!((view.teacher.spending.calls, view.teacher.spending.open()), (view.teacher.answered, 0));
    assert_eq!(view.teacher.versions.iter().collect::<Vec<_>>(), ["teacher-1"]);
    let keys: HashSet<String> = entries(&folder)
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::TeacherAnswered(answered) => Some(answered.key),
            _ => None,
        })
        .collect();
    assert_eq!(keys.len() as u64, view.teacher.answered, "no request was sent twice");
}

#[test]
fn a_bad_line_changes_nothing_but_the_time() {
    let root = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for (name, script) in [("good", steady as fn(&Asked) -> Act), ("bad", faulty)] {
        let server = Server::start(script);
        let settings = taught(Recipe::TeacherReward, &server.base, 2);
        let (folder, view) = play(root.path(), name, &settings);
        made.push((texts(&folder), view.teacher.failures(), view.teacher.answered));
    }
    assert_eq!((made[0].1, made[0].2), (0, made[1].2));
    let share = made[1].1 as f64 / (made[1].1 + made[1].2) as f64;
    assert!((0.1..0.3).contains(&share), "{share}");
    assert_eq!(made[0].0, made[1].0);
}

/// Everything that was made of answers. The endpoint's address is part of the configuration, so that two runs have different digests.
fn texts(folder: &RunFolder) -> Vec<String> {
    let made = entries(folder).into_iter().filter_map(|entry| match entry.event {
        Event::CandidateJudged(event) => Some(format!("{event:?}")),
        Event::SecondJudged(event) => Some(format!("{event:?}")),
        Event::PairSelected(event) => Some(format!("{event:?}")),
        Event::Duelled(event) => Some(format!("{event:?}")),
        Event::TrainingSetFixed(event) => Some(format!("{event:?}")),
        Event::JudgesCompared(event) => Some(format!("{event:?}")),
        _ => None,
    });
    made.collect()
}

fn start(folder: &RunFolder) -> Child {
    Command::new(env!("CARGO_BIN_EXE_selfreward"))
        .arg("engine")
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_run_loses_no_answer_and_pays_again_only_for_what_was_under_way() {
    let kills: u32 = std::env::var("SELFREWARD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let server = Server::start(faulty);
    let root = tempfile::tempdir().unwrap();
    let settings = taught(Recipe::TeacherReward, &server.base, 3);
    let (whole, first) = play(root.path(), "whole", &settings);
    // An undisturbed run pays for nothing twice: what failed on the way out was not delivered.
    assert_eq!(server.delivered(), (first.teacher.answered as usize, 0));
    let mut stream = Seed::root(77).named("kills").stream();
    let (mut killed, mut runs, mut again_in_all) = (0, 0, 0);
    while killed < kills {
        runs += 1;
        let server = Server::start(faulty);
        let mut settings = settings.clone();
        // The address is part of what is configured, and of each request's key; nothing else follows from it.
        settings.teacher.endpoint = server.base.clone();
        let folder = launch::create(root.path(), &format!("killed{runs}"), &settings).unwrap();
        let mut here = 0;
        loop {
            let mut child = start(&folder);
            // Counted from the first answer of this engine, so that kills fall into the calls and not into the start.
            let (had, wanted) = (server.delivered().0, stream.below(25));
            let began = Instant::now();
            let ended = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break Some(status);
                }
                assert!(began.elapsed() < PATIENCE, "the engine neither ends nor asks");
                if server.delivered().0 >= had + wanted && killed < kills && server.delivered().0 > had {
                    break None;
                }
                std::thread::sleep(Duration::from_micros(300));
            };
            let Some(status) = ended else {
                child.kill().unwrap();
                child.wait().unwrap();
                (killed, here) = (killed + 1, here + 1);
                continue;
            };
            let mut says = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut says).unwrap();
            assert!(status.success(), "{status}: {says}");
            break;
        }
        assert_eq!(texts(&folder), texts(&whole), "run {runs} after {here} kills");
        let (delivered, again) = server.delivered();
        again_in_all += again;
        let most = here * settings.teacher.concurrency as usize;
        assert!(again <= most, "{again} of {delivered} answers were paid for twice in {here} kills");
        let view = view(&folder);
        // Nothing that was paid for is missing in the account, and what nobody knows of counts in full.
        assert!(view.teacher.spending.calls >= delivered as u64, "{} of {delivered}", view.teacher.spending.calls);
    }
    assert!(killed >= kills);
    eprintln!("{killed} kills in {runs} runs: {again_in_all} answers were paid for twice, the sets were the same");
}

#[test]
fn a_cap_holds_the_run_aloud_until_somebody_raises_it() {
    let root = tempfile::tempdir().unwrap();
    let priced = |settings: &mut Settings| (settings.teacher.price_in, settings.teacher.price_out) = (2.0, 8.0);
    for (name, cap) in [("calls", 20.0), ("tokens", 5000.0), ("cost", 0.012)] {
        let server = Server::start(steady);
        let mut settings = taught(Recipe::TeacherReward, &server.base, 4);
        priced(&mut settings);
        match name {
            "calls" => settings.teacher.cap_calls = cap as u64,
            "tokens" => settings.teacher.cap_tokens = cap as u64,
            _ => settings.teacher.cap_cost = cap,
        }
        let folder = launch::create(root.path(), name, &settings).unwrap();
        let mut child = start(&folder);
        until("the cap holds it", || matches!(view(&folder).state, State::Paused(PauseReason::Teacher { .. })));
        let held = view(&folder);
        let State::Paused(PauseReason::Teacher { error }) = &held.state else { panic!("{:?}", held.state) };
        assert!(error.contains("cap of") && error.contains(&format!("--{name}")), "{error}");
        let spent = held.teacher.spending.clone();
        let caps = held.caps();
        assert!(spent.calls > 0 && spent.open() == 0, "{spent:?}");
        match name {
            "calls" => assert_eq!((spent.calls, server.delivered().0), (20, 20)),
            "tokens" => assert!(spent.spent.tokens <= caps.tokens && server.delivered().0 * 42 <= 5000),
            _ => assert!(spent.spent.micros <= caps.micros && caps.micros == 12_000),
        }
        assert!(child.try_wait().unwrap().is_none(), "the engine waits");
        let said = Command::new(env!("CARGO_BIN_EXE_selfreward"))
            .arg("--runs")
            .arg(root.path())
            .args(["spend", name, "--calls", "0", "--tokens", "0", "--cost", "0"])
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        assert!(end_of(&mut child).success());
        let done = view(&folder);
        assert_eq!((done.state.clone(), done.caps().calls, done.teacher.spending.open()), (State::Finished, 0, 0));
    }
}

#[test]
fn an_outage_is_said_aloud_and_ends_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = count.clone();
    let server = Server::start(move |asked| match counting.fetch_add(1, Ordering::Relaxed) {
        30..80 => say(503, "down"),
        _ => steady(asked),
    });
    let mut settings = taught(Recipe::TeacherReward, &server.base, 5);
    settings.teacher.tries = 3;
    let (folder, view) = play(root.path(), "a", &settings);
    let mut held = 0;
    for entry in entries(&folder) {
        match entry.event {
            Event::Paused(paused) => {
                assert!(matches!(&paused.why, PauseReason::Teacher { error } if error.contains("503")), "{paused:?}");
                held += 1;
            }
            Event::Resumed(resumed) => assert_eq!(resumed.by, None),
            _ => {}
        }
    }
    assert_eq!((held, view.teacher.failed.get("server"), view.state), (1, Some(&50), State::Finished));
}

#[test]
fn what_time_does_not_mend_waits_for_a_person() {
    let root = tempfile::tempdir().unwrap();
    let mended = Arc::new(AtomicBool::new(false));
    let seen = mended.clone();
    let server = Server::start(move |asked| match seen.load(Ordering::Relaxed) {
        true => steady(asked),
        false => say(401, r#"{"error":{"code":"invalid_api_key","message":"who are you?"}}"#),
    });
    let folder = launch::create(root.path(), "a", &taught(Recipe::TeacherReward, &server.base, 6)).unwrap();
    let mut child = start(&folder);
    until("it waits", || matches!(view(&folder).state, State::Paused(PauseReason::Teacher { .. })));
    until("what was under way has ended", || view(&folder).teacher.spending.open() == 0);
    let asked = server.asked().len();
    assert!(asked <= 4, "{asked} calls with a key that is refused");
    mended.store(true, Ordering::Relaxed);
    Outbox::open(folder.path(), "ana").unwrap().send("ana", Stamp(0), Ask::Resume).unwrap();
    assert!(end_of(&mut child).success());
    assert_eq!(view(&folder).teacher.failed.get("unauthorized"), Some(&(asked as u64)));
}

#[test]
fn another_model_under_the_same_name_is_an_event_and_an_alarm() {
    let root = tempfile::tempdir().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |asked| {
        let model = if count.fetch_add(1, Ordering::Relaxed) < 25 { "teacher-2026-01" } else { "teacher-2026-09" };
        say(200, chat(&lesson(asked), "stop", model))
    });
    let mut settings = taught(Recipe::TeacherReward, &server.base, 7);
    settings.teacher.concurrency = 1;
    let (folder, view) = play(root.path(), "a", &settings);
    assert_eq!(view.teacher.versions.iter().collect::<Vec<_>>(), ["teacher-2026-01", "teacher-2026-09"]);
    let changes = entries(&folder).into_iter().filter(|entry| matches!(entry.event, Event::TeacherChanged(_)));
    assert_eq!(changes.count(), 1);
    let alarm = &view.alarms.get("teacher-changed").unwrap().alarm;
    assert!(alarm.says.contains("from teacher-2026-01 to teacher-2026-09"), "{}", alarm.says);
}

#[test]
fn demonstrations_are_chosen_because_of_who_wrote_them() {
    let root = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |asked| match asked.text().contains("Verdict") {
        // One demonstration in four is withheld.
        false if count.fetch_add(1, Ordering::Relaxed) % 4 == 3 => say(200, chat("", "content_filter", "teacher-1")),
        _ => steady(asked),
    });
    let mut settings = taught(Recipe::TeacherDemo, &server.base, 8);
    settings.pairs.drop_low_policy_margin = 0.0;
    let announced = estimate(&settings, &Materials::read(&settings).unwrap());
    let (folder, view) = play(root.path(), "a", &settings);
    assert_eq!((view.recipe(), server.asked().len() as u64), ("teacher-demo", announced.calls));
    let round = view.round(1).unwrap();
    let missing = round.skipped.get("no_demonstration").copied().unwrap_or(0);
    assert!(round.pairs > 4 && missing == 3 && round.pairs + missing <= 12, "{} {missing}", round.pairs);
    assert_eq!(round.judge.replies, 0, "nobody scores a demonstration");
    let mut writers = BTreeMap::new();
    for entry in entries(&folder) {
        match entry.event {
            Event::CandidateSampled(event) => {
                assert_eq!(event.writer.is_some(), event.candidate == 1);
                *writers.entry(event.writer).or_insert(0) += 1;
            }
            Event::PairSelected(event) => {
                assert_eq!(
                    (event.chosen, event.rejected, event.chosen_score, event.rejected_score),
                    (1, 0, None, None)
                );
            }
            _ => {}
        }
    }
    assert_eq!((writers[&None], writers[&Some("teacher".to_string())]), (12, 12 - missing));
}
