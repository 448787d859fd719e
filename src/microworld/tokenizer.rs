//! A `tokenizer.json` that does to text what `spoken` does: word-level, so that a tiny model spends nothing on spelling.
//!
//! Whoever forges the embedded model asks for it; `tokenizers`, transformers and this crate's own reader load it. A value
//! only: nothing is trained, read or written here, and the tokenizer library is not known.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::spoken::{MARKS, NAMES};

/// Words that stand for themselves wherever they occur, with ids from 0 on; after them the words in the given order.
///
/// `specials[0]` stands for every unknown word. Words have to be canonical tokens.
pub fn tokenizer_json(specials: &[&str], words: &[&str]) -> Value {
    let mut vocabulary = Map::new();
    for word in specials.iter().chain(words) {
        let next = vocabulary.len();
        vocabulary.entry(*word).or_insert(json!(next));
    }
    let added: Vec<Value> = specials
        .iter()
        .enumerate()
        .map(|(id, word)| {
            json!({
                "id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{ "type": "Lowercase" }, replace("String", "\n", " / ")],
        },
        "pre_tokenizer": {
            "type": "Split",
            "pattern": { "Regex": r"[.,:?!/]|[^\s.,:?!/]+" },
            "behavior": "Removed",
            "invert": true,
        },
        "post_processor": null,
        "decoder": { "type": "Sequence", "decoders": decoders(words) },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": specials.first().unwrap_or(&"<unk>") },
    })
}

/// Spaces between words, then none before marks, then line breaks, then capitals.
fn decoders(words: &[&str]) -> Vec<Value> {
    // The prefix marks tokens that are not set off by a space: no word of ours has it.
    let mut decoders =
        vec![json!({ "type": "WordPiece", "prefix": "##", "cleanup": false }), json!({ "type": "Fuse" })];
    decoders.extend(MARKS.iter().map(|mark| replace("String", &format!(" {mark}"), mark)));
    decoders.push(replace("Regex", " ?/ ?", "\n"));
    let initials: BTreeSet<char> =
        words.iter().filter_map(|word| word.chars().next()).filter(char::is_ascii_lowercase).collect();
    for initial in initials {
        // At the start of the text or a line, after the end of a sentence, and after a dash.
        let mut places = format!(r"(?:(?<![^\n])|(?<=[.?!-] )){initial}");
        for proper in NAMES.iter().chain(&["i"]).filter(|name| name.starts_with(initial)) {
            places.push_str(&format!(r"|(?<!\S){initial}(?={}(?![^\s.,:?!]))", &proper[1..]));
        }
        decoders.push(replace("Regex", &places, &initial.to_ascii_uppercase().to_string()));
    }
    decoders
}

fn replace(kind: &str, pattern: &str, by: &str) -> Value {
    json!({ "type": "Replace", "pattern": { kind: pattern }, "content": by })
}
