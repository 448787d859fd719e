//! Word differences between a chosen and a rejected text.
