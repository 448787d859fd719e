//! Which phrases grew: log-odds of 1- to 3-word phrases in newer texts against older ones, with a Dirichlet prior.
//!
//! Used at the end of a stage: a phrase that suddenly stands in every answer is how a model flatters its judge.
//! z = difference of the log-odds over its standard error, both counts raised by the phrase's share of all texts.

use std::collections::HashMap;

use crate::run::event::Phrase;
use crate::text::likeness;

const LONGEST: usize = 3;
/// Weight of the prior, in phrases of each length: evens out what was seen a few times only.
const PRIOR: f64 = 100.0;
/// Rarer phrases are not worth a line.
const FEWEST: f64 = 3.0;

/// The `most` phrases that grew most, z over 1.96 only, strongest first. A phrase counts once for each text that holds it.
pub fn grown(newer: &[&str], older: &[&str], most: usize) -> Vec<Phrase> {
    let (new, old) = (counts(newer), counts(older));
    let mut grown: Vec<(f64, &String)> = Vec::new();
    for (length, new) in new.iter().enumerate() {
        let old = &old[length];
        let total = |counts: &HashMap<String, f64>| counts.values().sum::<f64>();
        let (all_new, all_old) = (total(new), total(old));
        for (phrase, &in_new) in new.iter().filter(|(_, count)| **count >= FEWEST) {
            let in_old = old.get(phrase).copied().unwrap_or(0.0);
            let prior = PRIOR * (in_new + in_old) / (all_new + all_old);
            let odds = |count: f64, all: f64| ((count + prior) / (all + PRIOR - count - prior)).ln();
            let error = (1.0 / (in_new + prior) + 1.0 / (in_old + prior)).sqrt();
            let z = (odds(in_new, all_new) - odds(in_old, all_old)) / error;
            if z.is_finite() && z > super::statistics::Z95 {
                grown.push((z, phrase));
            }
        }
    }
    grown.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    grown.into_iter().take(most).map(|(z, phrase)| Phrase { text: phrase.clone(), z: z.into() }).collect()
}

/// How many texts hold each phrase, by phrase length.
fn counts(texts: &[&str]) -> [HashMap<String, f64>; LONGEST] {
    let mut counts: [HashMap<String, f64>; LONGEST] = Default::default();
    for text in texts {
        let words = likeness::words(text);
        for (at, counts) in counts.iter_mut().enumerate() {
            let mut phrases: Vec<String> = words.windows(at + 1).map(|phrase| phrase.join(" ")).collect();
            phrases.sort();
            phrases.dedup();
            for phrase in phrases {
                *counts.entry(phrase).or_default() += 1.0;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_that_spreads_is_found_first() {
        let old: Vec<String> = (0..200).map(|n| format!("the answer {n} is plain and short")).collect();
        let new: Vec<String> = (0..200).map(|n| format!("certainly the answer {n} is plain and short")).collect();
        let old: Vec<&str> = old.iter().map(String::as_str).collect();
        let new: Vec<&str> = new.iter().map(String::as_str).collect();
        let found = grown(&new, &old, 5);
        let words: Vec<&str> = found.iter().map(|phrase| phrase.text.as_str()).collect();
        assert_eq!(words.len(), 3, "{found:?}");
        assert!(words.iter().all(|phrase| phrase.starts_with("certainly")), "{found:?}");
        assert!(grown(&old, &old, 5).is_empty());
        assert!(grown(&[], &old, 5).is_empty() && grown(&old, &[], 0).is_empty());
    }
}
