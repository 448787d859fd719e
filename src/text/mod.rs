//! Strings to strings: what a reader cannot see, likeness, templates, chat turns, tables, pages. Pure; knows no run and no model.

pub mod invisible;
pub mod likeness;
pub mod template;
pub mod visible;
