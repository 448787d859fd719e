//! What a viewer meets while it reads a journal, as key frames keep it: marks, notable events, damages, places.
//!
//! Used by the source alone, so that a long run is opened at its end with all of it known.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::run::ids::Seq;
use crate::run::journal::{Damage, Place};
use crate::tui::landmarks::{Mark, Notable};

/// How much of what was met stands in key frames.
#[derive(Default)]
pub struct Told {
    pub marks: usize,
    pub damages: usize,
    pub places: usize,
    pub new_notable: usize,
}

impl Told {
    pub fn all(marks: &[Mark], damages: &[Damage], places: usize) -> Told {
        Told { marks: marks.len(), damages: damages.len(), places, new_notable: 0 }
    }
}

/// What was met between two key frames, to be known again without reading.
#[derive(Serialize, Deserialize)]
pub struct Met {
    pub marks: Vec<Mark>,
    pub notable: Vec<Notable>,
    pub damages: Vec<Damage>,
    pub places: Vec<(Seq, Place)>,
}

impl Met {
    pub fn since(
        told: &Told,
        marks: &[Mark],
        notable: &VecDeque<Notable>,
        damages: &[Damage],
        places: &[(Seq, Place)],
    ) -> Met {
        Met {
            marks: marks[told.marks..].to_vec(),
            notable: notable.iter().skip(notable.len().saturating_sub(told.new_notable)).cloned().collect(),
            damages: damages[told.damages..].to_vec(),
            places: places[told.places..].to_vec(),
        }
    }

    /// Nothing of it can fail to be written; if it does, the frame says nothing of it and is of no use when it is read.
    pub fn written(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    pub fn read(bytes: &[u8]) -> Option<Met> {
        postcard::from_bytes(bytes).ok()
    }
}
