//! Lessons of the real policy: what they teach, what they refuse, and that an interrupted one goes on to the same bits.

use std::collections::BTreeMap;
use std::path::Path;

use selfreward::engine::policy::{Ask, Example, Flow, Lesson, Policy, Reply, Sampling, Seat};
use selfreward::engine::settings::Optimizer;
use selfreward::llama_policy::LlamaPolicy;

use crate::train_tiny::{answers, examples, model, policy, preferences};

/// Name and hash of every file of a folder.
fn hashes(folder: &Path) -> BTreeMap<String, String> {
    let hash = |path: &Path| blake3::hash(&std::fs::read(path).unwrap()).to_hex().to_string();
    std::fs::read_dir(folder)
        .unwrap()
        .map(|item| item.unwrap())
        .map(|item| (item.file_name().into_string().unwrap(), hash(&item.path())))
        .collect()
}

fn save(policy: &mut LlamaPolicy, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    policy.save(folder, true).unwrap();
}

type MakeLesson = fn(&mut LlamaPolicy) -> Lesson;

const LESSONS: [(&str, MakeLesson); 4] = [
    ("answers", |_| answers(Optimizer::Adamw)),
    ("answers with Muon", |_| answers(Optimizer::Muon)),
    ("preferences", preferences),
    ("preferences with dropout", with_dropout),
];

fn with_dropout(policy: &mut LlamaPolicy) -> Lesson {
    match preferences(policy) {
        Lesson::Preferences { pairs, held_out, replay, mut settings, seed } => {
            settings.dropout = 0.2;
            Lesson::Preferences { pairs, held_out, replay, settings, seed }
        }
        answers => answers,
    }
}

#[test]
fn a_lesson_interrupted_after_any_step_ends_in_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    let base = model(root.path(), 256);
    for (name, lesson) in LESSONS {
        let at = |step: u64| root.path().join(format!("{name}-{step}"));
        let mut whole = policy(&base, 2);
        whole.load(None).unwrap();
        let made = lesson(&mut whole);
        let steps = whole.begin(made, None).unwrap();
        assert_eq!(steps, 6, "{name}");
        let mut losses = Vec::new();
        for step in 1..=steps {
            losses.push(whole.step().unwrap().loss);
            save(&mut whole, &at(step));
        }
        let expected = hashes(&at(steps));
        assert!(expected.len() >= 6 && hashes(&at(steps - 1)) != expected, "{name}: {expected:?}");
        for from in 1..steps {
            let mut resumed = policy(&base, 2);
            resumed.load(None).unwrap();
            let made = lesson(&mut resumed);
            resumed.begin(made, Some((&at(from), from))).unwrap();
            for step in from + 1..=steps {
                assert_eq!(
                    resumed.step().unwrap().loss.to_bits(),
                    losses[step as usize - 1].to_bits(),
                    "{name} {step}"
                );
            }
            let folder = root.path().join(format!("{name}-resumed-{from}"));
            save(&mut resumed, &folder);
            assert_eq!(hashes(&folder), expected, "{name}, resumed after step {from}");
        }
    }
}

