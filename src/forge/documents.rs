//! The pretraining corpus as text and as tokens: how each kind of document is laid out.
//!
//! The texts around prompts and answers are those of `prompts/short`, the same that a run uses: what pretraining has
//! seen is what the base can do.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::json;

use crate::microworld::corpus::{self, Document};
use crate::microworld::{World, spoken, tokenizer, vocabulary};
use crate::model::chat_template::Turn;
use crate::model::tokenizer::Tokenizer;
use crate::recipe::prompts::{CHAT, JUDGEMENT, PromptTexts, Prompts, REVIEW, TextSet};
use crate::text::template::Template;
use crate::train::pretrain;

/// Longest text of the model, in tokens: the longest judge prompt with its reply has about 130.
pub const POSITIONS: usize = 256;

/// Ids from 0 on; the first stands for every unknown word.
const SPECIALS: [&str; 6] = ["<unk>", "<pad>", "<bos>", "<eos>", "<user>", "<assistant>"];
pub const PAD: u32 = 1;
pub const BOS: u32 = 2;
pub const EOS: u32 = 3;

/// The texts that a model of this world reads and writes.
pub struct Texts {
    pub prompts: Prompts,
    pub review: Template,
    pub judgement: Template,
}

impl Texts {
    pub fn load() -> Result<Texts> {
        Ok(Texts {
            prompts: Prompts::load(&PromptTexts { set: TextSet::Short, ..PromptTexts::default() })?,
            review: Template::parse(REVIEW, &["prompt", "answer", "rationale"], &[])?,
            judgement: Template::parse(JUDGEMENT, &["rationale", "score"], &[])?,
        })
    }

    /// Their own words, with nothing in the slots.
    fn words(&self) -> Result<Vec<String>> {
        let empty = ["prompt", "answer", "first", "second", "fence", "shots", "next", "rationale", "score"];
        let empty = empty.map(|slot| (slot, " "));
        let Prompts { judge, duel, write_prompt } = &self.prompts;
        let mut words = Vec::new();
        for template in [judge, duel, write_prompt, &self.review, &self.judgement] {
            words.extend(spoken::tokens(&template.fill(&empty)?).split(' ').map(str::to_owned));
        }
        Ok(words)
    }
}

/// The tokenizer's files: every word of the world, of its texts, and the numbers of a list.
pub fn tokenizer_files(texts: &Texts) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut words: BTreeSet<String> = vocabulary().into_iter().collect();
    words.extend(texts.words()?);
    words.extend((0..10).map(|digit: u32| digit.to_string()));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut json = tokenizer::tokenizer_json(&SPECIALS, &words);
    // A whole text begins with <bos>, as other Llamas' tokenizers have it; the chat template brings its own.
    json["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "<bos>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [
            { "SpecialToken": { "id": "<bos>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } },
            { "Sequence": { "id": "B", "type_id": 0 } },
        ],
        "special_tokens": { "<bos>": { "id": "<bos>", "ids": [BOS], "tokens": ["<bos>"] } },
    });
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": POSITIONS,
        "unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>",
        "clean_up_tokenization_spaces": false, "model_input_names": ["input_ids", "attention_mask"],
    });
    Ok(BTreeMap::from([
        ("tokenizer.json".to_owned(), serde_json::to_vec(&json)?),
        ("tokenizer_config.json".to_owned(), format!("{config:#}\n").into_bytes()),
        ("chat_template.jinja".to_owned(), CHAT.as_bytes().to_vec()),
    ]))
}

/// The corpus in tokens.
pub fn documents(world: &World, count: usize, texts: &Texts, tokenizer: &Tokenizer) -> Result<Vec<pretrain::Document>> {
    let mut documents = Vec::with_capacity(count + count / 16);
    for document in corpus::pretraining(world, count) {
        match document {
            Document::Chat { prompt, answer } => {
                let turns = [Turn::new("user", &prompt), Turn::new("assistant", &answer)];
                let dialogue = tokenizer.dialogue(&turns)?;
                documents.push(pretrain::Document::new(dialogue.tokens, dialogue.reply.start, POSITIONS)?);
            }
            Document::Review { prompt, answer, rationale } => {
                let slots = [("prompt", &*prompt), ("answer", &*answer), ("rationale", &*rationale)];
                let text = texts.review.fill(&slots)?;
                let end = text.find(&prompt).context("a review without its prompt")? + prompt.len();
                let own = tokenizer.encode(&text[..end], true)?.len();
                documents.push(whole(tokenizer, &text, own)?);
            }
            Document::TaskList { prompts } => {
                let numbered: Vec<String> =
                    prompts.iter().zip(1..).map(|(prompt, number)| format!("{number}. {prompt}")).collect();
                // The text ends where the writer goes on, so the last task stands behind it.
                let (last, shots) = prompts.split_last().context("an empty list of tasks")?;
                let next = numbered.len().to_string();
                let shots = &numbered[..shots.len()].join("\n");
                let head = texts.prompts.write_prompt.fill(&[("shots", shots), ("next", &next)])?;
                documents.push(whole(tokenizer, &format!("{head} {last}"), 0)?);
                // And a prompt by itself, so that the base can say how likely a prompt is.
                documents.push(whole(tokenizer, &prompts[0], 0)?);
            }
        }
    }
    Ok(documents)
}

fn whole(tokenizer: &Tokenizer, text: &str, own: usize) -> Result<pretrain::Document> {
    let mut tokens = tokenizer.encode(text, true)?;
    tokens.push(EOS);
    pretrain::Document::new(tokens, own, POSITIONS)
}
