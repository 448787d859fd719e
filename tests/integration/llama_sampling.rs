//! Replies: those of transformers when greedy, the same whatever else is in the batch, and ended for the right reason.

use std::sync::Arc;

use selfreward::model::log_probs::Scored;
use selfreward::model::packed::engine::EngineSettings;
use selfreward::model::packed::pages::Pages;
use selfreward::model::pick::Sampling;
use selfreward::model::sampler::{Ask, Event, Finish, Flow, Manner, Reply, Sampler, SamplerSettings};
use selfreward::model::shape::{Rope, Scaling, Shape};
use selfreward::model::tokenizer::Tokenizer;
use selfreward::model::weights::Weights;

use crate::llama_fixtures::{CASES, load, path};

fn sampler(case: &str, threads: usize, rows: usize, pages: usize) -> Sampler {
    let (folder, _) = load(case);
    let engine = EngineSettings { threads, cache_bytes: pages * Pages::page_bytes(&folder.shape) };
    Sampler::new(&folder, &folder.shape, &SamplerSettings { engine, rows }).unwrap()
}

fn ask(prompt: &[u32], manner: &Manner, key: u64) -> Ask {
    Ask { prompt: prompt.into(), manner: Arc::new(manner.clone()), key }
}

fn replies(sampler: &mut Sampler, asks: &[Ask]) -> Vec<Reply> {
    let replies = sampler.run(asks, None, |_| Flow::Go).unwrap();
    replies.into_iter().map(Option::unwrap).collect()
}

fn lively(max_tokens: usize) -> Manner {
    let sampling = Sampling { temperature: 0.9, top_p: 0.95, repetition_penalty: 1.1, ..Sampling::default() };
    Manner { sampling, max_tokens, keep_log_probs: true, ..Manner::default() }
}

#[test]
fn greedy_replies_of_64_tokens_are_those_of_transformers() {
    for case in CASES {
        let (_, golden) = load(case);
        let manner = Manner { sampling: Sampling::GREEDY, max_tokens: 64, ..Manner::default() };
        let asks: Vec<Ask> = golden.greedy.iter().map(|greedy| ask(&greedy.prompt, &manner, 0)).collect();
        for (reply, greedy) in replies(&mut sampler(case, 1, 8, 64), &asks).iter().zip(&golden.greedy) {
            assert_eq!(reply.tokens, greedy.reply, "{case}");
            assert_eq!(reply.finish, Finish::Length);
        }
    }
}

#[test]
fn a_reply_depends_on_its_prompt_its_manner_and_its_key_alone() {
    for case in CASES {
        let (_, golden) = load(case);
        let prompts: Vec<&[u32]> =
            golden.texts.iter().flat_map(|text| [&text.tokens[..40], &text.tokens[..7]]).collect();
        let asks: Vec<Ask> = (0..24).map(|i| ask(prompts[i % 6], &lively(5 + 7 * (i % 5)), 1000 + i as u64)).collect();
        let together = replies(&mut sampler(case, 1, 24, 400), &asks);
        for (threads, rows, pages) in [(2, 24, 400), (1, 5, 400), (2, 3, 24), (1, 1, 12)] {
            let again = replies(&mut sampler(case, threads, rows, pages), &asks);
            assert!(again == together, "{case} with {threads} threads, {rows} rows, {pages} pages");
        }
        for (index, expected) in together.iter().enumerate().step_by(5) {
            let alone = replies(&mut sampler(case, 1, 1, 64), &asks[index..index + 1]);
            assert!(alone[0] == *expected, "{case}, ask {index} alone");
        }
        assert!(together.iter().any(|reply| reply.tokens != together[0].tokens));
    }
}

