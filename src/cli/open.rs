//! Finds a run, reads its journal into a view, and says what is wrong with it without giving up.
//!
//! Used by every command about a run. Looks at files only: it changes nothing, so a read-only folder is as good as any.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::run::entry::{Entry, Stamp};
use crate::run::facts::Facts;
use crate::run::folder::{self, Holder, RunFolder, check_name};
use crate::run::ids::Seq;
use crate::run::journal::{Damage, Found, Tail};
use crate::run::lookup::Lookup;
use crate::run::view::{RunView, State};
use crate::text::nearest::nearest;

/// Runs that come with the program.
const EXAMPLES: [&str; 2] = ["example", "example-collapsed"];
/// Damaged places that are named one by one; the rest is counted.
const DAMAGE_SHOWN: usize = 5;

/// Where runs are: as asked, else `./runs`, else the user's data folder.
pub fn root(asked: Option<&Path>) -> Result<PathBuf> {
    // An empty variable is one that a script has not filled: as good as none.
    let named = || std::env::var_os("SELFREWARD_RUNS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    if let Some(asked) = asked.map(Path::to_path_buf).or_else(named) {
        return Ok(asked);
    }
    let here = PathBuf::from("runs");
    // In a checkout the folder may not be there yet; its place is known all the same.
    if here.is_dir() || is_checkout(Path::new(".")) {
        return Ok(here);
    }
    let folders = directories::ProjectDirs::from("", "", "selfreward")
        .context("no home folder is known: name the runs folder with --runs DIR")?;
    Ok(folders.data_dir().join("runs"))
}

fn is_checkout(folder: &Path) -> bool {
    folder.join("runs/README.md").is_file() && folder.join("Cargo.toml").is_file()
}

/// Finds a run by its name below the root or by its path. `example` is also found where the program was built or installed.
pub fn find(root: &Path, name: &str) -> Result<RunFolder> {
    if name.contains('/') {
        if name.split('/').any(|part| part == "..") {
            return Err(Failure::usage(format!(
                "`{name}` leads out of its folder; name a run in {}, or give its folder without `..`",
                root.display()
            )));
        }
    } else if let Err(why) = check_name(name) {
        return Err(Failure::usage(why));
    }
    if let Ok(found) = RunFolder::find(root, name) {
        return Ok(found);
    }
    if EXAMPLES.contains(&name)
        && let Some(found) = example_folders(name).into_iter().map(RunFolder::at).find(RunFolder::has_journal)
    {
        return Ok(found);
    }
    let listed = folder::list(root).with_context(|| format!("listing the runs in {}", root.display()))?;
    let known: Vec<String> = listed.iter().map(RunFolder::name).collect();
    if let Some(why) = no_run_at(name) {
        return Err(Failure::NoSuchRun(why).into());
    }
    let hint = match nearest(name, known.iter().map(String::as_str).chain(EXAMPLES)) {
        Some(near) if near != name => format!("; did you mean `{near}`?"),
        _ if EXAMPLES.contains(&name) => {
            "; it lies in `runs` of the program's source: go there, or give the path of its folder".into()
        }
        _ if known.is_empty() => "; there are no runs yet: start one with `selfreward run`".into(),
        _ => "; `selfreward ls` lists them".into(),
    };
    let place = if name.contains('/') { "here".to_string() } else { format!("in {}", root.display()) };
    Err(Failure::NoSuchRun(format!("there is no run `{name}` {place}{hint}")).into())
}

/// What stands at a path that was given as a run and is none.
fn no_run_at(name: &str) -> Option<String> {
    let path = Path::new(name);
    match name.contains('/') && path.exists() {
        true if path.is_dir() => {
            Some(format!("`{name}` is a folder without a journal, so no run; `selfreward ls` lists runs"))
        }
        true => Some(format!("`{name}` is a file; a run is a folder, and `selfreward ls` lists them")),
        false => None,
    }
}

/// Where a run that comes with the program can lie: in a checkout around here, or near the installed program.
fn example_folders(name: &str) -> Vec<PathBuf> {
    let program = std::env::current_exe().ok();
    let near = program.iter().flat_map(|program| program.ancestors().skip(1).take(4));
    let around = std::env::current_dir().ok();
    let around = around.iter().flat_map(|here| here.ancestors());
    let mut folders: Vec<PathBuf> = around.map(|above| above.join("runs").join(name)).collect();
    for above in near {
        folders.push(above.join("runs").join(name));
        folders.push(above.join("share/selfreward/runs").join(name));
    }
    folders
}

/// A run as its journal tells it now.
pub struct Opened {
    pub folder: RunFolder,
    pub view: RunView,
    pub lookup: Lookup,
    pub damage: Vec<Damage>,
    /// Who runs it now, if anybody does.
    pub holder: Option<Holder>,
}

