//! From the layer list to what a step does with feature maps: nodes, in order, and where their values lie.
//!
//! Layers that change a value where it lies get no value of their own, a rectifier before a maximum becomes part of it, and
//! only what the backward pass will read is kept for the whole batch; everything else lives in one thread's scratch while
//! its images pass through. Batch norm needs the whole batch at once, so it ends one segment and begins the next; within a
//! segment a few images at a time go through all nodes while they are in the cache.

use std::ops::Range;

use crate::kernels::activation::Activation;
use crate::kernels::blocked::conv::Conv;
use crate::kernels::blocked::pool::Windows;
use crate::kernels::blocked::{Maps, blocks};
use crate::kernels::lanes::WIDTH;
use crate::network::compiled::lowering::{self, readers};
use crate::network::shape::{LayerShape, Shape, Source};
use crate::network::spec::{Architecture, LayerKind};

/// What a node does.
#[derive(Debug)]
pub(super) enum Op {
    /// The convolution at this place of [`Program::convs`].
    Conv(usize),
    /// In place.
    Rectify,
    /// In place, perhaps rectified first.
    Drop {
        p: f64,
        rectify: bool,
    },
    /// Winners are kept at this offset.
    Max {
        windows: Windows,
        rectify: bool,
        winners: usize,
    },
    Mean(Windows),
    Activate(Activation),
    /// The first sweep of the batch norm at this place of [`Program::norms`]; ends a segment. Has no output.
    Measure(usize),
    /// The second sweep; begins one.
    Normalize(usize),
    /// Adds `other`.
    Add {
        other: usize,
    },
    /// A copy, where a value that is about to be changed in place is read again later.
    Copy,
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) input: usize,
    /// The same as `input` where it is changed in place.
    pub(super) output: usize,
    /// Position of its layer.
    pub(super) layer: usize,
}

/// A value: one image's feature maps.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) maps: Maps,
    /// Whether it is kept for the whole batch; scratch otherwise.
    pub(super) saved: bool,
    /// Floats before it, an image, in its kind of memory.
    pub(super) offset: usize,
    /// Floats before its gradient, an image; none where nobody needs it.
    pub(super) gradient: Option<usize>,
}

/// A convolution layer.
#[derive(Debug)]
pub(super) struct ConvLayer {
    pub(super) conv: Conv,
    pub(super) layer: usize,
    pub(super) bias: bool,
    /// Where, in a part of a batch's gradients, its filters' lies (before [`Conv::unpack`]), and its bias's, filled up to a block.
    pub(super) to_filters: Range<usize>,
    pub(super) to_bias: Range<usize>,
}

impl ConvLayer {
    /// Without a bias; its gradients lie from `first` on.
    fn new(conv: Conv, layer: usize, first: usize) -> Self {
        let to_filters = first..first + conv.gradient_len();
        let to_bias = to_filters.end..to_filters.end + blocks(conv.sizes().output.channels) * WIDTH;
        Self { conv, layer, bias: false, to_filters, to_bias }
    }
}

/// A batch norm layer.
#[derive(Debug)]
pub(super) struct NormLayer {
    pub(super) maps: Maps,
    pub(super) layer: usize,
    pub(super) eps: f64,
    pub(super) momentum: f64,
    /// Floats before its partial sums, a group of images.
    pub(super) partial: usize,
}

/// Everything before the first vector.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) values: Vec<Value>,
    pub(super) nodes: Vec<Node>,
    pub(super) segments: Vec<Range<usize>>,
    /// For each node: whether its input's gradient (and its second input's) is there already when it goes backward, from a
    /// later reader.
    pub(super) again: Vec<[bool; 2]>,
    pub(super) convs: Vec<ConvLayer>,
    pub(super) norms: Vec<NormLayer>,
    /// The value that becomes a vector.
    pub(super) exit: usize,
    /// Layers it covers, `flatten` not among them.
    pub(super) layers: usize,
    /// Images that go through a segment together, and how many at most.
    pub(super) group: usize,
    pub(super) largest_group: usize,
    pub(super) sizes: Sizes,
}

/// Floats (or winners) of memory.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sizes {
    /// Kept, an image.
    pub(super) saved: usize,
    /// Of scratch, an image.
    pub(super) scratch: usize,
    /// Of gradients, an image.
    pub(super) gradients: usize,
    /// Winners, an image.
    pub(super) winners: usize,
    /// Partial sums of batch norm, a group.
    pub(super) partial: usize,
    /// The largest value, an image.
    pub(super) largest: usize,
    /// What a convolution computes in.
    pub(super) workspace: usize,
    /// Gradients of all convolutions' parameters.
    pub(super) part: usize,
}

