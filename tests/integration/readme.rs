//! Every command of the pages that people read is one that the program understands. `readme_runs.rs` types those of the README.

use clap::Parser;
use selfreward::cli::arguments::Arguments;

/// Commands that only a program with a model has.
const OF_THE_MODEL: [&str; 6] = ["generate", "logprobs", "bench", "model", "train", "judge"];

/// Every command of a page: lines of its shell blocks (with `\` at the end a line goes on), and words between backquotes.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    // Whether a block is open, and whether it holds commands.
    let (mut block, mut shell) = (false, false);
    let mut open = String::new();
    for line in page.lines() {
        if line.starts_with("```") {
            block = !block;
            shell = ["```", "```sh"].contains(&line);
        } else if block {
            if !shell {
                continue;
            }
            let line = line.split(" # ").next().unwrap_or_default().trim_end();
            open.push_str(line.strip_suffix('\\').unwrap_or(line));
            if !line.ends_with('\\') {
                found.push(std::mem::take(&mut open));
            }
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_string));
        }
    }
    found
}

/// The words of a command line as a shell takes them apart, as far as these pages go.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in command.chars() {
        match quote {
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if character.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The words after the program's name; `None` for what is not a call of it.
fn call(command: &str) -> Option<Vec<String>> {
    let command = command.replace("cargo run --release -- ", "selfreward ");
    let words = words(&command);
    let at = words.iter().position(|word| word == "selfreward")?;
    // What stands before it sets variables or is a scheduler's.
    (words.len() > at + 1).then(|| words[at..].to_vec())
}

#[test]
fn every_command_of_the_readme_is_understood() {
    let mut checked = 0;
    for page in ["README.md", "assets/README.md", "runs/README.md", "prompts/README.md"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let text = std::fs::read_to_string(path).unwrap();
        for command in commands(&text) {
            let Some(words) = call(&command) else { continue };
            if cfg!(not(feature = "llama")) && (OF_THE_MODEL.contains(&words[1].as_str()) || words[1] == "forge") {
                continue;
            }
            // A command that is only named, as in "see `selfreward pairs`", may lack its arguments.
            let named = words.len() == 2;
            if let Err(error) = Arguments::try_parse_from(&words) {
                let lacks = matches!(
                    error.kind(),
                    clap::error::ErrorKind::MissingRequiredArgument
                        | clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                        | clap::error::ErrorKind::MissingSubcommand
                );
                assert!(named && lacks, "{page}: `{command}`\n{error}");
            }
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked}");
}
