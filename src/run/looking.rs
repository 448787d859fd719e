//! Who looks at which pair: a note in `control/` by which viewers keep out of each other's way.
//!
//! No request and no fact: the engine does not read it, and what two people decide at once is still settled by the engine. A note holds
//! for a minute, so that a viewer that died holds nothing.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::entry::Stamp;
use crate::run::ids::PromptId;

/// Seconds that a pair is kept for the one who turned to it.
pub const KEPT: f64 = 60.0;
const SUFFIX: &str = ".looking";
/// No note is longer.
const LONGEST: u64 = 4096;

/// Somebody turned to a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looking {
    pub by: String,
    pub pair: PromptId,
    /// When, in microseconds since 1970.
    pub at: i64,
}

impl Looking {
    /// Seconds that the pair is still kept.
    pub fn left(&self, now: Stamp) -> f64 {
        // A clock that runs ahead keeps nothing longer than anybody else's.
        (KEPT - now.seconds_since(Stamp(self.at))).min(KEPT)
    }
}

fn path(run_folder: &Path, writer: &str) -> PathBuf {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_@.".contains(c) { c } else { '_' };
    run_folder.join("control").join(writer.chars().map(safe).collect::<String>() + SUFFIX)
}

/// Says where this writer looks; none: nowhere any more.
pub fn tell(run_folder: &Path, writer: &str, looking: Option<&Looking>) -> io::Result<()> {
    let path = path(run_folder, writer);
    match looking {
        Some(looking) => {
            let scratch = path.with_extension("looking-tmp");
            std::fs::write(&scratch, serde_json::to_vec(looking)?)?;
            std::fs::rename(scratch, path)
        }
        None => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// Where the others look, in the order of their names; notes that no longer hold are left out.
pub fn others(run_folder: &Path, writer: &str, now: Stamp) -> Vec<Looking> {
    let own = path(run_folder, writer);
    let Ok(listing) = std::fs::read_dir(run_folder.join("control")) else { return Vec::new() };
    let mut found: Vec<Looking> = listing
        .filter_map(|file| {
            let path = file.ok()?.path();
            let is_note = path.to_str()?.ends_with(SUFFIX) && path != own;
            if !is_note || std::fs::metadata(&path).ok()?.len() > LONGEST {
                return None;
            }
            serde_json::from_slice(&std::fs::read(&path).ok()?).ok()
        })
        .filter(|looking: &Looking| looking.left(now) > 0.0)
        .collect();
    found.sort_by(|a, b| a.by.cmp(&b.by).then(a.at.cmp(&b.at)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_holds_for_a_minute_and_its_writer_is_not_in_its_own_way() {
        let run = tempfile::tempdir().unwrap();
        std::fs::create_dir(run.path().join("control")).unwrap();
        let pair = PromptId { iteration: 1, number: 7 };
        let at = 1_000_000_000;
        let ana = Looking { by: "ana".into(), pair, at };
        tell(run.path(), "ana-1", Some(&ana)).unwrap();
        std::fs::write(run.path().join("control/bo-2.looking"), "no note").unwrap();
        std::fs::write(run.path().join("control/bo-3.jsonl"), "{}").unwrap();
        for (writer, after, seen) in
            [("bo-2", 0, 1), ("bo-2", 59, 1), ("bo-2", 61, 0), ("ana-1", 0, 0), ("bo-2", -9, 1)]
        {
            let found = others(run.path(), writer, Stamp(at + after * 1_000_000));
            assert_eq!(found.len(), seen, "{writer} {after}");
        }
        assert!(ana.left(Stamp(at - 3_600_000_000)) <= KEPT);
        tell(run.path(), "ana-1", None).unwrap();
        tell(run.path(), "ana-1", None).unwrap();
        assert_eq!(others(run.path(), "bo-2", Stamp(at)), []);
    }
}
