//! Deep networks with projection shortcuts, as architecture files: forward and one training step equal PyTorch's, and the memory
//! they take is printed (`cargo test deep_networks -- --nocapture`).

use std::collections::BTreeMap;
use std::sync::Arc;

use convscope::kernels::{Team, Tier};
use convscope::network::Rules;
use convscope::network::compiled::Machine;
use convscope::network::learner::{Batch, Learner, Reduction, StepSettings};
use convscope::network::shape::Role;
use convscope::network::weights::specs;
use convscope::network::{Architecture, Memory, Parameter, Plan, Probe, Step, Weights, infer, presets};
use convscope::optim::{AdamW, AdjustLr, Muon, Rule, Sgd};
use serde::Deserialize;

use crate::allocations::peak_of;
use crate::import::value;
use crate::support::file;

/// What `tests/data/networks/resnet.py` wrote.
#[derive(Deserialize)]
struct Expected {
    scores: Vec<f64>,
    loss: f64,
    momentum: BTreeMap<String, [f64; 4]>,
    running: BTreeMap<String, [f64; 4]>,
}

fn architecture(name: &str) -> Architecture {
    presets::named(name).unwrap_or_else(|| Architecture::from_toml(include_str!("../data/networks/resnet18.toml")).unwrap())
}

fn weights(architecture: &Architecture) -> Weights {
    let layers = infer(architecture).unwrap();
    let parameters = specs(&layers).zip(1..).map(|(spec, seed)| {
        let count: usize = spec.shape.iter().product();
        let (base, bound) = match spec.role {
            Role::Scale | Role::RunningVariance => (1.0, 0.25),
            Role::Weight => (0.0, (3.0 / (count / spec.shape[0]) as f64).sqrt() as f32),
            Role::Bias | Role::RunningMean => (0.0, 0.125),
        };
        let values = (0..count as u64).map(|at| base + value(seed, at, bound)).collect();
        Parameter { name: spec.name.clone(), shape: spec.shape.clone(), values }
    });
    Weights::fit(&architecture.name, &layers, parameters.collect()).unwrap()
}

/// Root mean square and three numbers, as the script keeps them.
fn close(what: &str, got: &Parameter, expected: [f64; 4], tolerance: f64) {
    let rms = (got.values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / got.values.len() as f64).sqrt();
    let last = got.values.len() - 1;
    let numbers = [rms, f64::from(got.values[0]), f64::from(got.values[got.values.len() / 2]), f64::from(got.values[last])];
    for (got, expected_number) in numbers.into_iter().zip(expected) {
        let distance = (got - expected_number).abs() / expected[0].max(1e-6);
        assert!(distance <= tolerance, "{what}: {numbers:?} for {expected:?}");
    }
}

