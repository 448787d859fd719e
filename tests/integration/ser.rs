//! A reward model that teaches itself, in whole rehearsed runs: what each loop learns, which one judges, and that a kill changes nothing.

use selfreward::engine::launch;
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::{JudgeKind, Settings, Story};
use selfreward::engine::teaching::settings::Recipe;
use selfreward::run::event::{Event, SelfLabelled};
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{Model, Stage};
use selfreward::run::journal::segment_name;
use selfreward::run::reasons::Settled;
use selfreward::run::view::State;

use crate::stage::{cut, engine, entries, facts, play, size, small, story};

fn ser(seed: u64) -> Settings {
    let mut settings = small(seed);
    settings.run.recipe = Recipe::Ser;
    settings.judge.samples = 1;
    // A rehearsal plays people's pairs in no time: as few as the held-out sets.
    settings.data.limit = 60;
    settings.eval.instructions = 6;
    settings
}

fn labelled(folder: &RunFolder) -> Vec<SelfLabelled> {
    entries(folder)
        .into_iter()
        .filter_map(|entry| if let Event::SelfLabelled(event) = entry.event { Some(event) } else { None })
        .collect()
}

#[test]
fn loops_learn_from_labels_of_their_own_and_the_best_one_judges() {
    let root = tempfile::tempdir().unwrap();
    let (folder, view) = play(root.path(), "a", &ser(7));
    assert_eq!((view.state.clone(), view.recipe(), view.judge()), (State::Finished, "ser", "reward-model"));
    assert_eq!(view.oddities.stray, 0);
    let reward = &view.reward;
    let chosen = reward.chosen.as_ref().unwrap();
    assert!(reward.measured.len() as u32 == chosen.loops + 1 && chosen.loops >= 1, "{chosen:?}");
    let first = reward.of_loop(0).unwrap();
    assert!(first.own == 0 && first.human > 10, "{} {}", first.human, first.own);
    for number in 1..=chosen.loops {
        let (labels, measured) = (reward.labels_of(number).unwrap(), reward.of_loop(number).unwrap());
        assert_eq!((measured.own, measured.human), (labels.kept, first.human));
        assert!(
            labels.kept > 0 && labels.kept <= labels.pool && labels.flipped.unwrap() < labels.kept / 2,
            "{labels:?}"
        );
    }
    assert!(first.agreement.interval.is_some() && first.calibration.error.is_some() && first.deciding_pairs > 20);
    let decided: Vec<f64> = reward.measured.iter().map(|measured| measured.deciding.unwrap()).collect();
    let most = decided.iter().copied().fold(0.0, f64::max);
    assert_eq!(decided[chosen.number as usize], most, "{decided:?}");
    // Every candidate has the reward of the model that was chosen: no bounds, and no reasons.
    let judged: Vec<(String, f64)> = entries(&folder)
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::CandidateJudged(event) => Some((event.reply.clone(), event.score.unwrap())),
            _ => None,
        })
        .collect();
    assert_eq!(judged.len(), 2 * 60 * 4);
    assert!(judged.iter().all(|(reply, score)| *reply == format!("reward {score:.4}")));
    assert!(judged.iter().any(|(_, score)| *score < 0.0), "rewards know no 0 to 5");
    // The model itself is measured as a judge too, and both stand beside each other.
    assert!(view.model(Model::M(2)).unwrap().evaluated.as_ref().unwrap().1.agreement.pairs > 50);
    let beside = view.teacher.compared.iter().find(|found| found.judge == "reward-model").unwrap();
    assert!(
        beside.reference == "human"
            && beside.agreement.pairs > first.agreement.pairs
            && beside.agreement.five_best.is_none()
    );
    let manifest = format!("checkpoints/{}/MANIFEST.json", chosen.model);
    assert!(folder.path().join(manifest).exists());
}

#[test]
fn nothing_that_people_said_of_the_pool_is_learnt_from() {
    let root = tempfile::tempdir().unwrap();
    let (folder, _) = play(root.path(), "a", &ser(7));
    for event in labelled(&folder) {
        // Later ones may stay from before, though the rewards have turned since.
        let is_first = event.number == 1;
        let against = event.flipped.unwrap();
        assert!(against > 0, "a reward model of few pairs errs, and its errors are its labels: {against}");
        // What is believed is what the rewards say, whatever people said.
        for label in event.labels.iter().filter(|_| is_first) {
            let first = label.first.0 > label.second.0;
            assert_eq!(label.better == selfreward::run::reasons::SideOf::First, first, "{label:?}");
        }
    }
}

