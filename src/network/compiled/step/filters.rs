//! The convolutions' parameters in the orders their passes read, and where their gradients lie.

use std::ops::Range;

use super::norm::NormState;
use super::parameters::Parameters;
use crate::kernels::Buffer;
use crate::kernels::blocked::blocks;
use crate::kernels::lanes::WIDTH;
use crate::kernels::team::Chunks;
use crate::network::compiled::Machine;
use crate::network::compiled::forward::{self, Affine};
use crate::network::compiled::program::{Op, Program};
use crate::network::shape::Role;

/// All convolutions', in the program's numbering.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// Of each convolution those of the forward pass, then those of the backward pass.
    packed: Vec<Buffer>,
    /// Filled up to a block.
    biases: Vec<Buffer>,
    /// Where the gradients lie in a part of a batch's.
    pub(super) sums: Vec<Sums>,
}

/// Where a convolution's gradients lie in a part of a batch's: its filters' (before `Conv::unpack`), and its bias's, filled up to a
/// block.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    pub(super) filters: Range<usize>,
    pub(super) bias: Range<usize>,
    pub(super) has_bias: bool,
}

impl Filters {
    pub(super) fn new(program: &Program, parameters: &Parameters) -> Self {
        let mut all = Self::default();
        for node in &program.convs {
            let conv = &node.conv;
            let padded = blocks(conv.sizes().output.channels) * WIDTH;
            all.packed.extend([conv.packed_len(), conv.adjoint_len()].map(Buffer::zeros));
            all.biases.push(Buffer::zeros(padded));
            let filters = all.part()..all.part() + conv.gradient_len();
            let bias = filters.end..filters.end + padded;
            all.sums.push(Sums { filters, bias, has_bias: !parameters.values(node.layer, Role::Bias).is_empty() });
        }
        all
    }

    /// Floats of one part of a batch's gradients.
    pub(super) fn part(&self) -> usize {
        self.sums.last().map_or(0, |last| last.bias.end)
    }

    /// Where in a part the gradients of a segment's convolutions lie.
    pub(super) fn part_of(&self, program: &Program, segment: usize) -> Range<usize> {
        let nodes = &program.nodes[program.segments[segment].nodes.clone()];
        let mut convs = nodes.iter().filter_map(|node| if let Op::Conv(at) = node.op { Some(&self.sums[at]) } else { None });
        let Some(first) = convs.next() else { return 0..0 };
        first.filters.start..convs.next_back().unwrap_or(first).bias.end
    }

    /// A convolution's, for the backward pass.
    pub(super) fn adjoint(&self, conv: usize) -> &[f32] {
        &self.packed[2 * conv + 1]
    }

    /// Brings all filters in the orders the passes read.
    pub(super) fn pack(&mut self, machine: &Machine, program: &Program, parameters: &Parameters) {
        machine.team.each(Chunks::new(&mut self.packed, 1), |at, packed| {
            let node = &program.convs[at / 2];
            let (weights, packed) = (parameters.values(node.layer, Role::Weight), &mut packed[0]);
            if at % 2 == 0 {
                node.conv.pack(machine.tier, weights, packed);
            } else {
                node.conv.pack_adjoint(machine.tier, weights, packed);
            }
        });
        for (node, to) in program.convs.iter().zip(&mut self.biases) {
            let bias = parameters.values(node.layer, Role::Bias);
            to[..bias.len()].copy_from_slice(bias);
        }
    }
}

/// What a training pass multiplies with.
#[derive(Clone, Copy)]
pub(super) struct Trained<'a> {
    pub(super) filters: &'a Filters,
    pub(super) norms: &'a [NormState],
}

impl forward::Parameters for Trained<'_> {
    fn filters(&self, conv: usize) -> (&[f32], &[f32]) {
        (&self.filters.packed[2 * conv], &self.filters.biases[conv])
    }

    fn affine(&self, norm: usize) -> Affine<'_> {
        self.norms[norm].affine()
    }
}
