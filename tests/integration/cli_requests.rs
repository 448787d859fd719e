//! Requests from the command line: written for an engine to come, answered by one that lives, refused aloud.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use selfreward::run::command::{Choice, Command, Inbox, StopWhen};
use selfreward::run::event::*;
use selfreward::run::ids::{Model, PromptId, Stage};

use crate::cli_story::{Story, cli};

fn story(root: &std::path::Path) -> (Story, [PromptId; 3]) {
    let mut story = Story::begin(root, "a");
    story.stage(Stage::Judge, 9);
    let pairs = [story.pair(0, "one", 0.9), story.pair(1, "two", 0.4), story.pair(2, "three", 0.1)];
    story.gate(&pairs);
    story.alarm("judge-parse", Level::Error);
    (story, pairs)
}

#[test]
fn without_an_engine_requests_wait_in_a_file_of_this_persons_own() {
    let root = tempfile::tempdir().unwrap();
    let (story, pairs) = story(root.path());
    let decide =
        |choice: Choice, pairs: Vec<PromptId>, filter: Option<&str>| (pairs, choice, filter.map(str::to_string));
    type Fits = Box<dyn Fn(&Command) -> bool>;
    let table: Vec<(&[&str], Fits)> = vec![
        (&["pause", "a"], Box::new(|command| *command == Command::Pause)),
        (&["stop", "a", "--after", "stage"], Box::new(|command| *command == Command::Stop { when: StopWhen::Stage })),
        (&["snapshot", "a"], Box::new(|command| *command == Command::Snapshot)),
        (&["undo", "a"], Box::new(|command| *command == Command::Undo { of: None })),
        (&["redo", "a", "31"], Box::new(|command| *command == Command::Redo { of: Some(31) })),
        (&["gate", "a", "close"], Box::new(|command| *command == Command::CloseGate)),
        (
            &["ack", "a", "judge-parse"],
            Box::new(|command| *command == Command::Acknowledge { alarm: "judge-parse".into() }),
        ),
        (
            &["note", "a", "-- odd", "--pair", "1:2"],
            Box::new(move |command| *command == Command::Note { pair: Some(pairs[2]), text: "-- odd".into() }),
        ),
        (
            &["rollback", "a", "--to", "M1", "--set", "dpo.beta=0.2"],
            Box::new(|command| *command == Command::Rollback { to: Model::M(1), set: vec!["dpo.beta=0.2".into()] }),
        ),
        (&["keep", "a", "1:0", "1:1"], decided(decide(Choice::Keep, pairs[..2].to_vec(), None))),
        (&["swap", "a", "#1:0"], decided(decide(Choice::Swap, pairs[..1].to_vec(), None))),
        (&["tie", "a", "1:0"], decided(decide(Choice::Tie, pairs[..1].to_vec(), None))),
        (&["defer", "a", "1:0"], decided(decide(Choice::Defer, pairs[..1].to_vec(), None))),
        (&["flag", "a", "1:0"], decided(decide(Choice::Flag, pairs[..1].to_vec(), None))),
        (
            &["score", "a", "1:1", "1", "4.5"],
            decided(decide(Choice::Edit { candidate: 1, score: 4.5 }, pairs[1..2].to_vec(), None)),
        ),
        (
            &["veto", "a", "--filter", "susp>.3", "--reason", "gaming"],
            decided(decide(Choice::Veto, pairs[..2].to_vec(), Some("susp>.3"))),
        ),
    ];
    for (words, _) in &table {
        let said = cli(root.path(), words);
        assert_eq!(said.code, 0, "{words:?}: {}", said.err);
        assert!(said.out.contains("no engine runs it; the request waits in"), "{words:?}: {}", said.out);
    }
    let received = Inbox::open(&story.path()).receive(|_| 0).unwrap();
    assert_eq!(received.len(), table.len());
    for ((words, fits), received) in table.iter().zip(&received) {
        assert!(received.id.writer.starts_with("ana@"), "{:?}", received.id);
        let request = received.request.as_ref().unwrap();
        assert_eq!(request.by, received.id.writer);
        assert!(fits(&request.command), "{words:?}: {:?}", request.command);
    }
    let json = cli(root.path(), &["pause", "a", "--json"]).json();
    assert_eq!((json["schema"].as_u64(), json["answer"].as_str()), (Some(1), Some("waits")));
    let none = cli(root.path(), &["veto", "a", "--filter", "susp>2"]);
    assert!(none.code == 1 && none.err.contains("no pair of iteration 1 is selected"), "{}", none.err);
}

fn decided(wanted: (Vec<PromptId>, Choice, Option<String>)) -> Box<dyn Fn(&Command) -> bool> {
    Box::new(move |command| match command {
        Command::Decide(decide) => (decide.pairs.clone(), decide.choice, decide.filter.clone()) == wanted,
        _ => false,
    })
}

#[test]
fn a_living_engine_answers_and_the_answer_is_told() {
    let root = tempfile::tempdir().unwrap();
    let (mut story, pairs) = story(root.path());
    let path = story.path();
    let (ready, wait_ready) = mpsc::channel();
    // An engine as far as a command can see: it holds the lock, and takes the first and refuses the second request.
    let engine = std::thread::spawn(move || {
        let _lock = story.folder.lock().unwrap().unwrap();
        ready.send(()).unwrap();
        let mut inbox = Inbox::open(&path);
        let mut answered = 0;
        let until = Instant::now() + Duration::from_secs(60);
        while answered < 2 && Instant::now() < until {
            for received in inbox.receive(|_| 0).unwrap() {
                let (by, request) = (received.id.writer.clone(), received.id.clone());
                answered += 1;
                if answered == 1 {
                    story.tell(PairDecided {
                        decision: Decision::Veto,
                        pairs: vec![Decided { pair: pairs[0], outcome: Outcome::Drop }],
                        by,
                        request,
                        reason: None,
                        note: None,
                        took_ms: None,
                        blind: false,
                        filter: None,
                    });
                } else {
                    story.tell(CommandRefused {
                        request,
                        by,
                        what: "resume".into(),
                        why: "the run is not paused".into(),
                    });
                }
            }
            std::thread::yield_now();
        }
        answered
    });
    wait_ready.recv().unwrap();
    let taken = cli(root.path(), &["veto", "a", "1:0", "--wait", "50", "--json"]);
    assert_eq!(taken.code, 0, "{taken:?}");
    let said = taken.json();
    assert_eq!((said["answer"].as_str(), said["event"]["kind"].as_str()), (Some("taken"), Some("pair_decided")));
    let refused = cli(root.path(), &["resume", "a", "--wait", "50"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("the engine of a refused: the run is not paused"), "{}", refused.err);
    assert_eq!(engine.join().unwrap(), 2);
}

#[test]
fn an_engine_that_does_not_answer_in_time_is_said_to_be_silent() {
    let root = tempfile::tempdir().unwrap();
    let (story, _) = story(root.path());
    let _lock = story.folder.lock().unwrap().unwrap();
    let said = cli(root.path(), &["pause", "a", "--wait", "0.05"]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains("not answered within 0.05 s"), "{}", said.out);
    let gate = cli(root.path(), &["gate", "a", "--json"]).json();
    assert_eq!((gate["open"].as_bool(), gate["offered"].as_u64()), (Some(true), Some(3)));
}
