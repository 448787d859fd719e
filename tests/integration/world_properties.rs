//! Laws of the world: inverses are inverses, flaws cost points, remarks are true, and no text makes it panic.

use crate::stage::size;
use proptest::prelude::*;
use selfreward::microworld::{
    Category, FAMILIES, ITEMS, Item, Kind, Prompt, World, actors, oracle, spoken, vocabulary,
};
use selfreward::recipe::seeds::Stream;

/// Enough where every prompt costs several answers.
fn fewer() -> usize {
    size(800, 2_000)
}

/// Prompts, family after family, each with a stream of its own.
fn prompts() -> impl Iterator<Item = (Prompt, Stream)> {
    let world = World::new(9);
    (0..size(3_000, 10_000)).map(move |index| {
        let mut stream = world.stream("test", index as u32);
        (Prompt::invent(index % FAMILIES.len(), &mut stream), stream)
    })
}

#[test]
fn the_parser_is_the_exact_inverse_of_the_templates() {
    for (prompt, _) in prompts() {
        let text = prompt.text();
        assert_eq!(Prompt::parse(&text).as_ref(), Some(&prompt), "{text}");
        assert_eq!(spoken::text(&spoken::tokens(&text)), text);
    }
}

#[test]
fn flawless_answers_get_five_points_and_every_flaw_costs_some() {
    let world = World::new(1);
    for (index, (prompt, mut stream)) in prompts().enumerate() {
        // Every prompt has a flawless answer; the flaws are tried on every fifth run through the families.
        let kinds = if (index / FAMILIES.len()).is_multiple_of(5) { &Kind::ALL[..] } else { &[Kind::Good] };
        for &kind in kinds {
            let answer = world.answer(&prompt, kind, &mut stream);
            let score = oracle::grade_task(&prompt.task, &answer).score;
            let expected = match kind {
                Kind::Good => 5..=5,
                Kind::Filler => 4..=4,
                Kind::Repeat => 3..=3,
                Kind::Format => 1..=3,
                Kind::Wrong | Kind::WrongFiller => 0..=3,
                Kind::WrongRepeat => 0..=2,
                Kind::Off => 0..=0,
            };
            assert!(expected.contains(&score), "{kind:?} {score}: {} {answer}", prompt.text());
            assert_eq!(spoken::text(&spoken::tokens(&answer)), answer, "every answer survives tokens");
        }
    }
}

#[test]
fn an_answer_of_a_wanted_score_has_it_in_every_family() {
    let world = World::new(1);
    let mut missed = [0usize; 8];
    for (prompt, mut stream) in prompts().take(800) {
        for score in 0..=5 {
            let answer = actors::answer_of_score(&world, &prompt, score, &mut stream);
            missed[prompt.task.family()] += usize::from(oracle::grade_task(&prompt.task, &answer).score != score);
        }
    }
    assert_eq!(missed, [0; 8], "misses of 600 in each of {FAMILIES:?}");
}

#[test]
fn quality_is_the_expected_score_and_noise_is_what_blurs_a_judge() {
    let world = World::new(1);
    for tenths in 0..=10 {
        let quality = f64::from(tenths) / 10.0;
        let total: u32 = prompts()
            .take(400)
            .map(|(prompt, mut stream)| {
                let answer = actors::answer_of_quality(&world, &prompt, quality, &mut stream);
                u32::from(oracle::grade_task(&prompt.task, &answer).score)
            })
            .sum();
        let mean = f64::from(total) / 400.0;
        assert!((mean - 5.0 * quality).abs() < 0.15, "quality {quality} gives {mean:.3}");
    }
    let mut last = 1.1;
    for noise in [0.0, 0.5, 1.0, 2.0] {
        let mut exact = 0;
        for (prompt, mut stream) in prompts().take(400) {
            let answer = actors::answer_of_quality(&world, &prompt, 0.6, &mut stream);
            let truth = oracle::grade_task(&prompt.task, &answer);
            let (rationale, score) = actors::critique(&prompt.text(), &answer, noise, &mut stream);
            assert!(score <= 5 && rationale.ends_with('.'));
            if score == truth.score {
                exact += 1;
                assert_eq!(rationale, truth.rationale);
            }
        }
        let share = f64::from(exact) / 400.0;
        assert!(share < last, "noise {noise} agrees with the oracle in {share:.3}, less noise in {last:.3}");
        assert!(noise > 0.0 || share == 1.0);
        last = share;
    }
}

