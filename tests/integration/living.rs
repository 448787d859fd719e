//! Engines as processes: signals, closed terminals, full disks, requests while they live, rollback, gates.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use selfreward::engine::launch;
use selfreward::engine::settings::{GateMode, Settings};
use selfreward::run::command::{Choice, Command as Ask, Decide, Outbox};
use selfreward::run::entry::Stamp;
use selfreward::run::event::{Decision, Event, Outcome};
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{Model, PromptId};
use selfreward::run::journal::segment_name;
use selfreward::run::view::{PairStatus, RunView, State};

use crate::patience::{end_of, until};
use crate::stage::{entries, facts, small};

const PROGRAM: &str = env!("CARGO_BIN_EXE_selfreward");

fn quick(seed: u64) -> Settings {
    let mut settings = small(seed);
    settings.prompts.count = 16;
    settings.eval.instructions = 4;
    settings.eval.ranked = 4;
    settings.eval.anchors = 8;
    settings
}

fn slow(seed: u64) -> Settings {
    let mut settings = quick(seed);
    settings.rehearsal.tempo = 0.3;
    settings
}

fn start(folder: &RunFolder) -> Child {
    Command::new(PROGRAM).arg("engine").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn view(folder: &RunFolder) -> RunView {
    let mut view = RunView::default();
    if folder.has_journal() {
        entries(folder).iter().for_each(|entry| view.apply(entry));
    }
    view
}

fn selfreward(root: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).arg("--runs").arg(root).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap().success());
}

#[test]
fn term_and_int_stop_an_engine_in_good_order_and_hup_does_not() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let root = tempfile::tempdir().unwrap();
        let folder = launch::create(root.path(), "a", &slow(1)).unwrap();
        let mut child = start(&folder);
        until("it trains", || view(&folder).last_sft.is_some());
        signal(&child, "HUP");
        let before = view(&folder).seq;
        until("it goes on after HUP", || view(&folder).seq > before + 2);
        signal(&child, name);
        assert_eq!(end_of(&mut child).code(), Some(code), "{name}");
        let stopped = view(&folder);
        assert!(matches!(stopped.state, State::Stopped(_)), "{name}: {:?}", stopped.state);
        if stopped.stage().is_some_and(|span| span.stage.trains() && span.finished.is_none()) {
            assert!(stopped.checkpoints.iter().any(|saved| !saved.finished), "{name}: no checkpoint");
        }
        assert_eq!(folder.holder(), None);
    }
}

#[test]
fn a_closed_terminal_takes_no_engine_down() {
    let root = tempfile::tempdir().unwrap();
    let pty = native_pty_system().openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut command = CommandBuilder::new(PROGRAM);
    command.args(["--runs", root.path().to_str().unwrap(), "run", "--policy", "rehearsal", "--name", "a"]);
    command.args([
        "--gate",
        "off",
        "--set",
        "rehearsal.tempo=0.3",
        "--set",
        "prompts.count=16",
        "--set",
        "data.limit=48",
    ]);
    command.args(["--set", "eval.instructions=4", "--set", "eval.ranked=4"]);
    let mut viewer = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().unwrap();
    let drain = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pty ends with an error when its other side is gone.
        let _ = reader.read_to_end(&mut bytes);
        bytes
    });
    let folder = RunFolder::at(root.path().join("a"));
    until("the engine works", || view(&folder).last_sft.is_some());
    // What the kernel sends to a session whose terminal is gone: the connection broke.
    let pid = viewer.process_id().unwrap().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    until("the viewer is gone", || viewer.try_wait().unwrap().is_some());
    drop(pty.master);
    let before = view(&folder).seq;
    until("it goes on alone", || view(&folder).seq > before + 5);
    until("the run is finished", || view(&folder).state == State::Finished);
    until("the engine is gone", || folder.holder().is_none());
    assert!(!drain.join().unwrap().is_empty());
}

#[test]
fn two_engines_on_one_run_are_one_too_many() {
    let root = tempfile::tempdir().unwrap();
    let folder = launch::create(root.path(), "a", &slow(2)).unwrap();
    let mut first = start(&folder);
    until("the first one works", || view(&folder).engine.is_some());
    let mut second = start(&folder);
    assert_eq!(end_of(&mut second).code(), Some(1));
    let mut says = String::new();
    second.stderr.take().unwrap().read_to_string(&mut says).unwrap();
    assert!(says.contains(&format!("process {}", first.id())), "{says}");
    signal(&first, "KILL");
    end_of(&mut first);
}

