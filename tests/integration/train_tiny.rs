//! A tiny random Llama with the embedded world's words, made on the spot: enough to run everything, good at nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use selfreward::engine::policy::{Example, Lesson, Policy, Preference};
use selfreward::engine::settings::{DpoSettings, Optimizer, Schedule, Settings, SftSettings};
use selfreward::llama_policy::LlamaPolicy;
use selfreward::microworld::{World, corpus, tokenizer, vocabulary};
use selfreward::model::folder::{self, Companions};
use selfreward::model::shape::{Rope, Scaling, Shape};
use selfreward::model::weights::Weights;

const SPECIALS: [&str; 5] = ["<unk>", "<bos>", "<eos>", "<user>", "<assistant>"];
const TEMPLATE: &str = "{% for turn in messages %}{% if turn.role == 'assistant' %}\
    {{ '<assistant>' + turn.content + eos_token }}{% else %}{{ bos_token + '<user>' + turn.content }}{% endif %}\
    {% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

/// Saves the model and says where.
pub fn model(root: &Path, positions: usize) -> PathBuf {
    let mut words = vocabulary();
    // Words of the judge's texts, which the world does not know.
    words.extend(["score", "review"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let json = tokenizer::tokenizer_json(&SPECIALS, &words);
    let config = serde_json::json!({
        "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "chat_template": TEMPLATE,
    });
    let files = BTreeMap::from([
        ("tokenizer.json".to_string(), json.to_string().into_bytes()),
        ("tokenizer_config.json".to_string(), config.to_string().into_bytes()),
    ]);
    let shape = Shape {
        vocab: SPECIALS.len() + words.len(),
        hidden: 32,
        mlp: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        max_positions: positions,
        rms_eps: 1e-5,
        rope: Rope { theta: 10_000.0, scaling: Scaling::None },
        tied: true,
        reward: false,
        attention_bias: false,
        mlp_bias: false,
        bos: Some(1),
        eos: vec![2],
        pad: None,
    };
    let path = root.join("base");
    let weights = Weights::random(&shape, 0.1, 5).unwrap();
    folder::save(&path, &weights, &Companions::of_new_model(&shape, files)).unwrap();
    path
}

pub fn policy(base: &Path, threads: u32) -> LlamaPolicy {
    let mut settings = Settings::tiny();
    settings.model.device = "cpu".into();
    settings.model.threads = threads;
    LlamaPolicy::new(&settings, base).unwrap()
}

pub fn examples(count: usize) -> Vec<Example> {
    let world = World::new(3);
    corpus::ift(&world, count).map(|row| Example { prompt: row.prompt, reply: row.answer }).collect()
}

pub fn answers(optimizer: Optimizer) -> Lesson {
    let mut examples = examples(14);
    let held_out = examples.split_off(10);
    let settings = SftSettings {
        lr: 3e-3,
        lr_end: 1e-3,
        schedule: Schedule::Cosine,
        batch: 4,
        epochs: 2,
        dropout: 0.0,
        optimizer,
        weight_decay: 0.1,
        max_tokens: 128,
        ..SftSettings::default()
    };
    Lesson::Answers { examples, held_out, settings, seed: 11 }
}

/// Pairs whose chosen reply is the right answer and whose rejected reply answers something else.
pub fn preferences(policy: &mut LlamaPolicy) -> Lesson {
    let examples = examples(18);
    let rejected =
        |at: usize| Example { prompt: examples[at].prompt.clone(), reply: examples[(at + 5) % 12].reply.clone() };
    let sides: Vec<Example> = (0..12).flat_map(|at| [examples[at].clone(), rejected(at)]).collect();
    let scored = policy.log_probs(&sides).unwrap();
    let mut pairs: Vec<Preference> = sides
        .chunks_exact(2)
        .zip(scored.chunks_exact(2))
        .map(|(sides, scored)| Preference {
            prompt: sides[0].prompt.clone(),
            chosen: sides[0].reply.clone(),
            rejected: sides[1].reply.clone(),
            reference_chosen: scored[0].sum,
            reference_rejected: scored[1].sum,
            chosen_tokens: scored[0].tokens,
            rejected_tokens: scored[1].tokens,
        })
        .collect();
    let held_out = pairs.split_off(9);
    let settings = DpoSettings {
        nll_weight: 0.5,
        eft_replay: 2,
        lr: 3e-3,
        lr_end: 1e-3,
        batch: 3,
        epochs: 2,
        dropout: 0.0,
        max_tokens: 128,
        ..DpoSettings::default()
    };
    let replay = examples[12..].to_vec();
    Lesson::Preferences { pairs, held_out, replay, settings: Box::new(settings), seed: 12 }
}
