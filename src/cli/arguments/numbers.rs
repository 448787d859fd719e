//! Numbers as arguments: what is accepted, and in whose words a wrong one is answered.
//!
//! Used by the other arguments and by `cli::main`. Knows no command.

/// A finite number, 0 or more: seconds, money.
pub fn amount(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "write a number that is 0 or more, for example 1.5".into())
}

/// A finite number above 0: how many times as fast.
pub fn factor(text: &str) -> Result<f64, String> {
    amount(text).ok().filter(|number| *number > 0.0).ok_or_else(|| "write a number above 0, for example 2".into())
}

/// What the standard library says of a wrong number, in words for people.
pub fn in_plain_words(says: &str) -> String {
    const WORDS: [(&str, &str); 5] = [
        ("invalid float literal", "write a number, for example 0.5"),
        ("invalid digit found in string", "write a whole number that is not negative"),
        ("cannot parse integer from empty string", "write a whole number"),
        ("cannot parse float from empty string", "write a number"),
        ("number too large to fit in target type", "this number is too large"),
    ];
    WORDS.iter().fold(says.to_string(), |says, (theirs, ours)| says.replace(theirs, ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_can_be_meant_are_taken() {
        for (text, as_amount, as_factor) in [
            ("1.5", true, true),
            ("0", true, false),
            ("-1", false, false),
            ("nan", false, false),
            ("inf", false, false),
            ("x", false, false),
        ] {
            assert_eq!((amount(text).is_ok(), factor(text).is_ok()), (as_amount, as_factor), "{text}");
        }
    }
}
