//! Waiting that ends: what does not come fails its own test instead of holding up all others.
//!
//! Used by the tests that start programs; tests nothing itself.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Long enough for a whole run on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Whether this came to hold before the patience was at an end.
fn came(mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

pub fn until(what: &str, holds: impl FnMut() -> bool) {
    assert!(came(holds), "waited in vain until {what}");
}

/// How this child ends; one that does not is killed.
pub fn end_of(child: &mut Child) -> ExitStatus {
    let mut status = None;
    if !came(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    }) {
        child.kill().unwrap();
    }
    status.unwrap_or_else(|| panic!("process {} did not end within {PATIENCE:?}", child.id()))
}
