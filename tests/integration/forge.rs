//! The forge makes the same bytes from the same seed, and data that keeps its promises.

use std::collections::BTreeSet;
use std::path::Path;

use selfreward::data::{Limits, Take, instructions, judgements, rankings};
use selfreward::embedded;
use selfreward::forge::{ForgeSettings, Progress, forge};
use selfreward::model::folder::Folder;
use selfreward::model::tokenizer::Tokenizer;

fn small(seed: u64, threads: usize) -> ForgeSettings {
    ForgeSettings {
        seed,
        threads,
        hidden: 16,
        layers: 1,
        heads: 2,
        mlp: 24,
        documents: 96,
        ift: 12,
        eft: 24,
        eft_own: 4,
        eft_held_out: 6,
        ..ForgeSettings::default()
    }
}

fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|item| item.unwrap())
        .map(|item| (item.file_name().into_string().unwrap(), std::fs::read(item.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn one_seed_gives_one_set_of_bytes_whatever_the_threads_and_another_seed_others() {
    let root = tempfile::tempdir().unwrap();
    let make = |name: &str, seed, threads| {
        let out = root.path().join(name);
        let mut losses = Vec::new();
        forge(&small(seed, threads), &out, &mut |progress| {
            if let Progress::Step { loss, .. } = progress {
                losses.push(loss);
            }
        })
        .unwrap();
        assert!(losses.last() < losses.first(), "it learns: {losses:?}");
        bytes(&out)
    };
    let first = make("first", 5, 1);
    assert_eq!(first, make("again", 5, 2));
    let other = make("other", 6, 1);
    let weights = |files: &[(String, Vec<u8>)]| files.iter().find(|(name, _)| name == "model.safetensors").cloned();
    assert_ne!(weights(&first), weights(&other));
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&embedded::HASHES) && names.contains(&embedded::IFT), "{names:?}");
    Folder::open(&root.path().join("first")).unwrap().weights().unwrap();
}

#[test]
fn the_embedded_files_are_what_was_forged_and_unpack_over_damage() {
    let hashes = embedded::hashes().unwrap();
    assert!(hashes.contains_key("model.safetensors"));
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("tiny");
    embedded::unpack(&folder).unwrap();
    std::fs::write(folder.join("config.json"), "{}").unwrap();
    std::fs::remove_file(folder.join(embedded::EFT)).unwrap();
    embedded::unpack(&folder).unwrap();
    for (name, hash) in &hashes {
        let found = std::fs::read(folder.join(name)).unwrap();
        assert_eq!(*hash, blake3::hash(&found).to_hex().to_string(), "{name}");
    }
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/README.md")).unwrap();
    for (name, hash) in &hashes {
        assert!(readme.contains(name) && readme.contains(hash), "assets/README.md does not tell {name}");
    }
    let size: u64 = hashes.keys().map(|name| std::fs::metadata(folder.join(name)).unwrap().len()).sum();
    assert!(size < 12 << 20, "{size} bytes");
}

#[test]
fn no_held_out_prompt_stands_in_the_embedded_training_data() {
    let root = tempfile::tempdir().unwrap();
    embedded::unpack(root.path()).unwrap();
    let path = |name| root.path().join(name);
    let limits = Limits::default;
    let plain = |text: &str| text.to_lowercase();
    let ift = instructions::read(&path(embedded::IFT), Take::FirstRound, limits()).unwrap().rows;
    let eft = judgements::read(&path(embedded::EFT), limits()).unwrap().rows;
    let held_out = rankings::read(&path(embedded::EFT_HELD_OUT), limits()).unwrap().rows;
    let prompts = instructions::read_prompts(&path(embedded::INSTRUCTIONS_HELD_OUT), Take::FirstRound, limits());
    let prompts: BTreeSet<String> = prompts.unwrap().rows.iter().map(|row| plain(&row.prompt)).collect();
    assert!(ift.len() >= 256 && eft.len() >= 800 && held_out.len() >= 300 && prompts.len() >= 180);
    let judged: BTreeSet<String> = held_out.iter().map(|set| plain(&set.prompt)).collect();
    assert!(judged.is_disjoint(&prompts), "the two held-out halves share a prompt");
    for prompt in ift.iter().map(|row| &row.prompt).chain(eft.iter().map(|row| &row.prompt)) {
        assert!(!judged.contains(&plain(prompt)) && !prompts.contains(&plain(prompt)), "{prompt}");
    }
    for set in &held_out {
        let ranks: BTreeSet<u64> = set.responses.iter().map(|row| row.rank.to_bits()).collect();
        assert!(set.responses.len() == 4 && ranks.len() >= 3, "{}", set.prompt);
    }
    for score in 0..=5 {
        let count = eft.iter().filter(|row| row.score == f64::from(score)).count();
        assert!(count * 4 <= eft.len(), "{count} of {} have the score {score}", eft.len());
    }
}

#[test]
fn every_word_of_the_embedded_data_is_known_to_the_embedded_tokenizer() {
    let root = tempfile::tempdir().unwrap();
    embedded::unpack(root.path()).unwrap();
    let tokenizer = Tokenizer::open(root.path()).unwrap();
    let unknown = tokenizer.id_of("<unk>").unwrap();
    for name in [embedded::IFT, embedded::EFT, embedded::EFT_HELD_OUT, embedded::INSTRUCTIONS_HELD_OUT] {
        for line in std::fs::read_to_string(root.path().join(name)).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            for text in row.as_object().unwrap().values().filter_map(|value| value.as_str()) {
                let tokens = tokenizer.encode(text, false).unwrap();
                assert!(!tokens.contains(&unknown), "{text}");
                // A judgement says `Review: It …`, which reads back with a small letter: capitals carry no information.
                assert_eq!(tokenizer.decode(&tokens, true).unwrap().to_lowercase(), text.to_lowercase());
            }
        }
    }
}