#[test]
fn a_file_that_may_not_grow_pauses_the_run_aloud() {
    let root = tempfile::tempdir().unwrap();
    let folder = launch::create(root.path(), "a", &quick(3)).unwrap();
    // The journal of this run is longer than the limit; writing on sends SIGXFSZ, which kills who does not mind it.
    let script = format!("ulimit -f 60; exec '{PROGRAM}' engine '{}'", folder.path().display());
    let mut child =
        Command::new("bash").args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the heartbeat says that it waits", || {
        folder.now().and_then(|now| now.held).is_some_and(|held| held.contains("writing the journal"))
    });
    assert!(child.try_wait().unwrap().is_none(), "the engine died");
    // It tries again and again; in between the half line that fitted is cut off, and a copy made now is a whole journal.
    let journal = folder.path().join(segment_name(1));
    let whole = || {
        std::thread::sleep(std::time::Duration::from_millis(5));
        std::fs::read(&journal).unwrap().ends_with(b"\n")
    };
    assert!((0..50).any(|_| whole()), "a half line stays in the journal");
    signal(&child, "TERM");
    end_of(&mut child);
    // With room again, the run goes on and makes what an undisturbed one makes.
    let mut again = start(&folder);
    assert!(end_of(&mut again).success());
    let undisturbed = launch::create(root.path(), "b", &quick(3)).unwrap();
    assert!(end_of(&mut start(&undisturbed)).success());
    assert_eq!(facts(&folder), facts(&undisturbed));
}

#[test]
fn a_full_disk_pauses_the_run_aloud_and_space_lets_it_go_on() {
    let root = tempfile::tempdir().unwrap();
    let disk = root.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: this user may not mount a small disk");
        return;
    }
    let filler = disk.join("filler");
    let outcome = std::panic::catch_unwind(|| {
        let folder = launch::create(&disk, "a", &slow(4)).unwrap();
        let mut child = start(&folder);
        until("it works", || view(&folder).last_sft.is_some());
        std::fs::write(&filler, vec![0; 4 << 20]).unwrap_err();
        until("it says that it waits for space", || matches!(view(&folder).state, State::Paused(_)));
        assert!(child.try_wait().unwrap().is_none(), "the engine died");
        std::fs::remove_file(&filler).unwrap();
        until("it goes on", || view(&folder).state == State::Running);
        let before = view(&folder).seq;
        until("it writes again", || view(&folder).seq > before + 5);
        signal(&child, "TERM");
        end_of(&mut child);
    });
    let _ = Command::new("umount").arg(&disk).status();
    outcome.unwrap();
}

/// Runs to the first open gate.
fn at_gate(root: &Path, name: &str, settings: &Settings) -> (RunFolder, Child) {
    let mut settings = settings.clone();
    settings.gate.mode = GateMode::Wait;
    let folder = launch::create(root, name, &settings).unwrap();
    let child = start(&folder);
    until("the gate opens", || view(&folder).open_gate().is_some());
    (folder, child)
}

fn decide(pair: PromptId, choice: Choice) -> Ask {
    let (reason, note, took_ms, filter, seen) = (None, None, None, None, None);
    Ask::Decide(Decide { pairs: vec![pair], choice, reason, note, took_ms, blind: false, filter, seen })
}