#[test]
fn deep_networks_with_projections_are_pytorchs_and_their_memory_is_bounded() {
    let all: BTreeMap<String, Expected> = serde_json::from_slice(&file("networks/resnet.json")).unwrap();
    for (name, limits) in [("resnet20", [12 << 20, 32 << 20]), ("resnet18", [300 << 20, 720 << 20])] {
        let (expected, architecture) = (&all[name], architecture(name));
        let (weights, input) = (weights(&architecture), architecture.input);
        let count = 2 * 3 * input.height * input.width;
        let images: Vec<f32> = (0..count as u64).map(|at| value(1000, at, 1.0)).collect();
        let layers = infer(&architecture).unwrap();
        let (answer, forward) = peak_of(|| {
            let mut plan = Plan::new(&architecture, &layers, &weights);
            plan.evaluate(&images, &Probe::default()).unwrap().probabilities
        });
        let classes = answer.len() / 2;
        for (got, scores) in answer.chunks(classes).zip(expected.scores.chunks(classes)) {
            let largest = scores.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
            for (got, score) in got.iter().zip(scores) {
                let expected = (score - largest).exp() / sum;
                assert!((f64::from(*got) - expected).abs() < 1e-5, "{name}: {got} for {expected}");
            }
        }
        let sgd = Sgd { learning_rate: 0.01, momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
        let rules = Rules::All(Rule::Sgd(sgd));
        let settings = StepSettings { rules, label_smoothing: 0.0, reduction: Reduction::Mean, seed: 1 };
        let (step, training) = peak_of(|| {
            let mut step = Step::new(&architecture, &weights).unwrap();
            let report = step.step(Batch { images: &images, labels: &[1, 0] }, &settings).unwrap();
            assert!((f64::from(report.loss) - expected.loss).abs() < 1e-4 * expected.loss, "{name}: loss {}", report.loss);
            step
        });
        for got in step.momentum().unwrap() {
            close(&format!("{name} momentum of {}", got.name), &got, expected.momentum[&got.name], 5e-3);
        }
        for got in step.weights().unwrap().iter().filter(|got| got.name.contains(".running_")) {
            close(&format!("{name} {}", got.name), got, expected.running[&got.name], 1e-4);
        }
        println!("{name}: {} kB at most for two images forward, {} kB for a training step", forward >> 10, training >> 10);
        for (what, bytes, limit) in [("forward", forward, limits[0]), ("training", training, limits[1])] {
            assert!(bytes <= limit, "{name} {what}: {bytes} bytes");
        }
    }
}

/// What is said of memory beforehand is what is held then, on a machine of one thread so that the counting sees all of it.
#[test]
fn the_memory_a_network_will_take_is_known_before_it_takes_any() {
    let machine = || Machine { tier: Tier::detect(), team: Arc::new(Team::new(1)) };
    for architecture in presets::names().filter_map(presets::named) {
        let (layers, weights, input) = (infer(&architecture).unwrap(), weights(&architecture), architecture.input);
        for batch in [1, 32] {
            let images: Vec<f32> = (0..(batch * 3 * input.height * input.width) as u64).map(|at| value(1000, at, 1.0)).collect();
            let said = Memory::of(&architecture, &layers, batch, 1);
            let (_, forward) = peak_of(|| {
                let mut plan = Plan::on(machine(), &architecture, &layers, &weights);
                plan.evaluate(&images, &Probe::default()).unwrap();
                plan
            });
            let labels: Vec<u32> = (0..batch as u32).map(|at| at % 10).collect();
            let training = |rules: Rules<'_>| {
                let settings = StepSettings { rules, label_smoothing: 0.0, reduction: Reduction::Mean, seed: 1 };
                let (_, held) = peak_of(|| {
                    let mut step = Step::on(machine(), &architecture, &weights).unwrap();
                    // A batch norm wants more than one image where its planes are single pixels.
                    let _ = step.step(Batch { images: &images, labels: &labels }, &settings);
                    step
                });
                held as u64
            };
            let sgd = Rule::Sgd(Sgd { learning_rate: 0.01, momentum: 0.9, nesterov: false, weight_decay: 5e-4 });
            let adamw = Rule::AdamW(AdamW { learning_rate: 0.01, betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.0, step: 1 });
            let muon = Rule::Muon(Muon {
                learning_rate: 0.01,
                momentum: 0.9,
                nesterov: true,
                weight_decay: 0.0,
                ns_steps: 1,
                renormalize: false,
                adjust_lr: AdjustLr::None,
            });
            let trained = layers.iter().flat_map(|layer| &layer.parameters).filter(|spec| spec.role.trained());
            let by_muon: Vec<Rule> = trained.map(|spec| if spec.shape.len() > 1 { muon } else { sgd }).collect();
            let by_rules = [("AdamW", Rules::All(adamw)), ("Muon", Rules::Each(&by_muon))]
                .map(|(name, rules)| (name, training(rules), Memory::of_training(&architecture, &layers, rules, batch, 1)));
            let forward = forward as u64 + said.parameters_bytes;
            let plain = [("forward", forward, said.forward_bytes), ("training", training(Rules::All(sgd)), said.training_bytes)];
            for (what, held, said) in plain.into_iter().chain(by_rules) {
                // Memory comes in pages of 2 MiB; small networks have tables beside their numbers.
                let apart = held.abs_diff(said);
                println!("{} {what} at {batch}: {held} held, {said} said", architecture.name);
                assert!(apart <= said / 10 + (6 << 20), "{} {what} at {batch}: {held} held, {said} said", architecture.name);
            }
        }
    }
}
