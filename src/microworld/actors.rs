//! Scripted authors: answers of a chosen quality, critiques by a judge of a chosen sharpness, prompts by a tired writer.
//!
//! The corpora use them to balance scores, and a rehearsal without weights uses them in place of a model.

use super::draws::{chance, one_of, weighted};
use super::issues::FLAWLESS;
use super::oracle;
use super::spoken::{self, is_word};
use super::{Kind, Mix, Prompt, World};
use crate::recipe::seeds::Stream;

/// Which kinds of answer lead to a score, for the scores 0 to 5.
const WAYS_TO: [&Mix; 6] = [
    &[(Kind::Off, 1.0)],
    &[(Kind::WrongRepeat, 0.7), (Kind::Format, 0.3)],
    &[(Kind::Wrong, 0.5), (Kind::WrongFiller, 0.25), (Kind::WrongRepeat, 0.15), (Kind::Format, 0.1)],
    &[(Kind::Wrong, 0.35), (Kind::WrongFiller, 0.15), (Kind::Repeat, 0.25), (Kind::Format, 0.25)],
    &[(Kind::Filler, 1.0)],
    &[(Kind::Good, 1.0)],
];

/// The rarest score (1 for a rhyme) comes up once in seven tries; the closest answer serves if luck fails.
const TRIES: usize = 256;

/// An answer that the oracle gives this score (0 to 5).
pub fn answer_of_score(world: &World, prompt: &Prompt, score: u8, stream: &mut Stream) -> String {
    let wanted = score.min(5);
    let mut closest: Option<(u8, String)> = None;
    for _ in 0..TRIES {
        let answer = world.mixed_answer(prompt, WAYS_TO[usize::from(wanted)], stream);
        let distance = oracle::grade_task(&prompt.task, &answer).score.abs_diff(wanted);
        if distance == 0 {
            return answer;
        }
        if closest.as_ref().is_none_or(|(best, _)| distance < *best) {
            closest = Some((distance, answer));
        }
    }
    closest.map(|(_, answer)| answer).unwrap_or_default()
}

/// An answer whose expected score is `5 * quality`, for a quality between 0 and 1.
///
/// Scores spread around the expectation by up to one point on either side, as those of one model do.
pub fn answer_of_quality(world: &World, prompt: &Prompt, quality: f64, stream: &mut Stream) -> String {
    let expected = 5.0 * quality.clamp(0.0, 1.0);
    let lower = expected.floor();
    let mut score = lower + f64::from(u8::from(chance(stream, expected - lower)));
    if (1.0..=4.0).contains(&score) {
        score += weighted(stream, &[(-1.0, 0.25), (0.0, 0.5), (1.0, 0.25)]);
    }
    answer_of_score(world, prompt, score as u8, stream)
}

/// What a judge writes whose scores err with a standard deviation of `noise` points: the rationale and the score.
///
/// With no noise it is the oracle's own. A judge that scores too high overlooks faults; one that scores too low sees some
/// that are not there.
pub fn critique(prompt: &str, answer: &str, noise: f64, stream: &mut Stream) -> (String, u8) {
    let Some(grade) = oracle::grade(prompt, answer) else {
        // Nobody knows what this task asks for, so the judge guesses around the middle.
        let score = (2.0 + noise * normal(stream)).round().clamp(0.0, 5.0) as u8;
        return (spoken::text(weak_fault(score)), score);
    };
    let score = (f64::from(grade.score) + noise * normal(stream)).round().clamp(0.0, 5.0) as u8;
    if score == grade.score {
        return (grade.rationale, score);
    }
    let canonical = match (score > grade.score, grade.issues.last()) {
        (true, Some(least)) if score < 5 => least.sentence(),
        (true, _) => FLAWLESS.to_owned(),
        (false, _) => weak_fault(score).to_owned(),
    };
    (spoken::text(&canonical), score)
}

/// The kind of fault that one finds without looking.
fn weak_fault(score: u8) -> &'static str {
    match score {
        0 => "this does not answer the task .",
        1 | 2 => "it is not well formed .",
        3 | 4 => "it adds needless words .",
        _ => FLAWLESS,
    }
}

/// A prompt as a model writes it, malformed with probability `sloppiness`: a word lost, said twice, or taken from elsewhere.
///
/// Like a model's, it may be a held-out prompt by accident; whoever accepts prompts has to refuse those.
pub fn written_prompt(world: &World, sloppiness: f64, stream: &mut Stream) -> String {
    let prompt = world.prompt(stream).text();
    if !chance(stream, sloppiness) {
        return prompt;
    }
    let canonical = spoken::tokens(&prompt);
    let mut words: Vec<&str> = canonical.split(' ').collect();
    let elsewhere = spoken::tokens(&world.prompt(stream).text());
    let others: Vec<&str> = elsewhere.split(' ').filter(|token| is_word(token)).collect();
    let at = stream.below(words.len() - 1);
    match stream.below(3) {
        0 => drop(words.remove(at)),
        1 => words.insert(at, words[at]),
        _ => words[at] = *one_of(stream, &others),
    }
    spoken::text(&words.join(" "))
}

/// A standard normal draw, close enough: the sum of twelve uniform ones.
fn normal(stream: &mut Stream) -> f64 {
    (0..12).map(|_| stream.unit()).sum::<f64>() - 6.0
}
