//! A fixed number of threads, each with a part of the work of its own.
//!
//! Every worker computes on one thread only, so what it computes depends on its part and not on who else was busy: results
//! are the same bits for the same number of workers. Used by the gradient and by the optimiser.

use anyhow::{Context, Result};

#[derive(Debug)]
pub struct Workers {
    pools: Vec<rayon::ThreadPool>,
}

impl Workers {
    /// 0 takes as many threads as there are processors.
    pub fn new(threads: usize) -> Result<Workers> {
        let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let pool = |worker: usize| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .thread_name(move |_| format!("train-{worker}"))
                .build()
                .context("could not start a training thread")
        };
        Ok(Workers { pools: (0..threads).map(pool).collect::<Result<_>>()? })
    }

    pub fn count(&self) -> usize {
        self.pools.len()
    }

    /// Works on every part at the same time, one worker a part. Parts beyond the number of workers wait for their turn.
    pub fn each<T: Send, R: Send>(&self, parts: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
        let mut results = Vec::with_capacity(parts.len());
        let mut parts = parts.into_iter().peekable();
        while parts.peek().is_some() {
            let work = &work;
            let round: Vec<R> = std::thread::scope(|scope| {
                let running: Vec<_> = self
                    .pools
                    .iter()
                    .zip(parts.by_ref().take(self.pools.len()))
                    .map(|(pool, part)| scope.spawn(move || pool.install(|| work(part))))
                    .collect();
                let join = |thread: std::thread::ScopedJoinHandle<'_, R>| match thread.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                running.into_iter().map(join).collect()
            });
            results.extend(round);
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_their_parts() {
        for threads in [1, 2, 3] {
            let workers = Workers::new(threads).unwrap();
            let squares = workers.each((0..7).collect(), |n: u32| (n * n, rayon::current_num_threads()));
            assert_eq!(squares, (0..7).map(|n| (n * n, 1)).collect::<Vec<_>>());
        }
    }
}
