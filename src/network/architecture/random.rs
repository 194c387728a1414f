//! Random architectures for tests: whatever computes a network must agree with [`crate::network::forward`] on all of them.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::network::infer;
use crate::network::shape::{LayerShape, Shape};
use crate::network::spec::{
    Activation, AdaptiveAvgPool2d, Architecture, BatchNorm2d, Conv2d, Dropout, IMAGE, Input, Layer, LayerKind, Linear, Pool2d,
};

/// A valid network of a few layers, of odd sizes, with every kind among them over enough seeds.
pub(crate) fn architecture(seed: u64) -> Architecture {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let input = Input { channels: rng.random_range(1..=4), height: rng.random_range(5..=17), width: rng.random_range(5..=17) };
    let mut network = Architecture { name: format!("random{seed}"), input, layers: Vec::new() };
    for _ in 0..rng.random_range(1..=7) {
        if rng.random_bool(0.2) {
            push_shortcut(&mut rng, &mut network);
        } else {
            let candidate = kind(&mut rng);
            push_if_valid(&mut rng, &mut network, candidate);
        }
    }
    push(&mut network, LayerKind::Flatten, None);
    if rng.random_bool(0.5) {
        push(&mut network, LayerKind::Linear(Linear { out_features: rng.random_range(1..=40), bias: rng.random_bool(0.7) }), None);
        push(&mut network, LayerKind::Activation(Activation::Relu), None);
        push(&mut network, LayerKind::Dropout(Dropout { p: 0.4 }), None);
    }
    if rng.random_bool(0.3) {
        push_branches(&mut rng, &mut network);
    }
    push(&mut network, LayerKind::Linear(Linear { out_features: rng.random_range(2..=11), bias: true }), None);
    network
}

fn kind(rng: &mut ChaCha8Rng) -> LayerKind {
    let pool = Pool2d {
        kernel_size: rng.random_range(1..=3),
        stride: rng.random_bool(0.5).then(|| rng.random_range(1..=3)),
        padding: rng.random_range(0..=1),
    };
    match rng.random_range(0..13) {
        0..=3 => LayerKind::Conv2d(Conv2d {
            out_channels: *pick(rng, &[1, 3, 4, 8, 16, 17, 32, 33]),
            kernel_size: *pick(rng, &[1, 2, 3, 3, 3, 5]),
            stride: *pick(rng, &[1, 1, 1, 2]),
            padding: *pick(rng, &[0, 1, 1, 2]),
            dilation: *pick(rng, &[1, 1, 2, 3]),
            groups: *pick(rng, &[1, 1, 1, 2, 4]),
            bias: rng.random_bool(0.7),
        }),
        4 => LayerKind::BatchNorm2d(BatchNorm2d { eps: 1e-5, momentum: 0.1 }),
        5 => LayerKind::Activation(Activation::Relu),
        6 => LayerKind::Activation(*pick(rng, &Activation::ALL)),
        7 => LayerKind::MaxPool2d(pool),
        8 => LayerKind::AvgPool2d(pool),
        9 => LayerKind::AdaptiveAvgPool2d(AdaptiveAvgPool2d { output_size: rng.random_range(1..=6) }),
        10 => LayerKind::Dropout(Dropout { p: 0.3 }),
        _ => LayerKind::Add,
    }
}

fn pick<'a, T>(rng: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

/// Appends `kind` where the network stays one, reading what came before, or (often enough) something earlier, whose readers
/// then meet again in a sum.
fn push_if_valid(rng: &mut ChaCha8Rng, network: &mut Architecture, kind: LayerKind) {
    let mut names: Vec<String> = network.layers.iter().map(|layer| layer.name.clone()).collect();
    names.push(IMAGE.into());
    let from = (kind == LayerKind::Add).then(|| pick(rng, &names).clone());
    push(network, kind, from);
}

/// Appends a shortcut: the output of the last layer is kept, something of the same shape is made from an earlier one, and both
/// are added.
fn push_shortcut(rng: &mut ChaCha8Rng, network: &mut Architecture) {
    let Some(last) = network.layers.last().map(|layer| layer.name.clone()) else { return };
    let mut earlier: Vec<String> = network.layers.iter().rev().skip(1).map(|layer| layer.name.clone()).collect();
    earlier.push(IMAGE.into());
    let Some(Shape::Map { channels, height, width }) = closed(network).map(|layers| layers[layers.len() - 2].output) else {
        return;
    };
    let from = pick(rng, &earlier).clone();
    let mut longer = network.clone();
    let projection = if height == width && rng.random_bool(0.5) {
        LayerKind::AdaptiveAvgPool2d(AdaptiveAvgPool2d { output_size: height })
    } else {
        let (kernel_size, stride) = (*pick(rng, &[1, 1, 3]), *pick(rng, &[1, 2]));
        LayerKind::Conv2d(Conv2d {
            out_channels: channels,
            kernel_size,
            stride,
            padding: kernel_size / 2,
            dilation: 1,
            groups: 1,
            bias: true,
        })
    };
    append(&mut longer, projection, Some(from));
    append(&mut longer, LayerKind::Add, Some(last));
    if closed(&longer).is_some() {
        *network = longer;
    }
}

/// Appends two fully connected layers of one size and their sum; the second reads an earlier layer, which it flattens if it must.
fn push_branches(rng: &mut ChaCha8Rng, network: &mut Architecture) {
    let names: Vec<String> = network.layers.iter().map(|layer| layer.name.clone()).collect();
    let linear = LayerKind::Linear(Linear { out_features: rng.random_range(1..=20), bias: rng.random_bool(0.5) });
    let mut longer = network.clone();
    append(&mut longer, linear.clone(), None);
    let first = longer.layers.last().map(|layer| layer.name.clone());
    append(&mut longer, LayerKind::Flatten, Some(pick(rng, &names).clone()));
    append(&mut longer, linear, None);
    append(&mut longer, LayerKind::Add, first);
    if closed(&longer).is_some() {
        *network = longer;
    }
}

fn push(network: &mut Architecture, kind: LayerKind, from: Option<String>) {
    let mut longer = network.clone();
    append(&mut longer, kind, from);
    if closed(&longer).is_some() {
        *network = longer;
    }
}

fn append(network: &mut Architecture, kind: LayerKind, from: Option<String>) {
    network.layers.push(Layer { name: format!("l{}", network.layers.len()), kind, from });
}

/// The shapes of `network` with a `flatten` at its end, if it is one then and small.
fn closed(network: &Architecture) -> Option<Vec<LayerShape>> {
    let mut closed = network.clone();
    closed.layers.push(Layer { name: "flat".into(), kind: LayerKind::Flatten, from: None });
    infer(&closed).ok().filter(|layers| layers.iter().all(|layer| layer.output.elements() <= 20_000))
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
