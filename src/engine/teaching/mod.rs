//! A teacher outside: what it may cost, how it is asked, what it judges and shows.
//!
//! The engine speaks to the trait `Teacher`; who answers behind it (HTTP, a test) is wired by `cli`. In reading order: `settings`,
//! `estimate` (what it will cost), `retry` (what to do about a fault), `consult` (asking, many at once), `judge`, `lessons` (what the stages
//! ask of it).

pub mod consult;
pub mod estimate;
pub mod judge;
pub(in crate::engine) mod lessons;
pub mod retry;
pub mod settings;
