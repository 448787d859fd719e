//! Text to token ids and back, and conversations to token ids with the reply's place known.
//!
//! Sampling, scoring and training take their tokens here. The tokenizer comes with a downloaded model: its parts are
//! checked against a list before they run, and a panic inside the tokenizer library becomes an error.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::model::chat_template::{ChatTemplate, SpecialWords, Turn};

const MAX_TEXT_BYTES: usize = 16 << 20;
/// Byte-level tokenizers give at most one token a byte, plus the special ones around.
const MAX_TOKENS_PER_BYTE: usize = 4;
const MAX_PATTERN_BYTES: usize = 4 << 10;
/// By how much all replacements together may lengthen a text: one after the other they multiply.
const MAX_GROWTH: usize = 64;
const MAX_PARTS: usize = 64;

/// The parts of tokenizers that Llama-like models are published with. Each runs in time linear in its input, given
/// the limits on patterns and replacements.
const KNOWN_PARTS: [&str; 25] = [
    "Sequence",
    "Prepend",
    "Replace",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Strip",
    "Lowercase",
    "StripAccents",
    "ByteLevel",
    "Digits",
    "Split",
    "Metaspace",
    "Whitespace",
    "WhitespaceSplit",
    "Punctuation",
    "TemplateProcessing",
    "ByteFallback",
    "Fuse",
    "BPE",
    "WordLevel",
    "Unigram",
    "WordPiece",
    "BertNormalizer",
];

#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    template: ChatTemplate,
    /// False when the folder had no template and the plain one stands in.
    pub has_own_template: bool,
    pub words: SpecialWords,
}

/// A conversation that ends with a reply, as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    pub tokens: Vec<u32>,
    /// The tokens that the model is to write: the reply and whatever the template ends a turn with.
    pub reply: Range<usize>,
}

