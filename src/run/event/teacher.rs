//! What a teacher outside was asked, what it said and what that cost; and what a second judge said of the same answers.
//!
//! Payloads of `Event`; each field is documented in `runs/README.md`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::ids::{PromptId, RequestId};
use crate::run::measures::Agreement;
use crate::run::number::scored;
use crate::run::reasons::{Scored, Unscored};
use crate::run::spending::{Caps, Charge};

/// A call is about to be sent: the most that it can cost is set aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TeacherAsked {
    /// The call's number in this run, counted from 1.
    pub call: u64,
    /// BLAKE3 of the request: model, text, sampling and seed. The same request has the same key for ever.
    pub key: String,
    /// The most that it can cost.
    pub most: Charge,
}

/// A teacher answered. Written and synced before the answer is used, so that nothing is paid for twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TeacherAnswered {
    /// The call's number.
    pub call: u64,
    /// The request's key.
    pub key: String,
    pub text: String,
    /// How the answer ended.
    pub finish: Finish,
    /// Tokens of the request, as the endpoint counts them.
    pub tokens_in: u64,
    /// Tokens of the answer, as the endpoint counts them.
    pub tokens_out: u64,
    /// What it cost; the most that it could where the endpoint named no usage.
    pub paid: Charge,
    /// False when the endpoint named no usage.
    pub metered: bool,
    /// Which model answered, as the endpoint names it, with its fingerprint where it gives one.
    pub version: String,
    /// Milliseconds from request to answer.
    pub took_ms: u64,
}

/// How a teacher's answer ended. Only the first gives a score or a demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    Done,
    /// The length limit cut it off.
    Length,
    /// The endpoint's filter withheld it.
    Filtered,
    /// The model refused.
    Refused,
    /// The endpoint found the request too long to answer.
    TooLong,
}

impl Finish {
    pub fn name(self) -> &'static str {
        match self {
            Finish::Done => "done",
            Finish::Length => "length",
            Finish::Filtered => "filtered",
            Finish::Refused => "refused",
            Finish::TooLong => "too_long",
        }
    }
}

/// A call brought no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TeacherFailed {
    /// The call's number.
    pub call: u64,
    /// The request's key.
    pub key: String,
    /// Of which kind it is.
    pub fault: FaultKind,
    /// What the endpoint or the network said, without anything of the key to the account.
    pub says: String,
    /// Which try of this request it was, counted from 1.
    pub tries: u32,
    /// Milliseconds until the next try; absent when a person must do something first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_ms: Option<u64>,
    /// What it counts for: the most that it could cost where the endpoint may have worked on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Charge>,
}

/// Why a call brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// No connection.
    Connect,
    /// No answer in time.
    Timeout,
    /// The answer broke off.
    Cut,
    /// The answer cannot be read.
    Malformed,
    /// Too many requests (429).
    RateLimited,
    /// The endpoint failed (5xx), or asks to try again (408, 409, 425).
    Server,
    /// The account has no money or quota left (402, or 429 that says so).
    Quota,
    /// The key is refused (401, 403).
    Unauthorized,
    /// There is no such model or path (404).
    NotFound,
    /// The request is refused (400 and its like).
    BadRequest,
}

impl FaultKind {
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Connect => "connect",
            FaultKind::Timeout => "timeout",
            FaultKind::Cut => "cut",
            FaultKind::Malformed => "malformed",
            FaultKind::RateLimited => "rate_limited",
            FaultKind::Server => "server",
            FaultKind::Quota => "quota",
            FaultKind::Unauthorized => "unauthorized",
            FaultKind::NotFound => "not_found",
            FaultKind::BadRequest => "bad_request",
        }
    }
}

/// Another model answers now than before, under the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TeacherChanged {
    /// The version that answered before.
    pub was: String,
    /// The version that answers now.
    pub now: String,
}

/// Somebody changed what may be spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapsChanged {
    /// The caps from now on; 0 sets no limit.
    pub caps: Caps,
    pub by: String,
    pub request: RequestId,
}

/// A second judge's reply on an answer; no pair depends on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecondJudged {
    pub iteration: u32,
    /// Who judged: `self`, `teacher`, or an earlier model such as `intrinsic (M1)`.
    pub judge: String,
    pub of: Judged,
    pub sample: u32,
    pub reply: String,
    /// The score, or the reason why there is none.
    #[serde(with = "scored")]
    #[schemars(with = "serde_json::Value")]
    pub score: Scored,
}

/// The teacher gave no answer that could be shown to the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DemonstrationMissing {
    pub prompt: PromptId,
    /// Why: `refused`, `filtered`, `cut_off` or `too_long`.
    pub why: Unscored,
}

/// What a second judge judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// A candidate of the iteration.
    Candidate { prompt: PromptId, candidate: u32 },
    /// A held-out, human-ranked response: the place of its instruction, and its place there.
    HeldOut { set: u32, response: u32 },
}

/// Two judges of the same answers were compared, joined by prompt and candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgesCompared {
    pub iteration: u32,
    /// Whose scores are measured.
    pub judge: String,
    /// Against whose: `teacher`, `self`, `intrinsic` for the model's own rewards, or `human` for held-out rankings.
    pub reference: String,
    /// How they agree; what one of them could not judge is kept out and counted.
    pub agreement: Agreement,
}