#[test]
fn a_state_that_lacks_anything_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let base = model(root.path(), 256);
    let good = root.path().join("good");
    let mut teacher = policy(&base, 1);
    teacher.load(None).unwrap();
    teacher.begin(answers(Optimizer::Adamw), None).unwrap();
    teacher.step().unwrap();
    save(&mut teacher, &good);
    let state: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&std::fs::read(good.join("training_state.json")).unwrap()).unwrap();
    let begin = |folder: &Path| {
        let mut policy = policy(&base, 1);
        policy.load(None).unwrap();
        policy.begin(answers(Optimizer::Adamw), Some((folder, 1))).map(|_| ()).map_err(|error| format!("{error:#}"))
    };
    assert_eq!(begin(&good), Ok(()));
    let write = |state: &serde_json::Map<String, serde_json::Value>| {
        std::fs::write(good.join("training_state.json"), serde_json::to_vec(state).unwrap()).unwrap();
    };
    assert_eq!(state.len(), 6);
    for field in state.keys() {
        let mut less = state.clone();
        less.remove(field);
        write(&less);
        let error = begin(&good).unwrap_err();
        assert!(error.contains(field.as_str()), "{field}: {error}");
    }
    for (field, value, says) in [
        ("step", serde_json::json!(2), "the state after step 2"),
        ("lesson", serde_json::json!("another"), "other examples"),
        ("rule", serde_json::json!("muon"), "began with muon"),
        ("steps", serde_json::json!(7), "had 7 steps"),
    ] {
        let mut other = state.clone();
        other.insert(field.into(), value);
        write(&other);
        let error = begin(&good).unwrap_err();
        assert!(error.contains(says), "{field}: {error}");
    }
    write(&state);
    std::fs::remove_file(good.join("optimizer.safetensors")).unwrap();
    assert!(begin(&good).unwrap_err().contains("optimizer.safetensors"));
}

#[test]
fn the_number_of_updates_matters_to_the_bits() {
    let root = tempfile::tempdir().unwrap();
    let base = model(root.path(), 256);
    let ends = |updates: Option<u64>| {
        let folder = root.path().join(format!("{updates:?}"));
        let mut first = policy(&base, 1);
        first.load(None).unwrap();
        first.begin(answers(Optimizer::Adamw), None).unwrap();
        first.step().unwrap();
        save(&mut first, &folder);
        if let Some(updates) = updates {
            let path = folder.join("training_state.json");
            let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            state["updates"] = updates.into();
            std::fs::write(&path, state.to_string()).unwrap();
        }
        let mut second = policy(&base, 1);
        second.load(None).unwrap();
        second.begin(answers(Optimizer::Adamw), Some((&folder, 1))).unwrap();
        second.step().unwrap();
        let end = root.path().join(format!("{updates:?}-end"));
        save(&mut second, &end);
        hashes(&end)["model.safetensors"].clone()
    };
    assert_eq!(ends(None), ends(Some(1)));
    assert_ne!(ends(None), ends(Some(0)));
}

#[test]
fn preferences_begin_at_ln_2_and_move_the_rewards_apart() {
    let root = tempfile::tempdir().unwrap();
    let base = model(root.path(), 256);
    let mut learner = policy(&base, 2);
    learner.load(None).unwrap();
    let Lesson::Preferences { pairs, held_out, replay, mut settings, seed } = preferences(&mut learner) else {
        panic!("these are preferences")
    };
    settings.epochs = 8;
    let lesson = Lesson::Preferences { pairs, held_out, replay, settings, seed };
    let steps = learner.begin(lesson, None).unwrap();
    let first = learner.step().unwrap();
    let preference = first.preference.clone().unwrap();
    assert!((first.loss - std::f64::consts::LN_2).abs() < 1e-4, "{}", first.loss);
    assert!(preference.reward_chosen.abs() < 1e-3 && preference.kl.unwrap().abs() < 1e-2);
    assert!(learner.held_out().unwrap().is_some());
    let mut last = first;
    for _ in 1..steps {
        last = learner.step().unwrap();
    }
    let preference = last.preference.unwrap();
    assert!(last.loss < 0.5, "{}", last.loss);
    assert!(
        preference.reward_chosen > preference.reward_rejected + 0.5 && preference.accuracy == 1.0,
        "{preference:?}"
    );
    assert!(last.memory_bytes.unwrap() > 1 << 20 && last.tokens > 0);
    learner.end().unwrap();
}

