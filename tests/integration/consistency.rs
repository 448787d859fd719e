//! The intrinsic judge in whole runs: rewards that are log-ratios, the model before as a second judge, and a loss weighed by both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use selfreward::engine::drive::Ended;
use selfreward::engine::launch;
use selfreward::engine::policy::*;
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::{JudgeKind, Loss, Settings};
use selfreward::rehearsal::Rehearsal;
use selfreward::run::event::{Event, Judged};
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::PromptId;
use selfreward::run::journal::segment_name;

use crate::stage::{cut, engine, entries, facts, play, small};

fn intrinsic(seed: u64) -> Settings {
    let mut settings = small(seed);
    settings.run.judge = JudgeKind::Intrinsic;
    settings.judge.samples = 1;
    settings.pairs.min_margin = 0.0;
    settings.dpo.consistency = true;
    settings
}

/// Concordant minus discordant pairs over all pairs, as in CREAM; no rewards of this test are equal.
fn tau(a: &[f64], b: &[f64]) -> f64 {
    let (mut surplus, mut all) = (0.0, 0.0);
    for i in 0..a.len() {
        for j in 0..i {
            surplus += ((a[i] - a[j]) * (b[i] - b[j])).signum();
            all += 1.0;
        }
    }
    surplus / all
}

type Rewards = BTreeMap<PromptId, Vec<f64>>;

/// Rewards by this iteration's model, and by the one before under its name.
fn rewards(folder: &RunFolder, iteration: u32) -> (Rewards, Rewards, String) {
    let (mut own, mut earlier, mut name) = (Rewards::new(), Rewards::new(), String::new());
    for entry in entries(folder) {
        match entry.event {
            Event::CandidateJudged(event) if event.prompt.iteration == iteration => {
                own.entry(event.prompt).or_default().push(event.score.unwrap());
            }
            Event::SecondJudged(event) if event.iteration == iteration => {
                let Judged::Candidate { prompt, .. } = event.of else { panic!("{event:?}") };
                earlier.entry(prompt).or_default().push(event.score.unwrap());
                name = event.judge;
            }
            _ => {}
        }
    }
    (own, earlier, name)
}

#[test]
fn rewards_are_gains_over_the_base_and_the_model_before_is_asked_too() {
    let root = tempfile::tempdir().unwrap();
    let (folder, view) = play(root.path(), "a", &intrinsic(3));
    assert_eq!(view.judge(), "intrinsic");
    for (iteration, before) in [(1, "intrinsic (SFT)"), (2, "intrinsic (M1)")] {
        let (own, earlier, name) = rewards(&folder, iteration);
        assert_eq!((own.len(), earlier.len(), name.as_str()), (60, 60, before));
        let taus: Vec<f64> = own
            .iter()
            .filter(|(id, rewards)| {
                // Candidates that are the same text have the same reward, and count as no order.
                let distinct = |all: &[f64]| all.iter().enumerate().all(|(at, a)| !all[..at].contains(a));
                distinct(rewards) && distinct(&earlier[id])
            })
            .map(|(id, rewards)| tau(rewards, &earlier[id]))
            .collect();
        let found = view.consistency(iteration).unwrap();
        assert_eq!((found.judge.as_str(), found.reference.as_str()), (before, "intrinsic"));
        let (shown, n) = (found.agreement.kendall.unwrap(), found.agreement.kendall_n as usize);
        assert!(n >= taus.len() && taus.len() > 30, "{} of {n}", taus.len());
        if n == taus.len() {
            let mean = taus.iter().sum::<f64>() / n as f64;
            assert!((shown - mean).abs() < 1e-9, "{shown} is not {mean}");
        }
        // Two whimsical models that learnt the same: neither the same ranking nor none.
        assert!((0.05..0.95).contains(&shown), "{shown}");
        let round = view.round(iteration).unwrap();
        assert!(round.pairs > 20, "{}", round.pairs);
        assert_eq!(round.judge.histogram, [0; 6], "a reward has no place on a scale of 0 to 5");
    }
    let reply = entries(&folder).into_iter().find_map(|entry| match entry.event {
        Event::CandidateJudged(event) => Some((event.reply.clone(), event.score.unwrap())),
        _ => None,
    });
    let (reply, score) = reply.unwrap();
    let number =
        |word: &str| -> f64 { reply.split(word).nth(1).unwrap().split(',').next().unwrap().trim().parse().unwrap() };
    assert!((number("log p") - number("base") - score).abs() < 2e-4, "{reply}: {score}");
    let raised: Vec<String> = entries(&folder)
        .into_iter()
        .filter_map(|entry| if let Event::AlarmRaised(alarm) = entry.event { Some(alarm.id.clone()) } else { None })
        .collect();
    for id in ["judge-sat", "judge-parse", "contradiction"] {
        assert!(!raised.iter().any(|known| known == id), "{raised:?}");
    }
}

