//! The compiled step against candle's forward and automatic differentiation.

use candle_core::Device;

use super::*;
use crate::network::autograd::Autograd;
use crate::network::init::{self, Init};
use crate::network::{infer, presets, random};
use crate::optim::Sgd;

/// Numbers that no pattern of the network matches, the same for one seed.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    })
    .take(n)
    .collect()
}

struct Case {
    architecture: Architecture,
    weights: Weights,
    images: Vec<f32>,
    labels: Vec<u32>,
}

impl Case {
    fn new(architecture: Architecture, batch: usize, seed: u64) -> Self {
        let layers = infer(&architecture).unwrap();
        let weights = init::weights(&layers, Init::Pytorch, seed);
        let input = architecture.input;
        let images = noise(batch * input.channels * input.height * input.width, seed);
        let classes = layers.last().unwrap().output.elements() as u32;
        let labels = (0..batch as u32).map(|i| (i * 7 + seed as u32) % classes).collect();
        Self { architecture, weights, images, labels }
    }

    fn batch(&self) -> Batch<'_> {
        Batch { images: &self.images, labels: &self.labels }
    }
}

fn settings(seed: u64) -> StepSettings {
    let sgd = Sgd { learning_rate: 0.01, momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
    StepSettings { sgd, label_smoothing: 0.1, seed }
}

fn rms(values: &[f32]) -> f32 {
    (values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32).sqrt()
}

/// How far `got` is from `expected` at most, in units of the latter's root mean square, or of `least` if that is more.
fn distance(got: &[f32], expected: &[f32], least: f32) -> f32 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / rms(expected).max(least)
}

/// After a first step with momentum and without decay, the buffers are the gradients.
fn gradients_agree(case: &Case, tier: Tier) {
    let reference = Autograd::new(&case.architecture, &case.weights, &Device::Cpu).unwrap();
    let mut plain = settings(11);
    plain.sgd.weight_decay = 0.0;
    let (expected, report) = reference.gradients(case.batch(), &plain).unwrap();
    let mut step = Step::with(&case.architecture, &case.weights, (tier, Arc::new(Team::new(2)))).unwrap();
    let got = step.step(case.batch(), &plain).unwrap();
    let name = &case.architecture.name;
    assert!((got.loss - report.loss).abs() <= 1e-5 * report.loss.abs(), "{name} {tier}: loss {} for {}", got.loss, report.loss);
    assert_eq!(got.correct, report.correct, "{name} {tier}");
    // A bias before a batch norm has no gradient but rounding errors, which have no digits in common.
    let least = 1e-2 * expected.iter().map(|gradient| rms(&gradient.values)).fold(0.0, f32::max);
    for (buffer, gradient) in step.momentum().unwrap().iter().zip(&expected) {
        assert_eq!(buffer.name, gradient.name);
        let distance = distance(&buffer.values, &gradient.values, least);
        assert!(distance < 1e-3, "{name} {tier} {}: {distance} {:?}", buffer.name, case.architecture);
    }
}

#[test]
fn gradients_are_autograds_on_random_networks() {
    for seed in 0..60 {
        let case = Case::new(random::architecture(seed), 1 + seed as usize % 5, seed);
        for tier in Tier::all() {
            gradients_agree(&case, tier);
        }
    }
}

#[test]
fn the_tutorial_trains_as_by_autograd() {
    let case = Case::new(presets::named("tutorial").unwrap(), 10, 3);
    for tier in Tier::all() {
        gradients_agree(&case, tier);
    }
    let mut reference = Autograd::new(&case.architecture, &case.weights, &Device::Cpu).unwrap();
    let mut step = Step::new(&case.architecture, &case.weights).unwrap();
    for seed in 0..3 {
        let (expected, got) =
            (reference.step(case.batch(), &settings(seed)).unwrap(), step.step(case.batch(), &settings(seed)).unwrap());
        assert!((got.loss - expected.loss).abs() <= 1e-4 * expected.loss, "step {seed}: {} for {}", got.loss, expected.loss);
    }
    for (got, expected) in step.weights().unwrap().iter().zip(reference.weights().unwrap().iter()) {
        assert!(distance(&got.values, &expected.values, 1e-6) < 1e-3, "{}", got.name);
    }
}
