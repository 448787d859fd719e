//! Measures the viewer on a run of a million events: reading, seeking, frames, bytes, memory.
//!
//! `cargo bench --no-default-features --bench looking_glass -- [PROMPTS [FOLDER]]`. An existing folder is read, not written. `STEPS` sets the
//! optimiser's steps of each iteration: a million make charts of a million points.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a probe for people who change the viewer"
)]

use std::time::Instant;

use selfreward::run::entry::Stamp;
use selfreward::run::folder::RunFolder;
use selfreward::tui::app::{App, Mode, Msg, update};
use selfreward::tui::errands::painted;
use selfreward::tui::settings::Settings;
use selfreward::tui::source::Source;

#[path = "../tests/integration/story/mod.rs"]
mod story;

fn memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("VmRSS: 0 kB");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1000.0
}

/// Milliseconds of processor time of this thread: a busy machine makes no difference to it.
fn worked() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// A viewer at the end of a growing run: memory, the first frame, and the bytes of a frame after each new step.
fn live(folder: &RunFolder) {
    let (begun, work) = (Instant::now(), worked());
    let mut source = Source::open(folder.clone());
    source.poll(4000).unwrap();
    let app = App::new(source, Mode::ReadOnly, Settings::default());
    painted(&app, 120, 40).unwrap();
    println!("first frame, still reading: {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    let mut app = app;
    app.source.read_all().unwrap();
    println!(
        "live at the end: {:.2} s ({:.2} s of work), memory {:.0} MB",
        begun.elapsed().as_secs_f64(),
        (worked() - work) / 1000.0,
        memory_mb()
    );
    // Each step of the end of the run as a frame over the frame before it.
    let last = app.source.head().seq;
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        update(&mut app, Msg::Resize(width, height));
        let mut terminal = changing::Changing::new(width, height);
        let mut bytes: Vec<f64> = Vec::new();
        for seq in (last - 1200..last - 1000).step_by(4) {
            app.source.seek(seq);
            bytes.push(terminal.draw(&app) as f64);
        }
        println!(
            "{width}x{height} bytes per changed frame: median {}, p95 {}",
            percentile(&mut bytes[1..], 0.5),
            percentile(&mut bytes[1..], 0.95)
        );
    }
}

/// A terminal that counts what each frame adds to the one before.
mod changing {
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    use ratatui::backend::CrosstermBackend;
    use ratatui::layout::Rect;
    use ratatui::{Terminal, TerminalOptions, Viewport};
    use selfreward::tui::app::App;
    use selfreward::tui::screen;

    #[derive(Clone, Default)]
    struct Counter(Rc<RefCell<usize>>);

    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            *self.0.borrow_mut() += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub struct Changing {
        terminal: Terminal<CrosstermBackend<Counter>>,
        counter: Counter,
    }

    impl Changing {
        pub fn new(width: u16, height: u16) -> Changing {
            let counter = Counter::default();
            let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, width, height)) };
            let terminal = Terminal::with_options(CrosstermBackend::new(counter.clone()), options).unwrap();
            Changing { terminal, counter }
        }

        pub fn draw(&mut self, app: &App) -> usize {
            *self.counter.0.borrow_mut() = 0;
            self.terminal.draw(|frame| screen::draw(frame, app)).unwrap();
            *self.counter.0.borrow()
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let prompts: u32 = arguments.next().map_or(28_000, |text| text.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let folder = match arguments.next() {
        Some(path) if RunFolder::at(&path).has_journal() => RunFolder::at(path),
        given => {
            let root =
                given.map_or(root.path().to_path_buf(), |path| std::path::Path::new(&path).parent().unwrap().into());
            let begun = Instant::now();
            let steps = std::env::var("STEPS").map_or(2000, |steps| steps.parse().unwrap());
            let plot = story::Plot { prompts, steps, name: "million", ..story::Plot::default() };
            let folder = plot.write(&root);
            println!("written in {:.1} s", begun.elapsed().as_secs_f64());
            folder
        }
    };
    live(&folder);
    println!("memory before {:.0} MB", memory_mb());
    let (begun, work) = (Instant::now(), worked());
    let mut source = Source::open_with(folder, std::env::var("FRAMES").map_or(8192, |every| every.parse().unwrap()));
    source.read_all().unwrap();
    println!(
        "{} events opened in {:.2} s ({:.3} s of work), memory {:.0} MB",
        source.head().seq,
        begun.elapsed().as_secs_f64(),
        (worked() - work) / 1000.0,
        memory_mb()
    );
    let last = source.head().seq;
    let mut app = App::new(source, Mode::Replay { second_opinion: false }, Settings::default());
    app.clock = Stamp(app.source.head().at.0);
    let mut random = 88_172_645_463_325_252u64;
    let mut times = Vec::new();
    for _ in 0..200 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let work = worked();
        app.source.seek(random % last);
        times.push(worked() - work);
    }
    println!(
        "seek, ms of work: median {:.1} ms, p95 {:.1} ms, worst {:.1} ms",
        percentile(&mut times, 0.5),
        percentile(&mut times, 0.95),
        percentile(&mut times, 1.0)
    );
    println!("memory after seeks {:.0} MB", memory_mb());
    app.source.follow();
    for (width, height) in [(80, 24), (120, 40), (200, 60)] {
        update(&mut app, Msg::Resize(width, height));
        for screen in selfreward::tui::app::Screen::ALL {
            app.screen = screen;
            painted(&app, width, height).unwrap();
            let mut times: Vec<f64> = (0..30)
                .map(|_| {
                    // By the clock: some kernels count a thread's work in steps of 4 ms. To be run alone.
                    let begun = Instant::now();
                    painted(&app, width, height).unwrap();
                    begun.elapsed().as_secs_f64() * 1000.0
                })
                .collect();
            let bytes = painted(&app, width, height).unwrap().len();
            println!(
                "{width}x{height} {:<6} whole frame {:.2} ms, {bytes} bytes",
                screen.name(),
                percentile(&mut times, 0.5)
            );
        }
    }
}
