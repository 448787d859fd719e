//! The projection to the vocabulary at the positions that count, forward and back, a piece of the logits at a time.
//!
//! The gradient of log p(t) is onehot(t) − p, so nothing but logits and their totals is kept. It knows no loss.

use pulp::Arch;

use crate::train::hand::lanes;
use crate::train::hand::product::{Into, Matrix, product};
use crate::train::hand::scratch::Scratch;

/// Logits that are computed at once.
const PIECE: usize = 1 << 22;
/// Logits that are kept for the way back instead of being computed again.
const KEPT: usize = 1 << 26;

/// The output projection with the tokens to predict.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `[V, d]`
    pub weight: &'a [f32],
    pub width: usize,
    pub targets: &'a [u32],
}

/// One piece's logits, `[n, V]`, and the log of each row's sum of exponentials.
#[derive(Debug)]
pub struct Piece {
    logits: Vec<f32>,
    totals: Vec<f32>,
}

impl Head<'_> {
    fn vocab(&self) -> usize {
        self.weight.len() / self.width
    }

    fn pieces(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (count, size) = (self.targets.len(), (PIECE / self.vocab().max(1)).max(16));
        (0..count).step_by(size).map(move |from| from..(from + size).min(count))
    }

    fn piece(&self, hidden: &[f32], range: std::ops::Range<usize>, scratch: &mut Scratch) -> Piece {
        let (rows, vocab) = (range.len(), self.vocab());
        let (mut logits, mut totals) = (scratch.take(rows * vocab), scratch.take(rows));
        let own = Matrix::new(&hidden[range.start * self.width..range.end * self.width], rows, self.width);
        let weight = Matrix::new(self.weight, vocab, self.width).transposed();
        product(own, weight, 1.0, Into::new(&mut logits, vocab));
        lanes::log_totals(Arch::new(), &logits, vocab, &mut totals);
        Piece { logits, totals }
    }

    /// log p of the targets, and if wanted and small enough what the way back needs.
    pub fn log_probs(&self, hidden: &[f32], keep: bool, scratch: &mut Scratch) -> (Vec<f32>, Vec<Piece>) {
        let keep = keep && self.targets.len() * self.vocab() <= KEPT;
        let (mut flat, mut kept) = (Vec::with_capacity(self.targets.len()), Vec::new());
        for range in self.pieces() {
            let piece = self.piece(hidden, range.clone(), scratch);
            let rows = piece.logits.chunks_exact(self.vocab()).zip(&piece.totals);
            flat.extend(rows.zip(&self.targets[range]).map(|((row, total), &target)| row[target as usize] - total));
            if keep {
                kept.push(piece);
            } else {
                scratch.give_all([piece.logits, piece.totals]);
            }
        }
        (flat, kept)
    }

    /// The gradient of Σ c·log p(target) at the hidden states; that of the weight is added where it is wanted.
    pub fn gradient(
        &self,
        hidden: &[f32],
        coefficients: &[f32],
        kept: Vec<Piece>,
        mut by_weight: Option<&mut Vec<f32>>,
        scratch: &mut Scratch,
    ) -> Vec<f32> {
        let (vocab, width) = (self.vocab(), self.width);
        let mut by_hidden = scratch.take(hidden.len());
        let mut kept = kept.into_iter();
        for range in self.pieces() {
            let Piece { mut logits, totals } =
                kept.next().unwrap_or_else(|| self.piece(hidden, range.clone(), scratch));
            let rows = range.len();
            let coefficients = &coefficients[range.clone()];
            lanes::log_softmax_back(Arch::new(), &mut logits, vocab, &totals, coefficients);
            let targets = self.targets[range.clone()].iter().zip(coefficients);
            for (row, (&target, coefficient)) in logits.chunks_exact_mut(vocab).zip(targets) {
                row[target as usize] += coefficient;
            }
            let by_logits = Matrix::new(&logits, rows, vocab);
            let place = range.start * width..range.end * width;
            let by_own = Into::new(&mut by_hidden[place.clone()], width);
            product(by_logits, Matrix::new(self.weight, vocab, width), 1.0, by_own);
            if let Some(by_weight) = by_weight.as_deref_mut() {
                let own = Matrix::new(&hidden[place], rows, width);
                product(by_logits.transposed(), own, 1.0, Into::added(by_weight, width));
            }
            scratch.give_all([logits, totals]);
        }
        by_hidden
    }
}
