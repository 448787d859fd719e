//! Learning from rewards: the arithmetic against PyTorch, and whole rehearsed runs that learn by it, with people at the gate, with kills,
//! and with what should raise an alarm.

use std::path::{Path, PathBuf};

use selfreward::engine::drive::Ended;
use selfreward::engine::launch;
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::{GateMode, Learn, Reference, RunSettings, Settings, Story};
use selfreward::engine::teaching::settings::Recipe;
use selfreward::recipe::rloo::{Rule, Sample, by_now, kl, pushes};
use selfreward::run::command::{Choice, Command, Decide, Outbox};
use selfreward::run::curves::Signal;
use selfreward::run::entry::Entry;
use selfreward::run::event::{CandidateJudged, Event, Level, RlooStep, SampleScored, SamplesScored, TrainingSetFixed};
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{Model, PromptId, Stage};
use selfreward::run::journal::segment_name;
use selfreward::run::view::{RunView, State};
use serde::Deserialize;

use crate::stage::{cut, engine, engine_with, entries, facts, play, size, small};

#[derive(Deserialize)]
struct Row {
    beta: f64,
    clip: f64,
    rewards: Vec<f64>,
    log_probs: Vec<f64>,
    reference: Vec<f64>,
    advantages: Vec<f64>,
    losses: Vec<f64>,
    by: Vec<f64>,
    kl: f64,
    gain: f64,
}

#[test]
fn advantages_losses_and_derivatives_equal_those_of_autograd() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/train/rloo.json");
    let rows: Vec<Row> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(rows.len(), 81);
    let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 + 1e-9 * b.abs(), "{a} is not {b}");
    let mut clipped = 0;
    for row in rows {
        let three = row.rewards.iter().zip(&row.log_probs).zip(&row.reference);
        let samples: Vec<Sample> =
            three.map(|((&reward, &log_prob), &reference)| Sample { reward, log_prob, reference }).collect();
        for (at, push) in pushes(&samples, Rule { beta: row.beta, clip: row.clip }).iter().enumerate() {
            near(push.advantage, row.advantages[at]);
            near(push.loss, row.losses[at]);
            near(push.by_log_prob, row.by[at]);
            clipped += usize::from(push.clipped);
        }
        near(kl(&samples).unwrap(), row.kl);
        near(
            by_now(&samples, |at| samples[at].reward).unwrap() - row.rewards.iter().sum::<f64>() / samples.len() as f64,
            row.gain,
        );
    }
    assert!(clipped > 20, "{clipped}");
}

/// A reward model judges.
fn ser(seed: u64) -> Settings {
    Settings { run: RunSettings { recipe: Recipe::Ser, iterations: 2, ..rewarded(seed).run }, ..rewarded(seed) }
}

/// One iteration in which the model judges itself, learning from rewards, and little beside it.
fn rewarded(seed: u64) -> Settings {
    let mut settings = small(seed);
    settings.run.iterations = 1;
    settings.dpo.learn = Learn::Rloo;
    settings.judge.samples = 1;
    settings.data.limit = 40;
    settings.prompts.count = 30;
    settings.eval.instructions = 4;
    settings.eval.ranked = 4;
    settings.eval.head_to_head = false;
    settings.ser.loops = 1;
    settings
}

fn steps(folder: &RunFolder) -> Vec<RlooStep> {
    let of = |entry: Entry| if let Event::RlooStep(step) = entry.event { Some(*step) } else { None };
    entries(folder).into_iter().filter_map(of).collect()
}

fn scored(folder: &RunFolder) -> Vec<SamplesScored> {
    let of = |entry: Entry| if let Event::SamplesScored(event) = entry.event { Some(event) } else { None };
    entries(folder).into_iter().filter_map(of).collect()
}

fn judged(folder: &RunFolder, pair: PromptId) -> Vec<f64> {
    let of = |entry: &Entry| match &entry.event {
        Event::CandidateJudged(CandidateJudged { prompt, score, .. }) if *prompt == pair => score.ok(),
        _ => None,
    };
    entries(folder).iter().filter_map(of).collect()
}

