//! Whether an endpoint samples as it is asked to: variety, seeds, temperatures, limits, stops.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Check, Examiner, Found, TOKENS, not, ok, unknown};
use crate::run::event::Finish;

/// How often something is repeated to see whether it varies.
const TIMES: u64 = 4;

pub const CHECKS: &[Check] = &[
    ("varies", varies, "several judgements of one answer would be one: set judge.samples=1, or let the server sample"),
    ("temperature", temperature, "judge.temperature means nothing here"),
    ("greedy", greedy, "even at temperature 0 a run cannot be repeated word for word"),
    ("seed", seed, "a run cannot be repeated word for word; set teacher.send_seed=false if the field is refused"),
    ("top_p", top_p, "judge.top_p means nothing here"),
    (
        "max_tokens",
        max_tokens,
        "answers cost more than is reserved for them: caps are only as good as the endpoint's word",
    ),
    ("truncation", truncation, "a judgement that was cut off cannot be told from a whole one"),
    ("stop", stop, "a run of a teacher needs no stop strings; a generator would"),
    ("n", n, "nothing: each sample is a request of its own"),
    ("logprobs", logprobs, "nothing for a teacher; the judge `expected` cannot be asked here"),
];

fn distinct(texts: &[String]) -> usize {
    texts.iter().collect::<BTreeSet<_>>().len()
}

fn at(examiner: &mut Examiner, temperature: f64, seeds: impl Iterator<Item = u64>) -> Result<Vec<String>, Found> {
    let requests: Vec<Value> = seeds.map(|seed| examiner.request(temperature, seed)).collect();
    examiner.texts(&requests)
}

fn varies(examiner: &mut Examiner) -> Found {
    match at(examiner, 1.0, 11..11 + TIMES) {
        Ok(texts) if distinct(&texts) == 1 => not(format!("{TIMES} seeds at temperature 1 gave the same text")),
        Ok(texts) => ok(format!("{TIMES} seeds at temperature 1 gave {} texts", distinct(&texts))),
        Err(found) => found,
    }
}

fn temperature(examiner: &mut Examiner) -> Found {
    let cold = match at(examiner, 0.0, 21..21 + TIMES) {
        Ok(texts) => distinct(&texts),
        Err(found) => return found,
    };
    let hot = match at(examiner, 1.5, 21..21 + TIMES) {
        Ok(texts) => distinct(&texts),
        Err(found) => return found,
    };
    match hot > cold {
        true => ok(format!("{cold} texts at 0 and {hot} at 1.5")),
        false => not(format!("{cold} texts at 0 and {hot} at 1.5, of {TIMES} each")),
    }
}

fn greedy(examiner: &mut Examiner) -> Found {
    match at(examiner, 0.0, 31..33) {
        Ok(texts) if distinct(&texts) == 1 => ok("two answers at temperature 0 are the same"),
        Ok(_) => not("two answers at temperature 0 differ"),
        Err(found) => found,
    }
}

fn seed(examiner: &mut Examiner) -> Found {
    match at(examiner, 1.0, [41, 41, 41, 42, 43].into_iter()) {
        Ok(texts) if distinct(&texts[..3]) > 1 => not("one seed gave different texts"),
        Ok(texts) if distinct(&texts) == 1 => unknown("all seeds give the same text, so nothing varies"),
        Ok(_) => ok("one seed three times gave one text, others another"),
        Err(found) => found,
    }
}

fn top_p(examiner: &mut Examiner) -> Found {
    let narrow: Vec<Value> = (51..51 + TIMES)
        .map(|seed| {
            let mut request = examiner.request(1.0, seed);
            examiner.set(&mut request, "top_p", json!(0.0001));
            request
        })
        .collect();
    let narrow = match examiner.texts(&narrow) {
        Ok(texts) => distinct(&texts),
        Err(found) => return found,
    };
    match at(examiner, 1.0, 51..51 + TIMES) {
        Ok(texts) if distinct(&texts) == 1 => unknown("nothing varies, with or without it"),
        Ok(_) if narrow == 1 => ok("0.0001 leaves one text"),
        Ok(texts) => not(format!("{narrow} texts at 0.0001 and {} at 1", distinct(&texts))),
        Err(found) => found,
    }
}