#[test]
fn a_journal_of_rewards_cut_anywhere_in_judging_resumes_to_the_same_facts() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = intrinsic(4);
    settings.prompts.count = 12;
    settings.eval.instructions = 5;
    settings.eval.ranked = 4;
    let (whole, _) = play(root.path(), "whole", &settings);
    let expected = facts(&whole);
    let text = std::fs::read_to_string(whole.path().join(segment_name(1))).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let of = |kind: &str| -> Vec<usize> {
        let holds = |line: &&str| line.contains(&format!("\"kind\":\"{kind}\""));
        (0..lines.len()).filter(|&at| holds(&lines[at])).collect()
    };
    let (own, second, compared) = (of("candidate_judged"), of("second_judged"), of("judges_compared"));
    for at in
        [own[0], own[17], own[47], second[0], second[20], second[47], compared[0], own[60], second[80], compared[1]]
    {
        let folder = cut(&whole, root.path(), &format!("cut{at}"), lines[..=at].concat().len());
        let (ended, _) = engine(&folder, Signals::default()).unwrap();
        assert_eq!((ended, facts(&folder)), (Ended::Finished, expected.clone()), "cut after line {}", at + 1);
    }
}

/// A rehearsal that remembers the label smoothing of each preference lesson.
struct Overheard(Rehearsal, Arc<Mutex<Vec<f64>>>);

impl Policy for Overheard {
    fn identity(&self) -> Identity {
        self.0.identity()
    }
    fn load(&mut self, folder: Option<&Path>) -> anyhow::Result<()> {
        self.0.load(folder)
    }
    fn reply(&mut self, asks: &[Ask], seat: &mut dyn Seat<Reply>) -> anyhow::Result<Flow> {
        self.0.reply(asks, seat)
    }
    fn log_probs(&mut self, items: &[Example]) -> anyhow::Result<Vec<LogProb>> {
        self.0.log_probs(items)
    }
    fn begin(&mut self, lesson: Lesson, from: Option<(&Path, u64)>) -> anyhow::Result<u64> {
        if let Lesson::Preferences { settings, .. } = &lesson {
            self.1.lock().unwrap().push(settings.label_smoothing);
        }
        self.0.begin(lesson, from)
    }
    fn step(&mut self) -> anyhow::Result<StepReport> {
        self.0.step()
    }
    fn held_out(&mut self) -> anyhow::Result<Option<f64>> {
        self.0.held_out()
    }
    fn end(&mut self) -> anyhow::Result<()> {
        self.0.end()
    }
    fn save(&mut self, folder: &Path, training: bool) -> anyhow::Result<()> {
        self.0.save(folder, training)
    }
}

#[test]
fn the_loss_of_the_reversed_pair_weighs_what_the_rankings_disagree() {
    let root = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let folder = launch::create(root.path(), "a", &intrinsic(5)).unwrap();
    let mut make = |settings: &Settings, materials: &selfreward::engine::materials::Materials| {
        let rehearsal = Rehearsal::new(settings.rehearsal.clone(), settings.run.seed, materials.prompts.clone());
        Ok(Box::new(Overheard(rehearsal, heard.clone())) as Box<dyn Policy>)
    };
    let (ended, view) = launch::engine(&folder, &mut make, Signals::default(), Box::new(|_, _| {})).unwrap();
    assert_eq!(ended, Ended::Finished);
    let expected: Vec<f64> =
        [1, 2].map(|iteration| (1.0 - view.consistency(iteration).unwrap().agreement.kendall.unwrap()) / 2.0).into();
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 2);
    for (heard, expected) in heard.iter().zip(&expected) {
        assert!((heard - expected).abs() < 1e-12 && *heard > 0.0, "{heard} is not {expected}");
    }
}

#[test]
fn weighing_without_rewards_or_with_a_loss_that_cannot_be_reversed_is_refused() {
    let root = tempfile::tempdir().unwrap();
    type Change = fn(&mut Settings);
    let table: [(&str, Change); 3] = [
        ("needs run.judge = \"intrinsic\"", |settings| settings.run.judge = JudgeKind::SelfJudge),
        ("needs dpo.loss", |settings| settings.dpo.loss = Loss::Ipo),
        ("sets the label smoothing itself", |settings| settings.dpo.label_smoothing = 0.1),
    ];
    for (at, (says, change)) in table.into_iter().enumerate() {
        let mut settings = intrinsic(6);
        change(&mut settings);
        let name = format!("refused{at}");
        let error = format!("{:#}", launch::create(root.path(), &name, &settings).unwrap_err());
        assert!(error.contains(says) && !root.path().join(&name).exists(), "{error}");
    }
}
