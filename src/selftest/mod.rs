//! Whether this machine computes what it should: every kind of layer, forward and backward, against its formula in f64; whole
//! training steps against candle's differentiation on the processor; the bundled model's answer against the stored one.
//!
//! It proves a processor's instruction sets, and a CUDA card. It knows neither the command line nor how fast anything is.

mod cases;
mod truth;

use candle_core::Device;
use serde::Serialize;

use self::cases::Case;
use self::truth::Truth;
use crate::network::forward::Mode;
use crate::network::init::{self, Init};
use crate::network::shape::{LayerShape, Role};
use crate::network::{
    Architecture, Autograd, Batch, Error, Evaluator, Model, Parameter, Probe, Reduction, Rules, StepSettings, Weights, infer,
    presets,
};
use crate::optim::{Rule, Sgd};
use crate::training::learner;

/// Largest difference from the truth, in units of its root mean square: f32 sums of a few thousand products stay well below.
pub const FORWARD_LIMIT: f64 = 1e-4;
/// The same for gradients, which go through more sums.
pub const BACKWARD_LIMIT: f64 = 1e-3;
/// Largest difference of a probability of the stored answer.
pub const ANSWER_LIMIT: f64 = 1e-4;

/// What was compared, and how far apart it was at most.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// A kind of layer, a network, or a model's answer.
    pub what: String,
    /// `forward`, `backward`, `step` or `answer`.
    pub pass: &'static str,
    /// In units of the truth's root mean square; infinite where a number is none.
    pub difference: f64,
    /// What it may be.
    pub limit: f64,
    /// Why nothing could be compared, where the device refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Check {
    /// What was found of a device that may refuse: nothing it can do elsewhere stays untested for that.
    fn new(what: &str, pass: &'static str, limit: f64, found: Result<f64, Error>) -> Self {
        let fault = found.as_ref().err().map(|fault| format!("{fault}: {fault:?}"));
        Self { what: what.into(), pass, difference: found.unwrap_or(f64::INFINITY), limit, fault }
    }

    /// Whether the difference is within its limit.
    pub fn holds(&self) -> bool {
        self.difference <= self.limit
    }
}

/// Tests every kind of layer, then whole steps.
///
/// # Errors
/// Only where the tests themselves cannot be read; what a device refuses is a check that does not hold.
pub fn layers(device: &Device) -> Result<Vec<Check>, Error> {
    let mut checks: Vec<Check> = Vec::new();
    for (seed, case) in (0..).zip(&cases::all()?) {
        let forward = Check::new(case.kind, "forward", FORWARD_LIMIT, forward(case, device, seed));
        let backward = Check::new(case.kind, "backward", BACKWARD_LIMIT, backward(case, device, seed));
        for check in [forward, backward] {
            match checks.iter_mut().find(|worst| worst.what == check.what && worst.pass == check.pass) {
                Some(worst) if larger(worst.difference, check.difference) > worst.difference => *worst = check,
                Some(_) => {}
                None => checks.push(check),
            }
        }
    }
    for architecture in ["tutorial", "resnet20"].into_iter().filter_map(presets::named) {
        checks.push(Check::new(&architecture.name, "step", BACKWARD_LIMIT, step(&architecture, device)));
    }
    Ok(checks)
}

/// Compares a model's answer to one preprocessed image with the one that was stored.
pub fn answer(model: &Model, image: &[f32], stored: &[f64], device: &Device) -> Check {
    let found = Evaluator::new(model, device).and_then(|mut evaluator| evaluator.evaluate(image, &Probe::default()));
    let difference = found.map(|got| {
        let got = got.probabilities;
        let differences = got.iter().zip(stored).map(|(got, stored)| (f64::from(*got) - stored).abs());
        if got.len() == stored.len() { differences.fold(0.0, larger) } else { f64::INFINITY }
    });
    Check::new(&model.metadata().name, "answer", ANSWER_LIMIT, difference)
}

/// Numbers that no pattern of a network matches, between −1 and 1, the same for one seed.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mix = |at: u64| crate::network::learner::dropout_seed(seed, at as usize) >> 40;
    (0..count as u64).map(|at| mix(at) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Parameters whose biases and statistics are not those of a fresh network.
fn weights(architecture: &Architecture, seed: u64) -> Result<Weights, Error> {
    let layers = infer(architecture)?;
    let mut weights = init::weights(&layers, Init::Pytorch, seed);
    let roles: Vec<Role> = layers.iter().flat_map(|layer| &layer.parameters).map(|spec| spec.role).collect();
    for (at, (parameter, role)) in weights.iter_mut().zip(roles).enumerate() {
        let noise = noise(seed + at as u64, parameter.values.len());
        for (x, noise) in parameter.values.iter_mut().zip(noise) {
            match role {
                Role::Weight => {}
                Role::Bias | Role::RunningMean => *x = 0.25 * noise,
                Role::Scale | Role::RunningVariance => *x = 1.0 + 0.25 * noise,
            }
        }
    }
    Ok(weights)
}

/// Without decay and momentum's past the optimizer's buffers after one step are the gradients.
fn settings() -> StepSettings<'static> {
    let sgd = Sgd { learning_rate: 0.0, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    StepSettings { rules: Rules::All(Rule::Sgd(sgd)), label_smoothing: 0.0, reduction: Reduction::Mean, seed: 7 }
}

/// A case's parameters, images and labels.
struct Setting {
    layers: Vec<LayerShape>,
    weights: Weights,
    images: Vec<f32>,
    labels: Vec<u32>,
}

impl Setting {
    fn of(case: &Case, seed: u64) -> Result<Self, Error> {
        let input = case.architecture.input;
        Ok(Self {
            layers: infer(&case.architecture)?,
            weights: weights(&case.architecture, seed)?,
            images: noise(seed + 1000, case.batch * input.channels * input.height * input.width),
            labels: (0..case.batch as u32).map(|image| image % 4).collect(),
        })
    }

    fn truth<'a>(&'a self, case: &'a Case) -> (Truth<'a>, Vec<f64>) {
        let truth = Truth { architecture: &case.architecture, layers: &self.layers, weights: &self.weights };
        (truth, self.images.iter().map(|&x| f64::from(x)).collect())
    }
}

