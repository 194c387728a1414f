//! Whole runs by every optimizer, by both learners, beside PyTorch's: 50 steps of the network in `tests/data/pytorch/optimizers.py`.

use std::sync::Arc;

use candle_core::Device;
use convscope::kernels::{Team, Tier};
use convscope::network::compiled::Machine;
use convscope::network::shape::{LayerShape, Role};
use convscope::network::{
    self, Architecture, Autograd, Batch, Learner, Parameter, Reduction, Rules, Step, StepSettings, Weights, infer,
};
use convscope::optim::{AdamW, AdjustLr, Muon, Rule, Schedule, Sgd, Shape};
use serde_json::Value;

const STEPS: u64 = 50;

/// The script's network.
const NETWORK: &str = r#"
name = "optimizers"
input = { channels = 2, height = 6, width = 5 }
layers = [
    { name = "conv1", kind = "conv2d", out_channels = 17, kernel_size = 3, padding = 1, bias = false },
    { name = "norm1", kind = "batch_norm2d", momentum = 0.25 },
    { name = "act1", kind = "silu" },
    { name = "conv2", kind = "conv2d", out_channels = 8, kernel_size = 3 },
    { name = "act2", kind = "silu" },
    { name = "flat", kind = "flatten" },
    { name = "fc1", kind = "linear", out_features = 20 },
    { name = "act3", kind = "silu" },
    { name = "fc2", kind = "linear", out_features = 3, bias = false },
]"#;

/// The script's `start`.
fn start(name: &str, len: usize) -> Vec<f32> {
    let seed = 13 * name.bytes().map(usize::from).sum::<usize>();
    (0..len).map(|at| (((at * 7919 + seed) % 1013) as f64 / 1013.0 - 0.5) as f32).collect()
}

fn starting(layers: &[LayerShape]) -> Weights {
    let entries = layers.iter().flat_map(|layer| &layer.parameters).map(|spec| {
        let value = |x: f32| match spec.role {
            Role::RunningVariance => 1.0,
            Role::RunningMean => 0.0,
            Role::Scale => x + 1.0,
            _ => x * 0.5,
        };
        let values = start(&spec.name, spec.shape.iter().product()).into_iter().map(value).collect();
        Parameter { name: spec.name.clone(), shape: spec.shape.clone(), values }
    });
    Weights::fit("optimizers", layers, entries.collect()).unwrap()
}

/// The script's optimizers, as they are at one step.
fn rule(kind: &str, role: Role, filters: bool, step: u64) -> Rule {
    let decay = |share: f64| if role == Role::Weight { share } else { 0.0 };
    let sgd = |learning_rate: f64, momentum: f32, weight_decay: f64| {
        let [learning_rate, weight_decay] = [learning_rate, weight_decay].map(|x| x as f32);
        Rule::Sgd(Sgd { learning_rate, momentum, nesterov: true, weight_decay })
    };
    let adamw = |learning_rate: f64| {
        Rule::AdamW(AdamW { learning_rate, betas: [0.9, 0.99], eps: 1e-8, weight_decay: decay(0.05), step: step + 1 })
    };
    let muon = Muon {
        learning_rate: 0.02,
        momentum: 0.95,
        nesterov: true,
        weight_decay: 0.1,
        ns_steps: 5,
        renormalize: false,
        adjust_lr: AdjustLr::Original,
    };
    match kind {
        "sgd" => sgd(0.02, 0.9, decay(5e-4)),
        "adamw" => adamw(0.003),
        "adamw_cosine" => {
            let schedule = Schedule { shape: Shape::Cosine, warmup_steps: 10.0, start_factor: 0.0, end_factor: 0.1 };
            adamw(schedule.learning_rate(0.003, step, STEPS))
        }
        "muon" if role == Role::Weight => Rule::Muon(muon),
        "muon" => sgd(0.02, 0.9, 0.0),
        "airbench" => {
            let down = |peak: f64| Schedule::of(Shape::OneCycle { warmup: 0.0 }).learning_rate(peak, step, STEPS);
            let learning_rate = down(0.1) as f32;
            let (renormalize, adjust_lr) = (true, AdjustLr::None);
            let muon = Muon { learning_rate, momentum: 0.6, weight_decay: 0.0, ns_steps: 3, renormalize, adjust_lr, ..muon };
            if filters { Rule::Muon(muon) } else { sgd(down(0.004), 0.85, 0.01) }
        }
        other => panic!("{other}"),
    }
}

fn learners(architecture: &Architecture, weights: &Weights) -> Vec<(String, Box<dyn Learner>)> {
    let autograd = Autograd::new(architecture, weights, &Device::Cpu).unwrap();
    let mut all: Vec<(String, Box<dyn Learner>)> = vec![("autograd".into(), Box::new(autograd))];
    for tier in Tier::all() {
        let machine = Machine { tier, team: Arc::new(Team::new(2)) };
        all.push((tier.to_string(), Box::new(Step::on(machine, architecture, weights).unwrap())));
    }
    all
}

