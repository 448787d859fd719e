//! The keys: one table that drives dispatch, footer, help, palette, man page and README.
//!
//! `table` is the data, `press` reads and prints keys, this file answers: what does this key mean here, and which key does that.

use std::collections::HashMap;

pub mod action;
pub mod press;
pub mod table;

pub use action::{Action, Scope};
pub use press::Press;
pub use table::{BINDINGS, Binding};

/// What a pressed key leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Do(Action),
    /// The first key of a sequence such as `gg`.
    Begins,
    Nothing,
}

/// The table with the user's changes applied.
#[derive(Clone, Debug)]
pub struct Keymap {
    by_key: HashMap<(Scope, Vec<Press>), Action>,
    by_action: HashMap<(Scope, Action), Vec<String>>,
}

impl Default for Keymap {
    fn default() -> Keymap {
        Keymap::with(&[]).0
    }
}

impl Keymap {
    /// The table with overrides `(command name, keys)`; returns what could not be understood, in sentences.
    pub fn with(overrides: &[(String, Vec<String>)]) -> (Keymap, Vec<String>) {
        let mut map = Keymap { by_key: HashMap::new(), by_action: HashMap::new() };
        let mut complaints = Vec::new();
        let names: Vec<&str> = BINDINGS.iter().map(|binding| binding.name).collect();
        for (name, _) in overrides {
            if !names.contains(&name.as_str()) {
                let near = crate::text::nearest::did_you_mean(name, names.iter().copied());
                complaints.push(format!("[keys] {name}: there is no such command{near}"));
            }
        }
        for binding in BINDINGS {
            let changed = overrides.iter().find(|(name, _)| name == binding.name).map(|(_, keys)| keys);
            let keys: Vec<String> = match changed {
                Some(keys) => keys.clone(),
                None => binding.keys.iter().map(|key| key.to_string()).collect(),
            };
            for key in keys {
                match Press::sequence(&key) {
                    Ok(presses) => {
                        if let Some(other) = map.by_key.insert((binding.scope, presses), binding.action) {
                            complaints.push(format!("[keys] `{key}` means both {other:?} and {:?}", binding.action));
                        }
                        map.by_action.entry((binding.scope, binding.action)).or_default().push(key);
                    }
                    Err(why) => complaints.push(format!("[keys] {}: {why}", binding.name)),
                }
            }
        }
        (map, complaints)
    }

    /// What a key means after those already pressed, looking through the scopes in order.
    pub fn meaning(&self, scopes: &[Scope], before: &[Press], press: Press) -> Meaning {
        let mut keys = before.to_vec();
        keys.push(press);
        for &scope in scopes {
            if let Some(&action) = self.by_key.get(&(scope, keys.clone())) {
                return Meaning::Do(action);
            }
            if self.by_key.keys().any(|(of, all)| *of == scope && all.len() > keys.len() && all.starts_with(&keys)) {
                return Meaning::Begins;
            }
        }
        Meaning::Nothing
    }

    /// The keys of a binding as the user has them.
    pub fn keys_of(&self, binding: &Binding) -> &[String] {
        self.by_action.get(&(binding.scope, binding.action)).map_or(&[], Vec::as_slice)
    }

    /// The first key of an action in these scopes, as it is written in the footer.
    pub fn key_for(&self, scopes: &[Scope], action: Action) -> Option<&str> {
        scopes.iter().find_map(|&scope| self.by_action.get(&(scope, action))?.first()).map(String::as_str)
    }
}

/// One line of the manual page and of the README: where, keys, name, what it does.
pub struct Row {
    pub scope: &'static str,
    pub keys: String,
    pub name: &'static str,
    pub help: &'static str,
}

/// Every binding, for the man page, the README and `config keys`.
pub fn rows(map: &Keymap) -> Vec<Row> {
    BINDINGS
        .iter()
        .map(|binding| Row {
            scope: binding.scope.name(),
            keys: map.keys_of(binding).join(" "),
            name: binding.name,
            help: binding.help,
        })
        .collect()
}

/// What the footer shows in these scopes: keys and labels, most useful first, at most ten.
pub fn footer(map: &Keymap, scopes: &[Scope]) -> Vec<(String, &'static str)> {
    let mut shown: Vec<(u8, String, &'static str)> = Vec::new();
    for &scope in scopes {
        for binding in BINDINGS.iter().filter(|binding| binding.scope == scope && binding.footer > 0) {
            let Some(key) = map.keys_of(binding).first() else { continue };
            let hidden = scopes
                .iter()
                .take_while(|&&other| other != scope)
                .any(|&other| Press::sequence(key).is_ok_and(|presses| map.by_key.contains_key(&(other, presses))));
            if !hidden && shown.iter().all(|(_, _, label)| *label != binding.label) {
                shown.push((binding.footer, key.clone(), binding.label));
            }
        }
    }
    shown.sort_by_key(|(rank, _, _)| *rank);
    shown.truncate(10);
    shown.into_iter().map(|(_, key, label)| (key, label)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_is_readable_and_means_one_thing_per_scope() {
        assert_eq!(Keymap::with(&[]).1, Vec::<String>::new());
    }

    #[test]
    fn every_action_stands_in_the_table_and_every_name_once_per_scope() {
        for action in Action::ALL {
            assert!(BINDINGS.iter().any(|binding| binding.action == *action), "{action:?}");
        }
        for (place, binding) in BINDINGS.iter().enumerate() {
            assert!(
                BINDINGS[..place].iter().all(|b| b.name != binding.name || b.action == binding.action),
                "{}",
                binding.name
            );
            assert!(!binding.help.is_empty() && !binding.label.is_empty() && !binding.keys.is_empty());
        }
    }

    #[test]
    fn a_changed_key_replaces_the_old_one_and_a_wrong_name_gets_a_hint() {
        let (map, complaints) = Keymap::with(&[("pause".into(), vec!["F5".into()]), ("qiut".into(), vec!["x".into()])]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        let scopes = [Scope::Control, Scope::Everywhere];
        let press = |text: &str| Press::sequence(text).unwrap()[0];
        assert_eq!(map.meaning(&scopes, &[], press("F5")), Meaning::Do(Action::Pause));
        assert_eq!(map.meaning(&scopes, &[], press("p")), Meaning::Nothing);
    }

    #[test]
    fn a_sequence_begins_and_ends() {
        let map = Keymap::default();
        let g = Press::sequence("g").unwrap()[0];
        assert_eq!(map.meaning(&[Scope::Everywhere], &[], g), Meaning::Begins);
        assert_eq!(map.meaning(&[Scope::Everywhere], &[g], g), Meaning::Do(Action::First));
    }
}
