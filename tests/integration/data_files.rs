//! Files as bytes: packing, marks, line ends, limits, damage, and bytes that are anything at all.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use selfreward::data::{Limits, Read, Take, instructions, rankings, scores};
use tempfile::TempDir;

const ROW: &str = r#"{"prompt":"Name a colour.","response":"Blue."}"#;

pub fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn read(bytes: &[u8], limits: Limits) -> anyhow::Result<Read<instructions::Instruction>> {
    let (_folder, path) = file(bytes);
    instructions::read(&path, Take::FirstRound, limits)
}

fn refusals<T>(read: &Read<T>) -> Vec<(u64, String)> {
    read.refused.iter().map(|refused| (refused.line, refused.why.clone())).collect()
}

#[test]
fn the_same_rows_come_out_of_every_packing_and_every_habit_of_writing() {
    let two = format!("{ROW}\n{}\n", ROW.replace("colour", "number"));
    let array = format!("[\n  {ROW},\n  {}\n]\n", ROW.replace("colour", "number"));
    let members: Vec<u8> =
        [gzip(two.lines().next().unwrap().as_bytes()), gzip(b"\n"), gzip(two.lines().nth(1).unwrap().as_bytes())]
            .concat();
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("plain", two.clone().into_bytes()),
        ("without the last line end", two.trim_end().as_bytes().to_vec()),
        ("CRLF", two.replace('\n', "\r\n").into_bytes()),
        ("a byte order mark", [b"\xEF\xBB\xBF", two.as_bytes()].concat()),
        ("blank lines between", two.replace('\n', "\n\n  \n").into_bytes()),
        ("gzip", gzip(two.as_bytes())),
        ("gzip of several members", members),
        ("zstd", zstd(two.as_bytes())),
        ("zstd of several frames", [zstd(ROW.as_bytes()), zstd(&two.as_bytes()[ROW.len()..])].concat()),
        ("gzip with a byte order mark inside", gzip(&[b"\xEF\xBB\xBF", two.as_bytes()].concat())),
        ("an array", array.clone().into_bytes()),
        ("an array on one line", array.replace('\n', "").into_bytes()),
        ("an array with a byte order mark and CRLF", format!("\u{FEFF}{}", array.replace('\n', "\r\n")).into_bytes()),
        ("a packed array", gzip(array.as_bytes())),
        ("an array after blank lines", format!("\n\n {array}").into_bytes()),
    ];
    for (name, bytes) in table {
        let read = read(&bytes, Limits::default()).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let prompts: Vec<&str> = read.rows.iter().map(|row| row.prompt.as_str()).collect();
        assert_eq!(prompts, ["Name a colour.", "Name a number."], "{name}");
        assert_eq!((read.seen, read.refused_count), (2, 0), "{name}");
    }
}

#[test]
fn a_line_that_can_not_be_used_is_refused_with_its_number_and_the_others_are_used() {
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("invalid UTF-8", b"{\"prompt\":\"caf\xE9\"}".to_vec(), "byte 15 (0xE9) is not UTF-8; save the file as UTF-8"),
        ("a raw NUL", b"{\"prompt\":\"a\0b\",\"response\":\"c\"}".to_vec(), "the line holds NUL bytes"),
        ("a NUL tail", vec![0; 64], "NUL bytes"),
        ("a number", b"17".to_vec(), "is a number, where an object was expected"),
        ("an array in a line", b"[1,2]".to_vec(), "is a list, where an object was expected"),
        ("a Python dict", b"{'prompt': 'a'}".to_vec(), "looks like a Python dict: write it with json.dumps"),
        ("NaN", b"{\"score\": NaN}".to_vec(), "JSON has no NaN and no Infinity: write null"),
        ("half an object", b"{\"prompt\": \"a\",".to_vec(), "write one object a line, or one array of objects"),
        ("half a surrogate pair", br#"{"prompt":"\ud800","response":"b"}"#.to_vec(), "is not JSON"),
        ("nesting without end", "[".repeat(100_000).into_bytes(), "recursion limit exceeded"),
        ("an escape sequence as a key", b"{\"\\u001b[31m\":1}".to_vec(), "has no member that is known as a prompt"),
    ];
    for (name, bad, why) in table {
        let bytes = [ROW.as_bytes(), b"\n\n", &bad, b"\n", ROW.as_bytes()].concat();
        let read = read(&bytes, Limits::default()).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!((read.rows.len(), read.seen, read.refused_count), (2, 3, 1), "{name}");
        let (line, reason) = &refusals(&read)[0];
        assert_eq!(*line, 3, "{name}");
        assert!(reason.contains(why), "{name}: {reason}");
        assert!(!reason.chars().any(char::is_control), "{name}: {reason:?}");
    }
}

