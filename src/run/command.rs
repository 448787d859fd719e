//! Requests: what a viewer or a script asks of the engine, in a file of its own that only grows.
//!
//! A request is numbered by its line. The engine answers each with an event of its own; until then it is "sent". Requests written while no
//! engine lives wait in the file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::entry::Stamp;
use crate::run::event::VetoReason;
use crate::run::ids::{Model, PromptId, RequestId, Seq};
use crate::run::journal::sync_folder;

/// No request is longer.
const REQUEST_BYTES: u64 = 4 << 20;

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    Pause,
    Resume,
    Stop {
        when: StopWhen,
    },
    Decide(Decide),
    /// Take back this writer's last decision, or the one recorded at `of`.
    Undo {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Seq>,
    },
    Redo {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Seq>,
    },
    Note {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pair: Option<PromptId>,
        text: String,
    },
    /// Close the gate: the undecided pairs are used as the judge made them.
    CloseGate,
    /// Save a checkpoint now.
    Snapshot,
    Acknowledge {
        alarm: String,
    },
    /// Change what a teacher may cost; what is absent stays.
    Spend {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calls: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<u64>,
        /// Millionths of the currency.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        micros: Option<u64>,
    },
    Rollback {
        to: Model,
        /// Changed settings, as `key=value`.
        #[serde(default)]
        set: Vec<String>,
    },
}

/// A decision about one or more pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decide {
    pub pairs: Vec<PromptId>,
    pub choice: Choice,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<VetoReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// The filter that selected the pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The last decision on this pair that the writer had seen (0 for none): if another one came meanwhile, the request is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seq>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    Keep,
    Veto,
    Swap,
    Tie,
    Edit { candidate: u32, score: f64 },
    Defer,
    Flag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopWhen {
    /// After the current step or item, with a checkpoint.
    Step,
    Stage,
    Iteration,
}

/// A request with its writer's name and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub by: String,
    pub at: String,
    #[serde(flatten)]
    pub command: Command,
}

/// Appends requests to `control/<writer>.jsonl`. Safe to share by processes of one user.
pub struct Outbox {
    path: PathBuf,
    writer: String,
}

impl Outbox {
    pub fn open(run_folder: &Path, writer: &str) -> io::Result<Outbox> {
        let writer: String =
            writer.chars().map(|c| if c.is_ascii_alphanumeric() || "-_@.".contains(c) { c } else { '_' }).collect();
        let folder = run_folder.join("control");
        std::fs::create_dir_all(&folder)?;
        Ok(Outbox { path: folder.join(format!("{writer}.jsonl")), writer })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one request; when this returns it survives a power cut.
    pub fn send(&self, by: &str, at: Stamp, command: Command) -> io::Result<RequestId> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        file.lock()?;
        let mut before = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut before)?;
        let mut number = before.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let mut line = Vec::new();
        if before.last().is_some_and(|&byte| byte != b'\n') {
            // Somebody died in mid-line; what they wrote becomes a request that is refused as unreadable.
            line.push(b'\n');
            number += 1;
        }
        let request = Request { by: by.to_string(), at: at.to_string(), command };
        let mut json = serde_json::Serializer::with_formatter(&mut line, crate::run::entry::Escaping);
        request.serialize(&mut json).map_err(io::Error::other)?;
        line.push(b'\n');
        let length = before.len() as u64;
        if let Err(error) = file.write_all(&line).and_then(|()| file.sync_data()) {
            file.set_len(length)?;
            return Err(error);
        }
        if length == 0 {
            sync_folder(self.path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(RequestId { writer: self.writer.clone(), number: number + 1 })
    }
}

/// The engine's reading of all the request files.
pub struct Inbox {
    folder: PathBuf,
    files: Vec<Reading>,
}

struct Reading {
    writer: String,
    path: PathBuf,
    offset: u64,
    lines: u64,
}

/// A request as it was found: readable or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub id: RequestId,
    pub request: Result<Request, String>,
}

impl Inbox {
    pub fn open(run_folder: &Path) -> Inbox {
        Inbox { folder: run_folder.join("control"), files: Vec::new() }
    }

    /// Requests that came since the last call, each writer's in order; `answered` says up to which number a writer has been answered.
    pub fn receive(&mut self, answered: impl Fn(&str) -> u64) -> io::Result<Vec<Received>> {
        self.find_files()?;
        let mut received = Vec::new();
        for reading in &mut self.files {
            if std::fs::metadata(&reading.path)?.len() <= reading.offset {
                continue;
            }
            let mut file = File::open(&reading.path)?;
            file.seek(SeekFrom::Start(reading.offset))?;
            let mut lines = io::BufReader::new(file);
            loop {
                let mut line = Vec::new();
                let bytes = (&mut lines).take(REQUEST_BYTES).read_until(b'\n', &mut line)? as u64;
                if line.last() != Some(&b'\n') && bytes < REQUEST_BYTES {
                    break; // unfinished: later
                }
                reading.offset += bytes;
                if line.last() != Some(&b'\n') {
                    continue; // the rest of an over-long line becomes the request that is refused
                }
                reading.lines += 1;
                if reading.lines <= answered(&reading.writer) {
                    continue;
                }
                let id = RequestId { writer: reading.writer.clone(), number: reading.lines };
                let request = serde_json::from_slice(&line).map_err(|error| error.to_string());
                received.push(Received { id, request });
            }
        }
        Ok(received)
    }

    fn find_files(&mut self) -> io::Result<()> {
        let listing = match std::fs::read_dir(&self.folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for file in listing {
            let path = file?.path();
            let known = self.files.iter().any(|reading| reading.path == path);
            let is_requests = path.extension().is_some_and(|extension| extension == "jsonl");
            if let (false, true, Some(writer)) = (known, is_requests, path.file_stem().and_then(|stem| stem.to_str())) {
                self.files.push(Reading { writer: writer.to_string(), path: path.clone(), offset: 0, lines: 0 });
            }
        }
        // Directory order is arbitrary; the order of answers must not be.
        self.files.sort_by(|a, b| a.writer.cmp(&b.writer));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_arrive_once_in_order_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let out = Outbox::open(folder.path(), "ana").unwrap();
        let mut inbox = Inbox::open(folder.path());
        assert_eq!(inbox.receive(|_| 0).unwrap(), []);
        assert_eq!(out.send("ana", Stamp(0), Command::Pause).unwrap().number, 1);
        assert_eq!(out.send("ana", Stamp(0), Command::Resume).unwrap().number, 2);
        let got = inbox.receive(|_| 0).unwrap();
        assert_eq!(got.iter().map(|r| r.id.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(got[1].request.as_ref().unwrap().command, Command::Resume);
        // A torn line of a dead writer is closed by the next request and refused.
        OpenOptions::new().append(true).open(&out.path).unwrap().write_all(b"{\"by\":").unwrap();
        assert_eq!(inbox.receive(|_| 0).unwrap(), []);
        assert_eq!(out.send("ana", Stamp(0), Command::CloseGate).unwrap().number, 4);
        let got = inbox.receive(|_| 0).unwrap();
        assert!(got[0].request.is_err() && got[1].request.is_ok());
        // Another engine that knows three answers sees only the fourth.
        let got = Inbox::open(folder.path()).receive(|_| 3).unwrap();
        assert_eq!(got.iter().map(|r| r.id.number).collect::<Vec<_>>(), [4]);
    }
}
