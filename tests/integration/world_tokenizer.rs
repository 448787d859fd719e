//! The tokenizer library, given the world's `tokenizer.json`, does exactly what `spoken` does.

use selfreward::microworld::corpus::{self, Document};
use selfreward::microworld::{World, spoken, tokenizer, vocabulary};
use tokenizers::Tokenizer;

const SPECIALS: [&str; 3] = ["<unk>", "<bos>", "<eos>"];

#[test]
fn the_tokenizer_library_reads_and_prints_as_the_world_does() {
    let mut words = vocabulary();
    words.extend(["!", "-", "review"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let json = tokenizer::tokenizer_json(&SPECIALS, &words).to_string();
    let tokenizer = Tokenizer::from_bytes(json.as_bytes()).unwrap();
    assert_eq!(tokenizer.get_vocab_size(true), SPECIALS.len() + words.len(), "no word stands twice");
    let check = |text: &str| {
        let encoded = tokenizer.encode(text, false).unwrap();
        assert_eq!(encoded.get_tokens().join(" "), spoken::tokens(text), "{text:?}");
        assert_eq!(tokenizer.decode(encoded.get_ids(), true).unwrap(), text);
    };

    let world = World::new(1);
    for document in corpus::pretraining(&world, 2000) {
        match document {
            Document::Chat { prompt, answer } => check(&format!("{prompt}\n{answer}")),
            Document::Review { prompt, answer, rationale } => {
                for text in [prompt, answer, rationale] {
                    check(&text);
                }
            }
            Document::TaskList { prompts } => check(&format!("- {}", prompts.join("\n- "))),
        }
    }

    // What an untrained model samples: any words in any order, with far too many marks and names.
    let mut stream = world.stream("noise", 0);
    let rare = [".", ",", ":", "?", "!", "/", "-", "i", "anna", "leo"];
    for _ in 0..3000 {
        let length = 1 + stream.below(30);
        let noise: Vec<&str> =
            (0..length)
                .map(|_| {
                    if stream.below(2) == 0 { rare[stream.below(rare.len())] } else { words[stream.below(words.len())] }
                })
                .collect();
        check(&spoken::text(&noise.join(" ")));
    }
}

#[test]
fn special_words_are_one_token_and_foreign_words_are_unknown() {
    let words = vocabulary();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let json = tokenizer::tokenizer_json(&SPECIALS, &words).to_string();
    let tokenizer = Tokenizer::from_bytes(json.as_bytes()).unwrap();
    let encoded = tokenizer.encode("<bos>An Owl, quantum Owls.<eos>", false).unwrap();
    assert_eq!(encoded.get_tokens(), ["<bos>", "an", "owl", ",", "<unk>", "<unk>", ".", "<eos>"]);
    assert_eq!(tokenizer.decode(&encoded.get_ids()[..3], true).unwrap(), "An owl");
}
