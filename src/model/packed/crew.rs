//! Threads that work together on one step after the other, with hardly any pause between them.
//!
//! A decoded token is some thirty products of ten microseconds each. A pool whose threads fall asleep between them takes as
//! long to wake as the product takes; here they look out for the next one for a moment before they sleep. Whoever leads never
//! waits for somebody who has not come: it does the work alone then.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

/// What everybody runs; returns when nothing is left to take.
type Work = &'static (dyn Fn() + Sync);

/// Looks for the next work before a thread sleeps: some hundred microseconds.
const LOOKS: usize = 2_000;
/// After so many looks whoever else wants the processor gets it.
const LOOKS_BETWEEN_YIELDS: usize = 50;

#[derive(Debug, Default)]
pub struct Crew {
    shared: Arc<Shared>,
    mates: Vec<JoinHandle<()>>,
    /// One leads at a time; who finds it taken works alone.
    lead: Mutex<()>,
}

#[derive(Default)]
struct Shared {
    /// How often work was offered.
    round: AtomicUsize,
    open: AtomicBool,
    /// Mates that may be looking at the work.
    inside: AtomicUsize,
    asleep: AtomicUsize,
    dismissed: AtomicBool,
    work: Mutex<Option<Work>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Crew {
    /// As many threads as asked for, the caller counted; 0 means as many as there are processors.
    pub fn new(threads: usize) -> Result<Crew> {
        let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let mut crew = Crew::default();
        for mate in 1..threads {
            let shared = Arc::clone(&crew.shared);
            let thread = std::thread::Builder::new().name(format!("llama-{mate}")).spawn(move || shared.serve());
            crew.mates.push(thread.context("could not start the computing threads")?);
        }
        Ok(crew)
    }

    /// Nobody but the caller.
    pub fn alone() -> Crew {
        Crew::default()
    }

    pub fn threads(&self) -> usize {
        self.mates.len() + 1
    }

    /// Everybody takes from the tasks until none is left.
    pub fn share<T: Send>(&self, tasks: impl Iterator<Item = T> + Send, work: impl Fn(T) + Sync) {
        self.share_with(|| (), tasks, |(), task| work(task));
    }

    /// The same, with something that each thread makes for itself before its first task.
    pub fn share_with<T: Send, Own>(
        &self,
        own: impl Fn() -> Own + Sync,
        tasks: impl Iterator<Item = T> + Send,
        work: impl Fn(&mut Own, T) + Sync,
    ) {
        if self.mates.is_empty() {
            let mut own = own();
            return tasks.for_each(|task| work(&mut own, task));
        }
        let tasks = Mutex::new(tasks);
        let next = || locked(&tasks).next();
        self.together(&|| {
            let Some(mut task) = next() else { return };
            let mut own = own();
            loop {
                work(&mut own, task);
                match next() {
                    Some(another) => task = another,
                    None => return,
                }
            }
        });
    }

    fn together(&self, work: &(dyn Fn() + Sync)) {
        let _lead = match self.lead.try_lock() {
            Ok(lead) => lead,
            // Somebody's work panicked once; nothing of it is left.
            Err(TryLockError::Poisoned(lead)) => lead.into_inner(),
            Err(TryLockError::WouldBlock) => return work(),
        };
        let shared = &*self.shared;
        #[expect(
            unsafe_code,
            reason = "the borrow ends before this returns: `Closing` waits for all who may look at it"
        )]
        let lasting = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), Work>(work) };
        *locked(&shared.panic) = None;
        *locked(&shared.work) = Some(lasting);
        // Also when the work panics here.
        let closing = Closing(shared);
        shared.open.store(true, SeqCst);
        shared.round.fetch_add(1, SeqCst);
        if shared.asleep.load(SeqCst) > 0 {
            self.mates.iter().for_each(|mate| mate.thread().unpark());
        }
        work();
        drop(closing);
        if let Some(panic) = locked(&shared.panic).take() {
            resume_unwind(panic);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.dismissed.store(true, SeqCst);
        for mate in self.mates.drain(..) {
            mate.thread().unpark();
            // It caught every panic of the work.
            let _ = mate.join();
        }
    }
}

