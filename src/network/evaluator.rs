//! The one door to evaluation: images in, plain numbers out, whatever computes them.

use candle_core::Device;

use super::architecture::infer::infer;
use super::error::Error;
use super::forward::{Forward, Mode, probabilities, tensors};
use super::model::Model;
use super::plan::Plan;
use super::probe::{Evaluation, Probe, Tap};
use super::shape::Shape;
use super::spec::Architecture;
use super::weights::Weights;

/// A model, ready to be evaluated on a device.
pub struct Evaluator(Network);

enum Network {
    /// On the processor.
    Plan(Box<Plan>),
    /// Elsewhere.
    Candle { network: Forward, shapes: Vec<Shape>, device: Device },
}

impl Evaluator {
    /// Places `model` on `device`.
    pub fn new(model: &Model, device: &Device) -> Result<Self, Error> {
        Self::of(&model.metadata().architecture, model.weights(), device)
    }

    /// Places `architecture` with these `weights` on `device`.
    pub fn of(architecture: &Architecture, weights: &Weights, device: &Device) -> Result<Self, Error> {
        let layers = &infer(architecture)?[..];
        if device.is_cpu() {
            return Ok(Self(Network::Plan(Box::new(Plan::new(architecture, layers, weights)))));
        }
        let network = Forward::new(architecture, layers, tensors(layers, weights, device)?);
        let shapes = layers.iter().map(|layer| layer.output).collect();
        Ok(Self(Network::Candle { network, shapes, device: device.clone() }))
    }

    /// Evaluates a batch of preprocessed images (image × channel × height × width). No gradients, dropout off, batch norm by
    /// its running statistics.
    pub fn evaluate(&mut self, images: &[f32], probe: &Probe) -> Result<Evaluation, Error> {
        match &mut self.0 {
            Network::Plan(plan) => plan.evaluate(images, probe),
            Network::Candle { network, shapes, device } => {
                let pass = network.run(&network.images(images, device)?, Mode::Evaluation, probe)?;
                let taps = probe.taps.iter().zip(&pass.taps).map(|(&layer, values)| {
                    let values = values.flatten_all()?.to_vec1()?;
                    Ok(Tap { layer, shape: shapes[layer], values })
                });
                let taps = taps.collect::<Result<_, Error>>()?;
                Ok(Evaluation { probabilities: probabilities(&pass.scores)?.flatten_all()?.to_vec1()?, taps })
            }
        }
    }
}
