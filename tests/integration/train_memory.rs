//! Training holds what it needs and no more: memory after many steps is that after fifty.

use selfreward::engine::policy::{Lesson, Policy};
use selfreward::engine::settings::Optimizer;
use selfreward::llama_policy::LlamaPolicy;

use crate::llama_sampling::{alone, resident};
use crate::train_tiny::{answers, model, policy, preferences};

/// Steps in a test run of every commit; set SELFREWARD_MEMORY_STEPS for more.
const STEPS: u64 = 120;
/// Steps after which everything that is kept has been taken once.
const WARM: u64 = 50;

fn steps() -> u64 {
    std::env::var("SELFREWARD_MEMORY_STEPS").ok().and_then(|n| n.parse().ok()).unwrap_or(STEPS)
}

fn long(lesson: Lesson) -> Lesson {
    match lesson {
        Lesson::Answers { examples, held_out, mut settings, seed } => {
            settings.epochs = steps() as u32;
            settings.dropout = 0.1;
            Lesson::Answers { examples, held_out, settings, seed }
        }
        Lesson::Preferences { pairs, held_out, replay, mut settings, seed } => {
            settings.epochs = steps() as u32;
            settings.dropout = 0.1;
            Lesson::Preferences { pairs, held_out, replay, settings, seed }
        }
        Lesson::Groups { groups, mut settings, seed } => {
            settings.epochs = steps() as u32;
            Lesson::Groups { groups, settings, seed }
        }
        Lesson::Rewards { pairs, mut settings, seed } => {
            settings.epochs = steps() as u32;
            settings.dropout = 0.1;
            Lesson::Rewards { pairs, settings, seed }
        }
    }
}

fn stays(name: &str, make: fn(&mut LlamaPolicy) -> Lesson) {
    let root = tempfile::tempdir().unwrap();
    let mut learner = policy(&model(root.path(), 256), 2);
    learner.load(None).unwrap();
    let lesson = long(make(&mut learner));
    assert!(learner.begin(lesson, None).unwrap() >= steps());
    let mut warm = 0.0;
    for step in 1..=steps() {
        learner.step().unwrap();
        if step.is_multiple_of(25) {
            learner.held_out().unwrap();
        }
        if step == WARM {
            warm = resident();
        }
    }
    let after = resident();
    eprintln!("{name}: {warm} KiB after {WARM} steps, {after} KiB after {}", steps());
    assert!(after < warm * 1.05, "{name}: {warm} KiB after {WARM} steps, {after} KiB after {}", steps());
}

#[test]
fn fine_tuning_keeps_no_more_after_many_steps_than_after_fifty() {
    if alone("train_memory::fine_tuning_keeps_no_more_after_many_steps_than_after_fifty") {
        stays("answers", |_| answers(Optimizer::Adamw));
        stays("answers with Muon", |_| answers(Optimizer::Muon));
    }
}

#[test]
fn preference_training_keeps_no_more_after_many_steps_than_after_fifty() {
    if alone("train_memory::preference_training_keeps_no_more_after_many_steps_than_after_fifty") {
        stays("preferences", preferences);
    }
}