#[test]
fn sloppy_prompt_writers_write_prompts_that_are_no_tasks() {
    let world = World::new(1);
    let malformed = |sloppiness: f64| {
        let mut stream = world.stream("sloppy", 0);
        (0..600).filter(|_| Prompt::parse(&actors::written_prompt(&world, sloppiness, &mut stream)).is_none()).count()
    };
    assert_eq!(malformed(0.0), 0);
    // A changed word now and then makes another prompt of this world; that is no fault.
    assert!((500..600).contains(&malformed(1.0)), "{}", malformed(1.0));
}

fn stream_of(index: u32) -> Stream {
    static WORLD: std::sync::LazyLock<World> = std::sync::LazyLock::new(|| World::new(5));
    WORLD.stream("property", index)
}

fn item(name: &str) -> Option<&'static Item> {
    ITEMS.iter().find(|item| item.name == name)
}

/// Whether a thing is what `a red fruit` or `an animal` says.
fn is_of_kind(item: &Item, kind: &str) -> bool {
    let words: Vec<&str> = kind.split(' ').skip(1).collect();
    words.iter().all(|word| [item.category.word(), item.colour, item.nature].contains(word))
}

/// Checks a remark against prompt and answer, by other means than the oracle's.
fn is_true(remark: &str, prompt: &str, answer: &str, kind: Kind) -> bool {
    let count = |word: &str| ["none", "one", "two", "three"].iter().position(|number| *number == word);
    let asked: Vec<&str> = prompt.split(' ').collect();
    let said: Vec<&str> = answer.split(' ').collect();
    let named: Vec<&Item> = ITEMS.iter().filter(|item| said.contains(&item.name)).collect();
    let is_of_group = |item: &Item| {
        let number = asked.iter().position(|word| ["two", "three"].contains(word)).unwrap_or(0);
        asked[number + 1..].iter().filter(|word| **word != ".").all(|word| {
            let singular = word.strip_suffix('s').filter(|word| Category::from_word(word).is_some());
            [item.category.word(), item.colour, item.nature].contains(&singular.unwrap_or(word))
        })
    };
    let in_group = || named.iter().filter(|item| is_of_group(item)).count();
    let words: Vec<&str> = remark.split(' ').collect();
    match words[..] {
        ["complete", ..] => kind == Kind::Good,
        ["this", "does", "not", "answer", ..] => matches!(kind, Kind::Off) || in_group() == 0,
        ["it", "repeats", "itself"] => matches!(kind, Kind::Repeat | Kind::WrongRepeat),
        ["it", "is", "not", "well", "formed"] => {
            kind == Kind::Format || prompt.contains("rhyme") && !answer.contains(" / ")
        }
        ["it", "adds", "needless", "words"] => matches!(kind, Kind::Filler | Kind::WrongFiller),
        ["it", "lists", "only", found, "of", wanted] => asked.contains(&wanted) && count(found) == Some(in_group()),
        ["it", "lists", "none", "of", wanted] => asked.contains(&wanted) && in_group() == 0,
        ["it", "lists", "more", "than", wanted] => asked.contains(&wanted) && count(wanted) < Some(named.len()),
        ["it", "misses", "the", "event"] => {
            let event = prompt.replace(" her ", " your ").replace(" his ", " your ");
            event.split("who ").nth(1).is_some_and(|event| !answer.contains(event.trim_end_matches(" .")))
        }
        ["it", "misses", "the", "wish"] => kind == Kind::Format,
        ["the", "wish", "does", "not", "fit"] => matches!(kind, Kind::Wrong | Kind::WrongFiller | Kind::WrongRepeat),
        ["the", "name", "is", name] => asked.contains(&name) && !said.contains(&name),
        ["the", "tone", "should", "be", tone] => {
            !said.contains(&tone)
                && (tone == "sorry") == ["lost", "missed", "failed", "broke"].iter().any(|event| asked.contains(event))
        }
        ["the", "topic", "is", "the", topic] => asked.contains(&topic) && !said.contains(&topic),
        ["the", topic, "should", "be", mood] => {
            asked.contains(&topic) && asked.contains(&mood) && !said.contains(&mood)
        }
        ["it", "needs", "two", "lines"] => !answer.contains(" / "),
        ["the", "lines", "do", "not", "rhyme"] => kind == Kind::Format,
        ["both", "lines", "end", "on", word] => answer.matches(&format!(" {word}")).count() >= 2,
        [first, "and", second, "do", "not", "rhyme"] => {
            let class = |word: &str| {
                [
                    "street feet sweet",
                    "day play away",
                    "night light sight",
                    "sky fly high",
                    "me free sea",
                    "town down crown",
                ]
                .iter()
                .position(|class| class.split(' ').any(|known| known == word))
            };
            class(first).is_some()
                && class(second).is_some()
                && class(first) != class(second)
                && said.contains(&first)
                && said.contains(&second)
        }
        ["the", "opposite", "of", word, "is", opposite] => asked.contains(&word) && !asked.contains(&opposite),
        [_, bigger, "is", "bigger", "than", _, smaller] => {
            item(bigger).map(|it| it.size) > item(smaller).map(|it| it.size)
                && said.contains(&bigger)
                && said.contains(&smaller)
        }
        [word, "is", "missing"] => asked.contains(&word) && !said.contains(&word),
        [word, "is", "not", "in", "the", "task"] => said.contains(&word) && !asked.contains(&word),
        [name, "is", "not", ref kind @ ..] => {
            said.contains(&name) && item(name).is_some_and(|it| !is_of_kind(it, &kind.join(" ")))
        }
        ["a" | "an", name, "is", article @ ("a" | "an"), category] => {
            asked.contains(&name) && item(name).is_some_and(|it| is_of_kind(it, &format!("{article} {category}")))
        }
        ["a" | "an", name, "is", colour] => {
            asked.contains(&name) && item(name).is_some_and(|it| it.colour == colour) && !said.contains(&colour)
        }
        ["a" | "an", name, ref clause @ ..] => {
            asked.contains(&name)
                && item(name).map(Item::clause) == Some(clause.join(" ").as_str())
                && !answer.contains(&clause.join(" "))
        }
        [name, "is", ref kind @ ..] => {
            asked.contains(&name) && item(name).is_some_and(|it| is_of_kind(it, &kind.join(" ")))
        }
        _ => false,
    }
}

