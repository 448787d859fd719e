//! Screens as data: a story, keys, a size; the picture that comes out.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyEvent;
use selfreward::run::entry::Stamp;
use selfreward::run::folder::{Holder, Now};
use selfreward::run::view::State;
use selfreward::tui::app::{App, Mode, Msg, update};
use selfreward::tui::keys::Press;
use selfreward::tui::settings::Settings;
use selfreward::tui::source::Source;
use selfreward::tui::{screen, theme};

use crate::story;

/// A viewer of a story at its end, with a fixed clock.
pub fn viewer(root: &Path, name: &str, mode: Mode) -> App {
    viewer_of(story::named(name).write(&root.join(name)), mode)
}

/// A viewer of a run at its end, with a fixed clock.
pub fn viewer_of(folder: selfreward::run::folder::RunFolder, mode: Mode) -> App {
    let settings = Settings {
        name: "ana".into(),
        theme: theme::Theme { depth: theme::Depth::True, ..Default::default() },
        ..Settings::default()
    };
    let mut app = App::new(Source::open(folder), mode, settings);
    app.source.read_all().unwrap();
    app.clock = Stamp(app.source.head().at.0 + 2_000_000);
    let head = app.source.head();
    if mode != (Mode::Replay { second_opinion: false }) && !matches!(head.state, State::Finished | State::Failed(_)) {
        let (stage, iteration) = (head.stage().map(|span| span.stage), head.iteration);
        let now = Now {
            pid: 4211,
            host: "node7".into(),
            at: app.clock.0,
            seq: head.seq,
            iteration,
            stage,
            tokens_per_s: Some(1240.0),
            memory_bytes: Some(880_000_000),
            device: "cpu".into(),
            ..Now::default()
        };
        app.source.holder = Some(Holder { pid: 4211, host: "node7".into() });
        app.source.now = Some(now);
    }
    update(&mut app, Msg::Read(1));
    let list = selfreward::tui::summary::summaries(&app.root);
    update(&mut app, Msg::Runs(list));
    app
}

/// Presses keys written as in the key table, separated by spaces.
pub fn press(app: &mut App, keys: &str) -> Vec<selfreward::tui::app::Effect> {
    let mut effects = Vec::new();
    for key in keys.split_whitespace() {
        for press in Press::sequence(key).unwrap() {
            effects.extend(update(app, Msg::Key(KeyEvent::new(press.code, press.modifiers))));
        }
    }
    effects
}

/// What the screen shows, as text.
pub fn picture(app: &mut App, width: u16, height: u16) -> String {
    update(app, Msg::Resize(width, height));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, app)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut out = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += (unicode_width::UnicodeWidthStr::width(symbol) as u16).max(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[test]
fn every_screen_of_every_story_draws_at_many_sizes() {
    let root = tempfile::tempdir().unwrap();
    for (at, (name, _)) in story::shelf().into_iter().enumerate() {
        let mut app = viewer(root.path(), name, Mode::Control);
        for tab in 1..=8 {
            press(&mut app, &tab.to_string());
            let sizes = [(0, 0), (1, 1), (5, 2), (20, 5), (40, 10), (80, 24), (120, 40), (200, 60), (300, 100)];
            for (turn, (width, height)) in sizes.into_iter().enumerate() {
                // Every size on every screen, and every story at every size, though not all three at once.
                if crate::stage::size((turn + tab + at) % 3 == 0, true) {
                    picture(&mut app, width, height);
                }
            }
        }
    }
}
