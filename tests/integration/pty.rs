//! A program in a terminal of its own: what it draws, keys that it gets, and whether it gave the terminal back.
//!
//! Used by the tests of the whole viewer; tests nothing itself.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use crate::patience::{PATIENCE, until};

pub struct Program {
    pub child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    pub screen: vt100::Parser,
    pub received: usize,
    /// Everything that came, as it came.
    pub raw: Vec<u8>,
    /// The terminal's modes before the program ran.
    before: Modes,
}

impl Program {
    /// The program with these arguments.
    pub fn start(arguments: &[&str], home: &Path, width: u16, height: u16) -> Program {
        Program::run(env!("CARGO_BIN_EXE_selfreward"), arguments, &[], home, width, height)
    }

    /// Any program.
    pub fn run(
        program: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
        home: &Path,
        width: u16,
        height: u16,
    ) -> Program {
        let size = PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env_clear();
        let path = std::env::var("PATH").unwrap_or_default();
        let home = home.to_str().unwrap();
        for (name, value) in
            [("HOME", home), ("PATH", &path), ("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("USER", "ana")]
        {
            command.env(name, value);
        }
        for (name, value) in variables {
            command.env(name, value);
        }
        command.cwd(home);
        let before = modes(&*pair.master);
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
        Program { child, master: pair.master, keys, bytes, screen, received: 0, raw: Vec::new(), before }
    }

    pub fn take(&mut self, at_most: Duration) -> Result<(), RecvTimeoutError> {
        let bytes = self.bytes.recv_timeout(at_most)?;
        self.received += bytes.len();
        self.screen.process(&bytes);
        self.raw.extend_from_slice(&bytes);
        Ok(())
    }

    /// Waits until the screen shows this.
    pub fn see(&mut self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.screen.screen().contents().contains(wanted) {
            let left = until.saturating_duration_since(Instant::now());
            let took = self.take(left);
            assert!(took.is_ok(), "`{wanted}` did not come; the screen is\n{}", self.screen.screen().contents());
        }
    }

    /// Takes what comes until nothing has come for so long.
    pub fn quiet(&mut self, for_so_long: Duration) {
        while self.take(for_so_long).is_ok() {}
    }

    pub fn shows(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until the screen shows this no longer.
    pub fn gone(&mut self, unwanted: &str) {
        let until = Instant::now() + PATIENCE;
        while self.screen.screen().contents().contains(unwanted) {
            let left = until.saturating_duration_since(Instant::now());
            let took = self.take(left);
            assert!(took.is_ok(), "`{unwanted}` did not go; the screen is\n{}", self.screen.screen().contents());
        }
    }

    /// Waits until a shell asks for its next command.
    pub fn prompt(&mut self, prompt: &str) {
        let asks = |screen: &vt100::Screen| {
            let row = screen.cursor_position().0;
            !screen.alternate_screen()
                && screen.rows(0, screen.size().1.get()).nth(row.into()).is_some_and(|row| row.trim_end() == prompt)
        };
        until("the shell asks", || {
            let _ = self.take(Duration::from_millis(20));
            asks(self.screen.screen())
        });
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn resize(&mut self, width: u16, height: u16) {
        self.master.resize(PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 }).unwrap();
        self.screen.screen_mut().set_size(height.try_into().unwrap(), width.try_into().unwrap());
    }

    pub fn signal(&mut self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// How the program ended, once it has.
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        until("the program ends", || {
            while self.take(Duration::ZERO).is_ok() {}
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for the end; the terminal must be as it was.
    pub fn ends(&mut self) -> u32 {
        let status = self.end();
        // Usually the terminal's other side is closed by now, and this ends at once.
        self.quiet(Duration::from_secs(2));
        self.is_restored();
        status.exit_code()
    }

    /// Nothing of what a viewer changes in a terminal is left.
    pub fn is_restored(&self) {
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is still on");
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
        assert!(!screen.bracketed_paste(), "bracketed paste is still on");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is still captured");
        assert_eq!(self.before, modes(&*self.master), "echo and line editing are not as they were");
    }
}

impl Drop for Program {
    /// A test that fails leaves no program behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The modes of a terminal, as far as they can be compared.
type Modes = String;

fn modes(terminal: &dyn MasterPty) -> Modes {
    format!("{:?}", terminal.get_termios().map(|modes| modes.local_flags))
}
