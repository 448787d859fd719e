//! The key to an account: from the environment or a file that only its owner reads; never shown, never written.
//!
//! There is no `Debug`, no `Display` and no serialisation of it, and whatever an endpoint says goes through `scrub` first: some echo parts
//! of the key in their errors.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Parts of the key that are shorter may stand anywhere by chance.
const ECHO: usize = 6;
/// No key is longer; a file that is has something else in it.
const LONGEST: u64 = 16 << 10;

/// A key. What it is leaves this file through `Wire` alone, as a header.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// The key in this variable, else in this file, else none: local servers want none.
    pub fn find(variable: &str, file: Option<&Path>) -> Result<Secret> {
        let value = std::env::var(variable).ok().filter(|value| !value.trim().is_empty());
        let secret = match (value, file) {
            (Some(value), _) => Secret::of(&value).with_context(|| format!("reading the key in ${variable}"))?,
            (None, Some(file)) => Secret::read(file)?,
            (None, None) => return Ok(Secret::default()),
        };
        keep_out_of_dumps();
        Ok(secret)
    }

    fn read(file: &Path) -> Result<Secret> {
        let shown = file.display();
        let about = std::fs::metadata(file).with_context(|| format!("looking at the key file {shown}"))?;
        if !about.is_file() {
            bail!("the key file {shown} is no file");
        }
        if about.mode() & 0o077 != 0 {
            bail!(
                "others may read the key file {shown} (mode {:04o}); close it with: chmod 600 {shown}",
                about.mode() & 0o7777
            );
        }
        if about.uid() != rustix::process::geteuid().as_raw() {
            bail!("the key file {shown} belongs to somebody else (user {})", about.uid());
        }
        if about.len() > LONGEST {
            bail!("the key file {shown} holds {} bytes: that is no key", about.len());
        }
        let text = std::fs::read_to_string(file).with_context(|| format!("reading the key file {shown}"))?;
        Secret::of(&text).with_context(|| format!("reading the key file {shown}"))
    }

    /// Checks that it can be a header. The error does not quote it.
    pub fn of(text: &str) -> Result<Secret> {
        let text = text.trim();
        if text.is_empty() {
            bail!("it is empty");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("a key is one word of visible ASCII characters, and this is not");
        }
        Ok(Secret(text.to_string()))
    }

    pub fn is_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// For the header alone.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// The text with every part of the key of `ECHO` characters and more taken out.
    pub fn scrub(&self, text: &str) -> String {
        let key = self.0.as_bytes();
        let bytes = text.as_bytes();
        if key.len() < ECHO || bytes.len() < ECHO {
            return if self.is_there() { text.replace(&self.0, "[key]") } else { text.to_string() };
        }
        // Only ASCII is ever cut out, so what stays is whole characters.
        let begins_part = |at: usize| -> usize {
            let longest = |from: usize| {
                bytes[at..].iter().zip(&key[from..]).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
            };
            (0..key.len()).map(longest).max().unwrap_or(0)
        };
        let mut out = String::with_capacity(text.len());
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() {
            let part = begins_part(at);
            if part >= ECHO {
                out.push_str(&text[kept..at]);
                out.push_str("[key]");
                at += part;
                kept = at;
            } else {
                at += 1;
            }
        }
        out.push_str(&text[kept..]);
        out
    }
}

/// A dying process that holds a key leaves no image of its memory, and its memory and environment are closed to others.
fn keep_out_of_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    // A sandbox may forbid either; the key works all the same.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn echoes_of_the_key_are_taken_out_and_nothing_else() {
        let secret = Secret::of("sk-canary-1234567890").unwrap();
        for (said, shown) in [
            ("Incorrect API key: sk-canary-1234567890.", "Incorrect API key: [key]."),
            ("sk-can******7890 and SK-CANARY", "[key]******7890 and [key]"),
            ("äsk-canary-1234567890ö", "ä[key]ö"),
            ("345678", "[key]"),
            ("34567 canar", "34567 canar"),
            ("a canary sings", "a [key] sings"),
            ("", ""),
        ] {
            assert_eq!(secret.scrub(said), shown);
        }
        assert_eq!(Secret::default().scrub("anything"), "anything");
        assert_eq!(Secret::of("abc").unwrap().scrub("an abc"), "an [key]");
    }

    #[test]
    fn only_a_file_that_is_ones_own_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "sk-canary-1234567890\n").unwrap();
        for (mode, fine) in
            [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o644, false), (0o610, false)]
        {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            match Secret::read(&file) {
                Ok(secret) => assert!(fine && secret.expose() == "sk-canary-1234567890", "{mode:o}"),
                Err(error) => {
                    let says = format!("{error:#}");
                    assert!(!fine && says.contains("chmod 600") && !says.contains("canary"), "{mode:o}: {says}");
                }
            }
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        for (text, fine) in
            [("two words", false), ("", false), ("tab\tbed", false), ("ünsichtbar", false), (" ok ", true)]
        {
            std::fs::write(&file, text).unwrap();
            let read = Secret::read(&file);
            assert_eq!(read.is_ok(), fine, "{text:?}");
            if let Err(error) = read {
                assert!(text.is_empty() || !format!("{error:#}").contains(text.trim()), "{error:#}");
            }
        }
        assert!(Secret::read(folder.path()).is_err() && Secret::read(&folder.path().join("none")).is_err());
    }
}
