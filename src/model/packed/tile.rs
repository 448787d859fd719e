//! The one multiplication kernel: a few rows times a few panels of 32 columns.
//!
//! Projections, attention scores and attention values all run through it. Each result is one chain of fused
//! multiply-adds in the order of k, whatever the number of rows, the processor's vector width or the threads: so a
//! row's bits do not depend on its batch. It knows nothing of models.

use pulp::{Arch, Simd, WithSimd};

/// Columns of a panel; two AVX-512 registers, four of AVX2, eight of NEON.
pub const PANEL: usize = 32;

/// 32 neighbouring values of one row.
pub type Row = [f32; PANEL];

/// How weights lie in memory. A panel holds k rows of 32 columns.
pub trait Store: Copy + Send + Sync + 'static {
    /// Items of this type per 32 columns.
    const PER_ROW: usize;
    fn load<S: Simd, const NV: usize>(simd: S, row: &[Self]) -> [S::f32s; NV];
}

impl Store for f32 {
    const PER_ROW: usize = PANEL;

    #[inline(always)]
    fn load<S: Simd, const NV: usize>(simd: S, row: &[f32]) -> [S::f32s; NV] {
        let vectors = S::as_simd_f32s(row).0;
        let mut loaded = [simd.splat_f32s(0.0); NV];
        for (to, &from) in loaded.iter_mut().zip(vectors) {
            *to = from;
        }
        loaded
    }
}

/// Two bf16 in one word: column i in the low half, column i + 16 in the high half, so that a shift and a mask widen them.
impl Store for u32 {
    const PER_ROW: usize = PANEL / 2;

    #[inline(always)]
    fn load<S: Simd, const NV: usize>(simd: S, row: &[u32]) -> [S::f32s; NV] {
        let (sixteen, high) = (simd.splat_u32s(16), simd.splat_u32s(0xffff_0000));
        let mut loaded = [simd.splat_f32s(0.0); NV];
        let (low_half, high_half) = loaded.split_at_mut(NV / 2);
        for ((low, up), &pair) in low_half.iter_mut().zip(high_half).zip(S::as_simd_u32s(row).0) {
            *low = simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(pair, sixteen));
            *up = simd.transmute_f32s_u32s(simd.and_u32s(pair, high));
        }
        loaded
    }
}

/// The left factor: `rows` rows of `k_panels * 32` values, in pieces of 32.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    pub values: &'a [Row],
    pub rows: usize,
    pub k_panels: usize,
    /// Piece p of row r lies at `(p / inner) * outer + (p % inner) + r * step`.
    pub inner: usize,
    pub outer: usize,
    pub step: usize,
}

impl<'a> Left<'a> {
    /// Panel by panel, the rows of a panel together: the form in which products are written.
    pub fn panels(values: &'a [Row], rows: usize, k_panels: usize) -> Left<'a> {
        Left { values, rows, k_panels, inner: 1, outer: rows, step: 1 }
    }
}

/// What a result starts from.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    Zero,
    /// One row a panel.
    Bias(&'a [Row]),
    /// Goes on from what the output holds, as one longer chain.
    Output,
}

/// What happens with a finished chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    Store,
    Add,
}

/// The right factor: panels one after the other, or each at a place of its own.
#[derive(Debug, Clone, Copy)]
pub enum Right<'a, W> {
    Contiguous { values: &'a [W], stride: usize },
    Scattered(&'a [&'a [W]]),
}

impl<'a, W> Right<'a, W> {
    #[inline(always)]
    fn panel(&self, index: usize) -> &'a [W] {
        match *self {
            Right::Contiguous { values, stride } => &values[index * stride..],
            Right::Scattered(panels) => panels[index],
        }
    }
}

/// `out = left × right` for some neighbouring panels: panel n of the output holds `left.rows` rows at `n * stride`.
pub struct Product<'a, W> {
    pub left: Left<'a>,
    /// Panels of `left.k_panels * 32` rows of 32 columns.
    pub right: Right<'a, W>,
    pub panels: usize,
    pub start: Start<'a>,
    pub finish: Finish,
    pub out: &'a mut [Row],
    pub stride: usize,
}

impl<W: Store> Product<'_, W> {
    pub fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl<W: Store> WithSimd for Product<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Registers per panel row, and the most rows of one tile. 16 sums in flight run at the peak; with 24 the
        // compiler spills and a third of the speed is gone (measured).
        match S::F32_LANES {
            16 => self.by_rows::<S, 2, 8>(simd),
            8 => self.by_rows::<S, 4, 3>(simd),
            4 => self.by_rows::<S, 8, 3>(simd),
            _ => self.by_rows::<S, PANEL, 1>(simd),
        }
    }
}

