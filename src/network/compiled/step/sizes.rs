//! What a step will take of memory, told by its program before there is any.

use super::moves::{Moves, first};
use super::{Step, orthogonal};
use crate::kernels::blocked::blocks;
use crate::kernels::buffer::held;
use crate::kernels::dense::{Dense, padded};
use crate::kernels::lanes::WIDTH;
use crate::kernels::newton_schulz::Squares;
use crate::network::compiled::Network;
use crate::network::compiled::program::{DenseNode, Program, Purpose};
use crate::network::rules::{Rules, matrix};
use crate::network::shape::{LayerShape, Role, Shape};
use crate::optim::Rule;

impl Step {
    /// Bytes that training `network` by `rules` on batches of so many images holds, with so many threads: parameters in every order
    /// they are kept in, what the rules remember of them, gradients and activations. The batch itself comes on top.
    pub(in crate::network::compiled) fn bytes(network: Network<'_>, rules: Rules<'_>, batch: usize, threads: usize) -> usize {
        let (program, layers) = (Program::new(network, Purpose::Training), network.layers);
        parameters(&program, layers)
            + remembered(&program, layers, rules)
            + maps(&program, batch, threads)
            + vectors(&program, layers, batch)
    }
}

fn parameters(program: &Program, layers: &[LayerShape]) -> usize {
    let of_maps = layers.iter().filter(|layer| matches!(layer.output, Shape::Map { .. })).flat_map(|layer| &layer.parameters);
    // Value, momentum and gradient of what is trained.
    let plain = of_maps.map(|spec| held(spec.shape.iter().product()) * if spec.role.trained() { 3 } else { 1 });
    let convs = program.convs.iter().map(|node| {
        let conv = &node.conv;
        held(conv.packed_len()) + held(conv.adjoint_len()) + held(blocks(conv.sizes().output.channels) * WIDTH)
    });
    // Value and momentum of the weights; those of the bias, and its gradient.
    let dense = program.dense.iter().map(|node| 2 * held(weights(node, layers)) + 3 * held(layers[node.layer].output.elements()));
    // Moments (in f64), means, scale, shift, three factors, two gradients.
    let norms = program.norms.iter().map(|norm| held(12 * norm.channels()));
    plain.chain(convs).chain(dense).chain(norms).sum()
}

/// Of a fully connected layer, fillers included.
fn weights(node: &DenseNode, layers: &[LayerShape]) -> usize {
    Dense { blocks: node.order.padded() / WIDTH, outputs: layers[node.layer].output.elements() }.weights()
}

/// What rules other than SGD hold: AdamW's second means, and what Muon makes matrices orthogonal in.
fn remembered(program: &Program, layers: &[LayerShape], rules: Rules<'_>) -> usize {
    let first = first(layers);
    let moves = Moves { rules, first: &first };
    let (mut bytes, mut filters) = (0, Vec::new());
    for (at, layer) in layers.iter().enumerate() {
        let dense = program.dense.iter().find(|node| node.layer == at).map(|node| weights(node, layers));
        for (own, spec) in layer.parameters.iter().filter(|spec| spec.role.trained()).enumerate() {
            let numbers = dense.filter(|_| spec.role == Role::Weight).unwrap_or_else(|| spec.shape.iter().product());
            bytes += match moves.of(at, own, spec.role) {
                Rule::AdamW(_) => held(numbers),
                Rule::Muon(_) if dense.is_some() => held(numbers) + Squares::bytes([matrix(&spec.shape)].into_iter()),
                Rule::Muon(_) => {
                    filters.push(matrix(&spec.shape));
                    0
                }
                Rule::Sgd(_) | Rule::Frozen => 0,
            };
        }
    }
    bytes + orthogonal::bytes(&filters)
}

fn maps(program: &Program, batch: usize, threads: usize) -> usize {
    let segments = || 0..program.segments.len();
    let most = |of: &dyn Fn(usize) -> usize| segments().map(of).max().unwrap_or(0);
    let gradients = program.convs.iter().map(|node| node.conv.gradient_len() + blocks(node.conv.sizes().output.channels) * WIDTH);
    let parts = gradients.sum::<usize>() * most(&|segment| program.parts(segment, batch));
    let partial = program.partial() * most(&|segment| batch.div_ceil(program.group(segment, batch)));
    let scratch =
        most(&|segment| program.memory.thread[segment].max(program.gradients.thread[segment]) * program.group(segment, batch));
    let spare = most(&|segment| program.largest_of(segment) * program.group(segment, batch));
    let shared = [batch * program.memory.batch, batch * program.gradients.batch, parts, partial];
    let own = [scratch, spare, program.workspace()];
    let sum = |floats: &[usize]| floats.iter().map(|&floats| held(floats)).sum::<usize>();
    sum(&shared) + threads * sum(&own)
}

fn vectors(program: &Program, layers: &[LayerShape], batch: usize) -> usize {
    let entries = || program.exits.iter().map(|exit| exit.order.padded());
    let buffer = |features: usize| held(features.next_multiple_of(WIDTH) * padded(batch));
    let all = || entries().chain(program.vectors.iter().map(|node| node.features));
    let scores = layers.last().map_or(0, |last| last.output.elements());
    // A value and a gradient each; three that are shared; what comes in also as panels.
    let each = 2 * all().map(buffer).sum::<usize>() + 2 * entries().map(buffer).sum::<usize>();
    each + 3 * all().map(buffer).max().unwrap_or(0) + 2 * buffer(scores)
}
