//! Deciding pairs, as data: keys in, requests out, and what the screen says while the engine has and has not answered.

use selfreward::engine::settings::GateMode;
use selfreward::run::command::{Choice, Command, Outbox};
use selfreward::run::event::*;
use selfreward::run::folder::Holder;
use selfreward::run::ids::PromptId;
use selfreward::run::view::{PairStatus, State};
use selfreward::tui::app::{App, Effect, Mode, Msg, Screen, update};
use selfreward::tui::panes::check;
use selfreward::tui::settings::Settings;
use selfreward::tui::source::Source;

use crate::screens_gate::Gate;
use crate::stage;
use crate::tui_screens::{picture, press, viewer};

#[test]
fn every_key_of_the_spot_check_asks_for_what_it_says() {
    // The queue of this story begins 2:0 2:1 2:3.
    for (what, keys, wanted) in [
        (
            "keep goes on to the next pair",
            "a a",
            &["keep 2:0 after 1000 ms, seen nothing", "keep 2:1 after 1000 ms, seen nothing"][..],
        ),
        (
            "swap, tie and veto",
            "s t x",
            &[
                "swap 2:0 after 1000 ms, seen nothing",
                "tie 2:1 after 1000 ms, seen nothing",
                "veto 2:3 after 1000 ms, seen nothing",
            ],
        ),
        ("time is measured from when the pair is shown", "LATER a", &["keep 2:0 after 11000 ms, seen nothing"]),
        (
            "a deferred pair comes back last",
            "Space a",
            &["defer 2:0 after 1000 ms, seen nothing", "keep 2:1 after 1000 ms, seen nothing"],
        ),
        (
            "a flag changes nothing and stays",
            "f a",
            &["flag 2:0 after 1000 ms, seen nothing", "keep 2:0 after 2000 ms, seen nothing"],
        ),
        ("J and K look without deciding", "J K J a", &["keep 2:1 after 1000 ms, seen nothing"]),
        ("a reason waits until the veto has been taken", "x 2", &["veto 2:0 after 1000 ms, seen nothing"]),
        (
            "and is sent with what was seen",
            "x 2 ENGINE",
            &["veto 2:0 after 1000 ms, seen nothing", "veto 2:0 for length, seen +1"],
        ),
        ("a digit later shows its screen", "x LATER 2", &["veto 2:0 after 1000 ms, seen nothing"]),
        ("a score", "e 2 Enter", &["edit { candidate: 3, score: 2.0 } 2:0 after 3000 ms, seen nothing"]),
        (
            "half a point less for the other side",
            "e Tab - Enter",
            &["edit { candidate: 0, score: 1.5 } 2:0 after 4000 ms, seen nothing"],
        ),
        ("undo of what is known names it", "x ENGINE u", &["veto 2:0 after 1000 ms, seen nothing", "undo +1"]),
        ("undo of what is not known waits", "x u", &["veto 2:0 after 1000 ms, seen nothing"]),
        ("and names it when it is", "x u ENGINE", &["veto 2:0 after 1000 ms, seen nothing", "undo +1"]),
        (
            "a reason goes with its veto",
            "x 3 ENGINE ENGINE u",
            &["veto 2:0 after 1000 ms, seen nothing", "veto 2:0 for gaming, seen +1", "undo +2", "undo +1"],
        ),
        (
            "and comes back with it",
            "x 3 ENGINE ENGINE u ENGINE U",
            &[
                "veto 2:0 after 1000 ms, seen nothing",
                "veto 2:0 for gaming, seen +1",
                "undo +2",
                "undo +1",
                "redo +1",
                "redo +2",
            ],
        ),
        (
            "undo as often as one likes",
            "a s ENGINE u u",
            &["keep 2:0 after 1000 ms, seen nothing", "swap 2:1 after 1000 ms, seen nothing", "undo +2", "undo +1"],
        ),
        ("redo", "a ENGINE u ENGINE U", &["keep 2:0 after 1000 ms, seen nothing", "undo +1", "redo +1"]),
        (
            "another decision on the same pair says what it knew",
            "a ENGINE K s ENGINE",
            &["keep 2:0 after 1000 ms, seen nothing", "swap 2:0 after 1000 ms, seen +1"],
        ),
        ("nobody overwrites what has not been drawn", "BO a", &["keep 2:0 after 1000 ms, seen nothing"]),
        ("what has been drawn may be overruled", "BO READ a", &["keep 2:0 after 1000 ms, seen +1"]),
    ] {
        let root = tempfile::tempdir().unwrap();
        let mut gate = Gate::of(root.path(), "gate");
        gate.keys(keys);
        assert_eq!(gate.requests(), wanted, "{what}: {keys}");
    }
}

