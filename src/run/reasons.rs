//! Why something is missing or was left out: every refusal of the method as a value that a screen can show.
//!
//! Made by `recipe`, stored in events, shown by `tui`. A missing score is one of these, never a number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A score, or why there is none. In the journal: a number, or the reason's name.
pub type Scored = Result<f64, Unscored>;

/// Why a judge's reply holds no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unscored {
    /// No score line in the reply.
    Missing,
    /// A score line whose value is no number.
    NotANumber,
    /// A number outside 0 to 5.
    OutOfRange,
    /// A last score line that names two different numbers.
    Ambiguous,
    /// A teacher refused to judge.
    Refused,
    /// An endpoint's filter withheld the judgement.
    Filtered,
    /// A teacher's judgement was cut off: its last line is not its verdict.
    CutOff,
    /// The judge could not read so long a text.
    TooLong,
}

impl Unscored {
    pub const ALL: [Unscored; 8] = [
        Unscored::Missing,
        Unscored::NotANumber,
        Unscored::OutOfRange,
        Unscored::Ambiguous,
        Unscored::Refused,
        Unscored::Filtered,
        Unscored::CutOff,
        Unscored::TooLong,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Unscored::Missing => "missing",
            Unscored::NotANumber => "not_a_number",
            Unscored::OutOfRange => "out_of_range",
            Unscored::Ambiguous => "ambiguous",
            Unscored::Refused => "refused",
            Unscored::Filtered => "filtered",
            Unscored::CutOff => "cut_off",
            Unscored::TooLong => "too_long",
        }
    }
}

/// Which answer of a pair is the better one, by where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SideOf {
    First,
    Second,
}

/// Why a reward model's loops ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// As many loops as set.
    LoopsDone,
    /// A loop gained nothing on held-out pairs.
    NoGain,
    /// Every pair of the pool has a label.
    PoolEmpty,
    /// No pair of the pool could be believed, so that there is nothing new to learn.
    NothingBelieved,
}

impl Settled {
    pub fn says(self) -> &'static str {
        match self {
            Settled::LoopsDone => "all loops are done",
            Settled::NoGain => "the last loop gained nothing",
            Settled::PoolEmpty => "every pair of the pool has a label",
            Settled::NothingBelieved => "no label could be believed",
        }
    }
}

/// Why a prompt yields no pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoPair {
    /// The best and the worst mean score are equal.
    Tie,
    /// Fewer than two candidates have enough parsed scores.
    TooFewScores { scored: u32, needed: u32 },
    /// The margin is under the threshold.
    SmallMargin { margin: f64, needed: f64 },
    /// Chosen and rejected are nearly the same text (ROUGE-L F1).
    NearDuplicate { likeness: f64 },
    /// Chosen or rejected is empty.
    Empty,
    /// Chosen or rejected was cut off by the length limit.
    Truncated,
    /// The policy's own log-prob per token favours the rejected answer more than in most pairs.
    LowPolicyMargin { margin: f64, cut: f64 },
    /// The teacher gave no answer that could be shown to the model.
    NoDemonstration { why: Unscored },
    /// A human said so.
    Human,
}

impl NoPair {
    pub fn name(&self) -> &'static str {
        match self {
            NoPair::Tie => "tie",
            NoPair::TooFewScores { .. } => "too_few_scores",
            NoPair::SmallMargin { .. } => "small_margin",
            NoPair::NearDuplicate { .. } => "near_duplicate",
            NoPair::Empty => "empty",
            NoPair::Truncated => "truncated",
            NoPair::LowPolicyMargin { .. } => "low_policy_margin",
            NoPair::NoDemonstration { .. } => "no_demonstration",
            NoPair::Human => "human",
        }
    }
}

/// Why a generated prompt was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    Empty,
    TooShort {
        words: u32,
    },
    TooLong {
        words: u32,
    },
    /// It asks for something that text cannot give (image, file, …).
    Keyword {
        word: String,
    },
    /// It starts with a phrase or a character that the filter refuses.
    Shape {
        what: String,
    },
    /// ROUGE-L F1 against a seed or an accepted prompt is over the limit.
    TooLike {
        likeness: f64,
        other: String,
    },
    /// It stands in held-out data, or is too like it.
    Contaminated {
        likeness: f64,
        other: String,
    },
    /// The writer was cut off by the length limit.
    Truncated,
    /// Its negative log-likelihood is among the highest of its batch.
    Unlikely {
        nll: f64,
        cut: f64,
    },
}

