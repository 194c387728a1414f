//! A node computed for a group of images. It knows neither how images are grouped nor whose parameters it reads.

use super::group::Group;
use super::program::{Node, Op, Program};
use crate::kernels::blocked::activate::Activate;
use crate::kernels::blocked::conv::{Applied, Images};
use crate::kernels::blocked::norm::{Apply, Measure};
use crate::kernels::blocked::pointwise::{Accumulate, Drop, Rectify};
use crate::kernels::blocked::pool::{Max, Mean};
use crate::kernels::dropout::Mask;
use crate::kernels::lanes::WIDTH;
use crate::kernels::team::Chunks;
use crate::kernels::{Buffer, Crew, Team, Tier};
use crate::network::learner::dropout_seed;

/// Parameters in the orders the kernels read.
pub(super) trait Parameters: Sync {
    /// Filters and bias of the convolution at this place of [`Program::convs`].
    fn filters(&self, conv: usize) -> (&[f32], &[f32]);

    /// Of the batch norm at this place of [`Program::norms`].
    fn affine(&self, norm: usize) -> Affine<'_>;
}

/// A batch norm as [`Apply`] takes it: `(x − mean) · scale + shift`, each filled up to a block.
#[derive(Clone, Copy)]
pub(super) struct Affine<'a> {
    pub(super) means: &'a [f32],
    pub(super) scale: &'a [f32],
    pub(super) shift: &'a [f32],
}

/// What one thread computes in; grows to what is needed.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// Values of a group of images.
    pub(super) scratch: Buffer,
    /// A convolution's.
    pub(super) conv: Buffer,
    /// A second gradient of one value.
    pub(super) spare: Buffer,
}

impl AsMut<[f32]> for Workspace {
    fn as_mut(&mut self) -> &mut [f32] {
        &mut self.conv
    }
}

/// Who computes a node.
pub(super) enum Hands<'a> {
    /// One thread, beside others that have other images.
    One(&'a mut [f32]),
    /// All.
    All(&'a Team, &'a mut [Workspace]),
}

impl Hands<'_> {
    /// Does `f` on planes of sixteen channels, which are computed apart from each other: all together, or a plane (of `floats`) a
    /// task. `f` is told which plane its output begins with.
    fn planes(&self, output: &mut [f32], floats: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
        match self {
            Self::One(_) => f(0, output),
            Self::All(team, _) => team.each(Chunks::new(output, floats), f),
        }
    }
}

/// One forward pass.
pub(super) struct Pass<'a, P> {
    pub(super) program: &'a Program,
    pub(super) parameters: &'a P,
    pub(super) tier: Tier,
    /// Seeds the dropout masks, where there are any.
    pub(super) seed: u64,
}

impl<P: Parameters> Pass<'_, P> {
    /// The mask of the dropout layer at `layer`.
    pub(super) fn mask(&self, p: f64, layer: usize) -> Mask {
        Mask::new(p, dropout_seed(self.seed, layer))
    }

    /// Brings a group's images (image × channel × height × width) into the layout.
    pub(super) fn enter(&self, images: &[f32], group: &mut Group<'_>) {
        let maps = self.program.values[0];
        let plain = images.chunks_exact(self.program.image_len());
        for (plain, blocked) in plain.zip(group.get(0).chunks_exact_mut(maps.len())) {
            maps.block(plain, blocked);
        }
    }

    /// Computes `node`; a first sweep's partial sums go to `moments`.
    pub(super) fn compute(&self, node: &Node, group: &mut Group<'_>, mut hands: Hands<'_>, moments: &mut [f32]) {
        let (program, tier) = (self.program, self.tier);
        let (from, to) = (program.values[node.input], program.values[node.output]);
        let (read, written) = (from.plane() * WIDTH, to.plane() * WIDTH);
        match node.op {
            Op::Conv(at) => {
                let conv = &program.convs[at];
                let (filters, bias) = self.parameters.filters(at);
                let applied = Applied { filters, bias, finish: conv.finish };
                let (input, output) = group.pair(node.input, node.output);
                let images = Images { input, output };
                match &mut hands {
                    Hands::One(workspace) => conv.conv.forward(tier, images, applied, workspace),
                    Hands::All(team, workspaces) => conv.conv.forward_together(Crew { tier, team }, images, applied, workspaces),
                }
            }
            Op::Measure(at) => {
                let moments = &mut moments[..program.norms[at].partial()];
                tier.run(Measure { maps: from, input: group.get(node.input), moments });
            }
            Op::Normalize(at) => {
                let affine = self.parameters.affine(at);
                let (input, output) = group.pair(node.input, node.output);
                hands.planes(output, written, |plane, output| {
                    let [means, scale, shift] = [affine.means, affine.scale, affine.shift].map(|all| &all[plane * WIDTH..]);
                    let input = &input[plane * read..][..output.len()];
                    tier.run(Apply { maps: to, input, output, means, scale, shift });
                });
            }
            Op::Rectify => hands.planes(group.get(node.output), written, |_, values| tier.run(Rectify { values })),
            Op::Drop { layer, p, rectify } => {
                let mask = self.mask(p, layer);
                let first = group.images.start;
                tier.run(Drop { maps: to, mask: &mask, first, rectify, values: group.get(node.output) });
            }
            Op::Max { ref windows, rectify, winners: Some(winners) } => {
                let [input, output, winners] = group.several([node.input, node.output, winners]);
                tier.run(Max { windows, rectify, input, output, winners: Some(winners) });
            }
            Op::Max { ref windows, rectify, winners: None } => {
                let (input, output) = group.pair(node.input, node.output);
                hands.planes(output, written, |plane, output| {
                    let input = &input[plane * read..][..output.len() / written * read];
                    tier.run(Max { windows, rectify, input, output, winners: None });
                });
            }
            Op::Mean(ref windows) => {
                let (input, output) = group.pair(node.input, node.output);
                hands.planes(output, written, |plane, output| {
                    tier.run(Mean { windows, input: &input[plane * read..][..output.len() / written * read], output });
                });
            }
            Op::Activate(activation) => {
                let (input, output) = group.pair(node.input, node.output);
                hands.planes(output, written, |plane, output| {
                    tier.run(Activate { activation, input: &input[plane * read..][..output.len()], output });
                });
            }
            Op::Add { other } => {
                let (input, output) = group.pair(node.input, node.output);
                output.copy_from_slice(input);
                let (from, to) = group.pair(other, node.output);
                tier.run(Accumulate { from, to });
            }
            Op::Copy => {
                let (input, output) = group.pair(node.input, node.output);
                output.copy_from_slice(input);
            }
            Op::Same => {}
        }
    }
}
