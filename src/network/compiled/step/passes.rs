//! The passes over a batch: which groups of images are computed side by side, and what is summed in which order.

use super::backward::Group;
use super::forward::{Filters, Shared};
use super::head::Head;
use super::memory::{Values, Workspace};
use super::norm::NormParameters;
use super::program::{Op, Program};
use super::{Buffers, Step};
use crate::kernels::blocked::pointwise::Accumulate;
use crate::kernels::lanes::WIDTH;
use crate::kernels::sgd::Sgd;
use crate::kernels::team::Chunks;
use crate::network::compiled::lowering::Order;
use crate::network::shape::Role;

/// Parts that a batch's parameter gradients are summed in: what can be computed side by side, and a fixed number of sums.
const PARTS: usize = 8;
/// Gradients that one task adds up.
const SUMMED: usize = 1 << 16;

impl Program {
    /// Floats of one image as it comes.
    pub(super) fn image_len(&self) -> usize {
        let maps = self.values[0].maps;
        maps.channels * maps.plane()
    }

    /// Groups that one part of a batch is.
    fn groups_a_part(&self, batch: usize) -> usize {
        batch.div_ceil(self.group).div_ceil(PARTS)
    }
}

impl Step {
    /// Makes room for `batch` images.
    pub(super) fn fit(&mut self, batch: usize) {
        self.head.fit(batch);
        if self.buffers.batch == batch {
            return;
        }
        // A batch of few images is two groups at least, and so has work for two threads.
        self.program.group = self.program.largest_group.min(batch.div_ceil(2));
        let program = &self.program;
        let groups = batch.div_ceil(program.group);
        let parts = groups.div_ceil(program.groups_a_part(batch));
        let gradients = if program.segments.len() == 1 { 0 } else { program.gradients_a_group() };
        let Buffers { batch: fitted, saved, winners, gradients: kept, parts: sums } = &mut self.buffers;
        *fitted = batch;
        saved.resize(groups * program.saved_a_group());
        winners.resize(groups * program.group * program.sizes.winners);
        kept.resize(groups * gradients);
        sums.resize(parts * program.sizes.part);
    }

    /// Brings all filters in the orders the passes read.
    pub(super) fn pack(&mut self) {
        let (program, parameters, tier) = (&self.program, &self.parameters, self.tier);
        let Filters { packed, biases } = &mut self.filters;
        self.team.each(Chunks::new(packed, 1), |at, packed| {
            let layer = &program.convs[at / 2];
            let (weights, packed) = (parameters.values(layer.layer, Role::Weight), &mut packed[0]);
            if at % 2 == 0 { layer.conv.pack(tier, weights, packed) } else { layer.conv.pack_adjoint(tier, weights, packed) }
        });
        for (layer, to) in program.convs.iter().zip(biases) {
            let bias = parameters.values(layer.layer, Role::Bias);
            to[..bias.len()].copy_from_slice(bias);
        }
    }

    /// All feature maps.
    pub(super) fn forward(&mut self, images: &[f32], seed: u64) {
        let Self { program, buffers, workspaces, team, .. } = self;
        let (program, batch) = (&*program, buffers.batch);
        let image = program.image_len();
        for segment in &program.segments {
            let nodes = &program.nodes[segment.clone()];
            let shared = Shared { program, tier: self.tier, filters: &self.filters, norms: &self.norms, seed };
            let saved = Chunks::new(&mut buffers.saved, program.saved_a_group());
            let winners = program.group * program.sizes.winners;
            let groups = batch.div_ceil(program.group);
            // Programs without winners share out an empty slice.
            let winners = Chunks::of(&mut buffers.winners, winners, groups);
            team.split((saved, winners), workspaces, |group, (saved, winners), workspace| {
                let first = group * program.group;
                let count = program.group.min(batch - first);
                let Workspace { scratch, conv, .. } = workspace;
                let mut values = Values { program, images: count, saved, scratch };
                if segment.start == 0 {
                    let maps = program.values[0].maps;
                    let plain = images[first * image..][..count * image].chunks_exact(image);
                    for (plain, blocked) in plain.zip(values.get(0).chunks_exact_mut(maps.len())) {
                        maps.block(plain, blocked);
                    }
                }
                for node in nodes {
                    shared.forward(node, first, &mut values, (&mut *winners, &mut *conv));
                }
            });
            if let Some(Op::Measure(norm)) = nodes.last().map(|node| &node.op) {
                let parameters = &mut self.parameters.layers[program.norms[*norm].layer][..];
                let [weight, bias, mean, variance] = parameters else { continue };
                let parameters = NormParameters {
                    weight: &weight.trained.values,
                    bias: &bias.trained.values,
                    running_mean: &mut mean.trained.values,
                    running_variance: &mut variance.trained.values,
                };
                self.norms[*norm].measured((program, *norm), &buffers.saved, batch, parameters);
            }
        }
    }

    /// Flattens the last feature maps into the head's panels.
    pub(super) fn enter_head(&mut self, batch: usize) {
        let Self { program, buffers, head, team, .. } = self;
        let (program, saved, columns) = (&*program, &buffers.saved[..], head.batch());
        let (value, order) = (&program.values[program.exit], head.order());
        let len = value.maps.len();
        let start = |image: usize| {
            let (group, within) = (image / program.group, image % program.group);
            group * program.saved_a_group() + value.offset * program.group + within * len
        };
        team.each(Chunks::new(&mut head.panels, 16 * columns * WIDTH), |task, panels| {
            for (block, panel) in panels.chunks_exact_mut(columns * WIDTH).enumerate() {
                let block = task * 16 + block;
                for (image, row) in panel.chunks_exact_mut(WIDTH).take(batch).enumerate() {
                    let from = &saved[start(image)..][..len];
                    match order {
                        Order::Blocked(_) => row.copy_from_slice(&from[block * WIDTH..][..WIDTH]),
                        Order::Plain(features) => {
                            for (lane, x) in row.iter_mut().enumerate() {
                                let feature = block * WIDTH + lane;
                                *x = if feature < features { from[Order::Blocked(value.maps).place(feature)] } else { 0.0 };
                            }
                        }
                    }
                }
            }
        });
    }