impl Refusal {
    pub fn name(&self) -> &'static str {
        match self {
            Refusal::Empty => "empty",
            Refusal::TooShort { .. } => "too_short",
            Refusal::TooLong { .. } => "too_long",
            Refusal::Keyword { .. } => "keyword",
            Refusal::Shape { .. } => "shape",
            Refusal::TooLike { .. } => "too_like",
            Refusal::Contaminated { .. } => "contaminated",
            Refusal::Truncated => "truncated",
            Refusal::Unlikely { .. } => "unlikely",
        }
    }
}

/// One named part of a pair's or a label's suspicion; the parts add up to the suspicion, clipped at 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sign {
    pub kind: SignKind,
    pub amount: f64,
}

/// What makes a pair suspicious. The first two found most wrong pairs in measurements; the order is the order of display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    /// The policy itself finds the chosen answer unlikely (log-prob per token).
    UnlikelyChosen,
    /// The policy finds the rejected answer likelier than the chosen one.
    PolicyDisagrees,
    /// An answer quotes the rubric, a score line or the judge's fence.
    Gaming,
    /// An answer or the prompt holds invisible characters.
    HiddenText,
    /// The rationale praises and the score is low, or the other way round.
    Contradiction,
    /// Empty, cut off, looping or refusing text on the chosen side.
    Degenerate,
    /// A judgement of this pair could not be parsed.
    MissingScore,
    /// Chosen is much longer than rejected.
    Length,
    /// The answer is not what most candidates say.
    Minority,
    /// Chosen and rejected are close to the same text.
    NearDuplicate,
    /// The judge's samples disagree.
    JudgeNoise,
    /// The prompt is close to training or held-out data.
    CopiedPrompt,
    /// Best and worst score are close.
    SmallMargin,
    /// A label that the reward model's probabilities barely allow to believe, or no longer do.
    Unsure,
    /// A label whose opposite the reward model believes, or believed a loop before.
    Turned,
    /// The judgements of both answers by the run's own model prefer the other one.
    SelfDisagrees,
}

impl SignKind {
    pub const ALL: [SignKind; 16] = [
        SignKind::UnlikelyChosen,
        SignKind::PolicyDisagrees,
        SignKind::Gaming,
        SignKind::HiddenText,
        SignKind::Contradiction,
        SignKind::Degenerate,
        SignKind::MissingScore,
        SignKind::Length,
        SignKind::Minority,
        SignKind::NearDuplicate,
        SignKind::JudgeNoise,
        SignKind::CopiedPrompt,
        SignKind::SmallMargin,
        SignKind::Unsure,
        SignKind::Turned,
        SignKind::SelfDisagrees,
    ];

    /// One or two words for a table cell.
    pub fn label(self) -> &'static str {
        match self {
            SignKind::UnlikelyChosen => "unlikely chosen",
            SignKind::PolicyDisagrees => "policy disagrees",
            SignKind::Gaming => "gaming",
            SignKind::HiddenText => "hidden text",
            SignKind::Contradiction => "contradiction",
            SignKind::Degenerate => "degenerate",
            SignKind::MissingScore => "missing score",
            SignKind::Length => "length",
            SignKind::Minority => "minority",
            SignKind::NearDuplicate => "near duplicate",
            SignKind::JudgeNoise => "judge noise",
            SignKind::CopiedPrompt => "copied prompt",
            SignKind::SmallMargin => "small margin",
            SignKind::Unsure => "barely believed",
            SignKind::Turned => "belief turned",
            SignKind::SelfDisagrees => "self disagrees",
        }
    }
}

/// How a piece of text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The model said it was done.
    Eos,
    /// A stop string came.
    Stop,
    /// The length limit cut it off.
    Length,
}
