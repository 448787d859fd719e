//! Running text in several styles, broken into lines: answers with their differences, judge's replies with their score.
//!
//! Used by the panes that show what a model wrote. Takes text that is safe to show already; knows no terminal.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthChar;

use crate::tui::figures::visible;
use crate::tui::theme::{Depth, Role, Theme};

/// Characters of one text that a pane shows; the pager has the rest.
const LONGEST: usize = 60_000;
/// Equal lines in a row that are shown in full.
const EQUAL_LINES: usize = 12;

/// A stretch of text that looks the same throughout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    pub role: Role,
}

impl Piece {
    pub fn new(text: impl Into<String>, role: Role) -> Piece {
        Piece { text: text.into(), role }
    }
}

/// What a model wrote, made safe, as one piece. A very long text is cut and says so.
pub fn foreign(text: &str, role: Role) -> Vec<Piece> {
    match text.char_indices().nth(LONGEST) {
        None => vec![Piece::new(visible(text), role)],
        Some((at, _)) => vec![
            Piece::new(visible(&text[..at]), role),
            Piece::new(format!("\n… {} more bytes: y copies, the pager shows all", text.len() - at), Role::Dim),
        ],
    }
}

/// A judge's reply with the bytes highlighted in which its score stands. A span that fits no characters is left out.
pub fn reply(text: &str, span: Option<(u32, u32)>) -> Vec<Piece> {
    let parts = span.and_then(|(from, to)| {
        let (from, to) = (from as usize, to as usize);
        Some((text.get(..from)?, text.get(from..to)?, text.get(to..)?))
    });
    match parts {
        Some((before, score, after)) if text.len() <= LONGEST => vec![
            Piece::new(visible(before), Role::Plain),
            Piece::new(visible(score), Role::Focus),
            Piece::new(visible(after), Role::Plain),
        ],
        _ => foreign(text, Role::Plain),
    }
}

/// Breaks pieces into lines of at most `width` columns: at spaces where there are some, or cut when `wrapped` is off.
pub fn lines(pieces: &[Piece], width: usize, wrapped: bool) -> Vec<Vec<Piece>> {
    let width = width.max(1);
    let mut out = Lines { width, wrapped, done: Vec::new(), line: Vec::new(), used: 0, word: Vec::new(), wide: 0 };
    for piece in pieces {
        for c in piece.text.chars() {
            out.take(c, piece.role);
        }
    }
    out.end_word();
    out.end_line();
    out.done.into_iter().map(grouped).collect()
}

struct Lines {
    width: usize,
    wrapped: bool,
    done: Vec<Vec<(char, Role)>>,
    line: Vec<(char, Role)>,
    used: usize,
    word: Vec<(char, Role)>,
    wide: usize,
}

impl Lines {
    fn take(&mut self, c: char, role: Role) {
        match c {
            '\n' => {
                self.end_word();
                self.end_line();
            }
            ' ' => {
                self.end_word();
                if self.used < self.width {
                    self.line.push((c, role));
                    self.used += 1;
                } else if !self.wrapped {
                    self.used += 1;
                }
            }
            _ => {
                self.word.push((c, role));
                self.wide += c.width().unwrap_or(0);
            }
        }
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        let wide = std::mem::take(&mut self.wide);
        if self.wrapped && self.used > 0 && self.used + wide > self.width {
            self.end_line();
        }
        for (c, role) in word {
            let wide = c.width().unwrap_or(0);
            if self.used + wide > self.width {
                if !self.wrapped {
                    self.used = self.width + 1;
                    continue;
                }
                if self.used > 0 {
                    self.end_line();
                }
            }
            self.line.push((c, role));
            self.used += wide;
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if !self.wrapped && self.used > self.width {
            // The last column says that there is more.
            let mut used: usize = line.iter().map(|(c, _)| c.width().unwrap_or(0)).sum();
            while used + 1 > self.width
                && let Some((c, _)) = line.pop()
            {
                used -= c.width().unwrap_or(0);
            }
            line.push(('…', Role::Dim));
        }
        while line.last().is_some_and(|(c, role)| *c == ' ' && matches!(role, Role::Plain | Role::Dim)) {
            line.pop();
        }
        self.used = 0;
        self.done.push(line);
    }
}

fn grouped(line: Vec<(char, Role)>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (c, role) in line {
        match pieces.last_mut() {
            Some(last) if last.role == role => last.text.push(c),
            _ => pieces.push(Piece::new(c, role)),
        }
    }
    pieces
}

/// Replaces long runs of lines without a mark by their count, keeping two lines around each mark.
pub fn collapse(lines: Vec<Vec<Piece>>) -> Vec<Vec<Piece>> {
    let marked: Vec<bool> =
        lines.iter().map(|line| line.iter().any(|p| matches!(p.role, Role::Added | Role::Removed))).collect();
    if !marked.contains(&true) {
        return lines;
    }
    let mut out: Vec<Vec<Piece>> = Vec::with_capacity(lines.len());
    let mut rest = lines.into_iter().zip(marked).peekable();
    while let Some((line, mark)) = rest.next() {
        if mark {
            out.push(line);
            continue;
        }
        let mut run = vec![line];
        while let Some((line, _)) = rest.next_if(|(_, mark)| !mark) {
            run.push(line);
        }
        if run.len() <= EQUAL_LINES {
            out.extend(run);
            continue;
        }
        let hidden = run.len() - 4;
        let end = run.split_off(run.len() - 2);
        run.truncate(2);
        out.extend(run);
        out.push(vec![Piece::new(format!("… {hidden} equal lines"), Role::Dim)]);
        out.extend(end);
    }
    out
}

/// How a piece looks. What one side alone has is underlined, never crossed out: it has to be read.
pub fn style(theme: &Theme, role: Role) -> Style {
    match role {
        Role::Removed => theme.style(Role::Rejected).add_modifier(Modifier::UNDERLINED),
        Role::Focus => theme.style(Role::Focus).add_modifier(Modifier::UNDERLINED),
        _ => theme.style(role),
    }
}

/// Where underlines and colours may be missing, marks are written out.
pub fn needs_brackets(theme: &Theme) -> bool {
    theme.depth == Depth::Mono || theme.ascii()
}

/// A line as the terminal takes it, after a space.
pub fn drawn(theme: &Theme, pieces: Vec<Piece>) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    spans.extend(pieces.into_iter().map(|piece| Span::styled(piece.text, style(theme, piece.role))));
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(lines: &[Vec<Piece>]) -> Vec<String> {
        lines.iter().map(|line| line.iter().map(|piece| piece.text.as_str()).collect()).collect()
    }

