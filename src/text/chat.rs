//! Turns of a conversation to the one string that a model reads, with the spans of the replies in it.
//!
//! Used where a model brings no chat template of its own (base models); models that bring one render it beside their tokenizer
//! and answer in the same shape. Training takes its loss on the replies' spans only. Knows no tokens.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    pub role: Role,
    pub text: String,
}

impl Turn {
    pub fn user(text: impl Into<String>) -> Self {
        Turn { role: Role::User, text: text.into() }
    }

    pub fn assistant(text: impl Into<String>) -> Self {
        Turn { role: Role::Assistant, text: text.into() }
    }
}

/// A conversation as one string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    pub text: String,
    /// Byte ranges of the assistant's texts, in order, without their marks.
    pub replies: Vec<Range<usize>>,
}

impl Rendered {
    /// The last reply: the one that is trained on where a conversation is an example.
    pub fn reply(&self) -> Option<Range<usize>> {
        self.replies.last().cloned()
    }
}

/// The plain format for models without a chat template: what stands before each turn, and between turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PlainChat {
    /// Before the system's text.
    pub system: String,
    /// Before a user's text.
    pub user: String,
    /// Before the assistant's text; a prompt ends with it.
    pub assistant: String,
    /// Between two turns.
    pub between: String,
}

impl Default for PlainChat {
    fn default() -> Self {
        // A line break before each text: a tokenizer that glues a space to the next word sees the same tokens in
        // training, where the reply follows, and in sampling, where nothing follows yet.
        PlainChat {
            system: String::new(),
            user: "User:\n".into(),
            assistant: "Assistant:\n".into(),
            between: "\n\n".into(),
        }
    }
}

impl PlainChat {
    /// The turns as they stand; an example to train on ends with the assistant's.
    pub fn render(&self, turns: &[Turn]) -> Rendered {
        let mut out = Rendered::default();
        for (at, turn) in turns.iter().enumerate() {
            if at > 0 {
                out.text.push_str(&self.between);
            }
            out.text.push_str(self.mark(turn.role));
            let start = out.text.len();
            out.text.push_str(&turn.text);
            if turn.role == Role::Assistant {
                out.replies.push(start..out.text.len());
            }
        }
        out
    }

    /// The turns followed by the assistant's mark: what a model continues.
    pub fn prompt(&self, turns: &[Turn]) -> String {
        let mut text = self.render(turns).text;
        if !turns.is_empty() {
            text.push_str(&self.between);
        }
        text.push_str(&self.assistant);
        text
    }

    /// Where sampling stops, besides the end token: the model has begun a turn of its reader.
    pub fn stop(&self) -> String {
        format!("{}{}", self.between, self.user)
    }

    fn mark(&self, role: Role) -> &str {
        match role {
            Role::System => &self.system,
            Role::User => &self.user,
            Role::Assistant => &self.assistant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_its_prompt_and_then_its_reply() {
        let chat = PlainChat::default();
        let asked = [Turn { role: Role::System, text: "Be brief.".into() }, Turn::user("Why {{x}}?")];
        let example = chat.render(&[asked[0].clone(), asked[1].clone(), Turn::assistant("Because.")]);
        assert_eq!(example.text, "Be brief.\n\nUser:\nWhy {{x}}?\n\nAssistant:\nBecause.");
        let reply = example.reply().unwrap();
        assert_eq!(&example.text[reply.clone()], "Because.");
        assert_eq!(&example.text[..reply.start], chat.prompt(&asked));
    }

    #[test]
    fn every_reply_of_a_conversation_has_its_span() {
        let chat = PlainChat::default();
        let turns = [Turn::user("é"), Turn::assistant("漢"), Turn::user("b"), Turn::assistant("")];
        let rendered = chat.render(&turns);
        let replies: Vec<&str> = rendered.replies.iter().map(|span| &rendered.text[span.clone()]).collect();
        assert_eq!(replies, ["漢", ""]);
        assert_eq!(chat.render(&[]), Rendered::default());
        assert_eq!(chat.prompt(&[]), "Assistant:\n");
        assert!(rendered.text.contains(&chat.stop()));
    }
}