#[test]
fn kept_log_probs_are_those_of_scoring_the_reply_afterwards_to_the_bit() {
    for case in CASES {
        let (_, golden) = load(case);
        let prompt = &golden.texts[0].tokens[..33];
        let asks: Vec<Ask> = (0..6).map(|key| ask(prompt, &lively(40), key)).collect();
        let mut sampler = sampler(case, 2, 4, 200);
        let replies = replies(&mut sampler, &asks);
        let texts: Vec<Scored> = replies
            .iter()
            .map(|reply| Scored { tokens: [prompt, &reply.tokens].concat(), from: prompt.len() })
            .collect();
        let scores = sampler.log_probs(&texts, |_| Flow::Go).unwrap().unwrap();
        for (score, reply) in scores.iter().zip(&replies) {
            assert_eq!(*score, reply.log_probs, "{case}");
        }
    }
}

#[test]
fn log_probs_in_batches_equal_those_of_transformers() {
    for case in CASES {
        let (_, golden) = load(case);
        let text =
            |from: usize| move |text: &crate::llama_fixtures::GoldenText| Scored { tokens: text.tokens.clone(), from };
        let texts: Vec<Scored> = golden.texts.iter().map(text(1)).chain(golden.texts.iter().map(text(40))).collect();
        let scores = sampler(case, 2, 4, 64).log_probs(&texts, |_| Flow::Go).unwrap().unwrap();
        for (index, score) in scores.iter().enumerate() {
            let expected = &golden.texts[index % 3].log_probs[texts[index].from - 1..];
            assert_eq!(score.len(), expected.len());
            for (a, b) in score.iter().zip(expected) {
                assert!((a - b).abs() <= 1e-4, "{case}: {a} {b}");
            }
        }
    }
}

/// A random model over the fixture tokenizer's vocabulary.
fn talker() -> (Tokenizer, Sampler) {
    let tokenizer = Tokenizer::open(&path("tokenizer")).unwrap();
    let rope = Rope { theta: 1e4, scaling: Scaling::None };
    let shape = Shape {
        vocab: tokenizer.vocabulary(),
        hidden: 32,
        mlp: 64,
        layers: 1,
        heads: 2,
        kv_heads: 1,
        head_dim: 16,
        max_positions: 128,
        rms_eps: 1e-5,
        rope,
        tied: true,
        reward: false,
        attention_bias: false,
        mlp_bias: false,
        bos: None,
        eos: Vec::new(),
        pad: None,
    };
    let weights = Weights::random(&shape, 0.3, 3).unwrap();
    (tokenizer, Sampler::new(&weights, &shape, &SamplerSettings::default()).unwrap())
}

#[test]
fn a_reply_ends_at_its_end_token_its_stop_string_or_its_limit_and_says_which() {
    let (tokenizer, mut sampler) = talker();
    let prompt = tokenizer.encode("Hello", true).unwrap();
    let manner = Manner { max_tokens: 60, ..Manner::default() };
    let mut run = |manner: &Manner, prompt: &[u32]| {
        let mut streamed = String::new();
        let replies = sampler.run(&[ask(prompt, manner, 4)], Some(&tokenizer), |event| {
            if let Event::Text { text, .. } = event {
                streamed += text;
            }
            Flow::Go
        });
        let reply = replies.unwrap().remove(0).unwrap();
        assert_eq!(streamed, reply.text);
        reply
    };
    let free = run(&manner, &prompt);
    assert_eq!((free.finish, free.tokens.len()), (Finish::Length, 60));
    assert_eq!(free.text, tokenizer.decode(&free.tokens, true).unwrap());

    let ended = run(&Manner { eos: vec![free.tokens[20]], ..manner.clone() }, &prompt);
    assert_eq!(ended.finish, Finish::Eos);
    let first = free.tokens.iter().position(|token| *token == free.tokens[20]).unwrap();
    assert_eq!(ended.tokens, free.tokens[..=first]);
    assert_eq!(ended.text, tokenizer.decode(&free.tokens[..first], true).unwrap());

    let stop: String = free.text.chars().skip(15).take(3).collect();
    let stopped = run(&Manner { stop: vec![stop.clone()], ..manner.clone() }, &prompt);
    assert_eq!(stopped.finish, Finish::Stop);
    assert_eq!(stopped.text, free.text[..free.text.find(&stop).unwrap()]);

    let long = vec![5; 120];
    let cut = run(&manner, &long);
    assert_eq!((cut.finish, cut.tokens.len()), (Finish::Length, 8), "the model has 128 positions");
}

