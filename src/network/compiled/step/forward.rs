//! One group of images through the nodes of a segment.

use super::memory::Values;
use super::norm::NormState;
use super::program::{ConvLayer, Node, Op, Program};
use crate::kernels::blocked::activate::Activate;
use crate::kernels::blocked::blocks;
use crate::kernels::blocked::conv::Applied;
use crate::kernels::blocked::norm::{Apply, Measure};
use crate::kernels::blocked::part::Finish;
use crate::kernels::blocked::pointwise::{Accumulate, Drop, Rectify};
use crate::kernels::blocked::pool::{Max, Mean};
use crate::kernels::dropout::Mask;
use crate::kernels::lanes::WIDTH;
use crate::kernels::{Buffer, Tier};
use crate::network::learner::dropout_seed;

/// The convolutions' parameters in the orders their passes read.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// Of each convolution those of the forward pass, then those of the backward pass.
    pub(super) packed: Vec<Buffer>,
    /// Filled up to a block.
    pub(super) biases: Vec<Buffer>,
}

impl Filters {
    pub(super) fn new(program: &Program) -> Self {
        let mut filters = Self::default();
        for ConvLayer { conv, .. } in &program.convs {
            filters.packed.extend([conv.packed_len(), conv.adjoint_len()].map(Buffer::zeros));
            filters.biases.push(Buffer::zeros(blocks(conv.sizes().output.channels) * WIDTH));
        }
        filters
    }

    /// A convolution's, for the backward pass.
    pub(super) fn adjoint(&self, conv: usize) -> &[f32] {
        &self.packed[2 * conv + 1]
    }
}

/// What all groups share in one pass.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) program: &'a Program,
    pub(super) tier: Tier,
    pub(super) filters: &'a Filters,
    pub(super) norms: &'a [NormState],
    /// The step's seed.
    pub(super) seed: u64,
}

impl Shared<'_> {
    /// The mask of the dropout layer at `layer`.
    pub(super) fn mask(&self, p: f64, layer: usize) -> Mask {
        Mask::new(p, dropout_seed(self.seed, layer))
    }

    /// Computes `node` for a group whose first image is the batch's `first`.
    pub(super) fn forward(&self, node: &Node, first: usize, values: &mut Values<'_>, (winners, conv): (&mut [f32], &mut [f32])) {
        let (program, tier) = (self.program, self.tier);
        let maps = program.values[node.output].maps;
        let images = values.images;
        match &node.op {
            Op::Conv(at) => {
                let Filters { packed, biases } = self.filters;
                let pair = values.pair(node.input, node.output);
                let applied = Applied { filters: &packed[2 * at], bias: &biases[*at], finish: Finish::default() };
                program.convs[*at].conv.forward(tier, pair, applied, conv);
            }
            Op::Rectify => tier.run(Rectify { values: values.get(node.output) }),
            Op::Drop { p, rectify } => {
                let mask = self.mask(*p, node.layer);
                tier.run(Drop { maps, mask: &mask, first, rectify: *rectify, values: values.get(node.output) });
            }
            Op::Max { windows, rectify, winners: offset } => {
                let (input, output) = values.pair(node.input, node.output);
                let winners = &mut winners[offset * program.group..][..images * maps.len()];
                tier.run(Max { windows, rectify: *rectify, input, output, winners: Some(winners) });
            }
            Op::Mean(windows) => {
                let (input, output) = values.pair(node.input, node.output);
                tier.run(Mean { windows, input, output });
            }
            Op::Activate(activation) => {
                let (input, output) = values.pair(node.input, node.output);
                tier.run(Activate { activation: *activation, input, output });
            }
            Op::Measure(norm) => {
                let (values, moments) = values.saved.split_at_mut(program.partial(*norm, program.sizes.saved).start);
                let input = &values[program.values[node.input].offset * program.group..][..images * maps.len()];
                let moments = &mut moments[..3 * maps.len() / maps.plane()];
                tier.run(Measure { maps, input, moments });
            }
            Op::Normalize(norm) => {
                let NormState { means, scale, shift, .. } = &self.norms[*norm];
                let (input, output) = values.pair(node.input, node.output);
                tier.run(Apply { maps, input, output, means, scale, shift });
            }
            Op::Add { other } => {
                let (input, output) = values.pair(node.input, node.output);
                output.copy_from_slice(input);
                let (from, to) = values.pair(*other, node.output);
                tier.run(Accumulate { from, to });
            }
            Op::Copy => {
                let (input, output) = values.pair(node.input, node.output);
                output.copy_from_slice(input);
            }
        }
    }
}
