//! Training by candle's automatic differentiation: the reference for the compiled step, and what trains on CUDA.

use candle_core::{Device, Tensor, Var};

use crate::network::error::Error;
use crate::network::forward::{BatchStatistics, Forward, Mode, tensors};
use crate::network::learner::{Batch, Learner, StepReport, StepSettings, check_batch};
use crate::network::probe::Probe;
use crate::network::shape::{LayerShape, ParameterSpec, Role};
use crate::network::spec::{Architecture, LayerKind};
use crate::network::weights::{Parameter, Weights, specs};
use crate::ops;
use crate::optim::Sgd;

/// A layer list whose parameters are candle variables.
pub struct Autograd {
    architecture: Architecture,
    layers: Vec<LayerShape>,
    network: Forward,
    parameters: Vec<Trained>,
    device: Device,
}

/// One parameter in training. [`Forward`] holds the same storage, so an update here is seen there.
struct Trained {
    spec: ParameterSpec,
    value: Var,
    /// The optimizer's buffer; running statistics have none.
    momentum: Option<Var>,
}

impl Autograd {
    /// Places `weights` on `device`.
    pub fn new(architecture: &Architecture, weights: &Weights, device: &Device) -> Result<Self, Error> {
        let layers = crate::network::infer(architecture)?;
        let mut parameters = Vec::new();
        let mut placed = Vec::with_capacity(layers.len());
        for (layer, values) in layers.iter().zip(tensors(&layers, weights, device)?) {
            let mut shared = Vec::with_capacity(values.len());
            for (spec, value) in layer.parameters.iter().zip(values) {
                let momentum = if spec.role.trained() { Some(Var::from_tensor(&value.zeros_like()?)?) } else { None };
                let value = Var::from_tensor(&value)?;
                shared.push(if spec.role.trained() { value.as_tensor().clone() } else { value.as_detached_tensor() });
                parameters.push(Trained { spec: spec.clone(), value, momentum });
            }
            placed.push(shared);
        }
        let network = Forward::new(architecture, &layers, placed);
        Ok(Self { architecture: architecture.clone(), layers, network, parameters, device: device.clone() })
    }

    /// The gradient of the batch's mean loss with respect to each trained parameter, named and in order, and the report. Nothing
    /// is updated.
    pub fn gradients(&self, batch: Batch<'_>, settings: &StepSettings) -> Result<(Vec<Parameter>, StepReport), Error> {
        let (store, report, _) = self.backward(batch, settings)?;
        let mut gradients = Vec::new();
        for parameter in self.parameters.iter().filter(|parameter| parameter.spec.role.trained()) {
            let gradient = store.get(&parameter.value).map_or_else(|| parameter.value.zeros_like(), |g| Ok(g.clone()))?;
            gradients.push(plain(&parameter.spec, &gradient)?);
        }
        Ok((gradients, report))
    }

    fn backward(&self, batch: Batch<'_>, settings: &StepSettings) -> Result<Backward, Error> {
        check_batch(&self.layers, batch)?;
        let images = self.network.images(batch.images, &self.device)?;
        let pass = self.network.run(&images, Mode::Training { seed: settings.seed }, &Probe::default())?;
        let (loss, correct) = ops::cross_entropy(&pass.scores, batch.labels, f64::from(settings.label_smoothing))?;
        let store = loss.backward()?;
        Ok((store, StepReport { loss: loss.to_scalar()?, correct }, pass.statistics))
    }

    /// `running ← (1 − momentum) · running + momentum · batch`, as PyTorch has it.
    fn update_running(&self, measured: &BatchStatistics) -> Result<(), Error> {
        let LayerKind::BatchNorm2d(norm) = self.architecture.layers[measured.layer].kind else { return Ok(()) };
        let first = self.layers[..measured.layer].iter().map(|layer| layer.parameters.len()).sum::<usize>();
        for parameter in &self.parameters[first..first + self.layers[measured.layer].parameters.len()] {
            let batch = match parameter.spec.role {
                Role::RunningMean => &measured.mean,
                Role::RunningVariance => &measured.variance,
                _ => continue,
            };
            let kept = parameter.value.as_detached_tensor().affine(1.0 - norm.momentum, 0.0)?;
            parameter.value.set(&(kept + batch.detach().affine(norm.momentum, 0.0)?)?)?;
        }
        Ok(())
    }
}

