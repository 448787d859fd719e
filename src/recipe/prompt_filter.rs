//! Which new prompts may stay: Self-Instruct's filters and the guard against held-out data, with a reason for every refusal.
//!
//! Used by the prompts stage on each task that the writer wrote. Remembers what it admitted, so that no prompt comes twice.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::new_prompts::one_line;
use crate::run::reasons::Refusal;
use crate::text::likeness::{self, Texts};

/// What a new prompt must be. The defaults are those of Self-Instruct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PromptFilterSettings {
    /// Fewest words of a prompt (Self-Instruct drops three and fewer).
    pub min_words: u32,
    /// Most words of a prompt.
    pub max_words: u32,
    /// Whole words and phrases, in any case, that ask for what text cannot give.
    pub keywords: Vec<String>,
    /// Beginnings, in this spelling, that are refused.
    pub refused_starts: Vec<String>,
    /// Refuse prompts that begin with a punctuation mark or a character outside ASCII.
    pub ascii_start: bool,
    /// Make the first letter a capital.
    pub capitalize: bool,
    /// A prompt more like a seed or an accepted prompt than this (ROUGE-L F1) is refused.
    pub max_likeness: f64,
    /// A prompt more like a held-out one than this (ROUGE-L F1) is refused.
    pub max_held_out_likeness: f64,
    /// A prompt that shares this many words in a row with a held-out one is refused. 0: off.
    pub held_out_words: u32,
    /// Share of a batch to refuse, those with the highest negative log-likelihood under the writer.
    pub drop_unlikely: f64,
}

impl Default for PromptFilterSettings {
    fn default() -> Self {
        let words = [
            "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw",
            "plot", "go to",
        ];
        PromptFilterSettings {
            min_words: 4,
            max_words: 150,
            keywords: words.map(String::from).to_vec(),
            refused_starts: vec!["Write a program".to_string()],
            ascii_start: true,
            capitalize: true,
            max_likeness: 0.7,
            max_held_out_likeness: 0.7,
            held_out_words: 13,
            drop_unlikely: 0.0,
        }
    }
}

/// Admits or refuses one prompt after the other.
#[derive(Clone, Debug)]
pub struct PromptFilter {
    settings: PromptFilterSettings,
    known: Vec<String>,
    known_texts: Texts,
    held_out: Vec<String>,
    held_out_texts: Texts,
    /// Runs of words of the held-out prompts, and where each stands.
    held_out_runs: HashMap<Vec<String>, usize>,
}

impl PromptFilter {
    pub fn new(settings: PromptFilterSettings, seeds: &[&str], held_out: &[&str]) -> Self {
        let mut filter = PromptFilter {
            settings,
            known: Vec::new(),
            known_texts: Texts::default(),
            held_out: held_out.iter().map(|text| one_line(text)).collect(),
            held_out_texts: Texts::default(),
            held_out_runs: HashMap::new(),
        };
        seeds.iter().for_each(|seed| filter.remember(one_line(seed)));
        let run = filter.settings.held_out_words as usize;
        for (at, text) in held_out.iter().enumerate() {
            filter.held_out_texts.add(text);
            if run > 0 {
                for words in likeness::words(text).windows(run) {
                    filter.held_out_runs.entry(words.to_vec()).or_insert(at);
                }
            }
        }
        filter
    }

    /// Adds a prompt without asking: seeds, and on resume what was admitted before.
    pub fn remember(&mut self, text: String) {
        self.known_texts.add(&text);
        self.known.push(text);
    }

    /// The prompt as it will be used, or why it is refused. What is admitted is remembered.
    pub fn admit(&mut self, text: &str) -> Result<String, Refusal> {
        let text = self.shaped(text)?;
        self.is_not_held_out(&text)?;
        if let Some(other) = self.known.iter().find(|known| known.eq_ignore_ascii_case(&text)) {
            return Err(Refusal::TooLike { likeness: 1.0, other: other.clone() });
        }
        if let Some((at, likeness)) = self.known_texts.closest_over(&text, self.settings.max_likeness) {
            return Err(Refusal::TooLike { likeness, other: self.known[at].clone() });
        }
        self.remember(text.clone());
        Ok(text)
    }

    /// Everything that can be said of a prompt alone.
    fn shaped(&self, text: &str) -> Result<String, Refusal> {
        let settings = &self.settings;
        let mut text = one_line(text);
        let Some(first) = text.chars().next() else { return Err(Refusal::Empty) };
        if settings.capitalize && first.is_ascii_lowercase() {
            text.replace_range(..1, &first.to_ascii_uppercase().to_string());
        }
        let words = text.split(' ').count() as u32;
        if words < settings.min_words {
            return Err(Refusal::TooShort { words });
        }
        if words > settings.max_words {
            return Err(Refusal::TooLong { words });
        }
        if let Some(word) = settings.keywords.iter().find(|word| holds_word(&text, word)) {
            return Err(Refusal::Keyword { word: word.clone() });
        }
        if let Some(start) = settings.refused_starts.iter().find(|start| text.starts_with(start.as_str())) {
            return Err(Refusal::Shape { what: format!("starts with \"{start}\"") });
        }
        if settings.ascii_start && first.is_ascii_punctuation() {
            return Err(Refusal::Shape { what: "starts with a punctuation mark".to_string() });
        }
        if settings.ascii_start && !first.is_ascii() {
            return Err(Refusal::Shape { what: "starts with a character outside ASCII".to_string() });
        }
        Ok(text)
    }

