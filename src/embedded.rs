//! The embedded model and its seed data: bytes of this program that become an ordinary folder when they are needed.
//!
//! The engine takes from here what the configuration does not name. The folder lies in the user's cache, is checked by hash
//! before each use and made anew where it differs. How the files were made stands in `assets/README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Names in a forged folder, embedded or of one's own.
pub const IFT: &str = "ift.jsonl";
pub const EFT: &str = "eft.jsonl";
pub const EFT_HELD_OUT: &str = "eft_held_out.jsonl";
pub const INSTRUCTIONS_HELD_OUT: &str = "instructions_held_out.jsonl";
/// BLAKE3 of every other file.
pub const HASHES: &str = "hashes.json";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../assets/tiny/", $name)))),*]
    };
}

/// Every embedded file.
const FILES: &[(&str, &[u8])] = files![
    "chat_template.jinja",
    "config.json",
    "eft.jsonl",
    "eft_held_out.jsonl",
    "generation_config.json",
    "ift.jsonl",
    "instructions_held_out.jsonl",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];
/// BLAKE3 of each, as the forge wrote them down.
const OWN_HASHES: &str = include_str!("../assets/tiny/hashes.json");

/// The hash of every file, by name; an error when this program's own bytes are not what was forged.
pub fn hashes() -> Result<BTreeMap<String, String>> {
    let hashes: BTreeMap<String, String> = serde_json::from_str(OWN_HASHES).context("reading the embedded hashes")?;
    ensure!(hashes.len() == FILES.len(), "{} files are embedded, {} have a hash", FILES.len(), hashes.len());
    for (name, bytes) in FILES {
        ensure!(hashes.get(*name) == Some(&hash(bytes)), "the embedded {name} is not what its hash says");
    }
    Ok(hashes)
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The folder of the embedded files in the user's cache; where that cannot be written, in the system's place for
/// temporary files.
pub fn folder() -> Result<PathBuf> {
    let name = format!("tiny-{}", &hash(OWN_HASHES.as_bytes())[..12]);
    let cache = directories::ProjectDirs::from("", "", "selfreward").map(|folders| folders.cache_dir().join(&name));
    let user = rustix::process::getuid().as_raw();
    let temporary = std::env::temp_dir().join(format!("selfreward-{user}")).join(&name);
    let mut refused = None;
    for place in cache.into_iter().chain([temporary]) {
        match unpack(&place) {
            Ok(()) => return Ok(place),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| anyhow::anyhow!("there is no place for the embedded model")))
}

/// Makes the folder hold exactly the embedded bytes. Two processes may do so at once.
pub fn unpack(folder: &Path) -> Result<()> {
    let write = || -> Result<()> {
        let hashes = hashes()?;
        std::fs::create_dir_all(folder)?;
        for (name, bytes) in FILES {
            let path = folder.join(name);
            let right = std::fs::read(&path).is_ok_and(|found| hashes.get(*name) == Some(&hash(&found)));
            if !right {
                // Renamed into place, so that nobody ever reads half a file.
                let partial = folder.join(format!(".{name}.{}", std::process::id()));
                std::fs::write(&partial, bytes)?;
                std::fs::rename(&partial, &path)?;
            }
        }
        Ok(())
    };
    write().with_context(|| format!("unpacking the embedded model into {}", folder.display()))
}
