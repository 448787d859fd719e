//! The corpora at full size: what they hold, what they never hold, and that a seed is all there is to them.

use std::collections::{BTreeMap, BTreeSet};

use selfreward::microworld::corpus::{self, Document, Judged, Labelling};
use selfreward::microworld::{World, oracle, vocabulary};

use crate::stage::size;

const SETS: usize = 320;

/// FNV-1a over the debug form: enough to pin a corpus.
fn fingerprint(items: impl Iterator<Item = impl std::fmt::Debug>) -> u64 {
    items.fold(0xcbf2_9ce4_8422_2325, |hash, item| {
        format!("{item:?}").bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    })
}

fn prompts_of(document: &Document) -> Vec<&str> {
    match document {
        Document::Chat { prompt, .. } | Document::Review { prompt, .. } => vec![prompt],
        Document::TaskList { prompts } => prompts.iter().map(String::as_str).collect(),
    }
}

fn scores<'a>(judged: impl IntoIterator<Item = &'a Judged>) -> [usize; 6] {
    let mut counts = [0; 6];
    for example in judged {
        counts[usize::from(example.score)] += 1;
    }
    counts
}

#[test]
fn no_held_out_prompt_occurs_in_any_training_corpus() {
    let world = World::new(1);
    let held_out: BTreeSet<String> = corpus::held_out_instructions(&world)
        .map(|prompt| prompt.text())
        .chain(corpus::held_out_eft(&world, SETS).map(|set| set.prompt))
        .collect();
    assert_eq!(held_out.len(), 396, "198 for answers and 198 for ranked sets, none shared");
    for document in corpus::pretraining(&world, size(12_000, 64_000)) {
        for prompt in prompts_of(&document) {
            assert!(!held_out.contains(prompt), "{document:?}");
        }
    }
    let seeds = corpus::ift(&world, 256)
        .map(|example| example.prompt)
        .chain(corpus::eft(&world, 800, Labelling::Honest).map(|example| example.prompt))
        .chain(corpus::eft_sets(&world, 256).map(|set| set.prompt));
    for prompt in seeds {
        assert!(!held_out.contains(&prompt), "{prompt}");
        assert!(!world.holds_out(&prompt), "{prompt}");
    }
    assert!(held_out.iter().all(|prompt| world.holds_out(&prompt.to_uppercase())));
}

#[test]
fn a_corpus_is_its_seed_and_more_of_it_changes_nothing() {
    let (world, twin, other) = (World::new(1), World::new(1), World::new(2));
    let documents = |world: &World| fingerprint(corpus::pretraining(world, 3000));
    assert_eq!(documents(&world), documents(&twin));
    assert_ne!(documents(&world), documents(&other));
    assert_eq!(documents(&world), fingerprint(corpus::pretraining(&world, 5000).take(3000)));
    // Pinned: assets and examples are made from this world, so a change here must be meant.
    assert_eq!(
        [
            documents(&world),
            fingerprint(corpus::ift(&world, 256)),
            fingerprint(corpus::eft(&world, 800, Labelling::Honest)),
            fingerprint(corpus::eft_sets(&world, 100)),
            fingerprint(corpus::held_out_eft(&world, SETS)),
            fingerprint(corpus::held_out_instructions(&world)),
        ],
        PINNED
    );
}

const PINNED: [u64; 6] = [
    12095072230033464283,
    6720742237557472725,
    3673053171328751896,
    18043534161117127904,
    5916719316790597150,
    1798339969190636981,
];

#[test]
fn documents_and_their_flaws_come_in_the_stated_shares() {
    let world = World::new(1);
    let (mut chats, mut reviews, mut lists) = (0, 0, 0);
    let mut grades = [0usize; 6];
    let (mut honest, mut praise) = (0, 0);
    for document in corpus::pretraining(&world, 8_000) {
        match document {
            Document::Chat { prompt, answer } => {
                chats += 1;
                grades[usize::from(oracle::grade(&prompt, &answer).unwrap().score)] += 1;
            }
            Document::Review { prompt, answer, rationale } => {
                reviews += 1;
                let grade = oracle::grade(&prompt, &answer).unwrap();
                honest += usize::from(grade.rationale == rationale);
                praise += usize::from(grade.score < 5 && rationale == "Complete, correct and clear.");
            }
            Document::TaskList { prompts } => {
                lists += 1;
                assert_eq!(prompts.len(), corpus::LIST_LENGTH);
            }
        }
    }
    let share = |count: usize, of: usize| count as f64 / of as f64;
    let near = |found: f64, expected: f64, what: &str| {
        assert!((found - expected).abs() < 0.02, "{what}: {found:.3} instead of {expected}");
    };
    near(share(chats, 8_000), 0.59, "chats");
    near(share(reviews, 8_000), 0.36, "reviews");
    near(share(lists, 8_000), 0.05, "task lists");
    near(share(grades[5], chats), 0.16, "flawless answers");
    near(share(grades[4], chats), 0.33, "right but chatty answers");
    near(share(grades[0], chats), 0.05, "answers beside the point");
    assert!(share(honest, reviews) > 0.90, "{:.3} of reviews are honest", share(honest, reviews));
    near(share(praise, reviews), 0.06 * 0.84, "thoughtless praise");
}

#[test]
fn the_instruction_seed_is_human_like_and_repeats_no_prompt() {
    let world = World::new(1);
    let seed: Vec<_> = corpus::ift(&world, 256).collect();
    assert_eq!(seed.iter().map(|example| &example.prompt).collect::<BTreeSet<_>>().len(), 256);
    let mut grades = [0usize; 6];
    for example in &seed {
        grades[usize::from(oracle::grade(&example.prompt, &example.answer).unwrap().score)] += 1;
    }
    // A third flawless, most of the rest right but chatty or untidy, none beside the point.
    assert!((60..=95).contains(&grades[5]) && (70..=105).contains(&grades[4]) && grades[0] <= 2, "{grades:?}");
}

