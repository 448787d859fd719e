//! Durable checkpoints: a folder built beside, every file synced, a manifest of sizes and hashes last, then a rename.
//!
//! A folder without a matching manifest is no checkpoint. Used by training and by resume; knows no format of weights.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::run::journal::sync_folder;

const MANIFEST: &str = "MANIFEST.json";

/// What a checkpoint consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub program: String,
    /// The step that the training state continues after, for a checkpoint of a training under way.
    pub step: u64,
    pub files: Vec<ManifestFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestFile {
    pub name: String,
    pub bytes: u64,
    /// BLAKE3.
    pub hash: String,
}

impl Manifest {
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// One hash for the content of all files.
    pub fn content_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for file in &self.files {
            hasher.update(file.name.as_bytes());
            hasher.update(file.hash.as_bytes());
        }
        hasher.finalize().to_hex()[..32].to_string()
    }
}

/// Builds `folder` by `fill`, which writes files into an empty folder. When this returns, the checkpoint survives a power cut;
/// when it fails or the process is killed, `folder` does not exist, or is the old one.
pub fn write(folder: &Path, step: u64, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Manifest> {
    let parent = folder.parent().context("a checkpoint needs a parent folder")?;
    let name = folder.file_name().and_then(|name| name.to_str()).context("a checkpoint needs a plain name")?;
    let scratch = parent.join(format!("{name}.tmp-{}", std::process::id()));
    remove_if_there(&scratch)?;
    std::fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
    let built = fill(&scratch).and_then(|()| seal(&scratch, step));
    let manifest = match built {
        Ok(manifest) => manifest,
        Err(error) => {
            // Best effort: what matters is the error that led here, and a left-over is removed by the next engine.
            let _ = std::fs::remove_dir_all(&scratch);
            return Err(error.context(format!("writing the checkpoint {}", folder.display())));
        }
    };
    remove_if_there(folder)?;
    std::fs::rename(&scratch, folder).with_context(|| format!("renaming {}", scratch.display()))?;
    sync_folder(parent)?;
    Ok(manifest)
}

fn seal(scratch: &Path, step: u64) -> Result<Manifest> {
    let mut files = Vec::new();
    for name in file_names(scratch)? {
        let path = scratch.join(&name);
        let (bytes, hash) = digest(&path)?;
        File::open(&path)?.sync_all().with_context(|| format!("syncing {}", path.display()))?;
        files.push(ManifestFile { name, bytes, hash });
    }
    let program = concat!("selfreward ", env!("CARGO_PKG_VERSION")).to_string();
    let manifest = Manifest { program, step, files };
    let path = scratch.join(MANIFEST);
    std::fs::write(&path, serde_json::to_vec_pretty(&manifest)?)?;
    File::open(&path)?.sync_all()?;
    sync_folder(scratch)?;
    Ok(manifest)
}

/// Checks a checkpoint against its manifest, byte for byte.
pub fn verify(folder: &Path) -> Result<Manifest> {
    let path = folder.join(MANIFEST);
    let text = std::fs::read(&path).with_context(|| format!("{} has no readable manifest", folder.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("{} is no manifest", path.display()))?;
    for file in &manifest.files {
        let path = folder.join(&file.name);
        let length = std::fs::metadata(&path).with_context(|| format!("{} is missing", path.display()))?.len();
        if length != file.bytes {
            bail!("{} has {length} bytes, its manifest says {}", path.display(), file.bytes);
        }
        if digest(&path)?.1 != file.hash {
            bail!("{} differs from its manifest", path.display());
        }
    }
    Ok(manifest)
}

/// Removes what an interrupted write left behind.
pub fn sweep(checkpoints: &Path) -> io::Result<()> {
    for item in std::fs::read_dir(checkpoints)? {
        let item = item?;
        if item.file_name().to_string_lossy().contains(".tmp-") {
            std::fs::remove_dir_all(item.path())?;
        }
    }
    Ok(())
}

/// Removes a checkpoint that is no longer needed.
pub fn remove(folder: &Path) -> io::Result<()> {
    remove_if_there(folder)
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn file_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for item in std::fs::read_dir(folder)? {
        let name = item?.file_name().into_string().map_err(|name| anyhow::anyhow!("odd file name {name:?}"))?;
        names.push(name);
    }
    names.sort();
    Ok(names)
}

fn digest(path: &PathBuf) -> Result<(u64, String)> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
    Ok((bytes, hasher.finalize().to_hex().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::witness::{self, Synced};

    fn fill(folder: &Path) -> Result<()> {
        std::fs::write(folder.join("weights"), [7; 1000])?;
        std::fs::write(folder.join("state.json"), b"{\"step\":3}")?;
        Ok(())
    }

    #[test]
    fn every_damage_to_a_checkpoint_is_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("M1");
        let written = write(&folder, 3, fill).unwrap();
        assert_eq!(verify(&folder).unwrap(), written);
        type Damage = fn(&Path);
        let damages: [(&str, Damage); 5] = [
            ("has 999 bytes", |folder| {
                File::options().write(true).open(folder.join("weights")).unwrap().set_len(999).unwrap()
            }),
            ("differs", |folder| std::fs::write(folder.join("state.json"), b"{\"step\":4}").unwrap()),
            ("is missing", |folder| std::fs::remove_file(folder.join("weights")).unwrap()),
            ("no readable manifest", |folder| std::fs::remove_file(folder.join(MANIFEST)).unwrap()),
            ("is no manifest", |folder| std::fs::write(folder.join(MANIFEST), b"{").unwrap()),
        ];
        for (what, damage) in damages {
            write(&folder, 3, fill).unwrap();
            damage(&folder);
            let error = format!("{:#}", verify(&folder).unwrap_err());
            assert!(error.contains(what), "{what}: {error}");
        }
    }

    #[test]
    fn a_checkpoint_has_its_name_on_the_disk_when_it_is_written() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("M1");
        witness::take();
        write(&folder, 1, fill).unwrap();
        let synced = witness::take();
        let [Synced::Folder(inside, files), Synced::Folder(parent, names)] = synced.as_slice() else {
            panic!("{synced:?}");
        };
        assert!(inside.starts_with(root.path()) && inside != parent, "{synced:?}");
        assert_eq!(*files, [MANIFEST, "state.json", "weights"], "its own folder, when all files stand in it");
        assert_eq!(
            (parent.as_path(), names.as_slice()),
            (root.path(), &["M1".to_string()][..]),
            "then, renamed, the one above"
        );
    }

    #[test]
    fn a_failed_write_leaves_the_old_checkpoint_and_no_scraps() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("M1");
        write(&folder, 1, fill).unwrap();
        let failed = write(&folder, 2, |scratch| {
            std::fs::write(scratch.join("weights"), [8; 10])?;
            bail!("no space")
        });
        assert!(failed.is_err());
        assert_eq!(verify(&folder).unwrap().step, 1);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
