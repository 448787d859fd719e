//! The terminal itself: taken and given back in one place, signals, the event loop, frames drawn only when something changed.
//!
//! Used by `watch`. The guard restores what it changed, in reverse order and once, however the viewer ends: quit, error, panic of the
//! drawing thread, SIGTERM, SIGHUP, SIGINT, suspension. A panic elsewhere leaves the screen alone.

use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant, SystemTime};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event,
};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    SetTitle, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, queue};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};

use crate::run::entry::Stamp;

/// True while the screen is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken. Dropping it gives it back.
pub struct TermGuard {
    pub terminal: Terminal<CrosstermBackend<BufWriter<io::Stdout>>>,
    mouse: bool,
    /// The frame before.
    shown: Option<ratatui::buffer::Buffer>,
}

impl TermGuard {
    pub fn take(mouse: bool) -> io::Result<TermGuard> {
        install_panic_hook();
        enable()?;
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(64 << 10, io::stdout())))?;
        let mut guard = TermGuard { terminal, mouse: false, shown: None };
        guard.set_mouse(mouse)?;
        guard.clear()?;
        Ok(guard)
    }

    pub fn set_mouse(&mut self, on: bool) -> io::Result<()> {
        if on != self.mouse {
            self.mouse = on;
            if on { execute!(io::stdout(), EnableMouseCapture) } else { execute!(io::stdout(), DisableMouseCapture) }?;
        }
        Ok(())
    }

    /// Gives the terminal back for a while: another program runs, or the process is stopped.
    pub fn lend<T>(&mut self, meanwhile: impl FnOnce() -> T) -> io::Result<T> {
        restore();
        let result = meanwhile();
        enable()?;
        let mouse = std::mem::take(&mut self.mouse);
        self.set_mouse(mouse)?;
        self.clear()?;
        Ok(result)
    }

    /// Draws one frame inside a synchronized update, which is closed even when drawing fails. A frame that looks like the one before it
    /// sends nothing at all.
    pub fn draw(&mut self, render: impl FnOnce(&mut ratatui::Frame)) -> io::Result<()> {
        self.terminal.autoresize()?;
        render(&mut self.terminal.get_frame());
        let drawn = self.terminal.current_buffer_mut();
        if self.shown.as_ref() == Some(drawn) {
            drawn.reset();
            return Ok(());
        }
        self.shown = Some(drawn.clone());
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let flushed = self.terminal.flush();
        self.terminal.swap_buffers();
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.terminal.backend_mut().flush()?;
        flushed
    }

    /// Forgets what is on the screen: the next frame is drawn whole. Asks the terminal nothing, since not every one answers.
    pub fn clear(&mut self) -> io::Result<()> {
        self.shown = None;
        // Both buffers are blank after this: one was just swapped out, the other has not been drawn into.
        self.terminal.swap_buffers();
        queue!(self.terminal.backend_mut(), Clear(ClearType::All))?;
        self.terminal.backend_mut().flush()
    }

    pub fn title(&mut self, title: &str) -> io::Result<()> {
        execute!(io::stdout(), SetTitle(title))
    }

    pub fn bell(&mut self) -> io::Result<()> {
        io::stdout().write_all(b"\x07")?;
        io::stdout().flush()
    }
}

impl Drop for TermGuard {
    fn drop(&mut self) {
        restore();
    }
}

fn enable() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)
}

/// Gives the terminal back; the second call does nothing, so that a message printed meanwhile stays.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // The terminal may be gone: there is nobody left to tell.
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableBracketedPaste,
            cursor::Show,
            LeaveAlternateScreen
        );
        let _ = disable_raw_mode();
    }
}

/// A panic of the thread that draws gives the terminal back before its message is printed. Other threads' messages would garble the
/// screen: they are kept and printed at the end.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let drawing = std::thread::current().id();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == drawing {
                restore();
                before(info);
            } else if !TAKEN.load(Ordering::SeqCst) {
                before(info);
            } else if let Ok(mut kept) = ELSEWHERE.lock() {
                kept.push(info.to_string());
            }
        }));
    });
}

static ELSEWHERE: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

/// Panics of other threads since the screen was taken, to be printed after it was given back.
pub fn panics_elsewhere() -> Vec<String> {
    ELSEWHERE.lock().map(|mut kept| std::mem::take(&mut *kept)).unwrap_or_default()
}

