//! The texts of `prompts/`, embedded and checked, or the caller's own in their place.
//!
//! Used by the engine at start. Slots are documented in `prompts/README.md`. Reads no file: whoever overrides a text brings it.

use crate::text::template::{Template, TemplateError};

const JUDGE: &str = include_str!("../../prompts/judge.txt");
const DUEL: &str = include_str!("../../prompts/duel.txt");
const WRITE_PROMPT: &str = include_str!("../../prompts/write_prompt.txt");

/// The caller's own texts; what is absent is the embedded one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptTexts {
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
        Ok(Prompts {
            judge: template("judge", &texts.judge, JUDGE, &["prompt", "answer"], &["fence"])?,
            duel: template("duel", &texts.duel, DUEL, &["prompt", "first", "second"], &["fence"])?,
            write_prompt: template("write_prompt", &texts.write_prompt, WRITE_PROMPT, &["shots", "next"], &[])?,
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
