//! Preference losses as pure functions of four sequence log-probs, with their derivatives; no tensor, no file.
//!
//! Letters: πc, πr are the policy's log-probs of the chosen and the rejected reply, rc, rr the reference's, |c|, |r| the
//! replies' tokens, σ the logistic function. Every loss is that of one pair; a step takes the mean over its pairs.

/// What the losses look at. A log-prob is that of a whole reply: a sum over its tokens, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairLogProbs {
    pub chosen: f64,
    pub rejected: f64,
    pub reference_chosen: f64,
    pub reference_rejected: f64,
    pub chosen_tokens: u32,
    pub rejected_tokens: u32,
}

/// A loss, where it pushes, and the rewards that the policy implies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairLoss {
    pub loss: f64,
    /// ∂ loss / ∂ πc
    pub by_chosen: f64,
    /// ∂ loss / ∂ πr
    pub by_rejected: f64,
    pub reward_chosen: f64,
    pub reward_rejected: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PreferenceLoss {
    Dpo { beta: f64, label_smoothing: f64 },
    LengthNormalised { beta: f64, label_smoothing: f64 },
    Simpo { beta: f64, margin: f64, label_smoothing: f64 },
    Ipo { beta: f64 },
}

impl PreferenceLoss {
    pub fn of(self, pair: &PairLogProbs) -> PairLoss {
        match self {
            PreferenceLoss::Dpo { beta, label_smoothing } => dpo(pair, beta, label_smoothing),
            PreferenceLoss::LengthNormalised { beta, label_smoothing } => {
                length_normalised(pair, beta, label_smoothing)
            }
            PreferenceLoss::Simpo { beta, margin, label_smoothing } => simpo(pair, beta, margin, label_smoothing),
            PreferenceLoss::Ipo { beta } => ipo(pair, beta),
        }
    }

    /// Whether the reference's log-probs count at all.
    pub fn has_reference(self) -> bool {
        !matches!(self, PreferenceLoss::Simpo { .. })
    }
}

/// DPO (arXiv 2305.18290, eq. 7): −log σ(z), z = β·((πc − rc) − (πr − rr)).
pub fn dpo(pair: &PairLogProbs, beta: f64, label_smoothing: f64) -> PairLoss {
    let (chosen, rejected) = (pair.chosen - pair.reference_chosen, pair.rejected - pair.reference_rejected);
    logistic(beta * chosen, beta * rejected, 0.0, (beta, beta), label_smoothing)
}

/// Length-normalised DPO (arXiv 2411.15124): −log σ(z), z = β·((πc − rc)/|c| − (πr − rr)/|r|).
pub fn length_normalised(pair: &PairLogProbs, beta: f64, label_smoothing: f64) -> PairLoss {
    let (by_chosen, by_rejected) = (beta / tokens(pair.chosen_tokens), beta / tokens(pair.rejected_tokens));
    let chosen = by_chosen * (pair.chosen - pair.reference_chosen);
    let rejected = by_rejected * (pair.rejected - pair.reference_rejected);
    logistic(chosen, rejected, 0.0, (by_chosen, by_rejected), label_smoothing)
}

/// SimPO (arXiv 2405.14734, eq. 6), which has no reference: −log σ(z), z = β·(πc/|c| − πr/|r| − m), with m the target
/// margin over β.
pub fn simpo(pair: &PairLogProbs, beta: f64, margin: f64, label_smoothing: f64) -> PairLoss {
    let (by_chosen, by_rejected) = (beta / tokens(pair.chosen_tokens), beta / tokens(pair.rejected_tokens));
    let (chosen, rejected) = (by_chosen * pair.chosen, by_rejected * pair.rejected);
    logistic(chosen, rejected, beta * margin, (by_chosen, by_rejected), label_smoothing)
}

