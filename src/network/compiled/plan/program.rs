//! What is computed with feature maps, node by node, and where values lie.

use super::parameters::{ConvLayer, NormLayer};
use super::vectors::Vectors;
use crate::kernels::activation::Activation;
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::pool::Windows;

/// A compiled network: its feature maps, then its vectors.
pub(super) struct Program {
    pub(super) maps: MapsProgram,
    pub(super) vectors: Vectors,
}

/// What a node does.
#[derive(Debug)]
pub(super) enum Op {
    /// The convolution at this place of [`MapsProgram::convs`].
    Conv(usize),
    /// The batch norm at this place of [`MapsProgram::norms`].
    Norm(usize),
    /// In place.
    Rectify,
    Activate(Activation),
    Max(Windows),
    Mean(Windows),
    /// Adds `other`.
    Add {
        other: usize,
    },
    /// A copy, where a value that is about to be changed in place is read again later.
    Copy,
    /// Nothing, in place: dropout.
    Same,
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) input: usize,
    /// The same as `input` where it is changed in place.
    pub(super) output: usize,
    /// Position of the layer whose output this is; none inside a layer.
    pub(super) layer: Option<usize>,
}

/// A value: one image's feature maps.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) maps: Maps,
    /// Floats before it in a thread's memory, an image.
    pub(super) offset: usize,
}

/// Everything before the first vector.
#[derive(Debug, Default)]
pub(super) struct MapsProgram {
    /// The first is the image.
    pub(super) values: Vec<Value>,
    pub(super) nodes: Vec<Node>,
    pub(super) convs: Vec<ConvLayer>,
    pub(super) norms: Vec<NormLayer>,
    /// The value that becomes a vector.
    pub(super) exit: usize,
    /// Images that fill the registers of every convolution.
    pub(super) group: usize,
    /// Floats of all values, an image.
    pub(super) scratch: usize,
}

impl MapsProgram {
    /// Floats that a thread's convolutions compute in.
    pub(super) fn workspace(&self) -> usize {
        self.convs.iter().map(|layer| layer.conv.workspace_len()).max().unwrap_or(0)
    }

    /// Finds each value a place: the first gap between those that are alive at the same time.
    pub(super) fn place(&mut self) {
        let mut last = vec![0; self.values.len()];
        let mut born = vec![0; self.values.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            let other = if let Op::Add { other } = node.op { other } else { node.input };
            last[node.input] = at;
            last[other] = at;
            if node.output != node.input {
                born[node.output] = at;
                last[node.output] = at;
            }
        }
        last[self.exit] = self.nodes.len();
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_by_key(|&value| born[value]);
        let mut placed: Vec<usize> = Vec::new();
        for value in order {
            let alive = placed.iter().filter(|&&other| last[other] >= born[value] && last[value] >= born[other]);
            let mut taken: Vec<_> = alive.map(|&other| (self.values[other].offset, self.values[other].maps.len())).collect();
            taken.sort_unstable();
            let len = self.values[value].maps.len();
            let mut offset = 0;
            for (start, size) in taken {
                if offset + len <= start {
                    break;
                }
                offset = offset.max(start + size);
            }
            self.values[value].offset = offset;
            self.scratch = self.scratch.max(offset + len);
            placed.push(value);
        }
    }
}