impl Tokenizer {
    pub fn open(folder: &Path) -> Result<Tokenizer> {
        let read = || -> Result<Tokenizer> {
            let mut files = BTreeMap::new();
            for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
                let path = folder.join(name);
                if path.try_exists()? {
                    files.insert(name.to_owned(), crate::model::folder::read_capped(&path, 64 << 20)?);
                }
            }
            Tokenizer::from_files(&files)
        };
        read().with_context(|| format!("could not load the tokenizer of {}", folder.display()))
    }

    /// From the contents of `tokenizer.json`, and where present `tokenizer_config.json` and `chat_template.jinja`.
    pub fn from_files(files: &BTreeMap<String, Vec<u8>>) -> Result<Tokenizer> {
        let bytes = files.get("tokenizer.json").context("there is no tokenizer.json")?;
        let description: Value = serde_json::from_slice(bytes).context("tokenizer.json is not valid JSON")?;
        check_parts(&description).context("tokenizer.json")?;
        let inner = guarded("reading tokenizer.json", || tokenizers::Tokenizer::from_bytes(bytes))?;
        let inner = with_neither_truncation_nor_padding(inner)?;
        let config: Value = match files.get("tokenizer_config.json") {
            Some(bytes) => serde_json::from_slice(bytes).context("tokenizer_config.json is not valid JSON")?,
            None => Value::Null,
        };
        let words = SpecialWords {
            bos_token: word(&config, "bos_token"),
            eos_token: word(&config, "eos_token"),
            pad_token: word(&config, "pad_token"),
            unk_token: word(&config, "unk_token"),
        };
        let own = match files.get("chat_template.jinja") {
            Some(bytes) => Some(String::from_utf8(bytes.clone()).context("chat_template.jinja is not UTF-8")?),
            None => template_of(&config)?,
        };
        let template = match &own {
            Some(source) => ChatTemplate::new(source, words.clone())?,
            None => ChatTemplate::plain(words.clone())?,
        };
        Ok(Tokenizer { inner, template, has_own_template: own.is_some(), words })
    }

    /// Every id is below this, if the model's embedding has as many rows.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    pub fn id_of(&self, word: &str) -> Option<u32> {
        self.inner.token_to_id(word)
    }

    pub fn eos(&self) -> Option<u32> {
        self.words.eos_token.as_deref().and_then(|word| self.id_of(word))
    }

    /// Texts that become one control token wherever they stand. Foreign text that holds one could end its own turn.
    pub fn special_words(&self) -> Vec<String> {
        let mut words: Vec<String> =
            self.inner.get_added_tokens_decoder().values().filter(|t| t.special).map(|t| t.content.clone()).collect();
        words.sort();
        words
    }

    /// With `special`, the tokenizer adds what it adds by itself (usually the first token of a text).
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        ensure!(text.len() <= MAX_TEXT_BYTES, "a text of {} bytes is too long to tokenise", text.len());
        let encoding = guarded("tokenising", || self.inner.encode_fast(text, special))?;
        let ids = encoding.get_ids().to_vec();
        let most = text.len() * MAX_TOKENS_PER_BYTE + 16;
        ensure!(ids.len() <= most, "the tokenizer made {} tokens of {} bytes", ids.len(), text.len());
        Ok(ids)
    }

    pub fn decode(&self, tokens: &[u32], skip_special: bool) -> Result<String> {
        guarded("turning tokens into text", || self.inner.decode(tokens, skip_special))
    }

    /// The tokens after which the assistant's reply is to follow.
    pub fn prompt(&self, turns: &[Turn]) -> Result<Vec<u32>> {
        self.encode(&self.template.render(turns, true)?, !self.has_own_template)
    }

    /// The text that [`Tokenizer::prompt`] tokenises.
    pub fn prompt_text(&self, turns: &[Turn]) -> Result<String> {
        self.template.render(turns, true)
    }

    /// Prompt and reply are tokenised apart, so that the boundary is between tokens and the prompt's tokens are those
    /// that sampling sees.
    pub fn dialogue(&self, turns: &[Turn]) -> Result<Dialogue> {
        let Some((last, before)) = turns.split_last() else { bail!("a conversation without turns has no reply") };
        ensure!(last.role == "assistant", "the last turn is {:?}'s, not the assistant's", last.role);
        let prompt = self.template.render(before, true)?;
        let whole = self.template.render(turns, false)?;
        let reply = whole.strip_prefix(prompt.as_str()).context(
            "the chat template renders a finished conversation differently from its prompt, so the reply has no place",
        )?;
        let mut tokens = self.encode(&prompt, !self.has_own_template)?;
        let start = tokens.len();
        tokens.extend(self.encode(reply, false)?);
        ensure!(tokens.len() > start, "the reply is empty");
        Ok(Dialogue { reply: start..tokens.len(), tokens })
    }
}

/// Turns a growing reply into text piece by piece, holding back a character whose bytes are not all there yet.
#[derive(Debug, Clone, Default)]
pub struct TextStream {
    /// Tokens from the last safe place on; decoding starts there because pieces depend on their left neighbours.
    window: Vec<u32>,
    /// How many of the window's first tokens were already given out.
    given: usize,
}

/// Pieces that were seen before: decoding asks a tokenizer's patterns anew each time, and replies repeat themselves.
#[derive(Debug, Default)]
pub struct Pieces {
    /// By how many tokens were given out, and all of the window.
    known: HashMap<Vec<u32>, String>,
    asked: Vec<u32>,
}

/// Pieces that are remembered at once: some megabytes.
const MOST_PIECES: usize = 1 << 16;

/// A character of at most four bytes, from tokens of at least one byte each; more means that it never completes.
const MAX_HELD_BACK: usize = 8;

