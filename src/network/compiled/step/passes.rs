//! The passes over a batch: which groups of images are computed side by side, and what is summed in which order.

use super::Step;
use super::backward::{Backward, Way};
use super::filters::Trained;
use super::moves::Moves;
use super::norm::{Groups, NormParameters};
use super::seen::Seen;
use crate::kernels::blocked::pointwise::Accumulate;
use crate::kernels::lanes::WIDTH;
use crate::kernels::stripes::{Share, Stripes};
use crate::kernels::team::Chunks;
use crate::network::compiled::forward::{Hands, Pass, Workspace};
use crate::network::compiled::group::Group;
use crate::network::compiled::order::Order;
use crate::network::compiled::program::{NormNode, Op, Place, Program};
use crate::network::shape::Role;

/// Parts that a batch's parameter gradients are summed in: what can be computed side by side, and a fixed number of sums.
const PARTS: usize = 8;
/// Gradients that one task adds up.
const SUMMED: usize = 1 << 16;

impl Program {
    /// Images of a segment's group. A batch of few images is two groups at least, and so has work for two threads.
    pub(super) fn group(&self, segment: usize, batch: usize) -> usize {
        self.segments[segment].group.min(batch.div_ceil(2))
    }

    /// Images that one part of a batch is, whole groups.
    fn images_a_part(&self, segment: usize, batch: usize) -> usize {
        let group = self.group(segment, batch);
        batch.div_ceil(group).div_ceil(PARTS) * group
    }

    pub(super) fn parts(&self, segment: usize, batch: usize) -> usize {
        batch.div_ceil(self.images_a_part(segment, batch))
    }

    /// Floats of one group's partial sums of any batch norm.
    pub(super) fn partial(&self) -> usize {
        self.norms.iter().map(NormNode::partial).max().unwrap_or(0)
    }
}

impl Step {
    /// Makes room for `batch` images.
    pub(super) fn fit(&mut self, batch: usize) {
        self.head.fit(batch);
        if self.buffers.batch == batch {
            return;
        }
        let (program, buffers) = (&self.program, &mut self.buffers);
        let segments = || 0..program.segments.len();
        let most = |of: &dyn Fn(usize) -> usize| segments().map(of).max().unwrap_or(0);
        buffers.batch = batch;
        buffers.values.resize(batch * program.memory.batch);
        buffers.gradients.resize(batch * program.gradients.batch);
        buffers.partial.resize(program.partial() * most(&|segment| batch.div_ceil(program.group(segment, batch))));
        buffers.parts.resize(self.filters.part() * most(&|segment| program.parts(segment, batch)));
        let scratch = most(&|at| program.memory.thread[at].max(program.gradients.thread[at]) * program.group(at, batch));
        let spare = most(&|segment| program.largest_of(segment) * program.group(segment, batch));
        for workspace in &mut self.workspaces {
            workspace.scratch.grow(scratch);
            workspace.spare.grow(spare);
            workspace.conv.grow(program.workspace());
        }
    }

    /// Brings all filters in the orders the passes read.
    pub(super) fn pack(&mut self) {
        self.filters.pack(&self.machine, &self.program, &self.parameters);
    }

    /// All feature maps.
    pub(super) fn forward(&mut self, images: &[f32], seed: u64) {
        let Self { program, buffers, workspaces, machine, .. } = self;
        let (program, batch) = (&*program, buffers.batch);
        let (image, stride) = (program.image_len(), program.partial());
        for (at, segment) in program.segments.iter().enumerate() {
            let nodes = &program.nodes[segment.nodes.clone()];
            let parameters = &Trained { filters: &self.filters, norms: &self.norms };
            let pass = Pass { program, parameters, tier: machine.tier, seed };
            let share = Share { batch, images: program.group(at, batch) };
            let values = Stripes::new(&mut buffers.values, &program.memory.regions[at], share);
            // Programs without norms share out an empty slice.
            let partial = Chunks::of(&mut buffers.partial, stride, batch.div_ceil(share.images));
            machine.team.split((values, partial), workspaces, |_, (stripe, moments), workspace| {
                let Workspace { scratch, conv, .. } = workspace;
                let own = stripe.images();
                let mut group = Group { memory: &program.memory, maps: &program.values, images: own.clone(), stripe, scratch };
                if at == 0 {
                    pass.enter(&images[own.start * image..own.end * image], &mut group);
                }
                for node in nodes {
                    pass.compute(node, &mut group, Hands::One(conv), moments);
                }
            });
            if let Some(&Op::Measure(norm)) = nodes.last().map(|node| &node.op) {
                let node = &program.norms[norm];
                let parameters = &mut self.parameters.layers[node.layer][..];
                // A batch norm has these four.
                let [weight, bias, mean, variance] = parameters else { unreachable!("a batch norm without parameters") };
                let parameters = NormParameters {
                    weight: &weight.trained.values,
                    bias: &bias.trained.values,
                    running_mean: &mut mean.trained.values,
                    running_variance: &mut variance.trained.values,
                };
                let groups = Groups { partial: &buffers.partial, stride, batch, images: share.images };
                self.norms[norm].measured(node, groups, parameters);
            }
        }
    }

