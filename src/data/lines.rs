//! A file as numbered lines of text: plain, gzip or zstd, told apart by their first bytes and not by their name.
//!
//! Used by `rows` alone. It knows no JSON. No file can make it allocate more than one line's cap: a longer line is skipped and told,
//! and a stream that unpacks to far more than it should is an error, because a few kilobytes can hold terabytes of zeros.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use flate2::bufread::MultiGzDecoder;

/// What a file may cost. The defaults fit every public preference set; tests use small ones.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest line, or element of a JSON array, that is kept.
    pub line_bytes: usize,
    /// The most that a compressed file may unpack to.
    pub unpacked_bytes: u64,
    /// The most bytes that one compressed byte may become, looked at only past `ratio_from` bytes: short files compress oddly.
    pub ratio: u64,
    /// See `ratio`.
    pub ratio_from: u64,
    /// The most rows: they are all kept in memory, and a small row takes far more of it than of the file.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { line_bytes: 8 << 20, unpacked_bytes: 4 << 30, ratio: 100, ratio_from: 64 << 20, rows: 10_000_000 }
    }
}

impl Limits {
    fn unpacked_from(&self, packed_bytes: u64) -> u64 {
        self.unpacked_bytes.min(packed_bytes.saturating_mul(self.ratio).max(self.ratio_from))
    }
}

/// One line, or one element of an array, with the number of the line on which it begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub number: u64,
    /// The text without its line end, or why there is none.
    pub text: Result<String, String>,
}

/// An opened, unpacked file whose beginning has been looked at.
pub struct Opened {
    pub path: PathBuf,
    pub(super) reader: Box<dyn BufRead>,
    pub(super) limits: Limits,
    /// The first byte that is not white space is `[`: the file is one JSON array, or pretends to be.
    pub is_array: bool,
}

const BOM: &[u8] = b"\xEF\xBB\xBF";
/// Enough to see the `ustar` of a tar archive.
const HEAD: usize = 512;

/// Opens a file and looks at its first bytes; a file that can hold no rows is refused here, by what it is.
pub fn open(path: &Path, limits: Limits) -> Result<Opened> {
    let file = File::open(path).with_context(|| format!("{}: could not be opened for reading", path.display()))?;
    let about = file.metadata().with_context(|| format!("{}: could not be looked at", path.display()))?;
    if about.is_dir() {
        bail!("{}: is a folder, where a file of rows was expected; name the file inside it", path.display());
    }
    // A pipe has no length: for it only the absolute cap holds.
    let cap = if about.is_file() { limits.unpacked_from(about.len()) } else { limits.unpacked_bytes };
    let cannot_read = || format!("{}: could not be read", path.display());

    let (head, packed) = peek(file).with_context(cannot_read)?;
    let unpacked: Box<dyn Read> = if head.starts_with(b"\x1F\x8B") {
        Box::new(Capped { inner: MultiGzDecoder::new(packed), spent: 0, cap })
    } else if head.starts_with(b"\x28\xB5\x2F\xFD") {
        Box::new(Capped { inner: zstd::Decoder::with_buffer(packed).with_context(cannot_read)?, spent: 0, cap })
    } else {
        Box::new(packed)
    };
    let (head, mut reader) = peek(unpacked).map_err(|error| stopped(path, 1, &error))?;
    if let Some(what) = not_rows(&head) {
        bail!("{}: {what}", path.display());
    }
    let mut start = head.as_slice();
    if start.starts_with(BOM) {
        reader.consume(BOM.len());
        start = &start[BOM.len()..];
    }
    let is_array = start.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    Ok(Opened { path: path.to_path_buf(), reader: Box::new(reader), limits, is_array })
}

/// A stream that broke. Rows before the break are not used, because a cut file would pass for a whole one.
pub(super) fn stopped(path: &Path, line: u64, error: &io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        // The reason says what to do.
        io::ErrorKind::QuotaExceeded => "",
        _ => "; the file is not whole, fetch or pack it again",
    };
    anyhow!("{}:{line}: reading stopped here and nothing of the file is used: {error}{advice}", path.display())
}

