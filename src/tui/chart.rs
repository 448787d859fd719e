//! Curves in a rectangle of cells.
