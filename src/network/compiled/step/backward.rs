//! One group of images backward through the nodes of a segment.

use super::forward::Shared;
use super::memory::disjoint;
use super::norm::NormState;
use super::program::{Node, Op, Program};
use crate::kernels::blocked::activate::ActivateBackward;
use crate::kernels::blocked::conv::Gradients;
use crate::kernels::blocked::norm::{ApplyBackward, MeasureBackward};
use crate::kernels::blocked::pointwise::{Accumulate, Drop, Gate, SumChannels};
use crate::kernels::blocked::pool::{MaxBackward, MeanBackward};

/// A group on its way back.
pub(super) struct Group<'a> {
    /// Its place in the batch.
    pub(super) first: usize,
    /// Images in it.
    pub(super) images: usize,
    /// Whether filters' gradients are added to those of the groups before.
    pub(super) add: bool,
    pub(super) saved: &'a [f32],
    pub(super) winners: &'a [f32],
    pub(super) gradients: &'a mut [f32],
    pub(super) spare: &'a mut [f32],
    pub(super) conv: &'a mut [f32],
    /// Gradients of the convolutions' parameters, of all images of a part.
    pub(super) to: &'a mut [f32],
}

impl Group<'_> {
    /// Where a value's gradient lies.
    fn place(&self, program: &Program, value: usize) -> Option<std::ops::Range<usize>> {
        let value = &program.values[value];
        let start = value.gradient? * program.group;
        Some(start..start + value.maps.len() * self.images)
    }
}

