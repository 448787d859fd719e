//! How a command can end other than well: its exit code, and the words for it (what, why, what to do).
//!
//! Used by every command through `anyhow`, and by `cli::main`, which prints once. Knows no command.

use std::fmt;
use std::io;

use crate::text::visible::visible;

/// Something went wrong.
pub const ERROR: u8 = 1;
/// The arguments or the configuration cannot be meant so.
pub const USAGE: u8 = 2;
/// An alarm of the level named by `--fail-on` is raised.
pub const ALARM: u8 = 3;
/// There is no such run.
pub const NO_SUCH_RUN: u8 = 4;

/// A failure that has an exit code of its own. Every other error ends with 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nobody reads any more (`| head`): nothing went wrong.
    ReaderGone,
    Usage(String),
    NoSuchRun(String),
    /// An alarm stands that `--fail-on` asks about.
    Alarm(String),
    /// A signal ended a command in good order.
    Interrupted(String),
    /// A signal ended an engine in good order; the exit code says which.
    Signal(u8),
}

impl Failure {
    /// A usage failure, ready for `?`.
    pub fn usage(says: impl Into<String>) -> anyhow::Error {
        Failure::Usage(says.into()).into()
    }

    fn code(&self) -> u8 {
        match self {
            Failure::ReaderGone => 0,
            Failure::Usage(_) => USAGE,
            Failure::NoSuchRun(_) => NO_SUCH_RUN,
            Failure::Alarm(_) => ALARM,
            Failure::Signal(code) => *code,
            Failure::Interrupted(_) => 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::ReaderGone => f.write_str("nobody reads the output any more"),
            Failure::Signal(_) => f.write_str("a signal stopped the engine; `selfreward resume` goes on"),
            Failure::Usage(says) | Failure::NoSuchRun(says) | Failure::Alarm(says) | Failure::Interrupted(says) => {
                f.write_str(says)
            }
        }
    }
}

impl std::error::Error for Failure {}

/// The exit code of an error, however much context was put around it.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if is_reader_gone(error) {
        return 0;
    }
    error.downcast_ref::<Failure>().map_or(ERROR, Failure::code)
}

/// What to print, or nothing when there is nothing to say. Causes follow, one a line; hidden characters are shown.
pub fn report(error: &anyhow::Error) -> Option<String> {
    if is_reader_gone(error) {
        return None;
    }
    let mut says = format!("selfreward: {}\n", plain(&error.to_string()));
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some errors repeat their cause in their own words.
        if !says.contains(plain(&cause)) {
            says.push_str(&format!("  because: {}\n", plain(&cause)));
        }
    }
    if let Some(advice) = advice(error) {
        says.push_str(&format!("  to do: {advice}\n"));
    }
    Some(visible(&says).into_owned())
}

/// What to do about the system's own refusals, which say what is wrong and no more.
fn advice(error: &anyhow::Error) -> Option<&'static str> {
    use io::ErrorKind::*;
    match error.chain().find_map(|cause| cause.downcast_ref::<io::Error>())?.kind() {
        NotFound => Some("look at the path; one without a leading / begins in the folder you are in"),
        PermissionDenied => Some("ask for the right to read or write there, or name another place"),
        StorageFull | QuotaExceeded => Some("make room on that disk, or name a place on another one"),
        ReadOnlyFilesystem => Some("name a place on a disk that can be written"),
        IsADirectory => Some("name a file; this is a folder"),
        NotADirectory => Some("name a folder; this, or a part of it, is a file"),
        _ => None,
    }
}

/// The system's words without its number for them.
fn plain(cause: &str) -> &str {
    match cause.rsplit_once(" (os error ") {
        Some((words, number)) if number.strip_suffix(')').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) => {
            words
        }
        _ => cause,
    }
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    let gone = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref::<Failure>(), Some(Failure::ReaderGone))
            || cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    error.downcast_ref::<Failure>() == Some(&Failure::ReaderGone) || error.chain().any(gone)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn each_failure_has_its_exit_code_through_any_context() {
        let wrap = |failure: Failure| Err::<(), _>(failure).context("while looking").context("again").unwrap_err();
        for (failure, code) in [
            (Failure::ReaderGone, 0),
            (Failure::Usage("u".into()), 2),
            (Failure::Alarm("a".into()), 3),
            (Failure::NoSuchRun("n".into()), 4),
        ] {
            assert_eq!(exit_code(&wrap(failure)), code);
        }
        assert_eq!(exit_code(&anyhow::anyhow!("anything")), 1);
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(report(&anyhow::Error::from(pipe)), None);
    }

    #[test]
    fn causes_are_told_once_and_cannot_steer_a_terminal() {
        let error = anyhow::anyhow!("no \u{1b}[31mspace").context("writing x: no space").context("writing x");
        let says = report(&error).unwrap();
        assert!(
            says.starts_with("selfreward: writing x\n  because: writing x: no space\n  because: no ^[[31m"),
            "{says}"
        );
    }
}
