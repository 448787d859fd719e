//! One JSON array as numbered elements, read as a stream.
//!
//! Used by `rows` for `.json` files as LLaMA-Factory and alpaca ship them. It knows strings and brackets and nothing else of JSON:
//! an element that does not parse costs that element, an element over the cap is skipped, and the whole file is never in memory.

use std::io::BufRead;

use anyhow::{Context, Result};

use super::lines::{Line, Opened, as_text, damaged, too_long};

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
    line: u64,
    stand: Stand,
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

    fn push(&mut self, byte: u8, cap: usize) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        if self.too_long {
            return;
        }
        if self.bytes.len() >= cap {
            self.too_long = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.push(byte);
        }
    }

    fn into_line(self, cap: usize) -> Line {
        let text = if self.too_long { Err(too_long("element", cap)) } else { as_text(self.bytes) };
        Line { number: self.began, text }
    }
}

impl Elements {
    pub fn new(opened: Opened) -> Self {
        Elements { opened, line: 1, stand: Stand::BeforeArray }
    }

    /// The next element, or `None` at the end of the file.
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        let cap = self.opened.limits.line_bytes;
        let mut gathered = Gathered::new(self.line);
        while let Some(byte) = self.next_byte()? {
            if byte == b'\n' {
                self.line += 1;
            }
            match self.stand {
                Stand::BeforeArray => {
                    if byte == b'[' {
                        self.stand = Stand::InArray;
                    }
                }
                Stand::InArray if gathered.ends_with(byte) => {
                    if byte == b']' {
                        self.stand = Stand::AfterArray;
                        if gathered.begun() {
                            return Ok(Some(gathered.into_line(cap)));
                        }
                    } else if gathered.begun() {
                        return Ok(Some(gathered.into_line(cap)));
                    } else {
                        let why = "an element is missing before this comma; is the array cut together by hand?";
                        return Ok(Some(Line { number: self.line, text: Err(why.to_string()) }));
                    }
                }
                Stand::InArray => {
                    if gathered.begun() || !byte.is_ascii_whitespace() {
                        if !gathered.begun() {
                            gathered.began = self.line;
                        }
                        gathered.push(byte, cap);
                    }
                }
                Stand::AfterArray if !byte.is_ascii_whitespace() => {
                    self.stand = Stand::AtEnd;
                    let why = "there is text after the end of the array, which is not read; one array a file, or one object a line";
                    return Ok(Some(Line { number: self.line, text: Err(why.to_string()) }));
                }
                Stand::AfterArray => {}
                Stand::AtEnd => return Ok(None),
            }
        }
        let open = self.stand == Stand::InArray;
        self.stand = Stand::AtEnd;
        if !open {
            return Ok(None);
        }
        let why = "the file ends before the array does; it was cut, fetch it again".to_string();
        Ok(Some(Line { number: if gathered.begun() { gathered.began } else { self.line }, text: Err(why) }))
    }

    fn next_byte(&mut self) -> Result<Option<u8>> {
        if self.stand == Stand::AtEnd {
            return Ok(None);
        }
        let byte =
            self.opened.reader.fill_buf().with_context(|| damaged(&self.opened.path, self.line))?.first().copied();
        if byte.is_some() {
            self.opened.reader.consume(1);
        }
        Ok(byte)
    }
}
