//! Prints screens of a told story, for reading them as a stranger would.
//!
//! `cargo bench --profile dev --no-default-features --bench frames -- STORY KEYS WIDTHxHEIGHT …`
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a tool for the people who draw the screens"
)]

#[path = "../tests/integration/stage.rs"]
mod stage;
#[path = "../tests/integration/story/mod.rs"]
mod story;
#[path = "../tests/integration/tui_screens.rs"]
mod tui_screens;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let name = arguments.next().unwrap_or_else(|| "learning".into());
    let keys = arguments.next().unwrap_or_default();
    let sizes: Vec<String> = arguments.collect();
    let root = tempfile::tempdir().unwrap();
    let mode = match std::env::var("MODE").as_deref() {
        Ok("replay") => selfreward::tui::Mode::Replay { second_opinion: false },
        Ok("second") => selfreward::tui::Mode::Replay { second_opinion: true },
        Ok("read") => selfreward::tui::Mode::ReadOnly,
        _ => selfreward::tui::Mode::Control,
    };
    let mut app = tui_screens::viewer(root.path(), &name, mode);
    if let Ok(other) = std::env::var("VS") {
        let folder = story::named(&other).write(&root.path().join("other"));
        let mut source = selfreward::tui::source::Source::open(folder);
        source.read_all().unwrap();
        app.other = Some(source);
    }
    tui_screens::press(&mut app, &keys);
    for size in if sizes.is_empty() { vec!["80x24".into()] } else { sizes } {
        let (width, height) = size.split_once('x').unwrap();
        let (width, height): (u16, u16) = (width.parse().unwrap(), height.parse().unwrap());
        println!("{}", "─".repeat(width.into()));
        print!("{}", tui_screens::picture(&mut app, width, height));
    }
}
