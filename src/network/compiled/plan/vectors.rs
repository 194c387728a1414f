//! The part of a network that works on vectors: a batch at a time, since its weights are what has to be moved.

use super::Machine;
use super::parameters::DenseLayer;
use super::sight::Sight;
use crate::kernels::Buffer;
use crate::kernels::activation::Activation;
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::activate::Activate;
use crate::kernels::blocked::pointwise::Accumulate;
use crate::kernels::dense::panels::{Places, Rows};
use crate::kernels::lanes::WIDTH;
use crate::network::compiled::lowering::Order;

/// What a node does to a vector.
#[derive(Debug)]
pub(super) enum VectorOp {
    /// The fully connected layer at this place, perhaps rectified.
    Dense {
        dense: usize,
        rectify: bool,
    },
    Activate(Activation),
    /// Adds this value.
    Add(usize),
    Same,
}

/// One node; it has a value of its own.
#[derive(Debug)]
pub(super) struct VectorNode {
    pub(super) op: VectorOp,
    pub(super) input: usize,
    /// Position of the layer whose output this is.
    pub(super) layer: usize,
    pub(super) features: usize,
}

/// Nodes and values. The first value is what comes in; node `i` writes value `i + 1`.
#[derive(Debug)]
pub(super) struct Vectors {
    nodes: Vec<VectorNode>,
    order: Order,
    /// Position of the layer that comes in.
    flatten: usize,
    values: Vec<Batch>,
    /// Of what a layer is given, where that is one image's.
    places: Places,
}

/// A batch of vectors.
#[derive(Debug)]
struct Batch {
    numbers: Buffer,
    stride: usize,
}

impl Batch {
    /// Vectors of `features`, filled up. The strides are no powers of two, or images would displace each other from the cache.
    fn of(features: usize) -> Self {
        Self { numbers: Buffer::default(), stride: features.next_multiple_of(WIDTH) + WIDTH }
    }
}

impl Vectors {
    pub(super) fn new(order: Order, flatten: usize) -> Self {
        Self { nodes: Vec::new(), order, flatten, values: vec![Batch::of(order.padded())], places: Places::default() }
    }

    /// Appends a node; says which value it writes.
    pub(super) fn push(&mut self, node: VectorNode) -> usize {
        self.values.push(Batch::of(node.features));
        self.nodes.push(node);
        self.nodes.len()
    }

    /// Makes room for `batch` images.
    pub(super) fn fit(&mut self, batch: usize) {
        for Batch { numbers, stride } in &mut self.values {
            numbers.grow(batch * *stride);
        }
    }

    /// Where `batch` images come in, and floats from one to the next.
    pub(super) fn entry(&mut self, batch: usize) -> (&mut [f32], usize) {
        let Batch { numbers, stride } = &mut self.values[0];
        (&mut numbers[..batch * *stride], *stride)
    }

    /// How what comes in is ordered.
    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// Computes all nodes for what has come in.
    pub(super) fn run(&mut self, machine: &Machine, batch: usize, (dense, sight): (&[DenseLayer], &mut Sight<'_>)) {
        let order = self.order;
        look((sight, self.flatten), |feature| order.place(feature), (&mut self.values[0], batch));
        for (at, node) in self.nodes.iter().enumerate() {
            let (before, rest) = self.values.split_at_mut(at + 1);
            let (input, output) = (&before[node.input], &mut rest[0]);
            let rows = |value: &Batch| batch * value.stride;
            match node.op {
                VectorOp::Dense { dense: at, rectify } => {
                    let (layer, stride) = (&dense[at], output.stride);
                    let places = (batch == 1).then(|| {
                        self.places.find(&input.numbers[..layer.panels.inputs]);
                        &self.places
                    });
                    let input = Rows { values: &input.numbers[..rows(input)], stride: input.stride, places };
                    let to = (&mut output.numbers[..batch * stride], stride);
                    layer.panels.forward((machine.tier, &machine.team), layer.applied(rectify), (input, batch), to);
                }
                // These keep the number of features, and so the stride: all but the first value, which may be in blocked
                // order, and then only a fully connected layer reads it.
                VectorOp::Activate(activation) => {
                    let (input, output) = (&input.numbers[..rows(input)], &mut output.numbers[..rows(input)]);
                    machine.tier.run(Activate { activation, input, output });
                }
                VectorOp::Add(other) => {
                    let len = rows(input);
                    output.numbers[..len].copy_from_slice(&input.numbers[..len]);
                    machine.tier.run(Accumulate { from: &before[other].numbers[..len], to: &mut output.numbers[..len] });
                }
                VectorOp::Same => output.numbers[..rows(input)].copy_from_slice(&input.numbers[..rows(input)]),
            }
            look((sight, node.layer), |feature| feature, (output, batch));
        }
    }

    /// Softmax of the last value.
    pub(super) fn probabilities(&self, batch: usize, classes: usize) -> Vec<f32> {
        let mut all = Vec::with_capacity(batch * classes);
        let last = self.nodes.len();
        for scores in self.values[last].numbers.chunks_exact(self.values[last].stride).take(batch) {
            let scores = &scores[..classes];
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let start = all.len();
            all.extend(scores.iter().map(|score| (score - largest).exp()));
            let sum: f32 = all[start..].iter().sum();
            all[start..].iter_mut().for_each(|p| *p /= sum);
        }
        all
    }
}

fn look((sight, layer): (&mut Sight<'_>, usize), place: impl Fn(usize) -> usize, (value, batch): (&mut Batch, usize)) {
    if sight.is_open() {
        for (image, values) in value.numbers.chunks_exact_mut(value.stride).take(batch).enumerate() {
            sight.vector((layer, image), &place, values);
        }
    }
}

/// Flattens one image's feature maps into the vector `to`.
pub(super) fn flatten(order: Order, (maps, values): (Maps, &[f32]), to: &mut [f32]) {
    match order {
        Order::Blocked(_) => to[..values.len()].copy_from_slice(values),
        Order::Plain(features) => maps.unblock(values, &mut to[..features]),
    }
}