/// IPO (arXiv 2310.12036, eq. 17) over log-probs per token: (h − 1/(2β))², h = (πc − rc)/|c| − (πr − rr)/|r|.
pub fn ipo(pair: &PairLogProbs, beta: f64) -> PairLoss {
    let (chosen_tokens, rejected_tokens) = (tokens(pair.chosen_tokens), tokens(pair.rejected_tokens));
    let chosen = (pair.chosen - pair.reference_chosen) / chosen_tokens;
    let rejected = (pair.rejected - pair.reference_rejected) / rejected_tokens;
    let off = chosen - rejected - 1.0 / (2.0 * beta);
    PairLoss {
        loss: off * off,
        by_chosen: 2.0 * off / chosen_tokens,
        by_rejected: -2.0 * off / rejected_tokens,
        reward_chosen: beta * chosen,
        reward_rejected: beta * rejected,
    }
}

/// −(1−ε)·log σ(z) − ε·log σ(−z) with z = reward_c − reward_r − target. With ε > 0 this is conservative DPO: the share ε
/// of the pairs is believed to be the wrong way round. ∂/∂z = ε·σ(z) − (1−ε)·σ(−z).
fn logistic(
    reward_chosen: f64,
    reward_rejected: f64,
    target: f64,
    (by_chosen, by_rejected): (f64, f64),
    label_smoothing: f64,
) -> PairLoss {
    let z = reward_chosen - reward_rejected - target;
    let by_z = label_smoothing * sigmoid(z) - (1.0 - label_smoothing) * sigmoid(-z);
    PairLoss {
        loss: (1.0 - label_smoothing) * softplus(-z) + label_smoothing * softplus(z),
        by_chosen: by_z * by_chosen,
        by_rejected: -by_z * by_rejected,
        reward_chosen,
        reward_rejected,
    }
}

/// The loss of a reward model (Bradley and Terry): −log σ(rc − rr), with the share ε of the pairs believed to be the wrong
/// way round.
pub fn reward(chosen: f64, rejected: f64, label_smoothing: f64) -> PairLoss {
    logistic(chosen, rejected, 0.0, (1.0, 1.0), label_smoothing)
}

/// Whether the chosen reply has the higher reward: 1 or 0, and a half where both have the same. What is no number agrees with nothing.
pub fn agrees(chosen: f64, rejected: f64) -> f64 {
    match chosen.partial_cmp(&rejected) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Equal) => 0.5,
        Some(std::cmp::Ordering::Less) | None => 0.0,
    }
}

/// The negative log-likelihood of a reply per token, −πc/|c|: the term that Iterative RPO (arXiv 2404.19733) adds to DPO,
/// times a weight. Returns it with ∂/∂πc.
pub fn nll(log_prob: f64, reply_tokens: u32) -> (f64, f64) {
    let by = -1.0 / tokens(reply_tokens);
    (log_prob * by, by)
}

/// Fine-tuning: −Σ log p(token) / N over the N reply tokens of the whole batch, however it is cut up. Returns the loss and
/// ∂/∂ log p, the same for every token.
pub fn sft(log_prob: f64, batch_tokens: u64) -> (f64, f64) {
    let by = -1.0 / (batch_tokens.max(1) as f64);
    (log_prob * by, by)
}

/// LD-DPO (arXiv 2409.06411): the sequence log-prob in which tokens beyond the length of the pair's shorter reply weigh
/// `tail`; Σ w_t·log p_t. 1 is the plain sum, 0 cuts both replies to the same length.
pub fn tail_weight(position: usize, shorter: usize, tail: f64) -> f64 {
    if position < shorter { 1.0 } else { tail }
}

fn tokens(count: u32) -> f64 {
    f64::from(count.max(1))
}

