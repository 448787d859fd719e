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
        if let Some(stamp) = Stamp::as_written(text.as_bytes()) {
            return Some(stamp);
        }
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos() / 1000).ok().map(Stamp)
    }

    /// Reads the one form in which this program writes times; a general reader takes longer than all the rest of a line.
    fn as_written(text: &[u8]) -> Option<Stamp> {
        const FORM: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
        let text: &[u8; 27] = text.try_into().ok()?;
        let fits = |(&have, &form): (&u8, &u8)| if form == b'0' { have.is_ascii_digit() } else { have == form };
        if !text.iter().zip(FORM).all(fits) {
            return None;
        }
        let number = |from: usize, to: usize| text[from..to].iter().fold(0i64, |sum, d| sum * 10 + i64::from(d - b'0'));
        let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
        let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
        // The last days of the months, a leap second and the like are left to the general reader.
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=28).contains(&day) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        // Days since 1970, with years that begin in March, so that the leap day is a year's last.
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
        Some(Stamp((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + number(20, 26)))
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        line.extend_from_slice(&crc_member(crc));
        line.push(b'\n');
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
        if tail != crc_member(crc32fast::hash(body)) {
            return Err(Flaw::Checksum);
        }
        let text = std::str::from_utf8(line).map_err(|error| Flaw::Content(error.to_string()))?;
        if let Some(entry) = Self::as_written(&text[..covered]) {
            return Ok(entry);
        }
        let envelope: Envelope = serde_json::from_str(text).map_err(|error| Flaw::Content(error.to_string()))?;
        if envelope.v > VERSION {
            return Err(Flaw::Newer(envelope.v));
        }
        let at = Stamp::parse(&envelope.at).ok_or_else(|| Flaw::Content(format!("`{}` is no time", envelope.at)))?;
        let event = Event::parse(envelope.event.get()).map_err(|error| Flaw::Content(error.to_string()))?;
        Ok(Entry { seq: envelope.seq, at, event })
    }
}

impl Entry {
    /// Reads the order of members in which this program writes them, without looking at anything twice. None: somebody else wrote the line,
    /// or something is wrong with it.
    fn as_written(body: &str) -> Option<Entry> {
        let (v, rest) = number(body.strip_prefix("{\"v\":")?)?;
        let (seq, rest) = number(rest.strip_prefix(",\"seq\":")?)?;
        let (at, event) = rest.strip_prefix(",\"at\":\"")?.split_once("\",\"event\":")?;
        if v > u64::from(VERSION) {
            return None;
        }
        Some(Entry { seq, at: Stamp::parse(at)?, event: Event::parse(event).ok()? })
    }
}

/// A whole number at the beginning of a text, and what follows it.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    (digits.len() == 1 || !digits.starts_with('0')).then_some((digits.parse().ok()?, rest))
}

/// The last member of a line, and its end.
fn crc_member(crc: u32) -> [u8; CRC_LENGTH] {
    let mut member = [0; CRC_LENGTH];
    member[..CRC_OPENS.len()].copy_from_slice(CRC_OPENS);
    for (digit, place) in member[CRC_OPENS.len()..].iter_mut().zip((0..8).rev()) {
        *digit = b"0123456789abcdef"[(crc >> (4 * place)) as usize & 15];
    }
    member[CRC_LENGTH - 2..].copy_from_slice(b"\"}");
    member
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
    fn times_are_read_as_any_reader_would_read_them() {
        for at in [
            0,
            951_782_399_999_999,
            951_782_400_000_001,
            951_868_799_000_000,
            1_795_000_000_123_456,
            4_107_542_400_000_000,
        ]
        .into_iter()
        .flat_map(|at| (0..400).map(move |day| Stamp(at + day * 86_401_000_003)))
        {
            let text = at.to_string();
            assert_eq!(Stamp::parse(&text), Some(at), "{text}");
            assert!(Stamp::as_written(text.as_bytes()).is_none_or(|fast| fast == at), "{text}");
        }
        for (text, at) in [
            ("2026-11-21T08:37:01Z", Some(Stamp(1_795_250_221_000_000))),
            ("2026-11-21T08:37:01.5+01:00", Some(Stamp(1_795_246_621_500_000))),
            ("2026-02-30T08:37:01.000000Z", None),
            ("2026-11-21T24:00:00.000000Z", None),
            ("2026-11-21 08:37:01.000000", None),
        ] {
            assert_eq!(Stamp::parse(text), at, "{text}");
        }
    }

    #[test]
    fn members_in_another_order_and_members_of_a_newer_program_are_read_too() {
        let sealed = |body: &str| {
            let line = [body.as_bytes(), &crc_member(crc32fast::hash(body.as_bytes()))].concat();
            Entry::from_line(&line)
        };
        let plain = Entry { seq: 7, at: Stamp(1_795_250_221_000_000), event: Failed { error: "x".into() }.into() };
        let (at, event) = (r#""at":"2026-11-21T08:37:01.000000Z""#, r#""event":{"kind":"failed","error":"x"}"#);
        for body in [
            format!(r#"{{"v":1,"seq":7,{at},{event}"#),
            format!(r#"{{"seq":7,{at},"v":1,{event}"#),
            format!(r#"{{"v":1,"seq":7,{at},{event},"host":"a""#),
            format!(r#"{{"v":1,"seq":7,"run":"a",{at},{event}"#),
            format!(r#"{{"v":1, "seq":7,{at},"event":{{"error":"x","kind":"failed"}}"#),
            format!(r#"{{"v":1,"seq":7,{at},"event":{{"kind":"\u0066ailed","error":"x"}}"#),
        ] {
            assert_eq!(sealed(&body).as_ref(), Ok(&plain), "{body}");
        }
        assert_eq!(sealed(&format!(r#"{{"v":2,"seq":7,{at},{event}"#)), Err(Flaw::Newer(2)));
        assert!(matches!(sealed(&format!(r#"{{"v":1,"seq":07,{at},{event}"#)), Err(Flaw::Content(_))));
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
