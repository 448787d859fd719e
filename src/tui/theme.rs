//! Colours and symbols by meaning. Panes name a role; how it looks at this depth and background is decided here.
//!
//! Palettes are defined for each colour depth, never converted. No meaning rests on colour alone: every role has an attribute or a glyph
//! that survives the mono theme. The background is always the terminal's own.

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    Mono,
    #[serde(rename = "16")]
    Ansi,
    #[serde(rename = "256")]
    Indexed,
    True,
}

/// Which characters charts and frames are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Symbols {
    Braille,
    Block,
    Ascii,
}

/// What a piece of the screen means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Plain,
    /// Secondary text.
    Dim,
    /// Headings and the names of things.
    Strong,
    /// The chosen answer; run A.
    Chosen,
    /// The rejected answer; run B.
    Rejected,
    /// What a human decided.
    Human,
    Good,
    Warn,
    Error,
    /// Focus, links, keys.
    Focus,
    /// The selected row, and only that.
    Selected,
    /// Words that only the chosen text has, and only the rejected one.
    Added,
    Removed,
    /// The raw envelope behind a smoothed curve.
    Envelope,
}

/// Everything about looks that a pane may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    pub depth: Depth,
    pub light: bool,
    pub symbols: Symbols,
}

impl Default for Theme {
    fn default() -> Theme {
        Theme { depth: Depth::Ansi, light: false, symbols: Symbols::Braille }
    }
}

/// Okabe and Ito's hues, which people with any of the three common deficiencies tell apart.
#[derive(Clone, Copy)]
enum Hue {
    Sky,
    Orange,
    Purple,
    Yellow,
    Vermillion,
    Green,
    Blue,
    Grey,
}

impl Theme {
    pub fn style(&self, role: Role) -> Style {
        let plain = Style::default();
        match role {
            Role::Plain => plain,
            Role::Dim if self.depth == Depth::Mono => plain.add_modifier(Modifier::DIM),
            Role::Dim => self.hue(Hue::Grey),
            Role::Strong => plain.add_modifier(Modifier::BOLD),
            Role::Chosen => self.hue(Hue::Sky).add_modifier(Modifier::BOLD),
            Role::Rejected if self.depth == Depth::Mono => plain.add_modifier(Modifier::UNDERLINED),
            Role::Rejected => self.hue(Hue::Orange),
            Role::Human => self.hue(Hue::Purple).add_modifier(Modifier::BOLD),
            Role::Good => self.hue(Hue::Green),
            Role::Warn => self.hue(Hue::Yellow).add_modifier(Modifier::BOLD),
            Role::Error => self.hue(Hue::Vermillion).add_modifier(Modifier::BOLD | Modifier::REVERSED),
            Role::Focus => self.hue(Hue::Blue).add_modifier(Modifier::BOLD),
            Role::Selected => plain.add_modifier(Modifier::REVERSED),
            Role::Added => self.hue(Hue::Sky).add_modifier(Modifier::UNDERLINED),
            Role::Removed => self.hue(Hue::Orange).add_modifier(Modifier::CROSSED_OUT),
            Role::Envelope if self.depth == Depth::Mono => plain.add_modifier(Modifier::DIM),
            Role::Envelope => self.hue(Hue::Grey),
        }
    }

    fn hue(&self, hue: Hue) -> Style {
        let color = match self.depth {
            Depth::Mono => return Style::default(),
            Depth::Ansi => match hue {
                Hue::Sky => Color::Cyan,
                Hue::Orange => Color::Yellow,
                Hue::Purple => Color::Magenta,
                Hue::Yellow if self.light => Color::Yellow,
                Hue::Yellow => Color::LightYellow,
                Hue::Vermillion => Color::LightRed,
                Hue::Green => Color::Green,
                Hue::Blue if self.light => Color::Blue,
                // Plain blue on black is unreadable in many terminals.
                Hue::Blue => Color::LightBlue,
                Hue::Grey => Color::DarkGray,
            },
            Depth::Indexed => Color::Indexed(match (hue, self.light) {
                (Hue::Sky, false) => 74,
                (Hue::Sky, true) => 25,
                (Hue::Orange, false) => 214,
                (Hue::Orange, true) => 166,
                (Hue::Purple, false) => 175,
                (Hue::Purple, true) => 133,
                (Hue::Yellow, false) => 227,
                (Hue::Yellow, true) => 94,
                (Hue::Vermillion, _) => 166,
                (Hue::Green, false) => 36,
                (Hue::Green, true) => 29,
                (Hue::Blue, false) => 75,
                (Hue::Blue, true) => 25,
                (Hue::Grey, false) => 245,
                (Hue::Grey, true) => 241,
            }),
            Depth::True => match (hue, self.light) {
                (Hue::Sky, false) => Color::Rgb(0x56, 0xb4, 0xe9),
                (Hue::Sky, true) => Color::Rgb(0x00, 0x72, 0xb2),
                (Hue::Orange, false) => Color::Rgb(0xe6, 0x9f, 0x00),
                (Hue::Orange, true) => Color::Rgb(0xd5, 0x5e, 0x00),
                (Hue::Purple, false) => Color::Rgb(0xcc, 0x79, 0xa7),
                (Hue::Purple, true) => Color::Rgb(0xa0, 0x4a, 0x7c),
                (Hue::Yellow, false) => Color::Rgb(0xf0, 0xe4, 0x42),
                (Hue::Yellow, true) => Color::Rgb(0x8a, 0x6d, 0x00),
                (Hue::Vermillion, _) => Color::Rgb(0xd5, 0x5e, 0x00),
                (Hue::Green, _) => Color::Rgb(0x00, 0x9e, 0x73),
                (Hue::Blue, false) => Color::Rgb(0x5a, 0xa9, 0xe6),
                (Hue::Blue, true) => Color::Rgb(0x00, 0x72, 0xb2),
                (Hue::Grey, false) => Color::Rgb(0x8a, 0x8a, 0x8a),
                (Hue::Grey, true) => Color::Rgb(0x60, 0x60, 0x60),
            },
        };
        Style::default().fg(color)
    }

