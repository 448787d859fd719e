//! The records of key frames as bytes: a length, a checksum, a content. Used by `key_frames` alone; knows nothing of what they hold.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes before a record's content: its length and its checksum.
pub const HEADER: u64 = 8;

/// A part that was written, and its place. Held weakly: a view that changes its part moves it instead of copying it, and is known by that.
pub type Written<T> = (u64, Weak<T>);

/// Records that are to be written at once, the frame last: without it its parts count for nothing.
pub struct Bytes {
    pub begin: u64,
    pub bytes: Vec<u8>,
}

impl Bytes {
    /// The place of a part: where the last frame has it, else where it is written now.
    pub fn shared<T: Serialize>(&mut self, before: Option<&Written<T>>, part: &Arc<T>) -> io::Result<Written<T>> {
        self.shared_as(before, part, pack)
    }

    /// The same, written by `pack`.
    pub fn shared_as<T>(
        &mut self,
        before: Option<&Written<T>>,
        part: &Arc<T>,
        pack: fn(&T) -> io::Result<Vec<u8>>,
    ) -> io::Result<Written<T>> {
        // A weak pointer keeps its address from being given to another part.
        match before.filter(|(_, known)| known.as_ptr() == Arc::as_ptr(part)) {
            Some((at, known)) => Ok((*at, known.clone())),
            None => Ok((self.part(&pack(part.as_ref())?), Arc::downgrade(part))),
        }
    }

    pub fn part(&mut self, content: &[u8]) -> u64 {
        // The byte of `Record::Part` before the content.
        self.record(&[&[0], content].concat())
    }

    pub fn record(&mut self, content: &[u8]) -> u64 {
        let at = self.begin + self.bytes.len() as u64;
        self.bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
        self.bytes.extend_from_slice(content);
        at
    }
}

/// Length and checksum of the record here.
pub fn header(file: &File, at: u64) -> Option<(u64, u32)> {
    let mut header = [0; HEADER as usize];
    file.read_exact_at(&mut header, at).ok()?;
    let (length, crc) = header.split_at(4);
    Some((u64::from(u32::from_le_bytes(length.try_into().ok()?)), u32::from_le_bytes(crc.try_into().ok()?)))
}

pub fn content(file: &File, at: u64) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let (length, crc) = header(file, at)
        .filter(|(length, _)| *length > 0 && at + HEADER + length <= size)
        .ok_or_else(|| io::Error::other("no record stands here"))?;
    let mut content = vec![0; length as usize];
    file.read_exact_at(&mut content, at + HEADER)?;
    if crc32fast::hash(&content) == crc { Ok(content) } else { Err(io::Error::other("a record is damaged")) }
}

pub fn part(file: &File, at: u64) -> io::Result<Vec<u8>> {
    let mut content = content(file, at)?;
    if content.remove(0) == 0 { Ok(content) } else { Err(io::Error::other("a frame stands where a part should be")) }
}

pub fn pack<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_allocvec(value).map_err(io::Error::other)
}

/// With the names of members: what may be absent in the journal is absent here too, which `pack` cannot tell.
pub fn pack_named<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(io::Error::other)
}

pub fn unpack_named<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(bytes).map_err(io::Error::other)
}

pub fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(io::Error::other)
}
