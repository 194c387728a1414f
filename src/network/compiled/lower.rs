//! From the layer list to a program.

mod vectors;

use self::vectors::{alone_reads, readers};
use super::Network;
use super::order::Order;
use super::program::{ConvNode, Exit, Node, NormNode, Op, Program, Purpose};
use super::{places, segments, sizes};
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::conv::Conv;
use crate::kernels::blocked::part::Finish;
use crate::network::shape::{Shape, Source};
use crate::network::spec::{Activation, Conv2d, LayerKind, Pool2d};

/// The pooling that a convolution does on the way out.
const HALVING: Pool2d = Pool2d { kernel_size: 2, stride: Some(2), padding: 0 };

impl Program {
    /// Compiles `network` for `purpose`.
    pub(super) fn new(network: Network<'_>, purpose: Purpose) -> Self {
        let input = network.architecture.input;
        let image = Maps { channels: input.channels, height: input.height, width: input.width };
        let program = Self { values: vec![image], ..Self::default() };
        let mut lowering = Lowering { network, purpose, program, of_layer: vec![0; network.layers.len()], covered: 0 };
        while lowering.covered < network.layers.len() {
            lowering.layer();
        }
        let mut program = lowering.program;
        vectors::lower(network, purpose, &mut program);
        program.segments = segments::cut(&program);
        places::find(&mut program, purpose);
        program
    }
}

/// A list on its way.
struct Lowering<'a> {
    network: Network<'a>,
    purpose: Purpose,
    program: Program,
    /// The value of each layer's output; what it says of layers that give vectors means nothing.
    of_layer: Vec<usize>,
    /// Layers that are compiled.
    covered: usize,
}

