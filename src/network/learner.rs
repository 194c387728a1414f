//! What training needs of a network: one step on one batch, and its numbers back.

use super::error::Error;
use super::shape::ParameterSpec;
use super::weights::{Parameter, Weights};
use crate::kernels;
use crate::optim::Sgd;

/// One batch, already preprocessed and augmented.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// image × channel × height × width.
    pub images: &'a [f32],
    /// Class of each image.
    pub labels: &'a [u32],
}

/// What changes from step to step.
#[derive(Debug, Clone, Copy)]
pub struct StepSettings {
    /// The update, at this step's learning rate.
    pub sgd: Sgd,
    /// Share of each target spread evenly over all classes, 0 to 1.
    pub label_smoothing: f32,
    /// Seeds this step's dropout masks; different in every step.
    pub seed: u64,
}

impl From<Sgd> for kernels::sgd::Sgd {
    fn from(Sgd { learning_rate, momentum, nesterov, weight_decay }: Sgd) -> Self {
        Self { learning_rate, momentum, nesterov, weight_decay }
    }
}

/// What one step saw, before its update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Mean softmax cross-entropy of the batch.
    pub loss: f32,
    /// Images whose most probable class was right.
    pub correct: usize,
}

/// A network that is being trained. Parameters, momentum and running statistics are the learner's own.
pub trait Learner: Send {
    /// Forward, backward and update on one batch.
    fn step(&mut self, batch: Batch<'_>, settings: &StepSettings) -> Result<StepReport, Error>;

    /// The parameters as they are now.
    fn weights(&self) -> Result<Weights, Error>;

    /// The optimizer's buffers, named after their parameters; with [`Learner::weights`] all that a run resumes from.
    fn momentum(&self) -> Result<Vec<Parameter>, Error>;

    /// Puts buffers read by [`Learner::momentum`] back.
    fn restore_momentum(&mut self, buffers: Vec<Parameter>) -> Result<(), Error>;
}

/// Seeds the dropout mask of the layer at position `layer` in one step: every learner drops the same elements.
///
/// The finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) over both numbers.
pub fn dropout_seed(step_seed: u64, layer: usize) -> u64 {
    let mut z = step_seed.wrapping_add((layer as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whether `buffers` are one for each trained parameter, in order and of its shape.
pub(super) fn check_momentum<'a>(
    architecture: &str,
    specs: impl Iterator<Item = &'a ParameterSpec>,
    buffers: &[Parameter],
) -> Result<(), Error> {
    let expected: Vec<&ParameterSpec> = specs.filter(|spec| spec.role.trained()).collect();
    let fits = |(spec, buffer): (&&ParameterSpec, &Parameter)| {
        spec.name == buffer.name && spec.shape == buffer.shape && buffer.values.len() == buffer.shape.iter().product::<usize>()
    };
    if expected.len() == buffers.len() && expected.iter().zip(buffers).all(fits) {
        return Ok(());
    }
    let faults = vec!["the optimizer's buffers are another network's: start the run anew, without `--resume`".to_owned()];
    Err(Error::Parameters { architecture: architecture.into(), faults })
}
