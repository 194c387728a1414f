//! What a layer list is compiled to: nodes, in order, on values; and where the values lie. Data only.
//!
//! A value is one image's feature maps. Nodes that change a value where it lies have it as input and output. Vectors, which no
//! layer turns into feature maps again, come after all of them: a batch at a time, since their weights are what has to be
//! moved.

use std::ops::Range;

use super::order::Order;
use crate::kernels::activation::Activation;
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::conv::Conv;
use crate::kernels::blocked::part::Finish;
use crate::kernels::blocked::pool::Windows;
use crate::kernels::stripes::Region;
use crate::network::spec::BatchNorm2d;

/// What a program is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The result alone: batch norm is in the filters of the convolution before it, rectifiers and pooling in its last step.
    Evaluation,
    /// Every layer's output as it is, to be looked at or changed.
    Inspection,
    /// Forward and backward: batch norm by the batch's own statistics, dropout at work.
    Training,
}

/// What a node does.
#[derive(Debug)]
pub(super) enum Op {
    /// The convolution at this place of [`Program::convs`].
    Conv(usize),
    /// The first sweep of the batch norm at this place of [`Program::norms`]: needs a whole batch, has no output.
    Measure(usize),
    /// Its second sweep, by the batch's statistics or the running ones.
    Normalize(usize),
    /// In place.
    Rectify,
    /// In place, perhaps rectified first.
    Drop {
        /// Position of the dropout layer, which its mask is made of.
        layer: usize,
        p: f64,
        rectify: bool,
    },
    /// The value `winners`, if there is one, is told which element won each window.
    Max {
        windows: Windows,
        rectify: bool,
        winners: Option<usize>,
    },
    Mean(Windows),
    Activate(Activation),
    /// The sum with the value `other`.
    Add {
        other: usize,
    },
    /// A copy, where a value that is about to be changed in place is read again later.
    Copy,
    /// Nothing, in place: dropout in evaluation.
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

impl Node {
    /// The values it reads.
    pub(super) fn reads(&self) -> impl Iterator<Item = usize> {
        let other = if let Op::Add { other } = self.op { Some(other) } else { None };
        std::iter::once(self.input).chain(other)
    }

    /// The values it gives a place to.
    pub(super) fn writes(&self) -> impl Iterator<Item = usize> {
        let winners = if let Op::Max { winners, .. } = self.op { winners } else { None };
        (self.output != self.input).then_some(self.output).into_iter().chain(winners)
    }

    /// The values its backward half reads.
    pub(super) fn remembers(&self) -> Option<usize> {
        match self.op {
            Op::Conv(_) | Op::Measure(_) | Op::Normalize(_) | Op::Rectify | Op::Activate(_) | Op::Drop { rectify: true, .. } => {
                Some(self.input)
            }
            Op::Max { winners, .. } => winners,
            Op::Drop { rectify: false, .. } | Op::Mean(_) | Op::Add { .. } | Op::Copy | Op::Same => None,
        }
    }

    /// Whether it has parameters, and so needs the gradient of its output whatever it reads.
    pub(super) fn learns(&self) -> bool {
        matches!(self.op, Op::Conv(_) | Op::Normalize(_))
    }
}

/// A convolution.
#[derive(Debug, Clone)]
pub(super) struct ConvNode {
    pub(super) conv: Conv,
    /// Position of its layer.
    pub(super) layer: usize,
    /// The batch norm that is folded into it.
    pub(super) norm: Option<NormNode>,
    pub(super) finish: Finish,
}

/// A batch norm.
#[derive(Debug, Clone)]
pub(super) struct NormNode {
    pub(super) maps: Maps,
    /// Position of its layer.
    pub(super) layer: usize,
    pub(super) eps: f64,
    pub(super) momentum: f64,
}

impl NormNode {
    pub(super) fn new(maps: Maps, layer: usize, norm: &BatchNorm2d) -> Self {
        Self { maps, layer, eps: norm.eps, momentum: norm.momentum }
    }

    /// Channels, filled up to a block.
    pub(super) fn channels(&self) -> usize {
        self.maps.len() / self.maps.plane()
    }

    /// Floats of its partial sums, a group of images.
    pub(super) fn partial(&self) -> usize {
        3 * self.channels()
    }
}

/// Where feature maps become a vector.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exit {
    /// Position of the `flatten`.
    pub(super) layer: usize,
    pub(super) value: usize,
    pub(super) order: Order,
    /// The segment that completes the value.
    pub(super) segment: usize,
}

/// A fully connected layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct DenseNode {
    /// Its position.
    pub(super) layer: usize,
    /// How the numbers of the vector it reads lie.
    pub(super) order: Order,
}

/// What a node does to a vector.
#[derive(Debug, Clone)]
pub(super) enum VectorOp {
    /// The fully connected layer at this place of [`Program::dense`], perhaps rectified.
    Dense {
        dense: usize,
        rectify: bool,
    },
    Activate(Activation),
    Drop {
        layer: usize,
        p: f64,
    },
    /// The sum with this vector.
    Add {
        other: usize,
    },
    Same,
}

/// One node; it has a vector of its own. Vectors are numbered: those that come in through the exits, then those of the nodes.
#[derive(Debug, Clone)]
pub(super) struct VectorNode {
    pub(super) op: VectorOp,
    pub(super) input: usize,
    /// Position of the layer whose output this is.
    pub(super) layer: usize,
    pub(super) features: usize,
}

/// Nodes that a few images at a time go through together, while they are in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) nodes: Range<usize>,
    /// Images at a time.
    pub(super) group: usize,
}

/// Where something lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the batch's memory: it is needed beyond its segment.
    Batch(Region),
    /// In the memory of the thread that computes its group; floats an image before it.
    Thread(usize),
}

/// Places of all values, or of all gradients, and the memory they take.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// None where there is no such thing.
    pub(super) places: Vec<Option<Place>>,
    /// For each segment forward, then for each backward from the last to the first: the regions in use in it, ascending.
    pub(super) regions: Vec<Vec<Region>>,
    /// Floats an image in the batch's memory.
    pub(super) batch: usize,
    /// For each segment, floats an image in a thread's memory.
    pub(super) thread: Vec<usize>,
}

/// A compiled network.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// The first is the image.
    pub(super) values: Vec<Maps>,
    pub(super) nodes: Vec<Node>,
    pub(super) convs: Vec<ConvNode>,
    pub(super) norms: Vec<NormNode>,
    pub(super) segments: Vec<Segment>,
    pub(super) exits: Vec<Exit>,
    pub(super) vectors: Vec<VectorNode>,
    pub(super) dense: Vec<DenseNode>,
    pub(super) memory: Memory,
    /// Of the values' gradients; empty but in training.
    pub(super) gradients: Memory,
    /// Node by node, in training: whether the gradients of what it reads are there already when it goes backward, from a later
    /// reader.
    pub(super) again: Vec<[bool; 2]>,
}

impl Program {
    /// Floats of one image as it comes.
    pub(super) fn image_len(&self) -> usize {
        self.values[0].channels * self.values[0].plane()
    }

    /// Floats of the largest value that a segment reads, an image.
    pub(super) fn largest_of(&self, segment: usize) -> usize {
        let nodes = &self.nodes[self.segments[segment].nodes.clone()];
        nodes.iter().flat_map(Node::reads).map(|value| self.values[value].len()).max().unwrap_or(0)
    }

    /// Floats that a thread's convolutions compute in.
    pub(super) fn workspace(&self) -> usize {
        self.convs.iter().map(|node| node.conv.workspace_len()).max().unwrap_or(0)
    }
}
