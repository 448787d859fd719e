//! ROUGE-L against the reference implementation's numbers (tests/golden/likeness.py).

use selfreward::text::likeness::rouge_l;

#[test]
fn rouge_l_is_that_of_rouge_score() {
    let golden: Vec<(String, String, f64)> = serde_json::from_str(include_str!("../fixtures/likeness.json")).unwrap();
    assert_eq!(golden.len(), 91);
    for (a, b, expected) in golden {
        assert!((rouge_l(&a, &b) - expected).abs() < 1e-12, "{a} / {b}: {} is not {expected}", rouge_l(&a, &b));
    }
}