impl Program {
    /// Compiles the layers before the first `flatten`.
    pub(super) fn new(architecture: &Architecture, layers: &[LayerShape]) -> Self {
        let input = architecture.input;
        let maps = Maps { channels: input.channels, height: input.height, width: input.width };
        let count = lowering::maps_before_vectors(layers);
        let mut program = Self { layers: count, group: 1, ..Self::default() };
        program.value(maps);
        // The value of each layer's output.
        let mut of_layer = Vec::with_capacity(count);
        let mut at = 0;
        while at < count {
            let covered = program.layer(architecture, layers, at, &of_layer);
            let output = program.nodes.last().map_or(0, |node| node.output);
            of_layer.extend(std::iter::repeat_n(output, covered));
            at += covered;
        }
        program.exit = of_layer.last().copied().unwrap_or(0);
        program.largest_group = program.convs.iter().map(|c| c.conv.images_at_a_time()).max().unwrap_or(1);
        program.group = program.largest_group;
        program.split();
        program.place();
        program.order();
        program
    }

    fn value(&mut self, maps: Maps) -> usize {
        self.values.push(Value { maps, saved: false, offset: 0, gradient: None });
        self.values.len() - 1
    }

    fn push(&mut self, op: Op, input: usize, output: usize, layer: usize) {
        self.nodes.push(Node { op, input, output, layer });
    }

    /// Compiles the layer at `at` and perhaps some that follow; says how many.
    fn layer(&mut self, architecture: &Architecture, layers: &[LayerShape], at: usize, of_layer: &[usize]) -> usize {
        let shape = &layers[at];
        let input = at.checked_sub(1).map_or(0, |previous| of_layer[previous]);
        let from = self.values[input].maps;
        let kind = |ahead: usize| architecture.layers.get(at + ahead).map(|layer| &layer.kind).filter(|_| at + ahead < self.layers);
        // Whether nobody but the next layer reads the output of the one `ahead`.
        let private = |ahead: usize| readers(layers, Source::Layer(at + ahead)) == 1;
        let to = match shape.output {
            Shape::Map { channels, height, width } => Maps { channels, height, width },
            Shape::Vector(_) => from,
        };
        match &architecture.layers[at].kind {
            LayerKind::Conv2d(conv) => {
                let sizes = lowering::convolution(from, conv);
                let (layer, bias) = (ConvLayer::new(Conv::new(sizes), at, self.sizes.part), conv.bias);
                self.sizes.part = layer.to_bias.end;
                self.convs.push(ConvLayer { bias, ..layer });
                let output = self.value(to);
                self.push(Op::Conv(self.convs.len() - 1), input, output, at);
            }
            LayerKind::BatchNorm2d(norm) => {
                self.norms.push(NormLayer { maps: from, layer: at, eps: norm.eps, momentum: norm.momentum, partial: 0 });
                let (output, norm) = (self.value(to), self.norms.len() - 1);
                self.push(Op::Measure(norm), input, input, at);
                self.push(Op::Normalize(norm), input, output, at);
            }
            LayerKind::Relu => match kind(1) {
                Some(LayerKind::MaxPool2d(_)) if private(0) => {
                    self.pool(architecture, (at + 1, input), true);
                    return 2;
                }
                Some(LayerKind::Dropout(dropout)) if private(0) => {
                    let p = dropout.p;
                    let value = self.changeable(layers, at, input);
                    self.push(Op::Drop { p, rectify: true }, value, value, at + 1);
                    return 2;
                }
                _ => {
                    let value = self.changeable(layers, at, input);
                    self.push(Op::Rectify, value, value, at);
                }
            },
            LayerKind::Dropout(dropout) => {
                let value = self.changeable(layers, at, input);
                self.push(Op::Drop { p: dropout.p, rectify: false }, value, value, at);
            }
            LayerKind::Gelu | LayerKind::Silu => {
                let activation = if architecture.layers[at].kind == LayerKind::Gelu { Activation::Gelu } else { Activation::Silu };
                let output = self.value(to);
                self.push(Op::Activate(activation), input, output, at);
            }
            LayerKind::MaxPool2d(_) => self.pool(architecture, (at, input), false),
            kind @ (LayerKind::AvgPool2d(_) | LayerKind::AdaptiveAvgPool2d(_)) => {
                let output = self.value(to);
                self.push(Op::Mean(lowering::windows(from, kind)), input, output, at);
            }
            LayerKind::Add(_) => {
                let other = match shape.sources.get(1) {
                    Some(&Source::Layer(from)) => of_layer[from],
                    _ => 0,
                };
                let output = self.value(to);
                self.push(Op::Add { other }, input, output, at);
            }
            // These need or make vectors, and inference lets none stand here.
            LayerKind::Flatten | LayerKind::Linear(_) => unreachable!("a vector among feature maps"),
        }
        1
    }