#[test]
fn a_step_whose_numbers_are_not_finite_is_reported_and_not_applied() {
    let root = tempfile::tempdir().unwrap();
    let base = model(root.path(), 256);
    let mut learner = policy(&base, 1);
    learner.load(None).unwrap();
    let Lesson::Preferences { mut pairs, held_out, replay, settings, seed } = preferences(&mut learner) else {
        panic!("these are preferences")
    };
    pairs.truncate(3);
    pairs[1].reference_chosen = f64::NAN;
    learner.begin(Lesson::Preferences { pairs, held_out, replay, settings, seed }, None).unwrap();
    let before = root.path().join("before");
    save(&mut learner, &before);
    let report = learner.step().unwrap();
    assert!(report.loss.is_nan());
    let after = root.path().join("after");
    save(&mut learner, &after);
    let (before, after) = (hashes(&before), hashes(&after));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        assert_eq!(before[file], after[file], "{file}");
    }
    assert_ne!(before["training_state.json"], after["training_state.json"], "the step counts as taken");
}

struct Collect {
    replies: Vec<Option<Reply>>,
    written: Vec<String>,
    stop_after: usize,
}

impl Seat<Reply> for Collect {
    fn finished(&mut self, index: usize, item: Reply) -> anyhow::Result<Flow> {
        self.replies[index] = Some(item);
        let done = self.replies.iter().flatten().count();
        Ok(if done >= self.stop_after { Flow::Stop } else { Flow::Go })
    }

    fn writing(&mut self, index: usize, text: &str) -> anyhow::Result<Flow> {
        assert!(text.starts_with(&self.written[index]), "{text:?} does not go on from {:?}", self.written[index]);
        self.written[index] = text.to_string();
        Ok(Flow::Go)
    }
}

fn collect(asks: usize, stop_after: usize) -> Collect {
    Collect { replies: vec![None; asks], written: vec![String::new(); asks], stop_after }
}

#[test]
fn replies_depend_on_their_seeds_alone_and_are_scored_as_they_were_written() {
    let root = tempfile::tempdir().unwrap();
    let base = model(root.path(), 256);
    let mut writer = policy(&base, 2);
    writer.load(None).unwrap();
    let asks: Vec<Ask> = examples(3)
        .into_iter()
        .enumerate()
        .flat_map(|(prompt, example)| {
            (0..2).map(move |candidate| Ask {
                text: example.prompt.clone(),
                continues: false,
                shared_prefix: 0,
                sampling: Sampling { temperature: 1.0, top_p: 1.0, max_tokens: 24, stop: Vec::new() },
                seed: (10 * prompt + candidate) as u64,
            })
        })
        .collect();
    let mut together = collect(asks.len(), usize::MAX);
    assert_eq!(writer.reply(&asks, &mut together).unwrap(), Flow::Go);
    for (index, ask) in asks.iter().enumerate() {
        let mut alone = collect(1, usize::MAX);
        assert_eq!(writer.reply(std::slice::from_ref(ask), &mut alone).unwrap(), Flow::Go);
        assert_eq!(alone.replies[0], together.replies[index]);
    }
    let reply = together.replies[0].clone().unwrap();
    assert_ne!(Some(&reply), together.replies[1].as_ref());
    assert!(reply.tokens > 0 && reply.token_ids.len() == reply.tokens as usize);

    let finished: Vec<(usize, Reply)> = together
        .replies
        .iter()
        .flatten()
        .cloned()
        .enumerate()
        .filter(|(_, reply)| reply.ended == selfreward::run::reasons::Ended::Eos && !reply.text.is_empty())
        .collect();
    for (index, reply) in finished {
        let item = Example { prompt: asks[index].text.clone(), reply: reply.text.clone() };
        let scored = writer.log_probs(&[item]).unwrap()[0];
        if scored.tokens == reply.tokens {
            let written = reply.logprob_per_token.unwrap();
            assert!((scored.per_token().unwrap() - written).abs() < 1e-3, "{scored:?} {written}");
        }
    }

    let mut stopped = collect(asks.len(), 2);
    assert_eq!(writer.reply(&asks, &mut stopped).unwrap(), Flow::Stop);
    assert!(stopped.replies.iter().flatten().count() >= 2);
    assert!(stopped.replies.iter().any(Option::is_none), "the rest was left");
}
