//! How fast this machine trains: multiply-adds a second, measured by a few steps of a small network.
//!
//! A network's speed is not its multiply-adds alone, so this says what to expect, not what will be. It knows no run.

use std::time::Instant;

use crate::network::learner::{Batch, Learner, Reduction, StepSettings};
use crate::network::{Init, LayerShape, Rules, Step, infer, init, presets};
use crate::optim::{Rule, Sgd};

/// What is trained to measure: ordinary convolutions, so that its rate is an ordinary network's.
pub const NETWORK: &str = "vgg8";
const BATCH: usize = 32;
const STEPS: usize = 2;

/// Multiply-adds for one image, as [`LayerShape::multiply_adds`] counts them.
pub fn multiply_adds(layers: &[LayerShape]) -> u64 {
    layers.iter().map(|layer| layer.multiply_adds).sum()
}

/// Multiply-adds (of the forward pass alone, though backward is done too) that the processor trains a second; none where it cannot be
/// measured. It takes a part of a second.
pub fn measure() -> Option<f64> {
    let architecture = presets::named(NETWORK)?;
    let layers = infer(&architecture).ok()?;
    let mut step = Step::new(&architecture, &init::weights(&layers, Init::Pytorch, 0)).ok()?;
    let pixels = layers.first()?.input.elements();
    let images: Vec<f32> = (0..BATCH * pixels).map(|at| (at % 251) as f32 / 251.0).collect();
    let labels: Vec<u32> = (0..BATCH as u32).map(|image| image % 10).collect();
    let sgd = Sgd { learning_rate: 1e-4, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let mut seconds = f64::INFINITY;
    // The first step makes room for the others.
    for seed in 0..=STEPS as u64 {
        let settings = StepSettings { rules: Rules::All(Rule::Sgd(sgd)), label_smoothing: 0.0, reduction: Reduction::Mean, seed };
        let started = Instant::now();
        step.step(Batch { images: &images, labels: &labels }, &settings).ok()?;
        if seed > 0 {
            seconds = seconds.min(started.elapsed().as_secs_f64());
        }
    }
    Some(multiply_adds(&layers) as f64 * BATCH as f64 / seconds)
}