#[test]
fn decisions_reach_the_training_set_and_can_be_taken_back_until_the_gate_closes() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = quick(5);
    settings.prompts.count = 40;
    let (folder, mut child) = at_gate(root.path(), "a", &settings);
    let ana = Outbox::open(folder.path(), "ana").unwrap();
    let bo = Outbox::open(folder.path(), "bo").unwrap();
    let pairs: Vec<PromptId> = view(&folder).round(1).unwrap().pairs().map(|(id, _)| id).collect();
    assert!(pairs.len() >= 8, "{}", pairs.len());
    let ask = |outbox: &Outbox, command: Ask| {
        let id = outbox.send(if id_of(outbox) { "ana" } else { "bo" }, Stamp(0), command).unwrap();
        until("the request is answered", || view(&folder).answered(&id.writer) >= id.number);
        view(&folder)
    };
    fn id_of(outbox: &Outbox) -> bool {
        format!("{}", outbox.path().display()).contains("ana")
    }
    let status = |view: &RunView, pair: PromptId| view.pair(pair).unwrap().status;
    let judged = view(&folder).pair(pairs[2]).unwrap().clone();

    ask(&ana, decide(pairs[0], Choice::Veto));
    ask(&ana, decide(pairs[1], Choice::Tie));
    ask(&ana, decide(pairs[2], Choice::Swap));
    ask(&ana, decide(pairs[3], Choice::Keep));
    ask(&ana, decide(pairs[4], Choice::Veto));
    let after = ask(&ana, Ask::Undo { of: None });
    assert_eq!(status(&after, pairs[4]), PairStatus::Auto);
    let after = ask(&ana, Ask::Redo { of: None });
    assert_eq!(status(&after, pairs[4]), PairStatus::Vetoed);
    // Another person's last decision is another one.
    ask(&bo, decide(pairs[5], Choice::Veto));
    let after = ask(&bo, Ask::Undo { of: None });
    assert_eq!((status(&after, pairs[5]), status(&after, pairs[4])), (PairStatus::Auto, PairStatus::Vetoed));
    // Who has not seen the decision of another may not write over it.
    let unseen = Decide {
        seen: Some(0),
        ..match decide(pairs[0], Choice::Keep) {
            Ask::Decide(decide) => decide,
            _ => unreachable!("a decision"),
        }
    };
    let after = ask(&bo, Ask::Decide(unseen));
    assert!(after.refusals.last().unwrap().1.why.contains("ana decided pair"), "{:?}", after.refusals);
    // An edited score pairs the four anew: the rejected answer becomes the best.
    let target = after.pair(pairs[6]).unwrap().clone();
    let after = ask(&ana, decide(pairs[6], Choice::Edit { candidate: target.rejected, score: 5.0 }));
    let edited = after.pair(pairs[6]).unwrap();
    assert!(
        matches!(edited.outcome, Outcome::Use { chosen, .. } if chosen == target.rejected)
            || target.chosen_score == 5.0
    );

    let gate = selfreward(root.path(), &["gate", "a", "close"]);
    assert!(gate.status.success(), "{}", String::from_utf8_lossy(&gate.stderr));
    until("the set is fixed", || view(&folder).round(1).unwrap().training.is_some());
    let fixed = view(&folder).round(1).unwrap().training.clone().unwrap();
    let used =
        |pair: PromptId| fixed.pairs.iter().find(|used| used.pair == pair).map(|used| (used.chosen, used.rejected));
    assert_eq!((used(pairs[0]), used(pairs[1]), used(pairs[4])), (None, None, None));
    assert_eq!(used(pairs[2]), Some((judged.rejected, judged.chosen)));
    assert!(used(pairs[5]).is_some() && fixed.hash.len() == 32);
    // Too late is said aloud.
    let late = selfreward(root.path(), &["veto", "a", &pairs[5].to_string()]);
    let says = String::from_utf8_lossy(&late.stderr).to_string() + &String::from_utf8_lossy(&late.stdout);
    assert!(!late.status.success() && says.contains("closed"), "{says}");
    signal(&child, "KILL");
    end_of(&mut child);
}

#[test]
fn requests_written_while_no_engine_lives_wait_for_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let (folder, mut child) = at_gate(root.path(), "a", &quick(6));
    signal(&child, "KILL");
    end_of(&mut child);
    let pair = view(&folder).round(1).unwrap().pairs().next().unwrap().0;
    let said = selfreward(root.path(), &["veto", "a", &pair.to_string()]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(view(&folder).pair(pair).unwrap().status, PairStatus::Auto);
    let mut again = start(&folder);
    until("the veto is taken", || view(&folder).pair(pair).unwrap().status == PairStatus::Vetoed);
    signal(&again, "TERM");
    end_of(&mut again);
    let decisions = entries(&folder);
    let vetoes = decisions
        .iter()
        .filter(|entry| matches!(&entry.event, Event::PairDecided(event) if event.decision == Decision::Veto));
    assert_eq!(vetoes.count(), 1);
}

#[test]
fn a_run_goes_back_to_m1_and_does_the_iteration_again_with_other_settings() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = quick(7);
    settings.run.iterations = 2;
    let (folder, mut child) = at_gate(root.path(), "a", &settings);
    let before: Vec<String> = entries(&folder).iter().filter_map(|entry| written(&entry.event)).collect();
    let said =
        selfreward(root.path(), &["rollback", "a", "--to", "M1", "--set", "candidates.n=3", "--set", "gate.mode=off"]);
    assert!(
        said.status.success(),
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
    assert!(end_of(&mut child).success());
    let after = view(&folder);
    assert_eq!((after.state.clone(), after.rollbacks.len(), after.oddities.stray), (State::Finished, 1, 0));
    assert_eq!(after.round(1).unwrap().prompts[0].candidates.len(), 3);
    assert!(after.model(Model::M(3)).is_some());
    // The journal keeps what was abandoned, and the second attempt is not a copy of the first.
    let all: Vec<String> = entries(&folder).iter().filter_map(|entry| written(&entry.event)).collect();
    assert!(all.starts_with(&before) && all[before.len()..before.len() * 2] != before[..]);
}

fn written(event: &Event) -> Option<String> {
    match event {
        Event::PromptWritten(event) => Some(event.text.clone()),
        _ => None,
    }
}
