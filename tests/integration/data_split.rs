//! The split of a set into training and held-out rows, and the questions that two sets share.

use proptest::prelude::*;
use selfreward::data::split::{Shared, normalised, overlap, split};
use selfreward::data::{Prompt, Role, Turn};

fn prompt(text: &str) -> Prompt {
    Prompt { id: text.to_string(), system: None, context: Vec::new(), prompt: text.to_string() }
}

#[test]
fn a_split_keeps_repeated_questions_together_and_counts_them() {
    let rows: Vec<Prompt> = (0..1000).map(|i| prompt(&format!("Question number {i}?"))).collect();
    let again = [prompt("question  NUMBER 3?\n"), prompt("Question number 3?"), prompt("Question number 4?")];
    let found = split([rows.clone(), again.to_vec()].concat(), 0.25, 11).unwrap();
    assert_eq!((found.exact_repeats, found.repeated_questions), (2, 1));
    assert_eq!(overlap(&found.train, &found.held_out), []);
    let held = found.held_out.len();
    assert!((200..=300).contains(&held), "{held} of 1003 at a share of .25");

    // A row keeps its side when others go, and another seed makes another split.
    let fewer = split(rows[..500].to_vec(), 0.25, 11).unwrap();
    let in_both = |row: &&Prompt| found.held_out.contains(row);
    assert_eq!(fewer.held_out.iter().filter(in_both).count(), fewer.held_out.len());
    assert_ne!(split(rows.clone(), 0.25, 12).unwrap().held_out, split(rows.clone(), 0.25, 11).unwrap().held_out);
    assert_eq!(split(rows.clone(), 0.0, 1).unwrap().held_out.len(), 0);
    assert_eq!(split(rows.clone(), 1.0, 1).unwrap().train.len(), 0);
    for share in [-0.1, 1.1, f64::NAN] {
        assert!(split(rows.clone(), share, 1).is_err(), "{share}");
    }
}

#[test]
fn the_split_is_the_same_on_every_machine() {
    let rows: Vec<Prompt> = (0..12).map(|i| prompt(&format!("q{i}"))).collect();
    let held: Vec<String> = split(rows, 0.5, 1).unwrap().held_out.into_iter().map(|row| row.prompt).collect();
    assert_eq!(held.join(" "), "q0 q2 q3 q4 q8 q9");
}

#[test]
fn shared_questions_are_found_up_to_case_and_white_space_and_not_by_their_last_turn_alone() {
    let left = [prompt("A b"), prompt("c"), prompt("a  B")];
    let mut follow_up = prompt("C");
    follow_up.context =
        vec![Turn { role: Role::User, text: "x".to_string() }, Turn { role: Role::Assistant, text: "y".to_string() }];
    assert_eq!(overlap(&left, &[follow_up.clone(), prompt(" a B ")]), [Shared { left: 0, right: 1 }]);
    assert_eq!(overlap(&left, std::slice::from_ref(&follow_up)), []);
    assert_eq!(overlap(&left, &[follow_up, prompt("C")]), [Shared { left: 1, right: 1 }]);
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing_more_than_once_and_a_split_loses_no_row(texts in prop::collection::vec("\\PC{0,12}", 0..40), share in 0.0..=1.0_f64, seed: u64) {
        let rows: Vec<Prompt> = texts.iter().map(|text| prompt(text)).collect();
        let found = split(rows.clone(), share, seed).unwrap();
        prop_assert_eq!(found.train.len() + found.held_out.len(), rows.len());
        prop_assert_eq!(overlap(&found.train, &found.held_out), vec![]);
        let mut turned = rows;
        turned.reverse();
        let mut other = split(turned, share, seed).unwrap();
        other.held_out.reverse();
        prop_assert_eq!(other.held_out, found.held_out, "the order of rows decides nothing");
        for text in &texts {
            prop_assert_eq!(normalised(&normalised(text)), normalised(text));
        }
    }
}
