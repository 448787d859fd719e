//! The gate between two loops of a reward model, in whole rehearsed runs: what is offered, what people's words do to it, and that a kill
//! changes nothing.

use std::path::Path;
use std::sync::{Arc, Mutex};

use selfreward::engine::desk::Desk;
use selfreward::engine::human_pairs::drawn;
use selfreward::engine::launch;
use selfreward::engine::materials::Materials;
use selfreward::engine::recorder::Signals;
use selfreward::engine::settings::{GateMode, Settings};
use selfreward::engine::teaching::settings::Recipe;
use selfreward::run::command::{Choice, Command, Decide, Outbox};
use selfreward::run::entry::{Entry, Stamp};
use selfreward::run::event::*;
use selfreward::run::facts::Facts;
use selfreward::run::folder::RunFolder;
use selfreward::run::ids::{Model, PromptId, Stage};
use selfreward::run::journal::{Writer, segment_name};
use selfreward::run::reasons::{SideOf, SignKind};
use selfreward::run::view::{PairStatus, RunView, State};

use crate::cli_story::cli;
use crate::stage::{cut, engine_with, entries, facts, play, size, small};

/// Two loops at least, and nothing after them that takes long.
fn ser(seed: u64, mode: GateMode) -> Settings {
    let mut settings = small(seed);
    settings.run.recipe = Recipe::Ser;
    settings.run.iterations = 1;
    settings.judge.samples = 1;
    settings.data.limit = 60;
    settings.prompts.count = 12;
    settings.eval.instructions = 6;
    settings.eval.ranked = 4;
    settings.ser.patience = 3;
    settings.gate.mode = mode;
    settings.gate.queue.suspicious = 6;
    settings.gate.queue.random = 5;
    settings
}

fn about(pairs: &[PromptId], choice: Choice) -> Command {
    let (reason, note, took_ms, filter, seen) = (None, None, Some(900), None, None);
    Command::Decide(Decide { pairs: pairs.to_vec(), choice, reason, note, took_ms, blind: false, filter, seen })
}

/// What people ask for when an entry is in the journal.
type Asks = fn(&Event) -> Vec<Command>;

fn listener(folder: &RunFolder, asks: Asks) -> selfreward::engine::recorder::Listener {
    let folder = folder.path().to_path_buf();
    let asked = Arc::new(Mutex::new(Vec::<u64>::new()));
    Box::new(move |entry: &Entry, _: &RunView| {
        let mut asked = asked.lock().unwrap();
        if !asked.contains(&entry.seq) {
            asked.push(entry.seq);
            let outbox = Outbox::open(&folder, "ana").unwrap();
            asks(&entry.event).into_iter().for_each(|command| {
                outbox.send("ana", Stamp(0), command).unwrap();
            });
        }
    })
}

fn attended(root: &Path, name: &str, settings: &Settings, asks: Asks) -> (RunFolder, RunView) {
    let folder = launch::create(root, name, settings).unwrap();
    let (_, view) = engine_with(&folder, Signals::default(), listener(&folder, asks)).unwrap();
    assert_eq!(view.state, State::Finished);
    (folder, view)
}

/// At the gate of the first loop: a veto, a swap, a keep, a tie that is taken back and one that is not, a note; later gates are closed.
fn people(event: &Event) -> Vec<Command> {
    match event {
        Event::SpotCheckOpened(SpotCheckOpened { number: Some(1), queue, .. }) => {
            let at: Vec<PromptId> = queue.iter().map(|queued| queued.pair).collect();
            vec![
                about(&at[..1], Choice::Veto),
                about(&at[1..2], Choice::Swap),
                about(&at[2..3], Choice::Keep),
                about(&at[3..4], Choice::Tie),
                Command::Undo { of: None },
                Command::Redo { of: None },
                Command::Undo { of: None },
                about(&at[4..5], Choice::Edit { candidate: 0, score: 5.0 }),
                about(&[PromptId { iteration: 0, number: 99_999 }], Choice::Veto),
                Command::Note { pair: Some(at[2]), text: "both are fine".into() },
                // The last ones are of the random part: one is bad.
                about(&at[10..11], Choice::Swap),
                about(&at[9..10], Choice::Keep),
                Command::CloseGate,
            ]
        }
        // Too late: at the gate before DPO every loop has learnt. (Asked any earlier, it would be a matter of time which gate hears it.)
        Event::SpotCheckOpened(SpotCheckOpened { number: None, .. }) => {
            vec![about(&[PromptId { iteration: 0, number: 0 }], Choice::Veto), Command::CloseGate]
        }
        Event::SpotCheckOpened(_) => vec![Command::CloseGate],
        _ => Vec::new(),
    }
}