impl TextStream {
    /// The text that this token completes; empty while a character is unfinished.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: u32, pieces: &mut Pieces) -> Result<String> {
        self.window.push(token);
        let piece = self.known_piece(tokenizer, pieces)?;
        if piece.ends_with('\u{fffd}') && self.window.len() - self.given < MAX_HELD_BACK {
            return Ok(String::new());
        }
        self.window.drain(..self.given);
        self.given = self.window.len();
        Ok(piece)
    }

    /// What was held back when the reply ended.
    pub fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String> {
        let piece = self.piece(tokenizer)?;
        self.given = self.window.len();
        Ok(piece)
    }

    fn known_piece(&self, tokenizer: &Tokenizer, pieces: &mut Pieces) -> Result<String> {
        pieces.asked.clear();
        pieces.asked.push(self.given as u32);
        pieces.asked.extend_from_slice(&self.window);
        if let Some(piece) = pieces.known.get(&pieces.asked[..]) {
            return Ok(piece.clone());
        }
        let piece = self.piece(tokenizer)?;
        if pieces.known.len() >= MOST_PIECES {
            pieces.known.clear();
        }
        pieces.known.insert(pieces.asked.clone(), piece.clone());
        Ok(piece)
    }

    fn piece(&self, tokenizer: &Tokenizer) -> Result<String> {
        if self.given == self.window.len() {
            return Ok(String::new());
        }
        let before = tokenizer.decode(&self.window[..self.given], true)?;
        let with = tokenizer.decode(&self.window, true)?;
        // A special token decodes to nothing, and some decoders change what stood before; then nothing new is shown.
        Ok(with.strip_prefix(before.as_str()).unwrap_or_default().to_owned())
    }
}

/// The tokenizer library unwraps inside; a downloaded pattern must not end this process.
fn guarded<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    what: &str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(anyhow!(error.into())).with_context(|| format!("{what} failed")),
        Err(_) => bail!("{what} failed inside the tokenizer library"),
    }
}

/// A tokenizer file may ask to cut or pad every text; neither is wanted here, nor does transformers obey it.
fn with_neither_truncation_nor_padding(mut inner: tokenizers::Tokenizer) -> Result<tokenizers::Tokenizer> {
    inner.with_truncation(None).map_err(|error| anyhow!(error)).context("could not switch truncation off")?;
    inner.with_padding(None);
    Ok(inner)
}

fn check_parts(description: &Value) -> Result<()> {
    let (mut parts, mut growth) = (0, 1);
    for section in ["normalizer", "pre_tokenizer", "post_processor", "decoder", "model"] {
        if let Some(part) = description.get(section).filter(|part| !part.is_null()) {
            check_part(part, &mut parts, &mut growth).with_context(|| format!("its {section}"))?;
        }
    }
    Ok(())
}

fn check_part(part: &Value, parts: &mut usize, growth: &mut usize) -> Result<()> {
    *parts += 1;
    ensure!(*parts <= MAX_PARTS, "has more than {MAX_PARTS} parts");
    // A model without a type is a BPE: older files leave it out.
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("BPE");
    ensure!(KNOWN_PARTS.contains(&kind), "uses {kind:.40?}, which is not supported");
    if let Some(pattern) = part.get("pattern") {
        let length = pattern.get("Regex").or_else(|| pattern.get("String")).and_then(Value::as_str).map_or(0, str::len);
        ensure!(length <= MAX_PATTERN_BYTES, "has a pattern of {length} bytes");
    }
    for key in ["content", "prepend", "replacement"] {
        let length = part.get(key).and_then(Value::as_str).map_or(0, str::len);
        *growth = growth.saturating_mul(length.max(1));
        ensure!(*growth <= MAX_GROWTH, "lengthens a text more than {MAX_GROWTH} times");
    }
    for list in ["normalizers", "pretokenizers", "processors", "decoders"] {
        for inner in part.get(list).and_then(Value::as_array).into_iter().flatten() {
            check_part(inner, parts, growth)?;
        }
    }
    Ok(())
}

/// A special word is written as a string or as an object with the string inside.
fn word(config: &Value, key: &str) -> Option<String> {
    let value = config.get(key)?;
    value.as_str().or_else(|| value.get("content").and_then(Value::as_str)).map(str::to_owned)
}

/// One template, or a list of named ones of which "default" is meant.
fn template_of(config: &Value) -> Result<Option<String>> {
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) => Ok(Some(source.clone())),
        Some(Value::Array(named)) => {
            let default = named.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"));
            let source = default.and_then(|entry| entry.get("template")).and_then(Value::as_str);
            Ok(Some(
                source.context("tokenizer_config.json has several chat templates, none called \"default\"")?.to_owned(),
            ))
        }
        Some(_) => bail!("the chat_template of tokenizer_config.json is not a string"),
    }
}