#[test]
fn a_loop_that_loses_is_gone_back_on_and_raises_an_alarm() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = story(Story::Overfit, 3);
    settings.run.recipe = Recipe::Ser;
    settings.run.iterations = 1;
    settings.alarms.pause = false;
    settings.judge.samples = 1;
    settings.ser.seed_share = 0.4;
    let (_, view) = play(root.path(), "a", &settings);
    let chosen = view.reward.chosen.as_ref().unwrap();
    assert_eq!((chosen.number, chosen.loops, chosen.why), (0, 1, Settled::NoGain), "{:?}", view.reward);
    let alarm = view.alarm_log.iter().find(|(_, _, alarm)| alarm.id == "reward-loop");
    assert!(alarm.is_some_and(|(_, _, alarm)| alarm.evidence == ["R1", "R0"]), "{:?}", view.reward.says());
    // The loops that were not needed are stages without work.
    let spare = view.stage_of(0, Stage::Reward, Model::Reward(3)).unwrap();
    assert!(spare.finished.is_some() && spare.done == 0);
}

#[test]
fn without_the_recipe_a_reward_model_learns_from_all_labels_once() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = ser(5);
    settings.run.recipe = Recipe::Own;
    settings.run.judge = JudgeKind::RewardModel;
    settings.run.iterations = 1;
    let (folder, view) = play(root.path(), "a", &settings);
    assert_eq!((view.recipe(), view.judge()), ("self", "reward-model"));
    assert!(labelled(&folder).is_empty());
    let chosen = view.reward.chosen.as_ref().unwrap();
    assert_eq!((chosen.number, chosen.loops, chosen.why), (0, 0, Settled::LoopsDone));
    let all = view.reward.of_loop(0).unwrap().human;
    let (_, seeded) = play(root.path(), "b", &{
        let mut settings = ser(5);
        settings.run.iterations = 1;
        settings
    });
    let seed = seeded.reward.of_loop(0).unwrap().human;
    assert!(seed * 4 < all && seed * 10 > all, "{seed} of {all}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    type Change = fn(&mut Settings);
    for (change, says) in [
        ((|settings| settings.lora.rank = 4) as Change, "lora.rank = 0"),
        (|settings| settings.ser.seed_share = 0.0, "ser.seed_share"),
        (|settings| (settings.ser.low, settings.ser.high) = (0.6, 0.5), "ser.low is above"),
        (|settings| settings.run.judge = JudgeKind::Intrinsic, "leave run.judge"),
    ] {
        let mut settings = ser(1);
        change(&mut settings);
        let refused = settings.check().unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
}

#[test]
fn a_journal_cut_anywhere_in_the_loops_resumes_to_the_same_facts() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = ser(4);
    settings.run.iterations = 1;
    settings.prompts.count = 12;
    settings.eval.ranked = 4;
    let (whole, _) = play(root.path(), "whole", &settings);
    let expected = facts(&whole);
    let text = std::fs::read_to_string(whole.path().join(segment_name(1))).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let place = |kind: &str| lines.iter().position(|line| line.contains(&format!("\"kind\":\"{kind}\""))).unwrap();
    let first = place("reward_step");
    let last = lines.iter().rposition(|line| line.contains("\"kind\":\"reward_chosen\"")).unwrap() + 6;
    let notable = ["reward_measured", "self_labelled", "reward_chosen", "candidate_judged"];
    let mut cuts: Vec<usize> = notable.iter().flat_map(|kind| [place(kind), place(kind) + 1]).collect();
    cuts.extend((first..last).step_by(((last - first) / size(5, 20)).max(1)));
    for (number, at) in cuts.into_iter().enumerate() {
        let bytes = lines[..at].iter().map(|line| line.len()).sum();
        let torn = cut(&whole, root.path(), &format!("cut{number}"), bytes);
        engine(&torn, Signals::default()).unwrap();
        assert_eq!(facts(&torn), expected, "cut after line {at}");
    }
    let again = launch::create(root.path(), "again", &settings).unwrap();
    engine(&again, Signals::default()).unwrap();
    assert_eq!(facts(&again), expected);
}
