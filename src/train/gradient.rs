//! One gradient: a forward pass, what the loss says of each token's log-prob, and the way back.
//!
//! The vocabulary never enters the graph: logits of the reply's positions are computed in pieces beside it, and their
//! gradient is written down as it is known, d log p(t) = onehot(t) − p. Used by the steps and by scoring.
//!
//! Letters in shapes: N reply positions, d hidden, V vocabulary.

use anyhow::{Result, ensure};
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor, TensorData};

use crate::model::llama::Llama;
use crate::train::batch::{Rows, Sequence};
use crate::train::dropout::{self, Dropout};
use crate::train::parameters::{self, Numbers, numbers};

/// Logits that are held at once.
const PIECE: usize = 1 << 22;
/// Log-probs over the vocabulary that are kept from the forward to the backward half instead of being computed again.
const KEPT: usize = 1 << 26;

/// Log-probs of the reply's tokens, one list a sequence.
pub type TokenLogProbs = Vec<Vec<f32>>;

/// Log-probs without a gradient: of the reference, of held-out data, of whatever is scored.
pub fn log_probs(llama: &Llama, sequences: &[&Sequence]) -> Result<TokenLogProbs> {
    let device = llama.model.embed_tokens.weight.val().device();
    let rows = Rows::new(&llama.shape, sequences, &device)?;
    let hidden = llama.hidden(rows.tokens.clone(), &rows.places).select(0, rows.picked.clone());
    let head = Head::new(llama, &rows.targets);
    let (flat, _) = head.log_probs(&hidden, false)?;
    Ok(rows.by_sequence(&flat))
}

/// Log-probs and the gradient of a loss. `derivative` gets the log-probs and says ∂ loss / ∂ log p of every token. With
/// dropout the gradient is that of the thinned network, and so are the log-probs.
pub fn gradient(
    llama: &Llama,
    sequences: &[&Sequence],
    dropout: Option<Dropout>,
    derivative: impl FnOnce(&TokenLogProbs) -> TokenLogProbs,
) -> Result<(TokenLogProbs, Numbers)> {
    let device = llama.model.embed_tokens.weight.val().device();
    let rows = Rows::new(&llama.shape, sequences, &device)?;
    let leaves = parameters::leaves(llama);
    let hidden = match dropout {
        Some(dropout) => dropout::hidden(&leaves, &rows, dropout),
        None => leaves.hidden(rows.tokens.clone(), &rows.places),
    };
    let hidden = hidden.select(0, rows.picked.clone());
    let plain = hidden.clone().inner();
    let head = Head::new(llama, &rows.targets);
    let (flat, kept) = head.log_probs(&plain, true)?;
    let log_probs = rows.by_sequence(&flat);
    let coefficients = derivative(&log_probs).concat();
    ensure!(coefficients.len() == flat.len(), "{} derivatives for {} tokens", coefficients.len(), flat.len());
    let (by_hidden, by_head) = head.gradient(&plain, &coefficients, kept);
    // A product with a constant, summed: its gradient at the hidden states is that constant.
    let gradients = (hidden * by_hidden).sum().backward();
    let mut gradient = parameters::gradient(&leaves, gradients)?;
    let own = if llama.shape.tied { "model.embed_tokens.weight" } else { "lm_head.weight" };
    let place = parameters::list(llama).iter().position(|parameter| parameter.name == own);
    ensure!(place.is_some(), "there is no {own}");
    for (to, from) in gradient[place.unwrap_or(0)].iter_mut().zip(numbers(by_head)?) {
        *to += from;
    }
    Ok((log_probs, gradient))
}

/// The projection to the vocabulary, outside any graph.
struct Head<'a> {
    /// `[V, d]`
    weight: Tensor<2>,
    targets: &'a [u32],
    /// Positions at a time.
    piece: usize,
}

impl<'a> Head<'a> {
    fn new(llama: &Llama, targets: &'a [u32]) -> Head<'a> {
        let weight = match &llama.lm_head {
            Some(head) => head.weight.val(),
            None => llama.model.embed_tokens.weight.val(),
        };
        Head { weight: weight.inner(), targets, piece: (PIECE / llama.shape.vocab.max(1)).max(16) }
    }

    /// log p of the targets, and if wanted and small enough the log-probs over the vocabulary, piece by piece.
    fn log_probs(&self, hidden: &Tensor<2>, keep: bool) -> Result<(Vec<f32>, Vec<Tensor<2>>)> {
        let keep = keep && self.targets.len() * self.weight.dims()[0] <= KEPT;
        let (mut flat, mut kept) = (Vec::with_capacity(self.targets.len()), Vec::new());
        for from in (0..self.targets.len()).step_by(self.piece) {
            let all = self.log_softmax(hidden, from);
            let own = all.clone().gather(1, self.target_column(from));
            flat.extend(numbers(own)?);
            if keep {
                kept.push(all);
            }
        }
        Ok((flat, kept))
    }

    /// The gradient of Σ c·log p(target) at the hidden states `[N, d]` and at the weight `[V, d]`.
    fn gradient(&self, hidden: &Tensor<2>, coefficients: &[f32], kept: Vec<Tensor<2>>) -> (Tensor<2>, Tensor<2>) {
        let device = hidden.device();
        let mut by_hidden = Vec::new();
        let mut by_weight: Option<Tensor<2>> = None;
        let mut kept = kept.into_iter();
        for from in (0..self.targets.len()).step_by(self.piece) {
            let count = self.count(from);
            let all = kept.next().unwrap_or_else(|| self.log_softmax(hidden, from));
            let own = coefficients[from..from + count].to_vec();
            let own = Tensor::<2>::from_data(TensorData::new(own, [count, 1]), (&device, DType::F32));
            // c·(onehot − p)
            let by_logits =
                (all.exp() * own.clone().neg()).scatter(1, self.target_column(from), own, IndexingUpdateOp::Add);
            by_hidden.push(by_logits.clone().matmul(self.weight.clone()));
            let part = by_logits.transpose().matmul(hidden.clone().narrow(0, from, count));
            by_weight = Some(match by_weight {
                Some(sum) => sum + part,
                None => part,
            });
        }
        let by_weight = by_weight.unwrap_or_else(|| self.weight.zeros_like());
        (Tensor::cat(by_hidden, 0), by_weight)
    }

    fn count(&self, from: usize) -> usize {
        self.piece.min(self.targets.len() - from)
    }

    fn log_softmax(&self, hidden: &Tensor<2>, from: usize) -> Tensor<2> {
        let piece = hidden.clone().narrow(0, from, self.count(from));
        log_softmax(piece.matmul(self.weight.clone().transpose()), 1)
    }

    fn target_column(&self, from: usize) -> Tensor<2, Int> {
        let count = self.count(from);
        let column: Vec<i32> = self.targets[from..from + count].iter().map(|&token| token as i32).collect();
        Tensor::from_data(TensorData::new(column, [count, 1]), (&self.weight.device(), DType::I32))
    }
}
