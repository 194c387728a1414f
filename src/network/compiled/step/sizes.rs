//! What a step will take of memory, told by its program before there is any.

use super::Step;
use crate::kernels::blocked::blocks;
use crate::kernels::buffer::held;
use crate::kernels::dense::{Dense, padded};
use crate::kernels::lanes::WIDTH;
use crate::network::compiled::Network;
use crate::network::compiled::program::{Program, Purpose};
use crate::network::shape::{LayerShape, Shape};
use crate::network::spec::Architecture;

impl Step {
    /// Bytes that training `architecture` on batches of `batch` images holds, with `threads` threads: parameters in every order they
    /// are kept in, the momentum, gradients and activations. The batch itself comes on top.
    pub(in crate::network::compiled) fn bytes(
        architecture: &Architecture,
        layers: &[LayerShape],
        batch: usize,
        threads: usize,
    ) -> usize {
        let program = Program::new(Network { architecture, layers }, Purpose::Training);
        parameters(&program, layers) + maps(&program, batch, threads) + vectors(&program, layers, batch)
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
    let dense = program.dense.iter().map(|node| {
        let outputs = layers[node.layer].output.elements();
        // Value and momentum of the weights; those of the bias, and its gradient.
        2 * held(Dense { blocks: node.order.padded() / WIDTH, outputs }.weights()) + 3 * held(outputs)
    });
    // Moments (in f64), means, scale, shift, three factors, two gradients.
    let norms = program.norms.iter().map(|norm| held(12 * norm.channels()));
    plain.chain(convs).chain(dense).chain(norms).sum()
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
