//! What a step is made of besides its program: the head's layers.

use super::dense::DenseLayer;
use super::head::{Head, VectorLayer, VectorOp};
use super::program::Program;
use crate::kernels::activation::Activation;
use crate::network::compiled::lowering::Order;
use crate::network::shape::{LayerShape, Role, Source};
use crate::network::spec::{Architecture, LayerKind};
use crate::network::weights::Weights;

/// The layers from the first `flatten` on.
pub(super) fn head(architecture: &Architecture, layers: &[LayerShape], program: &Program, weights: &Weights) -> Head {
    let first = program.layers + 1;
    let exit = &program.values[program.exit];
    let order = Order::of_head(architecture, layers, exit.maps);
    let mut compiled = Vec::new();
    for (at, (layer, shape)) in architecture.layers.iter().zip(layers).enumerate().skip(first) {
        let features = shape.output.elements();
        let op = match &layer.kind {
            LayerKind::Linear(_) => {
                let order = if at == first { order } else { Order::Plain(shape.input.elements()) };
                let values = |role| {
                    let spec = shape.parameters.iter().find(|spec| spec.role == role)?;
                    weights.get(&spec.name).map(|parameter| &parameter.values[..])
                };
                let layer = DenseLayer::new(order, values(Role::Weight).unwrap_or(&[]), values(Role::Bias));
                VectorOp::Dense(Box::new(layer))
            }
            LayerKind::Relu => VectorOp::Activate(Activation::Relu),
            LayerKind::Gelu => VectorOp::Activate(Activation::Gelu),
            LayerKind::Silu => VectorOp::Activate(Activation::Silu),
            LayerKind::Dropout(dropout) => VectorOp::Drop(dropout.p),
            LayerKind::Add(_) => match shape.sources.get(1) {
                Some(&Source::Layer(from)) => VectorOp::Add(from - program.layers),
                _ => VectorOp::Same,
            },
            _ => VectorOp::Same,
        };
        compiled.push(VectorLayer { op, layer: at, features });
    }
    let scores = layers.last().map_or(0, |last| last.output.elements());
    Head::new(compiled, order, exit.gradient.is_some(), scores)
}
