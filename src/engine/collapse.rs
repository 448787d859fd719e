//! Settings with which a run really fails, each in its own way: for learning what a failure looks like before it matters.
//!
//! `selfreward demo --collapse` uses them. They are ordinary settings over the preset `tiny`; nothing is scripted.

use std::str::FromStr;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collapse {
    /// The people who labelled the judging examples were too kind.
    Saturation,
    /// They took length for quality.
    Length,
    /// Preference training without judging examples: the judge forgets its format.
    Parse,
    /// Preference training that goes too far.
    Overfit,
}

impl Collapse {
    pub const ALL: [Collapse; 4] = [Collapse::Saturation, Collapse::Length, Collapse::Parse, Collapse::Overfit];

    pub fn name(self) -> &'static str {
        match self {
            Collapse::Saturation => "saturation",
            Collapse::Length => "length",
            Collapse::Parse => "parse",
            Collapse::Overfit => "overfit",
        }
    }

    /// Assignments over the preset.
    pub fn settings(self) -> &'static [&'static str] {
        match self {
            Collapse::Saturation => &["data.labels=lenient"],
            Collapse::Length => &["data.labels=length_biased"],
            Collapse::Parse => &["dpo.eft_replay=0", "dpo.lr=1e-3", "dpo.epochs=4"],
            Collapse::Overfit => &["dpo.lr=1.5e-3", "dpo.epochs=4", "dpo.nll_weight=0", "dpo.eft_replay=0"],
        }
    }
}

impl FromStr for Collapse {
    type Err = String;

    fn from_str(text: &str) -> Result<Collapse, String> {
        let found = Collapse::ALL.into_iter().find(|collapse| collapse.name() == text);
        found.ok_or_else(|| "write saturation, length, parse or overfit".into())
    }
}
