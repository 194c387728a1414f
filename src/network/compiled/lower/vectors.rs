//! The layers that work on vectors.

use std::collections::HashMap;

use crate::network::compiled::Network;
use crate::network::compiled::order::Order;
use crate::network::compiled::program::{DenseNode, Exit, Program, Purpose, VectorNode, VectorOp};
use crate::network::shape::{Shape, Source};
use crate::network::spec::{Activation, LayerKind};

/// Appends every layer that gives a vector, but for those that the program's exits are.
pub(super) fn lower(network: Network<'_>, purpose: Purpose, program: &mut Program) {
    // The vector of each layer's output.
    let mut of_layer: HashMap<usize, usize> = program.exits.iter().enumerate().map(|(at, exit)| (exit.layer, at)).collect();
    for (at, layer) in network.layers.iter().enumerate() {
        if matches!(layer.output, Shape::Map { .. }) || of_layer.contains_key(&at) {
            continue;
        }
        let vector = |source: usize| match layer.sources[source] {
            Source::Layer(layer) => of_layer[&layer],
            // Inference lets only a `flatten` make a vector of feature maps, and then it is an exit.
            Source::Image => unreachable!("layer {at} reads the image as a vector"),
        };
        let input = vector(0);
        let mut last = at;
        let op = match &network.architecture.layers[at].kind {
            LayerKind::Linear(_) => {
                let mut rectify = false;
                while purpose == Purpose::Evaluation && alone_reads(network, last + 1) {
                    match network.architecture.layers[last + 1].kind {
                        LayerKind::Activation(Activation::Relu) => rectify = true,
                        LayerKind::Dropout(_) => {}
                        _ => break,
                    }
                    last += 1;
                }
                program.dense.push(DenseNode { layer: at, order: order(&program.exits, input, layer.input) });
                VectorOp::Dense { dense: program.dense.len() - 1, rectify }
            }
            LayerKind::Dropout(dropout) if purpose == Purpose::Training => VectorOp::Drop { layer: at, p: dropout.p },
            LayerKind::Add => VectorOp::Add { other: vector(1) },
            LayerKind::Activation(activation) => VectorOp::Activate(activation.kernel()),
            LayerKind::Flatten | LayerKind::Dropout(_) => VectorOp::Same,
            kind @ (LayerKind::Conv2d(_)
            | LayerKind::BatchNorm2d(_)
            | LayerKind::MaxPool2d(_)
            | LayerKind::AvgPool2d(_)
            | LayerKind::AdaptiveAvgPool2d(_)) => unreachable!("inference lets no {} give a vector", kind.name()),
        };
        program.vectors.push(VectorNode { op, input, layer: last, features: layer.output.elements() });
        let vector = program.exits.len() + program.vectors.len() - 1;
        of_layer.extend((at..=last).map(|layer| (layer, vector)));
    }
}

fn order(exits: &[Exit], vector: usize, shape: Shape) -> Order {
    exits.get(vector).map_or(Order::Plain(shape.elements()), |exit| exit.order)
}

/// Whether the layer at `at` exists, reads the one before it, and is the only one that does.
pub(super) fn alone_reads(network: Network<'_>, at: usize) -> bool {
    let before = Source::Layer(at - 1);
    readers(network, before) == 1 && network.layers.get(at).is_some_and(|layer| layer.sources == [before])
}

/// How many layers read `source`.
pub(super) fn readers(network: Network<'_>, source: Source) -> usize {
    network.layers.iter().flat_map(|layer| &layer.sources).filter(|&&read| read == source).count()
}
