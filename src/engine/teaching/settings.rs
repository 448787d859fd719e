//! How a teacher is reached, and what it may cost. Keys have no setting: their place has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recipe::prompts::TextSet;
use crate::run::spending::{Caps, Charge, cost};

/// Whose judgement or answers the pairs are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// The model's own judgement.
    #[serde(rename = "self")]
    Own,
    /// A teacher scores the model's answers.
    TeacherReward,
    /// A teacher's answer is chosen, the model's own is rejected; nobody scores.
    TeacherDemo,
    /// A reward model that teaches itself scores the model's answers.
    Ser,
}

impl Recipe {
    pub const ALL: [Recipe; 4] = [Recipe::Own, Recipe::TeacherReward, Recipe::TeacherDemo, Recipe::Ser];

    pub fn name(self) -> &'static str {
        match self {
            Recipe::Own => "self",
            Recipe::TeacherReward => "teacher-reward",
            Recipe::TeacherDemo => "teacher-demo",
            Recipe::Ser => "ser",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Chat completions as OpenAI, vLLM, SGLang, llama.cpp's server and `transformers serve` speak them.
    Openai,
    /// `generateContent` as Gemini speaks it.
    Gemini,
}

/// A teacher outside, over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TeacherSettings {
    /// Where it is, up to the part before `/chat/completions` or `/models`: `http://127.0.0.1:8000/v1`.
    pub endpoint: String,
    /// How it is spoken to: `openai` or `gemini`.
    pub dialect: Dialect,
    /// The model's name at the endpoint; a dated one does not change under the run.
    pub model: String,
    /// The environment variable that holds the key.
    pub key_env: String,
    /// A file that holds the key, if that variable is not set. Nobody but its owner may read it (mode 0600).
    pub key_file: Option<String>,
    /// Calls under way at once; at most so many answers are paid for twice when the engine is killed.
    pub concurrency: u32,
    /// Longest judgement or comparison, in tokens. Demonstrations are as long as candidates.
    pub max_tokens: u32,
    /// Which embedded texts the teacher reads: `full`, or `short` for a teacher of few words. Texts of your own (`data.judge_prompt`,
    /// `data.duel_prompt`) are read by both.
    pub texts: TextSet,
    /// Send each call's seed; off where the endpoint refuses it.
    pub send_seed: bool,
    /// Let the model judge the same candidates too, and compare the two (recipe teacher-reward).
    pub compare: bool,
    /// Let the teacher judge the held-out rankings once, to know how it agrees with people.
    pub held_out: bool,
    /// Let the teacher compare each model's answers with those of the model before and of the baseline, in both orders.
    pub head_to_head: bool,
    /// Tries of one call at growing intervals, before the run says aloud that the teacher does not answer, and goes on trying.
    pub tries: u32,
    /// The first interval, and the longest: `1s`, `60s`. Each wait is drawn between 0 and the interval.
    pub wait: String,
    pub wait_longest: String,
    /// Longest waits for the connection, for the beginning of an answer, and for all of it.
    pub timeout_connect: String,
    pub timeout_answer: String,
    pub timeout: String,
    /// Prices of a million tokens that are sent, and that are answered.
    pub price_in: f64,
    pub price_out: f64,
    /// What the prices are in.
    pub currency: String,
    /// The most calls, tokens (sent and answered) and money that the run may take; 0 sets no limit.
    pub cap_calls: u64,
    pub cap_tokens: u64,
    pub cap_cost: f64,
}

impl Default for TeacherSettings {
    fn default() -> Self {
        TeacherSettings {
            endpoint: String::new(),
            dialect: Dialect::Openai,
            model: String::new(),
            key_env: "SELFREWARD_TEACHER_KEY".into(),
            key_file: None,
            concurrency: 4,
            max_tokens: 512,
            texts: TextSet::Full,
            send_seed: true,
            compare: true,
            held_out: true,
            head_to_head: true,
            tries: 6,
            wait: "1s".into(),
            wait_longest: "60s".into(),
            timeout_connect: "10s".into(),
            timeout_answer: "120s".into(),
            timeout: "180s".into(),
            price_in: 0.0,
            price_out: 0.0,
            currency: "USD".into(),
            cap_calls: 0,
            cap_tokens: 0,
            cap_cost: 0.0,
        }
    }
}

/// Tokens that a chat template may put around a text.
const TEMPLATE: u64 = 64;

impl TeacherSettings {
    pub fn caps(&self) -> Caps {
        let micros = (self.cap_cost.max(0.0) * 1e6).round() as u64;
        Caps { calls: self.cap_calls, tokens: self.cap_tokens, micros }
    }

    /// What a call cost that took so many tokens.
    pub fn charge(&self, tokens_in: u64, tokens_out: u64) -> Charge {
        Charge { tokens: tokens_in + tokens_out, micros: cost(tokens_in, tokens_out, self.price_in, self.price_out) }
    }

    /// The most that a call can cost: no tokenizer makes more tokens of a text than it has bytes.
    pub fn most(&self, text: &str, max_tokens: u32) -> Charge {
        self.charge(text.len() as u64 + TEMPLATE, u64::from(max_tokens))
    }

    /// What cannot be meant so, in words.
    pub fn check(&self) -> Result<(), String> {
        use crate::engine::overrides::seconds;
        if self.endpoint.is_empty() {
            return Err(
                "this recipe asks a teacher: say where it is with --set teacher.endpoint=http://127.0.0.1:8000/v1"
                    .into(),
            );
        }
        if !self.endpoint.starts_with("http://") && !self.endpoint.starts_with("https://") {
            return Err(format!("teacher.endpoint: `{}` does not begin with http:// or https://", self.endpoint));
        }
        if self.endpoint.contains('@') || self.endpoint.contains('?') {
            return Err("teacher.endpoint holds an @ or a ?: a key belongs into the environment or a file, never into an address".into());
        }
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if !self.key_env.chars().all(is_name) || self.key_env.starts_with(|c: char| c.is_ascii_digit()) {
            // It may be the key itself, so it is not repeated.
            return Err(
                "teacher.key_env is the name of an environment variable (capital letters, digits, _), not the key"
                    .into(),
            );
        }
        if self.model.is_empty() {
            return Err("say which model of the endpoint is the teacher: --set teacher.model=NAME".into());
        }
        for (name, text) in [
            ("wait", &self.wait),
            ("wait_longest", &self.wait_longest),
            ("timeout_connect", &self.timeout_connect),
            ("timeout_answer", &self.timeout_answer),
            ("timeout", &self.timeout),
        ] {
            seconds(text).map_err(|why| format!("teacher.{name}: {why}"))?;
        }
        if self.concurrency == 0 || self.concurrency > 256 {
            return Err(format!("teacher.concurrency: {} calls at once are not between 1 and 256", self.concurrency));
        }
        if self.cap_cost > 0.0 && self.price_in <= 0.0 && self.price_out <= 0.0 {
            return Err(
                "teacher.cap_cost limits nothing without prices: set teacher.price_in and teacher.price_out".into()
            );
        }
        Ok(())
    }
}
