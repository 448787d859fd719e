//! What the machine can do at best, beside which `bench` puts what a model does, and the most memory that was held.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use pulp::Arch;

use crate::model::packed::crew::Crew;
use crate::model::packed::matrix::{Matrix, Padding};
use crate::model::packed::tile::{Finish, Left, PANEL};
use crate::model::weights::Tensor;

const PEAK_SIZE: usize = 1024;

/// The best of some runs: a peak is what the machine can do, not what it does on average.
fn fastest(mut work: impl FnMut(), runs: usize) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

/// GFLOP/s of a product with the `gemm` crate, as burn calls it.
pub fn gemm_peak(threads: usize) -> Result<f64> {
    use burn::tensor::{DType, Device, Tensor};
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let device = Device::flex();
    let square = || Tensor::<2>::ones([PEAK_SIZE, PEAK_SIZE], (&device, DType::F32));
    let (a, b) = (square(), square());
    let product = || drop(black_box(a.clone().matmul(b.clone()).into_data()));
    Ok(2.0 * (PEAK_SIZE as f64).powi(3) / pool.install(|| fastest(product, 8)) / 1e9)
}

/// GFLOP/s of our own kernel on the same.
pub fn kernel_peak(crew: &Crew) -> f64 {
    let values = (0..PEAK_SIZE * PEAK_SIZE).map(|i| (i % 97) as f32 * 0.0101).collect();
    let matrix = Matrix::pack(crew, &[(&Tensor::f32(vec![PEAK_SIZE; 2], values), None)], Padding::NONE, Padding::NONE);
    let x = vec![[0.5; PANEL]; PEAK_SIZE * PEAK_SIZE / PANEL];
    let mut y = x.clone();
    let left = Left::panels(&x, PEAK_SIZE, PEAK_SIZE / PANEL);
    let seconds = fastest(|| matrix.product(crew, pulp::Arch::new(), left, black_box(&mut y), Finish::Store), 8);
    2.0 * (PEAK_SIZE as f64).powi(3) / seconds / 1e9
}

/// GB/s of reading so many bytes again and again: from whatever cache they fit.
pub fn read_peak(crew: &Crew, bytes: usize) -> f64 {
    const AT_ONCE: usize = 128;
    let memory = vec![1.0_f32; bytes.max(1 << 20) / 4];
    let arch = Arch::new();
    let times = (1 << 30) / bytes.max(1 << 20) + 1;
    let add = |part: &[f32]| {
        let mut sums = [0.0_f32; AT_ONCE];
        for values in part.as_chunks::<AT_ONCE>().0 {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value;
            }
        }
        black_box(sums);
    };
    // A part for each, so that every core reads the same part every time.
    let part = memory.len().div_ceil(crew.threads());
    let read = || crew.share(memory.chunks(part), |part| (0..times).for_each(|_| arch.dispatch(|| add(part))));
    (memory.len() * 4 * times) as f64 / fastest(read, 3) / 1e9
}

pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The most memory this process ever held, as the kernel counts it.
pub fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("no /proc").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}