pub fn sigmoid(x: f64) -> f64 {
    // Each branch takes the exponential of a number that is not positive, so neither overflows.
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// log(1 + eˣ), which is −log σ(−x).
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: PairLogProbs = PairLogProbs {
        chosen: -10.0,
        rejected: -30.0,
        reference_chosen: -12.0,
        reference_rejected: -26.0,
        chosen_tokens: 5,
        rejected_tokens: 20,
    };

    const LOSSES: [PreferenceLoss; 7] = [
        PreferenceLoss::Dpo { beta: 0.1, label_smoothing: 0.0 },
        PreferenceLoss::Dpo { beta: 0.5, label_smoothing: 0.2 },
        PreferenceLoss::LengthNormalised { beta: 2.0, label_smoothing: 0.0 },
        PreferenceLoss::LengthNormalised { beta: 2.0, label_smoothing: 0.1 },
        PreferenceLoss::Simpo { beta: 2.0, margin: 0.5, label_smoothing: 0.0 },
        PreferenceLoss::Ipo { beta: 0.1 },
        PreferenceLoss::Ipo { beta: 1.0 },
    ];

    #[test]
    fn losses_have_their_closed_forms() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        // (πc − rc) = 2, (πr − rr) = −4
        near(dpo(&PAIR, 0.1, 0.0).loss, (1.0 + (-0.6_f64).exp()).ln());
        near(dpo(&PAIR, 0.1, 0.0).reward_chosen, 0.2);
        near(dpo(&PAIR, 0.1, 0.0).reward_rejected, -0.4);
        near(dpo(&PAIR, 0.1, 0.25).loss, 0.75 * (1.0 + (-0.6_f64).exp()).ln() + 0.25 * (1.0 + 0.6_f64.exp()).ln());
        near(length_normalised(&PAIR, 2.0, 0.0).loss, (1.0 + (-1.2_f64).exp()).ln());
        near(simpo(&PAIR, 2.0, 0.5, 0.0).loss, (1.0 + (2.0_f64).exp()).ln());
        near(ipo(&PAIR, 0.1).loss, (0.4 + 0.2 - 5.0_f64).powi(2));
        near(nll(-10.0, 5).0, 2.0);
        near(sft(-10.0, 40).0, 0.25);
    }

    #[test]
    fn a_policy_that_is_its_reference_loses_ln_2() {
        let same = PairLogProbs { reference_chosen: -10.0, reference_rejected: -30.0, ..PAIR };
        for loss in &LOSSES[..4] {
            assert!((loss.of(&same).loss - std::f64::consts::LN_2).abs() < 1e-15, "{loss:?}");
        }
    }

    #[test]
    fn derivatives_are_those_of_finite_differences() {
        let step = 1e-5;
        for loss in LOSSES {
            let at = |by_chosen: f64, by_rejected: f64| {
                let moved =
                    PairLogProbs { chosen: PAIR.chosen + by_chosen, rejected: PAIR.rejected + by_rejected, ..PAIR };
                loss.of(&moved).loss
            };
            let here = loss.of(&PAIR);
            let chosen = (at(step, 0.0) - at(-step, 0.0)) / (2.0 * step);
            let rejected = (at(0.0, step) - at(0.0, -step)) / (2.0 * step);
            assert!((here.by_chosen - chosen).abs() < 1e-7, "{loss:?}: {} {chosen}", here.by_chosen);
            assert!((here.by_rejected - rejected).abs() < 1e-7, "{loss:?}: {} {rejected}", here.by_rejected);
        }
    }

    #[test]
    fn extreme_margins_neither_overflow_nor_vanish() {
        for (chosen, rejected) in [(0.0, -1e6), (-1e6, 0.0), (0.0, 0.0)] {
            let pair = PairLogProbs { chosen, rejected, reference_chosen: 0.0, reference_rejected: 0.0, ..PAIR };
            for loss in LOSSES {
                let at = loss.of(&pair);
                assert!(at.loss.is_finite() && at.by_chosen.is_finite() && at.by_rejected.is_finite(), "{loss:?}");
            }
        }
        assert_eq!(softplus(1e6), 1e6);
        assert_eq!(sigmoid(-1e6), 0.0);
    }

    #[test]
    fn the_tail_begins_where_the_shorter_reply_ends() {
        let weights: Vec<f64> = (0..5).map(|position| tail_weight(position, 3, 0.25)).collect();
        assert_eq!(weights, [1.0, 1.0, 1.0, 0.25, 0.25]);
    }
}
