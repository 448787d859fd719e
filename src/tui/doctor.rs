//! What this terminal and this machine can do, checked, and what to do about what they cannot.
//!
//! Used by `selfreward doctor`, which adds what the engine knows about devices. Findings are values; printing is the caller's.

use std::path::Path;

use crate::tui::figures::bytes;
use crate::tui::settings::Settings;
use crate::tui::theme::{Depth, Symbols, Theme};

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub name: &'static str,
    pub good: bool,
    pub says: String,
    /// What to do, when something is not as it should be.
    pub advice: Option<String>,
}

/// What was found out about the surroundings; tests make their own.
pub struct Surroundings<'a> {
    pub var: &'a dyn Fn(&str) -> Option<String>,
    /// Columns and rows of the terminal; none without one.
    pub size: Option<(u16, u16)>,
    /// Free bytes where the runs are, and whether one may write there.
    pub disk_free: Option<u64>,
    pub writable: bool,
}

impl Surroundings<'_> {
    /// Looks at this process's terminal and at the folder of the runs.
    pub fn look<'a>(var: &'a dyn Fn(&str) -> Option<String>, root: &Path) -> Surroundings<'a> {
        use std::io::IsTerminal;
        let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        let size = terminal.then(|| ratatui::crossterm::terminal::size().ok()).flatten();
        // The folder may not exist yet: then the one in which it would be made is looked at.
        let there = root.ancestors().find(|folder| folder.is_dir() || folder.as_os_str().is_empty());
        let there = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let disk_free = rustix::fs::statvfs(there).ok().map(|disk| disk.f_bavail * disk.f_frsize);
        let writable = rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok();
        Surroundings { var, size, disk_free, writable }
    }
}

/// Less free space than this is worth a word: a small run writes about so much.
const LITTLE: u64 = 2_000_000_000;

/// Looks at everything that the viewer depends on.
pub fn doctor(around: &Surroundings, settings: &Settings, root: &Path) -> Vec<Finding> {
    let theme = &settings.theme;
    let has = |name: &str| (around.var)(name).is_some_and(|value| !value.is_empty());
    let mut found = vec![terminal(around), colours(theme, &has), symbols(theme, around)];
    found.push(Finding {
        name: "light or dark",
        good: true,
        says: if theme.light {
            "colours for a light background".into()
        } else {
            "colours for a dark background".into()
        },
        advice: Some("theme = \"light\" in the settings changes it".into()),
    });
    found.push(clipboard(&has));
    let path = Settings::path().map_or("nowhere: there is no home folder".into(), |path| path.display().to_string());
    found.push(Finding {
        name: "settings",
        good: settings.complaints.is_empty(),
        says: path,
        advice: (!settings.complaints.is_empty()).then(|| settings.complaints.join("; ")),
    });
    found.push(Finding {
        name: "runs",
        good: around.writable,
        says: format!("{}{}", root.display(), if around.writable { "" } else { " cannot be written" }),
        advice: (!around.writable).then(|| "choose another folder, or ask for the right to write there".into()),
    });
    if let Some(free) = around.disk_free {
        let good = free >= LITTLE;
        let advice = (!good).then(|| "remove old checkpoints: a run pauses when it cannot write".into());
        found.push(Finding { name: "disk", good, says: format!("{} free", bytes(free)), advice });
    }
    found
}

fn terminal(around: &Surroundings) -> Finding {
    let Some((width, height)) = around.size else {
        return Finding {
            name: "terminal",
            good: false,
            says: "standard input and output are no terminal".into(),
            advice: Some("the screens need one; `status` and `run --foreground` do not".into()),
        };
    };
    let good = width >= 80 && height >= 24;
    Finding {
        name: "terminal",
        good,
        says: format!("{width} columns, {height} rows"),
        advice: (!good).then(|| "from 80 by 24 all screens show everything; smaller ones show less".into()),
    }
}

fn colours(theme: &Theme, has: &dyn Fn(&str) -> bool) -> Finding {
    let (says, advice) = match theme.depth {
        Depth::True => ("16 million", None),
        Depth::Indexed => ("256", None),
        Depth::Ansi => ("16", Some("color = \"256\" in the settings, if the terminal shows more")),
        Depth::Mono if has("NO_COLOR") => ("none, as NO_COLOR asks; marks and weight say the same", None),
        Depth::Mono => ("none; marks and weight say the same", Some("set TERM, for example xterm-256color")),
    };
    Finding { name: "colours", good: true, says: says.into(), advice: advice.map(String::from) }
}

fn symbols(theme: &Theme, around: &Surroundings) -> Finding {
    let (says, advice) = match theme.symbols {
        Symbols::Braille => (
            "braille: ⣀⠤⠒⠉ rises evenly from left to right; 漢字 is as wide as four letters",
            "symbols = \"block\" if the dots look odd",
        ),
        Symbols::Block => ("half blocks: ▄▀ and █", "symbols = \"ascii\" if they look odd"),
        Symbols::Ascii => ("plain letters", "a UTF-8 locale (LANG=C.UTF-8) gives finer curves"),
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| (around.var)(name).filter(|v| !v.is_empty()));
    let good = theme.symbols != Symbols::Ascii;
    let says = format!("{says} (locale {})", locale.unwrap_or_else(|| "not set".into()));
    Finding { name: "symbols", good, says, advice: Some(advice.into()) }
}

fn clipboard(has: &dyn Fn(&str) -> bool) -> Finding {
    let (good, says, advice) = if has("TMUX") {
        (false, "through tmux", Some("`tmux set -g set-clipboard on` lets it through; the text is also kept in a file"))
    } else if has("STY") {
        (false, "through screen, which holds it back", Some("the text is also kept in a file, whose name is shown"))
    } else if has("SSH_CONNECTION") {
        (true, "of your own machine, through the terminal (OSC 52)", None)
    } else {
        (true, "through the terminal (OSC 52)", None)
    };
    Finding { name: "clipboard", good, says: says.into(), advice: advice.map(String::from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let vars = [("TMUX", "/tmp/x"), ("LANG", "C"), ("TERM", "xterm")];
        let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        let settings = Settings::read("bel = true", var);
        let around = Surroundings { var: &var, size: Some((60, 20)), disk_free: Some(1_000_000), writable: false };
        let found = doctor(&around, &settings, Path::new("runs"));
        for name in ["terminal", "symbols", "clipboard", "settings", "runs", "disk"] {
            let finding = found.iter().find(|finding| finding.name == name).unwrap();
            assert!(!finding.good && finding.advice.is_some(), "{finding:?}");
        }
        let good = |name: &str| match name {
            "LANG" => Some("en_GB.UTF-8".to_string()),
            "TERM" => Some("xterm-256color".to_string()),
            _ => None,
        };
        let around = Surroundings { var: &good, size: Some((120, 40)), disk_free: Some(u64::MAX), writable: true };
        let found = doctor(&around, &Settings::read("", good), Path::new("runs"));
        assert!(found.iter().all(|finding| finding.good), "{found:?}");
    }
}