#[test]
fn a_run_learns_from_the_rewards_of_all_answers_and_not_from_pairs() {
    let root = tempfile::tempdir().unwrap();
    let (folder, view) = play(root.path(), "a", &ser(7));
    assert_eq!((view.state.clone(), view.oddities.stray, view.learner()), (State::Finished, 0, "RLOO"));
    let kinds: Vec<String> = entries(&folder).iter().map(|entry| entry.event.kind().to_string()).collect();
    assert!(!kinds.iter().any(|kind| ["dpo_step", "reference_scored"].contains(&kind.as_str())));
    for iteration in [1, 2] {
        let (round, made) = (view.round(iteration).unwrap(), Model::M(iteration + 1));
        let span = view.stage_of(iteration, Stage::Rloo, made).unwrap();
        assert!(span.finished.is_some() && span.done == span.total && span.done > 2, "{span:?}");
        let used = round.training.as_ref().unwrap().pairs.len();
        assert!(used > 8 && round.reference_scored as usize == used);
        assert!(view.model(made).unwrap().folder.is_some());
        for signal in [Signal::RlooLoss, Signal::RewardGain, Signal::SampleKl, Signal::KlHeldOut, Signal::ReplyTokens] {
            assert!(view.curves.get(made, signal).is_some(), "{signal:?}");
        }
    }
    for scored in scored(&folder) {
        let rewards: Vec<f64> = scored.samples.iter().map(|sample| sample.reward.0).collect();
        assert_eq!(rewards, judged(&folder, scored.pair), "nobody has decided anything");
        assert!(view.pair(scored.pair).unwrap().reference.is_some());
    }
    let steps = steps(&folder);
    for step in &steps {
        assert!(step.is_finite() && step.samples == 4 * step.prompts && step.not_applied.is_empty(), "{step:?}");
        assert!((step.step == 1) == (step.kl.0 == 0.0) && step.kl.0 >= 0.0, "{step:?}");
    }
    let last = steps.iter().rfind(|step| step.step == step.of).unwrap();
    assert!(last.gain.0 > 0.0 && last.kl_held_out.is_some() && last.advantage_sd.0 > 0.0, "{last:?}");
}

fn about(pair: PromptId, choice: Choice) -> Command {
    Command::Decide(Decide {
        pairs: vec![pair],
        choice,
        reason: None,
        note: None,
        took_ms: None,
        blind: false,
        filter: None,
        seen: None,
    })
}

fn attended(root: &Path, settings: &Settings) -> (RunFolder, RunView) {
    let folder = launch::create(root, "attended", settings).unwrap();
    let outbox = Outbox::open(folder.path(), "ana").unwrap();
    let listener = Box::new(move |entry: &Entry, _: &RunView| {
        if let Event::SpotCheckOpened(event) = &entry.event {
            let at: Vec<PromptId> = event.queue.iter().map(|queued| queued.pair).collect();
            let said = [
                about(at[0], Choice::Veto),
                about(at[1], Choice::Swap),
                about(at[2], Choice::Tie),
                about(at[3], Choice::Keep),
                about(at[4], Choice::Edit { candidate: 2, score: 5.0 }),
                Command::CloseGate,
            ];
            said.into_iter().for_each(|command| {
                outbox.send("ana", entry.at, command).unwrap();
            });
        }
    });
    let (ended, view) = engine_with(&folder, Signals::default(), listener).unwrap();
    assert_eq!(ended, Ended::Finished);
    (folder, view)
}

#[test]
fn a_veto_leaves_all_answers_of_its_prompt_out_and_a_swap_exchanges_two_rewards() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = rewarded(7);
    settings.gate.mode = GateMode::Wait;
    let (folder, view) = attended(root.path(), &settings);
    let gate = view.round(1).unwrap().gate.clone().unwrap();
    let at: Vec<PromptId> = gate.queue.iter().map(|queued| queued.pair).collect();
    let scored = scored(&folder);
    let of = |pair: PromptId| scored.iter().find(|event| event.pair == pair).map(|event| event.samples.clone());
    assert!(of(at[0]).is_none() && of(at[2]).is_none(), "a vetoed pair, and one of equals, take their prompts along");
    let rewards = |pair| of(pair).unwrap().iter().map(|sample: &SampleScored| sample.reward.0).collect::<Vec<f64>>();
    assert_eq!(rewards(at[3]), judged(&folder, at[3]));
    let pair = view.pair(at[1]).unwrap();
    let mut swapped = judged(&folder, at[1]);
    swapped.swap(pair.chosen as usize, pair.rejected as usize);
    assert_eq!(rewards(at[1]), swapped);
    let mut edited = judged(&folder, at[4]);
    edited[2] = 5.0;
    assert_eq!(rewards(at[4]), edited);
    let TrainingSetFixed { pairs, .. } = view.round(1).unwrap().training.as_ref().unwrap().as_ref().clone();
    assert_eq!(scored.len(), pairs.len());
    let step = &steps(&folder)[0];
    let steps = (pairs.len() as u64).div_ceil(u64::from(settings.rloo.batch)) * u64::from(settings.rloo.epochs);
    assert_eq!(step.of, steps, "{step:?}");
}

