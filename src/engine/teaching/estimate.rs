//! What a run will ask of its teacher, before it begins: calls, tokens and money, as expected and at most.

use crate::engine::materials::Materials;
use crate::engine::plan::{instructions, opponents, ranked_sets};
use crate::engine::settings::Settings;
use crate::engine::teaching::settings::Recipe;
use crate::run::ids::Model;
use crate::run::spending::{Charge, amount};
use crate::text::template::{Piece, Template};

/// Bytes to a token of English, roughly.
const BYTES: f64 = 4.0;
/// Of the longest judgement, how much is usually written.
const WRITTEN: f64 = 0.4;

/// What is going to be asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Purpose and number of calls, in the order of the run.
    pub parts: Vec<(&'static str, u64)>,
    pub calls: u64,
    /// As expected, and if every answer were as long as it may be.
    pub expected: Charge,
    pub most: Charge,
}

/// Counts the calls of a run that goes as planned. Tries that fail come on top.
pub fn estimate(settings: &Settings, materials: &Materials) -> Estimate {
    let mut estimate = Estimate::default();
    if !settings.asks_teacher() {
        return estimate;
    }
    let teacher = &settings.teacher;
    let mean = |texts: &mut dyn Iterator<Item = usize>| {
        let (mut sum, mut count) = (0, 0usize);
        texts.for_each(|length| (sum, count) = (sum + length, count + 1));
        sum.checked_div(count).unwrap_or(0)
    };
    let prompt = mean(&mut materials.ift.iter().map(|row| row.prompt.len()));
    let answer = settings.candidates.max_tokens as usize * BYTES as usize;
    let length = |template: &Template| -> usize {
        let fixed = template.pieces().iter().map(|piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::Slot(_) => 0,
        });
        fixed.sum()
    };
    let templates = (length(&materials.teacher_prompts.judge), length(&materials.teacher_prompts.duel));
    let mut add = |what: &'static str, calls: usize, bytes: usize, max_tokens: u32| {
        if calls == 0 {
            return;
        }
        let calls = calls as u64;
        let sent = (bytes as f64 / BYTES) as u64;
        let expected = teacher.charge(calls * sent, calls * (f64::from(max_tokens) * WRITTEN) as u64);
        let most = teacher.charge(calls * (bytes as u64 + 64), calls * u64::from(max_tokens));
        estimate.parts.push((what, calls));
        estimate.calls += calls;
        for (total, part) in [(&mut estimate.expected, expected), (&mut estimate.most, most)] {
            total.tokens += part.tokens;
            total.micros += part.micros;
        }
    };
    let iterations = settings.run.iterations as usize;
    let prompts = settings.prompts.count as usize;
    let samples = settings.judge.samples as usize;
    if settings.teacher_judges() {
        let calls = iterations * prompts * settings.candidates.n as usize * samples;
        add("judgements of candidates", calls, templates.0 + prompt + answer, teacher.max_tokens);
    }
    if settings.run.recipe == Recipe::TeacherDemo {
        add("demonstrations", iterations * prompts, prompt, settings.candidates.max_tokens);
    }
    if settings.teacher_holds_out() {
        let sets = ranked_sets(settings, materials);
        let responses = materials.held_out.iter().take(sets).map(|set| set.responses.len()).sum::<usize>();
        add("judgements of held-out rankings", responses * samples, templates.0 + prompt + answer, teacher.max_tokens);
    }
    if settings.teacher_duels() {
        let models = (1..=settings.run.iterations + 1).map(Model::M);
        let opponents: usize = models.map(|model| opponents(model).len()).sum();
        let calls = opponents * instructions(settings, materials) * 2;
        add("comparisons in both orders", calls, templates.1 + prompt + 2 * answer, teacher.max_tokens);
    }
    estimate
}

/// The estimate and the caps in words, a line each.
pub fn in_words(estimate: &Estimate, settings: &Settings) -> Vec<String> {
    let teacher = &settings.teacher;
    let parts: Vec<String> = estimate.parts.iter().map(|(what, calls)| format!("{calls} {what}")).collect();
    let cost = |charge: Charge| match teacher.price_in > 0.0 || teacher.price_out > 0.0 {
        true => format!("{} {}", amount(charge.micros), teacher.currency),
        false => "no price is set".to_string(),
    };
    let caps = teacher.caps();
    let cap = |cap: u64, says: String| if cap == 0 { "none".to_string() } else { says };
    vec![
        format!("teacher {} at {}: {} calls ({})", teacher.model, teacher.endpoint, estimate.calls, parts.join(", ")),
        format!(
            "about {} tokens ({}), at most {} ({})",
            estimate.expected.tokens,
            cost(estimate.expected),
            estimate.most.tokens,
            cost(estimate.most)
        ),
        format!(
            "caps: calls {}, tokens {}, cost {}",
            cap(caps.calls, caps.calls.to_string()),
            cap(caps.tokens, caps.tokens.to_string()),
            cap(caps.micros, format!("{} {}", amount(caps.micros), teacher.currency))
        ),
    ]
}