impl Lowering<'_> {
    fn kind(&self, at: usize) -> &LayerKind {
        &self.network.architecture.layers[at].kind
    }

    fn value_of(&self, source: Source) -> usize {
        match source {
            Source::Image => 0,
            Source::Layer(layer) => self.of_layer[layer],
        }
    }

    /// Compiles the next layer and perhaps some that follow.
    fn layer(&mut self) {
        let at = self.covered;
        let Shape::Map { channels, height, width } = self.network.layers[at].output else {
            self.vector(at);
            return;
        };
        let to = Maps { channels, height, width };
        let source = self.network.layers[at].sources[0];
        let input = self.value_of(source);
        let from = self.program.values[input];
        match *self.kind(at) {
            LayerKind::Conv2d(conv) => self.conv(&conv, input),
            LayerKind::BatchNorm2d(norm) => {
                self.program.norms.push(NormNode::new(from, at, &norm));
                let norm = self.program.norms.len() - 1;
                if self.purpose == Purpose::Training {
                    self.program.nodes.push(Node { op: Op::Measure(norm), input, output: input, layer: None });
                }
                self.push(Op::Normalize(norm), input, to, 1);
            }
            LayerKind::Activation(Activation::Relu) => self.rectify(input),
            LayerKind::Activation(smooth) => self.push(Op::Activate(smooth.kernel()), input, to, 1),
            LayerKind::Dropout(dropout) => {
                let training = self.purpose == Purpose::Training;
                let op = if training { Op::Drop { layer: at, p: dropout.p, rectify: false } } else { Op::Same };
                self.change(op, input, 1);
            }
            LayerKind::MaxPool2d(pool) => self.max(&pool, input, false),
            LayerKind::AvgPool2d(pool) => self.push(Op::Mean(sizes::sliding(from, &pool)), input, to, 1),
            LayerKind::AdaptiveAvgPool2d(pool) => self.push(Op::Mean(sizes::adaptive(from, &pool)), input, to, 1),
            LayerKind::Add => {
                let other = self.value_of(self.network.layers[at].sources[1]);
                self.push(Op::Add { other }, input, to, 1);
            }
            // Inference gives these a vector, and then we are not here.
            LayerKind::Flatten | LayerKind::Linear(_) => unreachable!("layer {at} gives feature maps"),
        }
    }

    /// A layer that gives a vector. Those are compiled when all exits are known.
    fn vector(&mut self, at: usize) {
        let layer = &self.network.layers[at];
        if let Shape::Map { .. } = layer.input {
            let value = self.value_of(layer.sources[0]);
            let order = Order::of_flatten(self.network, at, self.program.values[value]);
            self.program.exits.push(Exit { layer: at, value, order, segment: 0 });
        }
        self.covered += 1;
    }

    /// A convolution and what goes into it of the layers that follow.
    fn conv(&mut self, conv: &Conv2d, input: usize) {
        let at = self.covered;
        let conv = Conv::new(sizes::convolution(self.program.values[input], conv));
        let (mut covers, mut finish, mut norm) = (1, Finish::default(), None);
        while self.purpose == Purpose::Evaluation && alone_reads(self.network, at + covers) {
            match self.kind(at + covers) {
                LayerKind::Dropout(_) => {}
                LayerKind::BatchNorm2d(layer) if norm.is_none() && finish == Finish::default() => {
                    norm = Some(NormNode::new(conv.sizes().output, at + covers, layer));
                }
                LayerKind::Activation(Activation::Relu) => finish.rectify = true,
                LayerKind::MaxPool2d(pool) if !finish.pool && conv.pools() && whole(pool) == HALVING => finish.pool = true,
                _ => break,
            }
            covers += 1;
        }
        let to = finish.written(conv.sizes().output);
        self.program.convs.push(ConvNode { conv, layer: at, norm, finish });
        self.push(Op::Conv(self.program.convs.len() - 1), input, to, covers);
    }

    /// A rectifier, and what it goes into of the layer that follows.
    fn rectify(&mut self, input: usize) {
        let next = self.covered + 1;
        if self.purpose == Purpose::Training && alone_reads(self.network, next) {
            match *self.kind(next) {
                LayerKind::MaxPool2d(pool) => return self.max(&pool, input, true),
                LayerKind::Dropout(dropout) => {
                    return self.change(Op::Drop { layer: next, p: dropout.p, rectify: true }, input, 2);
                }
                _ => {}
            }
        }
        self.change(Op::Rectify, input, 1);
    }

    fn max(&mut self, pool: &Pool2d, input: usize, rectify: bool) {
        let windows = sizes::sliding(self.program.values[input], pool);
        let to = windows.output();
        let winners = (self.purpose == Purpose::Training).then(|| self.value(to));
        self.push(Op::Max { windows, rectify, winners }, input, to, if rectify { 2 } else { 1 });
    }

    fn value(&mut self, maps: Maps) -> usize {
        self.program.values.push(maps);
        self.program.values.len() - 1
    }

    /// Appends a node with a value of its own, for so many layers.
    fn push(&mut self, op: Op, input: usize, to: Maps, covers: usize) {
        let output = self.value(to);
        self.append(op, input, output, covers);
    }

    /// Appends a node that changes its input where it lies, or a copy of it where others read that too.
    ///
    /// What reads its input again in the backward pass (a convolution, a norm, a smooth activation) has an output of its own, so
    /// a value that is changed in place is never one of theirs unless it has two readers.
    fn change(&mut self, op: Op, input: usize, covers: usize) {
        let source = self.network.layers[self.covered].sources[0];
        let value = if readers(self.network, source) == 1 {
            input
        } else {
            let copy = self.value(self.program.values[input]);
            self.program.nodes.push(Node { op: Op::Copy, input, output: copy, layer: None });
            copy
        };
        self.append(op, value, value, covers);
    }

    fn append(&mut self, op: Op, input: usize, output: usize, covers: usize) {
        let last = self.covered + covers - 1;
        self.program.nodes.push(Node { op, input, output, layer: Some(last) });
        self.of_layer[self.covered..=last].fill(output);
        self.covered = last + 1;
    }
}

/// The same pooling, its step written out.
fn whole(pool: &Pool2d) -> Pool2d {
    Pool2d { stride: Some(pool.step()), ..*pool }
}
