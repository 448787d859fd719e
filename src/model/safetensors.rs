//! The safetensors format, read with suspicion and written the way transformers expects it.
//!
//! [`Folder`](crate::model::folder::Folder) uses it file by file. A header is checked completely, against the file's
//! length and against itself, before a byte is allocated for its tensors. It knows nothing of models.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use half::{bf16, f16};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use crate::model::weights::{Tensor, Values};

/// The format allows 100 MB; a Llama of 256 layers needs less than half a megabyte.
const MAX_HEADER: u64 = 8 << 20;
const MAX_TENSORS: usize = 20_000;
/// Bytes converted at a time, so that reading needs one copy of a tensor and this.
const CHUNK: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Dtype {
    F32,
    F16,
    BF16,
}

impl Dtype {
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
        }
    }
}

/// One tensor of a checked header: its bytes lie at `start..start + length` of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub dtype: Dtype,
    pub dims: Vec<usize>,
    start: u64,
}

#[derive(Debug)]
pub struct SafetensorsFile {
    file: File,
    pub entries: BTreeMap<String, Entry>,
}

impl SafetensorsFile {
    pub fn open(path: &Path) -> Result<SafetensorsFile> {
        let read = || -> Result<SafetensorsFile> {
            // Asked before opening: opening a pipe would wait for its writer for ever.
            ensure!(std::fs::metadata(path)?.is_file(), "it is not a regular file");
            let mut file = File::open(path)?;
            let length = file.metadata()?.len();
            let entries = read_header(&mut file, length)?;
            Ok(SafetensorsFile { file, entries })
        };
        read().with_context(|| format!("could not read the safetensors file {}", path.display()))
    }

    /// Reads one tensor: f32 and bf16 as they are, f16 widened to f32. A value that is not finite is an error.
    pub fn read(&self, name: &str) -> Result<Tensor> {
        let read = || -> Result<Tensor> {
            let entry = self.entries.get(name).context("it is not in the file")?;
            let values = self.read_values(entry)?;
            if let Some(index) = values.first_not_finite() {
                bail!("value {index} is not a finite number");
            }
            Ok(Tensor { dims: entry.dims.clone(), values })
        };
        read().with_context(|| format!("could not read the tensor {name:?}"))
    }

    fn read_values(&self, entry: &Entry) -> Result<Values> {
        let count: usize = entry.dims.iter().product();
        let mut at = entry.start;
        let mut values = match entry.dtype {
            Dtype::F32 | Dtype::F16 => Values::F32(reserve(count)?),
            Dtype::BF16 => Values::Bf16(reserve(count)?),
        };
        let mut left = count * entry.dtype.bytes();
        let mut chunk = vec![0; CHUNK.min(left)];
        while left > 0 {
            let bytes = &mut chunk[..CHUNK.min(left)];
            self.file.read_exact_at(bytes, at)?;
            at += bytes.len() as u64;
            left -= bytes.len();
            match (&mut values, entry.dtype) {
                (Values::Bf16(into), _) => into.extend(bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b))),
                (Values::F32(into), Dtype::F32) => {
                    into.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)));
                }
                (Values::F32(into), _) => {
                    into.extend(bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()));
                }
            }
        }
        Ok(values)
    }
}

/// An allocation that fails is an error here, where `Vec::with_capacity` would end the process.
fn reserve<T>(count: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).with_context(|| format!("no memory for {count} values"))?;
    Ok(values)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The header's map, refusing a repeated key: the usual JSON readers keep the last one silently.
