//! Folders as they come from strangers: every fault is an error that names it, never a panic and never a large
//! allocation. And folders as we leave them behind.

use std::fs;
use std::path::{Path, PathBuf};

use selfreward::model::folder::{self, Companions, Folder};
use selfreward::model::safetensors::SafetensorsFile;
use selfreward::model::shape::Shape;
use selfreward::model::tokenizer::Tokenizer;
use selfreward::model::weights::{TensorSource, Values};
use serde_json::{Value, json};

use crate::llama_fixtures::{CASES, load, path};

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend(std::iter::repeat_n(0, data));
    file
}

#[test]
fn hostile_headers_are_refused_with_the_reason() {
    let one = |entry: &str| format!(r#"{{"a":{entry}}}"#);
    let huge = |length: u64| [length.to_le_bytes().to_vec(), b"{}".to_vec()].concat();
    let deep = "[".repeat(100_000);
    let many: String =
        (0..20_002).map(|i| format!(r#""t{i}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"#)).collect();
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("an empty file", vec![], "too few for a header"),
        ("seven bytes", vec![0; 7], "too few for a header"),
        ("a header of 2^63 bytes", huge(1 << 63), "are the limit"),
        ("a header of 2^64-1 bytes", huge(u64::MAX), "are the limit"),
        ("a header longer than the file", huge(1 << 20), "the file has 10"),
        ("no JSON", safetensors("nonsense", 0), "not what safetensors writes"),
        ("not UTF-8", [8u64.to_le_bytes().to_vec(), vec![0xff; 8]].concat(), "not what safetensors writes"),
        ("a hundred thousand brackets", safetensors(&deep, 0), "not what safetensors writes"),
        ("too many tensors", safetensors(&format!("{{{}\"z\":1}}", many), 4), "more than 20000 tensors"),
        (
            "a name twice",
            safetensors(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                4,
            ),
            "twice",
        ),
        (
            "an unknown type",
            safetensors(&one(r#"{"dtype":"I64","shape":[1],"data_offsets":[0,8]}"#), 8),
            "F32, F16 and BF16",
        ),
        (
            "a type with an escape",
            safetensors(&one(r#"{"dtype":"\u001b[2J","shape":[1],"data_offsets":[0,8]}"#), 8),
            "\\u{1b}",
        ),
        (
            "a shape that overflows",
            safetensors(&one(r#"{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}"#), 0),
            "impossible shape",
        ),
        (
            "a shape with a zero",
            safetensors(&one(r#"{"dtype":"F32","shape":[0,8],"data_offsets":[0,0]}"#), 0),
            "impossible shape",
        ),
        (
            "a negative dimension",
            safetensors(&one(r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#), 4),
            "not what safetensors writes",
        ),
        (
            "five dimensions",
            safetensors(&one(r#"{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]}"#), 4),
            "one or two",
        ),
        (
            "offsets backwards",
            safetensors(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#), 4),
            "before its start",
        ),
        (
            "offsets beyond the file",
            safetensors(&one(r#"{"dtype":"F32","shape":[1024],"data_offsets":[0,4096]}"#), 8),
            "the tensors end at 4096",
        ),
        (
            "offsets near 2^64",
            safetensors(
                &one(r#"{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551611,18446744073709551615]}"#),
                4,
            ),
            "beyond any file",
        ),
        (
            "a span that does not fit its shape",
            safetensors(&one(r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#), 8),
            "need 12",
        ),
        (
            "overlapping tensors",
            safetensors(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                12,
            ),
            "overlap or a hole",
        ),
        (
            "a hole",
            safetensors(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
                12,
            ),
            "overlap or a hole",
        ),
        (
            "data behind the last tensor",
            safetensors(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#), 9),
            "the file's data at 9",
        ),
        (
            "unknown fields",
            safetensors(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}"#), 4),
            "not what safetensors writes",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    for (name, bytes, reason) in table {
        fs::write(&file, bytes).unwrap();
        let error = format!("{:#}", SafetensorsFile::open(&file).unwrap_err());
        assert!(error.contains(reason), "{name}: {error:?} should say {reason:?}");
    }
}

#[test]
fn every_truncation_and_every_flipped_header_byte_is_survived() {
    let original = fs::read(path("tied").join("model.safetensors")).unwrap();
    let folder = copy_of("tied");
    let file = folder.path().join("model.safetensors");
    let header = 8 + u64::from_le_bytes(original[..8].try_into().unwrap()) as usize;
    for length in (0..header + 64).step_by(13).chain([original.len() - 1]) {
        fs::write(&file, &original[..length]).unwrap();
        assert!(Folder::open(folder.path()).is_err(), "cut to {length} bytes");
    }
    for at in (0..header).step_by(7) {
        let mut bytes = original.clone();
        bytes[at] ^= 0x15;
        fs::write(&file, &bytes).unwrap();
        // A flip inside the metadata or padding may leave a valid header; whatever it is, it ends with a result.
        let _ = Folder::open(folder.path()).map(|folder| folder.weights());
    }
}

fn copy_of(case: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(path(case)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn change_json(file: &Path, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}

fn refusal(folder: &Path) -> String {
    format!("{:#}", Folder::open(folder).map(|_| ()).unwrap_err())
}

#[test]
fn configurations_that_we_would_compute_wrongly_are_refused_with_the_reason() {
    for (key, value, reason) in [
        ("model_type", json!("mistral"), "only \"llama\""),
        ("model_type", Value::Null, "(absent)"),
        ("architectures", json!(["MixtralForCausalLM"]), "only LlamaForCausalLM"),
        ("hidden_act", json!("gelu"), "only \"silu\""),
        ("sliding_window", json!(4096), "sliding-window attention is not supported"),
        ("num_local_experts", json!(8), "mixture of experts"),
        ("quantization_config", json!({"bits": 4}), "quantised weights"),
        ("auto_map", json!({"AutoModel": "evil.py"}), "code of its own"),
        ("rope_parameters", json!({"rope_type": "yarn", "factor": 2.0}), "\"yarn\" is not supported"),
        ("rope_parameters", json!({"rope_type": "llama3"}), "needs"),
        ("rope_parameters", json!([1]), "not an object"),
        ("hidden_size", json!(1e9 as u64), "from 1 to 32768"),
        ("hidden_size", json!(-4), "from 1 to 32768"),
        ("num_hidden_layers", json!(100_000), "from 1 to 256"),
        ("num_hidden_layers", json!(3), "model.layers.2.mlp.down_proj.weight is missing"),
        ("num_hidden_layers", json!(1), "is used nowhere"),
        ("vocab_size", json!(u64::MAX), "from 1 to 1048576"),
        ("vocab_size", json!(95), "config.json asks for [95, 48]"),
        ("head_dim", json!(7), "odd"),
        ("num_key_value_heads", json!(3), "cannot share"),
        ("num_attention_heads", json!("4"), "whole number"),
        ("rms_norm_eps", json!(7.0), "not a small positive number"),
        ("tie_word_embeddings", json!("yes"), "not true or false"),
        ("eos_token_id", json!([1, "x"]), "not a token id"),
    ] {
        let folder = copy_of("mha");
        change_json(&folder.path().join("config.json"), |config| config[key] = value.clone());
        let error = refusal(folder.path());
        assert!(error.contains(reason), "{key} = {value}: {error:?} should say {reason:?}");
    }
}

#[test]
fn an_index_may_neither_lie_nor_leave_its_folder() {
    let index = |folder: &Path| folder.join("model.safetensors.index.json");
    for (file, reason) in [
        ("../../etc/passwd", "no plain"),
        ("/etc/x.safetensors", "no plain"),
        ("sub/x.safetensors", "no plain"),
        (".hidden.safetensors", "no plain"),
        ("absent.safetensors", "absent.safetensors"),
        ("model-00002-of-00007.safetensors", "not in the file that the index names"),
    ] {
        let folder = copy_of("gqa_llama3_bf16");
        change_json(&index(folder.path()), |index| {
            index["weight_map"]["lm_head.weight"] = json!(file);
            index["weight_map"]["model.embed_tokens.weight"] = json!(file);
        });
        let error = refusal(folder.path());
        assert!(error.contains(reason), "{file}: {error}");
    }
    let folder = copy_of("gqa_llama3_bf16");
    fs::write(index(folder.path()), "{}").unwrap();
    assert!(refusal(folder.path()).contains("weight_map"));
    // The same tensor in two shards.
    let folder = copy_of("gqa_llama3_bf16");
    fs::copy(folder.path().join("model-00001-of-00007.safetensors"), folder.path().join("more.safetensors")).unwrap();
    change_json(&index(folder.path()), |index| index["weight_map"]["other"] = json!("more.safetensors"));
    assert!(refusal(folder.path()).contains("lies in two files"));
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name_and_place() {
    for (case, width, bits) in
        [("mha", 4, f32::NAN.to_bits()), ("mha", 4, f32::INFINITY.to_bits()), ("tied", 2, 0x7e00)]
    {
        let folder = copy_of(case);
        let file = folder.path().join("model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        let last = bytes.len() - width;
        bytes[last..].copy_from_slice(&bits.to_le_bytes()[..width]);
        fs::write(&file, bytes).unwrap();
        let error = format!("{:#}", Folder::open(folder.path()).unwrap().weights().unwrap_err());
        assert!(error.contains("is not a finite number") && error.contains("model."), "{error}");
    }
}

#[test]
fn a_pipe_or_a_directory_in_place_of_a_file_is_no_trap() {
    for name in ["config.json", "model.safetensors"] {
        let folder = copy_of("mha");
        fs::remove_file(folder.path().join(name)).unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status().unwrap();
        assert!(made.success());
        assert!(refusal(folder.path()).contains("not a regular file"));
        fs::remove_file(folder.path().join(name)).unwrap();
        fs::create_dir(folder.path().join(name)).unwrap();
        assert!(refusal(folder.path()).contains("not a regular file"));
    }
}

#[test]
fn hostile_tokenizers_become_errors() {
    let original: Value = serde_json::from_slice(&fs::read(path("tokenizer").join("tokenizer.json")).unwrap()).unwrap();
    let with = |key: &str, value: Value| {
        let mut tokenizer = original.clone();
        tokenizer[key] = value;
        let files = [("tokenizer.json".to_owned(), tokenizer.to_string().into_bytes())].into();
        Tokenizer::from_files(&files).and_then(|tokenizer| tokenizer.encode(&format!("{}!", "a".repeat(40)), true))
    };
    let replace = |content: String| json!({"type": "Replace", "pattern": {"String": "a"}, "content": content});
    let split =
        |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
    for (name, result) in [
        ("a million letters for one", with("normalizer", replace("b".repeat(1_000_000)))),
        (
            "growth upon growth",
            with("normalizer", json!({"type": "Sequence", "normalizers": vec![replace("aaaa".into()); 9]})),
        ),
        ("a part nobody knows", with("normalizer", json!({"type": "Precompiled", "precompiled_charsmap": ""}))),
        ("a pattern that is none", with("pre_tokenizer", split("(((("))),
        ("a pattern without end", with("pre_tokenizer", split(&"a|".repeat(10_000)))),
        ("no model", with("model", json!(5))),
    ] {
        assert!(result.is_err(), "{name}");
    }
    // Whether it gives up or finds its way, it comes back, and without a panic.
    let _ = with("pre_tokenizer", split(r"(?:(a|aa)+\1)+(?=c)"));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Tokenizer::from_files(&[("tokenizer.json".to_owned(), deep.into_bytes())].into()).is_err());
}

#[test]
fn a_saved_folder_holds_the_same_weights_configuration_and_tokenizer() {
    for case in CASES {
        let (source, _) = load(case);
        let target = tempfile::tempdir().unwrap();
        let saved = target.path().join("M1");
        let weights = source.weights().unwrap();
        folder::save(&saved, &weights, &source.companions().unwrap()).unwrap();
        let again = Folder::open(&saved).unwrap();
        assert_eq!(again.shape, source.shape, "{case}");
        assert_eq!(again.weights().unwrap(), weights, "{case}");
        let header = fs::read(saved.join("model.safetensors")).unwrap();
        assert!(header[8..].starts_with(br#"{"__metadata__":{"format":"pt"}"#));
        assert!(saved.join("generation_config.json").exists());
        let names: Vec<PathBuf> = fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names, std::slice::from_ref(&saved), "nothing else is left behind");
        let refused = format!("{:#}", folder::save(&saved, &weights, &source.companions().unwrap()).unwrap_err());
        assert!(refused.contains("exists already"), "{refused}");
    }
}

#[test]
fn a_new_model_is_saved_with_its_tokenizer_and_loads() {
    let (source, _) = load("gqa_llama3_bf16");
    let shape: Shape = source.shape.clone();
    let weights = selfreward::model::weights::Weights::random(&shape, 0.02, 9).unwrap();
    let tokenizer = fs::read(path("tokenizer").join("tokenizer.json")).unwrap();
    let companions = Companions::of_new_model(&shape, [("tokenizer.json".to_owned(), tokenizer.clone())].into());
    let target = tempfile::tempdir().unwrap();
    let saved = target.path().join("born");
    folder::save(&saved, &weights, &companions).unwrap();
    let again = Folder::open(&saved).unwrap();
    assert_eq!((again.shape.clone(), again.weights().unwrap()), (shape, weights));
    assert_eq!(fs::read(saved.join("tokenizer.json")).unwrap(), tokenizer);
    assert!(matches!(again.tensor("model.norm.weight").unwrap().values, Values::F32(_)));
    let evil = Companions::of_new_model(&again.shape, [("../evil".to_owned(), vec![1])].into());
    assert!(folder::save(&target.path().join("x"), &again.weights().unwrap(), &evil).is_err());
    assert!(!target.path().join("x").exists() && !target.path().join("evil").exists());
}
