//! Runs to ask the command line about: one as the rehearsal leaves it, and one told by hand whose texts are hostile and whose pairs
//! humans have vetoed, swapped and taken back. And a way to run the program itself.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use selfreward::engine::settings::Settings;
use selfreward::run::entry::{Entry, Stamp};
use selfreward::run::event::*;
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{Model, PromptId, RequestId, Seq, Stage};
use selfreward::run::journal::Writer;
use selfreward::run::measures::{Agreement, Diversity, HeadToHead, Lengths, Referee, ScoreSpread};
use selfreward::run::number::Num;
use selfreward::run::reasons::{Ended, Refusal, Sign, SignKind, Unscored};

/// Terminal escapes, an override of the reading direction, NUL, a bell, an 8-bit control, markup, a quote and a comma.
pub const HOSTILE: &str = "\u{1b}[31mred\u{1b}]0;title\u{7} \u{202e}txet\u{2066} \u{0}nul \u{9b}2J \u{e0041} <script>alert(1)</script> \"q\", &";

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The program with this runs folder, in a home of its own.
pub fn program(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfreward"));
    command.current_dir(root).args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("SELFREWARD_") || name.starts_with("XDG_")) {
            command.env_remove(name);
        }
    }
    command.env("HOME", root).env("USER", "ana").env("SELFREWARD_RUNS", root);
    command
}

pub fn cli(root: &Path, args: &[&str]) -> Said {
    let output = program(root, args).output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A reader that takes one byte of the answer and goes away.
pub fn cut_short(root: &Path, args: &[&str]) -> (i32, String) {
    let mut child = program(root, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let mut byte = [0];
    pipe.read_exact(&mut byte).unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

/// The folder in which `healthy` (a finished rehearsal) and `hostile` lie. Nobody changes them.
pub fn runs() -> &'static Path {
    static RUNS: OnceLock<tempfile::TempDir> = OnceLock::new();
    RUNS.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        crate::stage::play(root.path(), "healthy", &crate::stage::small(7));
        hostile(root.path(), "hostile");
        root
    })
    .path()
}

/// Writes a journal entry by entry.
pub struct Story {
    pub folder: RunFolder,
    writer: Writer,
    seq: Seq,
}

impl Story {
    pub fn begin(root: &Path, name: &str) -> Story {
        let folder = RunFolder::create(root, name).unwrap();
        let writer = Writer::open(folder.path()).unwrap();
        let mut story = Story { folder, writer, seq: 0 };
        let config = serde_json::to_value(Settings::tiny()).unwrap();
        let plan = [(1, Stage::Judge), (1, Stage::Dpo), (1, Stage::Eval)];
        story.tell(RunStarted {
            recipe: "self".into(),
            name: name.into(),
            program: "selfreward 0".into(),
            config,
            config_hash: "c".into(),
            seed: 7,
            policy: "rehearsal".into(),
            judge: "self".into(),
            iterations: 1,
            data: vec![DataRead { role: "ift".into(), source: HOSTILE.into(), rows: 3, refused: 1, hash: "d".into() }],
            plan: plan
                .into_iter()
                .map(|(iteration, stage)| Planned { iteration, stage, model: Model::M(1), total: 9 })
                .collect(),
        });
        story
    }

