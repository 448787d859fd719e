//! A small table, and the three ways to write it: CSV for spreadsheets, JSON lines for scripts, aligned columns for people.
//!
//! Used by every listing of the command line and by exports. It knows no run and no terminal: no colours, no escape sequences ever, and
//! the width is an argument. Cells hold foreign text: CSV and columns show what a reader can not see as marks, JSON lines keep it
//! without loss as `\uXXXX`, so that no form of a table can steer a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::invisible::is_invisible;
use super::visible::visible;

/// One value. What is not there is `Nothing`; it is no zero and no empty text.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Nothing,
    Text(String),
    Count(i64),
    /// A measured number with the decimals that people see; files get all of it.
    Number {
        value: f64,
        decimals: usize,
    },
    Flag(bool),
}

/// Columns by name, and rows of as many cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Cell {
    pub fn number(value: f64, decimals: usize) -> Cell {
        Cell::Number { value, decimals }
    }

    /// True for cells whose digits should stand under each other.
    fn is_numeric(&self) -> bool {
        matches!(self, Cell::Count(_) | Cell::Number { .. })
    }

    /// As people read it, on one line.
    fn shown(&self) -> String {
        match self {
            Cell::Nothing => "-".to_string(),
            Cell::Text(text) => visible(text).replace('\n', "↵"),
            Cell::Count(count) => count.to_string(),
            Cell::Number { value, decimals } if value.is_finite() => format!("{value:.decimals$}"),
            Cell::Number { value, .. } => not_finite(*value).to_string(),
            Cell::Flag(flag) => if *flag { "yes" } else { "no" }.to_string(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_string())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Cell {
        Cell::Count(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Cell {
        Cell::Count(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Cell {
        Cell::Flag(flag)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Nothing, Into::into)
    }
}

impl Table {
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Table {
        Table { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells that are not given are `Nothing`; cells beyond the last column have no name and are dropped.
    pub fn push(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = cells.into_iter().collect();
        row.resize(self.columns.len(), Cell::Nothing);
        self.rows.push(row);
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// True for a column whose cells, where there are any, are all numbers.
    pub fn is_numeric(&self, column: usize) -> bool {
        let mut cells =
            self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| **cell != Cell::Nothing).peekable();
        cells.peek().is_some() && cells.all(Cell::is_numeric)
    }

    /// RFC 4180: a header, commas, CRLF, quotes doubled. Nothing is an empty field and an empty text is `""`.
    pub fn to_csv(&self) -> String {
        let mut out = String::new();
        let header: Vec<String> = self.columns.iter().map(|name| csv_text(name)).collect();
        csv_line(&mut out, header);
        for row in &self.rows {
            csv_line(&mut out, row.iter().map(csv_field).collect());
        }
        out
    }

    /// One JSON object a line, members in the order of the columns. NaN and the infinities are text, because JSON has no such numbers.
    pub fn to_jsonl(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            out.push('{');
            for (i, (name, cell)) in self.columns.iter().zip(row).enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json_text(&mut out, name);
                out.push(':');
                json_value(&mut out, cell);
            }
            out.push_str("}\n");
        }
        out
    }

    /// Columns side by side, two spaces between them, numbers to the right. With a width, the widest texts are cut first and no
    /// line is wider; a number is never cut while a text still can be.
    pub fn to_plain(&self, width: Option<usize>) -> String {
        let header: Vec<String> = self.columns.iter().map(|name| visible(name).replace('\n', "↵")).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(Cell::shown).collect()).collect();
        let numeric: Vec<bool> = (0..header.len()).map(|i| self.is_numeric(i)).collect();
        let mut widths: Vec<usize> = header.iter().map(|name| name.width()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        if let Some(limit) = width {
            narrow(&mut widths, &numeric, limit);
        }
        let mut out = String::new();
        for row in std::iter::once(&header).chain(&rows) {
            let mut line = String::new();
            for ((cell, width), numeric) in row.iter().zip(&widths).zip(&numeric) {
                let cell = cut(cell, *width);
                let pad = " ".repeat(width.saturating_sub(cell.width()));
                let (before, after) = if *numeric { (pad.as_str(), "") } else { ("", pad.as_str()) };
                line.extend([before, &cell, after, "  "]);
            }
            let line = line.trim_end();
            out.push_str(&width.map_or(line.to_string(), |limit| cut(line, limit)));
            out.push('\n');
        }
        out
    }
}

/// Cuts the widest text columns until the line fits or every one of them is as narrow as a word.
fn narrow(widths: &mut [usize], numeric: &[bool], limit: usize) {
    const NARROWEST: usize = 8;
    // A text may be megabytes long: what is over the whole line is cut in one go, the rest cell by cell.
    for (width, _) in widths.iter_mut().zip(numeric).filter(|(_, numeric)| !**numeric) {
        *width = (*width).min(limit.max(NARROWEST));
    }
    let gaps = 2 * widths.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
    while over > 0 {
        let texts = widths.iter_mut().zip(numeric).filter(|(_, numeric)| !**numeric).map(|(width, _)| width);
        let Some(widest) = texts.max_by_key(|width| **width).filter(|width| **width > NARROWEST) else { return };
        *widest -= 1;
        over -= 1;
    }
}

/// The text if it fits into `width` cells, else its beginning and `…`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = used + c.width().unwrap_or(0);
        if next + 1 > width {
            break;
        }
        used = next;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

fn not_finite(value: f64) -> &'static str {
    match (value.is_nan(), value > 0.0) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    }
}

/// Every digit that tells the number from its neighbours, and an exponent where it would be long.
fn all_digits(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { not_finite(value).to_string() }
}

fn csv_line(out: &mut String, fields: Vec<String>) {
    out.push_str(&fields.join(","));
    out.push_str("\r\n");
}

fn csv_field(cell: &Cell) -> String {
    match cell {
        Cell::Nothing => String::new(),
        Cell::Text(text) => csv_text(text),
        Cell::Count(count) => count.to_string(),
        Cell::Number { value, .. } => all_digits(*value),
        Cell::Flag(flag) => flag.to_string(),
    }
}

fn csv_text(text: &str) -> String {
    let shown = visible(text);
    let bare = !shown.is_empty() && !shown.contains([',', '"', '\n', '\r']) && shown.trim() == shown;
    if bare { shown.into_owned() } else { format!("\"{}\"", shown.replace('"', "\"\"")) }
}

fn json_value(out: &mut String, cell: &Cell) {
    match cell {
        Cell::Nothing => out.push_str("null"),
        Cell::Text(text) => json_text(out, text),
        Cell::Count(count) => out.push_str(&count.to_string()),
        Cell::Number { value, .. } if value.is_finite() => out.push_str(&all_digits(*value)),
        Cell::Number { value, .. } => json_text(out, not_finite(*value)),
        Cell::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
    }
}

/// A JSON string in which everything invisible is `\uXXXX`.
fn json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_invisible(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
