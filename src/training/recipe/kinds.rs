//! What a recipe chooses among, and the values of keys that recipes were once written without.

use serde::{Deserialize, Serialize};

use crate::network::Reduction;
use crate::optim::AdjustLr;

/// The update rules there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam with decoupled weight decay.
    Adamw,
    /// Orthogonal steps; of filters and matrices.
    Muon,
}

/// The schedules there are, without their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Always the peak.
    Constant,
    /// Up to the peak and down to 0.
    OneCycle,
    /// Half a cosine wave down.
    Cosine,
    /// Multiplied by `gamma` at `milestones`.
    Step,
}

/// What pixels are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Mean 0 and deviation 1 a channel, measured on the training set.
    Channel,
    /// [0, 1].
    Unit,
}

/// What the parameters start from, without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitKind {
    /// `torch.nn`'s default.
    Pytorch,
    /// The same, and the last layer's weights of the deviation `last_std`.
    PytorchHead,
    /// Normal, scaled for rectifiers.
    Kaiming,
}

/// What becomes of the losses of a batch's images (PyTorch's `reduction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReductionKind {
    /// Their mean: a step does not grow with the batch.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl From<ReductionKind> for Reduction {
    fn from(kind: ReductionKind) -> Self {
        match kind {
            ReductionKind::Mean => Self::Mean,
            ReductionKind::Sum => Self::Sum,
        }
    }
}

/// How Muon's step length follows a matrix's shape (`adjust_lr_fn` of `torch.optim.Muon`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustLrKind {
    /// Not at all.
    #[default]
    None,
    /// √max(1, rows / columns).
    Original,
    /// 0.2 · √max(rows, columns).
    MatchRmsAdamw,
}

impl From<AdjustLrKind> for AdjustLr {
    fn from(kind: AdjustLrKind) -> Self {
        match kind {
            AdjustLrKind::None => Self::None,
            AdjustLrKind::Original => Self::Original,
            AdjustLrKind::MatchRmsAdamw => Self::MatchRmsAdamw,
        }
    }
}

/// Slow weights that follow the trained ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookahead {
    /// Steps from one meeting to the next; 0 for no slow weights.
    pub every: u32,
    /// Share of the way that the slow weights go at the end of the run, above 0 and at most 1.
    pub alpha: f64,
    /// How that is reached: the share is 1 − (1 − `alpha`) · progress^`power`, so 0 is `alpha` from the first step on.
    pub power: f64,
}

impl Default for Lookahead {
    /// None; what its paper uses where it is switched on.
    fn default() -> Self {
        Self { every: 0, alpha: 0.5, power: 0.0 }
    }
}

impl Lookahead {
    /// Whether the weights meet after `step` steps of the run.
    pub(in crate::training) fn meets(&self, step: u64) -> bool {
        self.every > 0 && step.is_multiple_of(self.every.into())
    }

    /// Share of the way after `step` of `total` steps.
    pub(in crate::training) fn share(&self, step: u64, total: u64) -> f64 {
        1.0 - (1.0 - self.alpha) * (step as f64 / total.max(1) as f64).powf(self.power)
    }
}

pub(super) fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

pub(super) fn eps() -> f64 {
    1e-8
}

pub(super) fn ns_steps() -> u32 {
    5
}

pub(super) fn restore_best() -> bool {
    true
}

pub(super) fn gamma() -> f64 {
    0.1
}

pub(super) fn whitening_eps() -> f64 {
    5e-4
}
