//! Which of the judge's first judgements teach it to judge: those whose ranking agrees with the humans', thinned where one score rules.
//!
//! Used once, in iteration 0, on what the baseline wrote about the ranked human data. The paper leaves open whether agreement is asked
//! of a whole prompt or of each pair, and how much of the dominant score is dropped: both are settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seeds::Stream;
use super::spread::score_class;
use crate::run::reasons::Scored;

/// What must agree for a judgement to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EftAgreement {
    /// The whole order of a prompt's responses, ties matching ties; then all its judgements are kept.
    #[default]
    Prompt,
    /// Each pair for itself: a judgement stays when it is in an agreeing pair and in none that is ordered the other way.
    Pair,
}

/// How the EFT data is built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EftSettings {
    /// What must agree with the human ranking.
    pub agreement: EftAgreement,
    /// No score may be more than this share of what is kept; the rest of its judgements is dropped at random. 1: keep all.
    pub max_score_share: f64,
}

impl Default for EftSettings {
    fn default() -> Self {
        EftSettings { agreement: EftAgreement::Prompt, max_score_share: 0.4 }
    }
}

/// One judged response: the human rank (lower is better, ties allowed) and the model's score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    pub rank: f64,
    pub score: Scored,
}

/// What was kept, and how the scores were spread at each step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EftBuilt {
    /// Places of the kept judgements: prompt, response. In order.
    pub kept: Vec<(usize, usize)>,
    /// Scores rounded to 0..=5: of all parsed judgements, of those that agree, of those kept.
    pub before: [u32; 6],
    pub agreeing: [u32; 6],
    pub after: [u32; 6],
    pub unparsed: u32,
    pub disagreeing: u32,
    pub thinned: u32,
}

/// Filters the judgements of each prompt and thins the dominant scores.
pub fn build_eft(prompts: &[Vec<Judged>], settings: &EftSettings, stream: &mut Stream) -> EftBuilt {
    let mut built = EftBuilt::default();
    let mut classes: Vec<Vec<(usize, usize)>> = vec![Vec::new(); 6];
    for (prompt, responses) in prompts.iter().enumerate() {
        let kept = agreeing(responses, settings.agreement);
        for (response, judged) in responses.iter().enumerate() {
            let Some(class) = class(judged.score) else {
                built.unparsed += 1;
                continue;
            };
            built.before[class] += 1;
            if kept.contains(&response) {
                built.agreeing[class] += 1;
                classes[class].push((prompt, response));
            } else {
                built.disagreeing += 1;
            }
        }
    }
    let sizes = thinned(built.agreeing, settings.max_score_share);
    for (class, mut places) in classes.into_iter().enumerate() {
        stream.shuffle(&mut places);
        built.thinned += places.len() as u32 - sizes[class];
        places.truncate(sizes[class] as usize);
        built.kept.extend(places);
    }
    built.after = sizes;
    built.kept.sort();
    built
}

fn class(score: Scored) -> Option<usize> {
    score.ok().map(score_class)
}

/// Which responses of one prompt may stay.
fn agreeing(responses: &[Judged], rule: EftAgreement) -> Vec<usize> {
    let scored: Vec<(usize, f64, f64)> =
        responses.iter().enumerate().filter_map(|(at, judged)| Some((at, judged.rank, judged.score.ok()?))).collect();
    // Higher score, lower rank: the signs of the two differences are opposite.
    let agrees = |a: &(usize, f64, f64), b: &(usize, f64, f64)| compare(a.1, b.1) == compare(b.2, a.2);
    let contrary = |a: &(usize, f64, f64), b: &(usize, f64, f64)| {
        compare(a.1, b.1) != 0 && compare(a.1, b.1) == -compare(b.2, a.2)
    };
    let ranked = |a: &(usize, f64, f64), b: &(usize, f64, f64)| a.1 != b.1;
    let keep: Vec<usize> = match rule {
        EftAgreement::Prompt => {
            let whole = scored.len() == responses.len();
            let all = scored.iter().all(|a| scored.iter().all(|b| agrees(a, b)));
            // A prompt whose responses are all ranked alike has no ranking to agree with.
            let any = scored.iter().any(|a| scored.iter().any(|b| ranked(a, b)));
            if whole && all && any { scored.iter().map(|one| one.0).collect() } else { Vec::new() }
        }
        EftAgreement::Pair => scored
            .iter()
            .filter(|a| scored.iter().any(|b| ranked(a, b) && agrees(a, b)) && !scored.iter().any(|b| contrary(a, b)))
            .map(|one| one.0)
            .collect(),
    };
    keep
}

fn compare(a: f64, b: f64) -> i8 {
    a.partial_cmp(&b).map_or(0, |order| order as i8)
}

