//! Learning from rewards in the trainer: its gradient against finite differences and automatic differentiation, alone as together, and
//! that it makes good answers likelier and goes on from a checkpoint.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device};
use selfreward::model::folder::{self, Folder};
use selfreward::model::llama::Llama;
use selfreward::recipe::rloo::{Rule, Sample, pushes};
use selfreward::train::batch::Sequence;
use selfreward::train::hand::net::Net;
use selfreward::train::log_probs::sum;
use selfreward::train::optimizer::square;
use selfreward::train::rloo::{Answer, Group, Rloo, RlooSettings};
use selfreward::train::schedule::{Curve, Schedule};
use selfreward::train::state;
use selfreward::train::step::{LessonSettings, StepReport};
use selfreward::train::student::Student;
use selfreward::train::workers::Workers;

use crate::llama_fixtures::{self, CASES};
use crate::train_golden::plain_lesson;

fn net(case: &str) -> Net {
    let (folder, _) = llama_fixtures::load(case);
    Net::load(&folder.shape, &folder).unwrap()
}

fn graph(case: &str) -> Llama {
    let (folder, _) = llama_fixtures::load(case);
    Llama::load(&folder.shape, &folder, DType::F32, &Device::flex()).unwrap()
}

/// Answers of several lengths to prompts of their own. The reference is so far from what the model of this case says of them.
fn groups(case: &str, away: &[f64]) -> Vec<Group> {
    let net = net(case);
    let answer = |prompt: usize, number: usize| {
        let tokens = (0..9 + prompt).map(|at| 3 + ((at * 7 + prompt * 29) % 90) as u32);
        let reply = (0..3 + 4 * number).map(|at| 3 + ((at * 11 + number * 17 + prompt) % 90) as u32);
        let tokens: Vec<u32> = tokens.chain(reply).collect();
        let all = tokens.len();
        let text = Sequence::new(tokens, 9 + prompt..all, 256).unwrap();
        let log_prob = sum(&net.log_probs(&[&text]).unwrap()[0]);
        let reward = [1.5, -0.5, 0.25, -2.0][(number + prompt) % 4];
        Answer { text, reward, worth: reward, reference: log_prob - away[(number + prompt) % away.len()] }
    };
    (0..3).map(|prompt| (0..3 + prompt % 2).map(|number| answer(prompt, number)).collect()).collect()
}

const AWAY: [f64; 4] = [0.1, -0.3, 0.6, 0.0];

fn measured(
    student: impl Into<Student>,
    groups: Vec<Group>,
    rule: Rule,
    lesson: LessonSettings,
) -> (StepReport, BTreeMap<String, Vec<f32>>) {
    let student = student.into();
    let names: Vec<String> = student.trained().into_iter().map(|parameter| parameter.name).collect();
    let lesson = LessonSettings { batch: groups.len(), ..lesson };
    let workers = Workers::new(2).unwrap();
    let rloo = Rloo::new(student, groups, RlooSettings { lesson, rule }, workers).unwrap();
    let (report, gradient) = rloo.measure().unwrap();
    (report, names.into_iter().zip(gradient).collect())
}

/// The loss as it is written down, of a model that may have been moved.
fn loss(net: &Net, groups: &[Group], rule: Rule) -> f64 {
    let losses: Vec<f64> = groups
        .iter()
        .flat_map(|group| {
            let rows: Vec<&Sequence> = group.iter().map(|answer| &answer.text).collect();
            let scored = net.log_probs(&rows).unwrap();
            let of = |(answer, tokens): (&Answer, &Vec<f32>)| Sample {
                reward: answer.worth,
                log_prob: sum(tokens),
                reference: answer.reference,
            };
            pushes(&group.iter().zip(&scored).map(of).collect::<Vec<_>>(), rule)
        })
        .map(|push| push.loss)
        .collect();
    losses.iter().sum::<f64>() / losses.len() as f64
}

#[test]
fn the_gradient_of_pushes_is_that_of_finite_differences() {
    // Without a price for going away the advantage is a constant, as the gradient takes it to be.
    for (case, clip) in CASES.into_iter().flat_map(|case| [(case, 0.0), (case, 0.25)]) {
        let rule = Rule { beta: 0.0, clip };
        let groups = groups(case, &AWAY);
        let (report, analytic) = measured(net(case), groups.clone(), rule, plain_lesson(1));
        let mut net = net(case);
        assert!((report.loss - loss(&net, &groups, rule)).abs() < 1e-4, "{case}: {}", report.loss);
        assert_eq!(report.groups.unwrap().clipped > 0.0, clip > 0.0, "{case}");
        let names: Vec<String> = net.trained().into_iter().map(|parameter| parameter.name).collect();
        for (at, name) in names.iter().enumerate() {
            let gradient = &analytic[name];
            // Along the gradient itself: the slope is its length.
            let length = square(gradient).sqrt();
            if length < 1e-5 {
                continue;
            }
            // So far that the loss moves by a hundredth: ratios are exponentials, and where an answer is clipped the loss has a bend.
            let step = (0.01 / length).min(2e-3);
            let mut ends = [0.0; 2];
            for (end, sign) in ends.iter_mut().zip([1.0, -1.0]) {
                let move_by = |net: &mut Net, sign: f64| {
                    let numbers = &mut net.trained_numbers()[at];
                    numbers.iter_mut().zip(gradient).for_each(|(x, g)| *x += (sign * step / length) as f32 * g);
                };
                move_by(&mut net, sign);
                *end = loss(&net, &groups, rule);
                move_by(&mut net, -sign);
            }
            let slope = (ends[0] - ends[1]) / (2.0 * step);
            assert!((slope - length).abs() < 0.03 * length + 4e-3, "{case}, {name}: {slope} for {length}");
        }
    }
}

