//! Shapes of rows that teach or ask: instructions and prompts; and the public files as they lie.

use selfreward::data::split::{overlap, split};
use selfreward::data::{Instruction, Limits, Prompt, Read, Role, Take, instructions, rankings};

use crate::data_files::{file, gzip};
use crate::shared_data::shared;

fn instructions_of(text: &str, take: Take) -> anyhow::Result<Read<Instruction>> {
    let (_folder, path) = file(text.as_bytes());
    instructions::read(&path, take, Limits::default())
}

fn prompts_of(text: &str) -> anyhow::Result<Read<Prompt>> {
    let (_folder, path) = file(text.as_bytes());
    instructions::read_prompts(&path, Take::FirstRound, Limits::default())
}

/// An instruction as one line: `system | context | prompt => response`.
fn shown(row: &Instruction) -> String {
    format!("{} => {}", shown_question(row.system.as_deref(), &row.context, &row.prompt), row.response)
}

pub fn shown_question(system: Option<&str>, context: &[selfreward::data::Turn], prompt: &str) -> String {
    let context: Vec<String> = context
        .iter()
        .map(|turn| format!("{}:{}", if turn.role == Role::User { "u" } else { "a" }, turn.text))
        .collect();
    format!("{} | {} | {prompt}", system.unwrap_or("-"), context.join(" "))
}

const THREE_ROUNDS: &str = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"q1"},{"role":"assistant","content":"r1"},{"role":"user","content":"q2"},{"role":"assistant","content":"r2"},{"role":"user","content":"q3"}]}"#;

