//! One key press: read from the terminal, from the settings and from the table, and printed for the help.

use std::fmt;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers, in one spelling: a capital letter carries no shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Press {
    pub code: KeyCode,
    pub modifiers: KeyModifiers,
}

impl From<KeyEvent> for Press {
    fn from(event: KeyEvent) -> Press {
        let mut modifiers = event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let mut code = event.code;
        match code {
            // Terminals differ in whether a capital letter comes with shift.
            KeyCode::Char(c) => {
                if modifiers.contains(KeyModifiers::SHIFT) && c.is_ascii_lowercase() {
                    code = KeyCode::Char(c.to_ascii_uppercase());
                }
                modifiers.remove(KeyModifiers::SHIFT);
            }
            KeyCode::BackTab => modifiers.remove(KeyModifiers::SHIFT),
            _ => {}
        }
        Press { code, modifiers }
    }
}

const NAMED: &[(&str, KeyCode)] = &[
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("S-Tab", KeyCode::BackTab),
    ("Space", KeyCode::Char(' ')),
    ("Backspace", KeyCode::Backspace),
    ("Del", KeyCode::Delete),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
];

impl Press {
    pub fn plain(code: KeyCode) -> Press {
        Press { code, modifiers: KeyModifiers::NONE }
    }

    /// Reads `x`, `C-d`, `S-Left`, `F5`, `gg`: one key, or several letters pressed one after the other.
    pub fn sequence(text: &str) -> Result<Vec<Press>, String> {
        if text.is_empty() {
            return Err("an empty key".into());
        }
        if let Some(press) = Press::one(text) {
            return Ok(vec![press]);
        }
        if text.chars().count() == 2 && text.chars().all(|c| c.is_ascii_graphic()) {
            return Ok(text.chars().map(|c| Press::plain(KeyCode::Char(c))).collect());
        }
        Err(format!("`{text}` is no key; write for example x, C-d, S-Left, F5, Space or gg"))
    }

    fn one(text: &str) -> Option<Press> {
        if let Some((_, code)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Some(Press::plain(*code));
        }
        let mut chars = text.chars();
        if let (Some(c), None) = (chars.next(), chars.clone().next()) {
            return Some(Press::plain(KeyCode::Char(c)));
        }
        if let Some(number) = text.strip_prefix(['F', 'f']).and_then(|rest| rest.parse::<u8>().ok()) {
            return (1..=12).contains(&number).then_some(Press::plain(KeyCode::F(number)));
        }
        let (modifier, rest) = [("C-", KeyModifiers::CONTROL), ("A-", KeyModifiers::ALT), ("S-", KeyModifiers::SHIFT)]
            .iter()
            .find_map(|(prefix, modifier)| Some((*modifier, text.strip_prefix(prefix)?)))?;
        let press = Press::one(rest)?;
        Some(Press { modifiers: press.modifiers | modifier, ..press })
    }
}

impl fmt::Display for Press {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, prefix) in
            [(KeyModifiers::CONTROL, "C-"), (KeyModifiers::ALT, "A-"), (KeyModifiers::SHIFT, "S-")]
        {
            if self.modifiers.contains(modifier) {
                f.write_str(prefix)?;
            }
        }
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(number) => write!(f, "F{number}"),
            _ => f.write_str("?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_as_they_are_printed() {
        for text in ["x", "X", "?", "C-d", "S-Left", "Space", "S-Tab", "F5", "PgDn", "C-Space", "-", "1"] {
            let press = Press::sequence(text).unwrap();
            assert_eq!(press.len(), 1, "{text}");
            assert_eq!(press[0].to_string(), text);
        }
        assert_eq!(Press::sequence("gg").unwrap().len(), 2);
        for bad in ["", "Entr", "C-Entr", "F13", "ggg"] {
            assert!(Press::sequence(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_capital_letter_is_the_same_with_and_without_shift() {
        let q = Press::sequence("Q").unwrap()[0];
        for (code, modifiers) in [
            (KeyCode::Char('Q'), KeyModifiers::NONE),
            (KeyCode::Char('Q'), KeyModifiers::SHIFT),
            (KeyCode::Char('q'), KeyModifiers::SHIFT),
        ] {
            assert_eq!(Press::from(KeyEvent::new(code, modifiers)), q);
        }
    }
}
