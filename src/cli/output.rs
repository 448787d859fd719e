//! The one place that prints. Text for people and JSON for scripts go to stdout, everything about the doing goes to stderr.
//!
//! Used by every command. No escape sequence is ever written, to a terminal or to a pipe; a reader that has gone away (`| head`) ends the
//! command quietly; what a model wrote is shown with its hidden characters as marks, or escaped in JSON.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::data::Read;
use crate::run::entry::Escaping;
use crate::text::table::Table;
use crate::text::visible::visible;

/// The version of every JSON that a command prints; it rises when a member changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// Where a command prints.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write>,
    /// Cells of a line where a person reads on a terminal.
    width: Option<usize>,
}

impl Output {
    /// The process's own streams.
    pub fn of_process() -> Output {
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(|| columns(&stdout)).flatten();
        Output { out: Box::new(io::BufWriter::new(stdout)), err: Box::new(io::stderr()), width }
    }

    /// Writes markup or data that is safe as it is.
    pub fn raw(&mut self, text: &str) -> Result<()> {
        gone(self.out.write_all(text.as_bytes()))
    }

    /// For a command that writes its own output as it goes.
    pub fn writer(&mut self) -> &mut (dyn Write + Send) {
        self.out.as_mut()
    }

    /// One line for people.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.raw(&visible(text))?;
        self.raw("\n")
    }

    /// Something to know that is not the answer: damage, remarks, progress. Never stops a command.
    pub fn remark(&mut self, text: &str) {
        // Where even this cannot be written, there is nobody to tell.
        let _ = writeln!(self.err, "selfreward: {}", visible(text));
    }

    /// Remarks on what was left out of a file of data, and on what was done with it.
    pub fn left_out<T>(&mut self, read: &Read<T>) {
        for refused in &read.refused {
            self.remark(&format!("{refused}; the row is left out"));
        }
        if read.refused_count > read.refused.len() {
            let more = read.refused_count - read.refused.len();
            self.remark(&format!("{}: {more} more rows are left out", read.file.display()));
        }
        for (what, count) in &read.noted {
            self.remark(&format!("{}: {count} {what}", read.file.display()));
        }
    }

    /// A table for people; texts are cut where a terminal's line ends.
    pub fn table(&mut self, table: &Table) -> Result<()> {
        self.raw(&table.to_plain(self.width))
    }

    /// One JSON object on one line, with its schema first.
    pub fn json(&mut self, members: Value) -> Result<()> {
        let mut whole = json!({ "schema": SCHEMA });
        if let (Value::Object(whole), Value::Object(members)) = (&mut whole, members) {
            whole.extend(members);
        }
        self.raw(&escaped(&whole)?)?;
        self.raw("\n")
    }

    /// Makes sure that everything has been written.
    pub fn finish(&mut self) -> Result<()> {
        gone(self.out.flush())
    }

    /// Text of a failure, as it is, to stderr.
    pub fn failure(&mut self, text: &str) {
        let _ = self.out.flush();
        let _ = self.err.write_all(text.as_bytes());
    }
}

/// JSON in which no character that a reader cannot see stands raw.
pub fn escaped(value: &Value) -> Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Escaping))?;
    Ok(String::from_utf8(bytes)?)
}

fn gone(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ReaderGone.into()),
        other => Ok(other?),
    }
}

fn columns(terminal: &impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