    /// All gradients of the parameters before the head: convolutions' into the first part, norms' into their states.
    pub(super) fn backward(&mut self, seed: u64) {
        let Self { program, buffers, workspaces, team, head, .. } = self;
        let (program, batch) = (&*program, buffers.batch);
        let exit = &program.values[program.exit];
        if exit.gradient.is_none() {
            return;
        }
        let groups = batch.div_ceil(program.group);
        let a_part = program.groups_a_part(batch);
        let single = program.segments.len() == 1;
        for segment in program.segments.iter().rev() {
            let nodes = &program.nodes[segment.clone()];
            let shared = Shared { program, tier: self.tier, filters: &self.filters, norms: &self.norms, seed };
            let parts = Chunks::of(&mut buffers.parts, program.sizes.part, groups.div_ceil(a_part));
            let persistent = if single { 0 } else { a_part * program.gradients_a_group() };
            let gradients = Chunks::of(&mut buffers.gradients, persistent, groups.div_ceil(a_part));
            let (saved, winners) = (&buffers.saved[..], &buffers.winners[..]);
            team.split((parts, gradients), workspaces, |part, (to, persistent), workspace| {
                let Workspace { conv, spare, gradients: own, .. } = workspace;
                for node in nodes {
                    if let Op::Conv(at) = node.op {
                        to[program.convs[at].to_bias.clone()].fill(0.0);
                    }
                }
                for group in part * a_part..groups.min((part + 1) * a_part) {
                    let first = group * program.group;
                    let len = program.gradients_a_group();
                    let gradients = if single { &mut own[..] } else { &mut persistent[(group - part * a_part) * len..][..len] };
                    let mut group = Group {
                        first,
                        images: program.group.min(batch - first),
                        add: group > part * a_part,
                        saved: &saved[group * program.saved_a_group()..][..program.saved_a_group()],
                        winners: &winners[first * program.sizes.winners..],
                        gradients,
                        spare,
                        conv,
                        to: &mut *to,
                    };
                    if segment.end == program.nodes.len() {
                        head.leave(program, &mut group);
                    }
                    for (node, again) in nodes.iter().zip(&program.again[segment.clone()]).rev() {
                        shared.backward(node, &mut group, *again);
                    }
                }
            });
            if let Some(Op::Normalize(norm)) = nodes.first().map(|node| &node.op) {
                self.norms[*norm].gathered((program, *norm), &buffers.gradients, batch);
            }
        }
        self.sum_parts();
    }

    /// Adds the parts of the convolutions' gradients, in order, into the first.
    fn sum_parts(&mut self) {
        let len = self.program.sizes.part;
        let (sum, rest) = self.buffers.parts.split_at_mut(len);
        self.team.each(Chunks::new(sum, SUMMED), |at, to| {
            for part in rest.chunks_exact(len) {
                self.tier.run(Accumulate { from: &part[at * SUMMED..][..to.len()], to });
            }
        });
    }

    /// Moves the parameters before the head by their gradients.
    pub(super) fn update(&mut self, sgd: &Sgd) {
        let Self { program, parameters, norms, buffers, team, tier, .. } = self;
        parameters.update((*tier, team), sgd, |layer, role, to| {
            if let Some(conv) = program.convs.iter().find(|conv| conv.layer == layer) {
                if role == Role::Weight {
                    to.fill(0.0);
                    conv.conv.unpack(*tier, &buffers.parts[conv.to_filters.clone()], to);
                } else {
                    to.copy_from_slice(&buffers.parts[conv.to_bias.clone()][..to.len()]);
                }
            } else if let Some(at) = program.norms.iter().position(|norm| norm.layer == layer) {
                let from = if role == Role::Scale { &norms[at].to_weight } else { &norms[at].to_bias };
                to.copy_from_slice(&from[..to.len()]);
            }
        });
    }
}

impl Head {
    /// Writes the gradient of a group's last feature maps.
    fn leave(&self, program: &Program, group: &mut Group<'_>) {
        let value = &program.values[program.exit];
        let (len, columns) = (value.maps.len(), self.batch());
        let Some(start) = value.gradient.map(|offset| offset * program.group) else { return };
        let gradients = group.gradients[start..][..group.images * len].chunks_exact_mut(len);
        for (image, gradient) in (group.first..).zip(gradients) {
            match self.order() {
                Order::Blocked(_) => {
                    for (block, row) in gradient.chunks_exact_mut(WIDTH).enumerate() {
                        row.copy_from_slice(&self.to_panels[(block * columns + image) * WIDTH..][..WIDTH]);
                    }
                }
                Order::Plain(features) => {
                    gradient.fill(0.0);
                    for feature in 0..features {
                        let from = (feature / WIDTH * columns + image) * WIDTH + feature % WIDTH;
                        gradient[Order::Blocked(value.maps).place(feature)] = self.to_panels[from];
                    }
                }
            }
        }
    }
}
