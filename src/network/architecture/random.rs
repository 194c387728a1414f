//! Random architectures for tests: whatever computes a network must agree with [`crate::network::forward`] on all of them.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::network::shape::{Shape, infer};
use crate::network::spec::{
    AdaptiveAvgPool2d, Add, Architecture, BatchNorm2d, Conv2d, Dropout, Input, Layer, LayerKind, Linear, Pool2d,
};

/// A valid network of a few layers, of odd sizes, with every kind among them over enough seeds.
pub(crate) fn architecture(seed: u64) -> Architecture {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let input = Input { channels: rng.random_range(1..=4), height: rng.random_range(5..=17), width: rng.random_range(5..=17) };
    let mut network = Architecture { name: format!("random{seed}"), input, layers: Vec::new() };
    for _ in 0..rng.random_range(1..=7) {
        let candidate = kind(&mut rng, &network);
        push_if_valid(&mut network, candidate);
    }
    push_if_valid(&mut network, LayerKind::Flatten);
    if rng.random_bool(0.5) {
        push_if_valid(
            &mut network,
            LayerKind::Linear(Linear { out_features: rng.random_range(1..=40), bias: rng.random_bool(0.7) }),
        );
        push_if_valid(&mut network, LayerKind::Relu);
        push_if_valid(&mut network, LayerKind::Dropout(Dropout { p: 0.4 }));
    }
    push_if_valid(&mut network, LayerKind::Linear(Linear { out_features: rng.random_range(2..=11), bias: true }));
    network
}

fn kind(rng: &mut ChaCha8Rng, network: &Architecture) -> LayerKind {
    let pool = Pool2d {
        kernel_size: rng.random_range(1..=3),
        stride: rng.random_bool(0.5).then(|| rng.random_range(1..=3)),
        padding: rng.random_range(0..=1),
    };
    match rng.random_range(0..12) {
        0..=3 => LayerKind::Conv2d(Conv2d {
            out_channels: *pick(rng, &[1, 3, 4, 8, 16, 17, 32, 33]),
            kernel_size: *pick(rng, &[1, 2, 3, 3, 3, 5]),
            stride: *pick(rng, &[1, 1, 1, 2]),
            padding: *pick(rng, &[0, 1, 1, 2]),
            groups: *pick(rng, &[1, 1, 1, 2, 4]),
            bias: rng.random_bool(0.7),
        }),
        4 => LayerKind::BatchNorm2d(BatchNorm2d { eps: 1e-5, momentum: 0.1 }),
        5 => LayerKind::Relu,
        6 => pick(rng, &[LayerKind::Gelu, LayerKind::Silu]).clone(),
        7 => LayerKind::MaxPool2d(pool),
        8 => LayerKind::AvgPool2d(pool),
        9 => LayerKind::AdaptiveAvgPool2d(AdaptiveAvgPool2d { output_size: rng.random_range(1..=6) }),
        10 => LayerKind::Dropout(Dropout { p: 0.3 }),
        _ => {
            let earlier: Vec<_> = network.layers.iter().map(|layer| layer.name.clone()).collect();
            let from = if earlier.is_empty() { String::new() } else { pick(rng, &earlier).clone() };
            LayerKind::Add(Add { from })
        }
    }
}

fn pick<'a, T>(rng: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

/// Appends `kind` where the network stays one; the closing layers it still needs are tried along.
fn push_if_valid(network: &mut Architecture, kind: LayerKind) {
    let mut longer = network.clone();
    longer.layers.push(Layer { name: format!("l{}", longer.layers.len()), kind });
    let mut closed = longer.clone();
    closed.layers.push(Layer { name: "flat".into(), kind: LayerKind::Flatten });
    if infer(&closed).is_ok_and(|layers| layers.iter().all(|layer| layer.output.elements() <= 20_000)) {
        *network = longer;
    }
}

#[test]
fn seeds_cover_every_kind_and_only_valid_networks() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let network = architecture(seed);
        assert!(matches!(infer(&network).unwrap().last().unwrap().output, Shape::Vector(_)));
        seen.extend(network.layers.iter().map(|layer| layer.kind.name()));
    }
    assert_eq!(seen.len(), crate::network::spec::KINDS.len(), "{seen:?}");
}
