//! The one door to evaluation: images in, plain numbers out, whatever computes them.

use std::sync::{Arc, LazyLock};

use candle_core::Device;

use super::architecture::infer::infer;
use super::error::Error;
use super::familiarity::Familiarity;
use super::forward::{Forward, Mode, probabilities, tensors};
use super::model::Model;
use super::plan::Plan;
use super::probe::{Evaluation, Probe, Tap};
use super::shape::Shape;
use super::spec::{Architecture, Input};
use super::weights::Weights;
use crate::kernels::Team;
use crate::kernels::team::Chunks;

/// A model, ready to be evaluated on a device.
pub struct Evaluator {
    network: Network,
    input: Input,
    /// None where the model does not tell.
    familiarity: Option<Arc<Familiarity>>,
}

enum Network {
    /// On the processor.
    Plan(Box<Plan>),
    /// Elsewhere.
    Candle { network: Forward, shapes: Vec<Shape>, device: Device },
}

impl Evaluator {
    /// Places `model` on `device`.
    pub fn new(model: &Model, device: &Device) -> Result<Self, Error> {
        let metadata = model.metadata();
        let evaluator = Self::of(&metadata.architecture, model.weights(), device)?;
        Ok(Self { familiarity: metadata.familiarity.clone().map(Arc::new), ..evaluator })
    }

    /// Places `architecture` with these `weights` on `device`; it cannot tell what is familiar.
    pub fn of(architecture: &Architecture, weights: &Weights, device: &Device) -> Result<Self, Error> {
        let (layers, input) = (&infer(architecture)?[..], architecture.input);
        let of = |network| Self { network, input, familiarity: None };
        if device.is_cpu() {
            return Ok(of(Network::Plan(Box::new(Plan::new(architecture, layers, weights)))));
        }
        let network = Forward::new(architecture, layers, tensors(layers, weights, device)?);
        let shapes = layers.iter().map(|layer| layer.output).collect();
        Ok(of(Network::Candle { network, shapes, device: device.clone() }))
    }

    /// Another one of the same model, which computes on its caller's thread alone: parameters are shared, so that several can be
    /// used at once at little cost. None on a device that has one program for all.
    pub fn alone(&self) -> Option<Self> {
        static ALONE: LazyLock<Arc<Team>> = LazyLock::new(|| Arc::new(Team::new(1)));
        let of = |network| Self { network, input: self.input, familiarity: self.familiarity.clone() };
        match &self.network {
            Network::Plan(plan) => Some(of(Network::Plan(Box::new(plan.beside(Arc::clone(&ALONE)))))),
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
        let mut evaluation = self.network.evaluate(images, probe)?;
        if let Some(familiarity) = &self.familiarity {
            let Input { channels, height, width } = self.input;
            let (pixels, batch) = (channels * height * width, images.len() / (channels * height * width));
            let classes = evaluation.probabilities.len() / batch.max(1);
            let answers = &evaluation.probabilities;
            evaluation.familiarity = vec![0.0; batch];
            self.network.each(&mut evaluation.familiarity, |at, place| {
                *place = familiarity.of(&images[at * pixels..][..pixels], self.input, &answers[at * classes..][..classes]);
            });
        }
        Ok(evaluation)
    }
}

impl Network {
    /// Calls `job` with the number and place of every image, on the threads that there are.
    fn each(&self, places: &mut [f32], job: impl Fn(usize, &mut f32) + Sync) {
        match self {
            Self::Plan(plan) => {
                plan.team().each(Chunks::new(places, 1), |at, place| place.iter_mut().for_each(|place| job(at, place)));
            }
            Self::Candle { .. } => places.iter_mut().enumerate().for_each(|(at, place)| job(at, place)),
        }
    }

    fn evaluate(&mut self, images: &[f32], probe: &Probe) -> Result<Evaluation, Error> {
        match self {
            Self::Plan(plan) => plan.evaluate(images, probe),
            Self::Candle { network, shapes, device } => {
                let pass = network.run(&network.images(images, device)?, Mode::Evaluation, probe)?;
                let taps = probe.taps.iter().zip(&pass.taps).map(|(&layer, values)| {
                    let values = values.flatten_all()?.to_vec1()?;
                    Ok(Tap { layer, shape: shapes[layer], values })
                });
                let taps = taps.collect::<Result<_, Error>>()?;
                let probabilities = probabilities(&pass.scores)?.flatten_all()?.to_vec1()?;
                Ok(Evaluation { probabilities, taps, familiarity: Vec::new() })
            }
        }
    }
}