type Backward = (candle_core::backprop::GradStore, StepReport, Vec<BatchStatistics>);

impl Learner for Autograd {
    fn step(&mut self, batch: Batch<'_>, settings: &StepSettings) -> Result<StepReport, Error> {
        let (store, report, statistics) = self.backward(batch, settings)?;
        for parameter in &self.parameters {
            let (Some(gradient), Some(momentum)) = (store.get(&parameter.value), &parameter.momentum) else { continue };
            let weight_decay = if parameter.spec.role == Role::Weight { settings.sgd.weight_decay } else { 0.0 };
            ops::sgd_update(&parameter.value, gradient, momentum, &Sgd { weight_decay, ..settings.sgd })?;
        }
        statistics.iter().try_for_each(|measured| self.update_running(measured))?;
        Ok(report)
    }

    fn weights(&self) -> Result<Weights, Error> {
        let entries = self.parameters.iter().map(|parameter| plain(&parameter.spec, &parameter.value)).collect::<Result<_, _>>()?;
        Weights::fit(&self.architecture.name, &self.layers, entries)
    }

    fn momentum(&self) -> Result<Vec<Parameter>, Error> {
        let buffers = self.parameters.iter().filter_map(|parameter| Some((&parameter.spec, parameter.momentum.as_ref()?)));
        buffers.map(|(spec, buffer)| plain(spec, buffer)).collect()
    }

    fn restore_momentum(&mut self, buffers: Vec<Parameter>) -> Result<(), Error> {
        crate::network::learner::check_momentum(&self.architecture.name, specs(&self.layers), &buffers)?;
        let trained = self.parameters.iter_mut().filter(|parameter| parameter.spec.role.trained());
        for (parameter, buffer) in trained.zip(buffers) {
            parameter.momentum = Some(Var::from_vec(buffer.values, buffer.shape, &self.device)?);
        }
        Ok(())
    }
}

fn plain(spec: &ParameterSpec, tensor: &Tensor) -> Result<Parameter, Error> {
    Ok(Parameter { name: spec.name.clone(), shape: spec.shape.clone(), values: tensor.flatten_all()?.to_vec1()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::random;

    /// Every kind's gradient is held to PyTorch's elsewhere; here the sum of them, along one random direction, is held to the
    /// loss itself. f32 leaves a difference quotient about three good digits.
    #[test]
    fn gradients_predict_the_loss() {
        let mut worst = 0f64;
        for seed in 0..30 {
            let architecture = random::architecture(seed);
            let layers = crate::network::infer(&architecture).unwrap();
            let weights = crate::network::init::weights(&layers, crate::network::init::Init::Pytorch, seed);
            let learner = Autograd::new(&architecture, &weights, &Device::Cpu).unwrap();
            let input = architecture.input;
            let pixels = input.channels * input.height * input.width;
            let images: Vec<f32> = (0..3 * pixels).map(|i| ((i * 31 + 7) % 53) as f32 / 53.0).collect();
            let batch = Batch { images: &images, labels: &[0, 1, 1] };
            let sgd = Sgd { learning_rate: 0.0, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
            let settings = StepSettings { sgd, label_smoothing: 0.1, seed: 5 };
            let (gradients, _) = learner.gradients(batch, &settings).unwrap();
            let norm = gradients.iter().flat_map(|g| &g.values).map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let loss_at = |step: f64| {
                let mut moved = weights.clone();
                for gradient in &gradients {
                    let parameter = moved.iter_mut().find(|parameter| parameter.name == gradient.name).unwrap();
                    for (value, slope) in parameter.values.iter_mut().zip(&gradient.values) {
                        *value += (step * f64::from(*slope) / norm) as f32;
                    }
                }
                let learner = Autograd::new(&architecture, &moved, &Device::Cpu).unwrap();
                f64::from(learner.gradients(batch, &settings).unwrap().1.loss)
            };
            let step = 2e-3;
            let slope = (loss_at(step) - loss_at(-step)) / (2.0 * step);
            worst = worst.max((slope - norm).abs() / norm.max(1e-2));
        }
        assert!(worst < 0.03, "{worst}");
    }
}
