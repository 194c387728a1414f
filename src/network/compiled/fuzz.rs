//! Layer lists that nobody would write, through inference and whatever is compiled: a sentence or numbers, never a panic.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Machine, Network};
use crate::kernels::{Team, Tier};
use crate::network::compiled::program::{Program, Purpose};
use crate::network::learner::{Batch, Learner, Reduction, StepSettings};
use crate::network::shape::LayerShape;
use crate::network::spec::{
    Activation, AdaptiveAvgPool2d, Architecture, BatchNorm2d, Conv2d, Dropout, Input, Layer, LayerKind, LeakyRelu, Linear, Pool2d,
};
use crate::network::{Init, Mask, Plan, Probe, Rules, Step, infer, init};
use crate::optim::{Rule, Sgd};

/// What is computed at most: more would take the tests' time, not teach them anything.
const COMPUTED: u64 = 30_000_000;

/// Small, or where sums and products wrap.
fn size() -> impl Strategy<Value = usize> {
    let edge = prop_oneof![
        Just(4096),
        Just(4097),
        Just(1 << 28),
        Just((1 << 29) - 1),
        Just(1 << 31),
        Just(1 << 32),
        Just(usize::MAX / 2),
        Just(usize::MAX - 1),
        Just(usize::MAX)
    ];
    prop_oneof![8 => 0..=5usize, 2 => 6..=40usize, 2 => edge]
}