/// The largest class sizes under which no class is more than `share` of all. Classes are cut to one common height;
/// where even equal classes are over the share (few different scores), the smallest one sets the height.
fn thinned(mut sizes: [u32; 6], share: f64) -> [u32; 6] {
    let present = sizes.iter().filter(|size| **size > 0).count();
    if present < 2 || share >= 1.0 {
        return sizes;
    }
    let share = share.max(1.0 / present as f64);
    let over = |sizes: &[u32; 6]| {
        let all: u32 = sizes.iter().sum();
        let most = sizes.iter().copied().max().unwrap_or(0);
        f64::from(most) > share * f64::from(all) + 1e-9
    };
    while over(&sizes) {
        let most = sizes.iter().copied().max().unwrap_or(0);
        sizes.iter_mut().filter(|size| **size == most).for_each(|size| *size -= 1);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::seeds::Seed;
    use crate::run::reasons::Unscored;

    fn prompt(rows: &[(f64, f64)]) -> Vec<Judged> {
        rows.iter().map(|&(rank, score)| Judged { rank, score: Ok(score) }).collect()
    }

    fn kept(rows: &[(f64, f64)], agreement: EftAgreement) -> Vec<usize> {
        let settings = EftSettings { agreement, max_score_share: 1.0 };
        build_eft(&[prompt(rows)], &settings, &mut Seed::root(1).stream()).kept.iter().map(|place| place.1).collect()
    }

    #[test]
    fn judgements_stay_where_the_rankings_agree() {
        type Row<'a> = (&'a [(f64, f64)], &'a [usize], &'a [usize]);
        let table: [Row; 6] = [
            // (rank, score) …, kept by prompt, kept by pair
            (&[(0.0, 5.0), (1.0, 4.0), (2.0, 1.0)], &[0, 1, 2], &[0, 1, 2]),
            (&[(0.0, 4.0), (1.0, 5.0), (2.0, 1.0)], &[], &[2]),
            (&[(0.0, 4.0), (1.0, 4.0), (2.0, 1.0)], &[], &[0, 1, 2]),
            (&[(0.0, 4.0), (0.0, 4.0), (2.0, 1.0)], &[0, 1, 2], &[0, 1, 2]),
            (&[(0.0, 4.0), (0.0, 4.0)], &[], &[]),
            (&[(0.0, 4.0)], &[], &[]),
        ];
        for (rows, by_prompt, by_pair) in table {
            assert_eq!(kept(rows, EftAgreement::Prompt), by_prompt, "{rows:?}");
            assert_eq!(kept(rows, EftAgreement::Pair), by_pair, "{rows:?}");
        }
    }

    #[test]
    fn an_unparsed_judgement_spoils_its_prompt_but_not_its_pairs() {
        let mut rows = prompt(&[(0.0, 5.0), (1.0, 3.0), (2.0, 1.0)]);
        rows[1].score = Err(Unscored::Missing);
        let build = |agreement| {
            let settings = EftSettings { agreement, max_score_share: 1.0 };
            build_eft(std::slice::from_ref(&rows), &settings, &mut Seed::root(1).stream())
        };
        let (by_prompt, by_pair) = (build(EftAgreement::Prompt), build(EftAgreement::Pair));
        assert_eq!((by_prompt.kept.len(), by_prompt.unparsed, by_prompt.disagreeing), (0, 1, 2));
        assert_eq!((by_pair.kept, by_pair.unparsed, by_pair.disagreeing), (vec![(0, 0), (0, 2)], 1, 0));
    }

    #[test]
    fn the_dominant_score_is_thinned_and_the_histograms_tell() {
        let mut prompts = vec![prompt(&[(0.0, 4.0), (1.0, 2.0)]); 10];
        prompts.extend(vec![prompt(&[(0.0, 4.2), (1.0, 3.9), (2.0, 1.0)]); 10]);
        let build = |share, seed| {
            let settings = EftSettings { max_score_share: share, ..EftSettings::default() };
            build_eft(&prompts, &settings, &mut Seed::root(seed).stream())
        };
        let built = build(0.4, 1);
        assert_eq!(built.before, [0, 10, 10, 0, 30, 0]);
        assert_eq!(built.agreeing, built.before);
        assert_eq!(built.after, [0, 10, 10, 0, 13, 0]);
        assert_eq!((built.thinned, built.kept.len()), (17, 33));
        assert!(built.kept.is_sorted());
        assert_eq!(built, build(0.4, 1));
        assert_ne!(built.kept, build(0.4, 2).kept, "which ones are dropped is a matter of the seed");
        assert_eq!(build(1.0, 1).thinned, 0);
        assert_eq!(build(0.0, 1).after, [0, 10, 10, 0, 10, 0], "three classes cannot each be under a third");
    }
}
