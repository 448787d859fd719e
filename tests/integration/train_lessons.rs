//! Lessons as a whole.
