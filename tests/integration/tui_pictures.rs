//! Pictures of the screens as files under `tests/fixtures/screens/`: the text, and what each cell looks like.
//!
//! `UPDATE_SCREENS=1 cargo test tui_pictures` writes them anew; the difference is then read as any other.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Style;
use selfreward::tui::app::{App, Mode, Msg, update};
use selfreward::tui::screen;
use selfreward::tui::source::Source;
use selfreward::tui::theme::{Depth, Symbols};

use crate::story;
use crate::tui_screens::{picture, press, viewer};

const REPLAY: Mode = Mode::Replay { second_opinion: false };

struct Shot {
    name: &'static str,
    story: &'static str,
    mode: Mode,
    keys: &'static str,
    sizes: &'static [(u16, u16)],
}

const ALL: &[(u16, u16)] = &[(80, 24), (120, 40), (200, 60), (40, 10)];
const TWO: &[(u16, u16)] = &[(80, 24), (120, 40)];

const fn shot(
    name: &'static str,
    story: &'static str,
    mode: Mode,
    keys: &'static str,
    sizes: &'static [(u16, u16)],
) -> Shot {
    Shot { name, story, mode, keys, sizes }
}

const SHOTS: &[Shot] = &[
    shot("live_learning", "learning", Mode::Control, "1", ALL),
    shot("live_started", "started", Mode::Control, "1", TWO),
    shot("live_writing", "writing", Mode::ReadOnly, "1", TWO),
    shot("live_gate", "gate", Mode::Control, "1", ALL),
    shot("live_unparsed", "unparsed", Mode::Control, "1", TWO),
    shot("live_loops", "loops", Mode::Control, "1", TWO),
    shot("live_rewarded", "rewarded", Mode::Control, "1", TWO),
    shot("train_loops", "loops", Mode::Control, "5", TWO),
    shot("live_hot", "hot", Mode::Control, "1", TWO),
    shot("train_nan", "nan", Mode::Control, "5", ALL),
    shot("train_zoomed", "learning", Mode::Control, "5 z L", TWO),
    shot("train_cursor", "learning", Mode::Control, "5 , , , >", TWO),
    shot("eval", "finished", Mode::Control, "6", ALL),
    shot("eval_zoomed", "unparsed", Mode::Control, "6 z", TWO),
    shot("eval_loops", "rewarded", Mode::Control, "6", ALL),
    shot("eval_loops_zoomed", "rewarded", Mode::Control, "6 S-Tab z", TWO),
    shot("live_labels", "labels", Mode::Control, "1", TWO),
    shot("live_rloo", "rloo", Mode::Control, "1", TWO),
    shot("train_rloo", "rloo", Mode::Control, "5", TWO),
    shot("live_rloo_gate", "rloo-gate", Mode::Control, "1", TWO),
    shot("log", "unparsed", Mode::Control, "7", ALL),
    shot("log_alerts", "gaming", Mode::Control, "!", TWO),
    shot("runs", "finished", REPLAY, "8", ALL),
    shot("replay", "finished", REPLAY, "S-Left S-Left", ALL),
    shot("stop_menu", "learning", Mode::Control, "Q", TWO),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens")
}

fn take(root: &Path, shot: &Shot) -> App {
    let mut app = viewer(root, shot.story, shot.mode);
    app.root = PathBuf::from("runs");
    press(&mut app, shot.keys);
    app
}

/// Compares with the file, or writes it when asked to. Returns what differs.
fn compare(name: &str, drawn: &str) -> Option<String> {
    let path = fixtures().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SCREENS").is_some_and(|value| !value.is_empty()) {
        std::fs::create_dir_all(fixtures()).unwrap();
        std::fs::write(&path, drawn).unwrap();
        return None;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    (known != drawn).then(|| format!("{name} is drawn differently:\n{drawn}"))
}

#[test]
fn every_screen_is_drawn_as_in_its_picture() {
    let root = tempfile::tempdir().unwrap();
    let mut different = Vec::new();
    for (number, shot) in SHOTS.iter().enumerate() {
        let mut app = take(&root.path().join(number.to_string()), shot);
        for (width, height) in shot.sizes {
            let drawn = picture(&mut app, *width, *height);
            different.extend(compare(&format!("{}_{width}x{height}", shot.name), &drawn));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn two_runs_stand_side_by_side_as_in_the_picture() {
    let root = tempfile::tempdir().unwrap();
    let mut app = viewer(root.path(), "finished", REPLAY);
    let folder = story::Plot { name: "other", ..story::named("length") }.write(&root.path().join("b"));
    let mut other = Source::open(folder);
    other.read_all().unwrap();
    app.other = Some(other);
    press(&mut app, "S-Left");
    for (width, height) in [(80, 24), (120, 40)] {
        let drawn = picture(&mut app, width, height);
        assert_eq!(compare(&format!("compare_{width}x{height}"), &drawn), None);
    }
}

/// The look of each cell as a letter, with the meaning of the letters below.
fn looks(app: &mut App, width: u16, height: u16) -> String {
    update(app, Msg::Resize(width, height));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, app)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut letters: BTreeMap<String, char> = BTreeMap::new();
    let mut out = String::new();
    for y in 0..height {
        for x in 0..width {
            let style: Style = buffer[(x, y)].style();
            let look = format!("{:?} {:?} {:?}", style.fg, style.bg, style.add_modifier);
            let next = char::from(b'a' + letters.len() as u8);
            out.push(*letters.entry(look).or_insert(next));
        }
        out.push('\n');
    }
    for (look, letter) in letters {
        writeln!(out, "{letter} {look}").unwrap();
    }
    out
}

#[test]
fn every_depth_of_colour_looks_as_in_its_picture() {
    let root = tempfile::tempdir().unwrap();
    for (name, depth) in [("mono", Depth::Mono), ("16", Depth::Ansi), ("256", Depth::Indexed), ("true", Depth::True)] {
        for (screen, story, keys) in [("live", "unparsed", "1"), ("train", "nan", "5"), ("log", "unparsed", "7")] {
            let mut app = viewer(&root.path().join(name).join(screen), story, Mode::Control);
            app.theme.depth = depth;
            press(&mut app, keys);
            let drawn = looks(&mut app, 80, 24);
            assert_eq!(compare(&format!("style_{screen}_{name}"), &drawn), None);
            if depth == Depth::Mono {
                assert!(!drawn.contains("Some(Rgb") && !drawn.contains("Some(Indexed"), "{drawn}");
            }
        }
    }
}

#[test]
fn without_utf8_every_cell_is_ascii() {
    let root = tempfile::tempdir().unwrap();
    for name in ["learning", "gate", "nan", "hostile"] {
        let mut app = viewer(root.path(), name, Mode::Control);
        app.theme.symbols = Symbols::Ascii;
        for tab in 1..=8 {
            press(&mut app, &tab.to_string());
            for (width, height) in [(80, 24), (200, 60)] {
                let drawn = picture(&mut app, width, height);
                assert!(drawn.is_ascii(), "{name} screen {tab}:\n{drawn}");
            }
        }
    }
}
