//! How one parameter moves in one step.

use super::{AdamW, Muon, Sgd};

/// An update rule with its constants of this step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// It stays as it is, and so does what its optimizer remembers.
    Frozen,
    /// By gradient and momentum.
    Sgd(Sgd),
    /// By the gradient's running mean over the root of its square's.
    AdamW(AdamW),
    /// By the momentum made orthogonal; of filters and matrices.
    Muon(Muon),
}

impl Rule {
    /// The same without weight decay.
    #[must_use]
    pub fn without_decay(self) -> Self {
        match self {
            Self::Frozen => Self::Frozen,
            Self::Sgd(sgd) => Self::Sgd(Sgd { weight_decay: 0.0, ..sgd }),
            Self::AdamW(adamw) => Self::AdamW(AdamW { weight_decay: 0.0, ..adamw }),
            Self::Muon(muon) => Self::Muon(Muon { weight_decay: 0.0, ..muon }),
        }
    }
}
