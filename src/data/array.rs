//! One JSON array as numbered elements, read as a stream.
//!
//! Used by `rows` for `.json` files as LLaMA-Factory and alpaca ship them. It knows strings and brackets and nothing else of JSON:
//! an element that does not parse costs that element, an element over the cap is skipped, and the whole file is never in memory.

use std::io::BufRead;

use anyhow::Result;

use super::lines::{Line, Opened, as_text, stopped, too_long};

/// Where the scan stands between two elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    BeforeArray,
    InArray,
    AfterArray,
    AtEnd,
}

/// The elements of the file's one array, in order.
pub struct Elements {
    opened: Opened,
    scan: Scan,
}

/// How far the scan has come.
struct Scan {
    line: u64,
    stand: Stand,
}

/// Why a scan of some bytes ended before them.
enum Found {
    Element,
    Fault(&'static str),
}

/// The element being gathered.
struct Gathered {
    bytes: Vec<u8>,
    began: u64,
    depth: usize,
    in_string: bool,
    escaped: bool,
    too_long: bool,
}

impl Gathered {
    fn new(began: u64) -> Self {
        Gathered { bytes: Vec::new(), began, depth: 0, in_string: false, escaped: false, too_long: false }
    }

    fn begun(&self) -> bool {
        self.too_long || !self.bytes.is_empty()
    }

    /// True when this byte ends the element (it is then not part of it).
    fn ends_with(&self, byte: u8) -> bool {
        !self.in_string && self.depth == 0 && matches!(byte, b',' | b']')
    }

    /// Takes the bytes that certainly belong to the element, at least one; the answer is how many.
    fn take(&mut self, bytes: &[u8], cap: usize) -> usize {
        let mut taken = 1;
        match (self.in_string, bytes.first()) {
            (true, _) if self.escaped => self.escaped = false,
            (true, Some(b'\\')) => self.escaped = true,
            (true, Some(b'"')) => self.in_string = false,
            // Most of a file is the inside of strings: go on to the next byte that means something.
            (true, _) => {
                taken = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | b'\n')).unwrap_or(bytes.len()).max(1)
            }
            (false, Some(b'"')) => self.in_string = true,
            (false, Some(b'{' | b'[')) => self.depth += 1,
            (false, Some(b'}' | b']')) => self.depth = self.depth.saturating_sub(1),
            (false, _) => {}
        }
        if !self.too_long && self.bytes.len() + taken > cap {
            self.too_long = true;
            self.bytes = Vec::new();
        }
        if !self.too_long {
            self.bytes.extend_from_slice(&bytes[..taken]);
        }
        taken
    }

    fn into_line(self, cap: usize) -> Line {
        let text = if self.too_long { Err(too_long("element", cap)) } else { as_text(self.bytes) };
        Line { number: self.began, text }
    }
}

impl Elements {
    pub fn new(opened: Opened) -> Self {
        Elements { opened, scan: Scan { line: 1, stand: Stand::BeforeArray } }
    }

    /// The next element, or `None` at the end of the file.
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        let cap = self.opened.limits.line_bytes;
        let mut gathered = Gathered::new(self.scan.line);
        while self.scan.stand != Stand::AtEnd {
            let bytes =
                self.opened.reader.fill_buf().map_err(|error| stopped(&self.opened.path, self.scan.line, &error))?;
            if bytes.is_empty() {
                return Ok(self.scan.end(&gathered));
            }
            let (used, found) = self.scan.go_on(bytes, &mut gathered, cap);
            self.opened.reader.consume(used);
            match found {
                None => {}
                Some(Found::Element) => return Ok(Some(gathered.into_line(cap))),
                Some(Found::Fault(why)) => {
                    return Ok(Some(Line { number: self.scan.line, text: Err(why.to_string()) }));
                }
            }
        }
        Ok(None)
    }
}

impl Scan {
    /// Looks at bytes until an element ends; the answer is how many were used up and what was found.
    fn go_on(&mut self, bytes: &[u8], gathered: &mut Gathered, cap: usize) -> (usize, Option<Found>) {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            let mut taken = 1;
            let found = match self.stand {
                Stand::BeforeArray => {
                    if byte == b'[' {
                        self.stand = Stand::InArray;
                    }
                    None
                }
                Stand::InArray if gathered.ends_with(byte) => {
                    if byte == b']' {
                        self.stand = Stand::AfterArray;
                    }
                    match (gathered.begun(), byte) {
                        (true, _) => Some(Found::Element),
                        (false, b']') => None,
                        (false, _) => Some(Found::Fault(
                            "an element is missing before this comma; is the array cut together by hand?",
                        )),
                    }
                }
                Stand::InArray if !gathered.begun() && byte.is_ascii_whitespace() => None,
                Stand::InArray => {
                    if !gathered.begun() {
                        gathered.began = self.line;
                    }
                    taken = gathered.take(&bytes[used..], cap);
                    None
                }
                Stand::AfterArray if !byte.is_ascii_whitespace() => {
                    self.stand = Stand::AtEnd;
                    Some(Found::Fault(
                        "there is text after the end of the array, which is not read; one array a file, or one object a line",
                    ))
                }
                Stand::AfterArray | Stand::AtEnd => None,
            };
            // A run of more than one byte holds no line end.
            self.line += u64::from(byte == b'\n');
            used += taken;
            if found.is_some() {
                return (used, found);
            }
        }
        (used, None)
    }

    /// What the end of the file means where the scan stands.
    fn end(&mut self, gathered: &Gathered) -> Option<Line> {
        let open = self.stand == Stand::InArray;
        self.stand = Stand::AtEnd;
        let why = "the file ends before the array does; it was cut, fetch it again".to_string();
        open.then(|| Line { number: if gathered.begun() { gathered.began } else { self.line }, text: Err(why) })
    }
}