/// A likely number, or one of those that nobody would write.
fn number(likely: f64) -> impl Strategy<Value = f64> {
    let edge = [0.0, -0.0, 1e-45, 1e-300, 0.5, 1.0, 1e30, f64::MAX, -1.0, -1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    prop_oneof![3 => Just(likely), 1 => prop::sample::select(edge.to_vec())]
}

fn activation() -> impl Strategy<Value = Activation> {
    let leaky = number(0.1).prop_map(|negative_slope| Activation::LeakyRelu(LeakyRelu { negative_slope }));
    prop_oneof![4 => prop::sample::select(Activation::ALL.to_vec()), 1 => leaky]
}

/// Whether numbers stay finite: slopes, and what a batch norm divides by, can carry them out of what floats hold.
fn is_tame(kind: &LayerKind) -> bool {
    match kind {
        LayerKind::Activation(Activation::LeakyRelu(leaky)) => leaky.negative_slope.abs() <= 1.0,
        LayerKind::BatchNorm2d(norm) => (1e-6..=1.0).contains(&norm.eps),
        LayerKind::Dropout(dropout) => dropout.p <= 0.5,
        _ => true,
    }
}

fn kind() -> impl Strategy<Value = LayerKind> {
    let conv = (size(), 1..=5usize, size(), size(), size(), (size(), any::<bool>()));
    let pool = || (size(), proptest::option::of(size()), size());
    prop_oneof![
        4 => conv.prop_map(|(out_channels, kernel_size, stride, padding, dilation, (groups, bias))| {
            LayerKind::Conv2d(Conv2d { out_channels, kernel_size, stride, padding, dilation, groups, bias })
        }),
        2 => (1..=16usize, size(), size(), 1..=2usize).prop_map(|(out_channels, kernel_size, padding, stride)| {
            LayerKind::Conv2d(Conv2d { out_channels, kernel_size, stride, padding, dilation: 1, groups: 1, bias: true })
        }),
        2 => pool().prop_map(|(kernel_size, stride, padding)| LayerKind::MaxPool2d(Pool2d { kernel_size, stride, padding })),
        1 => pool().prop_map(|(kernel_size, stride, padding)| LayerKind::AvgPool2d(Pool2d { kernel_size, stride, padding })),
        1 => size().prop_map(|output_size| LayerKind::AdaptiveAvgPool2d(AdaptiveAvgPool2d { output_size })),
        1 => (number(1e-5), number(0.1)).prop_map(|(eps, momentum)| LayerKind::BatchNorm2d(BatchNorm2d { eps, momentum })),
        2 => activation().prop_map(LayerKind::Activation),
        1 => number(0.5).prop_map(|p| LayerKind::Dropout(Dropout { p })),
        1 => Just(LayerKind::Add),
        1 => Just(LayerKind::Flatten),
    ]
}

prop_compose! {
    fn network()(
        channels in prop_oneof![Just(1usize), Just(3), Just(17), size()],
        height in prop_oneof![3 => 1..=12usize, 1 => size()],
        width in prop_oneof![3 => 1..=12usize, 1 => size()],
        kinds in proptest::collection::vec((kind(), proptest::option::weighted(0.2, 0..6usize)), 0..6),
        out_features in prop_oneof![4 => 1..=9usize, 1 => size()],
    ) -> Architecture {
        let mut layers: Vec<Layer> = Vec::new();
        for (kind, from) in kinds {
            // `l5` may be this layer itself, or one that comes later.
            let from = from.or((kind == LayerKind::Add).then_some(0)).map(|at| if at == 5 { "input".into() } else { format!("l{at}") });
            layers.push(Layer { name: format!("l{}", layers.len()), kind, from });
        }
        layers.push(Layer { name: "flat".into(), kind: LayerKind::Flatten, from: None });
        layers.push(Layer { name: "last".into(), kind: LayerKind::Linear(Linear { out_features, bias: true }), from: None });
        Architecture { name: "fuzzed".into(), input: Input { channels, height, width }, layers }
    }
}

/// Numbers of the largest layer and of all parameters, and products.
fn cost(layers: &[LayerShape]) -> u64 {
    let numbers = layers.iter().map(|layer| (layer.input.elements() + layer.output.elements() + layer.parameter_count()) as u64);
    numbers.sum::<u64>() + layers.iter().map(|layer| layer.multiply_adds).sum::<u64>()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_list_is_refused_or_computed(architecture in network()) {
        let Ok(layers) = infer(&architecture) else { return Ok(()) };
        for purpose in [Purpose::Evaluation, Purpose::Inspection, Purpose::Training] {
            Program::new(Network { architecture: &architecture, layers: &layers }, purpose);
        }
        let input = architecture.input;
        let pixels = input.channels * input.height * input.width;
        // A convolution may write its padding into its workspace, however little it reads.
        if cost(&layers) > COMPUTED || pixels > 100_000 {
            return Ok(());
        }
        let weights = init::weights(&layers, Init::Pytorch, 1);
        let images: Vec<f32> = (0..2 * pixels).map(|at| (at % 23) as f32 / 23.0 - 0.5).collect();
        let machine = Machine { tier: Tier::detect(), team: Arc::new(Team::new(1)) };
        let mut plan = Plan::on(machine.clone(), &architecture, &layers, &weights);
        let answer = plan.evaluate(&images, &Probe::default()).unwrap();
        let tame = architecture.layers.iter().all(|layer| is_tame(&layer.kind));
        prop_assert!(!tame || answer.probabilities.iter().all(|p| p.is_finite()));
        // All that can be seen; then with a channel of each layer switched off.
        let taps: Vec<usize> = (0..layers.len()).collect();
        let seen = plan.evaluate(&images, &Probe { taps: taps.clone(), ..Probe::default() }).unwrap();
        prop_assert_eq!(seen.taps.len(), layers.len());
        let masks = taps.iter().map(|&layer| Mask { layer, channels: vec![layers[layer].output.channels() / 2] }).collect();
        let looked = plan.evaluate(&images, &Probe { taps, masks, ..Probe::default() }).unwrap();
        prop_assert_eq!(looked.probabilities.len(), answer.probabilities.len());
        for tap in seen.taps.iter().chain(&looked.taps) {
            prop_assert_eq!(tap.values.len(), 2 * layers[tap.layer].output.elements());
            prop_assert!(!tame || tap.values.iter().all(|value| value.is_finite()));
        }
        let classes = answer.probabilities.len() as u32 / 2;
        let mut step = Step::on(machine, &architecture, &weights).unwrap();
        let sgd = Sgd { learning_rate: 0.01, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
        // Refused where a batch norm has one value a channel.
        let rules = Rules::All(Rule::Sgd(sgd));
        let settings = StepSettings { rules, label_smoothing: 0.0, reduction: Reduction::Mean, seed: 1 };
        if let Ok(report) = step.step(Batch { images: &images, labels: &[0, classes - 1] }, &settings) {
            prop_assert!(!tame || report.loss.is_finite());
        }
    }
}

#[test]
fn what_wrapped_once_is_refused() {
    let text = format!(
        "name = 'x'\ninput = {{ channels = 3, height = 8, width = 8 }}\nlayers = [{{ name = 'c', kind = 'conv2d', out_channels = 4, \
         kernel_size = 1, stride = {}, padding = {} }}, {{ name = 'f', kind = 'flatten' }}, {{ name = 'l', kind = 'linear', out_features = 2 }}]",
        (1u64 << 29) - 1,
        1 << 28
    );
    let message = infer(&Architecture::from_toml(&text).unwrap()).unwrap_err().to_string();
    assert!(message.contains("`stride` must be at most 4096"), "{message}");
}