/// What wakes the loop.
#[derive(Debug)]
pub enum Woken {
    Input(Event),
    /// A signal that asks the viewer to leave.
    Leave,
    /// Continued after a stop: everything must be drawn again.
    Continued,
    /// Nothing came in the given time.
    Time,
}

/// The input thread and the signal thread, and their common channel.
pub struct Waiting {
    incoming: Receiver<Woken>,
    /// While true the input thread leaves the terminal to another program.
    lent: Arc<AtomicBool>,
}

impl Waiting {
    pub fn start() -> io::Result<Waiting> {
        let (to, incoming) = channel();
        let lent = Arc::new(AtomicBool::new(false));
        watch_signals(to.clone())?;
        let reading = lent.clone();
        std::thread::Builder::new().name("input".into()).spawn(move || read_input(&to, &reading))?;
        Ok(Waiting { incoming, lent })
    }

    /// Waits at most this long.
    pub fn next(&self, at_most: Duration) -> Woken {
        match self.incoming.recv_timeout(at_most) {
            Ok(woken) => woken,
            Err(RecvTimeoutError::Timeout) => Woken::Time,
            // Both threads are gone: the terminal is.
            Err(RecvTimeoutError::Disconnected) => Woken::Leave,
        }
    }

    /// What has come already.
    pub fn ready(&self) -> Option<Woken> {
        self.incoming.try_recv().ok()
    }

    pub fn lend<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.lent.store(true, Ordering::SeqCst);
        // The reader looks at the flag at least this often.
        std::thread::sleep(POLL + Duration::from_millis(10));
        let result = meanwhile();
        self.lent.store(false, Ordering::SeqCst);
        result
    }
}

/// Not shorter: crossterm waits for the last fraction of a millisecond of each poll by asking again and again. At 40 ms that was most of what
/// a viewer cost.
const POLL: Duration = Duration::from_millis(200);

fn read_input(to: &Sender<Woken>, lent: &AtomicBool) {
    loop {
        if lent.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        let sent = match event::poll(POLL) {
            Ok(false) => continue,
            Ok(true) => match event::read() {
                Ok(event) => to.send(Woken::Input(event)),
                Err(_) => break,
            },
            Err(_) => break,
        };
        if sent.is_err() {
            return;
        }
    }
    let _ = to.send(Woken::Leave);
}

fn watch_signals(to: Sender<Woken>) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGHUP, SIGINT, SIGCONT])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let woken = if signal == SIGCONT { Woken::Continued } else { Woken::Leave };
            if to.send(woken).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Stops this process group as Ctrl-Z does outside of raw mode. A session leader has nobody to return to and is not stopped.
pub fn stop_self() -> io::Result<()> {
    use rustix::process::{Signal, getpid, getsid, kill_current_process_group};
    if getsid(None)? == getpid() {
        return Err(io::Error::other("there is no shell to go back to"));
    }
    // SIGSTOP and not SIGTSTP: an orphaned group drops the latter.
    kill_current_process_group(Signal::STOP).map_err(io::Error::from)
}

/// The wall clock. The only place of the viewer that reads it.
pub fn clock() -> Stamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Stamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// When to draw: at once after a key, at most so often for data, and seldom on a slow line. Frames are dropped, keys never.
pub struct Pace {
    last: Instant,
    data: Duration,
    slow: Duration,
}

impl Pace {
    pub fn new(frames_per_second: f64) -> Pace {
        let data = Duration::from_secs_f64(1.0 / frames_per_second.clamp(0.2, 60.0));
        Pace { last: Instant::now() - data, data, slow: Duration::ZERO }
    }

    /// How long to wait until a frame for data, or for a key, is due.
    pub fn wait(&self, for_key: bool) -> Duration {
        let between = if for_key { Duration::from_millis(10) } else { self.data };
        (self.last + between.max(self.slow)).saturating_duration_since(Instant::now())
    }

    /// A frame was drawn and took so long to get out.
    pub fn drawn(&mut self, took: Duration) {
        self.last = Instant::now();
        // A flush that blocks means a slow line: ten times its length until the next one, at most a second.
        self.slow =
            if took > Duration::from_millis(50) { (took * 10).min(Duration::from_secs(1)) } else { self.slow / 2 };
    }
}
