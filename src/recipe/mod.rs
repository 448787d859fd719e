//! The method as pure decisions over plain values, in reading order: no files, no clock, no model.
//!
//! The engine asks, records the answer, then does. Each file holds one decision with its settings; refusals are values.
//!
//! | asks | answered by |
//! |---|---|
//! | Which seed belongs to this place of the run? | `seeds` |
//! | What do models read? | `prompts` |
//! | Which judgements of ranked human data teach judging? | `eft` |
//! | What does the prompt writer see, and which of its tasks may stay? | `new_prompts`, `prompt_filter` |
//! | What does the judge read, which score did it give, what is the mean? | `judge` (behind a `fence`), `score` |
//! | Which two candidates are a pair? Which would be by another rule? | `pairs`, `recount` |
//! | What is suspicious about it, and who is shown to a human? | `signs`, `suspicion`, `spot_check` |
//! | Which of its own labels does a reward model learn from, when does it stop, and which loop counts? | `ser` |
//! | What is suspicious about such a label? | `label_suspicion` |
//! | What is each answer worth beside a prompt's others, and how hard does it push the policy? | `rloo` |
//! | How good has the model become? | `agreement`, `held_out`, `head_to_head`, `spread`, `phrases` |
//! | What is a mean, an interval, a correlation? | `statistics` |

pub mod seeds;

pub mod prompts;

pub mod eft;
pub mod own_judgements;

pub mod new_prompts;
pub mod prompt_filter;

pub mod fence;
pub mod judge;
pub mod score;

pub mod pairs;
pub mod recount;

pub mod signs;
pub mod suspicion;

pub mod spot_check;

pub mod label_suspicion;
pub mod ser;

pub mod rloo;

pub mod agreement;
pub mod head_to_head;
pub mod held_out;
pub mod phrases;
pub mod spread;

pub mod statistics;
