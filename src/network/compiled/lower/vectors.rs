//! The layers that work on vectors.

use std::collections::HashMap;

use crate::network::compiled::Network;
use crate::network::compiled::program::{Exit, Purpose, VectorNode, VectorOp};
use crate::network::shape::{Shape, Source};
use crate::network::spec::{Activation, LayerKind};

/// Every layer that gives a vector, but for those that the `exits` are.
pub(super) fn lower(network: Network<'_>, purpose: Purpose, exits: &[Exit]) -> Vec<VectorNode> {
    let mut nodes = Vec::new();
    // The vector of each layer's output.
    let mut of_layer: HashMap<usize, usize> = exits.iter().enumerate().map(|(at, exit)| (exit.layer, at)).collect();
    for (at, layer) in network.layers.iter().enumerate() {
        if matches!(layer.output, Shape::Map { .. }) || of_layer.contains_key(&at) {
            continue;
        }
        let mut inputs = layer.sources.iter().map(|&source| match source {
            Source::Layer(layer) => of_layer[&layer],
            // Inference lets only a `flatten` make a vector of feature maps, and then it is an exit.
            Source::Image => unreachable!("layer {at} reads the image as a vector"),
        });
        let (input, other) = (inputs.next().unwrap_or_default(), inputs.next());
        let mut last = at;
        let op = match (&network.architecture.layers[at].kind, other) {
            (LayerKind::Linear(_), _) => {
                let mut rectify = false;
                while purpose == Purpose::Evaluation && alone_reads(network, last + 1) {
                    match network.architecture.layers[last + 1].kind {
                        LayerKind::Activation(Activation::Relu) => rectify = true,
                        LayerKind::Dropout(_) => {}
                        _ => break,
                    }
                    last += 1;
                }
                VectorOp::Dense { layer: at, rectify }
            }
            (LayerKind::Dropout(dropout), _) if purpose == Purpose::Training => VectorOp::Drop { layer: at, p: dropout.p },
            (LayerKind::Add, Some(other)) => VectorOp::Add { other },
            (LayerKind::Activation(activation), _) => VectorOp::Activate(activation.kernel()),
            _ => VectorOp::Same,
        };
        nodes.push(VectorNode { op, input, layer: last, features: layer.output.elements() });
        let vector = exits.len() + nodes.len() - 1;
        of_layer.extend((at..=last).map(|layer| (layer, vector)));
    }
    nodes
}

/// Whether the layer at `at` exists, reads the one before it, and is the only one that does.
fn alone_reads(network: Network<'_>, at: usize) -> bool {
    let before = Source::Layer(at - 1);
    let readers = network.layers.iter().flat_map(|layer| &layer.sources).filter(|&&read| read == before).count();
    readers == 1 && network.layers.get(at).is_some_and(|layer| layer.sources == [before])
}
