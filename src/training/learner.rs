//! Which learner trains a network: the one place where that is decided.

use candle_core::Device;

use crate::network::{Architecture, Autograd, Error, Learner, Step, Weights};

/// A learner of `architecture` on `device` that starts from `weights`: compiled onto our kernels on the processor, candle's
/// differentiation elsewhere.
pub fn create(architecture: &Architecture, weights: &Weights, device: &Device) -> Result<Box<dyn Learner>, Error> {
    Ok(match device {
        Device::Cpu => Box::new(Step::new(architecture, weights)?),
        _ => Box::new(Autograd::new(architecture, weights, device)?),
    })
}
