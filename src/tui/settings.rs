//! The user's settings: `config.toml` in the platform's folder for settings, checked, with hints for misspelt names.
//!
//! Every setting has a default; a wrong line is a sentence on the screen and never a refusal to start.

use std::path::PathBuf;

use serde::Deserialize;

use crate::run::event::{AlarmRaised, Level};
use crate::text::nearest::did_you_mean;
use crate::tui::keys::Keymap;
use crate::tui::theme::{Depth, Symbols, Theme};

/// What a viewer can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub theme: Theme,
    pub keys: Keymap,
    pub bell: bool,
    pub mouse: bool,
    /// No spinners.
    pub reduced_motion: bool,
    /// Shell command run on each alert, the alert as JSON on its standard input.
    pub on_alert: Option<String>,
    /// Which alerts ring and run the command: levels and names of rules; empty: all.
    pub alerts: Vec<String>,
    /// How a person is named in decisions.
    pub name: String,
    /// Frames per second while data arrive, and while keys do.
    pub frames: f64,
    /// What was wrong in the settings, in sentences.
    pub complaints: Vec<String>,
    /// What was said on the command line: it outlives a change of the file.
    pub given: Given,
}

/// What the command line says of the screens.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub ascii: bool,
    pub mouse: bool,
    pub on_alert: Option<String>,
    pub alerts: Vec<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            theme: Theme::default(),
            keys: Keymap::default(),
            bell: false,
            mouse: false,
            reduced_motion: false,
            on_alert: None,
            alerts: Vec::new(),
            name: "user".into(),
            frames: 4.0,
            complaints: Vec::new(),
            given: Given::default(),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    #[serde(rename = "color")]
    depth: Option<Depth>,
    theme: Option<String>,
    symbols: Option<Symbols>,
    bell: Option<bool>,
    mouse: Option<bool>,
    reduced_motion: Option<bool>,
    on_alert: Option<String>,
    alerts: Option<Vec<String>>,
    name: Option<String>,
    frames: Option<f64>,
}

/// Names of the settings, with a comment each: also the commented file that `config edit` begins with.
pub const NAMES: &[(&str, &str, &str)] = &[
    ("color", "\"256\"", "mono, 16, 256 or true; detected from the terminal when absent"),
    ("theme", "\"dark\"", "dark, light or mono"),
    ("symbols", "\"braille\"", "braille, block or ascii"),
    ("bell", "false", "ring the terminal's bell once on an alert"),
    ("mouse", "false", "begin with the mouse captured"),
    ("reduced_motion", "false", "no spinners"),
    ("on_alert", "\"notify-send selfreward\"", "run this on each alert, the alert as JSON on its input"),
    (
        "alerts",
        "[\"error\", \"judge-*\"]",
        "only these ring and run it: info, warn, error, or names of rules; all when absent",
    ),
    ("name", "\"ana\"", "your name in decisions; the login name when absent"),
    ("frames", "4.0", "frames per second while data arrive"),
    ("keys", "", "a table: command = [\"key\", …]; `selfreward config keys` lists the commands"),
];

impl Settings {
    /// The file, whether it exists or not.
    pub fn path() -> Option<PathBuf> {
        Some(directories::ProjectDirs::from("", "", "selfreward")?.config_dir().join("config.toml"))
    }

    /// Defaults from the environment, then the file, then the command line.
    pub fn load(var: impl Fn(&str) -> Option<String>, given: Given) -> Settings {
        let text = Settings::path().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let mut settings = Settings::read(&text, var);
        settings.mouse |= given.mouse;
        if given.ascii {
            settings.theme.symbols = Symbols::Ascii;
        }
        if given.on_alert.is_some() {
            settings.on_alert = given.on_alert.clone();
        }
        if !given.alerts.is_empty() {
            settings.alerts = given.alerts.clone();
        }
        settings.given = given;
        settings
    }

    /// Whether an alert is one to ring for.
    pub fn tells_of(&self, alarm: &AlarmRaised) -> bool {
        let level =
            |word: &str| [Level::Info, Level::Warn, Level::Error].into_iter().find(|level| level.name() == word);
        self.alerts.is_empty()
            || self.alerts.iter().any(|word| match (level(word), word.strip_suffix('*')) {
                (Some(level), _) => alarm.level >= level,
                (None, Some(begins)) => alarm.id.starts_with(begins),
                (None, None) => alarm.id == *word,
            })
    }

