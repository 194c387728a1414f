//! The one door to evaluation: images in, plain numbers out, whatever computes them.

use candle_core::Device;

use super::error::Error;
use super::forward::{Forward, Mode, probabilities, tensors};
use super::model::Model;
use super::probe::{Evaluation, Probe, Tap};
use super::shape::Shape;

/// A model, ready to be evaluated on a device.
pub struct Evaluator {
    network: Forward,
    shapes: Vec<Shape>,
    device: Device,
}

impl Evaluator {
    /// Places `model` on `device`.
    pub fn new(model: &Model, device: &Device) -> Result<Self, Error> {
        let parameters = tensors(model.layers(), model.weights(), device)?;
        let network = Forward::new(&model.metadata().architecture, model.layers(), parameters);
        let shapes = model.layers().iter().map(|layer| layer.output).collect();
        Ok(Self { network, shapes, device: device.clone() })
    }

    /// Evaluates a batch of preprocessed images (image × channel × height × width). No gradients, dropout off, batch norm by
    /// its running statistics.
    pub fn evaluate(&mut self, images: &[f32], probe: &Probe) -> Result<Evaluation, Error> {
        let images = self.network.images(images, &self.device)?;
        let pass = self.network.run(&images, Mode::Evaluation, probe)?;
        let taps = probe.taps.iter().zip(&pass.taps).map(|(&layer, values)| {
            let values = values.flatten_all()?.to_vec1()?;
            Ok(Tap { layer, shape: self.shapes[layer], values })
        });
        let taps = taps.collect::<Result<_, Error>>()?;
        Ok(Evaluation { probabilities: probabilities(&pass.scores)?.flatten_all()?.to_vec1()?, taps })
    }
}
