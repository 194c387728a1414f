//! Whole training steps, by both learners: the kernels' and candle's.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::Device;
use convscope::kernels::{Team, Tier};
use convscope::network::compiled::Machine;
use convscope::network::{
    self, Architecture, Autograd, Batch, Learner, Parameter, Reduction, Rules, Step, StepReport, StepSettings, Weights,
};
use convscope::optim::{Rule, Sgd};

/// The network of `tests/data/pytorch/training.py`.
const NETWORK: &str = r#"
name = "training"
input = { channels = 2, height = 5, width = 6 }
layers = [
    { name = "conv1", kind = "conv2d", out_channels = 17, kernel_size = 3, padding = 1 },
    { name = "norm1", kind = "batch_norm2d", momentum = 0.25 },
    { name = "act1", kind = "relu" },
    { name = "conv2", kind = "conv2d", out_channels = 16, kernel_size = 3, padding = 1, bias = false },
    { name = "norm2", kind = "batch_norm2d" },
    { name = "act2", kind = "silu" },
    { name = "conv3", kind = "conv2d", out_channels = 16, kernel_size = 3, stride = 2, groups = 16 },
    { name = "flat", kind = "flatten" },
    { name = "fc1", kind = "linear", out_features = 5 },
    { name = "act3", kind = "relu" },
    { name = "fc2", kind = "linear", out_features = 3 },
]"#;

/// Planes of more tiles than a block has, through both ways of convolving, pooled to odd sizes.
const LARGE: &str = r#"
name = "large"
input = { channels = 3, height = 53, width = 70 }
layers = [
    { name = "conv1", kind = "conv2d", out_channels = 18, kernel_size = 3, padding = 1 },
    { name = "act1", kind = "relu" },
    { name = "conv2", kind = "conv2d", out_channels = 16, kernel_size = 3 },
    { name = "norm2", kind = "batch_norm2d" },
    { name = "act2", kind = "gelu" },
    { name = "pool", kind = "max_pool2d", kernel_size = 3, stride = 2, padding = 1 },
    { name = "conv3", kind = "conv2d", out_channels = 4, kernel_size = 5, stride = 3 },
    { name = "mean", kind = "adaptive_avg_pool2d", output_size = 2 },
    { name = "flat", kind = "flatten" },
    { name = "fc", kind = "linear", out_features = 3 },
]"#;

/// The script's `start`.
fn start(name: &str, len: usize) -> impl Iterator<Item = f64> {
    let seed = 13 * name.bytes().map(usize::from).sum::<usize>();
    (0..len).map(move |at| f64::from((((at * 7919 + seed) % 1013) as f64 / 1013.0 - 0.5) as f32))
}

fn starting(architecture: &Architecture) -> Weights {
    let layers = network::infer(architecture).unwrap();
    let entries = layers.iter().flat_map(|layer| &layer.parameters).map(|spec| {
        let norm = spec.name.starts_with("norm");
        let value = |x: f64| match spec.name.rsplit('.').next() {
            Some("running_var") => 1.0,
            Some("running_mean") => 0.0,
            Some("weight") if norm => x + 1.0,
            _ => x * 0.5,
        };
        let values = start(&spec.name, spec.shape.iter().product()).map(|x| value(x) as f32).collect();
        Parameter { name: spec.name.clone(), shape: spec.shape.clone(), values }
    });
    Weights::fit("training", &layers, entries.collect()).unwrap()
}

/// Candle's learner, and the kernels' on every tier.
fn learners(architecture: &Architecture, weights: &Weights) -> Vec<(String, Box<dyn Learner>)> {
    let by_kernels = |tier: Tier| {
        let step = Step::on(Machine { tier, team: Arc::new(Team::new(2)) }, architecture, weights).unwrap();
        (tier.to_string(), Box::new(step) as Box<dyn Learner>)
    };
    let autograd = Autograd::new(architecture, weights, &Device::Cpu).unwrap();
    let mut learners: Vec<(String, Box<dyn Learner>)> = vec![("autograd".into(), Box::new(autograd))];
    learners.extend(Tier::all().map(by_kernels));
    learners
}

