//! The texts of `prompts/`, embedded and checked, or the caller's own in their place.
//!
//! Used by the engine at start. Slots are documented in `prompts/README.md`. Reads no file: whoever overrides a text brings it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::template::{Template, TemplateError};

const JUDGE: &str = include_str!("../../prompts/judge.txt");
const DUEL: &str = include_str!("../../prompts/duel.txt");
const WRITE_PROMPT: &str = include_str!("../../prompts/write_prompt.txt");

const SHORT_JUDGE: &str = include_str!("../../prompts/short/judge.txt");
const SHORT_DUEL: &str = include_str!("../../prompts/short/duel.txt");
const SHORT_WRITE_PROMPT: &str = include_str!("../../prompts/short/write_prompt.txt");
/// What a reader of the embedded world writes about an answer, without a score.
pub const REVIEW: &str = include_str!("../../prompts/short/review.txt");
/// What a judge of the embedded world writes: it begins as reviews do.
pub const JUDGEMENT: &str = include_str!("../../prompts/short/judgement.txt");
/// The chat template of the embedded model.
pub const CHAT: &str = include_str!("../../prompts/short/chat.jinja");

/// Which embedded texts stand in where the caller has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextSet {
    /// With every rule spelt out.
    #[default]
    Full,
    /// A few words, for a model of a few words.
    Short,
}

/// The caller's own texts; what is absent is the embedded one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptTexts {
    pub set: TextSet,
    pub judge: Option<String>,
    pub duel: Option<String>,
    pub write_prompt: Option<String>,
}

/// The checked templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompts {
    pub judge: Template,
    pub duel: Template,
    pub write_prompt: Template,
}

impl Prompts {
    /// Checks every text; the error names the one that is wrong.
    pub fn load(texts: &PromptTexts) -> Result<Self, PromptError> {
        let template = |name, own: &Option<String>, embedded: &str, required: &[&str], optional: &[&str]| {
            Template::parse(own.as_deref().unwrap_or(embedded), required, optional)
                .map_err(|error| PromptError { name, error })
        };
        let [judge, duel, write_prompt] = match texts.set {
            TextSet::Full => [JUDGE, DUEL, WRITE_PROMPT],
            TextSet::Short => [SHORT_JUDGE, SHORT_DUEL, SHORT_WRITE_PROMPT],
        };
        Ok(Prompts {
            judge: template("judge", &texts.judge, judge, &["prompt", "answer"], &["fence"])?,
            duel: template("duel", &texts.duel, duel, &["prompt", "first", "second"], &["fence"])?,
            write_prompt: template("write_prompt", &texts.write_prompt, write_prompt, &["shots", "next"], &[])?,
        })
    }
}

/// A text that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptError {
    pub name: &'static str,
    pub error: TemplateError,
}

impl std::fmt::Display for PromptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} prompt: {}", self.name, self.error)
    }
}

impl std::error::Error for PromptError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_texts_are_right_and_ask_for_the_score_last() {
        let prompts = Prompts::load(&PromptTexts::default()).unwrap();
        let slots = [
            ("prompt", "P"),
            ("answer", "A"),
            ("fence", "F"),
            ("first", "1"),
            ("second", "2"),
            ("shots", "1. x"),
            ("next", "2"),
        ];
        let judge = prompts.judge.fill(&slots).unwrap();
        assert!(judge.find("explain").unwrap() < judge.find("Score: n").unwrap());
        assert!(judge.contains("<answer-F>\nA\n</answer-F>"));
        assert!(prompts.duel.fill(&slots).unwrap().ends_with("Verdict: tie"));
        assert!(prompts.write_prompt.fill(&slots).unwrap().ends_with("\n\n1. x\n2."));
    }

    #[test]
    fn a_text_of_ones_own_is_checked_by_name() {
        let texts = PromptTexts { judge: Some("rate {{answer}}".into()), ..PromptTexts::default() };
        let error = Prompts::load(&texts).unwrap_err();
        assert_eq!(error.to_string(), "the judge prompt: the slot {{prompt}} is missing");
    }
}