#[test]
fn by_hand_and_by_automatic_differentiation_and_in_groups_of_any_size_the_gradient_is_the_same() {
    let rule = Rule { beta: 0.3, clip: 0.25 };
    for case in CASES {
        let all = groups(case, &AWAY);
        let (report, by_hand) = measured(net(case), all.clone(), rule, plain_lesson(1));
        let narrow = LessonSettings { most_positions: 24, ..plain_lesson(1) };
        let again = LessonSettings { recompute: true, ..plain_lesson(1) };
        let others = [
            ("graph", measured(graph(case), all.clone(), rule, plain_lesson(1))),
            ("narrow", measured(net(case), all.clone(), rule, narrow)),
            ("again", measured(net(case), all, rule, again)),
        ];
        for (name, (other, gradient)) in others {
            assert!((other.loss - report.loss).abs() < 1e-4, "{case} {name}: {} {}", other.loss, report.loss);
            assert_eq!(by_hand.keys().collect::<Vec<_>>(), gradient.keys().collect::<Vec<_>>());
            for (parameter, a) in &by_hand {
                let off: Vec<f32> = a.iter().zip(&gradient[parameter]).map(|(a, b)| a - b).collect();
                let share = (square(&off) / square(a).max(1e-9)).sqrt();
                assert!(share < 2e-3, "{case} {name} {parameter}: {share}");
            }
        }
    }
}

fn lesson(dropout: f64) -> RlooSettings {
    let schedule = Schedule { curve: Curve::Linear, lr: 1e-3, lr_end: 1e-4, warmup: 0.0 };
    let lesson = LessonSettings { schedule, batch: 2, epochs: 6, dropout, ..plain_lesson(2) };
    RlooSettings { lesson, rule: Rule { beta: 0.02, clip: 0.5 } }
}

#[test]
fn good_answers_grow_likelier_and_a_checkpoint_goes_on_to_the_same_bits() {
    let case = "gqa_llama3_bf16";
    let (from, _) = llama_fixtures::load(case);
    for dropout in [0.0, 0.1] {
        let begin = |student: Student| {
            Rloo::new(student, groups(case, &[0.0]), lesson(dropout), Workers::new(2).unwrap()).unwrap()
        };
        let mut whole = begin(net(case).into());
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("between");
        let mut reports = Vec::new();
        for step in 1..=whole.pupil.steps {
            let report = whole.step().unwrap();
            assert!(report.applied && report.tokens > 0);
            reports.push(report.groups.unwrap());
            if step == 5 {
                folder::save(&path, &whole.pupil.student().unwrap().to_weights().unwrap(), &from.companions().unwrap())
                    .unwrap();
                state::write(&path, &whole.pupil, &whole.fingerprint()).unwrap();
            }
        }
        let (first, last) = (reports[0], reports[reports.len() - 1]);
        // Whether the network is thinned or not, where answers push is said by the whole one.
        assert!(first.kl < 1e-6 && first.loss.abs() < 1e-3 && first.gain.abs() < 1e-3, "{first:?}");
        assert!(last.gain > 0.1 && last.kl > 1e-3, "{last:?}");
        let read = Folder::open(&path).unwrap();
        let mut resumed = begin(Net::load(&read.shape, &read).unwrap().into());
        let print = resumed.fingerprint();
        state::restore(&path, 5, &mut resumed.pupil, &print).unwrap();
        while resumed.pupil.taken < resumed.pupil.steps {
            resumed.step().unwrap();
        }
        let weights = |rloo: &Rloo| rloo.pupil.student().unwrap().to_weights().unwrap();
        assert!(weights(&whole) == weights(&resumed), "the same bits");
    }
}

#[test]
fn a_reward_that_is_no_number_changes_nothing_and_is_named() {
    let mut broken = groups("gqa_llama3_bf16", &[0.0]);
    broken[1][2].worth = f64::NAN;
    let lesson = LessonSettings { batch: 3, ..plain_lesson(1) };
    let settings = RlooSettings { lesson, rule: Rule { beta: 0.0, clip: 0.2 } };
    let mut rloo = Rloo::new(net("gqa_llama3_bf16"), broken, settings, Workers::new(1).unwrap()).unwrap();
    let before = rloo.pupil.student().unwrap().to_weights().unwrap();
    let report = rloo.step().unwrap();
    assert_eq!(report.not_applied(), Some(vec![1]), "{report:?}");
    assert!(rloo.pupil.student().unwrap().to_weights().unwrap() == before);
    for empty in [Vec::new(), vec![Vec::new()]] {
        assert!(Rloo::new(net("gqa_llama3_bf16"), empty, settings, Workers::new(1).unwrap()).is_err());
    }
}