fn opened(entries: &[Entry], number: u32) -> SpotCheckOpened {
    let found = entries.iter().find_map(|entry| match &entry.event {
        Event::SpotCheckOpened(event) if event.number == Some(number) => Some(event.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no gate before loop {number}"))
}

fn fixed(entries: &[Entry], number: u32) -> TrainingSetFixed {
    let found = entries.iter().find_map(|entry| match &entry.event {
        Event::TrainingSetFixed(event) if event.number == Some(number) => Some(event.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no labels of loop {number}"))
}

fn labelled(entries: &[Entry], number: u32) -> SelfLabelled {
    let found = entries.iter().find_map(|entry| match &entry.event {
        Event::SelfLabelled(event) if event.number == number => Some(event.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no labels for loop {number}"))
}

#[test]
fn what_people_say_of_labels_is_what_the_next_loops_learn_from() {
    let root = tempfile::tempdir().unwrap();
    let (folder, view) = attended(root.path(), "a", &ser(7, GateMode::Wait), people);
    let all = entries(&folder);
    assert_eq!(view.oddities.stray, 0);
    let queue: Vec<PromptId> = opened(&all, 1).queue.iter().map(|queued| queued.pair).collect();
    let labels = labelled(&all, 1);
    let label = |id: PromptId| labels.labels.iter().find(|label| label.pair == id.number).unwrap().better;
    let set = fixed(&all, 1);
    let used = |id: PromptId| set.pairs.iter().find(|used| used.pair == id).map(|used| used.chosen);
    let side = |side: SideOf| u32::from(side == SideOf::Second);
    for (place, expected, says) in [
        (0, None, "vetoed"),
        (1, Some(1 - side(label(queue[1]))), "swapped"),
        (2, Some(side(label(queue[2]))), "kept"),
        (3, Some(side(label(queue[3]))), "a tie that was taken back"),
        (4, Some(side(label(queue[4]))), "not decided"),
        (10, Some(1 - side(label(queue[10]))), "swapped, of the random part"),
    ] {
        assert_eq!(used(queue[place]), expected, "{says}");
    }
    assert_eq!((set.left_out.len(), set.left_out[0].pair), (1, queue[0]));
    assert_eq!(set.pairs.len() + 1, labels.labels.len());
    // What is fixed is what the model learns from, by the fold that the engine works with.
    let mut desk = Desk::default();
    all.iter().take_while(|entry| entry.seq <= seq_of(&all, 1)).for_each(|entry| desk.apply(&entry.event));
    let learnt = |id: PromptId| desk.learnt_labels[id.number as usize];
    assert_eq!((learnt(queue[0]), learnt(queue[1]).map(side)), (None, Some(1 - side(label(queue[1])))));
    assert_eq!(view.reward.of_loop(1).unwrap().own, set.pairs.len() as u32);
    // Only the random part says how many labels are bad.
    let check = view.reward.labels_of(1).unwrap().check.clone().unwrap();
    assert_eq!((check.offered, check.decided, check.random_decided, check.random_bad), (11, 5, 2, 1));
    let told = view.reward.labels_of(1).unwrap().fixed.unwrap();
    assert_eq!((told.used as usize, told.left_out, told.turned), (set.pairs.len(), 1, 2));
    let refused: Vec<&str> = view.refusals.iter().map(|(_, refused)| refused.why.as_str()).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused[0].contains("swap it or veto it") && refused[1].contains("there is no pair 0:99999"));
    assert!(refused[2].contains("the gate has closed"), "{}", refused[2]);
    // Their word holds: nobody is asked again, and no later loop learns otherwise.
    let again = opened(&all, 2);
    assert!([0, 1, 2, 10].iter().all(|&place| again.queue.iter().all(|queued| queued.pair != queue[place])));
    let second = fixed(&all, 2);
    let later = |id: PromptId| second.pairs.iter().find(|used| used.pair == id).map(|used| used.chosen);
    assert_eq!((later(queue[0]), later(queue[1])), (None, Some(1 - side(label(queue[1])))));
    assert!(set.hash.len() == 32 && set.hash != second.hash);
    assert_eq!(view.pair(queue[2]).unwrap().notes, 1);
    assert_eq!(view.reward.of_loop(2).unwrap().own, second.pairs.len() as u32);
    for number in 0..3 {
        assert!(view.stage_of(0, Stage::Check, Model::Reward(number)).is_some_and(|span| span.finished.is_some()));
    }
}

fn seq_of(all: &[Entry], number: u32) -> u64 {
    let is = |event: &Event| matches!(event, Event::TrainingSetFixed(event) if event.number == Some(number));
    all.iter().find(|entry| is(&entry.event)).unwrap().seq
}

#[test]
fn a_gate_of_labels_waits_as_it_is_set() {
    type Change = fn(&mut Settings);
    let root = tempfile::tempdir().unwrap();
    for (name, change, asks, why, offered, kept_out) in [
        ("off", (|_| {}) as Change, (|_| Vec::new()) as Asks, GateClosed::Off, 11, false),
        (
            "deadline",
            |settings| {
                settings.gate.mode = GateMode::Deadline;
                settings.gate.deadline = "0s".into();
                settings.gate.undecided_limit = 0.2;
            },
            |_| Vec::new(),
            GateClosed::Deadline,
            11,
            true,
        ),
        (
            "wait",
            |settings| settings.gate.mode = GateMode::Wait,
            |event| match event {
                Event::SpotCheckOpened(event) => {
                    let pairs: Vec<PromptId> = event.queue.iter().map(|queued| queued.pair).collect();
                    vec![about(&pairs, Choice::Keep)]
                }
                _ => Vec::new(),
            },
            GateClosed::Decided,
            11,
            false,
        ),
        (
            "nobody",
            |settings| {
                settings.gate.mode = GateMode::Wait;
                (settings.gate.queue.suspicious, settings.gate.queue.random) = (0, 0);
            },
            |_| Vec::new(),
            GateClosed::Decided,
            0,
            false,
        ),
    ] {
        let mut settings = ser(7, GateMode::Off);
        settings.ser.loops = 1;
        change(&mut settings);
        let (folder, view) = attended(root.path(), name, &settings, asks);
        let all = entries(&folder);
        let check = view.reward.labels_of(1).unwrap().check.clone().unwrap();
        assert_eq!((check.why.clone(), check.offered), (why, offered), "{name}");
        let (labels, set) = (labelled(&all, 1), fixed(&all, 1));
        let doubted = labels.labels.iter().filter(|label| label.suspicion > 0.2).count();
        assert!(doubted > 0 && doubted < labels.labels.len(), "{name}: {doubted} of {}", labels.labels.len());
        let out = set.left_out.iter().filter(|left| left.why == LeftOutWhy::UndecidedSuspicious).count();
        assert_eq!(out, if kept_out { doubted } else { 0 }, "{name}");
        assert_eq!(view.reward.of_loop(1).unwrap().own as usize, labels.labels.len() - out, "{name}");
    }
}

#[test]
fn the_most_doubted_labels_are_offered_with_their_texts_and_a_random_part() {
    let root = tempfile::tempdir().unwrap();
    let settings = ser(7, GateMode::Off);
    let (folder, view) = play(root.path(), "a", &settings);
    let all = entries(&folder);
    let (gate, labels) = (opened(&all, 1), labelled(&all, 1));
    let of = |picked: Picked| -> Vec<u32> {
        gate.queue.iter().filter(|queued| queued.picked == picked).map(|queued| queued.pair.number).collect()
    };
    let (suspicious, random) = (of(Picked::Suspicious), of(Picked::Random));
    assert_eq!((suspicious.len(), random.len()), (6, 5));
    let doubt = |number: u32| labels.labels.iter().find(|label| label.pair == number).unwrap().suspicion;
    let least = suspicious.iter().map(|&number| doubt(number)).fold(1.0, f64::min);
    let missed =
        labels.labels.iter().filter(|label| !suspicious.contains(&label.pair) && !random.contains(&label.pair));
    assert!(missed.clone().count() > 0 && missed.clone().all(|label| label.suspicion <= least), "{least}");
    for label in &labels.labels {
        let sum: f64 = label.signs.iter().map(|sign| sign.amount).sum();
        assert!((sum.min(1.0) - label.suspicion).abs() < 1e-12);
        let opposite = (label.better == SideOf::First) != (label.first.0 > label.second.0);
        assert!(!opposite, "the first labels are what the rewards say");
    }
    assert!(labels.labels.iter().any(|label| label.signs.iter().any(|sign| sign.kind == SignKind::Unsure)));
    // The texts stand in the journal before the gate, once, and are those of the pool.
    let materials = Materials::read(&settings).unwrap();
    let people = selfreward::engine::human_pairs::HumanPairs::of(&materials.reward_sets, 0.15, settings.run.seed);
    let mut told = std::collections::BTreeMap::new();
    for entry in &all {
        if let Event::TextOffered(event) = &entry.event {
            let place = (event.pair, event.answer.map(|answer| answer == SideOf::Second));
            assert!(told.insert(place, (entry.seq, event.text.clone())).is_none(), "{event:?} is told twice");
        }
    }
    let opened_seq = |number| {
        let is = |event: &Event| matches!(event, Event::SpotCheckOpened(event) if event.number == Some(number));
        all.iter().find(|entry| is(&entry.event)).unwrap().seq
    };
    for queued in &gate.queue {
        let pair = &people.pool[queued.pair.number as usize];
        for (answer, text) in [(None, &pair.prompt), (Some(false), &pair.first), (Some(true), &pair.second)] {
            let (seq, told) = &told[&(queued.pair, answer)];
            assert!(told == text && *seq < opened_seq(1));
        }
        assert_eq!(view.round(0).unwrap().prompts[queued.pair.number as usize].seq, told[&(queued.pair, None)].0);
    }
    // A label that stays against the model's new belief is doubted for it.
    let second = labelled(&all, 2);
    let turned =
        second.labels.iter().filter(|label| (label.better == SideOf::First) != (label.first.0 > label.second.0));
    for label in turned {
        assert!(label.signs.iter().any(|sign| sign.kind == SignKind::Turned), "{label:?}");
    }
}

#[test]
fn what_people_said_of_the_pool_changes_no_label_and_no_suspicion() {
    let root = tempfile::tempdir().unwrap();
    let materials = Materials::read(&ser(7, GateMode::Off)).unwrap();
    let seeds = drawn(&materials.reward_sets, 0.15, 7);
    type Found = (Vec<SelfLabel>, Vec<Queued>, Option<u32>, Option<f64>);
    let found: Vec<Found> = [false, true]
        .into_iter()
        .map(|turned| {
            let mut lines = String::new();
            for set in &materials.reward_sets {
                let turned = turned && !seeds.contains(set.prompt.as_str());
                let rank = |rank: f64| if turned { -rank } else { rank };
                let rows: Vec<serde_json::Value> = set
                    .responses
                    .iter()
                    .map(|row| serde_json::json!({ "text": row.text, "rank": rank(row.rank) + 10.0 }))
                    .collect();
                lines += &format!("{}\n", serde_json::json!({ "prompt": set.prompt, "responses": rows }));
            }
            let path = root.path().join(format!("pairs-{turned}.jsonl"));
            std::fs::write(&path, lines).unwrap();
            let mut settings = ser(7, GateMode::Off);
            settings.data.pairs = Some(path.to_str().unwrap().into());
            settings.ser.loops = 1;
            let (folder, _) = play(root.path(), &format!("run-{turned}"), &settings);
            let all = entries(&folder);
            let labels = labelled(&all, 1);
            (labels.labels, opened(&all, 1).queue, labels.flipped, labels.suspicion_auroc)
        })
        .collect();
    assert!(found[0].0.len() > 20);
    assert_eq!((&found[0].0, &found[0].1), (&found[1].0, &found[1].1));
    let kept = found[0].0.len() as u32;
    let [one, two] = [0, 1].map(|at: usize| found[at].3.unwrap());
    assert!((one + two - 1.0).abs() < 1e-9 && one != two, "{one} {two}");
    assert_eq!(
        found[0].2.unwrap() + found[1].2.unwrap(),
        kept,
        "every label that was right is wrong, for the report alone"
    );
}

#[test]
fn the_own_judgements_of_ranked_data_speak_against_labels() {
    let root = tempfile::tempdir().unwrap();
    let materials = Materials::read(&ser(7, GateMode::Off)).unwrap();
    let rows = materials.reward_sets.iter().take(40).map(|set| {
        let rows: Vec<serde_json::Value> =
            set.responses.iter().map(|row| serde_json::json!({ "text": row.text, "rank": row.rank + 10.0 })).collect();
        format!("{}\n", serde_json::json!({ "prompt": set.prompt, "responses": rows }))
    });
    let path = root.path().join("ranked.jsonl");
    std::fs::write(&path, rows.collect::<String>()).unwrap();
    let mut settings = ser(7, GateMode::Off);
    settings.data.eft = Some(path.to_str().unwrap().into());
    settings.ser.loops = 1;
    let (folder, _) = play(root.path(), "a", &settings);
    let labels = labelled(&entries(&folder), 1).labels;
    let against = labels.iter().filter(|label| label.signs.iter().any(|sign| sign.kind == SignKind::SelfDisagrees));
    let against = against.count();
    assert!(against > 0 && against < labels.len(), "{against} of {}", labels.len());
}

#[test]
fn with_relabelling_a_machine_does_not_take_back_what_a_human_said() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = ser(7, GateMode::Wait);
    settings.ser.relabel = true;
    let (folder, view) = attended(root.path(), "a", &settings, people);
    let all = entries(&folder);
    let queue: Vec<PromptId> = opened(&all, 1).queue.iter().map(|queued| queued.pair).collect();
    let (first, second) = (fixed(&all, 1), fixed(&all, 2));
    let chosen =
        |set: &TrainingSetFixed, id: PromptId| set.pairs.iter().find(|one| one.pair == id).map(|one| one.chosen);
    for place in [1, 2, 9, 10] {
        let id = queue[place];
        assert!(chosen(&first, id).is_some() && chosen(&first, id) == chosen(&second, id), "{id}");
        assert!(view.pair(id).unwrap().status.is_decided());
    }
    assert_eq!(chosen(&second, queue[0]), None, "a veto holds");
    // What nobody decided and the model no longer believes is no label.
    let believed: Vec<u32> = labelled(&all, 2).labels.iter().map(|label| label.pair).collect();
    assert!(labelled(&all, 1).labels.iter().any(|label| !believed.contains(&label.pair)), "some were taken back");
    for used in &second.pairs {
        let decided = [1, 2, 9, 10].iter().any(|&place| queue[place] == used.pair);
        assert!(decided || believed.contains(&used.pair.number), "{}", used.pair);
    }
}

#[test]
fn a_kill_at_the_gate_loses_no_word_of_anybody() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = ser(4, GateMode::Wait);
    settings.ser.loops = 2;
    let (whole, _) = attended(root.path(), "whole", &settings, people);
    let expected = facts(&whole);
    let text = std::fs::read_to_string(whole.path().join(segment_name(1))).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let place = |kind: &str| lines.iter().position(|line| line.contains(&format!("\"kind\":\"{kind}\""))).unwrap();
    let (labelled, opened, closed) = (place("self_labelled"), place("spot_check_opened"), place("spot_check_closed"));
    assert!(labelled < place("text_offered") && place("text_offered") < opened && opened < closed);
    let before = [labelled, labelled + 1, place("text_offered") + 1, opened - 1, opened];
    let after: Vec<usize> = (opened + 1..=closed + 3).step_by(size(9, 1)).chain([closed, closed + 1]).collect();
    assert!(
        lines[closed - 1].contains("close the gate"),
        "a kill between a taken request and what it asks for is tried"
    );
    for (number, at) in before.into_iter().chain(after).enumerate() {
        let bytes = lines[..at].iter().map(|line| line.len()).sum();
        let torn = cut(&whole, root.path(), &format!("cut{number}"), bytes);
        // Requests that had been written are still there; where the gate had not opened nobody had written any.
        let has_opened = at > opened;
        if has_opened {
            let asked = std::fs::read_to_string(whole.path().join("control/ana.jsonl")).unwrap();
            let first_gate: String = asked.split_inclusive('\n').take(FIRST_GATE).collect();
            std::fs::create_dir_all(torn.path().join("control")).unwrap();
            std::fs::write(torn.path().join("control/ana.jsonl"), first_gate).unwrap();
        }
        engine_with(&torn, Signals::default(), listener(&torn, people)).unwrap();
        assert_eq!(facts(&torn), expected, "cut after line {at}");
    }
}

#[test]
fn a_run_of_a_program_without_this_gate_goes_on_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let (whole, _) = play(root.path(), "whole", &ser(4, GateMode::Off));
    let gates = |event: &Event| match event {
        Event::StageStarted(event) => event.iteration == 0 && event.stage == Stage::Check,
        Event::StageFinished(event) => event.iteration == 0 && event.stage == Stage::Check,
        Event::SpotCheckOpened(event) => event.number.is_some(),
        Event::SpotCheckClosed(event) => event.number.is_some(),
        Event::TrainingSetFixed(event) => event.number.is_some(),
        Event::TextOffered(_) => true,
        _ => false,
    };
    let before: Vec<Event> =
        entries(&whole).into_iter().map(|entry| entry.event).filter(|event| !gates(event)).collect();
    let mut expected = Facts::default();
    before.iter().for_each(|event| expected.add(event));
    let place = |is: fn(&Event) -> bool| before.iter().position(is).unwrap() + 1;
    for (number, end) in [
        place(|event| matches!(event, Event::RewardStep(event) if event.model == Model::Reward(1))),
        place(|event| matches!(event, Event::RewardChosen(_))),
        place(|event| matches!(event, Event::CandidateJudged(_))),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = cut(&whole, root.path(), &format!("cut{number}"), 0);
        let mut writer = Writer::open(folder.path()).unwrap();
        for (seq, event) in (1..).zip(&before[..end]) {
            writer.append(&Entry { seq, at: Stamp(seq as i64), event: event.clone() }).unwrap();
        }
        drop(writer);
        let (_, view) = engine_with(&folder, Signals::default(), Box::new(|_, _| {})).unwrap();
        assert_eq!((view.state, view.oddities.stray), (State::Finished, 0));
        let found = entries(&folder);
        let late = |event: &Event| gates(event) && !matches!(event, Event::StageStarted(_) | Event::StageFinished(_));
        if end > place(|event| matches!(event, Event::RewardChosen(_))) - 1 {
            assert!(found.iter().all(|entry| !gates(&entry.event)), "nothing of iteration 0 is begun again");
            assert_eq!(facts(&folder), expected.digest());
        }
        // Loops that were to come have their gate.
        assert_eq!(found.iter().any(|entry| late(&entry.event)), number == 0);
    }
}

/// Requests of `people` at the first gate.
const FIRST_GATE: usize = 13;

#[test]
fn labels_are_listed_and_decided_from_the_command_line() {
    let root = tempfile::tempdir().unwrap();
    let (folder, view) = attended(root.path(), "a", &ser(7, GateMode::Wait), people);
    let all = entries(&folder);
    let queue: Vec<PromptId> = opened(&all, 1).queue.iter().map(|queued| queued.pair).collect();
    let listed = cli(root.path(), &["pairs", "a", "--filter", "label", "--json"]).json();
    let listed = listed["pairs"].as_array().unwrap();
    assert_eq!(listed.len(), view.round(0).unwrap().pairs().count());
    let one = listed.iter().find(|pair| pair["pair"] == queue[1].to_string()).unwrap();
    assert_eq!((&one["label"], &one["status"], &one["iteration"]), (&true.into(), &"swap".into(), &0.into()));
    assert!(one["prompt"].as_str().is_some_and(|text| !text.is_empty()) && one["probability"].as_f64().is_some());
    let shown = listed.iter().filter(|pair| !pair["prompt"].as_str().unwrap().is_empty()).count();
    assert!(shown >= 11 && shown < listed.len(), "the texts of {shown} labels are in the journal");
    let table = cli(root.path(), &["pairs", "a", "--filter", "label queue swap"]);
    assert!(table.code == 0, "{}", table.err);
    let both = cli(root.path(), &["pairs", "a", "--filter", "swap label"]).out;
    assert!(both.contains(&queue[1].to_string()) && both.contains(&queue[10].to_string()), "{both}");
    let pairs = cli(root.path(), &["pairs", "a", "--filter", "!label", "--json"]).json();
    assert!(pairs["pairs"].as_array().unwrap().iter().all(|pair| pair["label"] == false));
    let status = cli(root.path(), &["status", "a", "--json"]).json();
    let labels = &status["reward"]["labels"][0];
    assert_eq!((&labels["loop"], &labels["left_out"], &labels["turned"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!(labels["check"]["random_bad"], 1);
    assert!(labels["check"]["bad_low"].as_f64().unwrap() < 0.5 && labels["check"]["bad_high"].as_f64().unwrap() > 0.5);
    assert_eq!(
        status["pairs"]["made"].as_u64().unwrap(),
        u64::from(view.round(1).unwrap().pairs),
        "labels are no pairs of the policy"
    );
    let pair = view.pair(queue[0]).unwrap();
    assert_eq!((pair.status, pair.used), (PairStatus::Vetoed, Some(false)));
    let loops = cli(root.path(), &["metrics", "a", "--judges"]).out;
    assert!(loops.contains("wrong by lot") && loops.contains("1 of 2"), "{loops}");
    let gate = cli(root.path(), &["gate", "a", "--json"]).json();
    assert!(gate["loop"].is_null() && gate["iteration"] == 1, "the gate of the pairs stands now");
}
