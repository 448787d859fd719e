//! Fills `{{slot}}`s in the texts that a model reads.
//!
//! Used by `recipe::prompts`. A template is checked once, when it is loaded; filling is a single pass, so a value that
//! itself holds `{{slot}}` stays as it is. Knows nothing of what the slots mean.

use std::fmt;

/// A text with slots, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Literal(String),
    Slot(String),
}

/// What is wrong with a template, or with the values for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A slot that the template's purpose does not have.
    Unknown { slot: String, allowed: Vec<String> },
    /// A slot that the purpose needs and the text lacks.
    Missing { slot: String },
    /// `{{` without a name and `}}` after it.
    Malformed { line: usize },
    /// No value was given for a slot.
    NoValue { slot: String },
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { slot, allowed } => {
                write!(f, "unknown slot {{{{{slot}}}}}; the slots here are: {}", allowed.join(", "))
            }
            Self::Missing { slot } => write!(f, "the slot {{{{{slot}}}}} is missing"),
            Self::Malformed { line } => write!(f, "line {line}: `{{{{` without a slot's name and `}}}}` after it"),
            Self::NoValue { slot } => write!(f, "no value for the slot {{{{{slot}}}}}"),
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Checks `text`: every slot in it must be among `required` or `optional`, and every required slot must occur.
    /// One newline at the very end belongs to the file, not to the text.
    pub fn parse(text: &str, required: &[&str], optional: &[&str]) -> Result<Self, TemplateError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            let malformed =
                || TemplateError::Malformed { line: text[..text.len() - rest.len() + open].matches('\n').count() + 1 };
            let close = rest[open..].find("}}").ok_or_else(malformed)? + open;
            let name = rest[open + 2..close].trim();
            let is_name =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if !is_name {
                return Err(malformed());
            }
            if !required.contains(&name) && !optional.contains(&name) {
                let allowed = required.iter().chain(optional).map(|slot| slot.to_string()).collect();
                return Err(TemplateError::Unknown { slot: name.to_string(), allowed });
            }
            if open > 0 {
                pieces.push(Piece::Literal(rest[..open].to_string()));
            }
            pieces.push(Piece::Slot(name.to_string()));
            rest = &rest[close + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_string()));
        }
        let occurs = |slot: &str| pieces.iter().any(|piece| matches!(piece, Piece::Slot(name) if name == slot));
        match required.iter().find(|slot| !occurs(slot)) {
            Some(slot) => Err(TemplateError::Missing { slot: slot.to_string() }),
            None => Ok(Template { pieces }),
        }
    }

    /// The text with every slot replaced. Values for slots that the template does not use are ignored.
    pub fn fill(&self, values: &[(&str, &str)]) -> Result<String, TemplateError> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Slot(slot) => {
                    let (_, value) = values
                        .iter()
                        .find(|(name, _)| name == slot)
                        .ok_or_else(|| TemplateError::NoValue { slot: slot.clone() })?;
                    out.push_str(value);
                }
            }
        }
        Ok(out)
    }

    /// Bytes before the first slot: the same in every filled text.
    pub fn fixed_prefix(&self) -> usize {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text.len(),
            _ => 0,
        }
    }

    /// The inverse of `fill`: the value of each slot in a text that was made from this template, each slot as it first occurs.
    /// None for a text that was not. A value that holds the template's own words is cut at their first occurrence.
    pub fn read<'a>(&self, text: &'a str) -> Option<Vec<(&str, &'a str)>> {
        let mut values: Vec<(&str, &str)> = Vec::new();
        let mut rest = text;
        let mut open: Option<&str> = None;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => {
                    let at = rest.find(literal.as_str())?;
                    match open.take() {
                        Some(slot) if values.iter().all(|(known, _)| *known != slot) => {
                            values.push((slot, &rest[..at]))
                        }
                        None if at > 0 => return None,
                        _ => {}
                    }
                    rest = &rest[at + literal.len()..];
                }
                Piece::Slot(slot) => open = Some(slot),
            }
        }
        if let Some(slot) = open {
            values.push((slot, rest));
        }
        Some(values)
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(text: &str) -> Result<Template, TemplateError> {
        Template::parse(text, &["prompt", "answer"], &["fence"])
    }

    #[test]
    fn a_template_is_checked_when_it_is_loaded() {
        let table = [
            ("{{prompt}} {{answer}}", Ok(())),
            ("{{ prompt }}{{answer}}{{fence}}\n", Ok(())),
            ("{{prompt}}", Err("the slot {{answer}} is missing")),
            (
                "{{prompt}} {{answer}} {{anwser}}",
                Err("unknown slot {{anwser}}; the slots here are: prompt, answer, fence"),
            ),
            ("one\n{{prompt}}\n{{answer", Err("line 3: `{{` without a slot's name and `}}` after it")),
            ("{{prompt}}{{answer}}{{}}", Err("line 1: `{{` without a slot's name and `}}` after it")),
            ("{{prompt}}{{an\nswer}}", Err("line 1: `{{` without a slot's name and `}}` after it")),
        ];
        for (text, expected) in table {
            let found = judge(text).map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_string), "{text}");
        }
    }

    #[test]
    fn filling_needs_every_value_and_keeps_the_rest_as_it_is() {
        let template = judge("a {{prompt}} b {{answer}} {c}\n").unwrap();
        assert_eq!(template.fill(&[("prompt", "P"), ("answer", "{{prompt}}")]).unwrap(), "a P b {{prompt}} {c}");
        let slot = "answer".to_string();
        assert_eq!(template.fill(&[("prompt", "P")]), Err(TemplateError::NoValue { slot }));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_says_why(text in "[a-z{} \n]{0,40}") {
            let _ = judge(&text).map_err(|error| error.to_string());
        }

        #[test]
        fn values_are_never_expanded(prompt in "(\\{\\{(prompt|answer|fence)\\}\\}|[a-z{}é\n]){0,12}", answer in "(\\{\\{prompt\\}\\}|\\PC){0,12}") {
            let filled = judge("<{{prompt}}|{{answer}}>").unwrap().fill(&[("prompt", &prompt), ("answer", &answer)]).unwrap();
            prop_assert_eq!(filled, format!("<{prompt}|{answer}>"));
        }
    }
}