/// Four steps of the script.
fn trained(learner: &mut dyn Learner, pixels: usize) -> Vec<StepReport> {
    let sgd = Sgd { learning_rate: 0.0625, momentum: 0.75, nesterov: true, weight_decay: 0.125 };
    let step = |step: u32| {
        let images: Vec<f32> = start(&format!("images{step}"), 3 * pixels).map(|x| (x * 4.0) as f32).collect();
        let labels = [step % 3, 2, (step + 1) % 3];
        let rules = Rules::All(Rule::Sgd(sgd));
        let settings = StepSettings { rules, label_smoothing: 0.125, reduction: Reduction::Mean, seed: 1 };
        learner.step(Batch { images: &images, labels: &labels }, &settings).unwrap()
    };
    (0..4).map(step).collect()
}

/// How far `found` is from `expected` at most, in units of the latter's root mean square, or of `least` if that is more.
fn distance(found: &[f32], expected: &[f32], least: f32) -> f32 {
    assert_eq!(found.len(), expected.len());
    let rms = (expected.iter().map(|x| x * x).sum::<f32>() / expected.len() as f32).sqrt();
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / rms.max(least)
}

/// Running statistics among them, whose variance is the unbiased one; and decay of filters and matrices, and of nothing else.
#[test]
fn four_steps_give_pytorchs_parameters_running_statistics_and_momenta() {
    let architecture = Architecture::from_toml(NETWORK).unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pytorch/training.safetensors");
    let expected: HashMap<String, Vec<f32>> = candle_core::safetensors::load(file, &Device::Cpu)
        .unwrap()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.flatten_all().unwrap().to_vec1().unwrap()))
        .collect();
    for (name, mut learner) in learners(&architecture, &starting(&architecture)) {
        let losses: Vec<f32> = trained(&mut *learner, 60).into_iter().map(|report| report.loss).collect();
        assert!(distance(&losses, &expected["losses"], 0.0) < 1e-4, "{name}: {losses:?} {:?}", expected["losses"]);
        let (weights, momenta) = (learner.weights().unwrap(), learner.momentum().unwrap());
        assert_eq!(weights.iter().count() + momenta.len() + 1, expected.len());
        for parameter in weights.iter() {
            let off = distance(&parameter.values, &expected[&parameter.name], 1e-2);
            assert!(off < 1e-4, "{name}: {} is off by {off}", parameter.name);
        }
        for momentum in &momenta {
            // A bias before a batch norm has no gradient but what rounding leaves.
            let off = distance(&momentum.values, &expected[&format!("momentum.{}", momentum.name)], 1e-2);
            assert!(off < 3e-4, "{name}: the momentum of {} is off by {off}", momentum.name);
        }
    }
}

#[test]
fn planes_of_several_blocks_of_tiles_train_as_by_autograd() {
    let architecture = Architecture::from_toml(LARGE).unwrap();
    let mut all = learners(&architecture, &starting(&architecture)).into_iter();
    let (_, mut reference) = all.next().unwrap();
    let expected = trained(&mut *reference, 3 * 53 * 70);
    for (name, mut learner) in all {
        let found = trained(&mut *learner, 3 * 53 * 70);
        assert!(
            found.iter().zip(&expected).all(|(a, b)| (a.loss - b.loss).abs() < 1e-3 * b.loss),
            "{name}: {found:?} {expected:?}"
        );
        for (found, expected) in learner.weights().unwrap().iter().zip(reference.weights().unwrap().iter()) {
            let off = distance(&found.values, &expected.values, 1e-2);
            assert!(off < 1e-3, "{name}: {} is off by {off}", found.name);
        }
    }
}
