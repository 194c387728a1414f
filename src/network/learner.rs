//! What training needs of a network: one step on one batch, and its numbers back.

use super::error::Error;
use super::weights::{Parameter, Weights};
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
