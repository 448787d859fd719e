//! What the effects ask for outside of the screen: clipboard, pager, hook, files of the viewer's own.
//!
//! Used by `watch`. Everything foreign that leaves for another program goes through the same visible form as on the screen.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use ratatui::Terminal;
use ratatui::backend::{CrosstermBackend, TestBackend};
use ratatui::{TerminalOptions, Viewport};

use crate::run::event::AlarmRaised;
use crate::tui::app::App;
use crate::tui::figures::{bytes, visible};
use crate::tui::screen;

/// Bytes of text that go to a terminal's clipboard: as base64 they make 100,000 with what is around them, and longer ones are dropped whole.
pub const CLIPBOARD: usize = 74_994;

/// Puts a text into the clipboard of the machine where the terminal runs, and into a file of the run in case the terminal does not listen.
/// Returns what to tell the user.
pub fn copy(folder: &Path, what: &str, text: &str) -> String {
    // A run that belongs to somebody else may be read-only: then the viewer's own folder has to do.
    let here = folder.join("clip.txt");
    let file = write_private(&here, text.as_bytes()).map(|()| here).or_else(|_| keep("clip.txt", text));
    let (sequence, sent) = osc52(text);
    let mut out = io::stdout();
    let written = out.write_all(sequence.as_bytes()).and_then(|()| out.flush());
    told(what, text.len(), written.map(|()| sent).map_err(|error| error.to_string()), file.ok().as_deref())
}

/// What the terminal is told, and how many bytes of the text that holds.
pub fn osc52(text: &str) -> (String, usize) {
    let sent = text.floor_char_boundary(CLIPBOARD);
    (format!("\x1b]52;c;{}\x07", base64(&text.as_bytes()[..sent])), sent)
}

/// Whether a terminal has taken a text nobody can know: the message names the file as well.
pub fn told(what: &str, whole: usize, sent: Result<usize, String>, file: Option<&Path>) -> String {
    let all = bytes(whole as u64);
    let clipboard = match sent {
        Ok(sent) if sent < whole => {
            format!("the first {} of {all} sent to the terminal's clipboard", bytes(sent as u64))
        }
        Ok(_) => format!("{all} sent to the terminal's clipboard"),
        Err(error) => format!("not sent to the terminal's clipboard: {error}"),
    };
    match file {
        Some(file) => format!("{what}: {clipboard}; all of it is in {}", visible(&file.display().to_string())),
        None => format!("{what}: {clipboard}; no file could be written"),
    }
}

/// Bytes as base64, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let group =
            three.iter().enumerate().fold(0u32, |group, (place, byte)| group | u32::from(*byte) << (16 - 8 * place));
        for place in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// Writes a file into the viewer's own folder and says where.
fn keep(name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "selfreward").context("there is no home folder")?;
    let folder = folders.cache_dir();
    std::fs::create_dir_all(folder)?;
    let path = folder.join(name);
    write_private(&path, text.as_bytes())?;
    Ok(path)
}

/// Texts of a run are nobody else's business.
fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)
}

/// Shows a text in the user's pager. The terminal must have been lent.
pub fn page(title: &str, text: &str) -> anyhow::Result<()> {
    let path = keep("page.txt", &format!("{title}\n\n{}\n", visible(text)))?;
    let pager = std::env::var("PAGER").ok().filter(|pager| !pager.is_empty()).unwrap_or_else(|| "less".into());
    // The pager may be given with arguments; the file's name is passed as an argument and never as a command.
    Command::new("sh")
        .args(["-c", &format!("{pager} \"$1\""), "pager"])
        .arg(&path)
        .status()
        .with_context(|| format!("starting the pager `{pager}`"))?;
    Ok(())
}

/// Runs the user's command for an alert, the alert as JSON on its input. Nobody waits for it.
pub fn hook(command: &str, run: &str, alarm: &AlarmRaised) -> anyhow::Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting `{command}`"))?;
    let message = serde_json::json!({ "schema": 1, "run": run, "alert": alarm });
    let input = child.stdin.take();
    std::thread::spawn(move || {
        if let Some(mut input) = input {
            // A command that does not read its input is no error.
            let _ = writeln!(input, "{message}");
        }
        let _ = child.wait();
    });
    Ok(())
}

/// Seconds that the local clock is ahead of UTC, as the system's `date` says; 0 when it does not.
pub fn clock_offset() -> i64 {
    let Ok(output) = Command::new("date").arg("+%z").stderr(Stdio::null()).output() else { return 0 };
    offset(&String::from_utf8_lossy(&output.stdout)).unwrap_or(0)
}

