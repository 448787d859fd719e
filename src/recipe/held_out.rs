//! What held-out judgements tell beyond agreement: at equal length, by rank class, and against the model before.
//!
//! Used by evaluation. An agreement that lives on length alone disappears among answers of one length.

use super::agreement::{AgreementSettings, Response, agreement};
use super::seeds::Seed;
use super::spread::score_class;
use super::statistics::{kendall_tau_b, mean, sd};
use crate::run::event::Anchors;

/// Pairwise accuracy (ties one half) among pairs whose lengths differ by at most `within` of the longer one.
/// Each response comes with its length in words.
pub fn length_matched(instructions: &[Vec<(Response, usize)>], within: f64) -> Option<f64> {
    let mut pairs: Vec<Vec<Response>> = Vec::new();
    for responses in instructions {
        for (at, (a, words_a)) in responses.iter().enumerate() {
            for (b, words_b) in &responses[..at] {
                let longer = (*words_a).max(*words_b) as f64;
                if words_a.abs_diff(*words_b) as f64 <= within * longer {
                    pairs.push(vec![*a, *b]);
                }
            }
        }
    }
    let plain = AgreementSettings { resamples: 0, ..AgreementSettings::default() };
    agreement(&pairs, &plain, Seed::root(0)).pairwise_half
}

/// Rows: the reference's rank class of an instruction (best, second, third, the rest); columns: the judge's score rounded.
pub fn confusion(instructions: &[Vec<Response>]) -> [[u32; 6]; 4] {
    let mut counts = [[0u32; 6]; 4];
    for responses in instructions {
        let mut ranks: Vec<f64> = responses.iter().filter_map(|one| one.rank).collect();
        ranks.sort_by(f64::total_cmp);
        ranks.dedup();
        for response in responses {
            if let (Some(score), Some(rank)) = (response.judge, response.rank) {
                let class = ranks.iter().position(|other| *other == rank).unwrap_or(0).min(3);
                counts[class][score_class(score)] += 1;
            }
        }
    }
    counts
}

/// The judge on its fixed anchor items, now and (where there was one) before: items in one order, `None` unparsed.
pub fn anchors(now: &[Option<f64>], before: Option<&[Option<f64>]>) -> Option<Anchors> {
    let scores: Vec<f64> = now.iter().copied().flatten().collect();
    let both: Vec<(f64, f64)> =
        now.iter().zip(before.unwrap_or_default()).filter_map(|(now, before)| Some(((*now)?, (*before)?))).collect();
    let (these, those): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
    Some(Anchors {
        n: scores.len() as u32,
        mean: mean(&scores)?,
        variance: sd(&scores).map_or(0.0, |sd| sd * sd),
        tau_previous: kendall_tau_b(&these, &those),
    })
}

/// Mean over prompts of Kendall's tau between two models' scores of the same candidates, where defined: near 0, the judge forgot itself.
pub fn consistency(prompts: &[Vec<(f64, f64)>]) -> Option<f64> {
    let tau = |scores: &Vec<(f64, f64)>| {
        let (a, b): (Vec<f64>, Vec<f64>) = scores.iter().copied().unzip();
        kendall_tau_b(&a, &b)
    };
    mean(&prompts.iter().filter_map(tau).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(judge: f64, rank: f64) -> Response {
        Response { judge: Some(judge), rank: Some(rank) }
    }

    #[test]
    fn a_judge_that_follows_length_is_at_a_loss_among_equal_lengths() {
        let by_length = vec![
            (response(5.0, 0.0), 100),
            (response(3.0, 1.0), 50),
            (response(3.0, 2.0), 52),
            (response(1.0, 3.0), 10),
        ];
        assert_eq!(length_matched(std::slice::from_ref(&by_length), 0.1), Some(0.5));
        assert_eq!(length_matched(std::slice::from_ref(&by_length), 1.0), Some(5.5 / 6.0));
        assert_eq!(length_matched(&[], 0.1), None);
    }

    #[test]
    fn confusion_counts_by_rank_class() {
        let missing = Response { judge: None, rank: Some(0.0) };
        let found = confusion(&[
            vec![response(5.0, 2.0), response(3.4, 4.0), response(0.0, 9.0), response(1.0, 10.0), response(2.0, 11.0)],
            vec![missing],
        ]);
        assert_eq!(found[0], [0, 0, 0, 0, 0, 1]);
        assert_eq!(found[1], [0, 0, 0, 1, 0, 0]);
        assert_eq!(found[2], [1, 0, 0, 0, 0, 0]);
        assert_eq!(found[3], [0, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn anchors_compare_with_the_model_before() {
        let now = [Some(5.0), Some(3.0), None, Some(1.0)];
        let first = anchors(&now, None).unwrap();
        assert_eq!((first.n, first.mean, first.variance, first.tau_previous), (3, 3.0, 4.0, None));
        let before = [Some(1.0), Some(2.0), Some(4.0), Some(3.0)];
        assert_eq!(anchors(&now, Some(&before)).unwrap().tau_previous, Some(-1.0));
        assert_eq!(anchors(&[None], None), None);
        assert_eq!(
            consistency(&[vec![(1.0, 1.0), (2.0, 2.0)], vec![(1.0, 2.0), (2.0, 1.0)], vec![(1.0, 1.0)]]),
            Some(0.0)
        );
    }
}
