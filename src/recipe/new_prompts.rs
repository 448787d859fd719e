//! How new prompts come to be: the examples that the writer sees, and the tasks in what it wrote.
//!
//! Used by the prompts stage; what may stay is decided by `prompt_filter`. Knows no model: the writer may be a frozen one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seeds::Stream;
use crate::run::reasons::{Ended, Refusal};
use crate::text::template::{Template, TemplateError};

/// How new prompts are written. The defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NewPromptSettings {
    /// Examples from the seed data in each request to the writer.
    pub seed_shots: u32,
    /// Examples that the writer wrote itself; seeds take their place while there are none.
    pub generated_shots: u32,
    /// Sampling temperature of the writer.
    pub temperature: f64,
    /// Nucleus sampling: the smallest set of tokens with this probability.
    pub top_p: f64,
    /// Longest continuation, in tokens.
    pub max_tokens: u32,
    /// The list is read up to this number; a writer that goes on tends to repeat itself.
    pub last_number: u32,
    /// Refuse every task of a continuation that the length limit cut off, as Self-Instruct does; otherwise only its last one.
    pub refuse_truncated: bool,
}

impl Default for NewPromptSettings {
    fn default() -> Self {
        NewPromptSettings {
            seed_shots: 6,
            generated_shots: 2,
            temperature: 0.6,
            top_p: 0.9,
            max_tokens: 1024,
            last_number: 16,
            refuse_truncated: true,
        }
    }
}

/// Where an example came from: its place among the seeds or among the generated prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shot {
    Seed(usize),
    Generated(usize),
}

/// One request to the writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub text: String,
    pub shots: Vec<Shot>,
    /// The number with which the text ends and the continuation begins.
    pub next: u32,
}

/// Draws the examples, shuffles them and numbers them.
pub fn request(
    template: &Template,
    seeds: &[&str],
    generated: &[&str],
    settings: &NewPromptSettings,
    stream: &mut Stream,
) -> Result<Request, TemplateError> {
    let from_generated = stream.choose(generated.len(), settings.generated_shots as usize);
    let missing = settings.generated_shots as usize - from_generated.len();
    let from_seeds = stream.choose(seeds.len(), settings.seed_shots as usize + missing);
    let mut shots: Vec<Shot> = from_seeds.into_iter().map(Shot::Seed).collect();
    shots.extend(from_generated.into_iter().map(Shot::Generated));
    stream.shuffle(&mut shots);
    let list: Vec<String> = shots
        .iter()
        .zip(1..)
        .map(|(shot, number)| {
            let text = match *shot {
                Shot::Seed(at) => seeds[at],
                Shot::Generated(at) => generated[at],
            };
            format!("{number}. {}", one_line(text))
        })
        .collect();
    let next = shots.len() as u32 + 1;
    let text = template.fill(&[("shots", &list.join("\n")), ("next", &next.to_string())])?;
    Ok(Request { text, shots, next })
}

/// White space collapsed to single spaces.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The tasks in what the writer wrote after `next`, in order; a cut-off one is refused here, all other reasons are the filter's.
pub fn read_tasks(
    continuation: &str,
    next: u32,
    ended: Ended,
    settings: &NewPromptSettings,
) -> Vec<Result<String, Refusal>> {
    let mut tasks: Vec<String> = vec![String::new()];
    let mut expected = next + 1;
    let mut done = false;
    for (at, line) in continuation.lines().enumerate() {
        if let Some((number, text)) = numbered(line) {
            if number == next && at == 0 {
                // Some writers repeat the number that the request ends with.
                tasks = vec![text.to_string()];
                continue;
            }
            // A number out of turn belongs to the task: a list inside a list.
            if number == expected {
                if number >= settings.last_number.max(next + 1) {
                    done = true;
                    break;
                }
                tasks.push(text.to_string());
                expected += 1;
                continue;
            }
        }
        // An empty line ends the list: what follows is talk.
        if line.trim().is_empty() && tasks.last().is_some_and(|task| !task.trim().is_empty()) {
            done = true;
            break;
        }
        if let Some(task) = tasks.last_mut() {
            task.push(' ');
            task.push_str(line);
        }
    }
    let cut = ended == Ended::Length && !done;
    let last = tasks.len() - 1;
    let refused = |at: usize| (ended == Ended::Length && settings.refuse_truncated) || (cut && at == last);
    tasks
        .iter()
        .enumerate()
        .map(|(at, task)| if refused(at) { Err(Refusal::Truncated) } else { Ok(one_line(task)) })
        .collect()
}

/// `12. text` or `12) text`.
fn numbered(line: &str) -> Option<(u32, &str)> {
    let line = line.trim_start();
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = line[..digits].parse().ok()?;
    let text = line[digits..].trim_start().strip_prefix(['.', ')'])?;
    // `3.5 litres` is no item.
    (!text.starts_with(|c: char| c.is_ascii_digit())).then_some((number, text))
}

