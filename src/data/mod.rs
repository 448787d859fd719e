//! Files in, examples out: what researchers have on disk becomes instructions, ranked sets and score tables.
//!
//! Used by the engine (seed data, held-out data) and by the command line (`metrics`, `check`). It knows nothing of runs, models,
//! tensors or time; it reads files and writes none. What a file says is foreign: a row that does not fit is refused with its place
//! and a reason, it is never mended, and no row of a file can make a reader panic or allocate without bound.
//!
//! In reading order: `lines` (bytes to lines) and `array` (one JSON array to lines), `rows` (lines to JSON objects, and what is done
//! with those that do not fit), `fields` (members of an object), `turns` (conversations), then the four things a caller asks for:
//! `instructions`, `rankings`, `scores` (with `join`) and `split`.

mod array;
mod fields;
pub mod instructions;
pub mod join;
pub mod judgements;
pub mod lines;
mod long_form;
pub mod rankings;
pub mod rows;
pub mod scores;
pub mod split;
pub mod turns;

pub use instructions::{Instruction, Prompt, Take};
pub use join::{Joined, JoinedPrompt, JoinedResponse, join};
pub use lines::Limits;
pub use rankings::{Ranked, RankedSet};
pub use rows::{Read, Refused};
pub use scores::{ScoredPrompt, ScoredResponse};
pub use turns::{Role, Turn};