#[test]
fn a_run_can_be_stopped_between_tokens_and_the_sampler_goes_on_as_if_new() {
    let (tokenizer, mut sampler) = talker();
    let prompt = tokenizer.encode("Hello there", true).unwrap();
    let asks: Vec<Ask> = (0..10).map(|key| ask(&prompt, &lively(3 + 10 * key as usize), key)).collect();
    let mut steps = 0;
    let stopped = sampler
        .run(&asks, Some(&tokenizer), |event| {
            steps += usize::from(matches!(event, Event::Step { .. }));
            if steps < 20 { Flow::Go } else { Flow::Stop }
        })
        .unwrap();
    assert_eq!(stopped.iter().flatten().count(), 2);
    let whole = sampler.run(&asks, Some(&tokenizer), |_| Flow::Go).unwrap();
    assert!(stopped.iter().zip(&whole).all(|(early, late)| early.is_none() || early == late));
    assert_eq!(whole.iter().flatten().count(), 10);
}

#[test]
fn asks_that_cannot_be_answered_are_refused_with_the_reason() {
    let mut sampler = sampler("mha", 1, 4, 6);
    let manner = lively(10);
    for (ask, reason) in [
        (ask(&[], &manner, 0), "without tokens"),
        (ask(&[96], &manner, 0), "beyond the vocabulary"),
        (ask(&[5; 256], &manner, 0), "fills all 256 positions"),
        (ask(&[5; 100], &lively(100), 0), "memory setting allows 6"),
        (ask(&[5], &lively(0), 0), "no tokens"),
        (ask(&[5], &Manner { stop: vec!["x".into()], ..manner.clone() }, 0), "need a tokenizer"),
        (ask(&[5], &Manner { sampling: Sampling { top_p: 0.0, ..Sampling::default() }, ..manner.clone() }, 0), "top-p"),
    ] {
        let error = format!("{:#}", sampler.run(&[ask], None, |_| Flow::Go).unwrap_err());
        assert!(error.contains(reason), "{error} should say {reason}");
    }
}

/// Memory of this process, in KiB.
pub fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// True in a process of its own, in which nothing else grows; elsewhere the test `name` is run in one and must succeed.
pub fn alone(name: &str) -> bool {
    const ALONE: &str = "SELFREWARD_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let own = std::env::current_exe().unwrap();
    let said = std::process::Command::new(own).args([name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && words.contains("1 passed"), "{words}");
    eprint!("{}", String::from_utf8_lossy(&said.stderr));
    false
}

#[test]
fn no_memory_is_lost_over_two_hundred_batches_and_ten_thousand_steps() {
    if !alone("llama_sampling::no_memory_is_lost_over_two_hundred_batches_and_ten_thousand_steps") {
        return;
    }
    let (tokenizer, mut sampler) = talker();
    let prompts: Vec<Vec<u32>> =
        (0..7).map(|i| tokenizer.encode(&"Hello there, count. ".repeat(10 + i), true).unwrap()).collect();
    let mut steps = 0;
    let mut batch = |sampler: &mut Sampler, number: u64| {
        let asks: Vec<Ask> = (0..4)
            .map(|i| ask(&prompts[(number + i) as usize % 7][..30 + 2 * i as usize], &lively(52), number * 4 + i))
            .collect();
        sampler
            .run(&asks, Some(&tokenizer), |event| {
                steps += usize::from(matches!(event, Event::Step { .. }));
                Flow::Go
            })
            .unwrap();
    };
    (0..20).for_each(|number| batch(&mut sampler, number));
    let before = resident();
    (20..220).for_each(|number| batch(&mut sampler, number));
    assert!(steps > 10_000, "{steps}");
    // All prompts begin alike, and each thread remembers that for itself.
    assert!(sampler.pages_in_use() <= sampler.threads(), "only the remembered prefix stays");
    let after = resident();
    eprintln!("{steps} steps: {before} KiB before, {after} KiB after");
    assert!(after < before * 1.05, "{before} KiB before, {after} KiB after");
}
