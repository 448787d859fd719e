//! The folder of a run: its name, its files, its lock, and whether an engine lives in it.
//!
//! Used by the engine, the viewers and the command line. Knows where things lie, not what they mean.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::ids::{PromptId, Stage};
use crate::run::journal::{segment_name, sync_folder};

/// Checks a run's name: letters, digits, `.`, `_`, `-`; begins with a letter or digit; at most 64; never a way out of the runs folder.
pub fn check_name(name: &str) -> Result<(), String> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if first && rest && name.len() <= 64 && !name.contains("..") {
        return Ok(());
    }
    Err(format!(
        "`{}` is no name for a run: use letters, digits, `.`, `_` and `-`, at most 64, and begin with a letter or digit",
        name.escape_debug()
    ))
}

/// Paths inside one run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    pub fn at(path: impl Into<PathBuf>) -> RunFolder {
        RunFolder { path: path.into() }
    }

    /// Finds `name` below the runs root, or takes it as a path when it contains a slash. The folder must hold a journal.
    pub fn find(root: &Path, name: &str) -> Result<RunFolder, String> {
        let folder = if name.contains('/') {
            if name.split('/').any(|part| part == "..") {
                return Err(format!("`{}` leads out of its folder", name.escape_debug()));
            }
            RunFolder::at(name)
        } else {
            check_name(name)?;
            RunFolder::at(root.join(name))
        };
        if folder.has_journal() { Ok(folder) } else { Err(format!("there is no run `{name}` in {}", root.display())) }
    }

    /// Makes the folder of a new run; fails when something of that name exists.
    pub fn create(root: &Path, name: &str) -> io::Result<RunFolder> {
        use std::os::unix::fs::DirBuilderExt;
        check_name(name).map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        if root.is_file() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        std::fs::create_dir_all(root)?;
        let path = root.join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        let fill = || {
            for part in ["control", "checkpoints", "data"] {
                std::fs::create_dir(path.join(part))?;
            }
            sync_folder(&path)?;
            sync_folder(root)
        };
        let folder = RunFolder { path: path.clone() };
        fill().inspect_err(|_| folder.forget())?;
        Ok(folder)
    }

    /// Takes back a folder in which nothing has begun: half of one would hold its name for ever.
    pub fn forget(&self) {
        // What cannot be removed is left: the caller tells what went wrong before.
        let _ = std::fs::remove_dir_all(&self.path);
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
    }

    /// Whether a journal lies here. One that may not be looked at counts: reading it then says why it cannot be read.
    pub fn has_journal(&self) -> bool {
        match self.path.join(segment_name(1)).metadata() {
            Ok(found) => found.is_file(),
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        }
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub fn engine_log(&self) -> PathBuf {
        self.path.join("engine.log")
    }

    pub fn run_json(&self) -> PathBuf {
        self.path.join("run.json")
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("engine.lock")
    }

    /// Takes the engine's lock, or says who holds it. The lock goes with the process, however it ends.
    pub fn lock(&self) -> io::Result<Result<EngineLock, Holder>> {
        let path = self.lock_path();
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match file.try_lock() {
            Ok(()) => {
                let me = Holder { pid: std::process::id(), host: host_name() };
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(serde_json::to_string(&me)?.as_bytes())?;
                Ok(Ok(EngineLock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(Err(Holder::read(&mut file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Who runs this run now, if anybody does.
    pub fn holder(&self) -> Option<Holder> {
        let mut file = File::open(self.lock_path()).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(Holder::read(&mut file)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// The heartbeat, if there is one and it can be read.
    pub fn now(&self) -> Option<Now> {
        serde_json::from_slice(&std::fs::read(self.path.join("now.json")).ok()?).ok()
    }

    /// Replaces the heartbeat; readers see the old one or the new one, never a half.
    pub fn write_now(&self, now: &Now) -> io::Result<()> {
        let scratch = self.path.join("now.json.tmp");
        std::fs::write(&scratch, serde_json::to_vec(now)?)?;
        std::fs::rename(scratch, self.path.join("now.json"))
    }
}

/// Held while an engine lives.
#[derive(Debug)]
pub struct EngineLock {
    _file: File,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: String,
}

impl Holder {
    /// Who wrote its name into a lock that is held. An engine that starts holds the lock before its name stands in it:
    /// it is somebody all the same.
    fn read(file: &mut File) -> Holder {
        let mut text = String::new();
        let name = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
        name.unwrap_or(Holder { pid: 0, host: "?".into() })
    }
}

pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What the engine is doing this moment. Lossy: nothing is decided by it and nothing is lost with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Now {
    pub pid: u32,
    pub host: String,
    /// Microseconds since 1970.
    pub at: i64,
    pub seq: u64,
    pub iteration: u32,
    pub stage: Option<Stage>,
    pub done: u64,
    pub total: u64,
    pub tokens_per_s: Option<f64>,
    /// The text being written.
    pub writing: Option<Writing>,
    pub memory_bytes: Option<u64>,
    pub device: String,
    /// The gate's deadline, microseconds since 1970.
    pub deadline: Option<i64>,
    /// Why nothing moves: paused, waiting, no space.
    pub held: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Writing {
    pub prompt: PromptId,
    pub candidate: u32,
    pub text: String,
}

/// The runs below a root, by name.
pub fn list(root: &Path) -> io::Result<Vec<RunFolder>> {
    let listing = match std::fs::read_dir(root) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut runs: Vec<RunFolder> =
        listing.filter_map(|file| Some(RunFolder::at(file.ok()?.path()))).filter(RunFolder::has_journal).collect();
    runs.sort_by_key(RunFolder::name);
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_runs_folder() {
        for good in ["a", "phi-2", "2026.11_x"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "../x", "a/b", "a..b", "-x", "x\0", "x\u{1b}[m", "ä", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_engine_holds_the_lock_and_the_second_learns_who() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        assert_eq!(folder.holder(), None);
        let lock = folder.lock().unwrap().unwrap();
        // Locks belong to open files: a second opening of the same file is refused, as another process would be.
        assert_eq!(folder.lock().unwrap().unwrap_err().pid, std::process::id());
        assert_eq!(folder.holder().unwrap().pid, std::process::id());
        drop(lock);
        assert_eq!(folder.holder(), None);
    }
}