#[test]
fn every_shape_of_instructions_is_read() {
    let table: Vec<(&str, &str, &[&str])> = vec![
        ("prompt and response", r#"{"prompt":"q","response":"r"}"#, &["- |  | q => r"]),
        ("with a system text", r#"{"system":"s","prompt":"q","response":"r"}"#, &["s |  | q => r"]),
        ("prompt and completion", r#"{"prompt":"q","completion":"r"}"#, &["- |  | q => r"]),
        (
            "prompt and completion as turns",
            r#"{"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"r"}]}"#,
            &["- |  | q => r"],
        ),
        (
            "messages",
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"r"}]}"#,
            &["- |  | q => r"],
        ),
        (
            "messages in parts",
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"text","text":"!"}]},{"role":"assistant","content":"r"}]}"#,
            &["- |  | q! => r"],
        ),
        (
            "messages with a system turn",
            r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},{"role":"assistant","content":"r"}]}"#,
            &["s |  | q => r"],
        ),
        (
            "ShareGPT",
            r#"{"id":"x","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"r"}]}"#,
            &["- |  | q => r"],
        ),
        (
            "ShareGPT with a system text beside",
            r#"{"system":"s","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"r"}]}"#,
            &["s |  | q => r"],
        ),
        (
            "messages beside a prompt",
            r#"{"prompt":"q","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"r"}]}"#,
            &["- |  | q => r"],
        ),
        ("alpaca", r#"{"instruction":"q","input":"i","output":"r"}"#, &["- |  | q\n\ni => r"]),
        ("alpaca without input", r#"{"instruction":"q","input":"","output":"r"}"#, &["- |  | q => r"]),
        ("alpaca with null input", r#"{"instruction":"q","input":null,"output":"r"}"#, &["- |  | q => r"]),
        (
            "alpaca with history",
            r#"{"instruction":"q","output":"r","system":"s","history":[["a","b"],["c","d"]]}"#,
            &["s | u:a a:b u:c a:d | q => r"],
        ),
        (
            "instruction with context",
            r#"{"instruction":"q","context":"i","response":"r","category":"x"}"#,
            &["- |  | q\n\ni => r"],
        ),
        (
            "a Self-Instruct task",
            r#"{"id":"t","instruction":"q","instances":[{"input":"i","output":"r"},{"input":"<noinput>","output":"r2"}]}"#,
            &["- |  | q\n\ni => r", "- |  | q => r2"],
        ),
        ("a question", r#"{"question":"q","answer":"r"}"#, &["- |  | q => r"]),
        (
            "a transcript as prompt",
            r#"{"prompt":"\n\nHuman: a\n\nAssistant: b\n\nHuman: q\n\nAssistant:","response":" r"}"#,
            &["- | u:a a:b | q =>  r"],
        ),
        ("text is not trimmed", r#"{"prompt":" q\n","response":"\tr"}"#, &["- |  |  q\n => \tr"]),
        ("several rounds, of which the first is taken", THREE_ROUNDS, &["s |  | q1 => r1"]),
    ];
    for (name, text, expected) in table {
        let read = instructions_of(text, Take::FirstRound).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(read.rows.iter().map(shown).collect::<Vec<_>>(), expected, "{name}");
        assert_eq!(read.refused_count, 0, "{name}");
    }
    let last = instructions_of(THREE_ROUNDS, Take::LastRound).unwrap();
    assert_eq!(shown(&last.rows[0]), "s | u:q1 a:r1 | q2 => r2");
    assert_eq!(last.noted.values().sum::<usize>(), 1, "the question that nobody answered is noted");
}

#[test]
fn an_instruction_that_does_not_fit_is_refused_with_the_reason() {
    let table = [
        (r#"{"prompt":"q"}"#, "has a prompt and no response"),
        (r#"{"response":"r"}"#, "has a response and no prompt"),
        (r#"{"prompt":"","response":"r"}"#, "the prompt is empty"),
        (r#"{"prompt":"q","response":" \n"}"#, "the response is empty"),
        (r#"{"prompt":7,"response":"r"}"#, "`prompt` is a number, where text was expected"),
        (r#"{"prompt":"q","response":{"a":1}}"#, "`response` is an object, where text was expected"),
        (r#"{"prompt":"q","chosen":"a","rejected":"b"}"#, "is a preference pair"),
        (
            r#"{"conversations":[{"from":"human","value":"q"}],"chosen":{"from":"gpt","value":"a"},"rejected":{"from":"gpt","value":"b"}}"#,
            "is a preference pair",
        ),
        (r#"{"messages":[]}"#, "the conversation has no turns"),
        (r#"{"messages":"q"}"#, "`messages` is text, where a list of turns was expected"),
        (r#"{"messages":[{"role":"user","content":"q"}]}"#, "a question and no reply"),
        (
            r#"{"messages":[{"role":"assistant","content":"r"},{"role":"user","content":"q"}]}"#,
            "begins with the assistant",
        ),
        (
            r#"{"messages":[{"role":"user","content":"q"},{"role":"user","content":"q"}]}"#,
            "turns 1 and 2 have the same speaker",
        ),
        (r#"{"messages":[{"role":"user","content":"q"},{"role":"system","content":"s"}]}"#, "turn 2 is a system turn"),
        (r#"{"messages":[{"role":"tool","content":"q"}]}"#, "turn 1 of `messages` is spoken by \"tool\""),
        (r#"{"messages":[{"role":"\u001b[2J","content":"q"}]}"#, r#"is spoken by "\u{1b}[2J""#),
        (r#"{"messages":[{"content":"q"}]}"#, "does not say who speaks"),
        (r#"{"messages":[{"role":"user"}]}"#, "says nothing"),
        (
            r#"{"messages":[{"role":"user","content":" "},{"role":"assistant","content":"r"}]}"#,
            "turn 1 of the conversation is empty",
        ),
        (r#"{"messages":["q","r"]}"#, "turn 1 of `messages` is text"),
        (r#"{"instruction":"q","instances":[]}"#, "`instances` is empty"),
        (r#"{"instruction":"q","instances":[{"output":"r"},{"input":"i"}]}"#, "instance 2: has no `output`"),
        (r#"{"instruction":"q","output":"r","history":[["a"]]}"#, "`history` is not a list of [question, reply]"),
        (r#"{"text":"q"}"#, "has no member that is known as a prompt"),
    ];
    for (bad, why) in table {
        let text = format!("{{\"prompt\":\"good\",\"response\":\"row\"}}\n{bad}\n");
        let read = instructions_of(&text, Take::FirstRound).unwrap();
        assert_eq!((read.rows.len(), read.refused_count), (1, 1), "{bad}");
        assert_eq!(read.refused[0].line, 2, "{bad}");
        assert!(read.refused[0].why.contains(why), "{bad}: {}", read.refused[0].why);
    }
}

#[test]
fn prompts_are_read_from_files_of_prompts_and_from_every_shape_of_instructions() {
    let text = [
        r#"{"prompt":"a"}"#,
        r#"{"instruction":"b","input":"i"}"#,
        r#"{"prompt":"c","response":"not used"}"#,
        r#"{"messages":[{"role":"user","content":"d"}]}"#,
        r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"r"},{"role":"user","content":"e"}]}"#,
        THREE_ROUNDS.replace(r#",{"role":"user","content":"q3"}"#, "").as_str(),
        r#"{"instruction":"f","instances":[{"input":"","output":"r"}]}"#,
    ]
    .join("\n");
    let read = prompts_of(&text).unwrap();
    let found: Vec<String> =
        read.rows.iter().map(|row| shown_question(row.system.as_deref(), &row.context, &row.prompt)).collect();
    assert_eq!(
        found,
        ["- |  | a", "- |  | b\n\ni", "- |  | c", "- |  | d", "- | u:q a:r | e", "s |  | q1", "- |  | f"]
    );
    assert_eq!(read.refused_count, 0);
}

#[test]
fn every_row_has_a_name_of_its_own_that_depends_on_the_content_alone() {
    let text = r#"{"id":"x","prompt":"a","response":"r"}
{"id":"x","prompt":"b","response":"r"}
{"id":"x#2","prompt":"c","response":"r"}
{"id":7,"prompt":"d","response":"r"}
{"prompt":"e","response":"r"}
{"prompt":"e","response":"r"}
{"id":"\u001b[2J","prompt":"f","response":"r"}"#;
    let names = |text: &str| -> Vec<String> {
        instructions_of(text, Take::FirstRound).unwrap().rows.into_iter().map(|row| row.id).collect()
    };
    let found = names(text);
    assert_eq!(found[..4], ["x", "x#2", "x#2#2", "7"]);
    assert_eq!(found[5], format!("{}#2", found[4]), "the same content has the same name, counted");
    assert_eq!(found[4], names(r#"{"prompt":"e","response":"r","extra":[1]}"#)[0], "in every file");
    assert!(
        found[6].chars().all(|c| c.is_ascii_hexdigit()),
        "a name that a screen could not show is replaced: {:?}",
        found[6]
    );
}

#[test]
fn public_files_are_read_whole() {
    if let Some(path) = shared("data/self-instruct/seed_tasks.jsonl") {
        let read = instructions::read(&path, Take::FirstRound, Limits::default()).unwrap();
        assert_eq!((read.rows.len(), read.seen, read.refused_count), (175, 175, 0));
        assert_eq!(read.rows[1].id, "seed_task_1");
        assert_eq!(read.rows[1].prompt, "What is the relation between the given pairs?\n\nNight : Day :: Right : Left");
        let held = split(read.rows.clone(), 0.2, 7).unwrap();
        assert_eq!(held.train.len() + held.held_out.len(), 175);
        assert!((20..=50).contains(&held.held_out.len()), "{} of 175 at a share of .2", held.held_out.len());
        assert_eq!(overlap(&held.train, &held.held_out), []);
        assert_eq!(prompts_of(&std::fs::read_to_string(&path).unwrap()).unwrap().rows.len(), 175);
    }
    if let Some(path) = shared("data/llama-factory/dpo_en_demo.json") {
        let read = rankings::read(&path, Limits::default()).unwrap();
        assert_eq!((read.rows.len(), read.seen, read.refused_count), (300, 300, 0));
        assert_eq!(read.rows.iter().filter(|set| set.system.is_some()).count(), 80);
        assert_eq!(read.rows.iter().filter(|set| !set.context.is_empty()).count(), 106);
        let (_folder, packed) = file(&gzip(&std::fs::read(&path).unwrap()));
        assert_eq!(rankings::read(&packed, Limits::default()).unwrap().rows, read.rows, "packed or not");
        let error = format!("{:#}", instructions::read(&path, Take::FirstRound, Limits::default()).unwrap_err());
        assert!(
            error.contains("none of its 300 rows")
                && error.contains("preference pair")
                && error.contains("\"conversations\""),
            "{error}"
        );
    }
    if let Some(path) = shared("data/self-reward-rlhf/gbt_scores.jsonl") {
        let error = format!("{:#}", rankings::read(&path, Limits::default()).unwrap_err());
        assert!(error.contains("none of its 200 rows could be read as ranked responses"), "{error}");
    }
}
