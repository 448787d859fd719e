//! A file of zeros that is deleted when the disk is full, so that the run has room to say so.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Enough for the lines that say why the run waits.
const BYTES: usize = 1 << 20;

pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Without space for it the run simply has none.
    pub fn new(folder: &Path) -> Ballast {
        let mut ballast = Ballast { path: folder.join("ballast") };
        ballast.restore();
        ballast
    }

    pub fn restore(&mut self) {
        if self.path.exists() {
            return;
        }
        let written = std::fs::File::create(&self.path).and_then(|mut file| {
            file.write_all(&vec![0; BYTES])?;
            file.sync_all()
        });
        if written.is_err() {
            self.drop_it();
        }
    }

    /// Tries whether a little can be written beside the journal.
    pub fn there_is_room(&self) -> bool {
        let probe = self.path.with_extension("probe");
        let fits = std::fs::write(&probe, vec![0; 64 << 10]).is_ok();
        let _ = std::fs::remove_file(&probe);
        fits
    }

    pub fn drop_it(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