/// Opens a run by name and says its damage.
pub fn open(root: &Path, name: &str, output: &mut Output) -> Result<Opened> {
    let opened = read(find(root, name)?)?;
    opened.say_damage(output);
    Ok(opened)
}

/// Folds the whole journal.
pub fn read(folder: RunFolder) -> Result<Opened> {
    let holder = folder.holder();
    let mut opened =
        Opened { lookup: Lookup::new(folder.path()), folder, view: RunView::default(), damage: Vec::new(), holder };
    let Opened { folder, view, lookup, damage, .. } = &mut opened;
    Tail::new(folder.path())
        .read(|place, found| {
            match found {
                Found::Entry(entry) => {
                    lookup.passed(entry.seq, place);
                    view.apply(&entry);
                }
                Found::Damage(what) => damage.push(Damage { place, what }),
            }
            true
        })
        .with_context(|| format!("reading the journal in {}", folder.path().display()))?;
    Ok(opened)
}

impl Opened {
    pub fn name(&self) -> String {
        self.folder.name()
    }

    /// Names each damaged place as file:line; what could be read is used.
    pub fn say_damage(&self, output: &mut Output) {
        for damage in self.damage.iter().take(DAMAGE_SHOWN) {
            output.remark(&format!("{}/{damage}; the rest is used", self.folder.path().display()));
        }
        if self.damage.len() > DAMAGE_SHOWN {
            output.remark(&format!("… and {} more damaged places", self.damage.len() - DAMAGE_SHOWN));
        }
    }

    /// The run's state in one word.
    pub fn state(&self) -> &'static str {
        match (&self.view.state, &self.holder) {
            (State::Finished, _) => "finished",
            (State::Failed(_), _) => "failed",
            (_, None) => "interrupted",
            (State::Paused(_), Some(_)) => "paused",
            (State::Waiting, Some(_)) => "waiting",
            (State::Fresh | State::Running | State::Stopped(_), Some(_)) => "running",
        }
    }

    /// The moment for which progress is estimated: now where an engine lives, else the last entry.
    pub fn moment(&self) -> Stamp {
        if self.holder.is_some() { now() } else { self.view.at }
    }

    /// Digests what happened. It reads the journal once more: most commands do not ask, and hashing takes longer than folding.
    pub fn facts(&self) -> Result<Facts> {
        let mut facts = Facts::default();
        self.each(|entry| facts.add(&entry.event))?;
        Ok(facts)
    }

    /// Hands over every entry once more, in order.
    pub fn each(&self, mut take: impl FnMut(&Entry)) -> Result<()> {
        Tail::new(self.folder.path())
            .read(|_, found| {
                if let Found::Entry(entry) = found {
                    take(&entry);
                }
                true
            })
            .with_context(|| format!("reading the journal in {}", self.folder.path().display()))?;
        Ok(())
    }

    /// The wanted entries in one reading, in order: far cheaper than one by one where many are wanted.
    pub fn entries(&self, wanted: &HashSet<Seq>) -> Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity(wanted.len());
        if !wanted.is_empty() {
            self.each(|entry| {
                if wanted.contains(&entry.seq) {
                    entries.push(entry.clone());
                }
            })?;
        }
        Ok(entries)
    }
}

/// A name for a run that nobody has named. Two of them may begin in one second.
pub fn name_by_date(root: &Path, kind: &str) -> String {
    // `2026-11-21T14:02:11` without what a name may not hold.
    let name = format!("{kind}-{}", now().to_string()[..19].replace(['T', ':'], "-"));
    let free = |name: &String| !root.join(name).exists();
    let others = (2..100).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(others).find(free).unwrap_or(name)
}

/// The present moment. Commands may read the clock; what they read of a run must not.
pub fn now() -> Stamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Stamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::exit_code;

    #[test]
    fn names_that_cannot_be_runs_are_usage_errors_and_missing_ones_are_not() {
        let root = tempfile::tempdir().unwrap();
        for (name, code) in [("../x", 2), ("a/../b", 2), ("", 2), ("x\u{1b}[m", 2), ("nobody", 4), ("/nowhere/x", 4)] {
            let error = find(root.path(), name).unwrap_err();
            assert_eq!(exit_code(&error), code, "{name:?}: {error}");
        }
    }

    #[test]
    fn the_nearest_run_is_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "phi-2").unwrap();
        std::fs::write(folder.path().join("journal-0001.jsonl"), "").unwrap();
        assert!(find(root.path(), "phi2").unwrap_err().to_string().contains("did you mean `phi-2`"));
        assert!(find(root.path(), "phi-2").is_ok());
    }
}
