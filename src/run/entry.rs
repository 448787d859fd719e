//! One line of a journal: `{"v":1,"seq":…,"at":"…","event":{…},"crc":"…"}`.
//!
//! Writes and reads single lines; files and their order are `journal.rs`. The checksum covers the bytes before `,"crc":"` and is compared
//! as text, so that no damaged digit can pass as another spelling of the same number.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::run::event::Event;
use crate::run::ids::Seq;
use crate::text::invisible::is_invisible;

/// The version of the format; it rises only when the meaning of something changes.
pub const VERSION: u32 = 1;

/// A wall-clock time in microseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp(pub i64);

impl Stamp {
    /// Seconds from `earlier` to `self`; never negative, since clocks may be set back.
    pub fn seconds_since(self, earlier: Stamp) -> f64 {
        (self.0 - earlier.0).max(0) as f64 / 1e6
    }

    fn parse(text: &str) -> Option<Stamp> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos() / 1000).ok().map(Stamp)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (at.date(), at.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.microsecond()
        )
    }
}

/// A fact with its place and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub seq: Seq,
    pub at: Stamp,
    pub event: Event,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The checksum is missing or differs.
    Checksum,
    /// The checksum is right and the content cannot be read.
    Content(String),
    /// A newer format than this program knows.
    Newer(u32),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Checksum => f.write_str("its checksum is wrong"),
            Flaw::Content(why) => write!(f, "it cannot be read ({why})"),
            Flaw::Newer(v) => write!(f, "it is written in format {v}, this program knows {VERSION}"),
        }
    }
}

const CRC_OPENS: &[u8] = b",\"crc\":\"";
/// `,"crc":"` + 8 digits + `"}`
const CRC_LENGTH: usize = CRC_OPENS.len() + 8 + 2;

impl Entry {
    /// The line, with its line feed.
    pub fn to_line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = format!("{{\"v\":{VERSION},\"seq\":{},\"at\":\"{}\",\"event\":", self.seq, self.at).into_bytes();
        let mut out = serde_json::Serializer::with_formatter(&mut line, Escaping);
        self.event.serialize(&mut out)?;
        let crc = crc32fast::hash(&line);
        line.extend_from_slice(CRC_OPENS);
        line.extend_from_slice(format!("{crc:08x}\"}}\n").as_bytes());
        Ok(line)
    }

    /// Reads a line without its line feed.
    pub fn from_line(line: &[u8]) -> Result<Entry, Flaw> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            v: u32,
            seq: Seq,
            #[serde(borrow)]
            at: std::borrow::Cow<'a, str>,
            #[serde(borrow)]
            event: &'a RawValue,
        }
        let covered = line.len().checked_sub(CRC_LENGTH).ok_or(Flaw::Checksum)?;
        let (body, tail) = line.split_at(covered);
        let expected = format!("{:08x}", crc32fast::hash(body));
        if !tail.starts_with(CRC_OPENS) || &tail[CRC_OPENS.len()..] != format!("{expected}\"}}").as_bytes() {
            return Err(Flaw::Checksum);
        }
        let text = std::str::from_utf8(line).map_err(|error| Flaw::Content(error.to_string()))?;
        let envelope: Envelope = serde_json::from_str(text).map_err(|error| Flaw::Content(error.to_string()))?;
        if envelope.v > VERSION {
            return Err(Flaw::Newer(envelope.v));
        }
        let at = Stamp::parse(&envelope.at).ok_or_else(|| Flaw::Content(format!("`{}` is no time", envelope.at)))?;
        let event = Event::parse(envelope.event).map_err(|error| Flaw::Content(error.to_string()))?;
        Ok(Entry { seq: envelope.seq, at, event })
    }
}

/// JSON in which every character that a reader cannot see is written as `\uXXXX`, so that `cat` and `grep` on a journal are safe.
pub struct Escaping;

impl serde_json::ser::Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in fragment.char_indices() {
            if is_invisible(c) {
                out.write_all(&fragment.as_bytes()[plain..at])?;
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}")?;
                }
                plain = at + c.len_utf8();
            }
        }
        out.write_all(&fragment.as_bytes()[plain..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::Failed;

    fn entry(error: &str) -> Entry {
        Entry { seq: 412, at: Stamp(1_795_000_000_123_456), event: Failed { error: error.into() }.into() }
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        for text in ["plain", "quote \" back \\ slash", "line\nfeed", "\u{9b}31m\u{202e}\u{e0041}\u{0}", "漢字 🦀"]
        {
            let line = entry(text).to_line().unwrap();
            assert_eq!(line.last(), Some(&b'\n'));
            assert_eq!(Entry::from_line(&line[..line.len() - 1]), Ok(entry(text)));
        }
    }

    #[test]
    fn no_invisible_byte_stands_raw_in_a_line() {
        let every: String = (0..=0x10ffff).filter_map(char::from_u32).filter(|&c| is_invisible(c)).collect();
        let line = String::from_utf8(entry(&every).to_line().unwrap()).unwrap();
        assert!(line.trim_end_matches('\n').chars().all(|c| !is_invisible(c)));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let line = entry("Score: 5").to_line().unwrap();
        let line = &line[..line.len() - 1];
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.to_vec();
                damaged[at] ^= 1 << bit;
                assert!(Entry::from_line(&damaged).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn unknown_kinds_survive_and_known_kinds_must_be_whole() {
        let line = |event: &str| {
            let mut line =
                format!("{{\"v\":1,\"seq\":7,\"at\":\"2026-11-21T08:37:01Z\",\"event\":{event}").into_bytes();
            let crc = crc32fast::hash(&line);
            line.extend_from_slice(format!(",\"crc\":\"{crc:08x}\"}}").as_bytes());
            Entry::from_line(&line)
        };
        let newer = line(r#"{"kind":"dream_dreamt","of":["sheep"]}"#).unwrap();
        assert_eq!(newer.event.kind(), "dream_dreamt");
        assert!(
            String::from_utf8(newer.to_line().unwrap()).unwrap().contains(r#"{"kind":"dream_dreamt","of":["sheep"]}"#)
        );
        assert_eq!(line(r#"{"kind":"failed","error":"x","new_member":1}"#).unwrap().event.kind(), "failed");
        assert!(matches!(line(r#"{"kind":"failed"}"#), Err(Flaw::Content(_))));
    }
}