    fn pool(&mut self, architecture: &Architecture, (at, input): (usize, usize), rectify: bool) {
        let windows = lowering::windows(self.values[input].maps, &architecture.layers[at].kind);
        let output = self.value(windows.output());
        let winners = self.sizes.winners;
        self.sizes.winners += self.values[output].maps.len();
        self.push(Op::Max { windows, rectify, winners }, input, output, at);
    }

    /// A value that the layer at `at` may change: its input, or a copy where others read that too.
    fn changeable(&mut self, layers: &[LayerShape], at: usize, input: usize) -> usize {
        let source = at.checked_sub(1).map_or(Source::Image, Source::Layer);
        // A smooth activation reads its input again in the backward pass, and so do norms and convolutions; all of them have
        // an output of their own, so a value in place is never one of theirs unless it has two readers.
        if readers(layers, source) == 1 {
            return input;
        }
        let copy = self.value(self.values[input].maps);
        self.push(Op::Copy, input, copy, at);
        copy
    }

    /// Cuts the nodes where a whole batch is needed at once.
    fn split(&mut self) {
        let mut start = 0;
        for (at, node) in self.nodes.iter().enumerate() {
            if matches!(node.op, Op::Normalize(_)) {
                self.segments.push(start..at);
                start = at;
            }
        }
        self.segments.push(start..self.nodes.len());
    }

    /// Decides where values and gradients lie.
    fn place(&mut self) {
        let mut segment_of = vec![0; self.values.len()];
        for (segment, nodes) in self.segments.iter().enumerate() {
            for node in &self.nodes[nodes.clone()] {
                let read_later = match node.op {
                    Op::Conv(_) | Op::Rectify | Op::Activate(_) | Op::Measure(_) | Op::Normalize(_) => Some(node.input),
                    Op::Drop { rectify, .. } => rectify.then_some(node.input),
                    _ => None,
                };
                let other = if let Op::Add { other } = node.op { other } else { node.input };
                for read in [node.input, other] {
                    self.values[read].saved |= read_later == Some(read) || segment_of[read] != segment;
                }
                if node.output != node.input {
                    segment_of[node.output] = segment;
                }
            }
        }
        self.values[self.exit].saved = true;
        for node in &self.nodes {
            let flows = |value: usize, values: &[Value]| values[value].gradient.is_some();
            let other = if let Op::Add { other } = node.op { other } else { node.input };
            let owns = matches!(node.op, Op::Conv(_) | Op::Normalize(_));
            if owns || flows(node.input, &self.values) || flows(other, &self.values) {
                self.values[node.output].gradient = Some(0);
            }
        }
        let sizes = &mut self.sizes;
        for value in &mut self.values {
            let len = value.maps.len();
            sizes.largest = sizes.largest.max(len);
            let offset = if value.saved { &mut sizes.saved } else { &mut sizes.scratch };
            value.offset = *offset;
            *offset += len;
            if let Some(gradient) = &mut value.gradient {
                *gradient = sizes.gradients;
                sizes.gradients += len;
            }
        }
        for norm in &mut self.norms {
            norm.partial = sizes.partial;
            sizes.partial += 3 * norm.maps.len() / norm.maps.plane();
        }
        sizes.workspace = self.convs.iter().map(|c| c.conv.workspace_len()).max().unwrap_or(0);
    }
}

impl Program {
    /// Finds out who writes a gradient first.
    fn order(&mut self) {
        let mut written = vec![false; self.values.len()];
        written[self.exit] = true;
        self.again = vec![[false; 2]; self.nodes.len()];
        for (node, again) in self.nodes.iter().zip(&mut self.again).rev() {
            match node.op {
                Op::Add { other } => {
                    for (value, again) in [node.input, other].into_iter().zip(again) {
                        *again = std::mem::replace(&mut written[value], true);
                    }
                }
                // The first sweep writes the gradient for both.
                Op::Normalize(_) => {}
                Op::Measure(_) => again[0] = std::mem::replace(&mut written[node.input], true),
                _ if node.input == node.output => {}
                _ => again[0] = std::mem::replace(&mut written[node.input], true),
            }
        }
    }
}