/// How far a case's outputs are from the truth.
fn forward(case: &Case, device: &Device, seed: u64) -> Result<f64, Error> {
    let setting = Setting::of(case, seed)?;
    let taps = (0..setting.layers.len()).collect();
    let mut evaluator = Evaluator::of(&case.architecture, &setting.weights, device)?;
    let got = evaluator.evaluate(&setting.images, &Probe { taps, ..Probe::default() })?;
    let (truth, exact) = setting.truth(case);
    let expected = truth.forward(&exact, Mode::Evaluation);
    let outputs = got.taps.iter().map(|tap| distance(&tap.values, &expected[tap.layer], 0.0));
    Ok(outputs.fold(0.0, larger))
}

/// How far a case's loss and gradients are from the truth.
fn backward(case: &Case, device: &Device, seed: u64) -> Result<f64, Error> {
    let (setting, settings) = (Setting::of(case, seed)?, settings());
    let mut learner = learner::create(&case.architecture, &setting.weights, device)?;
    let report = learner.step(Batch { images: &setting.images, labels: &setting.labels }, &settings)?;
    let (truth, exact) = setting.truth(case);
    let (loss, gradients) = truth.gradients(&exact, &setting.labels, settings.seed);
    let loss = (f64::from(report.loss) - loss).abs() / loss;
    Ok(larger(loss, apart(&learner.momentum()?, &gradients)))
}

/// How far a network's training step on `device` is from candle's differentiation on the processor.
fn step(architecture: &Architecture, device: &Device) -> Result<f64, Error> {
    let weights = weights(architecture, 3)?;
    let input = architecture.input;
    let images = noise(4, 4 * input.channels * input.height * input.width);
    let batch = Batch { images: &images, labels: &[3, 1, 4, 1] };
    let (expected, report) = Autograd::new(architecture, &weights, &Device::Cpu)?.gradients(batch, &settings())?;
    let mut learner = learner::create(architecture, &weights, device)?;
    let got = learner.step(batch, &settings())?;
    let expected: Vec<Vec<f64>> = expected.iter().map(|p| p.values.iter().map(|&x| f64::from(x)).collect()).collect();
    let loss = f64::from((got.loss - report.loss).abs() / report.loss);
    Ok(larger(loss, apart(&learner.momentum()?, &expected)))
}

/// The largest distance of any gradient. What is next to nothing beside the others (a bias before a batch norm has no gradient but
/// rounding errors) is measured in units of theirs.
fn apart(got: &[Parameter], expected: &[Vec<f64>]) -> f64 {
    let least = expected.iter().map(|gradient| rms(gradient)).fold(0.0, larger) * 1e-2;
    let same = got.len() == expected.len();
    let pairs = got.iter().zip(expected).map(|(got, expected)| distance(&got.values, expected, least));
    if same { pairs.fold(0.0, larger) } else { f64::INFINITY }
}

/// The largest difference, in units of the expected numbers' root mean square or of `least` if that is more.
fn distance(got: &[f32], expected: &[f64], least: f64) -> f64 {
    let unit = rms(expected).max(least).max(f64::MIN_POSITIVE);
    let differences = got.iter().zip(expected).map(|(&got, expected)| (f64::from(got) - expected).abs() / unit);
    if got.len() == expected.len() { differences.fold(0.0, larger) } else { f64::INFINITY }
}

fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// The larger of two differences; one that is no number is the largest of all.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::INFINITY } else { a.max(b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_machine_passes_and_a_wrong_number_anywhere_fails() {
        let checks = layers(&Device::Cpu).unwrap();
        for check in &checks {
            assert!(check.holds(), "{check:?}");
        }
        assert!(checks.iter().any(|check| check.difference > 0.0), "something was compared");
        let truth = [1.0, -2.0, 0.5];
        let off = |value: f32| distance(&[1.0, -2.0, value], &truth, 0.0);
        assert!(off(0.5) <= FORWARD_LIMIT && off(0.501) > FORWARD_LIMIT);
        assert_eq!([off(f32::NAN), distance(&[1.0, -2.0], &truth, 0.0)], [f64::INFINITY; 2]);
    }
}