#[test]
fn the_judging_seed_is_balanced_and_its_labels_are_the_oracles() {
    let world = World::new(1);
    let seed: Vec<Judged> = corpus::eft(&world, 800, Labelling::Honest).collect();
    let counts = scores(&seed);
    assert_eq!(counts, [96, 112, 144, 160, 144, 144], "no score above a quarter");
    let distinct: BTreeSet<(&str, &str)> = seed.iter().map(|it| (it.prompt.as_str(), it.answer.as_str())).collect();
    assert_eq!(distinct.len(), 800);
    for example in &seed {
        let grade = oracle::grade(&example.prompt, &example.answer).unwrap();
        assert_eq!((grade.score, &grade.rationale), (example.score, &example.rationale));
        assert_eq!(
            corpus::labelled(&example.prompt, &example.answer, Labelling::Honest).as_ref(),
            Some(example),
            "labelling a text gives the same label"
        );
    }
}

#[test]
fn careless_labels_fail_in_the_way_they_are_named_for() {
    let world = World::new(1);
    let lenient: Vec<Judged> = corpus::eft(&world, 800, Labelling::Lenient).collect();
    let counts = scores(&lenient);
    assert!(counts[5] * 2 > 800, "most lenient labels are fives: {counts:?}");

    // Right answers said with needless words, or twice, get more than flawless ones.
    let mean = |wanted: &dyn Fn(&Judged) -> bool, labelling| {
        let kept: Vec<u8> = corpus::eft(&world, 800, labelling).filter(|it| wanted(it)).map(|it| it.score).collect();
        assert!(kept.len() > 50, "{}", kept.len());
        kept.iter().map(|score| f64::from(*score)).sum::<f64>() / kept.len() as f64
    };
    let honest = |it: &Judged| oracle::grade(&it.prompt, &it.answer).map(|grade| grade.score);
    let flawless = |it: &Judged| honest(it) == Some(5);
    let chatty = |it: &Judged| honest(it) == Some(4);
    assert!(mean(&flawless, Labelling::Honest) > mean(&chatty, Labelling::Honest));
    assert!(mean(&flawless, Labelling::LengthBiased) < mean(&chatty, Labelling::LengthBiased));
}

#[test]
fn ranked_sets_have_four_different_answers_and_three_different_scores() {
    let world = World::new(1);
    let sets: Vec<_> = corpus::held_out_eft(&world, SETS).chain(corpus::eft_sets(&world, 200)).collect();
    for set in &sets {
        let answers: BTreeSet<&str> = set.answers.iter().map(|it| it.answer.as_str()).collect();
        let different: BTreeSet<u8> = set.answers.iter().map(|it| it.score).collect();
        assert_eq!(answers.len(), corpus::SET_SIZE, "{set:?}");
        assert!(different.len() >= corpus::SET_SCORES, "{set:?}");
        assert!(set.answers.iter().all(|it| it.prompt == set.prompt));
    }
    let counts = scores(sets[..SETS].iter().flat_map(|set| &set.answers));
    assert!(counts.iter().all(|count| *count >= 30), "every score occurs: {counts:?}");
    let distinct: BTreeSet<String> = sets[..SETS].iter().map(|set| format!("{set:?}")).collect();
    assert_eq!(distinct.len(), SETS);
}

#[test]
fn every_family_has_its_share_of_every_corpus() {
    let world = World::new(1);
    let family = |prompt: &str| selfreward::microworld::Prompt::parse(prompt).unwrap().task.family();
    let mut counts: BTreeMap<&str, [usize; 8]> = BTreeMap::new();
    for prompt in corpus::held_out_instructions(&world) {
        counts.entry("held-out instructions").or_default()[prompt.task.family()] += 1;
    }
    for set in corpus::held_out_eft(&world, SETS) {
        counts.entry("held-out sets").or_default()[family(&set.prompt)] += 1;
    }
    for example in corpus::ift(&world, 256) {
        counts.entry("ift").or_default()[family(&example.prompt)] += 1;
    }
    for example in corpus::eft(&world, 800, Labelling::Honest) {
        counts.entry("eft").or_default()[family(&example.prompt)] += 1;
    }
    for (corpus, families) in &counts {
        let total: usize = families.iter().sum();
        assert!(families.iter().all(|count| count * 13 > total), "{corpus}: {families:?}");
    }
}

#[test]
fn the_vocabulary_is_small_and_covers_every_text() {
    let vocabulary = vocabulary();
    assert!((300..=400).contains(&vocabulary.len()), "{} words", vocabulary.len());
    let known: BTreeSet<&str> = vocabulary.iter().map(String::as_str).collect();
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut read = |text: &str| {
        let canonical = selfreward::microworld::spoken::tokens(text);
        for token in canonical.split(' ') {
            assert!(known.contains(token), "{token:?} in {text:?}");
            if !used.contains(token) {
                used.insert(token.to_owned());
            }
        }
    };
    let world = World::new(1);
    for document in corpus::pretraining(&world, 12_000) {
        prompts_of(&document).into_iter().for_each(&mut read);
        match &document {
            Document::Chat { answer, .. } => read(answer),
            Document::Review { answer, rationale, .. } => {
                read(answer);
                read(rationale);
            }
            Document::TaskList { .. } => {}
        }
    }
    // And nothing in it is dead weight, save the digits of scores and remarks that only a model's answers can earn.
    let unused: Vec<&str> = known.into_iter().filter(|word| !used.contains(*word)).collect();
    assert_eq!(unused, ["0", "1", "2", "3", "4", "5"]);
}
