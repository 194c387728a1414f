//! The one door to evaluation: images in, plain numbers out, whatever computes them.

use std::sync::{Arc, LazyLock};

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
use crate::kernels::Team;

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

    /// Another one of the same model, which computes on its caller's thread alone: parameters are shared, so that several can be
    /// used at once at little cost. None on a device that has one program for all.
    pub fn alone(&self) -> Option<Self> {
        static ALONE: LazyLock<Arc<Team>> = LazyLock::new(|| Arc::new(Team::new(1)));
        match &self.0 {
            Network::Plan(plan) => Some(Self(Network::Plan(Box::new(plan.beside(Arc::clone(&ALONE)))))),
            Network::Candle { .. } => None,
        }
    }

    /// The reference's answer to one batch: candle's, on the processor, whatever evaluates otherwise.
    pub fn reference(model: &Model, images: &[f32]) -> Result<Vec<f32>, Error> {
        let (architecture, layers) = (&model.metadata().architecture, model.layers());
        let network = Forward::new(architecture, layers, tensors(layers, model.weights(), &Device::Cpu)?);
        let pass = network.run(&network.images(images, &Device::Cpu)?, Mode::Evaluation, &Probe::default())?;
        Ok(probabilities(&pass.scores)?.flatten_all()?.to_vec1()?)
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
