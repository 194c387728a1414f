//! Which learner trains a network: the one place where that is decided.

use candle_core::Device;

use crate::network::{Architecture, Autograd, Error, Learner, Weights};

/// A learner of `architecture` on `device` that starts from `weights`.
pub fn create(architecture: &Architecture, weights: &Weights, device: &Device) -> Result<Box<dyn Learner>, Error> {
    Ok(Box::new(Autograd::new(architecture, weights, device)?))
}
