//! What evaluation will take of memory, told by its program before there is any.

use super::Plan;
use crate::kernels::blocked::blocks;
use crate::kernels::buffer::held;
use crate::kernels::dense::panels::Panels;
use crate::kernels::lanes::WIDTH;
use crate::network::compiled::Network;
use crate::network::compiled::program::{Program, Purpose};
use crate::network::shape::{LayerShape, Shape};
use crate::network::spec::Architecture;

impl Plan {
    /// Bytes that evaluating batches of `batch` images holds, with `threads` threads, beside the parameters as they were loaded.
    pub(in crate::network::compiled) fn bytes(
        architecture: &Architecture,
        layers: &[LayerShape],
        batch: usize,
        threads: usize,
    ) -> usize {
        let program = Program::new(Network { architecture, layers }, Purpose::Evaluation);
        let of_maps = layers.iter().filter(|layer| matches!(layer.output, Shape::Map { .. }));
        let plain: usize = of_maps.map(LayerShape::parameter_count).sum::<usize>() * size_of::<f32>();
        let convs =
            program.convs.iter().map(|node| held(node.conv.packed_len()) + held(blocks(node.conv.sizes().output.channels) * WIDTH));
        let dense = program.dense.iter().map(|node| {
            let panels = Panels { inputs: node.order.padded(), outputs: layers[node.layer].output.elements() };
            held(panels.weights()) + held(panels.outputs)
        });
        let together = |group: usize| if batch > 1 { group.min(batch.div_ceil(threads)) } else { 1 };
        let scratch = program.segments.iter().zip(&program.memory.thread).map(|(segment, thread)| thread * together(segment.group));
        let workspaces = threads * (held(scratch.max().unwrap_or(0)) + held(program.workspace()));
        let stride = |features: usize| features.next_multiple_of(WIDTH) + WIDTH;
        let entries: usize = program.exits.iter().map(|exit| stride(exit.order.padded())).sum();
        let vectors: usize = program.vectors.iter().map(|node| held(batch * stride(node.features))).sum();
        let shared = held(batch * program.memory.batch) + held(batch * entries) + vectors;
        plain + convs.chain(dense).sum::<usize>() + workspaces + shared
    }
}
