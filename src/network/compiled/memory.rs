//! What a network will take of memory on the processor, before it takes any: by its programs' own sizes.

use serde::Serialize;

use super::Network;
use super::plan::Plan;
use super::step::Step;
use crate::network::rules::Rules;
use crate::network::shape::LayerShape;
use crate::network::spec::Architecture;
use crate::optim::{Rule, Sgd};

/// What a step is counted by where nobody says how.
const SGD: Rule = Rule::Sgd(Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 });

/// Bytes, at one batch size and number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// All parameters once, in f32.
    pub parameters_bytes: u64,
    /// Evaluation: the parameters, again in the order the kernels read, and the activations.
    pub forward_bytes: u64,
    /// A training step by SGD with momentum: parameters, momentum, gradients and activations. Other rules hold more:
    /// [`Memory::of_training`].
    pub training_bytes: u64,
}

impl Memory {
    /// Of `architecture` (its `layers` inferred) on batches of `batch` images, with `threads` threads; the images come on top.
    pub fn of(architecture: &Architecture, layers: &[LayerShape], batch: usize, threads: usize) -> Self {
        let parameters = layers.iter().map(LayerShape::parameter_count).sum::<usize>() * size_of::<f32>();
        let (batch, threads) = (batch.max(1), threads.max(1));
        Self {
            parameters_bytes: parameters as u64,
            forward_bytes: (parameters + Plan::bytes(architecture, layers, batch, threads)) as u64,
            training_bytes: Self::of_training(architecture, layers, Rules::All(SGD), batch, threads),
        }
    }

    /// Bytes of a training step by `rules`, on batches of so many images and with so many threads: as `training_bytes`, with what the
    /// rules remember and compute in.
    pub fn of_training(architecture: &Architecture, layers: &[LayerShape], rules: Rules<'_>, batch: usize, threads: usize) -> u64 {
        Step::bytes(Network { architecture, layers }, rules, batch.max(1), threads.max(1)) as u64
    }
}
