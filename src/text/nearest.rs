//! What somebody probably meant: how far two words are apart, and the nearest of those that are known.
//!
//! Used wherever a name that nobody knows is answered with one that exists.

/// Edits between two words: a letter more, less or other, or two neighbours in the wrong order.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    let mut last = None;
    for (i, a) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, &letter) in b.iter().enumerate() {
            let mut best = (row[j] + usize::from(a != letter)).min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && last == Some(letter) && a == b[j - 1] {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(a);
    }
    row[b.len()]
}

/// The name that was probably meant, if one is near: it begins like that, or differs in a third of its letters at most.
pub fn nearest<'a>(meant: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = meant.to_lowercase();
    let known: Vec<&str> = known.into_iter().collect();
    let begins = known.iter().copied().find(|name| lower.len() > 1 && name.to_lowercase().starts_with(&lower));
    let (edits, name) = known.iter().map(|name| (distance(&lower, &name.to_lowercase()), *name)).min()?;
    begins.or((edits <= meant.chars().count().div_ceil(3).max(1)).then_some(name))
}

/// `; did you mean …?`, or nothing when no known name is near.
pub fn did_you_mean<'a>(meant: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(meant, known).map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_far_apart_as_the_edits_between_them() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("pause", "puase", 1),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
            ("light", "ligth", 1),
            ("漢字", "漢", 1),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let names = ["phi-2", "tiny", "example"];
        for (typo, meant) in [
            ("phi2", Some("phi-2")),
            ("exmaple", Some("example")),
            ("ex", Some("example")),
            ("zzzzzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(typo, names), meant, "{typo}");
        }
        assert_eq!(did_you_mean("tinny", names), "; did you mean `tiny`?");
        assert_eq!(did_you_mean("tni", []), "");
    }
}
