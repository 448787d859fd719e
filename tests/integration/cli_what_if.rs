//! `what-if`: pairs counted again by another rule, in words and as JSON, and what is said of a rule that is none.

use selfreward::run::folder::RunFolder;
use selfreward::run::view::RunView;

use crate::cli_story::cli;
use crate::stage::entries;
use crate::story::Plot;

#[test]
fn pairs_are_counted_again_by_another_rule() {
    let root = tempfile::tempdir().unwrap();
    let folder: RunFolder = Plot { name: "a", prompts: 40, steps: 10, ..Plot::default() }.write(root.path());
    let mut view = RunView::default();
    entries(&folder).iter().for_each(|entry| view.apply(entry));
    let recorded = u64::from(view.round(1).unwrap().pairs);
    let first = |rule: &[&str]| {
        let said = cli(root.path(), &[&["what-if", "a", "--json"], rule].concat()).json();
        said["iterations"][0].clone()
    };
    let number = |value: &serde_json::Value, name: &str| value[name].as_u64().unwrap();
    // The rule that the run had makes the same pairs; the story told its journal without the engine, but by the same arithmetic.
    let same = first(&["margin=0", "truncated=keep", "likeness=1"]);
    assert_eq!((number(&same, "pairs_recorded"), number(&same, "same")), (recorded, recorded), "{same}");
    assert_eq!((number(&same, "new"), number(&same, "gone"), number(&same, "turned")), (0, 0, 0), "{same}");
    let margin = first(&["margin=2"]);
    assert_eq!(number(&margin, "pairs") + number(&margin, "gone"), recorded);
    assert!(number(&margin, "gone") > 0 && number(&margin["no_pair"], "small_margin") > 0, "{margin}");
    let tie = first(&["tie=shorter", "parsed=1", "truncated=keep", "likeness=1"]);
    assert!(number(&tie, "pairs") >= recorded, "{tie}");
    let rho = first(&["rho=0.9"]);
    assert!(number(&rho, "longer") < number(&rho, "longer_recorded"), "length control shortens what is chosen: {rho}");
    let first_score = first(&["parser=first"]);
    assert_eq!(number(&first_score, "replies"), 40 * 12);

    let words = cli(root.path(), &["what-if", "a", "margin=2"]);
    assert_eq!(words.code, 0);
    assert!(
        words.out.contains("pairs as recorded") && words.out.contains("no pair because: small margin"),
        "{}",
        words.out
    );
    assert!(words.out.lines().all(|line| line.chars().count() <= 80), "{}", words.out);
}

#[test]
fn a_rule_that_is_none_is_answered_with_what_is_known() {
    let root = tempfile::tempdir().unwrap();
    Plot { name: "a", prompts: 4, steps: 4, ..Plot::default() }.write(root.path());
    for (rule, says) in [
        ("margn=1", "did you mean `margin`?"),
        ("margin", "has no value"),
        ("margin=9", "a number from 0 to 5"),
        ("tie=shortest", "skip, shorter, likelier is wanted"),
        ("parser=frist", "did you mean `first`?"),
    ] {
        let said = cli(root.path(), &["what-if", "a", rule]);
        assert_eq!(said.code, 2, "{rule}: {}", said.err);
        assert!(said.err.contains(says), "{rule}: {}", said.err);
    }
    assert_eq!(cli(root.path(), &["what-if", "b", "margin=1"]).code, 4);
}
