//! What a viewer costs and how soon it answers, on the whole program in a terminal. The bounds here are wide, for busy machines and builds
//! without optimisation; `SECONDS=60 cargo test --release tui_speed -- --nocapture --test-threads=1` measures, and prints what it found.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use selfreward::engine::launch;
use selfreward::run::entry::Stamp;
use selfreward::run::folder::RunFolder;

use crate::pty::Program;
use crate::stage::{entries, size, small};
use crate::story;

/// How long is looked; the environment may ask for more.
fn seconds(otherwise: f64) -> f64 {
    std::env::var("SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(otherwise)
}

fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// Milliseconds from a key to the first byte that it draws. On a starved machine two keys may be drawn as one frame, whose bytes were
/// taken for the answer to the first: what is not answered is shown and left out, and the test counts.
fn answers(program: &mut Program, keys: &[&str]) -> Vec<f64> {
    (0..size(32, 80))
        .filter_map(|turn| {
            program.quiet(Duration::from_millis(30));
            let begun = Instant::now();
            let key = keys[turn % keys.len()];
            program.press(key);
            if program.take(Duration::from_secs(10)).is_err() {
                eprintln!("no answer to `{key}`; the screen is\n{}", program.shows());
                return None;
            }
            Some(begun.elapsed().as_secs_f64() * 1000.0)
        })
        .collect()
}

/// Processes that keep every core busy, with the priority that an engine has.
struct Busy(Vec<Child>);

impl Busy {
    fn all_cores() -> Busy {
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get());
        let burn = |_| Command::new("nice").args(["-n", "10", "sh", "-c", "while :; do :; done"]).spawn().unwrap();
        Busy((0..cores).map(burn).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_key_is_answered_at_once_also_when_the_engine_keeps_every_core_busy() {
    let home = tempfile::tempdir().unwrap();
    let folder = story::named("learning").write(home.path());
    let mut program = Program::start(&["watch", folder.path().to_str().unwrap()], home.path(), 120, 40);
    program.see("no engine");
    let keys = ["3", "j", "j", "7", "5", "6", "2", "1"];
    let idle = answers(&mut program, &keys);
    let busy = {
        let _burning = Busy::all_cores();
        answers(&mut program, &keys)
    };
    let figures = |of: &[f64]| (percentile(of.to_vec(), 0.5), percentile(of.to_vec(), 0.95));
    eprintln!("key to bytes, ms (median, p95): idle {:.1?}, busy {:.1?}", figures(&idle), figures(&busy));
    assert!(idle.len() + busy.len() + 1 >= 2 * size(32, 80), "more than one key drew nothing");
    assert!(figures(&idle).1 < 1000.0 && figures(&busy).1 < 2000.0);
    program.press("q");
    program.end();
}

/// An engine that trains for a while.
fn training(root: &std::path::Path) -> (RunFolder, Child) {
    let mut settings = small(4);
    // Slower where it is looked at for longer, so that it does not end meanwhile.
    settings.rehearsal.tempo = (seconds(2.0) / 20.0).max(0.5);
    let folder = launch::create(root, "a", &settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfreward"));
    let child = command.arg("engine").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !folder.has_journal() || entries(&folder).len() < 20 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    (folder, child)
}

/// Entries recorded in this time, and the longest silence between two of them, in seconds.
fn recorded(folder: &RunFolder, from: Stamp, to: Stamp) -> (usize, f64) {
    let times: Vec<Stamp> =
        entries(folder).iter().map(|entry| entry.at).filter(|at| (from..=to).contains(at)).collect();
    let silence = times.windows(2).map(|two| two[1].seconds_since(two[0])).fold(0.0, f64::max);
    (times.len(), silence)
}

#[test]
fn a_viewer_that_is_stopped_stalls_no_engine() {
    let root = tempfile::tempdir().unwrap();
    let (folder, mut engine) = training(root.path());
    let mut program = Program::start(&["attach", folder.path().to_str().unwrap()], root.path(), 120, 40);
    program.see("LIVE");
    let clock = || selfreward::tui::terminal::clock();
    let wait = Duration::from_secs_f64(seconds(2.0));
    let before = clock();
    std::thread::sleep(wait);
    let stopped = clock();
    program.signal(Signal::STOP);
    std::thread::sleep(wait);
    let after = clock();
    program.signal(Signal::CONT);
    let (with, without) = (recorded(&folder, before, stopped), recorded(&folder, stopped, after));
    eprintln!("entries and longest silence: viewer running {with:?}, viewer stopped {without:?}");
    assert!((without.0 as f64) > 0.3 * with.0 as f64, "{with:?} {without:?}");
    program.press("1");
    program.quiet(Duration::from_millis(200));
    program.press("q");
    program.end();
    let _ = engine.kill();
    let _ = engine.wait();
}

/// Seconds of processor time that a process has used, and its memory in megabytes.
fn used(pid: u32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    (ticks / 100.0, line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0)
}

#[test]
fn looking_at_a_living_run_costs_next_to_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (folder, mut engine) = training(root.path());
    let mut program = Program::start(&["watch", folder.path().to_str().unwrap()], root.path(), 120, 40);
    program.see("LIVE");
    let pid = program.child.process_id().unwrap();
    program.quiet(Duration::from_millis(100));
    let (before, begun, sent) = (used(pid), Instant::now(), program.received);
    let wait = Duration::from_secs_f64(seconds(3.0));
    while let Some(left) = wait.checked_sub(begun.elapsed()) {
        let _ = program.take(left);
    }
    let took = begun.elapsed().as_secs_f64();
    let now = used(pid);
    let share = (now.0 - before.0) / took;
    eprintln!(
        "a living run watched for {took:.0} s: {:.2}% of a core, {:.0} MB, {:.1} kB a second to the terminal",
        100.0 * share,
        now.1,
        (program.received - sent) as f64 / took / 1000.0
    );
    assert!(share < 0.5 && now.1 < 300.0, "{share} {now:?}");
    program.press("q");
    program.end();
    let _ = engine.kill();
    let _ = engine.wait();
}
