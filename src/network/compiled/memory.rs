//! What a network will take of memory on the processor, before it takes any: by its programs' own sizes.

use serde::Serialize;

use super::plan::Plan;
use super::step::Step;
use crate::network::shape::LayerShape;
use crate::network::spec::Architecture;

/// Bytes, at one batch size and number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// All parameters once, in f32.
    pub parameters_bytes: u64,
    /// Evaluation: the parameters, again in the order the kernels read, and the activations.
    pub forward_bytes: u64,
    /// A training step by SGD with momentum: parameters, momentum, gradients and activations.
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
            training_bytes: Step::bytes(architecture, layers, batch, threads) as u64,
        }
    }
}
