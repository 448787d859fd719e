//! Ranked data with one row for each response, gathered by prompt.
//!
//! Used by `rankings` alone. It knows no files: rows come in, groups in the order of their first row go out.

use std::collections::HashMap;

use super::fields::{Members, content_name, member};
use super::rankings::{Marked, TEXTS, marked};
use super::turns::{Asked, Role, asked};

/// The rows of one prompt.
pub(super) struct Group {
    /// Where the first row stands.
    pub line: u64,
    pub id: Option<String>,
    pub asked: Option<Asked>,
    pub responses: Vec<Marked>,
}

/// Rows gathered so far.
#[derive(Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
    by_prompt: HashMap<String, usize>,
}

/// True for a row that holds one response and what it is worth. The mark may be null, but it must be meant.
pub(super) fn is_one(members: &Members) -> bool {
    member(members, &TEXTS).is_some()
        && ["rank", "score", "overall_score"].iter().any(|name| members.contains_key(*name))
}

impl Groups {
    /// Adds a row to the group of its prompt id, or of its prompt where it has no id.
    pub fn add(&mut self, line: u64, id: Option<String>, members: &Members) -> Result<(), String> {
        let asked = asked(members)?;
        let key = match (&id, &asked) {
            (Some(id), _) => format!("id {id}"),
            (None, Some(asked)) => format!("prompt {}", name_of(asked)),
            (None, None) => return Err("has a response and neither a prompt nor a prompt id".to_string()),
        };
        let response = marked(members)?;
        let at = *self.by_prompt.entry(key).or_insert_with(|| {
            self.groups.push(Group { line, id, asked: None, responses: Vec::new() });
            self.groups.len() - 1
        });
        let Some(group) = self.groups.get_mut(at) else { return Ok(()) };
        match (&group.asked, asked) {
            (Some(known), Some(new)) if *known != new => {
                return Err(format!("has another prompt than line {}, which has the same prompt id", group.line));
            }
            (None, Some(new)) => group.asked = Some(new),
            _ => {}
        }
        group.responses.push(response);
        Ok(())
    }

    pub fn into_sets(self) -> Vec<Group> {
        self.groups
    }
}

fn name_of(asked: &Asked) -> String {
    let mut parts = vec![asked.system.as_deref().unwrap_or_default()];
    for turn in &asked.context {
        parts.push(if turn.role == Role::User { "user" } else { "assistant" });
        parts.push(&turn.text);
    }
    parts.push(&asked.prompt);
    content_name(&parts)
}
