//! A replay beyond moving in time: conditions, what if, the mouse, as messages in and state out.

use ratatui::crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use selfreward::run::event::Event;
use selfreward::run::view::RunView;
use selfreward::tui::app::{Effect, Mode, Msg, Screen, update};
use selfreward::tui::source::Source;
use selfreward::tui::until::Until;

use crate::story::{self, Illness, Plot};
use crate::tui_screens::{picture, press, viewer, viewer_of};

const REPLAY: Mode = Mode::Replay { second_opinion: false };

fn told() -> Plot {
    Plot { prompts: 12, steps: 40, illness: Illness::HotDpo, ..Plot::default() }
}

#[test]
fn a_condition_is_found_where_a_fold_of_every_entry_finds_it() {
    let root = tempfile::tempdir().unwrap();
    let entries = told().tell();
    let mut source = Source::open_with(story::write(root.path(), "a", &entries), 31);
    source.read_all().unwrap();
    let last = entries.len() as u64;
    for text in ["loss<.3", "accuracy>.9", "unparsed>0", "pairs>=5", "vetoes>=2", "alerts>0", "iteration=2", "loss>99"]
    {
        let until = Until::parse(text).unwrap();
        let mut view = RunView::default();
        let mut held = until.holds(&view);
        let mut edges = Vec::new();
        for entry in &entries {
            view.apply(entry);
            let now = until.holds(&view);
            if now && !held {
                edges.push(entry.seq);
            }
            held = now;
        }
        assert_eq!(edges.is_empty(), text == "loss>99", "{text}");
        for from in [0, last / 3, last / 2, last - 5] {
            source.seek(from);
            let later = edges.iter().copied().find(|&seq| seq > from);
            let earlier = edges.iter().copied().rev().find(|&seq| seq <= from);
            assert_eq!(source.edge(from, last, true, |view| until.holds(view)), later, "{text} after {from}");
            assert_eq!(source.edge(0, from, false, |view| until.holds(view)), earlier, "{text} before {from}");
            assert_eq!(source.view().seq, from, "looking elsewhere moves nothing");
        }
    }
}

#[test]
fn playing_stops_where_the_condition_begins_to_hold_and_keys_jump_there() {
    let root = tempfile::tempdir().unwrap();
    let entries = told().tell();
    let mut app = viewer_of(story::write(root.path(), "a", &entries), REPLAY);
    app.player.until = Some(Until::parse("step>=20").unwrap());
    app.player.speed = 512.0;
    press(&mut app, "Space");
    for _ in 0..5000 {
        let clock = selfreward::run::entry::Stamp(app.clock.0 + 100_000);
        update(&mut app, Msg::Tick(clock));
    }
    assert!(!app.player.playing);
    let next = |seq: u64| match &entries[seq as usize].event {
        Event::DpoStep(step) => (step.iteration, step.step),
        other => panic!("{other:?}"),
    };
    assert_eq!(next(app.view().seq), (1, 20));
    press(&mut app, "*");
    assert_eq!(next(app.view().seq), (2, 20), "the next time");
    press(&mut app, "#");
    assert_eq!(next(app.view().seq), (1, 20), "and back");
    press(&mut app, "#");
    assert_eq!(next(app.view().seq), (1, 20), "there is no earlier one");
    assert!(app.toast.as_ref().unwrap().text.contains("nowhere earlier"));
}

#[test]
fn what_if_asks_whoever_can_count_and_shows_the_answer_to_the_question_that_stands() {
    let root = tempfile::tempdir().unwrap();
    let mut app = viewer(root.path(), "finished", REPLAY);
    let seq = app.view().seq;
    let effects = press(&mut app, "W r h o = . 3 Enter");
    assert_eq!(effects, [Effect::WhatIf { upto: seq, rule: "rho=.3".into() }]);
    assert!(picture(&mut app, 80, 24).contains("counting"));
    let answer = |rule: &str, answer: Result<Vec<String>, String>| Msg::Counted { rule: rule.into(), answer };
    update(&mut app, answer("rho=.5", Ok(vec!["of another question".into()])));
    assert!(picture(&mut app, 80, 24).contains("counting"));
    update(&mut app, answer("rho=.3", Ok(vec!["iteration 1: 40 pairs \u{1b}[31m".into()])));
    let shown = picture(&mut app, 80, 24);
    assert!(shown.contains("iteration 1: 40 pairs") && !shown.contains('\u{1b}'), "{shown}");
    press(&mut app, "9 Enter");
    update(&mut app, answer("rho=.39", Err("a number from 0 to 1 is wanted".into())));
    assert!(picture(&mut app, 40, 10).contains("a number from 0"));
    press(&mut app, "Esc");
    assert!(app.overlay.is_none());
}

#[test]
fn tabs_and_footer_can_be_clicked_and_the_wheel_moves() {
    let root = tempfile::tempdir().unwrap();
    let mut app = viewer(root.path(), "finished", REPLAY);
    let shown = picture(&mut app, 80, 24);
    let rows: Vec<&str> = shown.lines().collect();
    let click = |app: &mut selfreward::tui::app::App, column: usize, row: usize| {
        let event = |kind| MouseEvent { kind, column: column as u16, row: row as u16, modifiers: KeyModifiers::NONE };
        update(app, Msg::Mouse(event(MouseEventKind::Down(MouseButton::Left))));
        update(app, Msg::Mouse(event(MouseEventKind::Up(MouseButton::Left))));
    };
    for screen in Screen::ALL {
        let column = rows[1].find(&format!("{} {}", screen.number(), screen.name())).unwrap();
        for within in [0, 3] {
            app.screen = Screen::Log;
            click(&mut app, column + within, 1);
            assert_eq!(app.screen, screen, "{screen:?} at {}", column + within);
        }
    }
    app.screen = Screen::Live;
    let before = app.view().seq;
    let footer = rows.last().unwrap();
    click(&mut app, footer.find(", event").unwrap() + 3, rows.len() - 1);
    assert_eq!(app.view().seq, before - 1, "{footer}");
    app.screen = Screen::Pairs;
    update(&mut app, Msg::Read(0));
    let turn = |kind| Msg::Mouse(MouseEvent { kind, column: 5, row: 10, modifiers: KeyModifiers::NONE });
    update(&mut app, turn(MouseEventKind::ScrollDown));
    let down = picture(&mut app, 80, 24);
    update(&mut app, turn(MouseEventKind::ScrollUp));
    assert_ne!(picture(&mut app, 80, 24), down, "the wheel moves the selection");
    press(&mut app, "?");
    click(&mut app, 3, 1);
    assert!(app.overlay.is_some() && app.screen == Screen::Pairs, "what lies on top takes no clicks for what is below");
}