    #[test]
    fn a_piece_keeps_its_role_over_a_line_break() {
        let pieces = [Piece::new("one two ", Role::Plain), Piece::new("three four", Role::Added)];
        let lines = lines(&pieces, 9, true);
        // A space that only one side has is a difference: it is not trimmed away.
        assert_eq!(texts(&lines), ["one two", "three ", "four"]);
        assert_eq!(lines[1][0].role, Role::Added);
    }

    #[test]
    fn a_line_that_is_cut_says_so() {
        let pieces = [Piece::new("haiku about rain\nshort", Role::Plain)];
        assert_eq!(texts(&lines(&pieces, 8, false)), ["haiku a…", "short"]);
    }

    #[test]
    fn the_score_in_a_reply_is_marked_and_a_wrong_span_is_ignored() {
        let text = "Good. Score: 4";
        for (span, marked) in
            [(Some((6, 14)), Some("Score: 4")), (None, None), (Some((6, 99)), None), (Some((9, 6)), None)]
        {
            let found = reply(text, span).into_iter().find(|piece| piece.role == Role::Focus);
            assert_eq!(found.map(|piece| piece.text).as_deref(), marked);
        }
        assert!(reply("é", Some((0, 1))).iter().all(|piece| piece.role == Role::Plain));
    }

    #[test]
    fn long_equal_stretches_are_counted_and_short_ones_shown() {
        let line = |n: usize| vec![Piece::new(n.to_string(), Role::Plain)];
        let mark = vec![Piece::new("x", Role::Added)];
        let mut all: Vec<Vec<Piece>> = (0..20).map(line).collect();
        assert_eq!(collapse(all.clone()).len(), 20, "without a mark there is nothing to stand out");
        all.push(mark.clone());
        assert_eq!(texts(&collapse(all.clone())), ["0", "1", "… 16 equal lines", "18", "19", "x"]);
        let short: Vec<Vec<Piece>> = (0..12).map(line).chain([mark]).collect();
        assert_eq!(collapse(short).len(), 13);
    }

    proptest! {
        #[test]
        fn lines_fit_and_nothing_but_space_is_lost(text in "[a-c 漢\n]{0,60}", width in 2usize..20) {
            let lines = lines(&[Piece::new(text.clone(), Role::Plain)], width, true);
            for line in texts(&lines) {
                prop_assert!(crate::tui::figures::columns(&line) <= width, "{line:?}");
            }
            let kept: String = texts(&lines).concat().chars().filter(|c| !c.is_whitespace()).collect();
            prop_assert_eq!(kept, text.chars().filter(|c| !c.is_whitespace()).collect::<String>());
        }

        #[test]
        fn any_text_is_cut_and_wrapped_without_a_panic(text in any::<String>(), width in 0usize..30, wrapped: bool) {
            let pieces = foreign(&text, Role::Plain);
            let lines = lines(&pieces, width, wrapped);
            prop_assert!(!lines.is_empty());
        }
    }
}