/// Refuses the share of a batch whose negative log-likelihood under the writer is highest: malformed prompts gather there.
/// Unknown likelihoods stay.
pub fn cut_unlikely(nlls: &[Option<f64>], share: f64) -> Vec<Option<Refusal>> {
    let mut known: Vec<(usize, f64)> =
        nlls.iter().enumerate().filter_map(|(at, nll)| Some((at, nll.filter(|nll| !nll.is_nan())?))).collect();
    known.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    let dropped = (known.len() as f64 * share.clamp(0.0, 1.0) + 1e-9).floor() as usize;
    let cut = known.get(dropped).or(known.last()).map_or(0.0, |(_, nll)| *nll);
    let mut out = vec![None; nlls.len()];
    for &(at, nll) in &known[..dropped] {
        out[at] = Some(Refusal::Unlikely { nll, cut });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::prompts::{PromptTexts, Prompts};
    use crate::recipe::seeds::Seed;

    fn build(seeds: usize, generated: usize) -> Request {
        let template = Prompts::load(&PromptTexts::default()).unwrap().write_prompt;
        let name = |kind: &str, n: usize| (0..n).map(|at| format!("{kind}\n {at}")).collect::<Vec<_>>();
        let (seeds, generated) = (name("seed", seeds), name("own", generated));
        let (seeds, generated): (Vec<&str>, Vec<&str>) =
            (seeds.iter().map(String::as_str).collect(), generated.iter().map(String::as_str).collect());
        request(&template, &seeds, &generated, &NewPromptSettings::default(), &mut Seed::root(3).stream()).unwrap()
    }

    #[test]
    fn six_seeds_and_two_of_its_own_are_shuffled_and_numbered() {
        let table = [(50, 50, 6, 2), (50, 1, 7, 1), (50, 0, 8, 0), (3, 0, 3, 0), (0, 0, 0, 0)];
        for (seeds, generated, from_seeds, from_generated) in table {
            let request = build(seeds, generated);
            let count = |seed| request.shots.iter().filter(|shot| matches!(shot, Shot::Seed(_)) == seed).count();
            assert_eq!(
                (count(true), count(false)),
                (from_seeds, from_generated),
                "{seeds} seeds, {generated} of its own"
            );
            assert_eq!(request.next as usize, request.shots.len() + 1);
            assert!(request.text.ends_with(&format!("{}.", request.next)));
        }
        let request = build(50, 50);
        let own_last = request.shots.is_sorted_by_key(|shot| matches!(shot, Shot::Generated(_)));
        assert!(!own_last, "its own examples stand among the seeds: {:?}", request.shots);
        assert!(request.text.contains("\n1. "), "an example is one line: {}", request.text);
        assert!(!request.text.contains("seed\n"));
    }

    #[test]
    fn tasks_are_read_from_the_numbered_list() {
        let table: &[(&str, &[&str])] = &[
            (
                " Write a haiku.\n10. Name three rivers.\n11. Explain rain.",
                &["Write a haiku.", "Name three rivers.", "Explain rain."],
            ),
            ("9. Write a haiku.\n10) Name\n three rivers.", &["Write a haiku.", "Name three rivers."]),
            (" One task only.\n\nHere are more ideas:\n10. No.", &["One task only."]),
            (" Sort these:\n3. b\n1. a\n10. Next.", &["Sort these: 3. b 1. a", "Next."]),
            (" Pour\n10.5 litres.", &["Pour 10.5 litres."]),
            (" a\n10. b\n11. c\n12. d\n13. e\n14. f\n15. g\n16. h", &["a", "b", "c", "d", "e", "f", "g"]),
            ("", &[""]),
        ];
        for (text, expected) in table {
            let found: Vec<String> = read_tasks(text, 9, Ended::Eos, &NewPromptSettings::default())
                .into_iter()
                .map(Result::unwrap)
                .collect();
            assert_eq!(found, *expected, "{text:?}");
        }
    }

    #[test]
    fn a_cut_off_continuation_is_refused_whole_or_at_its_end() {
        let text = " Write a haiku.\n10. Name three ri";
        let read = |settings: &NewPromptSettings| read_tasks(text, 9, Ended::Length, settings);
        assert_eq!(read(&NewPromptSettings::default()), [Err(Refusal::Truncated), Err(Refusal::Truncated)]);
        let lenient = NewPromptSettings { refuse_truncated: false, ..NewPromptSettings::default() };
        assert_eq!(read(&lenient), [Ok("Write a haiku.".to_string()), Err(Refusal::Truncated)]);
    }

    #[test]
    fn the_least_likely_prompts_of_a_batch_are_cut() {
        let nlls = [Some(1.0), Some(9.0), None, Some(2.0), Some(3.0), Some(4.0)];
        let refused = cut_unlikely(&nlls, 0.2);
        assert_eq!(refused[1], Some(Refusal::Unlikely { nll: 9.0, cut: 4.0 }));
        assert_eq!(refused.iter().flatten().count(), 1);
        assert!(cut_unlikely(&nlls, 0.0).iter().all(Option::is_none));
        assert!(cut_unlikely(&[], 0.5).is_empty());
    }
}
