//! Judgements of a model's own that may teach its successor to judge: those on which all of its samples agree.
//!
//! Preference training changes the judge too, on answers unlike those that people judged. What the judge is sure of there
//! holds it in place. Used where preferences are learnt; off unless asked for.

use super::seeds::Stream;
use super::spread::score_class;
use crate::run::reasons::Scored;

/// Places of answers whose samples all have one score, at most `most`, and of each score no more than its share of that:
/// otherwise the commonest score would be taught above all. In order.
pub fn unanimous(judged: &[Vec<Scored>], most: usize, stream: &mut Stream) -> Vec<usize> {
    let mut classes: Vec<Vec<usize>> = vec![Vec::new(); 6];
    for (at, samples) in judged.iter().enumerate() {
        let scores: Option<Vec<f64>> = samples.iter().map(|score| score.ok()).collect();
        let Some(scores) = scores else { continue };
        if let Some(&first) = scores.first()
            && scores.len() > 1
            && scores.iter().all(|&score| score == first)
        {
            classes[score_class(first)].push(at);
        }
    }
    let present = classes.iter().filter(|class| !class.is_empty()).count();
    let share = most / present.max(1);
    let mut kept: Vec<usize> = classes
        .into_iter()
        .flat_map(|mut class| {
            stream.shuffle(&mut class);
            class.truncate(share);
            class
        })
        .collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::seeds::Seed;
    use crate::run::reasons::Unscored;

    #[test]
    fn only_what_all_samples_agree_on_is_kept_and_no_score_beyond_its_share() {
        let of = |score: f64| -> Scored { Ok(score) };
        let mut judged = vec![
            vec![of(1.0), of(1.0)],
            vec![of(1.0), of(2.0)],
            vec![of(3.0), Err(Unscored::Missing)],
            vec![of(2.0)],
            vec![],
        ];
        judged.extend(vec![vec![of(5.0); 3]; 10]);
        let kept = |most| unanimous(&judged, most, &mut Seed::root(1).stream());
        assert_eq!(kept(0), [] as [usize; 0]);
        assert_eq!(kept(100), [&[0][..], &[5, 6, 7, 8, 9, 10, 11, 12, 13, 14][..]].concat());
        assert_eq!((kept(6).len(), kept(6)[0]), (4, 0), "one of the only judgement of 1, three of 5");
        assert_eq!(kept(6), kept(6));
    }
}
