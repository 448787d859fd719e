//! The whole program in a terminal of its own: what is drawn, what keys do, and that the terminal is given back however it ends.

use std::time::Duration;

use crate::pty::Program;
use crate::story;

#[test]
fn a_replay_opens_moves_resizes_and_gives_the_terminal_back() {
    let home = tempfile::tempdir().unwrap();
    let folder = story::named("finished").write(home.path());
    let mut program = Program::start(&["replay", folder.path().to_str().unwrap()], home.path(), 80, 24);
    program.see("REPLAY");
    for (keys, wanted) in
        [("7", "[7 Log]"), ("G", "REPLAY"), ("1", "[1 Live]"), ("F", "2,762 of 2,762"), ("5", "DPO loss")]
    {
        program.press(keys);
        program.see(wanted);
    }
    program.press("?");
    program.see("search:");
    // An escape with another key right behind it would be that key with Alt.
    program.press("\u{1b}");
    program.gone("search:");
    program.resize(120, 40);
    program.see("? help  : command");
    program.press("6");
    program.see("Kendall's tau");
    for (width, height) in [(1, 1), (200, 60), (5, 2), (40, 10), (300, 100), (80, 24)] {
        program.resize(width, height);
    }
    program.press("1");
    program.see("[1 Live]");
    program.press("m");
    program.press("q");
    assert_eq!(program.ends(), 0);
}

/// Not a test by itself: what the next one starts in a terminal of its own, and what ends in a panic there.
#[test]
fn the_one_that_panics() {
    use selfreward::tui::terminal::{TermGuard, panics_elsewhere};
    let Ok(place) = std::env::var("PANICS_IN") else { return };
    let mut guard = TermGuard::take(true).unwrap();
    guard.draw(|frame| frame.render_widget("drawn-before-the-panic", frame.area())).unwrap();
    if place == "another thread" {
        assert!(std::thread::spawn(|| panic!("lost in a thread")).join().is_err());
        guard.draw(|frame| frame.render_widget("STILL_DRAWN_AFTER_IT", frame.area())).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        drop(guard);
        let kept = panics_elsewhere();
        assert!(kept.len() == 1 && kept[0].contains("lost in a thread"), "{kept:?}");
        return;
    }
    panic!("the drawing failed");
}

#[test]
fn a_panic_gives_the_terminal_back_and_one_of_another_thread_leaves_the_screen_alone() {
    let home = tempfile::tempdir().unwrap();
    let own = std::env::current_exe().unwrap();
    for (place, drawn, code) in
        [("the drawing", "drawn-before-the-panic", 101), ("another thread", "STILL_DRAWN_AFTER_IT", 0)]
    {
        let arguments = ["--exact", "tui_terminal::the_one_that_panics", "--nocapture", "--test-threads=1"];
        let mut program = Program::run(own.to_str().unwrap(), &arguments, &[("PANICS_IN", place)], home.path(), 80, 24);
        assert_eq!(program.ends(), code, "{place}: {}", program.shows());
        let met = String::from_utf8_lossy(&program.raw).into_owned();
        assert!(met.contains(drawn), "{place}: {met:?}");
        assert_eq!(
            program.shows().contains("the drawing failed"),
            code == 101,
            "the message stands on the shell's screen"
        );
    }
}

#[test]
fn signals_end_the_viewer_with_the_terminal_restored() {
    use rustix::process::Signal;
    let home = tempfile::tempdir().unwrap();
    let folder = story::named("learning").write(home.path());
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut program = Program::start(&["watch", folder.path().to_str().unwrap()], home.path(), 80, 24);
        program.see("no engine");
        program.signal(signal);
        program.ends();
    }
}

#[test]
fn settings_that_are_saved_while_a_viewer_runs_are_read_again() {
    let home = tempfile::tempdir().unwrap();
    let folder = story::named("learning").write(home.path());
    let settings = home.path().join(".config/selfreward");
    std::fs::create_dir_all(&settings).unwrap();
    let mut program = Program::start(&["watch", folder.path().to_str().unwrap(), "--ascii"], home.path(), 80, 24);
    program.see("no engine");
    for (text, says) in
        [("[keys]\npalette = [\"F5\"]\n", "the settings were read again"), ("bel = true\n", "did you mean `bell`?")]
    {
        std::fs::write(settings.join("config.toml"), text).unwrap();
        program.see(says);
    }
    assert!(program.shows().is_ascii(), "what was said on the command line still holds:\n{}", program.shows());
    program.press("q");
    program.end();
}

#[test]
fn nothing_is_sent_while_nothing_changes() {
    let home = tempfile::tempdir().unwrap();
    let folder = story::named("learning").write(home.path());
    let mut program = Program::start(&["watch", folder.path().to_str().unwrap()], home.path(), 120, 40);
    program.see("no engine");
    program.quiet(Duration::from_millis(700));
    // The clock in the header changes once a minute: of two windows in a row one is always silent.
    let window: u64 = std::env::var("IDLE_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(2);
    let silent = (0..2).any(|_| {
        let sent = program.received;
        let _ = program.take(Duration::from_secs(window));
        program.received == sent
    });
    assert!(silent, "{}", program.screen.screen().contents());
    program.press("q");
    program.end();
}
