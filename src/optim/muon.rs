//! Momentum whose every step is made orthogonal: Keller Jordan and others, "Muon: an optimizer for hidden layers in neural
//! networks" (2024). A filter bank is the matrix [out, in · height · width].

/// Newton-Schulz iterates `X ← a·X + (b·A + c·A²)·X` with `A = X·Xᵀ`, from `X` divided by its Frobenius norm: a, b and c, chosen for
/// the steepest slope at 0. Singular values end up between about 0.7 and 1.2.
pub const COEFFICIENTS: [f32; 3] = [3.4445, -4.7750, 2.0315];
/// Added to the norm that a matrix is divided by.
pub const NORM_EPS: f32 = 1e-7;

/// One update's constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Muon {
    /// Step length.
    pub learning_rate: f32,
    /// Share of the previous step that is kept.
    pub momentum: f32,
    /// Looks ahead along the momentum.
    pub nesterov: bool,
    /// Pulls parameters towards 0, by this times the learning rate.
    pub weight_decay: f32,
    /// Newton-Schulz iterations.
    pub ns_steps: u32,
    /// Whether the weights are first brought to the Frobenius norm √rows, as airbench94 does.
    pub renormalize: bool,
    /// How the step length follows the matrix's shape.
    pub adjust_lr: AdjustLr,
}

/// How a matrix's shape changes the step length (`adjust_lr_fn` of `torch.optim.Muon`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdjustLr {
    /// Not at all.
    None,
    /// √max(1, rows / columns).
    Original,
    /// 0.2 · √max(rows, columns): steps as long as AdamW's usually are.
    MatchRmsAdamw,
}

impl Muon {
    /// Step length of a matrix of this shape.
    pub fn step_length(&self, rows: usize, columns: usize) -> f64 {
        let (rows, columns) = (rows as f64, columns as f64);
        f64::from(self.learning_rate)
            * match self.adjust_lr {
                AdjustLr::None => 1.0,
                AdjustLr::Original => (rows / columns).max(1.0).sqrt(),
                AdjustLr::MatchRmsAdamw => 0.2 * rows.max(columns).sqrt(),
            }
    }

    /// What the weights are multiplied by before the step: weight decay, and what brings their Frobenius `norm` to √rows.
    pub fn kept(&self, rows: usize, norm: f64) -> f64 {
        let decayed = 1.0 - f64::from(self.learning_rate) * f64::from(self.weight_decay);
        // Weights that are all 0 have no direction to keep.
        decayed * if self.renormalize && norm > 0.0 { (rows as f64).sqrt() / norm } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_norms_and_decay_come_in_as_they_are_defined() {
        let plain = Muon {
            learning_rate: 0.5,
            momentum: 0.6,
            nesterov: true,
            weight_decay: 0.0,
            ns_steps: 5,
            renormalize: false,
            adjust_lr: AdjustLr::None,
        };
        assert_eq!((plain.step_length(64, 16), plain.kept(64, 3.0)), (0.5, 1.0));
        let original = Muon { adjust_lr: AdjustLr::Original, ..plain };
        assert_eq!((original.step_length(64, 16), original.step_length(16, 64)), (1.0, 0.5));
        let matched = Muon { adjust_lr: AdjustLr::MatchRmsAdamw, ..plain };
        assert!((matched.step_length(16, 64) - 0.8).abs() < 1e-12);
        let held = Muon { renormalize: true, weight_decay: 0.5, ..plain };
        assert_eq!((held.kept(64, 4.0), held.kept(64, 0.0)), (1.5, 0.75));
    }
}
