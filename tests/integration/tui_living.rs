//! The whole program on a living engine, in a terminal of its own: deciding, leaving and coming back, two viewers, the death of either
//! side, suspension, and every key there is.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use selfreward::engine::launch;
use selfreward::engine::settings::GateMode;
use selfreward::run::folder::RunFolder;
use selfreward::run::view::{PairStatus, RunView, State};
use selfreward::tui::keys::{Press, Scope, table::BINDINGS};

use crate::patience::until;
use crate::pty::Program;
use crate::stage::{entries, small};

/// An engine of the rehearsal policy, which dies with its test.
struct Engine {
    folder: RunFolder,
    child: Child,
}

impl Engine {
    /// One that waits at its gate.
    fn at_gate(root: &Path) -> Engine {
        let mut settings = small(3);
        settings.prompts.count = 16;
        settings.run.iterations = 1;
        settings.eval.instructions = 4;
        settings.eval.ranked = 4;
        settings.eval.anchors = 8;
        settings.gate.mode = GateMode::Wait;
        let folder = launch::create(root, "a", &settings).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_selfreward"));
        let child = command.arg("engine").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let engine = Engine { folder, child: child.unwrap() };
        engine.until("the gate is open", |view| view.state == State::Waiting);
        engine
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn view(&self) -> RunView {
        let mut view = RunView::default();
        if self.folder.has_journal() {
            entries(&self.folder).iter().for_each(|entry| view.apply(entry));
        }
        view
    }

    fn until(&self, what: &str, holds: impl Fn(&RunView) -> bool) {
        until(what, || holds(&self.view()));
    }

    fn decided(&self) -> u32 {
        self.view().round(1).unwrap().check().decided
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_gate_is_decided_left_and_come_back_to_and_a_killed_viewer_costs_nothing() {
    let root = tempfile::tempdir().unwrap();
    let engine = Engine::at_gate(root.path());
    let mut program = Program::start(&["attach", engine.path()], root.path(), 80, 24);
    program.see("waits for you");
    program.press("4");
    program.see("check 0/");
    program.press("x");
    program.see("u undo");
    engine.until("the veto is recorded", |view| view.round(1).unwrap().check().vetoed == 1);
    program.see("check 1/");
    program.press("u");
    engine.until("it is taken back", |view| view.round(1).unwrap().check().decided == 0);
    program.see("check 0/");
    program.press("s");
    engine.until("a pair is turned", |view| view.round(1).unwrap().check().swapped == 1);
    program.press("q");
    assert_eq!(program.ends(), 0);
    assert!(program.shows().contains("goes on by itself. Look again: selfreward attach a"), "{}", program.shows());

    let mut program = Program::start(&["attach", engine.path()], root.path(), 120, 40);
    program.press("4");
    program.see("check 1/");
    for (width, height) in [(40, 10), (200, 60), (3, 3), (80, 24)] {
        program.resize(width, height);
    }
    program.see("check 1/");
    program.press("a");
    engine.until("a pair is kept", |view| view.round(1).unwrap().check().kept == 1);
    program.signal(Signal::KILL);
    program.end();
    assert!(engine.folder.holder().is_some(), "the engine does not care");

    let mut program = Program::start(&["attach", engine.path()], root.path(), 80, 24);
    program.press("4");
    program.see("check 2/");
    program.press("C");
    engine.until("the run is finished", |view| view.state == State::Finished);
    program.press("1");
    program.see("finished");
    program.press("q");
    assert_eq!(program.ends(), 0);
}

#[test]
fn one_who_watches_changes_nothing_and_one_who_decides_is_seen_by_the_other() {
    let root = tempfile::tempdir().unwrap();
    let engine = Engine::at_gate(root.path());
    let mut one = Program::start(&["attach", engine.path()], root.path(), 80, 24);
    one.press("4");
    one.see("check 0/");
    let variables = [("USER", "bo")];
    let program = env!("CARGO_BIN_EXE_selfreward");
    let mut two = Program::run(program, &["check", engine.path()], &variables, root.path(), 120, 40);
    two.see("check 0/");
    let shown = |program: &Program| {
        let screen = program.shows();
        screen.split('#').nth(1).unwrap().split_whitespace().next().unwrap().to_string()
    };
    assert_ne!(shown(&one), shown(&two), "the second viewer is led to another pair");
    let wanted = shown(&one);
    for _ in 0..40 {
        if shown(&two) == wanted {
            break;
        }
        two.press("K");
        two.quiet(Duration::from_millis(40));
    }
    two.see("ana is on it");
    two.press("x");
    two.see("ana is looking at this pair");
    assert_eq!(engine.decided(), 0, "and cannot decide it behind the other one's back");

    let mut third = Program::start(&["watch", engine.path()], root.path(), 80, 24);
    third.press("4x");
    third.see("this viewer only looks");
    one.press("x");
    engine.until("the veto is recorded", |view| view.round(1).unwrap().check().vetoed == 1);
    third.see("check 1/");
    two.see("check 1/");
    assert_eq!(engine.decided(), 1);
    for mut program in [one, two, third] {
        program.press("q");
        program.quiet(Duration::from_millis(50));
        program.end();
    }
    assert!(engine.folder.holder().is_some());
}

#[test]
fn the_death_of_an_engine_is_said_and_what_was_asked_then_waits() {
    let root = tempfile::tempdir().unwrap();
    let mut engine = Engine::at_gate(root.path());
    let mut program = Program::start(&["attach", engine.path()], root.path(), 100, 30);
    program.see("waits for you");
    engine.child.kill().unwrap();
    engine.child.wait().unwrap();
    program.see("no engine");
    program.press("4a");
    program.quiet(Duration::from_millis(300));
    assert_eq!(engine.decided(), 0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfreward"));
    let again = command.arg("engine").arg(engine.folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    engine.child = again.unwrap();
    engine.until("the decision that waited is taken", |view| view.round(1).unwrap().check().kept == 1);
    program.see("check 1/");
    program.press("q");
    program.end();
}

#[test]
fn a_suspended_viewer_gives_the_shell_its_terminal_and_comes_back() {
    let root = tempfile::tempdir().unwrap();
    let engine = Engine::at_gate(root.path());
    let arguments = ["--norc", "--noprofile", "-i"];
    let mut shell = Program::run("bash", &arguments, &[("PS1", "ready> ")], root.path(), 80, 24);
    shell.prompt("ready>");
    shell.press(&format!("{} attach {}\n", env!("CARGO_BIN_EXE_selfreward"), engine.path()));
    shell.see("waits for you");
    assert!(shell.screen.screen().alternate_screen());
    shell.press("\u{1a}");
    shell.see("Stopped");
    shell.prompt("ready>");
    let screen = shell.screen.screen();
    // Bracketed paste is the shell's own affair again.
    assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", screen.contents());
    assert!(engine.folder.holder().is_some(), "the engine is not stopped with the viewer");
    shell.press("stty -a | grep -o ' icanon'; echo it ech''oes\n");
    shell.see(" icanon");
    shell.see("it echoes");
    shell.press("fg\n");
    shell.see("waits for you");
    assert!(shell.screen.screen().alternate_screen());
    shell.press("4");
    shell.see("check 0/");
    shell.press("q");
    shell.see("goes on by itself");
    // What is typed before the shell has its terminal again may still be read by the viewer that leaves.
    shell.prompt("ready>");
    shell.press("exit\n");
    shell.end();
}

/// A key as a terminal sends it.
fn bytes(press: &Press) -> String {
    use ratatui::crossterm::event::{KeyCode, KeyModifiers};
    let shift = press.modifiers.contains(KeyModifiers::SHIFT);
    match press.code {
        KeyCode::Char(c) if press.modifiers.contains(KeyModifiers::CONTROL) => {
            char::from(c.to_ascii_lowercase() as u8 & 0x1f).to_string()
        }
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Enter => "\r".into(),
        KeyCode::Tab => "\t".into(),
        KeyCode::BackTab => "\u{1b}[Z".into(),
        KeyCode::Backspace => "\u{7f}".into(),
        KeyCode::Esc => "\u{1b}".into(),
        KeyCode::Home => "\u{1b}[H".into(),
        KeyCode::End => "\u{1b}[F".into(),
        KeyCode::PageUp => "\u{1b}[5~".into(),
        KeyCode::PageDown => "\u{1b}[6~".into(),
        KeyCode::Up => "\u{1b}[A".into(),
        KeyCode::Down => "\u{1b}[B".into(),
        KeyCode::Left if shift => "\u{1b}[1;2D".into(),
        KeyCode::Right if shift => "\u{1b}[1;2C".into(),
        KeyCode::Left => "\u{1b}[D".into(),
        KeyCode::Right => "\u{1b}[C".into(),
        other => panic!("{other:?} has no bytes here"),
    }
}

#[test]
fn every_key_of_the_help_is_pressed_on_every_screen_of_a_living_run() {
    let root = tempfile::tempdir().unwrap();
    let engine = Engine::at_gate(root.path());
    // A pager that only says that it was there, and a shell above, so that nothing is left alone when it is suspended.
    let mut program = Program::run(
        env!("CARGO_BIN_EXE_selfreward"),
        &["attach", engine.path()],
        &[("PAGER", "true")],
        root.path(),
        120,
        40,
    );
    program.see("waits for you");
    let leave = ["detach", "suspend"];
    for screen in '1'..='8' {
        for binding in BINDINGS.iter().filter(|binding| !leave.contains(&binding.name)) {
            for key in binding.keys {
                // Enter in the list of runs opens another viewer, which is what it should do: once is enough.
                if screen == '8' && binding.name == "open" && binding.scope == Scope::Everywhere {
                    continue;
                }
                program.press(&Press::sequence(key).unwrap().iter().map(bytes).collect::<String>());
                let opens = [
                    "help", "palette", "filter", "copy", "pager", "stop", "note", "score", "goto", "what-if", "veto",
                    "swap", "back",
                ];
                if opens.contains(&binding.name) {
                    program.quiet(Duration::from_millis(15));
                    program.press("\u{1b}");
                    // An escape with another key right behind it would be that key with Alt.
                    program.quiet(Duration::from_millis(15));
                }
            }
            program.press(&screen.to_string());
        }
        program.quiet(Duration::from_millis(50));
        assert!(program.child.try_wait().unwrap().is_none(), "screen {screen}:\n{}", program.shows());
    }
    program.press("\u{1b}");
    program.quiet(Duration::from_millis(100));
    program.press("1");
    program.see("[1 Live]");
    program.press("q");
    assert_eq!(program.end().exit_code(), 0, "{}", program.shows());
    // What was pressed was asked for: decisions were made, and some taken back.
    let view = engine.view();
    assert!(view.decisions.iter().any(|decision| decision.status() == Some(PairStatus::Vetoed)));
}