#[test]
fn a_journal_cut_anywhere_while_rewards_are_learnt_from_resumes_to_the_same_facts() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = rewarded(4);
    settings.rloo.batch = 4;
    settings.checkpoint.every = 2;
    let (whole, _) = play(root.path(), "whole", &settings);
    let expected = facts(&whole);
    let text = std::fs::read_to_string(whole.path().join(segment_name(1))).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is = |line: &&str, kind: &str| line.contains(&format!("\"kind\":\"{kind}\""));
    let first = lines.iter().position(|line| is(line, "samples_scored")).unwrap();
    let last = lines.iter().rposition(|line| is(line, "rloo_step")).unwrap() + 5;
    assert!(last - first > 12, "{first} to {last}");
    for at in (first..last).step_by(size((last - first) / 4, 1)) {
        let bytes = lines[..at].iter().map(|line| line.len()).sum();
        let torn = cut(&whole, root.path(), &format!("cut{at}"), bytes);
        engine(&torn, Signals::default()).unwrap();
        assert_eq!(facts(&torn), expected, "cut after line {at}");
    }
}

#[test]
fn settings_under_which_rewards_cannot_be_learnt_from_are_refused() {
    type Change = fn(&mut Settings);
    for (change, says) in [
        ((|settings| settings.run.recipe = Recipe::TeacherDemo) as Change, "nobody judges demonstrations"),
        (|settings| settings.candidates.n = 1, "candidates.n"),
        (|settings| settings.dpo.reference = Reference::First, "leave dpo.reference"),
        (|settings| settings.rloo.beta = -0.1, "rloo.beta"),
        (|settings| settings.rloo.ratio_clip = f64::NAN, "rloo.ratio_clip"),
    ] {
        let mut settings = small(1);
        settings.dpo.learn = Learn::Rloo;
        assert_eq!(settings.check(), Ok(()));
        change(&mut settings);
        let refused = settings.check().unwrap_err();
        assert!(refused.contains(says), "{refused}");
        settings.dpo.learn = Learn::Dpo;
        assert_eq!(settings.check(), Ok(()), "{says}: it concerns learning from rewards alone");
    }
}

#[test]
fn going_too_far_and_having_nothing_to_learn_raise_alarms() {
    let root = tempfile::tempdir().unwrap();
    let far = |settings: &mut Settings| {
        settings.rehearsal.story = Story::Overfit;
        settings.alarms.sample_kl = 2.0;
    };
    let flat = |settings: &mut Settings| settings.alarms.flat_prompts = -1.0;
    let broken = |settings: &mut Settings| settings.rehearsal.story = Story::Nan;
    type Change<'a> = &'a dyn Fn(&mut Settings);
    let table: [(&str, Change<'_>, Level); 3] =
        [("reward-kl", &far, Level::Warn), ("reward-flat", &flat, Level::Warn), ("nan", &broken, Level::Error)];
    for (id, change, level) in table {
        let mut settings = rewarded(3);
        settings.rloo.batch = 4;
        settings.alarms.pause = false;
        change(&mut settings);
        let (folder, view) = play(root.path(), id, &settings);
        let found = view.alarm_log.iter().find(|(_, _, alarm)| alarm.id == id);
        let (_, _, alarm) = found.unwrap_or_else(|| panic!("{id}: {:?}", view.alarm_log));
        assert_eq!(alarm.level, level, "{alarm:?}");
        assert!(alarm.says.len() > 10 && alarm.window.contains("M2"), "{alarm:?}");
        assert!(steps(&folder).iter().all(|step| step.is_finite()) == (id != "nan"));
    }
}
