//! What the machine says about the engine: its share of a core, and the space left for the run.
//!
//! Used by `source` while a run is watched. Reads `/proc` where there is one; elsewhere the number is absent.

use std::path::Path;

/// The latest look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct System {
    /// Share of one core since the look before, when the engine runs on this machine.
    pub engine_cpu: Option<f64>,
    pub disk_free: u64,
}

/// Remembers the look before, since a share needs two.
#[derive(Clone, Debug, Default)]
pub struct Gauge {
    before: Option<(u32, u64, i64)>,
    last: Option<f64>,
}

impl Gauge {
    /// Looks at the engine's process and at the disk of the run folder. `now` is the clock in microseconds.
    pub fn look(&mut self, folder: &Path, pid: Option<u32>, now: i64) -> Option<System> {
        let disk = rustix::fs::statvfs(folder).ok()?;
        let ticks = pid.and_then(|pid| Some((pid, ticks(pid)?)));
        match (ticks, self.before) {
            (Some((pid, ticks)), Some((known, before, at))) if pid == known => {
                let seconds = (now - at) as f64 / 1e6;
                // Ticks are hundredths of a second: over a shorter time the share would jump.
                if seconds >= 1.0 {
                    self.last = Some(ticks.saturating_sub(before) as f64 / 100.0 / seconds);
                    self.before = Some((pid, ticks, now));
                }
            }
            (Some((pid, ticks)), _) => (self.before, self.last) = (Some((pid, ticks, now)), None),
            (None, _) => (self.before, self.last) = (None, None),
        }
        // To the hundredth and to ten megabytes, so that the picture does not change at every look.
        let engine_cpu = self.last.map(|share| (share * 50.0).round() / 50.0);
        let free = disk.f_bavail * disk.f_frsize;
        Some(System { engine_cpu, disk_free: free / 10_000_000 * 10_000_000 })
    }
}

/// Time in user and kernel mode of a process, in hundredths of a second.
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(rest.next()?.parse::<u64>().ok()? + rest.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_some_time_and_there_is_some_space() {
        let mut gauge = Gauge::default();
        let folder = std::env::temp_dir();
        let me = Some(std::process::id());
        assert_eq!(gauge.look(&folder, me, 0).unwrap().engine_cpu, None);
        let second = gauge.look(&folder, me, 2_000_000).unwrap();
        assert!(second.engine_cpu.is_some() == ticks(std::process::id()).is_some());
        assert_eq!(gauge.look(&folder, None, 4_000_000).unwrap().engine_cpu, None);
    }
}
