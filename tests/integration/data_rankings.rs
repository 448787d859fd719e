//! Shapes of ranked data: lists, long form, pairs, conversations and transcripts, and what is refused among them.

use selfreward::data::{Limits, RankedSet, Read, rankings};

use crate::data_files::file;
use crate::data_readers::shown_question;

fn sets_of(text: &str) -> anyhow::Result<Read<RankedSet>> {
    let (_folder, path) = file(text.as_bytes());
    rankings::read(&path, Limits::default())
}

fn shown_set(set: &RankedSet) -> String {
    let responses: Vec<String> =
        set.responses.iter().map(|response| format!("{}@{}", response.text, response.rank)).collect();
    format!("{} => {}", shown_question(set.system.as_deref(), &set.context, &set.prompt), responses.join(" "))
}

#[test]
fn every_shape_of_ranked_data_is_read_with_lower_ranks_as_better() {
    let table: Vec<(&str, &str, &[&str])> = vec![
        (
            "ranks inside",
            r#"{"prompt":"q","responses":[{"text":"a","rank":2},{"text":"b","rank":1}]}"#,
            &["- |  | q => a@2 b@1"],
        ),
        (
            "scores inside",
            r#"{"prompt":"q","responses":[{"text":"a","score":4.5},{"text":"b","score":0},{"text":"c","score":4.5}]}"#,
            &["- |  | q => a@-4.5 b@0 c@-4.5"],
        ),
        ("ranks beside", r#"{"prompt":"q","responses":["a","b"],"ranks":[1,2]}"#, &["- |  | q => a@1 b@2"]),
        ("scores beside", r#"{"prompt":"q","responses":["a","b"],"scores":["5",4]}"#, &["- |  | q => a@-5 b@-4"]),
        (
            "UltraFeedback",
            r#"{"instruction":"q","completions":[{"response":"a","overall_score":7.5},{"response":"b","overall_score":3}]}"#,
            &["- |  | q => a@-7.5 b@-3"],
        ),
        (
            "after earlier turns",
            r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":"q"}],"responses":[{"text":"a","rank":0},{"text":"b","rank":1}]}"#,
            &["- | u:x a:y | q => a@0 b@1"],
        ),
        (
            "long form by id",
            "{\"prompt_id\":1,\"prompt\":\"q\",\"response\":\"a\",\"rank\":2}\n{\"prompt_id\":2,\"prompt\":\"p\",\"response\":\"c\",\"rank\":1}\n{\"prompt_id\":1,\"response\":\"b\",\"rank\":1}\n{\"prompt_id\":2,\"prompt\":\"p\",\"response\":\"d\",\"rank\":2}",
            &["- |  | q => a@2 b@1", "- |  | p => c@1 d@2"],
        ),
        (
            "long form by prompt",
            "{\"prompt\":\"q\",\"response\":\"a\",\"score\":2}\n{\"prompt\":\"q\",\"response\":\"b\",\"score\":1}",
            &["- |  | q => a@-2 b@-1"],
        ),
        ("a pair", r#"{"prompt":"q","chosen":"a","rejected":"b"}"#, &["- |  | q => a@1 b@2"]),
        (
            "an alpaca pair",
            r#"{"instruction":"q","input":"i","chosen":"a","rejected":"b"}"#,
            &["- |  | q\n\ni => a@1 b@2"],
        ),
        (
            "a pair with a question",
            r#"{"system":"s","question":"q","chosen":"a","rejected":"b"}"#,
            &["s |  | q => a@1 b@2"],
        ),
        (
            "a pair of conversations",
            r#"{"prompt":"q","chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}],"score_chosen":8}"#,
            &["- |  | q => a@1 b@2"],
        ),
        (
            "a pair of last turns",
            r#"{"prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"a"}],"rejected":[{"role":"assistant","content":"b"}]}"#,
            &["- |  | q => a@1 b@2"],
        ),
        (
            "ShareGPT pair",
            r#"{"conversations":[{"from":"system","value":"s"},{"from":"human","value":"x"},{"from":"gpt","value":"y"},{"from":"human","value":"q"}],"chosen":{"from":"gpt","value":"a"},"rejected":{"from":"gpt","value":"b"}}"#,
            &["s | u:x a:y | q => a@1 b@2"],
        ),
        (
            "HH-RLHF",
            r#"{"chosen":"\n\nHuman: x\n\nAssistant: y\n\nHuman: q\n\nAssistant: a\n\nmore","rejected":"\n\nHuman: x\n\nAssistant: y\n\nHuman: q\n\nAssistant: b"}"#,
            &["- | u:x a:y | q => a\n\nmore@1 b@2"],
        ),
        (
            "HH-RLHF with its prompt apart",
            r#"{"prompt":"\n\nHuman: q\n\nAssistant:","chosen":" a","rejected":" b"}"#,
            &["- |  | q =>  a@1  b@2"],
        ),
        (
            "a text that mentions the markers is text",
            r#"{"prompt":"Write Human: and Assistant: in turn","chosen":"Human: x","rejected":"y"}"#,
            &["- |  | Write Human: and Assistant: in turn => Human: x@1 y@2"],
        ),
    ];
    for (name, text, expected) in table {
        let read = sets_of(text).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(read.rows.iter().map(shown_set).collect::<Vec<_>>(), expected, "{name}");
        assert_eq!(read.refused_count, 0, "{name}: {:?}", read.refused);
    }
    let oracle =
        sets_of(r#"{"prompt":"q","responses":[{"text":"a","rank":2,"oracle":5},{"text":"b","rank":1}]}"#).unwrap();
    assert_eq!(
        oracle.rows[0].responses.iter().map(|r| (r.rank, r.oracle)).collect::<Vec<_>>(),
        [(2.0, Some(5.0)), (1.0, None)]
    );
}

#[test]
fn ranked_data_that_does_not_fit_is_refused_with_the_reason() {
    let table = [
        (r#"{"prompt":"q"}"#, "has neither a list of `responses`"),
        (r#"{"responses":[{"text":"a","rank":1},{"text":"b","rank":2}]}"#, "has responses and no prompt"),
        (
            r#"{"prompt":"q","responses":[{"text":"a","rank":1}]}"#,
            "has 1 ranked responses of the 1 given, where two are the least",
        ),
        (r#"{"prompt":"q","responses":[]}"#, "has 0 ranked responses of the 0 given"),
        (r#"{"prompt":"q","responses":[{"text":"a","rank":1},{"text":"b"}]}"#, "(1 without rank or score)"),
        (
            r#"{"prompt":"q","responses":[{"text":"a","rank":1},{"text":"b","score":"NaN"}]}"#,
            "(1 without rank or score)",
        ),
        (r#"{"prompt":"q","responses":["a","b"]}"#, "(2 without rank or score)"),
        (r#"{"prompt":"q","responses":["a","b"],"ranks":[1]}"#, "`ranks` has 1 entries for 2 responses"),
        (
            r#"{"prompt":"q","responses":[{"text":"a","rank":1},{"text":"b","score":2}]}"#,
            "some responses have a rank and others a score",
        ),
        (
            r#"{"prompt":"q","responses":[{"text":"a","rank":1},{"text":"a","rank":2}]}"#,
            "response 2 has the text of another one and a different rank",
        ),
        (
            r#"{"prompt":"q","responses":[{"text":"a","rank":1},{"text":"a","rank":1}]}"#,
            "has 1 ranked responses of the 2 given",
        ),
        (
            r#"{"prompt":"q","responses":[{"text":"a","rank":"first"},{"text":"b","rank":2}]}"#,
            "response 1: `rank` is \"first\", which is not a number",
        ),
        (
            r#"{"prompt":"q","responses":[{"text":" ","rank":1},{"text":"b","rank":2}]}"#,
            "response 1: the response is empty",
        ),
        (r#"{"prompt":"q","responses":[{"rank":1},{"text":"b","rank":2}]}"#, "response 1: has no `text`"),
        (r#"{"prompt":"q","responses":{"a":1}}"#, "`responses` is an object, where a list was expected"),
        (r#"{"prompt_id":"z","response":"a","rank":1}"#, "no row of this prompt id holds the text of the prompt"),
        (r#"{"response":"a","rank":1}"#, "neither a prompt nor a prompt id"),
        (r#"{"prompt":"q","response":"a","rank":1}"#, "has 1 ranked responses of the 1 given"),
        (r#"{"prompt":"q","chosen":"a"}"#, "has no `rejected`"),
        (r#"{"prompt":"q","chosen":"a","rejected":null}"#, "has no `rejected`"),
        (r#"{"prompt":"q","chosen":"a","rejected":" a"}"#, "are the same text"),
        (r#"{"prompt":"q","chosen":"a","rejected":""}"#, "the rejected is empty"),
        (r#"{"chosen":"a","rejected":"b"}"#, "has `chosen` and `rejected` and no prompt"),
        (
            r#"{"chosen":"\n\nHuman: x\n\nAssistant: a","rejected":"\n\nHuman: y\n\nAssistant: b"}"#,
            "differ before their last reply",
        ),
        (
            r#"{"chosen":"\n\nHuman: x\n\nAssistant: a","rejected":"\n\nHuman: x\n\nAssistant:"}"#,
            "`rejected`: the conversation ends without a reply",
        ),
        (
            r#"{"chosen":"\n\nHuman: x\n\nAssistant: a","rejected":"b"}"#,
            "one of `chosen` and `rejected` is a whole conversation",
        ),
        (
            r#"{"prompt":"q","chosen":{"from":"human","value":"a"},"rejected":{"from":"gpt","value":"b"}}"#,
            "`chosen` is not spoken by the assistant",
        ),
        (
            r#"{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"r"}],"chosen":"a","rejected":"b"}"#,
            "ends with the assistant",
        ),
    ];
    for (bad, why) in table {
        let text = format!("{{\"prompt\":\"good\",\"chosen\":\"x\",\"rejected\":\"y\"}}\n{bad}\n");
        let read = sets_of(&text).unwrap();
        assert_eq!((read.rows.len(), read.refused_count), (1, 1), "{bad}");
        assert_eq!(read.refused[0].line, 2, "{bad}");
        assert!(read.refused[0].why.contains(why), "{bad}: {}", read.refused[0].why);
    }
}

#[test]
fn a_response_without_rank_is_refused_alone_and_never_gets_a_number() {
    let read =
        sets_of(r#"{"prompt":"q","responses":[{"text":"a","rank":1},{"text":"b","rank":null},{"text":"c","rank":2}]}"#)
            .unwrap();
    assert_eq!(shown_set(&read.rows[0]), "- |  | q => a@1 c@2");
    assert_eq!((read.seen, read.refused_count), (1, 1));
    assert!(read.refused[0].why.contains("response 2 has no rank and no score"), "{}", read.refused[0].why);
}

#[test]
fn a_long_form_row_with_another_prompt_under_the_same_id_is_refused_with_both_lines() {
    let rows = [
        "q\",\"response\":\"a\",\"rank\":1}",
        "q\",\"response\":\"b\",\"rank\":2}",
        "other\",\"response\":\"c\",\"rank\":3}",
    ];
    let text: String = rows.iter().map(|row| format!("{{\"prompt_id\":\"p\",\"prompt\":\"{row}\n")).collect();
    let read = sets_of(&text).unwrap();
    assert_eq!(shown_set(&read.rows[0]), "- |  | q => a@1 b@2");
    assert_eq!(read.refused[0].line, 3);
    assert!(read.refused[0].why.contains("another prompt than line 1"), "{}", read.refused[0].why);
}