#[test]
fn labels_of_a_reward_model_are_decided_with_the_keys_of_pairs() {
    // The queue of this story begins 0:3 0:43 0:83 0:123.
    for (what, keys, wanted) in [
        (
            "veto, swap, keep and tie",
            "x s a t",
            &[
                "veto 0:3 after 1000 ms, seen nothing",
                "swap 0:43 after 1000 ms, seen nothing",
                "keep 0:83 after 1000 ms, seen nothing",
                "tie 0:123 after 1000 ms, seen nothing",
            ][..],
        ),
        ("a label has no score to edit", "e a", &["keep 0:3 after 2000 ms, seen nothing"]),
        ("undo", "x ENGINE u", &["veto 0:3 after 1000 ms, seen nothing", "undo +1"]),
        ("blind, a key names the better side", "b a", &["swap 0:3 after 2000 ms blind, seen nothing"]),
    ] {
        let root = tempfile::tempdir().unwrap();
        let mut gate = Gate::of(root.path(), "labels");
        gate.keys(keys);
        assert_eq!(gate.requests(), wanted, "{what}: {keys}");
    }
    let root = tempfile::tempdir().unwrap();
    let mut gate = Gate::of(root.path(), "labels");
    let why = GateClosed::Deadline;
    let (iteration, number, offered) = (0, Some(1), 10);
    gate.record(SpotCheckClosed { iteration, number, why, offered, decided: 0, random_decided: 0, random_bad: 0 });
    gate.record(TrainingSetFixed { iteration, number, pairs: vec![], left_out: vec![], hash: "h".into() });
    gate.keys("READ a");
    assert!(gate.requests().is_empty(), "what has been learnt from is decided");
    assert_eq!(gate.app.toast.as_ref().unwrap().text, "too late: the reward model has learnt from these labels");
}

#[test]
fn the_next_pair_stands_on_the_screen_before_the_engine_answers() {
    let root = tempfile::tempdir().unwrap();
    let mut gate = Gate::of(root.path(), "gate");
    assert!(picture(&mut gate.app, 80, 24).contains(" #2:0 "));
    gate.keys("a");
    let shown = picture(&mut gate.app, 80, 24);
    assert!(shown.contains(" #2:1 ") && shown.contains("check 1/15") && shown.contains("keep #2:0 …"), "{shown}");
    gate.keys("K");
    let shown = picture(&mut gate.app, 80, 24);
    assert!(shown.contains("KEPT …") && shown.contains("keep #2:0: sent, not taken yet"), "{shown}");
    gate.keys("ENGINE");
    let shown = picture(&mut gate.app, 80, 24);
    assert!(shown.contains("KEPT by ana") && shown.contains("keep #2:0: taken by the engine"), "{shown}");
}

#[test]
fn two_viewers_do_not_overwrite_each_other_unseen() {
    let root = tempfile::tempdir().unwrap();
    let mut gate = Gate::of(root.path(), "gate");
    let pair = check::shown(&gate.app).unwrap();
    gate.keys("BO a ENGINE");
    assert_eq!(gate.app.view().pair(pair).unwrap().status, PairStatus::Vetoed, "the first decision stands");
    let said = gate.app.toast.as_ref().unwrap().text.clone();
    assert_eq!(said, "keep #2:0 was refused: bo decided pair 2:0 meanwhile (veto)");
    gate.keys("K");
    let shown = picture(&mut gate.app, 120, 40);
    assert!(shown.contains("refused: bo decided pair 2:0 meanwhile"), "{shown}");
}

#[test]
fn what_waits_for_a_refused_request_is_not_sent() {
    let root = tempfile::tempdir().unwrap();
    let mut gate = Gate::of(root.path(), "gate");
    gate.keys("BO x 3 ENGINE");
    assert_eq!(gate.sent.len(), 1, "the reason of a refused veto goes nowhere: {:?}", gate.sent);
    gate.keys("u");
    assert_eq!(gate.sent.len(), 1, "and there is nothing of ana's in this gate to take back but older ones");
}

