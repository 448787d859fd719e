//! The learning rate as a function of the step: nothing to save, nothing to resume.

use std::f64::consts::PI;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    Constant,
    Linear,
    Cosine,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    pub curve: Curve,
    pub lr: f64,
    /// The learning rate that the curve falls towards; it would be reached one step after the last.
    pub lr_end: f64,
    /// Share of the steps in which the learning rate rises from 0.
    pub warmup: f64,
}

impl Schedule {
    /// The learning rate of a step, counted from 0, as transformers' schedules have it.
    pub fn at(&self, step: u64, steps: u64) -> f64 {
        let warm = (self.warmup * steps as f64).ceil();
        let at = step as f64;
        if at < warm {
            return self.lr * at / warm;
        }
        let progress = (at - warm) / (steps as f64 - warm).max(1.0);
        let share = match self.curve {
            Curve::Constant => return self.lr,
            Curve::Linear => 1.0 - progress,
            Curve::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
        };
        self.lr_end + (self.lr - self.lr_end) * share.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_rise_from_zero_and_fall_to_their_end() {
        let schedule = |curve, warmup| Schedule { curve, lr: 1.0, lr_end: 0.2, warmup };
        for (curve, warmup, step, lr) in [
            (Curve::Constant, 0.0, 99, 1.0),
            (Curve::Linear, 0.0, 0, 1.0),
            (Curve::Linear, 0.0, 50, 0.6),
            (Curve::Linear, 0.0, 100, 0.2),
            (Curve::Cosine, 0.0, 50, 0.6),
            (Curve::Cosine, 0.0, 25, 0.2 + 0.8 * 0.5 * (1.0 + (PI / 4.0).cos())),
            (Curve::Linear, 0.1, 0, 0.0),
            (Curve::Linear, 0.1, 5, 0.5),
            (Curve::Linear, 0.1, 10, 1.0),
            (Curve::Linear, 0.1, 55, 0.6),
        ] {
            let found = schedule(curve, warmup).at(step, 100);
            assert!((found - lr).abs() < 1e-12, "{curve:?} {warmup} {step}: {found}");
        }
    }
}