    pub fn read(text: &str, var: impl Fn(&str) -> Option<String>) -> Settings {
        let mut settings = Settings {
            theme: Theme::detect(&var),
            name: ["SELFREWARD_NAME", "USER", "LOGNAME"]
                .iter()
                .filter_map(|name| var(name))
                .find(|name| !name.is_empty())
                .unwrap_or_else(|| "user".into()),
            ..Settings::default()
        };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                settings.complaints.push(format!("the settings cannot be read: {}", error.message()));
                return settings;
            }
        };
        for name in table.keys() {
            if !NAMES.iter().any(|(known, _, _)| known == name) {
                let near = did_you_mean(name, NAMES.iter().map(|(known, _, _)| *known));
                settings.complaints.push(format!("`{name}` is no setting{near}"));
            }
        }
        settings.take_keys(&table);
        // One wrong value must not cost the others: each is read alone.
        for (name, value) in &table {
            if name == "keys" {
                continue;
            }
            let one: toml::Table = [(name.clone(), value.clone())].into_iter().collect();
            match one.try_into::<File>() {
                Ok(file) => settings.take(file),
                Err(error) => settings.complaints.push(format!("`{name}`: {}", error.message())),
            }
        }
        settings
    }

    fn take(&mut self, file: File) {
        if let Some(depth) = file.depth {
            self.theme.depth = depth;
        }
        match file.theme.as_deref() {
            None | Some("dark") => {}
            Some("light") => self.theme.light = true,
            Some("mono") => self.theme.depth = Depth::Mono,
            Some(other) => {
                let near = did_you_mean(other, ["dark", "light", "mono"]);
                self.complaints.push(format!("theme `{other}` is unknown{near}"));
            }
        }
        self.theme.symbols = file.symbols.unwrap_or(self.theme.symbols);
        self.bell = file.bell.unwrap_or(self.bell);
        self.mouse = file.mouse.unwrap_or(self.mouse);
        self.reduced_motion = file.reduced_motion.unwrap_or(self.reduced_motion);
        self.on_alert = file.on_alert.or(self.on_alert.take());
        self.alerts = file.alerts.unwrap_or(std::mem::take(&mut self.alerts));
        self.name = file.name.unwrap_or(std::mem::take(&mut self.name));
        self.frames = file.frames.filter(|frames| (0.2..=60.0).contains(frames)).unwrap_or(self.frames);
    }

    fn take_keys(&mut self, table: &toml::Table) {
        let Some(toml::Value::Table(keys)) = table.get("keys") else { return };
        let overrides: Vec<(String, Vec<String>)> = keys
            .iter()
            .map(|(name, value)| {
                let keys = match value {
                    toml::Value::Array(keys) => keys.iter().filter_map(|key| Some(key.as_str()?.to_string())).collect(),
                    toml::Value::String(key) => vec![key.clone()],
                    _ => Vec::new(),
                };
                (name.clone(), keys)
            })
            .collect();
        let (map, complaints) = Keymap::with(&overrides);
        self.keys = map;
        self.complaints.extend(complaints);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_ring_by_level_or_by_name() {
        let alarm = |id: &str, level| AlarmRaised {
            id: id.into(),
            level,
            iteration: 1,
            value: 0.0.into(),
            threshold: 0.0.into(),
            window: String::new(),
            says: String::new(),
            advice: String::new(),
            evidence: Vec::new(),
        };
        let (parse, length) = (alarm("judge-parse", Level::Error), alarm("length", Level::Warn));
        for (words, rings) in [
            ("[]", [true, true]),
            ("[\"error\"]", [true, false]),
            ("[\"warn\"]", [true, true]),
            ("[\"judge-*\"]", [true, false]),
            ("[\"length\", \"nothing\"]", [false, true]),
        ] {
            let settings = Settings::read(&format!("alerts = {words}"), |_| None);
            assert_eq!([&parse, &length].map(|alarm| settings.tells_of(alarm)), rings, "{words}");
        }
    }

    #[test]
    fn settings_are_read_and_what_is_wrong_is_said() {
        let none = |_: &str| None;
        let settings = Settings::read("bell = true\nsymbols = \"block\"\n[keys]\npause = [\"F5\"]\n", none);
        assert!(settings.bell && settings.complaints.is_empty(), "{:?}", settings.complaints);
        assert_eq!(settings.theme.symbols, Symbols::Block);
        for (text, part) in [
            ("symbol = \"block\"", "did you mean `symbols`?"),
            ("theme = \"ligth\"", "did you mean `light`?"),
            ("bell = 3\nmouse = true", "bell"),
            ("[keys]\npuase = \"F5\"", "did you mean `pause`?"),
            ("color = ", "cannot be read"),
        ] {
            let settings = Settings::read(text, none);
            assert!(settings.complaints.iter().any(|c| c.contains(part)), "{text}: {:?}", settings.complaints);
        }
        assert!(Settings::read("bell = 3\nmouse = true", none).mouse);
    }
}
