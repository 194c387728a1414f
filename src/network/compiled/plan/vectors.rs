//! Vectors in evaluation: rows, a batch at a time, since weights are what has to be moved.

use super::parameters::Dense;
use super::sight::Sight;
use crate::kernels::blocked::Maps;
use crate::kernels::blocked::activate::Activate;
use crate::kernels::blocked::pointwise::Accumulate;
use crate::kernels::dense::panels::{Places, Results, Rows};
use crate::kernels::lanes::WIDTH;
use crate::kernels::stripes::Region;
use crate::kernels::{Buffer, Crew};
use crate::network::compiled::Machine;
use crate::network::compiled::order::Order;
use crate::network::compiled::program::{Exit, Program, VectorOp};

/// Vectors of one batch, in the program's numbering: first those that come in through the exits, then one a node.
#[derive(Debug)]
pub(super) struct Vectors {
    entries: Buffer,
    /// Of each exit; a row is filled up to a stride.
    regions: Vec<Region>,
    nodes: Vec<Batch>,
    /// Of what a layer is given, where that is one image's.
    places: Places,
}

/// What one node makes of a batch.
#[derive(Debug)]
struct Batch {
    numbers: Buffer,
    stride: usize,
}

/// Floats from one vector of `features` to the next: no power of two, or images would displace each other from the cache.
fn stride(features: usize) -> usize {
    features.next_multiple_of(WIDTH) + WIDTH
}

impl Vectors {
    pub(super) fn new(program: &Program) -> Self {
        let mut offset = 0;
        let regions = program.exits.iter().map(|exit| {
            let region = Region { offset, len: stride(exit.order.padded()) };
            offset += region.len;
            region
        });
        let regions = regions.collect();
        let node = |features| Batch { numbers: Buffer::default(), stride: stride(features) };
        let nodes = program.vectors.iter().map(|vector| node(vector.features)).collect();
        Self { entries: Buffer::default(), regions, nodes, places: Places::default() }
    }

    /// Makes room for `batch` images.
    pub(super) fn fit(&mut self, batch: usize) {
        self.entries.grow(batch * self.regions.last().map_or(0, |last| last.offset + last.len));
        for Batch { numbers, stride } in &mut self.nodes {
            numbers.grow(batch * *stride);
        }
    }

    /// Where images come in: the memory, and each exit's part of it.
    pub(super) fn entries(&mut self) -> (&mut [f32], &[Region]) {
        (&mut self.entries, &self.regions)
    }

    /// Shows `sight` what came in.
    pub(super) fn show(&mut self, exits: &[Exit], sight: &mut Sight<'_>) {
        if !sight.is_open() {
            return;
        }
        for (exit, region) in exits.iter().zip(&self.regions) {
            let rows = self.entries[region.of(sight.batch, &(0..sight.batch))].chunks_exact_mut(region.len);
            for (image, row) in rows.enumerate() {
                sight.vector(exit.layer, image, |feature| exit.order.place(feature), row);
            }
        }
    }

    /// Computes all nodes.
    pub(super) fn run(&mut self, machine: &Machine, program: &Program, dense: &[Dense], sight: &mut Sight<'_>) {
        let Self { entries, regions, nodes, places } = self;
        let batch = sight.batch;
        for (at, node) in program.vectors.iter().enumerate() {
            let (before, rest) = nodes.split_at_mut(at);
            let output = &mut rest[0];
            let read = |vector: usize| match vector.checked_sub(regions.len()) {
                None => (&entries[regions[vector].of(batch, &(0..batch))], regions[vector].len),
                Some(node) => (&before[node].numbers[..batch * before[node].stride], before[node].stride),
            };
            let (input, from) = read(node.input);
            let (to, stride) = (&mut output.numbers[..batch * output.stride], output.stride);
            match node.op {
                VectorOp::Dense { dense: at, rectify } => {
                    let layer = &dense[at];
                    let places = (batch == 1).then(|| {
                        places.find(&input[..layer.panels.inputs]);
                        &*places
                    });
                    let rows = Rows { values: input, images: batch, stride: from, places };
                    let crew = Crew { tier: machine.tier, team: &machine.team };
                    layer.panels.forward(crew, layer.applied(rectify), rows, Results { values: to, stride });
                }
                // These keep the number of features, and so the stride: only a fully connected layer reads blocked order.
                VectorOp::Activate(activation) => machine.tier.run(Activate { activation, input, output: to }),
                VectorOp::Add { other } => {
                    to.copy_from_slice(input);
                    machine.tier.run(Accumulate { from: read(other).0, to });
                }
                // In evaluation nothing is dropped.
                VectorOp::Drop { .. } | VectorOp::Same => to.copy_from_slice(input),
            }
            if sight.is_open() {
                let rows = output.numbers.chunks_exact_mut(stride).take(batch).enumerate();
                rows.for_each(|(image, row)| sight.vector(node.layer, image, |feature| feature, row));
            }
        }
    }

    /// Softmax of the last vectors.
    pub(super) fn probabilities(&self, batch: usize, classes: usize) -> Vec<f32> {
        let mut all = Vec::with_capacity(batch * classes);
        let (numbers, stride) = match (self.nodes.last(), self.regions.last()) {
            (Some(last), _) => (&last.numbers[..], last.stride),
            (None, Some(entry)) => (&self.entries[..], entry.len),
            (None, None) => return all,
        };
        for scores in numbers.chunks_exact(stride).take(batch) {
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

/// Flattens one image's feature maps into the vector `to`.
pub(super) fn flatten(order: Order, maps: Maps, values: &[f32], to: &mut [f32]) {
    match order {
        Order::Blocked(_) => to[..values.len()].copy_from_slice(values),
        Order::Plain(features) => maps.unblock(values, &mut to[..features]),
    }
}
