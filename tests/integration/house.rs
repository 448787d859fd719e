//! The house rules, kept by reading src/: who may import whom, what never occurs, how long a file may be.
//!
//! A new arrow is a new row in `LAW`, in a commit of its own, with the reason.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each module and the modules it may import. `cli` wires everything and is imported by nobody but `main.rs`.
const LAW: &[(&str, &[&str])] = &[
    // One definition of "invisible character" serves the file and the screen.
    ("run", &["text"]),
    ("text", &[]),
    ("recipe", &["run", "text"]),
    ("data", &["run", "text", "recipe"]),
    ("microworld", &["text", "recipe"]),
    // Bytes of this program and nothing else: the engine starts from them where no base and no data are named.
    ("embedded", &[]),
    ("engine", &["run", "text", "recipe", "data", "microworld", "embedded"]),
    // A rehearsal invents plausible prompts, answers and critiques: the world has them.
    ("rehearsal", &["run", "text", "recipe", "engine", "microworld"]),
    // It answers to the engine's seam, in the words of the journal; what goes over the network is its own affair.
    ("teacher", &["run", "text", "engine"]),
    ("tui", &["run", "text"]),
    ("model", &["text", "recipe"]),
    // How hard an answer pushes by its reward is the method's arithmetic, which a rehearsal shows without a trainer.
    ("train", &["run", "recipe", "model"]),
    ("llama_policy", &["run", "text", "recipe", "engine", "model", "train"]),
    // The embedded model is made where the world, which knows no tokens, meets the trainers, which know no tasks.
    ("forge", &["text", "recipe", "microworld", "embedded", "model", "train"]),
    (
        "cli",
        &[
            "run",
            "text",
            "recipe",
            "data",
            "microworld",
            "embedded",
            "engine",
            "rehearsal",
            "teacher",
            "tui",
            "model",
            "train",
            "llama_policy",
            "forge",
        ],
    ),
];

/// Modules in which tensors may be named.
const TENSOR_ROOMS: [&str; 4] = ["model", "train", "llama_policy", "forge"];
/// Files that may read a clock, below the screens and the command line.
const CLOCKS: [&str; 1] = ["engine/recorder.rs"];
/// Modules that run without a clock, except in those files.
const CLOCKLESS: [&str; 7] = ["run", "text", "recipe", "data", "microworld", "engine", "rehearsal"];
const LONGEST: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(below: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(below).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if extension.is_empty() || path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Each source file: its path below src/, its module, its text without comments and strings of tests.
fn sources() -> Vec<(String, String, String)> {
    let src = root().join("src");
    files(&src, "rs")
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_string();
            let module = name.split(['/', '.']).next().unwrap().to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            (name, module, text)
        })
        .collect()
}

/// The code of a file: lines before its tests, without comments.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]").next().unwrap_or(text);
    let lines = before_tests.lines().map(|line| match line.trim_start().strip_prefix("//") {
        Some(_) => "",
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_import_is_allowed_by_the_law() {
    let mut seen = BTreeSet::new();
    for (name, module, text) in sources() {
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let allowed =
            LAW.iter().find(|(of, _)| *of == module).unwrap_or_else(|| panic!("{name}: no row for `{module}`")).1;
        for part in code(&text).split("crate::").skip(1) {
            let imported: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if imported == module || !LAW.iter().any(|(known, _)| *known == imported) {
                continue;
            }
            assert!(allowed.contains(&imported.as_str()), "{name}: {module} may not import {imported}");
            seen.insert((module.clone(), imported));
        }
    }
    // The test itself must see imports, or it allows everything.
    assert!(seen.contains(&("engine".to_string(), "recipe".to_string())) && seen.len() > 12, "{seen:?}");
}

#[test]
fn what_must_not_occur_does_not() {
    for (name, module, text) in sources() {
        let code = code(&text);
        let tensors = TENSOR_ROOMS.contains(&module.as_str());
        assert!(tensors || !code.contains("burn::"), "{name}: tensors outside their rooms");
        assert!(
            !code.contains("Device::default()"),
            "{name}: Device::default() is CUDA wherever that feature is compiled in"
        );
        assert!(!code.contains("super::super"), "{name}: super::super");
        if CLOCKLESS.contains(&module.as_str()) && !CLOCKS.contains(&name.as_str()) {
            for clock in ["Instant::now", "SystemTime::now", "OffsetDateTime::now"] {
                assert!(!code.contains(clock), "{name}: reads a clock");
            }
        }
        for unfinished in ["todo!(", "unimplemented!(", "TODO", "FIXME"] {
            assert!(!code.contains(unfinished), "{name}: {unfinished}");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_short() {
    for (name, _, text) in sources() {
        assert!(text.starts_with("//! "), "{name}: its first line says what it is for");
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{name}: {lines} lines; it has a second job");
    }
    for path in files(&root().join("tests"), "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{}", path.display());
    }
}

#[test]
fn no_test_is_ignored_and_no_fixture_is_an_orphan() {
    let tests: String =
        files(&root().join("tests"), "rs").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(!tests.contains(concat!("#[", "ignore")), "an ignored test");
    for path in files(&root().join("tests/fixtures"), "") {
        // A fixture is named by its file, its stem, or a folder that is read whole.
        let below = path.strip_prefix(root().join("tests")).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let names = below.ancestors().filter(|part| part.components().count() > 1).map(|part| part.to_str().unwrap());
        let mut names = names.chain(below.iter().skip(1).map(|part| part.to_str().unwrap()));
        let used = names.any(|name| tests.contains(name)) || tests.contains(&format!("\"{stem}"));
        assert!(used, "{} is used by no test", path.display());
    }
}

#[test]
fn the_map_in_src_names_every_module() {
    let map = std::fs::read_to_string(root().join("src/README.md")).unwrap();
    for (module, _) in LAW {
        assert!(map.contains(&format!("`{module}")), "src/README.md does not name `{module}`");
    }
}