/// A source whose head was read already, and is handed out again first.
type Whole<R> = BufReader<io::Chain<Cursor<Vec<u8>>, R>>;

/// Reads the head and gives it back together with a reader that begins at the same place.
fn peek<R: Read>(mut source: R) -> io::Result<(Vec<u8>, Whole<R>)> {
    let mut head = Vec::with_capacity(HEAD);
    source.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let mut reader = BufReader::with_capacity(64 << 10, Cursor::new(head.clone()).chain(source));
    // The chain hands out the head alone first, so that what follows may consume a byte order mark from the buffer.
    reader.fill_buf()?;
    Ok((head, reader))
}

/// Files that people hand over by mistake, each with the way out.
fn not_rows(head: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 9] = [
        (
            b"PAR1",
            "is a Parquet file; write it out as JSON lines, for example with pandas: to_json(orient=\"records\", lines=True)",
        ),
        (b"ARROW1", "is an Arrow file; write it out as JSON lines, for example with datasets: to_json"),
        (b"PK\x03\x04", "is a zip archive; unpack it and name the file inside"),
        (b"BZh", "is packed with bzip2; unpack it, or pack it with gzip or zstd"),
        (b"\xFD7zXZ\x00", "is packed with xz; unpack it, or pack it with gzip or zstd"),
        (b"\x1F\x8B", "is packed twice with gzip; unpack it once"),
        (b"\xFF\xFE", "is UTF-16 text; convert it with: iconv -f UTF-16 -t UTF-8"),
        (b"\xFE\xFF", "is UTF-16 text; convert it with: iconv -f UTF-16 -t UTF-8"),
        (b"version https://git-lfs", "is a Git LFS pointer, the rows themselves were not fetched; run: git lfs pull"),
    ];
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some("is a tar archive; unpack it and name the file inside");
    }
    let start = head.trim_ascii_start();
    if start.starts_with(b"<!") || start.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"<html")) {
        return Some("is a web page, perhaps a log-in page saved in place of the data; fetch the file itself");
    }
    None
}

/// A decompressor that stops at its cap.
struct Capped<R> {
    inner: R,
    spent: u64,
    cap: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.spent += n as u64;
        if self.spent > self.cap {
            let why = format!(
                "it unpacks to more than {} bytes, far more than its size promises; if that is right, unpack it first",
                self.cap
            );
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        Ok(n)
    }
}

/// The lines of a file, in order; blank lines are counted and passed over.
pub struct Lines {
    opened: Opened,
    number: u64,
}

impl Lines {
    pub fn new(opened: Opened) -> Self {
        Lines { opened, number: 0 }
    }

    /// The next line that is not blank, or `None` at the end of the file. An error is the end of the stream, not of a line.
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        loop {
            self.number += 1;
            let number = self.number;
            let cap = self.opened.limits.line_bytes;
            let mut bytes = Vec::new();
            let reader = &mut self.opened.reader;
            reader
                .by_ref()
                .take(cap as u64 + 1)
                .read_until(b'\n', &mut bytes)
                .map_err(|error| stopped(&self.opened.path, number, &error))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            if bytes.len() > cap && bytes.last() != Some(&b'\n') {
                drop(bytes);
                reader.skip_until(b'\n').map_err(|error| stopped(&self.opened.path, number, &error))?;
                return Ok(Some(Line { number, text: Err(too_long("line", cap)) }));
            }
            while matches!(bytes.last(), Some(b'\n' | b'\r')) {
                bytes.pop();
            }
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            return Ok(Some(Line { number, text: as_text(bytes) }));
        }
    }
}

pub(super) fn too_long(what: &str, cap: usize) -> String {
    format!("this {what} is longer than {cap} bytes, which no row needs; is the file one line of something else?")
}

/// Text, or the first byte that is none.
pub(super) fn as_text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes().get(at).copied().unwrap_or_default();
        format!("byte {} (0x{byte:02X}) is not UTF-8; save the file as UTF-8", at + 1)
    })
}
