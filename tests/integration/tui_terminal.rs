//! The whole program in a terminal of its own: what is drawn, what keys do, and that the terminal is given back however it ends.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::story;

/// Long enough for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

struct Program {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    received: usize,
}

impl Program {
    fn start(arguments: &[&str], home: &std::path::Path, width: u16, height: u16) -> Program {
        let size = PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_selfreward"));
        command.args(arguments);
        command.env_clear();
        let path = std::env::var("PATH").unwrap_or_default();
        let home = home.to_str().unwrap();
        for (name, value) in
            [("HOME", home), ("PATH", &path), ("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("USER", "ana")]
        {
            command.env(name, value);
        }
        command.cwd(home);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (to, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if to.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        let screen = vt100::Parser::new(height.try_into().unwrap(), width.try_into().unwrap(), 0);
        Program { child, master: pair.master, keys, bytes, screen, received: 0 }
    }

    fn take(&mut self, at_most: Duration) -> Result<(), RecvTimeoutError> {
        let bytes = self.bytes.recv_timeout(at_most)?;
        self.received += bytes.len();
        self.screen.process(&bytes);
        Ok(())
    }

    /// Waits until the screen shows this.
    fn see(&mut self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.screen.screen().contents().contains(wanted) {
            let left = until.saturating_duration_since(Instant::now());
            let took = self.take(left);
            assert!(took.is_ok(), "`{wanted}` did not come; the screen is\n{}", self.screen.screen().contents());
        }
    }

    /// Waits until the screen shows this no longer.
    fn gone(&mut self, unwanted: &str) {
        let until = Instant::now() + PATIENCE;
        while self.screen.screen().contents().contains(unwanted) {
            let left = until.saturating_duration_since(Instant::now());
            let took = self.take(left);
            assert!(took.is_ok(), "`{unwanted}` did not go; the screen is\n{}", self.screen.screen().contents());
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn resize(&mut self, width: u16, height: u16) {
        self.master.resize(PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 }).unwrap();
        self.screen.screen_mut().set_size(height.try_into().unwrap(), width.try_into().unwrap());
    }

    fn signal(&mut self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end; the terminal must be as it was.
    fn ends(&mut self, before: &impl PartialEq<Modes>) -> u32 {
        let status = self.child.wait().unwrap();
        while self.take(Duration::from_millis(200)).is_ok() {}
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is still on");
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
        assert!(!screen.bracketed_paste(), "bracketed paste is still on");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is still captured");
        assert!(*before == self.modes(), "echo and line editing are not as they were");
        status.exit_code()
    }

    fn modes(&self) -> Modes {
        Modes(format!("{:?}", self.master.get_termios().map(|modes| modes.local_flags)))
    }
}

/// The modes of a terminal, as far as they can be compared.
#[derive(PartialEq)]
struct Modes(String);

#[test]
fn a_replay_opens_moves_resizes_and_gives_the_terminal_back() {
    let home = tempfile::tempdir().unwrap();
    let folder = story::named("finished").write(home.path());
    let mut program = Program::start(&["replay", folder.path().to_str().unwrap()], home.path(), 80, 24);
    let before = program.modes();
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
    assert_eq!(program.ends(&before), 0);
}

#[test]
fn signals_end_the_viewer_with_the_terminal_restored() {
    use rustix::process::Signal;
    let home = tempfile::tempdir().unwrap();
    let folder = story::named("learning").write(home.path());
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut program = Program::start(&["watch", folder.path().to_str().unwrap()], home.path(), 80, 24);
        let before = program.modes();
        program.see("no engine");
        program.signal(signal);
        program.ends(&before);
    }
}

#[test]
fn nothing_is_sent_while_nothing_changes() {
    let home = tempfile::tempdir().unwrap();
    let folder = story::named("learning").write(home.path());
    let mut program = Program::start(&["watch", folder.path().to_str().unwrap()], home.path(), 120, 40);
    program.see("no engine");
    while program.take(Duration::from_millis(700)).is_ok() {}
    // The clock in the header changes once a minute: of two windows in a row one is always silent.
    let silent = (0..2).any(|_| {
        let sent = program.received;
        let _ = program.take(Duration::from_secs(3));
        program.received == sent
    });
    assert!(silent, "{}", program.screen.screen().contents());
    program.press("q");
    program.child.wait().unwrap();
}