    pub fn ascii(&self) -> bool {
        self.symbols == Symbols::Ascii
    }

    /// What the environment says: `NO_COLOR`, `CLICOLOR`, `COLORTERM`, `TERM`, and whether the locale is UTF-8.
    pub fn detect(var: impl Fn(&str) -> Option<String>) -> Theme {
        let has = |name: &str| var(name).is_some_and(|value| !value.is_empty());
        let term = var("TERM").unwrap_or_default();
        let depth = if has("NO_COLOR") || var("CLICOLOR").as_deref() == Some("0") || term == "dumb" {
            Depth::Mono
        } else if var("COLORTERM").is_some_and(|value| value.contains("truecolor") || value.contains("24bit")) {
            Depth::True
        } else if term.contains("256") {
            Depth::Indexed
        } else {
            Depth::Ansi
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| var(name)).find(|value| !value.is_empty());
        let utf8 = locale.is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        });
        let symbols = if !utf8 || term == "dumb" {
            Symbols::Ascii
        } else if term == "linux" {
            Symbols::Block
        } else {
            Symbols::Braille
        };
        Theme { depth, light: false, symbols }
    }
}

/// What a character of our own becomes on a terminal without UTF-8. Everything has width 1, so that nothing moves.
pub fn to_ascii(symbol: &str) -> &'static str {
    match symbol {
        "─" | "━" | "═" | "–" => "-",
        "│" | "┃" | "║" => "|",
        "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" | "╔" | "╗" | "╚" | "╝" | "┏" | "┓" | "┗" | "┛" => {
            "+"
        }
        "…" | "·" => ".",
        "›" | "▸" | "→" => ">",
        "‹" | "←" => "<",
        "▲" | "↑" => "^",
        "▼" | "↓" => "v",
        "█" => "#",
        "░" => ".",
        "▒" => ":",
        "±" => "~",
        "×" => "x",
        "●" => "*",
        "○" => "o",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 14] = [
        Role::Plain,
        Role::Dim,
        Role::Strong,
        Role::Chosen,
        Role::Rejected,
        Role::Human,
        Role::Good,
        Role::Warn,
        Role::Error,
        Role::Focus,
        Role::Selected,
        Role::Added,
        Role::Removed,
        Role::Envelope,
    ];

    #[test]
    fn the_environment_decides_the_depth_and_the_symbols() {
        for (vars, depth, symbols) in [
            (&[("TERM", "xterm-256color"), ("LANG", "en_GB.UTF-8")][..], Depth::Indexed, Symbols::Braille),
            (&[("TERM", "xterm"), ("COLORTERM", "truecolor"), ("LC_ALL", "C.utf8")], Depth::True, Symbols::Braille),
            (&[("TERM", "xterm-256color"), ("NO_COLOR", "1"), ("LANG", "C")], Depth::Mono, Symbols::Ascii),
            (&[("TERM", "linux"), ("LANG", "en_GB.UTF-8")], Depth::Ansi, Symbols::Block),
            (&[("TERM", "dumb"), ("LANG", "en_GB.UTF-8")], Depth::Mono, Symbols::Ascii),
            (&[("NO_COLOR", ""), ("TERM", "screen")], Depth::Ansi, Symbols::Ascii),
        ] {
            let theme =
                Theme::detect(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string()));
            assert_eq!((theme.depth, theme.symbols), (depth, symbols), "{vars:?}");
        }
    }

    #[test]
    fn chosen_rejected_alerts_and_selection_differ_without_colour() {
        let mono = Theme { depth: Depth::Mono, ..Theme::default() };
        for role in ROLES {
            let style = mono.style(role);
            assert!(style.fg.is_none() && style.bg.is_none(), "{role:?}");
        }
        let looks = [Role::Plain, Role::Chosen, Role::Rejected, Role::Selected, Role::Error].map(|r| mono.style(r));
        for (i, a) in looks.iter().enumerate() {
            assert!(looks[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn no_role_sets_a_background() {
        for depth in [Depth::Mono, Depth::Ansi, Depth::Indexed, Depth::True] {
            for light in [false, true] {
                let theme = Theme { depth, light, symbols: Symbols::Braille };
                assert!(ROLES.iter().all(|&role| theme.style(role).bg.is_none()));
            }
        }
    }
}
