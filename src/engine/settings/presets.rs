//! Presets: the paper's numbers, and those that fit the embedded world.

use crate::engine::settings::{
    CandidateSettings, DpoSettings, EvalSettings, RewardSettings, RlooSettings, Settings, SftSettings,
};
use crate::recipe::new_prompts::NewPromptSettings;
use crate::recipe::prompts::TextSet;
use crate::recipe::suspicion::SuspicionSettings;

impl Settings {
    /// The method's published numbers.
    pub fn paper() -> Settings {
        Settings::default()
    }

    /// Numbers that fit the embedded world and its tiny model.
    pub fn tiny() -> Settings {
        let mut tiny = Settings::default();
        tiny.data.texts = TextSet::Short;
        tiny.sft = SftSettings { lr: 1e-3, lr_end: 1e-4, epochs: 5, dropout: 0.0, max_tokens: 256, ..tiny.sft };
        tiny.prompts.count = 500;
        tiny.prompts.unique_across_iterations = false;
        // The embedded base was pretrained on lists of eight.
        tiny.prompts.request = NewPromptSettings {
            seed_shots: 3,
            generated_shots: 1,
            temperature: 1.0,
            top_p: 0.95,
            max_tokens: 96,
            last_number: 9,
            ..tiny.prompts.request
        };
        tiny.prompt_filter.drop_unlikely = 0.2;
        // Prompts of the embedded world are short and follow a few patterns: likeness would refuse nearly all of them.
        tiny.prompt_filter.max_likeness = 0.999;
        tiny.prompt_filter.max_held_out_likeness = 0.999;
        tiny.prompt_filter.held_out_words = 0;
        tiny.candidates = CandidateSettings { n: 4, temperature: 1.0, top_p: 0.95, max_tokens: 48 };
        tiny.judge.max_tokens = 48;
        tiny.pairs.min_margin = 0.6;
        tiny.pairs.drop_low_policy_margin = 0.3;
        // In the embedded world the policy's own log-probs find wrong pairs; the other signs are shown and hardly weigh.
        tiny.suspicion = SuspicionSettings {
            likely_sd: 1.0,
            length: 0.02,
            minority: 0.02,
            near_duplicate: 0.02,
            judge_noise: 0.02,
            copied_prompt: 0.02,
            small_margin: 0.02,
            ..tiny.suspicion
        };
        tiny.gate.deadline = "20s".into();
        tiny.dpo = DpoSettings {
            nll_weight: 1.0,
            eft_replay: 24,
            own_judgements: 800,
            lr: 5e-4,
            lr_end: 5e-5,
            epochs: 2,
            dropout: 0.0,
            max_tokens: 256,
            held_out_share: 0.0,
            ..tiny.dpo
        };
        tiny.rloo = RlooSettings::tiny();
        tiny.reward = RewardSettings::tiny();
        // What is measured in assets/README.md was measured so; labels that stay were not tried.
        tiny.ser.relabel = true;
        // Its judge knows scores and no comparisons; the oracle compares.
        // Its baseline knows no scores at all: a few sets say so as well as all of them, and M1 is there sooner.
        tiny.eval = EvalSettings {
            instructions: 0,
            ranked_baseline: 25,
            max_tokens: 48,
            bootstrap: 500,
            head_to_head: false,
            ..tiny.eval
        };
        tiny.checkpoint.every = 50;
        // In the embedded world the same few rationales are right again and again.
        tiny.alarms.repeated_rationales = 1.0;
        tiny.alarms.near_duplicates = 0.5;
        tiny.alarms.top_opening = 0.6;
        // It is also so small that a fair writer meets the held-out prompts now and then; they are refused.
        tiny.alarms.contaminated = 0.2;
        // Most answers of its second model deserve a five.
        tiny.alarms.saturation_share = 0.8;
        tiny.alarms.saturation_rise = 1.0;
        tiny
    }
}
