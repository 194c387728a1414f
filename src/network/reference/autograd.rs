//! Training by candle's automatic differentiation: the reference for the compiled step, and what trains on CUDA.

use candle_core::{Device, Tensor, Var};

use crate::network::error::Error;
use crate::network::forward::{BatchStatistics, Forward, Mode, tensors};
use crate::network::learner::{
    Batch, Learner, Mix, StepReport, StepSettings, check_batch, check_mix, check_momentum, check_squares,
};
use crate::network::probe::Probe;
use crate::network::rules::Rules;
use crate::network::shape::{LayerShape, ParameterSpec, Role};
use crate::network::spec::{Architecture, LayerKind};
use crate::network::weights::{Parameter, Weights, specs};
use crate::ops;
use crate::optim::Rule;

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
    /// AdamW's second one; none before it has moved the parameter.
    squares: Option<Var>,
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
                parameters.push(Trained { spec: spec.clone(), value, momentum, squares: None });
            }
            placed.push(shared);
        }
        let network = Forward::new(architecture, &layers, placed);
        Ok(Self { architecture: architecture.clone(), layers, network, parameters, device: device.clone() })
    }

    /// The gradient of the batch's mean loss with respect to each trained parameter, named and in order, and the report. Nothing
    /// is updated.
    pub fn gradients(&self, batch: Batch<'_>, settings: &StepSettings<'_>) -> Result<(Vec<Parameter>, StepReport), Error> {
        let (store, report, _) = self.backward(batch, None, settings)?;
        let mut gradients = Vec::new();
        for parameter in self.parameters.iter().filter(|parameter| parameter.spec.role.trained()) {
            let gradient = store.get(&parameter.value).map_or_else(|| parameter.value.zeros_like(), |g| Ok(g.clone()))?;
            gradients.push(plain(&parameter.spec, &gradient)?);
        }
        Ok((gradients, report))
    }

    fn backward(&self, batch: Batch<'_>, mix: Option<Mix<'_>>, settings: &StepSettings<'_>) -> Result<Backward, Error> {
        check_batch(&self.layers, batch)?;
        check_mix(&self.layers, batch, mix)?;
        let images = self.network.images(batch.images, &self.device)?;
        let pass = self.network.run(&images, Mode::Training { seed: settings.seed }, &Probe::default())?;
        let smoothing = f64::from(settings.label_smoothing);
        let (mut loss, correct) = ops::cross_entropy(&pass.scores, batch.labels, smoothing)?;
        if let Some(Mix { labels, share }) = mix {
            let (other, _) = ops::cross_entropy(&pass.scores, labels, smoothing)?;
            loss = ((loss * share)? + (other * (1.0 - share))?)?;
        }
        let factor = settings.reduction.factor(batch.labels.len());
        let store = if factor == 1.0 { loss.backward()? } else { (&loss * f64::from(factor))?.backward()? };
        let (finite, gradient_norm) = self.seen(&store, settings.rules)?;
        Ok((store, StepReport { loss: loss.to_scalar()?, correct, finite, gradient_norm }, pass.statistics))
    }

    /// Whether all gradients are finite numbers (their sum is nothing else), and how long those are that `rules` move something by.
    /// All of it comes from the device at once.
    fn seen(&self, store: &candle_core::backprop::GradStore, rules: Rules<'_>) -> Result<(bool, f64), Error> {
        let mut told = Vec::new();
        let trained = self.parameters.iter().filter(|parameter| parameter.spec.role.trained());
        for (at, parameter) in trained.enumerate() {
            if let Some(gradient) = store.get(&parameter.value) {
                let moved = rules.of(at, parameter.spec.role) != Rule::Frozen;
                told.push(gradient.sum_all()?);
                told.push(if moved { gradient.sqr()?.sum_all()? } else { Tensor::zeros((), gradient.dtype(), &self.device)? });
            }
        }
        if told.is_empty() {
            return Ok((true, 0.0));
        }
        let told = Tensor::stack(&told, 0)?.to_vec1::<f32>()?;
        let squares = told.iter().skip(1).step_by(2).map(|&squares| f64::from(squares));
        Ok((told.iter().step_by(2).all(|sum| sum.is_finite()), squares.sum::<f64>().sqrt()))
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
    fn step_mixed(&mut self, batch: Batch<'_>, mix: Option<Mix<'_>>, settings: &StepSettings<'_>) -> Result<StepReport, Error> {
        settings.rules.check(specs(&self.layers).filter(|spec| spec.role.trained()))?;
        let (store, report, statistics) = self.backward(batch, mix, settings)?;
        let trained = self.parameters.iter_mut().filter(|parameter| parameter.spec.role.trained());
        for (at, parameter) in trained.enumerate() {
            if let Some(gradient) = store.get(&parameter.value) {
                parameter.step(gradient, settings.rules.of(at, parameter.spec.role))?;
            }
        }
        statistics.iter().try_for_each(|measured| self.update_running(measured))?;
        Ok(report)
    }

    fn weights(&self) -> Result<Weights, Error> {
        let entries = self.parameters.iter().map(|parameter| plain(&parameter.spec, &parameter.value)).collect::<Result<_, _>>()?;
        Weights::fit(&self.architecture.name, &self.layers, entries)
    }

    fn set_weights(&mut self, weights: &Weights) -> Result<(), Error> {
        for (parameter, new) in self.parameters.iter().zip(weights.iter()) {
            parameter.value.set(&Tensor::from_slice(&new.values, new.shape.as_slice(), &self.device)?)?;
        }
        Ok(())
    }

    fn momentum(&self) -> Result<Vec<Parameter>, Error> {
        let buffers = self.parameters.iter().filter_map(|parameter| Some((&parameter.spec, parameter.momentum.as_ref()?)));
        buffers.map(|(spec, buffer)| plain(spec, buffer)).collect()
    }

    fn restore_momentum(&mut self, buffers: Vec<Parameter>) -> Result<(), Error> {
        check_momentum(&self.architecture.name, specs(&self.layers), &buffers)?;
        let trained = self.parameters.iter_mut().filter(|parameter| parameter.spec.role.trained());
        for (parameter, buffer) in trained.zip(buffers) {
            parameter.momentum = Some(Var::from_vec(buffer.values, buffer.shape, &self.device)?);
        }
        Ok(())
    }

    fn squares(&self) -> Result<Vec<Parameter>, Error> {
        let buffers = self.parameters.iter().filter_map(|parameter| Some((&parameter.spec, parameter.squares.as_ref()?)));
        buffers.map(|(spec, buffer)| plain(spec, buffer)).collect()
    }

    fn restore_squares(&mut self, buffers: Vec<Parameter>) -> Result<(), Error> {
        check_squares(&self.architecture.name, specs(&self.layers), &buffers)?;
        for Parameter { name, shape, values } in buffers {
            if let Some(parameter) = self.parameters.iter_mut().find(|parameter| parameter.spec.name == name) {
                parameter.squares = Some(Var::from_vec(values, shape, &self.device)?);
            }
        }
        Ok(())
    }
}

impl Trained {
    fn step(&mut self, gradient: &Tensor, rule: Rule) -> Result<(), Error> {
        let Some(momentum) = &self.momentum else { return Ok(()) };
        match rule {
            Rule::Frozen => {}
            Rule::Sgd(sgd) => ops::sgd_update(&self.value, gradient, momentum, &sgd)?,
            Rule::AdamW(rule) => {
                if self.squares.is_none() {
                    self.squares = Some(Var::from_tensor(&self.value.zeros_like()?)?);
                }
                if let Some(squares) = &self.squares {
                    ops::adamw_update(&self.value, gradient, [momentum, squares], &rule)?;
                }
            }
            Rule::Muon(rule) => ops::muon_update(&self.value, gradient, momentum, &rule)?,
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
    use crate::network::learner::Reduction;
    use crate::network::random;
    use crate::optim::Sgd;

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
            let rules = Rules::All(Rule::Sgd(sgd));
            let settings = StepSettings { rules, label_smoothing: 0.1, reduction: Reduction::Mean, seed: 5 };
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