    /// Flattens feature maps into the head's panels.
    pub(super) fn enter_head(&mut self) {
        let Self { program, buffers, head, machine, .. } = self;
        let (batch, columns) = (buffers.batch, head.batch());
        for (exit, entry) in program.exits.iter().zip(&mut head.entries) {
            let maps = program.values[exit.value];
            // The head reads it when all segments are done, so it is in the batch's memory.
            let Some(Place::Batch(region)) = program.memory.places[exit.value] else { unreachable!("an exit is a batch's") };
            let from = &buffers.values[region.of(batch, &(0..batch))];
            machine.team.each(Chunks::new(&mut entry.panels, 16 * columns * WIDTH), |task, panels| {
                for (block, panel) in panels.chunks_exact_mut(columns * WIDTH).enumerate() {
                    let block = task * 16 + block;
                    for (image, row) in from.chunks_exact(region.len).zip(panel.chunks_exact_mut(WIDTH)) {
                        match exit.order {
                            Order::Blocked(_) => row.copy_from_slice(&image[block * WIDTH..][..WIDTH]),
                            Order::Plain(features) => {
                                for (lane, x) in row.iter_mut().enumerate() {
                                    let feature = block * WIDTH + lane;
                                    *x = if feature < features { image[Order::Blocked(maps).place(feature)] } else { 0.0 };
                                }
                            }
                        }
                    }
                }
            });
        }
    }

    /// All gradients of the parameters before the head: convolutions' into the first part, norms' into their states.
    pub(super) fn backward(&mut self, seed: u64) {
        let Self { program, buffers, workspaces, machine, head, filters, .. } = self;
        let (program, batch, stride) = (&*program, buffers.batch, program.partial());
        if program.gradients.places.iter().all(Option::is_none) {
            return;
        }
        let segments = program.segments.len();
        for (at, segment) in program.segments.iter().enumerate().rev() {
            let nodes = &program.nodes[segment.nodes.clone()];
            let parameters = &Trained { filters, norms: &self.norms };
            let pass = Pass { program, parameters, tier: machine.tier, seed };
            let (images, a_part) = (program.group(at, batch), program.images_a_part(at, batch));
            let count = program.parts(at, batch);
            let regions = &program.gradients.regions[2 * segments - 1 - at];
            let gradients = Stripes::new(&mut buffers.gradients, regions, Share { batch, images: a_part });
            let parts = Chunks::of(&mut buffers.parts, filters.part(), count);
            let partial = Chunks::of(&mut buffers.partial, stride * a_part / images, count);
            let way = Way { pass: &pass, values: &buffers.values, batch };
            machine.team.split((gradients, parts, partial), workspaces, |_, (mut stripe, to, partial), workspace| {
                let Workspace { scratch, conv, spare } = workspace;
                for sums in nodes.iter().filter_map(|node| if let Op::Conv(at) = node.op { Some(&filters.sums[at]) } else { None })
                {
                    to[sums.bias.clone()].fill(0.0);
                }
                let own = stripe.images();
                for (number, first) in own.clone().step_by(images).enumerate() {
                    let group = Group {
                        memory: &program.gradients,
                        maps: &program.values,
                        images: first..own.end.min(first + images),
                        stripe: stripe.reborrow(),
                        scratch,
                    };
                    let moments = partial.get_mut(number * stride..).unwrap_or_default();
                    let mut backward = Backward { group, add: number > 0, spare, conv, to, moments };
                    if at + 1 == segments {
                        head.leave(program, &mut backward.group);
                    }
                    for node in segment.nodes.clone().rev() {
                        way.back(node, &mut backward);
                    }
                }
            });
            if let Some(&Op::Normalize(norm)) = nodes.first().map(|node| &node.op) {
                let groups = Groups { partial: &buffers.partial, stride, batch, images };
                self.norms[norm].gathered(&program.norms[norm], groups);
            }
        }
        self.sum_parts();
    }

    /// Adds the parts of the convolutions' gradients, in order, into the first.
    fn sum_parts(&mut self) {
        let Self { program, buffers, filters, machine, .. } = self;
        let len = filters.part();
        if len == 0 {
            return;
        }
        let (sum, rest) = buffers.parts.split_at_mut(len);
        for segment in 0..program.segments.len() {
            let own = filters.part_of(program, segment);
            let others = program.parts(segment, buffers.batch) - 1;
            machine.team.each(Chunks::new(&mut sum[own.clone()], SUMMED), |at, to| {
                for part in rest.chunks_exact(len).take(others) {
                    machine.tier.run(Accumulate { from: &part[own.start + at * SUMMED..][..to.len()], to });
                }
            });
        }
    }

    /// Moves the parameters before the head by their gradients; says what it saw of these.
    pub(super) fn update(&mut self, moves: Moves<'_>) -> Seen {
        let Self { program, parameters, norms, buffers, filters, machine, .. } = self;
        parameters.update((machine.tier, &machine.team), moves, |layer, role, to| {
            if let Some(at) = program.convs.iter().position(|node| node.layer == layer) {
                let sums = &filters.sums[at];
                if role == Role::Weight {
                    to.fill(0.0);
                    program.convs[at].conv.unpack(machine.tier, &buffers.parts[sums.filters.clone()], to);
                } else {
                    to.copy_from_slice(&buffers.parts[sums.bias.clone()][..to.len()]);
                }
            } else if let Some(at) = program.norms.iter().position(|norm| norm.layer == layer) {
                let from = if role == Role::Scale { &norms[at].to_weight } else { &norms[at].to_bias };
                to.copy_from_slice(&from[..to.len()]);
            }
        })
    }
}
