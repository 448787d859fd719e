//! Chat templates: the small programs in Hugging Face folders that turn a conversation into one string.
//!
//! [`Tokenizer`](crate::model::tokenizer::Tokenizer) holds one. They come with a downloaded model, so they run with a
//! limited budget and reach neither files nor the clock. Errors name the template's line.

use anyhow::{Result, anyhow, ensure};
use minijinja::{Environment, ErrorKind, Value, context};
use serde::{Deserialize, Serialize};

/// Instructions of the template machine for one rendering; real templates need a few thousand.
const FUEL: u64 = 2_000_000;
const MAX_TEMPLATE_BYTES: usize = 256 << 10;
const MAX_RENDERED_BYTES: usize = 16 << 20;
/// The template of base models, which have none of their own.
const PLAIN: &str = include_str!("../../prompts/plain_chat.jinja");
const NAME: &str = "chat_template";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub role: String,
    pub content: String,
}

impl Turn {
    pub fn new(role: &str, content: &str) -> Turn {
        Turn { role: role.to_owned(), content: content.to_owned() }
    }
}

/// The words that templates may name. An absent one is undefined in the template, as in transformers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SpecialWords {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bos_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eos_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unk_token: Option<String>,
}

#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    words: SpecialWords,
}

impl ChatTemplate {
    pub fn new(source: &str, words: SpecialWords) -> Result<ChatTemplate> {
        ensure!(
            source.len() <= MAX_TEMPLATE_BYTES,
            "the chat template has {} bytes, more than {MAX_TEMPLATE_BYTES}",
            source.len()
        );
        let mut environment = Environment::new();
        // These four make the language the one that transformers renders.
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.set_fuel(Some(FUEL));
        environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("the template refuses: {message}")))
        });
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| with_line("cannot be read", &error))?;
        Ok(ChatTemplate { environment, words })
    }

    pub fn plain(words: SpecialWords) -> Result<ChatTemplate> {
        ChatTemplate::new(PLAIN, words)
    }

    /// The string of a conversation; with `reply_next` it ends where the assistant is to go on.
    pub fn render(&self, turns: &[Turn], reply_next: bool) -> Result<String> {
        let template = self.environment.get_template(NAME).map_err(|error| with_line("cannot be found", &error))?;
        let words = Value::from_serialize(&self.words);
        // No date function on purpose: templates that ask whether there is one then use their fixed date, and the
        // same conversation gives the same tokens every day.
        let values = context! { messages => turns, add_generation_prompt => reply_next, ..words };
        let rendered = template.render(values).map_err(|error| with_line("cannot be rendered", &error))?;
        ensure!(rendered.len() <= MAX_RENDERED_BYTES, "the chat template rendered {} bytes", rendered.len());
        Ok(rendered)
    }
}

/// JSON as Python writes it by default: no HTML escapes, a space behind commas and colons.
fn to_json(value: Value) -> Result<Value, minijinja::Error> {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut bytes = Vec::new();
    let failed = |error: &dyn std::fmt::Display| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string());
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Spaced)).map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map(Value::from_safe_string).map_err(|e| failed(&e))
}

fn with_line(what: &str, error: &minijinja::Error) -> anyhow::Error {
    let line = error.line().map(|line| format!(" (its line {line})")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    anyhow!("the chat template {what}{line}: {}{detail}", error.kind())
}