/// Loss and gradient norm of each step.
fn steps(kind: &str, learner: &mut dyn Learner, layers: &[LayerShape]) -> (Vec<f64>, Vec<f64>) {
    let step = |step: u64| {
        let images: Vec<f32> = start(&format!("images{}", step % 10), 6 * 60).into_iter().map(|x| x * 4.0).collect();
        let labels: Vec<u32> = (0..6).map(|image| (image + step as u32 % 10) % 3).collect();
        let trained = layers.iter().flat_map(|layer| &layer.parameters).filter(|spec| spec.role.trained());
        let rules: Vec<Rule> = trained.map(|spec| rule(kind, spec.role, spec.shape.len() > 2, step)).collect();
        let reduction = if kind == "airbench" { Reduction::Sum } else { Reduction::Mean };
        let settings = StepSettings { rules: Rules::Each(&rules), label_smoothing: 0.125, reduction, seed: 1 };
        let report = learner.step(Batch { images: &images, labels: &labels }, &settings).unwrap();
        assert!(report.finite);
        (f64::from(report.loss), report.gradient_norm)
    };
    (0..STEPS).map(step).unzip()
}

#[test]
fn fifty_steps_of_every_optimizer_are_pytorchs() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pytorch/optimizers.json")).unwrap();
    let runs: Value = serde_json::from_str(&text).unwrap();
    let architecture = Architecture::from_toml(NETWORK).unwrap();
    let layers = infer(&architecture).unwrap();
    let weights = starting(&layers);
    for (kind, expected) in runs.as_object().unwrap() {
        for (name, mut learner) in learners(&architecture, &weights) {
            let (found, norms) = steps(kind, &mut *learner, &layers);
            let curve: Vec<f64> = serde_json::from_value(expected["losses"].clone()).unwrap();
            assert_eq!(found.len(), curve.len());
            let off = found.iter().zip(&curve).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            println!("{kind} {name}: the losses are off by {off:.1e} at most");
            assert!(off < 1e-4, "{kind} {name}: off by {off}\n{found:?}\n{curve:?}");
            let expected_norms: Vec<f64> = serde_json::from_value(expected["norms"].clone()).unwrap();
            let off = norms.iter().zip(&expected_norms).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max);
            println!("{kind} {name}: the gradients' norms are off by {off:.1e} of them at most");
            assert!(norms.len() == 50 && off < 1e-3, "{kind} {name}: off by {off}\n{norms:?}\n{expected_norms:?}");
            let now = learner.weights().unwrap();
            for (parameter, ends) in expected["parameters"].as_object().unwrap() {
                let values = &now.get(parameter).unwrap().values;
                let mean = |f: fn(f64) -> f64| values.iter().map(|&x| f(x.into())).sum::<f64>() / values.len() as f64;
                let (mean, root) = (mean(|x| x), mean(|x| x * x).sqrt());
                let expected: [f64; 2] = serde_json::from_value(ends.clone()).unwrap();
                let near = (mean - expected[0]).abs() < 1e-4 && (root - expected[1]).abs() < 1e-4;
                assert!(near, "{kind} {name} {parameter}: mean {mean}, root mean square {root}; PyTorch's {expected:?}");
            }
        }
    }
}

/// What is not finite ends a run in the step where it comes up, not in the next one's loss.
#[test]
fn a_gradient_that_overflows_is_told_in_its_step() {
    let architecture = Architecture::from_toml(NETWORK).unwrap();
    let layers = network::infer(&architecture).unwrap();
    let mut weights = starting(&layers);
    // The last layer's weights are all right and give finite scores; their products with the scores' gradients are not.
    let huge = weights.iter_mut().find(|parameter| parameter.name == "fc2.weight").unwrap();
    huge.values.iter_mut().for_each(|x| *x = 1e38 * x.signum());
    let quiet = weights.iter_mut().filter(|parameter| parameter.name.starts_with("fc1"));
    quiet.for_each(|parameter| parameter.values.fill(0.0));
    let rules = Rules::All(Rule::Sgd(Sgd { learning_rate: 1e-3, momentum: 0.9, nesterov: true, weight_decay: 0.0 }));
    let settings = StepSettings { rules, label_smoothing: 0.0, reduction: Reduction::Sum, seed: 1 };
    let images = start("images", 6 * 60);
    for (name, mut learner) in learners(&architecture, &weights) {
        let report = learner.step(Batch { images: &images, labels: &[0; 6] }, &settings).unwrap();
        assert!(report.loss.is_finite() && !report.finite, "{name}: {report:?}");
    }
}