#[test]
fn a_request_that_cannot_be_written_leaves_the_pair_undecided() {
    let root = tempfile::tempdir().unwrap();
    let mut gate = Gate::of(root.path(), "gate");
    let pair = check::shown(&gate.app).unwrap();
    let effects = press(&mut gate.app, "a");
    let [Effect::Send { what, command }, Effect::Look(Some(_))] = &effects[..] else { panic!("{effects:?}") };
    let result = Err("no space left".to_string());
    update(&mut gate.app, Msg::Sent { what: what.clone(), command: command.clone(), result });
    assert_eq!(check::queue::status(&gate.app, pair), PairStatus::Auto);
    assert!(gate.app.toast.as_ref().unwrap().text.contains("no space left"));
}

#[test]
fn blind_sides_are_drawn_by_lot_and_hide_what_was_judged() {
    let root = tempfile::tempdir().unwrap();
    let mut gate = Gate::of(root.path(), "gate");
    gate.keys("b");
    let mut turned = Vec::new();
    for _ in 0..15 {
        let id = check::shown(&gate.app).unwrap();
        let pair = gate.app.view().pair(id).unwrap().clone();
        let [left, right] = check::sides::sides(&gate.app, id, &pair);
        assert_eq!(left.min(right), pair.chosen.min(pair.rejected));
        let shown = picture(&mut gate.app, 120, 40);
        for word in ["CHOSEN", "REJECTED", "Score:", "suspicion 0", "margin", " sd "] {
            assert!(!shown.contains(word), "{word} is given away: {shown}");
        }
        // `a` says that the left one is better.
        gate.keys("a");
        let expected = if left == pair.chosen { Choice::Keep } else { Choice::Swap };
        let Some(Command::Decide(decide)) = gate.sent.last() else { panic!() };
        assert_eq!((decide.choice, decide.blind, decide.pairs[0]), (expected, true, id));
        turned.push(left != pair.chosen);
    }
    assert!(turned.contains(&true) && turned.contains(&false), "{turned:?}");
    // The same pair has the same sides for ever: no clock, no order of looking.
    let root = tempfile::tempdir().unwrap();
    let mut again = Gate::of(root.path(), "gate");
    again.keys("b J K");
    let id = check::shown(&again.app).unwrap();
    let pair = again.app.view().pair(id).unwrap();
    assert_eq!(check::sides::sides(&again.app, id, pair)[0] != pair.chosen, turned[0]);
}

#[test]
fn a_decided_queue_shows_what_it_amounts_to() {
    let root = tempfile::tempdir().unwrap();
    let mut gate = Gate::of(root.path(), "gate");
    gate.keys(&["a"; 14].join(" "));
    gate.keys("x ENGINE");
    let shown = picture(&mut gate.app, 80, 24);
    assert!(shown.contains("15 of 15") && shown.contains("14 / 1 veto") && shown.contains("1 of 6"), "{shown}");
    assert_eq!(gate.app.check.at, None);
    gate.keys("u");
    assert!(gate.app.check.at.is_some(), "what is taken back is shown");
}

#[test]
fn in_a_replay_and_in_the_past_nothing_is_sent() {
    for mode in [Mode::Replay { second_opinion: false }, Mode::ReadOnly] {
        let root = tempfile::tempdir().unwrap();
        let mut app = viewer(root.path(), "gate", mode);
        let effects = press(&mut app, "4 a x s t f u U");
        assert!(
            effects.iter().all(|effect| !matches!(effect, Effect::Send { .. } | Effect::Save { .. })),
            "{effects:?}"
        );
    }
    let root = tempfile::tempdir().unwrap();
    let mut app = viewer(root.path(), "gate", Mode::Control);
    let end = app.source.head().seq;
    app.source.seek(end - 1);
    assert_eq!(press(&mut app, "4 x s u"), [], "the past can only be looked at");
}

#[test]
fn a_second_opinion_is_blind_and_goes_beside_the_journal() {
    let root = tempfile::tempdir().unwrap();
    let mut app = viewer(root.path(), "finished", Mode::Replay { second_opinion: true });
    press(&mut app, "4");
    let shown = picture(&mut app, 120, 40);
    assert!(!shown.contains("CHOSEN") && !shown.contains("by ana"), "{shown}");
    let mut files = Vec::new();
    for key in ["a", "x", "3", "s", "t", "u"] {
        for effect in press(&mut app, key) {
            match effect {
                Effect::Save { name, text } => files.push((name, text.lines().count(), text)),
                other => panic!("{other:?}"),
            }
        }
    }
    let lines: Vec<usize> = files.iter().map(|(_, lines, _)| *lines).collect();
    assert_eq!(lines, [1, 2, 2, 3, 4, 3], "an opinion a line, without what was taken back");
    assert_eq!(files[0].0, "second-opinion-ana.jsonl");
    assert!(files[2].2.contains("\"reason\":\"gaming\""), "{}", files[2].2);
    let shown = picture(&mut app, 120, 40);
    assert!(shown.contains("of 3 as the first reader"), "{shown}");
}