impl Shared<'_> {
    /// Computes what `node` does to gradients. `again` says of its input (and its second one) whether a gradient is there
    /// already, from a later reader.
    pub(super) fn backward(&self, node: &Node, group: &mut Group<'_>, again: [bool; 2]) {
        let (program, tier) = (self.program, self.tier);
        let Some(output) = group.place(program, node.output) else { return };
        let maps = program.values[node.output].maps;
        let input = group.place(program, node.input);
        match &node.op {
            Op::Rectify => {
                let start = program.values[node.input].offset * program.group;
                let values = &group.saved[start..][..output.len()];
                tier.run(Gate { values, gradient: &mut group.gradients[output], scale: 1.0 });
            }
            Op::Drop { p, rectify: true } => {
                let start = program.values[node.input].offset * program.group;
                let values = &group.saved[start..][..output.len()];
                tier.run(Gate { values, gradient: &mut group.gradients[output], scale: self.mask(*p, node.layer).scale() as f32 });
            }
            Op::Drop { p, rectify: false } => {
                let mask = self.mask(*p, node.layer);
                tier.run(Drop { maps, mask: &mask, first: group.first, rectify: false, values: &mut group.gradients[output] });
            }
            Op::Measure(norm) => {
                let x = program.values[node.input].offset * program.group;
                let x = &group.saved[x..][..output.len()];
                let NormState { means, factors, .. } = &self.norms[*norm];
                // The gradient of the norm's output was left by the second sweep, in the next segment.
                let Some(normalized) = program.nodes.iter().find(|n| matches!(n.op, Op::Normalize(n) if n == *norm)) else {
                    return;
                };
                let Some(from) = group.place(program, normalized.output) else { return };
                let (spare, len) = (&mut group.spare[..output.len()], output.len());
                if again[0] {
                    tier.run(ApplyBackward { maps, input: x, gradient: &group.gradients[from], means, factors, output: spare });
                    tier.run(Accumulate { from: &spare[..len], to: &mut group.gradients[output] });
                } else {
                    let (gradient, output) = disjoint(group.gradients, from, output);
                    tier.run(ApplyBackward { maps, input: x, gradient, means, factors, output });
                }
            }
            Op::Normalize(norm) => {
                let place = program.partial(*norm, program.sizes.gradients);
                let (gradient, sums) = disjoint(group.gradients, output, place);
                let start = program.values[node.input].offset * program.group;
                let input = &group.saved[start..][..program.values[node.input].maps.len() * group.images];
                let sums = &mut sums[..2 * maps.len() / maps.plane()];
                tier.run(MeasureBackward { maps, input, gradient, means: &self.norms[*norm].means, sums });
            }
            Op::Conv(at) => self.convolution((node, *at), group, again[0]),
            Op::Max { windows, winners, .. } => {
                let Some(input) = input else { return };
                let winners = &group.winners[winners * program.group..][..output.len()];
                let (output, to) = target((group.gradients, group.spare), output, input.clone(), again[0]);
                tier.run(MaxBackward { windows, winners, output, input: to });
                self.merge(group, Some(input).filter(|_| again[0]));
            }
            Op::Mean(windows) => {
                let Some(input) = input else { return };
                let (output, to) = target((group.gradients, group.spare), output, input.clone(), again[0]);
                tier.run(MeanBackward { windows, output, input: to });
                self.merge(group, Some(input).filter(|_| again[0]));
            }
            Op::Activate(activation) => {
                let Some(input) = input else { return };
                let start = program.values[node.input].offset * program.group;
                let x = &group.saved[start..][..input.len()];
                let (output, gradient) = target((group.gradients, group.spare), output, input.clone(), again[0]);
                tier.run(ActivateBackward { activation: *activation, input: x, output, gradient });
                self.merge(group, Some(input).filter(|_| again[0]));
            }
            Op::Add { other } => {
                let other = group.place(program, *other);
                for (to, again) in [input, other].into_iter().zip(again) {
                    let Some(to) = to else { continue };
                    let (from, to) = disjoint(group.gradients, output.clone(), to);
                    if again { tier.run(Accumulate { from, to }) } else { to.copy_from_slice(from) }
                }
            }
            Op::Copy => {
                let Some(input) = input else { return };
                let (from, to) = disjoint(group.gradients, output, input);
                if again[0] { tier.run(Accumulate { from, to }) } else { to.copy_from_slice(from) }
            }
        }
    }

    /// The gradients of a convolution's filters, bias and input.
    fn convolution(&self, (node, at): (&Node, usize), group: &mut Group<'_>, again: bool) {
        let (program, tier) = (self.program, self.tier);
        let Some(output) = group.place(program, node.output) else { return };
        let (layer, input) = (&program.convs[at], group.place(program, node.input));
        if layer.bias {
            let maps = program.values[node.output].maps;
            tier.run(SumChannels { maps, values: &group.gradients[output.clone()], sums: &mut group.to[layer.to_bias.clone()] });
        }
        let start = program.values[node.input].offset * program.group;
        let x = &group.saved[start..][..program.values[node.input].maps.len() * group.images];
        let (output, to_input) = match input.clone() {
            None => (&group.gradients[output], None),
            Some(input) if again => (&group.gradients[output], Some(&mut group.spare[..input.len()])),
            Some(input) => {
                let (output, to) = disjoint(group.gradients, output, input);
                (output, Some(to))
            }
        };
        let to_input = to_input.map(|to| (self.filters.adjoint(at), to));
        let (to_filters, add, workspace) = (&mut group.to[layer.to_filters.clone()], group.add, &mut *group.conv);
        layer.conv.backward(tier, Gradients { input: x, output, to_input, to_filters, add, workspace });
        self.merge(group, input.filter(|_| again));
    }

    /// Adds the gradient in spare to the one that was there.
    fn merge(&self, group: &mut Group<'_>, to: Option<std::ops::Range<usize>>) {
        if let Some(to) = to {
            let from = &group.spare[..to.len()];
            self.tier.run(Accumulate { from, to: &mut group.gradients[to] });
        }
    }
}

/// The gradient to read, and where the new one goes: to spare where there is one already.
fn target<'a>(
    (gradients, spare): (&'a mut [f32], &'a mut [f32]),
    read: std::ops::Range<usize>,
    write: std::ops::Range<usize>,
    again: bool,
) -> (&'a [f32], &'a mut [f32]) {
    if again { (&gradients[read], &mut spare[..write.len()]) } else { disjoint(gradients, read, write) }
}
