//! A policy without weights: it plays a self-rewarding run from a script, healthy or failing, in seconds or at the pace of a real one.
//!
//! Used to try the whole product (screens, gates, vetoes, crashes, resume) without a model, and by tests. What it writes comes from the
//! embedded world; how well it writes is a handful of numbers that "training" moves. It learns nothing and proves nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::engine::policy::*;
use crate::engine::settings::{RehearsalSettings, Story};
use crate::microworld::World;
use crate::recipe::prompts::Prompts;
use crate::recipe::seeds::Seed;
use crate::run::reasons::Ended;

mod acting;
mod lesson;

use lesson::Course;

const WEIGHTS: &str = "rehearsal.json";
const STATE: &str = "training_state.json";

/// All that this policy knows: what training moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Skill {
    /// How many rounds of preference training it has had.
    pub rounds: u32,
    /// Expected oracle grade of an answer, over 5.
    pub quality: f64,
    /// Standard deviation of the judge's error, in points; none before it has learnt to judge.
    pub judge_noise: Option<f64>,
    /// Probability that a judgement has no score.
    pub format_loss: f64,
    /// Probability that a judgement is a five whatever the answer.
    pub saturation: f64,
    /// Points that length is worth to the judge, per word over twelve.
    pub length_bias: f64,
    /// Probability that an answer gets a needless tail, per round.
    pub verbosity: f64,
    /// Probability that a candidate repeats the prompt's first candidate.
    pub sameness: f64,
    /// Probability that an answer speaks to the judge.
    pub gaming: f64,
    /// Of a reward model: how far its rewards err, in points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_noise: Option<f64>,
}

impl Skill {
    fn base() -> Skill {
        Skill {
            rounds: 0,
            quality: 0.62,
            judge_noise: None,
            format_loss: 0.004,
            saturation: 0.0,
            length_bias: 0.0,
            verbosity: 0.0,
            sameness: 0.0,
            gaming: 0.0,
            reward_noise: None,
        }
    }
}

/// The scripted policy.
pub struct Rehearsal {
    pub(crate) settings: RehearsalSettings,
    pub(crate) world: World,
    pub(crate) prompts: Prompts,
    pub(crate) skill: Skill,
    course: Option<Course>,
}

impl Rehearsal {
    pub fn new(settings: RehearsalSettings, seed: u64, prompts: Prompts) -> Rehearsal {
        Rehearsal { settings, world: World::new(seed), prompts, skill: Skill::base(), course: None }
    }

    /// Takes about as long as a small model would, if a tempo is set.
    fn rest(&self, seconds: f64) {
        if self.settings.tempo > 0.0 {
            std::thread::sleep(Duration::from_secs_f64((seconds * self.settings.tempo).min(5.0)));
        }
    }

    /// Puts a reply down, a few words at a time when somebody may be watching.
    fn perform(&self, index: usize, reply: Reply, seat: &mut dyn Seat<Reply>) -> Result<Flow> {
        if self.settings.tempo > 0.0 {
            let words = reply.text.split_inclusive(' ').scan(0, |end, word| {
                *end += word.len();
                Some(*end)
            });
            for end in words.collect::<Vec<_>>().chunks(3).filter_map(|chunk| chunk.last().copied()) {
                self.rest(0.004);
                if seat.writing(index, &reply.text[..end])? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
        }
        seat.finished(index, reply)
    }
}

impl Policy for Rehearsal {
    fn identity(&self) -> Identity {
        Identity {
            device: "none".into(),
            device_why: "a rehearsal has no weights".into(),
            versions: vec![("selfreward".into(), env!("CARGO_PKG_VERSION").into())],
            threads: 1,
        }
    }

    fn load(&mut self, folder: Option<&Path>) -> Result<()> {
        self.skill = match folder {
            None => Skill::base(),
            Some(folder) => {
                let path = folder.join(WEIGHTS);
                let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                serde_json::from_slice(&text)
                    .with_context(|| format!("{} is no rehearsal's folder", folder.display()))?
            }
        };
        Ok(())
    }

    fn reply(&mut self, asks: &[Ask], seat: &mut dyn Seat<Reply>) -> Result<Flow> {
        ensure!(self.skill.reward_noise.is_none(), "this is a reward model: it writes nothing");
        for (index, ask) in asks.iter().enumerate() {
            let reply = self.act(ask);
            if self.perform(index, reply, seat)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Go)
    }

    fn log_probs(&mut self, items: &[Example]) -> Result<Vec<LogProb>> {
        Ok(items.iter().map(|item| self.log_prob(&item.prompt, &item.reply)).collect())
    }

    fn rewards(&mut self, items: &[Example]) -> Result<Vec<f64>> {
        let noise = self.skill.reward_noise.context("this is no reward model: it has no score")?;
        Ok(items.iter().map(|item| acting::reward(item, noise)).collect())
    }

    fn begin(&mut self, lesson: Lesson, from: Option<(&Path, u64)>) -> Result<u64> {
        let mut course = Course::new(lesson, self.skill.clone(), self.settings.story);
        if let Some((folder, step)) = from {
            let path = folder.join(STATE);
            let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let taken: u64 =
                serde_json::from_slice(&text).with_context(|| format!("{} is no state", path.display()))?;
            anyhow::ensure!(taken == step, "{} is the state after step {taken}, not {step}", path.display());
            course.taken = taken;
            self.skill = course.skill();
        }
        let steps = course.steps;
        self.course = Some(course);
        Ok(steps)
    }

    fn step(&mut self) -> Result<StepReport> {
        self.rest(0.08);
        let course = self.course.as_mut().context("no lesson has begun")?;
        let report = course.step();
        self.skill = course.skill();
        Ok(report)
    }

    fn held_out(&mut self) -> Result<Option<f64>> {
        Ok(self.course.as_ref().and_then(Course::held_out))
    }

    fn end(&mut self) -> Result<()> {
        self.course = None;
        Ok(())
    }

    fn save(&mut self, folder: &Path, training: bool) -> Result<()> {
        std::fs::write(folder.join(WEIGHTS), serde_json::to_vec_pretty(&self.skill)?)?;
        if training {
            let course = self.course.as_ref().context("no lesson is under way")?;
            std::fs::write(folder.join(STATE), serde_json::to_vec(&course.taken)?)?;
        }
        Ok(())
    }
}

/// A seed that follows from a text.
fn seed_of(parts: &[&str]) -> Seed {
    Seed::root(0).named(&parts.join("\u{1f}"))
}

/// A story tells from the second model on; before, every run is healthy.
fn has_turned(story: Story, skill: &Skill, turned: Story) -> bool {
    story == turned && skill.rounds >= 1
}

fn finished(text: String, logprob_per_token: f64) -> Reply {
    let tokens = text.split_whitespace().count() as u32 + 1;
    Reply { text, ended: Ended::Eos, tokens, token_ids: Vec::new(), logprob_per_token: Some(logprob_per_token) }
}
