//! A node's way back, computed for a group of images.

use super::filters::Trained;
use crate::kernels::blocked::activate::ActivateBackward;
use crate::kernels::blocked::conv::Gradients;
use crate::kernels::blocked::norm::{ApplyBackward, MeasureBackward};
use crate::kernels::blocked::pointwise::{Accumulate, Drop, Gate, SumChannels};
use crate::kernels::blocked::pool::{MaxBackward, MeanBackward};
use crate::network::compiled::forward::Pass;
use crate::network::compiled::group::Group;
use crate::network::compiled::program::{Op, Place};

/// What all groups share.
pub(super) struct Way<'a> {
    pub(super) pass: &'a Pass<'a, Trained<'a>>,
    /// What the forward pass left in the batch's memory.
    pub(super) values: &'a [f32],
    pub(super) batch: usize,
}

/// A group on its way back.
pub(super) struct Backward<'a> {
    /// Its gradients.
    pub(super) group: Group<'a>,
    /// Whether filters' gradients are added to those of the groups before.
    pub(super) add: bool,
    /// A second gradient of a value that has two readers.
    pub(super) spare: &'a mut [f32],
    /// What a convolution computes in.
    pub(super) conv: &'a mut [f32],
    /// Gradients of the convolutions' parameters, of all images of a part.
    pub(super) to: &'a mut [f32],
    /// A batch norm's partial sums.
    pub(super) moments: &'a mut [f32],
}

impl Backward<'_> {
    /// The gradient at `read`, and where another that goes to `write` is put: in spare if one is there already (`again`).
    fn target(&mut self, read: usize, write: usize, again: bool) -> (&[f32], &mut [f32]) {
        if again {
            let len = self.group.maps[write].len() * self.group.images.len();
            (self.group.get(read), &mut self.spare[..len])
        } else {
            self.group.pair(read, write)
        }
    }
}

impl Way<'_> {
    /// What the forward pass left of a value.
    fn value(&self, value: usize, group: &Group<'_>) -> &[f32] {
        match self.pass.program.memory.places[value] {
            Some(Place::Batch(region)) => &self.values[region.of(self.batch, &group.images)],
            // What the way back reads is needed beyond its segment's way forward.
            _ => unreachable!("value {value} was not kept"),
        }
    }

    /// Computes what the node at `at` does to gradients.
    pub(super) fn back(&self, at: usize, backward: &mut Backward<'_>) {
        let (program, tier) = (self.pass.program, self.pass.tier);
        let (node, again) = (&program.nodes[at], program.again[at]);
        let maps = program.values[node.output];
        let group = &mut backward.group;
        if !group.has(node.output) {
            return;
        }
        let wanted = group.has(node.input);
        match node.op {
            Op::Rectify => {
                let values = self.value(node.input, group);
                tier.run(Gate { values, gradient: group.get(node.output), scale: 1.0 });
            }
            Op::Drop { p, layer, rectify: true } => {
                let values = self.value(node.input, group);
                let scale = self.pass.mask(p, layer).scale() as f32;
                tier.run(Gate { values, gradient: group.get(node.output), scale });
            }
            Op::Drop { p, layer, rectify: false } => {
                let (mask, first) = (self.pass.mask(p, layer), group.images.start);
                tier.run(Drop { maps, mask: &mask, first, rectify: false, values: group.get(node.output) });
            }
            Op::Measure(norm) => {
                let input = self.value(node.input, group);
                let state = &self.pass.parameters.norms[norm];
                let (means, factors) = (&state.means[..], &state.factors[..]);
                // The gradient of the norm's output was left by the second sweep, in the next segment.
                let Some(normalized) = program.normalizes(at).map(|node| program.nodes[node].output) else { return };
                let (gradient, output) = backward.target(normalized, node.input, again[0]);
                tier.run(ApplyBackward { maps, input, gradient, means, factors, output });
                self.merge(node.input, backward, again[0]);
            }
            Op::Normalize(norm) => {
                let input = self.value(node.input, group);
                let sums = &mut backward.moments[..2 * program.norms[norm].channels()];
                let means = &self.pass.parameters.norms[norm].means;
                tier.run(MeasureBackward { maps, input, gradient: group.get(node.output), means, sums });
            }
            Op::Conv(conv) => self.convolution(at, conv, backward),
            Op::Max { ref windows, winners: Some(winners), .. } if wanted => {
                let winners = self.value(winners, group);
                let (output, input) = backward.target(node.output, node.input, again[0]);
                tier.run(MaxBackward { windows, winners, output, input });
                self.merge(node.input, backward, again[0]);
            }
            Op::Mean(ref windows) if wanted => {
                let (output, input) = backward.target(node.output, node.input, again[0]);
                tier.run(MeanBackward { windows, output, input });
                self.merge(node.input, backward, again[0]);
            }
            Op::Activate(activation) if wanted => {
                let input = self.value(node.input, group);
                let (output, gradient) = backward.target(node.output, node.input, again[0]);
                tier.run(ActivateBackward { activation, input, output, gradient });
                self.merge(node.input, backward, again[0]);
            }
            Op::Add { other } => {
                for (to, again) in [node.input, other].into_iter().zip(again) {
                    self.pass_on(node.output, to, group, again);
                }
            }
            Op::Copy => self.pass_on(node.output, node.input, group, again[0]),
            Op::Max { .. } | Op::Mean(_) | Op::Activate(_) | Op::Same => {}
        }
    }

    /// The gradient `from` is that of `to` too.
    fn pass_on(&self, from: usize, to: usize, group: &mut Group<'_>, again: bool) {
        if !group.has(to) {
            return;
        }
        let (from, to) = group.pair(from, to);
        if again { self.pass.tier.run(Accumulate { from, to }) } else { to.copy_from_slice(from) }
    }

    /// The gradients of a convolution's filters, bias and input.
    fn convolution(&self, at: usize, conv: usize, backward: &mut Backward<'_>) {
        let (program, tier, filters) = (self.pass.program, self.pass.tier, self.pass.parameters.filters);
        let (node, again) = (&program.nodes[at], program.again[at][0]);
        let (layer, sums) = (&program.convs[conv], &filters.sums[conv]);
        let Backward { group, add, spare, conv: workspace, to, .. } = backward;
        if sums.has_bias {
            let maps = program.values[node.output];
            tier.run(SumChannels { maps, values: group.get(node.output), sums: &mut to[sums.bias.clone()] });
        }
        let input = self.value(node.input, group);
        let wanted = group.has(node.input);
        let len = input.len();
        let (output, to_input): (&[f32], _) = match (wanted, again) {
            (false, _) => (group.get(node.output), None),
            (true, true) => (group.get(node.output), Some(&mut spare[..len])),
            (true, false) => {
                let (output, to_input) = group.pair(node.output, node.input);
                (output, Some(to_input))
            }
        };
        let to_input = to_input.map(|to| (filters.adjoint(conv), to));
        let to_filters = &mut to[sums.filters.clone()];
        layer.conv.backward(tier, Gradients { input, output, to_input, to_filters, add: *add, workspace });
        self.merge(node.input, backward, wanted && again);
    }

    /// Adds the gradient in spare to the one of `value` that was there, if there was one.
    fn merge(&self, value: usize, backward: &mut Backward<'_>, again: bool) {
        if again {
            let to = backward.group.get(value);
            self.pass.tier.run(Accumulate { from: &backward.spare[..to.len()], to });
        }
    }
}
