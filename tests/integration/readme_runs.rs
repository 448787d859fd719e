//! The README, typed by a reader: every command of its shell blocks runs here, in its order, in a home of its own, against small runs.
//!
//! A command that no rule names fails the test, and so does a rule whose command is gone. Programs that a test cannot have (cargo, srun,
//! ssh) are stand-ins that run what they are asked to run; what cannot even be stood in for is named as such, with its reason.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use selfreward::cli::arguments::Arguments;
use selfreward::cli::open;
use selfreward::run::folder::RunFolder;

use crate::patience::{end_of, until};
use crate::pty::Program;
use crate::teacher_server::{Server, steady};

/// What happens when a command of the README is typed.
#[derive(Clone, Copy)]
enum Typed {
    /// It ends with this code and has said this.
    Says(i32, &'static str),
    /// It opens screens that show this; `q` leaves them.
    Opens(&'static str),
    /// The same after a question that is answered with yes.
    Agrees(&'static str),
    /// A command of the model: with these arguments more it says this. Without the model there is no such command.
    OfModel(&'static str, &'static str),
    /// Only understood, and why it is not run.
    Understood(&'static str),
    /// Not this program's: why, and a file that must be there.
    Elsewhere(&'static str, &'static str),
}
use Typed::*;

/// A command, what happens, and the state to which a run then comes.
type Rule = (&'static str, Typed, Option<(&'static str, &'static str)>);

/// Every command of the README in its order; after some the run of this name has come to this state.
const RULES: &[Rule] = &[
    ("cargo run --release -- demo", Understood("a minute of training: tests/integration/whole.rs plays it"), None),
    (".ci/run", Elsewhere("it runs these tests", ".ci/run"), None),
    ("selfreward demo --collapse parse", Understood("a minute of training: tests/long/seeds.py measures it"), None),
    ("selfreward replay example", Opens("REPLAY"), None),
    ("selfreward run --name first --gate wait", Opens("first"), Some(("first", "waiting"))),
    ("selfreward attach first", Opens("first"), None),
    ("selfreward watch first", Opens("first"), None),
    ("selfreward ls", Says(0, "first"), None),
    ("selfreward status first", Says(0, "first: waiting"), None),
    ("selfreward stop first", Says(0, "request taken"), Some(("first", "interrupted"))),
    ("selfreward resume first", Opens("first"), Some(("first", "waiting"))),
    ("selfreward check first", Opens("suspicion"), None),
    ("selfreward gate first", Says(0, "is open: 0 of"), None),
    ("selfreward pairs first --filter 'susp>.3'", Says(0, "1:3"), None),
    ("selfreward keep first 1:1", Says(0, "pair decided"), None),
    ("selfreward veto first 1:3 --reason wrong", Says(0, "pair decided"), None),
    ("selfreward swap first 1:4", Says(0, "pair decided"), None),
    ("selfreward tie first 1:6", Says(0, "pair decided"), None),
    ("selfreward score first 1:6 0 4.5", Says(0, "first: "), None),
    ("selfreward undo first", Says(0, "pair decided"), None),
    ("selfreward gate first close", Says(0, "request taken"), Some(("first", "finished"))),
    (
        "selfreward run --name broken --policy rehearsal --story parse --gate off --headless --fail-on error",
        Says(3, "ERROR judge-parse"),
        Some(("broken", "interrupted")),
    ),
    ("selfreward alerts broken", Says(0, "judge-parse"), None),
    ("selfreward rollback broken --to M1 --set judge.samples=5", Says(0, "the request waits"), None),
    ("selfreward resume broken --detach", Says(0, "goes on by itself"), None),
    ("selfreward replay first --at 40% --speed 10", Opens("REPLAY"), None),
    ("selfreward diff first broken", Says(0, "judge.samples"), None),
    ("selfreward what-if first rho=.3", Says(0, "by this rule"), None),
    ("selfreward export first trl --out pairs.jsonl", Says(0, ""), None),
    ("selfreward export first report --out report.html", Says(0, ""), None),
    ("selfreward export first steps --format csv", Says(0, "loss"), None),
    ("selfreward metrics first --judges", Says(0, "self (M2)"), None),
    ("selfreward metrics --scores mine.jsonl --reference people.jsonl", Says(0, "pairwise"), None),
    ("selfreward run --name night --detach", Says(0, "goes on by itself"), None),
    ("ssh server selfreward status night", Says(0, "night: "), None),
    ("selfreward stop night", Says(0, "night: "), Some(("night", "interrupted"))),
    ("selfreward doctor", Says(0, "disk"), None),
    (
        "srun --signal=TERM@120 selfreward run --name week --config week.toml --foreground --headless",
        Says(0, "run finished with M2"),
        None,
    ),
    ("srun --signal=TERM@120 selfreward resume night --foreground --headless", Says(0, "run finished with M2"), None),
    ("selfreward model inspect DIR", OfModel("", "its own chat template"), None),
    (
        "selfreward run --name mine --set model.base=DIR --set data.ift=ift.jsonl --set data.eft=eft.jsonl",
        Opens("mine"),
        None,
    ),
    (
        "selfreward generate --model DIR --prompt \"Describe a pear.\"",
        OfModel("--max-tokens 8 --temperature 0", " "),
        None,
    ),
    ("selfreward logprobs --model DIR --input texts.jsonl", OfModel("", "tokens   sum"), None),
    (
        "selfreward judge --model DIR --eft eft.jsonl",
        OfModel("--preset tiny --set judge.samples=1", "judgements"),
        None,
    ),
    ("selfreward train sft --model DIR --data ift.jsonl --out tuned", OfModel("", "tuned/model"), None),
    ("selfreward train dpo --model DIR --data eft.jsonl --out preferred", OfModel("", "preferred/model"), None),
    ("selfreward bench", OfModel("--batch 4 --repeats 1 --no-training", "tokens/s"), None),
    ("selfreward forge --out made --seed 7", Understood("minutes of training: forge.rs makes a smaller one"), None),
    (
        "cargo build --release --features cuda",
        Elsewhere("its build downloads LLVM; .ci/run checks its types", "Cargo.toml"),
        None,
    ),
    ("selfreward config check --config week.toml", Says(0, "fine: preset tiny"), None),
    ("selfreward config show --changed", Says(0, "SELFREWARD_PROMPTS__COUNT"), None),
    ("selfreward config schema", Says(0, "nll_weight"), None),
    ("selfreward man man1", Says(0, "man1"), None),
    ("selfreward completions bash", Says(0, "_selfreward"), None),
    ("selfreward run --name labels --recipe ser", Opens("labels"), None),
    ("selfreward run --name ranked --recipe ser --set data.pairs=ranked.jsonl", Opens("ranked"), None),
    ("selfreward metrics labels --judges", Says(0, ""), None),
    ("selfreward doctor --endpoint http://127.0.0.1:8000/v1 --model NAME", Says(0, "checks:"), None),
    (
        "SELFREWARD_TEACHER_KEY=secret selfreward run --name taught --recipe teacher-reward --set teacher.endpoint=http://127.0.0.1:8000/v1 --set teacher.model=NAME --set teacher.price_in=0.5 --set teacher.price_out=1.5 --set teacher.cap_cost=20",
        Agrees("taught"),
        None,
    ),
    ("selfreward spend taught --cost 30", Says(0, "taught: "), None),
    ("selfreward metrics taught --judges", Says(0, ""), None),
];

/// A rehearsed run is small, and a run that nobody names a gate for does not wait.
const SMALL: [(&str, &str); 8] = [
    ("SELFREWARD_RUN__POLICY", "rehearsal"),
    ("SELFREWARD_RUN__ITERATIONS", "1"),
    ("SELFREWARD_DATA__LIMIT", "48"),
    ("SELFREWARD_PROMPTS__COUNT", "20"),
    ("SELFREWARD_EVAL__INSTRUCTIONS", "8"),
    ("SELFREWARD_EVAL__RANKED", "15"),
    ("SELFREWARD_EVAL__BOOTSTRAP", "50"),
    ("SELFREWARD_GATE__DEADLINE", "1s"),
];

/// A fenced block: its language and its lines.
fn blocks(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut open = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(language) => {
                open = !open;
                if open {
                    found.push((language, Vec::new()));
                }
            }
            None if open => found.last_mut().unwrap().1.push(line),
            None => {}
        }
    }
    found
}

/// The commands of shell lines: a line that ends in `\` goes on, and what stands behind ` # ` is for people.
fn commands(lines: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = String::new();
    for line in lines {
        let line = line.split(" # ").next().unwrap().trim();
        open.push_str(line.trim_end_matches('\\'));
        if !line.ends_with('\\') {
            all.push(std::mem::take(&mut open));
        }
    }
    all
}

struct Home {
    root: tempfile::TempDir,
    path: String,
    teacher: Server,
}

impl Home {
    fn new(page: &str) -> Home {
        let root = tempfile::tempdir().unwrap();
        let at = root.path();
        let bin = at.join("bin");
        std::fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_selfreward"), bin.join("selfreward")).unwrap();
        // The scheduler's and the shell's own options are left out, the command is run.
        for (name, script) in [("srun", "shift; exec \"$@\""), ("ssh", "shift; exec \"$@\"")] {
            let file = bin.join(name);
            std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tiny");
        symlink(&tiny, at.join("DIR")).unwrap();
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("runs"), at.join("runs-of-the-checkout")).unwrap();
        let beginning = |file: &str, rows: usize| -> String {
            let text = std::fs::read_to_string(tiny.join(file)).unwrap();
            text.lines().take(rows).map(|line| format!("{line}\n")).collect()
        };
        let write = |file: &str, text: String| std::fs::write(at.join(file), text).unwrap();
        write("ift.jsonl", beginning("ift.jsonl", 12));
        write("eft.jsonl", beginning("eft_held_out.jsonl", 8));
        write("ranked.jsonl", beginning("eft_held_out.jsonl", 48));
        write("texts.jsonl", "{\"text\":\"A pear is a fruit.\"}\n".into());
        let scores = |of: [u8; 2]| {
            let row = |id: usize| format!("{{\"prompt_id\":\"p\",\"response_id\":\"{id}\",\"score\":{}}}\n", of[id]);
            row(0) + &row(1)
        };
        write("mine.jsonl", scores([4, 2]));
        write("people.jsonl", scores([5, 1]));
        // Files that the page shows whole say their name in their first line.
        for (language, lines) in blocks(page) {
            if language == "toml" {
                write(lines[0].trim_start_matches("# "), lines.join("\n"));
            }
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Home { root, path, teacher: Server::start(steady) }
    }

    fn at(&self) -> &Path {
        self.root.path()
    }

    fn runs(&self) -> PathBuf {
        self.at().join("all-runs")
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let own = [("PATH", self.path.clone()), ("SELFREWARD_RUNS", self.runs().display().to_string())];
        SMALL.iter().map(|(name, value)| (*name, value.to_string())).chain(own).collect()
    }

    fn says(&self, command: &str) -> (i32, String) {
        let said = self.at().join("said");
        let file = std::fs::File::create(&said).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.at()).stdin(Stdio::null());
        shell.env_clear().env("HOME", self.at()).env("USER", "ana").envs(self.variables());
        let mut child = shell.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let code = end_of(&mut child).code().unwrap_or(-1);
        (code, String::from_utf8(std::fs::read(said).unwrap()).unwrap())
    }

    fn opens(&self, command: &str, agree: bool, shows: &str) {
        let variables = self.variables();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut program = Program::run("sh", &["-c", command], &variables, self.at(), 100, 30);
        if agree {
            program.see("start? [y/N]");
            program.press("y\r");
        }
        program.see("q detach");
        if !program.shows().contains(shows) {
            program.press("4");
        }
        program.see(shows);
        program.press("q");
        assert_eq!(program.ends(), 0, "{command}");
    }

    fn comes_to(&self, run: &str, state: &str) {
        until(&format!("{run} is {state}"), || {
            open::read(RunFolder::at(self.runs().join(run))).is_ok_and(|opened| opened.state() == state)
        });
    }
}

impl Drop for Home {
    /// No engine outlives the test.
    fn drop(&mut self) {
        for run in selfreward::run::folder::list(&self.runs()).unwrap_or_default() {
            let Some(holder) = run.holder() else { continue };
            let pid = i32::try_from(holder.pid).ok().and_then(rustix::process::Pid::from_raw);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
    }
}

fn understood(command: &str) {
    let words = command.replace("cargo run --release --", "selfreward");
    if words.starts_with("selfreward forge") && cfg!(not(feature = "llama")) {
        return;
    }
    let parsed = Arguments::try_parse_from(words.split_whitespace());
    assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut typed = Vec::new();
    for (language, lines) in blocks(&page) {
        assert!(["sh", "toml", "ini", "text"].contains(&language), "a block without a known language: {lines:?}");
        match language {
            "sh" => typed.extend(commands(&lines)),
            // A unit's command is understood; no test has a systemd.
            "ini" => {
                let starts = lines.iter().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
                understood(&starts.replace("%h/.cargo/bin/", ""));
            }
            _ => {}
        }
    }
    let ruled: Vec<&str> = RULES.iter().map(|(command, _, _)| *command).collect();
    assert_eq!(typed, ruled, "the README's commands on the left, the rules of this test on the right");
    let home = Home::new(&page);
    for (command, what, then) in RULES {
        // A test that fails or waits in vain says where it was.
        eprintln!("README: {command}");
        let line = command.replace("http://127.0.0.1:8000/v1", &home.teacher.base);
        match what {
            Says(code, says) => {
                let (ended, said) = home.says(&line);
                assert!(ended == *code && said.contains(says), "{command}: {ended}, not {code} and `{says}`\n{said}");
            }
            Opens(shows) => {
                // The examples lie in the checkout's folder of runs.
                let line = match line.contains("example") {
                    true => format!("{line} --runs runs-of-the-checkout"),
                    false => line,
                };
                home.opens(&line, false, shows);
            }
            Agrees(shows) => home.opens(&line, true, shows),
            OfModel(more, says) => {
                let (ended, said) = home.says(&format!("{line} {more}"));
                let fits = match cfg!(feature = "llama") {
                    true => ended == 0 && said.contains(says),
                    false => ended == 2 && said.contains("unrecognized subcommand"),
                };
                assert!(fits, "{command}: {ended}\n{said}");
            }
            Understood(why) => {
                assert!(!why.is_empty());
                understood(&line);
            }
            Elsewhere(why, file) => {
                assert!(!why.is_empty() && Path::new(env!("CARGO_MANIFEST_DIR")).join(file).is_file(), "{command}");
            }
        }
        if let Some((run, state)) = then {
            home.comes_to(run, state);
        }
    }
    for file in ["pairs.jsonl", "report.html", "man1/selfreward-veto.1"] {
        assert!(home.at().join(file).metadata().is_ok_and(|file| file.len() > 500), "{file}");
    }
}
