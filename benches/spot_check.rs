//! How long the spot check takes from a key to the next pair on the screen, 120 by 40, and to compare two long answers.
//!
//! `cargo bench --no-default-features --bench spot_check`
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement for the person who started it"
)]

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use selfreward::tui::app::{App, Mode, Msg, update};
use selfreward::tui::diff::{DEADLINE, diff};
use selfreward::tui::screen;
use selfreward::tui::settings::Settings;
use selfreward::tui::source::Source;

#[path = "../tests/integration/story/mod.rs"]
mod story;

fn say(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what}: p50 {:.2?}, p95 {:.2?}, most {:.2?} of {}", at(0.5), at(0.95), at(1.0), times.len());
}

fn main() {
    let root = tempfile::tempdir().unwrap();
    let folder = story::named("gate").write(root.path());
    let mut app = App::new(Source::open(folder), Mode::Replay { second_opinion: false }, Settings::default());
    app.source.read_all().unwrap();
    app.size = (120, 40);
    let mut terminal = Terminal::new(TestBackend::new(120, 40)).unwrap();
    let mut press = |app: &mut App, key: char| {
        let begun = Instant::now();
        update(app, Msg::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE)));
        terminal.draw(|frame| screen::draw(frame, app)).unwrap();
        begun.elapsed()
    };
    press(&mut app, '4');
    say(
        "key to next pair",
        (0..60).map(|place| press(&mut app, if place / 14 % 2 == 0 { 'J' } else { 'K' })).collect(),
    );
    press(&mut app, '3');
    say("key to next row of the table", (0..200).map(|_| press(&mut app, 'j')).collect());
    let text = |seed: u64| -> String {
        (0..1000u64).map(|n| format!("w{} ", (n * 7919 + seed * 104_729) % 997 / (1 + seed % 3))).collect()
    };
    let words: Vec<Duration> = (0..50)
        .map(|seed| {
            let (a, b) = (text(seed), text(seed + 1));
            let begun = Instant::now();
            diff(&a, &b, Some(begun + DEADLINE));
            begun.elapsed()
        })
        .collect();
    say("differences of two unrelated texts of 1000 words", words);
}