/// An answer that may have four tokens only.
fn short(examiner: &mut Examiner) -> Result<crate::engine::policy::Taught, Found> {
    let mut request = examiner.request(1.0, 61);
    examiner.set(&mut request, "max_tokens", json!(4));
    examiner.ask(&request).map_err(|fault| unknown(fault.says))
}

fn max_tokens(examiner: &mut Examiner) -> Found {
    let taught = match short(examiner) {
        Ok(taught) => taught,
        Err(found) => return found,
    };
    let words = taught.text.split_whitespace().count();
    match taught.usage {
        Some((_, answered)) if answered > 4 => not(format!("asked for 4 tokens at most, got {answered}")),
        // No tokenizer writes this many words in four tokens.
        _ if words > 8 => not(format!("asked for 4 tokens at most, got {words} words")),
        Some((_, answered)) => ok(format!("asked for 4 at most, got {answered}")),
        None => unknown(format!("{words} words came, and no usage")),
    }
}

fn truncation(examiner: &mut Examiner) -> Found {
    match short(examiner) {
        Ok(taught) if taught.finish == Finish::Length => ok("an answer that was cut off says so"),
        Ok(taught) if taught.text.chars().count() < 4 => unknown("the answer was too short to be cut off"),
        Ok(taught) => not(format!("four tokens of an answer say that they are all of it ({})", taught.finish.name())),
        Err(found) => found,
    }
}

fn stop(examiner: &mut Examiner) -> Found {
    let greedy = match at(examiner, 0.0, 71..73) {
        Ok(texts) if distinct(&texts) == 1 => texts[0].clone(),
        Ok(_) => return unknown("no text can be foreseen, so none can be stopped"),
        Err(found) => return found,
    };
    // A word from the middle that stands there for the first time.
    let words: Vec<&str> = greedy.split_whitespace().collect();
    let middle = words.iter().skip(words.len() / 3).find(|word| {
        word.len() > 2 && greedy.find(**word).is_some_and(|place| place > 0 && greedy[..place].trim().len() > 2)
    });
    let Some(middle) = middle else { return unknown("the foreseen text has no word to stop at") };
    let mut request = examiner.request(0.0, 71);
    examiner.set(&mut request, "stop", json!([middle]));
    match examiner.ask(&request) {
        Ok(taught) if taught.text.contains(*middle) => not("the text goes on past its stop string"),
        Ok(taught) if greedy.starts_with(taught.text.trim_end()) => ok("the text ends before its stop string"),
        Ok(_) => unknown("the text became another one"),
        Err(fault) => not(format!("with a stop string it fails: {}", fault.says)),
    }
}

fn n(examiner: &mut Examiner) -> Found {
    let mut request = examiner.request(1.0, 81);
    examiner.set(&mut request, "n", json!(2));
    let place = if examiner.is_openai() { "/choices" } else { "/candidates" };
    match examiner.hear(&request) {
        Ok(heard) if heard.status != 200 => not(format!("two answers at once are refused (HTTP {})", heard.status)),
        Ok(heard) => {
            let answers = heard.json().and_then(|value| Some(value.pointer(place)?.as_array()?.len()));
            match answers {
                Some(2) => ok("two answers to one request"),
                Some(count) => not(format!("asked for two answers, got {count}")),
                None => unknown("the answer cannot be read"),
            }
        }
        Err(fault) => unknown(fault.says),
    }
}

fn logprobs(examiner: &mut Examiner) -> Found {
    let mut request = examiner.request(1.0, 91);
    examiner.set(&mut request, "logprobs", json!(true));
    examiner.set(&mut request, "max_tokens", json!(TOKENS.min(8)));
    let place = if examiner.is_openai() { "/choices/0/logprobs/content/0" } else { "/candidates/0/logprobsResult" };
    match examiner.hear(&request) {
        Ok(heard) if heard.status != 200 => not(format!("log-probs are refused (HTTP {})", heard.status)),
        Ok(heard) => {
            match heard.json().and_then(|value| value.pointer(place).cloned()).filter(|found| !found.is_null()) {
                Some(_) => ok("tokens come with their log-probs"),
                None => not("asked for log-probs, got none"),
            }
        }
        Err(fault) => unknown(fault.says),
    }
}