#[test]
fn an_element_that_can_not_be_used_costs_that_element_alone() {
    let table = [
        ("an element that is no JSON", format!("[{ROW},\n{{oops}},\n{ROW}]"), 2, vec![2]),
        ("a missing element", format!("[{ROW},\n,\n{ROW}]"), 2, vec![2]),
        ("brackets and quotes inside text", r#"[{"prompt":"a ] , \" [ \\","response":"}"}]"#.to_string(), 1, vec![]),
        ("a cut array", format!("[{ROW},\n{ROW},\n{{\"prompt\":"), 2, vec![3]),
        ("an array cut between elements", format!("[{ROW},\n{ROW}\n"), 1, vec![2]),
        ("text after the array", format!("[{ROW}]\n{ROW}"), 1, vec![2]),
        ("a comma at the end", format!("[{ROW},]"), 1, vec![]),
    ];
    for (name, text, rows, lines) in table {
        let read = read(text.as_bytes(), Limits::default()).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(read.rows.len(), rows, "{name}");
        assert_eq!(refusals(&read).iter().map(|(line, _)| *line).collect::<Vec<_>>(), lines, "{name}");
    }
}

#[test]
fn a_line_of_a_megabyte_is_read_and_one_over_the_cap_is_refused_without_being_kept() {
    let long = |n: usize| format!(r#"{{"prompt":"a","response":"{}"}}"#, "b".repeat(n));
    let limits = Limits { line_bytes: 2 << 20, ..Limits::default() };
    for (name, text) in [
        ("lines", format!("{}\n{}\n{ROW}\n", long(1 << 20), long(3 << 20))),
        ("elements", format!("[{},\n{},\n{ROW}]", long(1 << 20), long(3 << 20))),
    ] {
        let read = read(text.as_bytes(), limits).unwrap();
        assert_eq!(read.rows.iter().map(|row| row.response.len()).collect::<Vec<_>>(), [1 << 20, 5], "{name}");
        let (line, why) = &refusals(&read)[0];
        assert_eq!(*line, 2, "{name}");
        assert!(why.contains("longer than 2097152 bytes"), "{name}: {why}");
    }
}

#[test]
fn text_keeps_nul_escapes_and_hidden_characters_as_they_were_written() {
    let read =
        read(br#"{"prompt":"a\u0000b\u001b[31m\u202e","response":"\ud83d\ude00\r\n "}"#, Limits::default()).unwrap();
    assert_eq!(read.rows[0].prompt, "a\0b\u{1b}[31m\u{202e}");
    assert_eq!(read.rows[0].response, "\u{1F600}\r\n ");
}

#[test]
fn a_stream_that_unpacks_to_too_much_or_breaks_is_an_error_that_names_the_place() {
    let many = format!("{ROW}\n").repeat(40_000);
    let small = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
    let steep = Limits { ratio: 2, ratio_from: 1 << 16, ..Limits::default() };
    let noise: String = (0..2000_u32)
        .map(|i| format!("{{\"prompt\":\"{}\",\"response\":\"b\"}}\n", blake3::hash(&i.to_le_bytes())))
        .collect();
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 20].to_vec();
    let flipped = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        bytes
    };
    let table: Vec<(&str, Vec<u8>, Limits, &str)> = vec![
        ("gzip over the cap", gzip(many.as_bytes()), small, "unpacks to more than 1048576 bytes"),
        ("zstd over the cap", zstd(many.as_bytes()), small, "unpacks to more than 1048576 bytes"),
        ("zstd over the ratio", zstd(many.as_bytes()), steep, "far more than its size promises"),
        ("cut gzip", cut(gzip(noise.as_bytes())), Limits::default(), "nothing of the file is used"),
        ("cut zstd", cut(zstd(noise.as_bytes())), Limits::default(), "nothing of the file is used"),
        ("gzip with a flipped bit", flipped(gzip(noise.as_bytes())), Limits::default(), "nothing of the file is used"),
        (
            "a packed array, cut",
            cut(gzip(format!("[{}", noise.replace('\n', ",\n")).as_bytes())),
            Limits::default(),
            "nothing of the file is used",
        ),
    ];
    for (name, bytes, limits, expected) in table {
        let error = format!("{:#}", read(&bytes, limits).expect_err(name));
        assert!(error.contains(expected), "{name}: {error}");
        assert!(error.contains("rows.jsonl:"), "{name}: {error}");
    }
    let few = Limits { rows: 39_999, ..Limits::default() };
    let error = format!("{:#}", read(many.as_bytes(), few).expect_err("more rows than the limit"));
    assert!(error.contains("rows.jsonl:40000: the file has more than 39999 rows"), "{error}");
    assert_eq!(read(many.as_bytes(), small).unwrap().rows.len(), 40_000, "a plain file is as large as it is");
}

#[test]
fn a_file_of_another_kind_is_refused_by_what_it_is() {
    let mut tar = vec![b'x'; 600];
    tar[257..262].copy_from_slice(b"ustar");
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("Parquet", b"PAR1\x15\x04".to_vec()),
        ("Arrow", b"ARROW1\0\0".to_vec()),
        ("zip", b"PK\x03\x04abc".to_vec()),
        ("bzip2", b"BZh91AY".to_vec()),
        ("xz", b"\xFD7zXZ\0\0".to_vec()),
        ("twice", gzip(&gzip(ROW.as_bytes()))),
        ("UTF-16", b"\xFF\xFE{\0\"\0".to_vec()),
        ("Git LFS", b"version https://git-lfs.github.com/spec/v1\n".to_vec()),
        ("tar archive", gzip(&tar)),
        ("web page", b"\n<!DOCTYPE html><html>".to_vec()),
        ("holds no rows", Vec::new()),
        ("holds no rows", b"\n \n".to_vec()),
        ("holds no rows", b"[ ]".to_vec()),
        ("holds no rows", gzip(b"")),
    ];
    for (expected, bytes) in table {
        let error = format!("{:#}", read(&bytes, Limits::default()).expect_err(expected));
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = format!("{:#}", instructions::read(folder.path(), Take::FirstRound, Limits::default()).unwrap_err());
    assert!(error.contains("is a folder"), "{error}");
    let nowhere = folder.path().join("nowhere.jsonl");
    let error = format!("{:#}", instructions::read(&nowhere, Take::FirstRound, Limits::default()).unwrap_err());
    assert!(error.contains("nowhere.jsonl: could not be opened"), "{error}");
}

#[test]
fn a_file_of_which_nothing_is_left_says_what_was_expected_and_what_was_there() {
    let error = format!(
        "{:#}",
        read(b"{\"q\":\"a\",\"\\u001b[2J\":1}\n{\"q\":\"b\",\"a\":2}\n", Limits::default()).unwrap_err()
    );
    for expected in [
        "none of its 2 rows could be read as instructions",
        "rows.jsonl:1: ",
        "rows.jsonl:2: ",
        "\"q\"",
        "{messages: [{role, content}, …]}",
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(error.contains(r"\u{1b}[2J") && !error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn many_refusals_are_all_counted_and_few_are_kept() {
    let read = read(format!("{}{ROW}\n", "nonsense\n".repeat(5000)).as_bytes(), Limits::default()).unwrap();
    assert_eq!((read.rows.len(), read.refused_count, read.refused.len()), (1, 5000, 20));
}

/// Pieces that make bytes look enough like the real thing to reach the depths of the readers.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        "\r\n",
        "null",
        "-1",
        "4.5",
        "\"prompt\":",
        "\"response\":",
        "\"responses\":",
        "\"rank\":",
        "\"score\":",
        "\"chosen\":",
        "\"rejected\":",
        "\"messages\":",
        "\"role\":\"user\"",
        "\"content\":",
        "\"from\":\"gpt\"",
        "\"value\":",
        "\"completion\":",
        "\"prompt_id\":",
        "\"response_id\":",
        "\"instances\":",
        "\"instruction\":",
        "\"text\":\"a\"",
        "\"\\n\\nHuman: a\\n\\nAssistant:\"",
        "\u{FEFF}",
        "\0",
        "é",
    ]);
    prop::collection::vec(
        prop_oneof![8 => word.prop_map(|word| word.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..6)],
        0..60,
    )
    .prop_map(|parts| parts.concat())
}

/// JSON of the right members with values of any kind.
fn odd_rows() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "prompt",
        "response",
        "responses",
        "rank",
        "score",
        "chosen",
        "rejected",
        "messages",
        "conversations",
        "role",
        "content",
        "from",
        "value",
        "completion",
        "prompt_id",
        "response_id",
        "instances",
        "instruction",
        "input",
        "output",
        "text",
        "ranks",
        "scores",
        "history",
        "system",
        "0",
        "oracle",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        prop::sample::select(vec![
            "user",
            "assistant",
            "",
            "\n\nHuman: a",
            "\n\nHuman: a\n\nAssistant: b",
            "NaN",
            "1e999",
            "<noinput>"
        ])
        .prop_map(serde_json::Value::from),
        ".{0,12}".prop_map(serde_json::Value::from),
    ];
    let value = leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..6).prop_map(|map| {
                serde_json::Value::Object(map.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
            }),
        ]
    });
    prop::collection::vec(value, 1..6)
        .prop_map(|rows| rows.iter().map(|row| format!("{row}\n")).collect::<String>().into_bytes())
}