/// Lets nobody in any more, and waits until all are out.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        // Whoever comes in after this sees it; whoever came in before is counted.
        self.0.open.store(false, SeqCst);
        let mut looks = 0;
        while self.0.inside.load(SeqCst) > 0 {
            look_on(&mut looks);
        }
        *locked(&self.0.work) = None;
    }
}

impl Shared {
    fn serve(&self) {
        let mut seen = 0;
        while self.wait_for_more_than(seen) {
            seen = self.round.load(SeqCst);
            self.inside.fetch_add(1, SeqCst);
            if self.open.load(SeqCst) {
                let work = *locked(&self.work);
                if let Some(Err(panic)) = work.map(|work| catch_unwind(AssertUnwindSafe(work))) {
                    *locked(&self.panic) = Some(panic);
                }
            }
            self.inside.fetch_sub(1, SeqCst);
        }
    }

    /// False when the crew is dismissed.
    fn wait_for_more_than(&self, seen: usize) -> bool {
        let mut looks = 0;
        loop {
            if self.dismissed.load(SeqCst) {
                return false;
            }
            if self.round.load(SeqCst) != seen {
                return true;
            }
            if looks < LOOKS {
                look_on(&mut looks);
                continue;
            }
            self.asleep.fetch_add(1, SeqCst);
            // Whoever offers work after this sees a sleeper and wakes it.
            if self.round.load(SeqCst) == seen && !self.dismissed.load(SeqCst) {
                std::thread::park();
            }
            self.asleep.fetch_sub(1, SeqCst);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("round", &self.round).finish_non_exhaustive()
    }
}

fn look_on(looks: &mut usize) {
    *looks += 1;
    if looks.is_multiple_of(LOOKS_BETWEEN_YIELDS) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < patience, "nobody came");
            std::thread::yield_now();
        }
    }

    #[test]
    fn every_task_is_done_once_by_however_many() {
        for threads in [1, 2, 3, 8] {
            let crew = Crew::new(threads).unwrap();
            for round in 0..2_000_u64 {
                let mut sums = vec![0; (round % 7) as usize];
                crew.share(sums.iter_mut().enumerate(), |(at, sum)| *sum = round * 10 + at as u64);
                assert!(sums.iter().enumerate().all(|(at, &sum)| sum == round * 10 + at as u64), "{threads}: {round}");
            }
        }
    }

    #[test]
    fn threads_that_fell_asleep_are_woken() {
        let crew = Crew::new(2).unwrap();
        let mate_came = AtomicBool::new(false);
        wait_until(|| crew.shared.asleep.load(SeqCst) == 1);
        let own = std::thread::current().id();
        // The leader goes on only once the other has taken a task.
        crew.share(0..2, |_| {
            if std::thread::current().id() == own {
                wait_until(|| mate_came.load(SeqCst));
            } else {
                mate_came.store(true, SeqCst);
            }
        });
    }

    #[test]
    fn a_panic_anywhere_reaches_the_leader_and_the_crew_goes_on() {
        let crew = Crew::new(3).unwrap();
        for at in [0, 1, 17, 39] {
            let shared = || crew.share(0..40, |task| assert!(task != at, "task {task} failed"));
            let panic = catch_unwind(AssertUnwindSafe(shared)).unwrap_err();
            assert!(panic.downcast_ref::<String>().unwrap().contains(&format!("task {at} failed")));
            let done = AtomicUsize::new(0);
            crew.share(0..40, |_| {
                let _ = done.fetch_add(1, SeqCst);
            });
            assert_eq!(done.into_inner(), 40);
        }
    }

    #[test]
    fn two_leaders_at_once_and_work_within_work_are_done() {
        let crew = Crew::new(2).unwrap();
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        crew.share(0..5, |_| {
                            crew.share(0..3, |_| {
                                let _ = done.fetch_add(1, SeqCst);
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 4 * 200 * 15);
    }
}
