//! What to do about a call that brought no answer: try again and when, ask a person, or give the item up. Pure.

use crate::engine::overrides::seconds;
use crate::engine::policy::Fault;
use crate::engine::teaching::settings::TeacherSettings;
use crate::run::event::FaultKind;

/// The longest wait that an endpoint may ask for; what is longer is asked again after it.
const LONGEST_ASKED_MS: u64 = 3_600_000;

/// What comes after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Again after so long. `aloud`: it has failed so often that people should know.
    Again { after_ms: u64, aloud: bool },
    /// Nothing that time mends: a person must do something.
    Person,
}

/// How long to wait, as settings say it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    pub tries: u32,
    pub first_ms: u64,
    pub longest_ms: u64,
}

impl Waits {
    pub fn of(settings: &TeacherSettings) -> Waits {
        let ms = |text: &str, otherwise: u64| seconds(text).map_or(otherwise, |seconds| (seconds * 1000.0) as u64);
        let longest_ms = ms(&settings.wait_longest, 60_000).max(1);
        Waits { tries: settings.tries.max(1), first_ms: ms(&settings.wait, 1000).clamp(1, longest_ms), longest_ms }
    }

    /// `tries` counts this one. `draw` is uniform in 0..1: the whole interval is drawn from, so that many callers do not come back at once.
    pub fn next(&self, fault: &Fault, tries: u32, draw: f64) -> Next {
        match fault.kind {
            FaultKind::Quota | FaultKind::Unauthorized | FaultKind::NotFound | FaultKind::BadRequest => Next::Person,
            FaultKind::Connect
            | FaultKind::Timeout
            | FaultKind::Cut
            | FaultKind::Malformed
            | FaultKind::RateLimited
            | FaultKind::Server => {
                let doubled = self.first_ms.saturating_mul(1 << tries.saturating_sub(1).min(20));
                let interval = doubled.min(self.longest_ms) as f64;
                // An endpoint that names a time is not asked before it, nor by everybody in the same moment after it.
                let asked = fault.wait_ms.unwrap_or(0).min(LONGEST_ASKED_MS);
                let drawn = if asked > 0 { draw * interval.min(asked as f64 / 4.0) } else { draw * interval };
                Next::Again { after_ms: asked + drawn as u64, aloud: tries >= self.tries }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind, wait_ms: Option<u64>) -> Fault {
        Fault { kind, says: String::new(), wait_ms, charged: false }
    }

    #[test]
    fn each_fault_is_tried_again_or_brought_before_a_person() {
        let waits = Waits { tries: 3, first_ms: 100, longest_ms: 1000 };
        use FaultKind::*;
        for kind in [Quota, Unauthorized, NotFound, BadRequest] {
            assert_eq!(waits.next(&fault(kind, Some(5)), 1, 0.5), Next::Person, "{kind:?}");
        }
        for kind in [Connect, Timeout, Cut, Malformed, RateLimited, Server] {
            let table = [
                (1, 0.0, None, 0, false),
                (1, 0.5, None, 50, false),
                (2, 0.5, None, 100, false),
                (3, 0.5, None, 200, true),
                // The interval stops growing.
                (30, 0.5, None, 500, true),
                (1, 0.5, Some(2000), 2050, false),
                (9, 0.5, Some(400), 450, true),
                (1, 0.0, Some(1 << 50), LONGEST_ASKED_MS, false),
            ];
            for (tries, draw, asked, after_ms, aloud) in table {
                let next = waits.next(&fault(kind, asked), tries, draw);
                assert_eq!(next, Next::Again { after_ms, aloud }, "{kind:?} {tries} {draw} {asked:?}");
            }
        }
    }

    #[test]
    fn a_thousand_callers_come_back_spread_over_the_whole_interval() {
        let waits = Waits { tries: 6, first_ms: 1000, longest_ms: 60_000 };
        let mut stream = crate::recipe::seeds::Seed::root(3).stream();
        let mut bins = [0; 10];
        for _ in 0..1000 {
            if let Next::Again { after_ms, .. } = waits.next(&fault(FaultKind::RateLimited, None), 4, stream.unit()) {
                bins[(after_ms / 800) as usize] += 1;
            }
        }
        assert!(bins.iter().all(|count| (60..140).contains(count)), "{bins:?}");
    }
}