/// Reads bytes in every way and checks what must hold of any answer.
fn every_reader_stands(bytes: &[u8]) {
    let (_folder, path) = file(bytes);
    let limits = Limits { line_bytes: 4096, unpacked_bytes: 1 << 20, ..Limits::default() };
    for take in [Take::FirstRound, Take::LastRound] {
        if let Ok(read) = instructions::read(&path, take, limits) {
            assert!(!read.rows.is_empty() && read.refused.len() <= read.refused_count);
            assert!(read.rows.iter().all(|row| !row.prompt.trim().is_empty() && !row.response.trim().is_empty()));
            assert!(read.rows.iter().all(|row| row.context.len() % 2 == 0));
        }
        if let Ok(read) = instructions::read_prompts(&path, take, limits) {
            assert!(read.rows.iter().all(|row| !row.prompt.trim().is_empty()));
        }
    }
    if let Ok(read) = rankings::read(&path, limits) {
        assert!(
            read.rows
                .iter()
                .all(|set| set.responses.len() >= 2 && set.responses.iter().all(|response| response.rank.is_finite()))
        );
    }
    if let Ok(read) = scores::read(&path, limits) {
        let joined = selfreward::data::join(&read.rows, &read.rows);
        assert_eq!(
            (joined.judge_alone, joined.reference_alone),
            Default::default(),
            "a file joins with itself entirely"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for beginning in [&b""[..], b"\x1F\x8B\x08\0\0\0\0\0\0\x03", b"\x28\xB5\x2F\xFD", b"[", b"\xEF\xBB\xBF{"] {
            every_reader_stands(&[beginning, &bytes].concat());
        }
    }

    #[test]
    fn a_packed_file_with_one_wrong_byte_is_read_or_refused(at in any::<prop::sample::Index>(), wrong: u8, text in pieces()) {
        for mut bytes in [gzip(&text), zstd(&text)] {
            let at = at.index(bytes.len());
            bytes[at] = wrong;
            every_reader_stands(&bytes);
        }
    }

    #[test]
    fn bytes_that_look_like_rows_are_read_or_refused(bytes in pieces()) {
        every_reader_stands(&bytes);
        every_reader_stands(&gzip(&bytes));
        every_reader_stands(&zstd(&bytes));
    }

    #[test]
    fn rows_with_members_of_any_kind_are_read_or_refused(bytes in odd_rows()) {
        every_reader_stands(&bytes);
    }

    #[test]
    fn any_text_survives_writing_and_reading_in_every_packing(prompt in "\\PC{0,20}[a-z]", response in "(?s).{0,40}[a-z]") {
        let row = serde_json::json!({"prompt": prompt, "response": response}).to_string();
        for bytes in [row.clone().into_bytes(), gzip(row.as_bytes()), zstd(row.as_bytes()), format!("[{row}]").into_bytes()] {
            let read = read(&bytes, Limits::default()).unwrap();
            prop_assert_eq!((&read.rows[0].prompt, &read.rows[0].response), (&prompt, &response));
        }
    }
}