    fn is_not_held_out(&self, text: &str) -> Result<(), Refusal> {
        let refused = |at: usize, likeness| Err(Refusal::Contaminated { likeness, other: self.held_out[at].clone() });
        if let Some(at) = self.held_out.iter().position(|other| other.eq_ignore_ascii_case(text)) {
            return refused(at, 1.0);
        }
        if let Some((at, likeness)) = self.held_out_texts.closest_over(text, self.settings.max_held_out_likeness) {
            return refused(at, likeness);
        }
        let run = self.settings.held_out_words as usize;
        let words = if run > 0 { likeness::words(text) } else { Vec::new() };
        match words.windows(run.max(1)).find_map(|words| self.held_out_runs.get(words)) {
            Some(&at) => refused(at, likeness::rouge_l(text, &self.held_out[at])),
            None => Ok(()),
        }
    }
}

/// `word` (or phrase) in `text` with no letter or digit touching it, in any case of ASCII letters.
fn holds_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let touches = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !word.is_empty()
        && text
            .match_indices(&word)
            .any(|(at, _)| !touches(text[..at].chars().next_back()) && !touches(text[at + word.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> PromptFilter {
        let seeds = ["Give me three tips for a good night's sleep.", "Explain to a child why the sky is blue."];
        let held_out = [
            "Name the largest river of each continent.",
            "A baker sells loaves for two coins each and buys flour for one coin a sack; how many loaves must she sell?",
        ];
        PromptFilter::new(PromptFilterSettings::default(), &seeds, &held_out)
    }

    #[test]
    fn every_refusal_has_its_reason() {
        let long = "word ".repeat(151);
        let table = [
            ("  \n ", "empty"),
            ("Sing a song", "too_short"),
            (long.as_str(), "too_long"),
            ("Describe the images that you see here.", "keyword"),
            ("Please go to the shop for me.", "keyword"),
            ("Write a program that sorts a list.", "shape"),
            ("- Write a poem about spring rain.", "shape"),
            ("Écris un poème sur la pluie du printemps.", "shape"),
            ("Give me three tips for good sleep at night.", "too_like"),
            ("explain to a child why the sky is blue.", "too_like"),
            ("Name the largest river of each large continent.", "contaminated"),
            ("name the largest river of each continent.", "contaminated"),
            (
                "I heard this riddle at school last week and could not solve it, so please help me with it now: sells loaves for two coins each and buys flour for one coin a sack; is it hard?",
                "contaminated",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(filter().admit(text).map_err(|why| why.name().to_string()), Err(expected.to_string()), "{text}");
        }
    }

    #[test]
    fn words_are_whole_and_limits_are_kept() {
        let exactly = "Tell ".to_string() + &"word ".repeat(149);
        let table = [
            ("Profile the author of this imagery.", "Profile the author of this imagery."),
            ("  write\n a   short poem ", "Write a short poem"),
            ("Sing me a song", "Sing me a song"),
            ("write a program for me", "Write a program for me"),
        ];
        for (text, expected) in &table[..3] {
            assert_eq!(filter().admit(text).as_deref(), Ok(*expected));
        }
        assert!(filter().admit(&exactly).is_ok(), "150 words are not too many");
        assert!(matches!(filter().admit(table[3].0), Err(Refusal::Shape { .. })), "it is capitalised first");
    }

    #[test]
    fn what_was_admitted_is_not_admitted_again() {
        let mut filter = filter();
        assert!(filter.admit("Compare a whale with a shark in two lines.").is_ok());
        let again = filter.admit("Compare a shark with a whale in two lines.");
        assert!(matches!(again, Err(Refusal::TooLike { likeness, .. }) if likeness > 0.7), "{again:?}");
    }

    #[test]
    fn hundreds_against_hundreds_are_filtered_at_once() {
        let mut stream = crate::recipe::seeds::Seed::root(5).stream();
        let mut text =
            |words: usize| (0..words).map(|_| format!("w{}", stream.below(400))).collect::<Vec<_>>().join(" ");
        let mut filter = PromptFilter::new(PromptFilterSettings::default(), &[], &[]);
        (0..800).for_each(|_| filter.remember(text(20)));
        let started = std::time::Instant::now();
        let admitted = (0..400).filter(|_| filter.admit(&text(20)).is_ok()).count();
        let took = started.elapsed();
        assert_eq!(admitted, 400);
        // Measured with optimisation: 4,000 against 8,000 take half a second. The bound is wide, but a slow comparison fails it.
        assert!(took.as_secs_f64() < 5.0, "{took:?}");
    }
}
