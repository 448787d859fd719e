//! The one integration binary: every file here is an area, its tests are data tables with sentences as names.

mod agreement;
mod score;