struct RawHeader(BTreeMap<String, RawEntry>);

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawHeader;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                use serde::de::Error;
                let mut entries = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<BTreeMap<String, String>>()?;
                        continue;
                    }
                    if entries.len() == MAX_TENSORS {
                        return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    }
                    let entry = map.next_value()?;
                    if entries.insert(name.clone(), entry).is_some() {
                        return Err(A::Error::custom(format!("the tensor {name:?} stands there twice")));
                    }
                }
                Ok(RawHeader(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn read_header(file: &mut File, file_length: u64) -> Result<BTreeMap<String, Entry>> {
    ensure!(file_length >= 8, "the file has {file_length} bytes, too few for a header");
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    ensure!(length <= MAX_HEADER, "the header claims {length} bytes; {MAX_HEADER} are the limit");
    ensure!(length <= file_length - 8, "the header claims {length} bytes, the file has {file_length}");
    let mut header = vec![0; usize::try_from(length)?];
    file.read_exact(&mut header)?;
    let RawHeader(raw) = serde_json::from_slice(&header).context("the header is not what safetensors writes")?;

    let data_start = 8 + length;
    let data_length = file_length - data_start;
    let mut spans = Vec::with_capacity(raw.len());
    let mut entries = BTreeMap::new();
    for (name, raw) in raw {
        let (entry, end) = check_entry(&raw, data_start).with_context(|| format!("the tensor {name:?}"))?;
        spans.push((raw.data_offsets[0], end, name.clone()));
        entries.insert(name, entry);
    }
    // The tensors must tile the data: no overlap, no hole, nothing behind the last.
    spans.sort_unstable();
    let mut at = 0;
    for (start, end, name) in &spans {
        ensure!(*start == at, "the tensor {name:?} starts at {start} where {at} was expected: an overlap or a hole");
        at = *end;
    }
    ensure!(at == data_length, "the tensors end at {at} bytes, the file's data at {data_length}");
    Ok(entries)
}

fn check_entry(raw: &RawEntry, data_start: u64) -> Result<(Entry, u64)> {
    let dtype = match raw.dtype.as_str() {
        "F32" => Dtype::F32,
        "F16" => Dtype::F16,
        "BF16" => Dtype::BF16,
        other => bail!("has type {:.20?}; F32, F16 and BF16 are understood", other),
    };
    ensure!((1..=2).contains(&raw.shape.len()), "has {} dimensions; a Llama's have one or two", raw.shape.len());
    let bytes = raw.shape.iter().try_fold(dtype.bytes() as u64, |product, &dim| product.checked_mul(dim));
    let bytes =
        bytes.filter(|&bytes| bytes > 0).with_context(|| format!("has the impossible shape {:?}", raw.shape))?;
    let [start, end] = raw.data_offsets;
    let span = end.checked_sub(start).with_context(|| format!("ends at {end}, before its start {start}"))?;
    ensure!(span == bytes, "spans {span} bytes, its shape and type need {bytes}");
    let start = data_start.checked_add(start).context("starts beyond any file")?;
    let dims = raw.shape.iter().map(|&dim| usize::try_from(dim)).collect::<Result<Vec<_>, _>>()?;
    Ok((Entry { dtype, dims, start }, end))
}

/// Writes tensors in the given order. `format: pt` is what transformers asks for. The caller makes it atomic.
pub fn write<'a>(path: &Path, tensors: impl Iterator<Item = (&'a str, &'a Tensor)> + Clone) -> Result<()> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), serde_json::json!({"format": "pt"}));
    let mut at = 0;
    for (name, tensor) in tensors.clone() {
        let (dtype, width) = match tensor.values {
            Values::F32(_) => ("F32", 4),
            Values::Bf16(_) => ("BF16", 2),
        };
        let end = at + tensor.values.len() * width;
        header.insert(
            name.to_owned(),
            serde_json::json!({"dtype": dtype, "shape": tensor.dims, "data_offsets": [at, end]}),
        );
        at = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    // Readers that map the file want the data aligned to eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut file = BufWriter::with_capacity(CHUNK, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (_, tensor) in tensors {
        match &tensor.values {
            Values::F32(values) => values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?,
            Values::Bf16(values) => values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?,
        }
    }
    file.into_inner().context("could not flush")?.sync_all()?;
    Ok(())
}
