//! Finds public data files that lie beside the checkout and are no part of it. Tests that want one say so aloud when it is missing.

use std::path::{Path, PathBuf};

/// The file under `../shared`, or `None` after saying that the test which wanted it checks nothing.
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if !found.exists() {
        eprintln!(
            "SKIPPED: {path} is not there, so this test checked nothing; it is looked for at {}",
            found.display()
        );
        return None;
    }
    Some(found)
}
