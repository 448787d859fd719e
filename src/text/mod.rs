//! Strings to strings: what a reader cannot see, likeness, templates, chat turns, tables, pages. Pure; knows no run and no model.

pub mod axis;
pub mod chat;
pub mod duration;
pub mod html;
pub mod invisible;
pub mod likeness;
pub mod nearest;
pub mod svg;
pub mod table;
pub mod template;
pub mod visible;