    pub fn tell(&mut self, event: impl Into<Event>) -> Seq {
        self.seq += 1;
        let at = Stamp(1_795_000_000_000_000 + self.seq as i64 * 1_000_000);
        self.writer.append(&Entry { seq: self.seq, at, event: event.into() }).unwrap();
        self.seq
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    pub fn stage(&mut self, stage: Stage, total: u64) {
        self.tell(StageStarted { iteration: 1, stage, model: Model::M(1), total });
    }

    /// One prompt with two candidates and a pair; the first candidate is chosen.
    pub fn pair(&mut self, number: u32, text: &str, suspicion: f64) -> PromptId {
        self.long_pair(number, text, "", suspicion)
    }

    /// The same with a long end of the chosen answer.
    pub fn long_pair(&mut self, number: u32, text: &str, end: &str, suspicion: f64) -> PromptId {
        let id = PromptId { iteration: 1, number };
        self.tell(PromptWritten {
            id,
            text: format!("prompt {number} {text}"),
            writer: Model::M(0),
            likeness: 0.25,
            attempt: u64::from(number),
            nll: Some(1.5),
        });
        for candidate in 0..2 {
            self.tell(CandidateSampled {
                writer: None,
                prompt: id,
                candidate,
                text: format!("answer {candidate} to {number} {text}{}", if candidate == 0 { end } else { "" }),
                ended: Ended::Eos,
                tokens: 5,
                token_ids: vec![1, 2],
                logprob_per_token: Some(-1.0),
            });
        }
        for candidate in 0..2 {
            self.tell(CandidateJudged {
                prompt: id,
                candidate,
                sample: 0,
                reply: format!("{text} Score: {}", 4 - candidate),
                score: if number == 2 { Err(Unscored::Missing) } else { Ok(f64::from(4 - candidate)) },
                span: None,
                truncated: false,
                contradicts: false,
            });
        }
        self.tell(PairSelected {
            id,
            chosen: 0,
            rejected: 1,
            chosen_score: Some(4.0),
            rejected_score: Some(3.0),
            means: vec![Some(4.0), Some(3.0)],
            length_ratio: 1.0,
            suspicion,
            signs: vec![Sign { kind: SignKind::Gaming, amount: suspicion }],
        });
        id
    }

    pub fn decide(&mut self, decision: Decision, pair: PromptId, outcome: Outcome, number: u64) -> Seq {
        self.tell(PairDecided {
            decision,
            pairs: vec![Decided { pair, outcome }],
            by: "ana".into(),
            request: RequestId { writer: "ana@host".into(), number },
            reason: (decision == Decision::Veto).then_some(VetoReason::Gaming),
            note: Some(HOSTILE.into()),
            took_ms: Some(1200),
            blind: false,
            filter: None,
        })
    }

    /// The gate opens with these pairs in its queue.
    pub fn gate(&mut self, pairs: &[PromptId]) {
        self.stage(Stage::Check, pairs.len() as u64);
        self.tell(SpotCheckOpened {
            iteration: 1,
            number: None,
            gate: Gate::Wait,
            queue: pairs.iter().map(|&pair| Queued { pair, picked: Picked::Random }).collect(),
            undecided_limit: 0.9,
        });
    }

    pub fn alarm(&mut self, id: &str, level: Level) {
        self.tell(AlarmRaised {
            id: id.into(),
            level,
            iteration: 1,
            value: Num(0.5),
            threshold: Num(0.1),
            window: "iteration 1".into(),
            says: format!("something is wrong {HOSTILE}"),
            advice: "look at it".into(),
            evidence: vec!["1:0".into()],
        });
    }
}

/// Pair 1:0 is vetoed, 1:1 swapped, 1:2 kept, and a veto of 1:2 was taken back.
pub fn hostile(root: &Path, name: &str) -> RunFolder {
    let mut story = Story::begin(root, name);
    story.stage(Stage::Judge, 9);
    story.tell(PromptRefused {
        iteration: 1,
        attempt: 9,
        text: HOSTILE.into(),
        why: Refusal::Keyword { word: HOSTILE.into() },
    });
    let long = "long ".repeat(200_000);
    let pairs = [story.pair(0, HOSTILE, 0.9), story.long_pair(1, "plain ", &long, 0.4), story.pair(2, "plain", 0.1)];
    story.gate(&pairs);
    let used = |chosen, rejected| Outcome::Use { chosen, rejected };
    story.decide(Decision::Veto, pairs[0], Outcome::Drop, 1);
    story.decide(Decision::Swap, pairs[1], used(1, 0), 2);
    let veto = story.decide(Decision::Veto, pairs[2], Outcome::Drop, 3);
    story.decide(Decision::Undo { of: veto }, pairs[2], Outcome::Undecided, 4);
    story.decide(Decision::Keep, pairs[2], used(0, 1), 5);
    let request = RequestId { writer: "ana@host".into(), number: 6 };
    story.tell(NoteAdded { pair: Some(pairs[2]), text: HOSTILE.into(), by: "ana".into(), request });
    let why = GateClosed::Decided;
    story.tell(SpotCheckClosed {
        iteration: 1,
        number: None,
        why,
        offered: 3,
        decided: 3,
        random_decided: 3,
        random_bad: 2,
    });
    story.tell(TrainingSetFixed {
        iteration: 1,
        number: None,
        pairs: vec![Used { pair: pairs[1], chosen: 1, rejected: 0 }, Used { pair: pairs[2], chosen: 0, rejected: 1 }],
        left_out: vec![LeftOut { pair: pairs[0], why: LeftOutWhy::Human }],
        hash: "h".into(),
    });
    story.stage(Stage::Dpo, 3);
    for step in 1..=3 {
        story.tell(dpo_step(step, if step == 2 { f64::NAN } else { 0.69 }));
    }
    story.tell(StepsAbandoned { iteration: 1, stage: Stage::Dpo, model: Model::M(2), after: 1 });
    story.tell(dpo_step(2, 0.5));
    story.tell(evaluated());
    story.alarm("judge-parse", Level::Error);
    story.alarm("gaming", Level::Warn);
    story.tell(AlarmCleared { id: "gaming".into(), iteration: 1, by: None, request: None });
    story.tell(Paused { why: PauseReason::Alarm { id: "judge-parse".into() }, by: None, request: None });
    story.folder
}

fn dpo_step(step: u64, loss: f64) -> DpoStep {
    DpoStep {
        iteration: 1,
        model: Model::M(2),
        step,
        of: 3,
        loss: Num(loss),
        reward_chosen: Num(0.1),
        reward_rejected: Num(-0.1),
        margin: Num(0.2),
        accuracy: Num(0.75),
        logp_chosen: Num(-10.0),
        logp_rejected: Num(-12.0),
        logp_chosen_per_token: Num(-1.0),
        logp_rejected_per_token: Num(-1.2),
        reference_chosen_per_token: Num(-1.1),
        kl: None,
        kl_held_out: None,
        kl_held_out_n: None,
        not_applied: Vec::new(),
        grad_norm: Num(f64::INFINITY),
        lr: Num(1e-4),
        pairs: 2,
        tokens: 20,
        held_out_accuracy: None,
        tokens_per_s: Some(Num(100.0)),
        memory_bytes: None,
    }
}

fn evaluated() -> Evaluated {
    Evaluated {
        iteration: 1,
        model: Model::M(2),
        agreement: Agreement { prompts: 2, pairs: 4, pairwise_half: Some(0.625), ..Agreement::default() },
        length_matched: None,
        scores: ScoreSpread::default(),
        confusion: [[0; 6]; 4],
        anchors: None,
        oracle: None,
        hindsight: None,
        head_to_head: vec![HeadToHead {
            against: Model::M(1),
            by: Referee::Judge,
            win: 3,
            tie: 2,
            lose: 1,
            unparsed: 0,
            words: 5.0,
            words_against: 6.0,
        }],
        lengths: Lengths::default(),
        diversity: Diversity::default(),
        pairs_truly_better: None,
    }
}
