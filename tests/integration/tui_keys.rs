//! Any keys at any size over healthy, broken and hostile runs: nothing panics, nothing hangs, nothing raw reaches the terminal.

use std::path::Path;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use selfreward::run::entry::Stamp;
use selfreward::run::ids::Stage;
use selfreward::run::journal::segment_name;
use selfreward::tui::app::{App, Effect, Mode, Msg, Screen, update};
use selfreward::tui::errands::painted;
use selfreward::tui::keys::{BINDINGS, Press};
use selfreward::tui::settings::Settings;
use selfreward::tui::source::Source;

use crate::story::{Illness, Plot};
use crate::tui_screens::{picture, press, viewer};

/// Keys of one run of the random test; the environment may ask for more.
fn keys_in_all() -> usize {
    std::env::var("KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(6_000)
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn open(root: &Path, name: &'static str, plot: &Plot, damage: bool, mode: Mode) -> App {
    let folder = Plot { name, ..plot.clone() }.write(root);
    if damage {
        let path = folder.path().join(segment_name(1));
        let mut bytes = std::fs::read(&path).unwrap();
        let mut random = Random(99);
        for _ in 0..20 {
            let place = random.below(bytes.len());
            bytes[place] ^= 1 << random.below(8);
        }
        bytes.truncate(bytes.len() - 17);
        std::fs::write(&path, bytes).unwrap();
    }
    let mut app = App::new(Source::open_with(folder, 40), mode, Settings::default());
    app.source.read_all().unwrap();
    app.clock = app.source.head().at;
    app
}

fn random_key(random: &mut Random) -> KeyEvent {
    const ODD: [KeyCode; 8] = [
        KeyCode::Null,
        KeyCode::F(11),
        KeyCode::Char('漢'),
        KeyCode::Char('\u{202e}'),
        KeyCode::Insert,
        KeyCode::Delete,
        KeyCode::Char('\u{1b}'),
        KeyCode::Backspace,
    ];
    if random.below(6) == 0 {
        let letter = KeyCode::Char(char::from(b' ' + random.below(95) as u8));
        return KeyEvent::new(letter, KeyModifiers::NONE);
    }
    if random.below(40) == 0 {
        return KeyEvent::new(ODD[random.below(ODD.len())], KeyModifiers::from_bits_truncate(random.below(8) as u8));
    }
    let binding = &BINDINGS[random.below(BINDINGS.len())];
    let presses = Press::sequence(binding.keys[random.below(binding.keys.len())]).unwrap();
    let press = presses[random.below(presses.len())];
    KeyEvent::new(press.code, press.modifiers)
}

#[test]
fn random_keys_at_random_sizes_neither_panic_nor_hang() {
    let root = tempfile::tempdir().unwrap();
    let plot = |illness, until| Plot { prompts: 5, steps: 10, illness, until, ..Plot::default() };
    let gate = Some((1, Stage::Check, 0.0));
    let mut apps = [
        open(root.path(), "healthy", &plot(Illness::Healthy, None), false, Mode::Control),
        open(root.path(), "gate", &plot(Illness::Gaming, gate), false, Mode::Check),
        open(root.path(), "replay", &plot(Illness::Nan, None), false, Mode::Replay { second_opinion: false }),
        open(root.path(), "second", &plot(Illness::Length, None), false, Mode::Replay { second_opinion: true }),
        open(root.path(), "broken", &plot(Illness::Unparsed, None), true, Mode::Control),
        open(root.path(), "hostile", &plot(Illness::Hostile, gate), false, Mode::ReadOnly),
    ];
    let mut random = Random(0x5eed);
    let each = keys_in_all() / apps.len();
    for app in &mut apps {
        for pressed in 0..each {
            let effects = update(app, Msg::Key(random_key(&mut random)));
            assert!(effects.len() < 100);
            if pressed % 40 == 0 {
                update(app, Msg::Tick(Stamp(app.clock.0 + 250_000)));
                let (width, height) = (random.below(301) as u16, random.below(101) as u16);
                picture(app, width, height);
            }
        }
    }
}

#[test]
fn every_key_of_the_table_can_be_pressed_on_every_screen() {
    let root = tempfile::tempdir().unwrap();
    for (name, mode) in [("gate", Mode::Control), ("finished", Mode::Replay { second_opinion: false })] {
        let mut app = viewer(root.path(), name, mode);
        for screen in Screen::ALL {
            for binding in BINDINGS {
                app.screen = screen;
                app.overlay = None;
                app.pending.clear();
                press(&mut app, binding.keys[0]);
            }
            picture(&mut app, 80, 24);
        }
    }
}

#[test]
fn escape_never_leaves_and_q_always_does() {
    let root = tempfile::tempdir().unwrap();
    let mut app = viewer(root.path(), "gate", Mode::Control);
    for tab in 1..=8 {
        press(&mut app, &tab.to_string());
        assert_eq!(press(&mut app, "Esc Esc"), []);
        let left = press(&mut app, "q");
        assert!(left.iter().any(|effect| matches!(effect, Effect::Leave(_))), "screen {tab}: {left:?}");
    }
}

#[test]
fn a_viewer_without_the_right_to_steer_sends_nothing() {
    let root = tempfile::tempdir().unwrap();
    for mode in [Mode::ReadOnly, Mode::Replay { second_opinion: false }] {
        let mut app = viewer(root.path(), if mode == Mode::ReadOnly { "gate" } else { "finished" }, mode);
        for screen in Screen::ALL {
            for binding in BINDINGS {
                app.screen = screen;
                app.overlay = None;
                app.pending.clear();
                for effect in press(&mut app, binding.keys[0]) {
                    assert!(!matches!(effect, Effect::Send { .. }), "{} on {screen:?}", binding.name);
                }
            }
        }
    }
}

/// Everything between the escape sequences that we ourselves send; an error names one that we never do.
fn foreign(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next() != Some('[') {
                    return Err("an escape sequence that is no CSI".into());
                }
                let ends = chars.find(|c| c.is_ascii_alphabetic());
                if !matches!(ends, Some('m' | 'H' | 'l' | 'h' | 'J')) {
                    return Err(format!("CSI … {ends:?}"));
                }
            }
            c if c.is_control() => return Err(format!("U+{:04X}", c as u32)),
            c if selfreward::text::invisible::is_invisible(c) => return Err(format!("hidden U+{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    Ok(out)
}

#[test]
fn nothing_that_a_model_wrote_reaches_the_terminal_raw() {
    let root = tempfile::tempdir().unwrap();
    let mut app = viewer(root.path(), "hostile", Mode::Control);
    for (width, height) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        for keys in
            ["1", "2", "3", "4", "5", "6", "7", "v v v", "8", "?", "Esc", ":", "Esc y", "Esc 4 o", "4 b", "2 J J J"]
        {
            press(&mut app, keys);
            update(&mut app, Msg::Resize(width, height));
            let bytes = painted(&app, width, height).unwrap();
            let shown = foreign(&bytes).unwrap_or_else(|what| panic!("{what} after {keys} at {width}x{height}"));
            let mut terminal = vt100::Parser::new(height.try_into().unwrap(), width.try_into().unwrap(), 0);
            terminal.process(&bytes);
            // A terminal that is not steered shows the same letters, cell for cell, and nothing moved.
            assert!(!shown.is_empty() && terminal.screen().contents().len() > 20);
            assert!(!terminal.screen().alternate_screen() && !terminal.screen().bracketed_paste());
        }
    }
}