#[test]
fn every_remark_of_the_oracle_is_true() {
    let world = World::new(1);
    for (prompt, mut stream) in prompts().take(fewer()) {
        let asked = spoken::tokens(&prompt.text());
        for kind in Kind::ALL {
            let answer = world.answer(&prompt, kind, &mut stream);
            let grade = oracle::grade_task(&prompt.task, &answer);
            let rationale = spoken::tokens(&grade.rationale);
            let remarks: Vec<&str> = rationale.split(" .").map(str::trim).filter(|remark| !remark.is_empty()).collect();
            assert!((1..=2).contains(&remarks.len()), "{rationale}");
            for remark in remarks {
                assert!(
                    is_true(remark, &asked, &spoken::tokens(&answer), kind),
                    "{kind:?}: {asked} | {answer} | {remark}"
                );
            }
        }
    }
}

fn any_tokens() -> impl Strategy<Value = String> {
    let words = vocabulary();
    prop::collection::vec(0..words.len(), 0..40)
        .prop_map(move |indices| indices.into_iter().map(|index| words[index].as_str()).collect::<Vec<_>>().join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: size(96, 256), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_model_samples_survives_printing_and_reading(tokens in any_tokens()) {
        prop_assert_eq!(spoken::tokens(&spoken::text(&tokens)), tokens);
    }

    #[test]
    fn no_text_makes_the_world_panic(prompt in "\\PC{0,60}", answer in "(?s).{0,200}", words in any_tokens(), index in 0u32..10_000) {
        let mut stream = stream_of(index);
        let invented = Prompt::invent(stream.below(8), &mut stream);
        for prompt in [prompt.as_str(), words.as_str(), invented.text().as_str()] {
            for answer in [answer.as_str(), words.as_str()] {
                if let Some(grade) = oracle::grade(prompt, answer) {
                    prop_assert!(grade.score <= 5 && !grade.rationale.is_empty());
                    prop_assert_eq!(grade.score == 5, grade.issues.is_empty());
                }
                let (rationale, score) = actors::critique(prompt, answer, 1.0, &mut stream);
                prop_assert!(score <= 5 && !rationale.is_empty());
            }
            let read = Prompt::parse(prompt);
            prop_assert!(read.is_none_or(|read| spoken::tokens(&read.text()) == spoken::tokens(prompt)));
        }
    }

    #[test]
    fn an_answer_out_of_the_worlds_own_words_gets_a_grade_that_its_points_add_up_to(words in any_tokens(), index in 0u32..10_000) {
        let mut stream = stream_of(index);
        let prompt = Prompt::invent(stream.below(8), &mut stream);
        let grade = oracle::grade_task(&prompt.task, &words);
        let points = grade.points;
        let total = [points.relevant, points.covers, points.correct, points.clear, points.expert];
        prop_assert_eq!(usize::from(grade.score), total.iter().filter(|won| **won).count());
        prop_assert!(!points.expert || points.correct && points.clear);
        prop_assert!(points.relevant || grade.score == 0);
    }
}
