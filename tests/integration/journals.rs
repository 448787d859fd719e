//! Journals from outside: the golden one of every released format, arbitrary bytes, a tail that is read while it is written, and a real
//! judge's collapse.

use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use selfreward::data::{Limits, scores};
use selfreward::recipe::score::read_score;
use selfreward::run::alarms::{AlarmSettings, lint};
use selfreward::run::entry::{Entry, Stamp};
use selfreward::run::event::*;
use selfreward::run::ids::{Model, PromptId, Stage};
use selfreward::run::journal::{Found, Tail, Writer, mend, segment_name, segments};
use selfreward::run::reasons::Ended;
use selfreward::run::view::{RunView, State};

use crate::shared_data::shared;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The golden journal was written by version 0.1 in format 1. It is never edited: every later program must read it and see the same run.
#[test]
fn the_golden_journal_of_format_1_is_read_for_ever() {
    let folder = fixture("journal-v1");
    let (mut view, mut damage) = (RunView::default(), Vec::new());
    let mut facts = selfreward::run::facts::Facts::default();
    Tail::new(&folder)
        .read(|_, found| {
            match found {
                Found::Entry(entry) => {
                    facts.add(&entry.event);
                    view.apply(&entry);
                }
                Found::Damage(what) => damage.push(what),
            }
            true
        })
        .unwrap();
    assert_eq!(damage, []);
    assert_eq!((view.state.clone(), view.oddities.stray, view.oddities.unknown.len()), (State::Finished, 0, 0));
    let models: Vec<String> = view.models.iter().map(|model| model.model.to_string()).collect();
    assert_eq!(models, ["M0", "SFT", "M1", "M2", "M3"]);
    let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
    let pairs: u32 = view.rounds.iter().map(|round| round.pairs).sum();
    let m3 = view.model(Model::M(3)).unwrap().evaluated.as_ref().unwrap().1.agreement.pairwise_half.unwrap();
    let seen = format!("entries {}\npairs {pairs}\nM3 pairwise {m3:.6}\nfacts {}\n", view.seq, facts.digest());
    assert_eq!(seen, expected);
}

fn entry(seq: u64, text: &str) -> Entry {
    Entry { seq, at: Stamp(seq as i64), event: Failed { error: text.into() }.into() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever stands in the files: no panic, no endless reading, and what is whole is found.
    #[test]
    fn arbitrary_bytes_in_a_journal_never_panic(
        junk in prop::collection::vec(any::<u8>(), 0..400),
        at in 0usize..2000,
        second in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes: Vec<u8> = (1..=20).flat_map(|seq| entry(seq, "a text\u{1b}[m of some length").to_line().unwrap()).collect();
        let at = at.min(bytes.len());
        bytes.splice(at..at, junk);
        std::fs::write(folder.path().join(segment_name(1)), &bytes).unwrap();
        if !second.is_empty() {
            std::fs::write(folder.path().join(segment_name(3)), &second).unwrap();
        }
        let (mut whole, mut view) = (0, RunView::default());
        Tail::new(folder.path()).read(|_, found| {
            if let Found::Entry(entry) = found {
                whole += 1;
                view.apply(&entry);
            }
            true
        }).unwrap();
        prop_assert!(whole >= 18, "{whole} of 20 entries");
        // Mending takes it or names what is wrong; it never loses a whole line before the damage.
        let mut kept = 0;
        let _ = mend(folder.path(), |_, _| kept += 1);
        prop_assert!(kept <= whole);
    }
}

#[test]
fn a_reader_follows_a_writer_over_segments_and_half_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open_with(folder.path(), 500).unwrap();
    let mut tail = Tail::new(folder.path());
    let mut seen = Vec::new();
    let mut read = |tail: &mut Tail| {
        tail.read(|_, found| {
            match found {
                Found::Entry(entry) => seen.push(entry.seq),
                Found::Damage(damage) => panic!("{damage:?}"),
            }
            true
        })
        .unwrap();
        seen.len()
    };
    for seq in 1..=50 {
        writer.append(&entry(seq, "something that takes room")).unwrap();
        assert_eq!(read(&mut tail), seq as usize);
    }
    assert!(segments(folder.path()).unwrap().len() > 5);
    // A half line is waited for. The writer may also cut it off and write another one there.
    let last = *segments(folder.path()).unwrap().last().unwrap();
    let path = folder.path().join(segment_name(last));
    let length = std::fs::metadata(&path).unwrap().len();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    let line = entry(51, "the line that did not fit").to_line().unwrap();
    file.write_all(&line[..line.len() / 2]).unwrap();
    assert_eq!(read(&mut tail), 50);
    file.set_len(length).unwrap();
    file.write_all(
        &entry(51, "another line, longer than the one that was cut off, and then some more").to_line().unwrap(),
    )
    .unwrap();
    assert_eq!(read(&mut tail), 51);
}

#[test]
fn the_published_judge_collapse_stops_a_run_before_its_optimiser() {
    let Some(path) = shared("self-reward-rlhf/scores_M2.jsonl") else { return };
    let file = scores::read(&path, Limits::default()).unwrap();
    let mut view = RunView::default();
    let mut seq = 0;
    let mut apply = |event: Event| {
        seq += 1;
        view.apply(&Entry { seq, at: Stamp(seq as i64), event });
        lint(&view, &AlarmSettings::default())
    };
    let (plan, data) = (Vec::new(), Vec::new());
    apply(
        RunStarted {
            recipe: "self".into(),
            name: "published".into(),
            program: "test".into(),
            config: serde_json::json!({}),
            config_hash: String::new(),
            seed: 0,
            policy: "none".into(),
            judge: "self".into(),
            iterations: 2,
            data,
            plan,
        }
        .into(),
    );
    let model = Model::M(2);
    apply(StageStarted { iteration: 2, stage: Stage::Judge, model, total: 800 }.into());
    let mut alarms = Vec::new();
    for (number, prompt) in (0..).zip(&file.rows) {
        let id = PromptId { iteration: 2, number };
        let text = prompt.prompt.clone().unwrap_or_default();
        apply(PromptWritten { id, text, writer: model, likeness: 0.0, attempt: 0, nll: None }.into());
        for (candidate, response) in (0..).zip(&prompt.responses) {
            let (text, token_ids) = (response.text.clone().unwrap_or_default(), Vec::new());
            apply(
                CandidateSampled {
                    writer: None,
                    prompt: id,
                    candidate,
                    text,
                    ended: Ended::Eos,
                    tokens: 1,
                    token_ids,
                    logprob_per_token: None,
                }
                .into(),
            );
            // Only whether the file holds a score is known here; a reply with one is written as the parser wants it.
            let reply = response.score.map_or("no score".to_string(), |score| format!("Score: {score}"));
            let score = read_score(&reply).score;
            alarms = apply(
                CandidateJudged {
                    prompt: id,
                    candidate,
                    sample: 0,
                    reply,
                    score,
                    span: None,
                    truncated: false,
                    contradicts: false,
                }
                .into(),
            );
        }
    }
    let alarm = alarms.iter().find(|alarm| alarm.id == "judge-parse").expect("the alarm");
    assert_eq!((alarm.level, (alarm.value.0 * 800.0).round()), (Level::Error, 627.0), "{}", alarm.says);
}