impl<W: Store> Product<'_, W> {
    #[inline(always)]
    fn by_rows<S: Simd, const NV: usize, const MOST: usize>(&mut self, simd: S) {
        // Even blocks: 9 rows run as 5 + 4, not as 8 + 1.
        let blocks = self.left.rows.div_ceil(MOST).max(1);
        let block = self.left.rows.div_ceil(blocks);
        let wide = if NV == 2 { [0, 4, 4, 3, 2, 1, 1, 1, 1][block.min(8)] } else { 1 };
        let mut panel = 0;
        while panel < self.panels {
            let left = self.panels - panel;
            let together = left.div_ceil(left.div_ceil(wide));
            let mut row = 0;
            while row < self.left.rows {
                let rows = block.min(self.left.rows - row);
                self.pick_tile::<S, NV, MOST>(simd, rows, together, row, panel);
                row += rows;
            }
            panel += together;
        }
    }

    #[inline(always)]
    fn pick_tile<S: Simd, const NV: usize, const MOST: usize>(
        &mut self,
        simd: S,
        rows: usize,
        together: usize,
        row: usize,
        panel: usize,
    ) {
        // The last block of rows may be smaller than the others, so every number of rows exists alone too.
        match (rows, together) {
            (1, 2) if MOST > 3 => self.tile::<S, NV, 1, 2>(simd, row, panel),
            (1, 3) if MOST > 3 => self.tile::<S, NV, 1, 3>(simd, row, panel),
            (1, 4) if MOST > 3 => self.tile::<S, NV, 1, 4>(simd, row, panel),
            (2, 2) if MOST > 3 => self.tile::<S, NV, 2, 2>(simd, row, panel),
            (2, 3) if MOST > 3 => self.tile::<S, NV, 2, 3>(simd, row, panel),
            (2, 4) if MOST > 3 => self.tile::<S, NV, 2, 4>(simd, row, panel),
            (3, 2) if MOST > 3 => self.tile::<S, NV, 3, 2>(simd, row, panel),
            (3, 3) if MOST > 3 => self.tile::<S, NV, 3, 3>(simd, row, panel),
            (4, 2) if MOST > 3 => self.tile::<S, NV, 4, 2>(simd, row, panel),
            (rows, together) => {
                for panel in panel..panel + together {
                    match rows {
                        1 => self.tile::<S, NV, 1, 1>(simd, row, panel),
                        2 if MOST > 1 => self.tile::<S, NV, 2, 1>(simd, row, panel),
                        3 if MOST > 1 => self.tile::<S, NV, 3, 1>(simd, row, panel),
                        4 if MOST > 3 => self.tile::<S, NV, 4, 1>(simd, row, panel),
                        5 if MOST > 3 => self.tile::<S, NV, 5, 1>(simd, row, panel),
                        6 if MOST > 3 => self.tile::<S, NV, 6, 1>(simd, row, panel),
                        7 if MOST > 3 => self.tile::<S, NV, 7, 1>(simd, row, panel),
                        8 if MOST > 3 => self.tile::<S, NV, 8, 1>(simd, row, panel),
                        _ => {}
                    }
                }
            }
        }
    }

    /// MR rows × NP panels, all sums in registers over the whole of k.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "index loops over constant bounds unroll into registers")]
    fn tile<S: Simd, const NV: usize, const MR: usize, const NP: usize>(&mut self, simd: S, row: usize, panel: usize) {
        let left = self.left;
        let mut sums = [[[simd.splat_f32s(0.0); NV]; NP]; MR];
        for (r, sums) in sums.iter_mut().enumerate() {
            for (n, sums) in sums.iter_mut().enumerate() {
                match self.start {
                    Start::Zero => {}
                    Start::Bias(bias) => *sums = f32::load::<S, NV>(simd, &bias[panel + n]),
                    Start::Output => *sums = f32::load::<S, NV>(simd, &self.out[(panel + n) * self.stride + row + r]),
                }
            }
        }
        // Plain loops, not closures: a closure that the compiler leaves as a call loses the vector instructions.
        let block = PANEL * W::PER_ROW;
        let mut right: [&[W]; NP] = [&[]; NP];
        for n in 0..NP {
            right[n] = &self.right.panel(panel + n)[..left.k_panels * block];
        }
        for p in 0..left.k_panels {
            let at = (p / left.inner) * left.outer + p % left.inner + row * left.step;
            let mut pieces: [&Row; MR] = [&left.values[at]; MR];
            for r in 1..MR {
                pieces[r] = &left.values[at + r * left.step];
            }
            let mut blocks: [&[W]; NP] = [&[]; NP];
            for n in 0..NP {
                blocks[n] = &right[n][p * block..(p + 1) * block];
            }
            for k in 0..PANEL {
                for block in &blocks {
                    prefetch::<W>(block, k);
                }
                let mut columns = [[simd.splat_f32s(0.0); NV]; NP];
                for n in 0..NP {
                    columns[n] = W::load::<S, NV>(simd, &blocks[n][k * W::PER_ROW..(k + 1) * W::PER_ROW]);
                }
                for r in 0..MR {
                    let value = simd.splat_f32s(pieces[r][k]);
                    for n in 0..NP {
                        for v in 0..NV {
                            sums[r][n][v] = simd.mul_add_f32s(value, columns[n][v], sums[r][n][v]);
                        }
                    }
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (n, sums) in sums.iter().enumerate() {
                let out = S::as_mut_simd_f32s(&mut self.out[(panel + n) * self.stride + row + r]).0;
                for (out, &sum) in out.iter_mut().zip(sums) {
                    *out = if self.finish == Finish::Add { simd.add_f32s(*out, sum) } else { sum };
                }
            }
        }
    }
}

/// Asks for the same row of the next block, which the kernel reaches in 32 steps: about the latency of the shared
/// cache. The hardware's own prefetcher stops at every 4 KiB.
#[inline(always)]
fn prefetch<W: Store>(block: &[W], k: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let ahead = block.as_ptr().wrapping_add(block.len() + k * W::PER_ROW);
        // A line holds 64 bytes: one of a bf16 row, two of an f32 row.
        for line in 0..size_of::<W>() * W::PER_ROW / 64 {
            let at = ahead.wrapping_add(line * 64 / size_of::<W>());
            #[expect(unsafe_code, reason = "a prefetch only hints and may point anywhere; there is no safe form of it")]
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(at.cast());
            }
        }
    }
}