/// Reads `+0530`.
fn offset(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60))
}

/// Adds a line to a file of the viewer's in the run folder, durably; the journal is never touched.
pub fn append(folder: &Path, name: &str, line: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(folder.join(name))?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}

/// A file's name, of which a person's name may be part.
fn safe(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

/// A file of the viewer's in the run folder, if it is there.
pub fn read_back(folder: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(safe(name))).ok()
}

/// Replaces a file of the viewer's in the run folder, durably: readers see the old one or the new one.
pub fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let name = safe(name);
    let scratch = folder.join(format!("{name}.tmp"));
    write_private(&scratch, text.as_bytes())?;
    std::fs::File::open(&scratch)?.sync_data()?;
    std::fs::rename(&scratch, folder.join(name))
}

/// Writes the present screen as a text and as an asciicast of one frame. Returns what to tell the user.
pub fn export(app: &App) -> anyhow::Result<String> {
    let (width, height) = app.size;
    let folders = directories::ProjectDirs::from("", "", "selfreward").context("there is no home folder")?;
    let folder = folders.data_dir().join("exports");
    std::fs::create_dir_all(&folder)?;
    let stem = format!("{}-{}-{}", app.source.folder.name(), app.screen.name().to_lowercase(), app.view().seq);
    let (text, cast) = (folder.join(format!("{stem}.txt")), folder.join(format!("{stem}.cast")));
    write_private(&text, picture(app, width, height)?.as_bytes())?;
    let header = serde_json::json!({ "version": 2, "width": width, "height": height, "title": stem });
    let frame = String::from_utf8(painted(app, width, height)?)?;
    let event = serde_json::json!([0.0, "o", frame]);
    write_private(&cast, format!("{header}\n{event}\n").as_bytes())?;
    Ok(format!("written: {} and .cast", text.display()))
}

/// The screen as plain lines.
pub fn picture(app: &App, width: u16, height: u16) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| screen::draw(frame, app))?;
    let buffer = terminal.backend().buffer();
    let mut out = String::new();
    for y in 0..height {
        let mut row = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            // A wide character is followed by a cell that is not drawn.
            x += (crate::tui::figures::columns(symbol) as u16).max(1);
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    Ok(out)
}

/// The screen as the bytes that a terminal would get.
pub fn painted(app: &App, width: u16, height: u16) -> anyhow::Result<Vec<u8>> {
    let area = ratatui::layout::Rect::new(0, 0, width, height);
    let mut bytes = Vec::new();
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    let mut terminal = Terminal::with_options(CrosstermBackend::new(&mut bytes), options)?;
    terminal.draw(|frame| screen::draw(frame, app))?;
    drop(terminal);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_offset_is_read_as_date_writes_it() {
        for (text, seconds) in
            [("+0000\n", Some(0)), ("+0530", Some(19_800)), ("-0330", Some(-12_600)), ("UTC", None), ("", None)]
        {
            assert_eq!(offset(text), seconds);
        }
    }

    #[test]
    fn a_text_for_the_clipboard_is_cut_at_a_letter_and_the_message_names_both_places() {
        let (sequence, sent) = osc52("foo");
        assert_eq!((sequence.as_str(), sent), ("\x1b]52;c;Zm9v\x07", 3));
        let long = "é".repeat(CLIPBOARD);
        let (sequence, sent) = osc52(&long);
        assert_eq!(sent, CLIPBOARD, "an even number of bytes falls between two letters");
        assert!(sequence.len() <= 100_000, "{}", sequence.len());
        let (_, sent) = osc52(&format!("x{long}"));
        assert_eq!(sent, CLIPBOARD - 1);
        let file = Path::new("/runs/a/clip.txt");
        for (whole, sent, file, says) in [
            (3, Ok(3), Some(file), "prompt: 3 B sent to the terminal's clipboard; all of it is in /runs/a/clip.txt"),
            (
                99_000,
                Ok(CLIPBOARD),
                Some(file),
                "prompt: the first 75.0 kB of 99.0 kB sent to the terminal's clipboard; all of it is in /runs/a/clip.txt",
            ),
            (
                3,
                Err("closed".to_string()),
                None,
                "prompt: not sent to the terminal's clipboard: closed; no file could be written",
            ),
        ] {
            assert_eq!(told("prompt", whole, sent, file), says);
        }
    }

    #[test]
    fn base64_is_as_in_the_standard() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
