//! Tokens and conversations, against what the tokenizers and transformers packages make of the same files.

use std::collections::BTreeMap;

use selfreward::model::chat_template::{ChatTemplate, Turn};
use selfreward::model::tokenizer::{Pieces, TextStream, Tokenizer};
use serde::Deserialize;

use crate::llama_fixtures::path;

#[derive(Deserialize)]
struct Golden {
    texts: Vec<GoldenText>,
    templates: BTreeMap<String, String>,
    chats: Vec<GoldenChat>,
}

#[derive(Deserialize)]
struct GoldenText {
    text: String,
    with_special: Vec<u32>,
    plain: Vec<u32>,
}

#[derive(Deserialize)]
struct GoldenChat {
    template: String,
    turns: Vec<Turn>,
    add_generation_prompt: bool,
    rendered: String,
}

fn golden() -> (Tokenizer, Golden) {
    let folder = path("tokenizer");
    let golden = serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
    (Tokenizer::open(&folder).unwrap(), golden)
}

#[test]
fn texts_become_the_same_tokens_and_come_back() {
    let (tokenizer, golden) = golden();
    for row in &golden.texts {
        assert_eq!(tokenizer.encode(&row.text, true).unwrap(), row.with_special, "{:?}", row.text);
        assert_eq!(tokenizer.encode(&row.text, false).unwrap(), row.plain, "{:?}", row.text);
        assert_eq!(tokenizer.decode(&row.plain, false).unwrap(), row.text);
    }
}

#[test]
fn conversations_are_rendered_as_transformers_renders_them() {
    let (tokenizer, golden) = golden();
    for chat in &golden.chats {
        let template = ChatTemplate::new(&golden.templates[&chat.template], tokenizer.words.clone()).unwrap();
        let rendered = template.render(&chat.turns, chat.add_generation_prompt).unwrap();
        assert_eq!(rendered, chat.rendered, "{} {:?}", chat.template, chat.turns);
    }
}

#[test]
fn a_reply_has_its_place_between_tokens() {
    let (tokenizer, _) = golden();
    let turns = [Turn::new("user", "Count"), Turn::new("assistant", "one two")];
    let dialogue = tokenizer.dialogue(&turns).unwrap();
    assert_eq!(dialogue.tokens[..dialogue.reply.start], tokenizer.prompt(&turns[..1]).unwrap());
    assert_eq!(tokenizer.decode(&dialogue.tokens[dialogue.reply.clone()], false).unwrap(), "one two<|end|>");
}

#[test]
fn a_base_model_gets_the_plain_template() {
    let mut files = BTreeMap::new();
    files.insert("tokenizer.json".to_owned(), std::fs::read(path("tokenizer").join("tokenizer.json")).unwrap());
    files.insert("tokenizer_config.json".to_owned(), br#"{"eos_token": {"content": "<|end|>"}}"#.to_vec());
    let tokenizer = Tokenizer::from_files(&files).unwrap();
    let turns = [Turn::new("system", "Be brief."), Turn::new("user", "Count"), Turn::new("assistant", "one two")];
    assert_eq!(tokenizer.prompt_text(&turns[..2]).unwrap(), "Be brief.\n\nUser: Count\n\nAssistant:");
    let dialogue = tokenizer.dialogue(&turns).unwrap();
    assert_eq!(tokenizer.decode(&dialogue.tokens[dialogue.reply], false).unwrap(), " one two<|end|>\n\n");
}

#[test]
fn a_template_that_cannot_be_rendered_names_its_line() {
    for (source, expected) in [
        ("line one\n{% for %}", "line 2"),
        ("one\ntwo\n{{ messages.nothing.at_all }}", "line 3"),
        (
            "\n{{ raise_exception('roles must alternate') }}",
            "line 2): invalid operation: the template refuses: roles must alternate",
        ),
        ("{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}", "line 1"),
        ("\n\n{% include 'tokenizer.json' %}", "line 3"),
    ] {
        let error = ChatTemplate::new(source, Default::default())
            .and_then(|template| template.render(&[Turn::new("user", "Hi")], true))
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{source:?} gave {error}");
    }
}

#[test]
fn streamed_pieces_join_to_the_whole_text_and_never_split_a_character() {
    let (tokenizer, golden) = golden();
    let mut pieces = Pieces::default();
    // The second time every piece is remembered.
    for row in golden.texts.iter().chain(&golden.texts) {
        let mut stream = TextStream::default();
        let mut text = String::new();
        for &token in &row.plain {
            let piece = stream.push(&tokenizer, token, &mut pieces).unwrap();
            assert!(!piece.contains('\u{fffd}'), "{piece:?}");
            text += &piece;
        }
        text += &stream.finish(&tokenizer).unwrap();
        assert_eq!(text, tokenizer.decode(&row.plain, true).unwrap());
    }
}