#[test]
fn many_pairs_want_their_count_typed() {
    let root = tempfile::tempdir().unwrap();
    let mut gate = Gate::of(root.path(), "gate");
    gate.keys("3 / i t e r : 2 Enter v j j x 2 Enter");
    assert_eq!(gate.requests(), Vec::<String>::new(), "a wrong count sends nothing");
    gate.keys("Backspace 3 Enter");
    assert_eq!(gate.requests(), ["veto 2:57 2:58 2:59 by `iter:2`, seen nothing"]);
    gate.keys("ENGINE u");
    assert_eq!(gate.requests()[1..], ["undo +1"]);
}

#[test]
fn a_pair_outside_the_queue_opens_from_the_table_and_leads_back_to_it() {
    let root = tempfile::tempdir().unwrap();
    let mut gate = Gate::of(root.path(), "gate");
    gate.keys("3 Enter");
    assert_eq!(
        (gate.app.screen, check::shown(&gate.app)),
        (Screen::Check, Some(PromptId { iteration: 2, number: 59 }))
    );
    gate.keys("Esc");
    assert_eq!(gate.app.screen, Screen::Pairs);
    gate.keys("Enter x");
    assert_eq!(gate.app.screen, Screen::Pairs, "one decision, and back");
    assert_eq!(gate.sent.len(), 1);
    gate.keys("G Enter");
    let old = check::shown(&gate.app).unwrap();
    assert_eq!(old.iteration, 1);
    gate.keys("x");
    assert_eq!(gate.sent.len(), 1, "the pairs of an iteration that has been learnt from are past");
    assert!(gate.app.toast.as_ref().unwrap().text.contains("too late"));
}

#[test]
fn a_real_engine_takes_the_decisions_of_a_whole_gate() {
    let root = tempfile::tempdir().unwrap();
    let mut settings = stage::small(7);
    settings.gate.mode = GateMode::Wait;
    settings.run.iterations = 1;
    let folder = selfreward::engine::launch::create(root.path(), "a", &settings).unwrap();
    let viewers = Settings { name: "ana".into(), ..Settings::default() };
    let mut app = App::new(Source::open(folder.clone()), Mode::Check, viewers);
    let mut keys = ["x", "2", "u", "s", "a", "t", "Space"].into_iter().chain(std::iter::repeat("a"));
    let listening = folder.clone();
    let (_, view) = stage::engine_with(
        &folder,
        Default::default(),
        Box::new(move |entry, _| {
            let turn =
                matches!(&entry.event, Event::SpotCheckOpened(_) | Event::PairDecided(_) | Event::CommandRefused(_));
            if !turn {
                return;
            }
            app.source.poll(usize::MAX).unwrap();
            app.source.holder = Some(Holder { pid: 1, host: "here".into() });
            app.writer = "ana-1".into();
            let mut effects = update(&mut app, Msg::Tick(entry.at));
            effects.extend(update(&mut app, Msg::Read(1)));
            effects.retain(|effect| !matches!(effect, Effect::Look(_)));
            if effects.is_empty() && app.view().open_gate().is_some() {
                effects.extend(press(&mut app, keys.next().unwrap()));
            }
            for effect in effects {
                let Effect::Send { what, command } = effect else { continue };
                let out = Outbox::open(listening.path(), "ana-1").unwrap();
                let result = out.send("ana", app.clock, command.clone()).map_err(|error| error.to_string());
                update(&mut app, Msg::Sent { what, command, result });
            }
        }),
    )
    .unwrap();
    assert_eq!(view.state, State::Finished);
    assert_eq!(view.refusals.len(), 0, "{:?}", view.refusals);
    let check = view.round(1).unwrap().check();
    assert_eq!(check.offered, check.decided);
    assert_eq!((check.swapped, check.tied, check.vetoed), (1, 1, 0), "the veto and its reason were taken back");
}
