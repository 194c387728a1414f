//! The compiled step against candle's forward and automatic differentiation.

use std::sync::Arc;

use candle_core::Device;

use super::*;
use crate::kernels::testing::noise;
use crate::kernels::{Team, Tier};
use crate::network::autograd::Autograd;
use crate::network::init::{self, Init};
use crate::network::learner::Reduction;
use crate::network::{Rules, infer, presets, random};
use crate::optim::{Rule, Sgd};

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
        let images = noise(seed, batch * input.channels * input.height * input.width);
        let classes = layers.last().unwrap().output.elements() as u32;
        let labels = (0..batch as u32).map(|i| (i * 7 + seed as u32) % classes).collect();
        Self { architecture, weights, images, labels }
    }

    fn batch(&self) -> Batch<'_> {
        self.first(self.labels.len())
    }

    /// The first `count` images.
    fn first(&self, count: usize) -> Batch<'_> {
        let image = self.images.len() / self.labels.len();
        Batch { images: &self.images[..count * image], labels: &self.labels[..count] }
    }

    fn step(&self, tier: Tier, threads: usize) -> Step {
        Step::on(Machine { tier, team: Arc::new(Team::new(threads)) }, &self.architecture, &self.weights).unwrap()
    }
}

const SGD: Sgd = Sgd { learning_rate: 0.01, momentum: 0.9, nesterov: true, weight_decay: 5e-4 };

fn settings(seed: u64) -> StepSettings<'static> {
    by(Rules::All(Rule::Sgd(SGD)), seed)
}

fn by(rules: Rules<'_>, seed: u64) -> StepSettings<'_> {
    StepSettings { rules, label_smoothing: 0.1, reduction: Reduction::Mean, seed }
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
    let plain = by(Rules::All(Rule::Sgd(Sgd { weight_decay: 0.0, ..SGD })), 11);
    let (expected, report) = reference.gradients(case.batch(), &plain).unwrap();
    let mut step = case.step(tier, 2);
    let got = step.step(case.batch(), &plain).unwrap();
    let name = &case.architecture.name;
    assert!((got.loss - report.loss).abs() <= 1e-5 * report.loss.abs(), "{name} {tier}: loss {} for {}", got.loss, report.loss);
    assert_eq!(got.correct, report.correct, "{name} {tier}");
    let largest = expected.iter().map(|gradient| rms(&gradient.values)).fold(0.0, f32::max);
    for (buffer, gradient) in step.momentum().unwrap().iter().zip(&expected) {
        assert_eq!(buffer.name, gradient.name);
        // A bias before a batch norm has no gradient but rounding errors, which have no digits in common.
        if rms(&gradient.values) < 1e-4 * largest {
            assert!(rms(&buffer.values) < 1e-4 * largest, "{name} {tier} {}: not next to nothing", buffer.name);
            continue;
        }
        let distance = distance(&buffer.values, &gradient.values, 1e-2 * largest);
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

/// All that a run goes on from, to the bit.
fn state(step: &Step) -> Vec<(String, Vec<u32>)> {
    let (weights, momentum) = (step.weights().unwrap(), step.momentum().unwrap());
    let bits = |parameter: &Parameter| (parameter.name.clone(), parameter.values.iter().map(|x| x.to_bits()).collect());
    weights.iter().chain(&momentum).map(bits).collect()
}

/// Networks and how large their batches are: parts of a batch and vectors of images that come out even and that do not.
fn networks() -> impl Iterator<Item = Case> {
    (100..112).map(|seed| Case::new(random::architecture(seed), [2, 7, 16, 21][seed as usize % 4], seed))
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for case in networks().chain([Case::new(presets::named("tutorial").unwrap(), 3, 5)]) {
        for tier in Tier::all() {
            let trained = |threads: usize| {
                let mut step = case.step(tier, threads);
                let reports: Vec<_> = (0..2).map(|seed| step.step(case.batch(), &settings(seed)).unwrap()).collect();
                (reports, state(&step))
            };
            let (reports, one) = trained(1);
            assert_ne!(one, state(&case.step(tier, 1)), "{}: something is learned", case.architecture.name);
            for threads in [2, 3] {
                let (other_reports, other) = trained(threads);
                assert_eq!(reports, other_reports, "{} {tier}, {threads} threads", case.architecture.name);
                let differ = one.iter().zip(&other).find(|(one, other)| one != other).map(|(one, _)| &one.0);
                assert_eq!(differ, None, "{} {tier}, {threads} threads: {:?}", case.architecture.name, case.architecture);
            }
        }
    }
}

#[test]
fn batches_of_changing_size_leave_nothing_of_one_in_the_next() {
    for case in networks() {
        let most = case.labels.len();
        for tier in Tier::all() {
            let mut step = case.step(tier, 2);
            // Whole batches, an epoch's last one, a single image, and whole ones again.
            for (seed, count) in [most, most.div_ceil(3), 1, most, most - most / 4].into_iter().enumerate() {
                let weights = step.weights().unwrap();
                let mut fresh = Step::on(Machine { tier, team: Arc::new(Team::new(1)) }, &case.architecture, &weights).unwrap();
                fresh.restore_momentum(step.momentum().unwrap()).unwrap();
                let expected = fresh.step(case.first(count), &settings(seed as u64)).unwrap();
                assert_eq!(
                    step.step(case.first(count), &settings(seed as u64)).unwrap(),
                    expected,
                    "{} {tier}",
                    case.architecture.name
                );
                assert_eq!(state(&step), state(&fresh), "{} {tier}: {count} images, step {seed}", case.architecture.name);
            }
        }
    }
}

#[test]
fn gradients_of_one_image_and_of_partial_batches_are_autograds() {
    for seed in 60..75 {
        let case = Case::new(random::architecture(seed), [1, 1, 17][seed as usize % 3], seed);
        for tier in Tier::all() {
            gradients_agree(&case, tier);
        }
    }
    let case = Case::new(presets::named("tutorial").unwrap(), 1, 4);
    gradients_agree(&case, Tier::detect());
}

#[test]
fn images_and_labels_that_do_not_fit_are_refused() {
    let case = Case::new(random::architecture(1), 3, 1);
    let mut step = case.step(Tier::detect(), 1);
    let before = state(&step);
    let Batch { images, labels } = case.batch();
    for wrong in [
        Batch { images: &[], labels: &[] },
        Batch { images: &images[1..], labels },
        Batch { images, labels: &labels[1..] },
        Batch { images, labels: &[0, u32::MAX, 0] },
    ] {
        assert!(matches!(step.step(wrong, &settings(1)), Err(Error::Network(_))));
    }
    assert_eq!(state(&step), before);
}

mod optimizers;
