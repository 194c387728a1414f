//! Images through the nodes that work on feature maps: groups of them side by side, or one with all threads on each node.

use std::ops::Range;

use super::program::{MapsProgram, Node, Op};
use super::sight::Sight;
use super::vectors::{Vectors, flatten};
use super::{Machine, Workspace};
use crate::kernels::blocked::activate::Activate;
use crate::kernels::blocked::norm::Apply;
use crate::kernels::blocked::pointwise::{Accumulate, Rectify};
use crate::kernels::blocked::pool::{Max, Mean};
use crate::kernels::lanes::WIDTH;
use crate::kernels::team::Chunks;

/// Who computes a node.
enum Hands<'a> {
    /// One thread, beside others that have other images.
    One(&'a mut [f32]),
    /// All.
    All(&'a mut [Workspace]),
}

impl MapsProgram {
    /// From images to the first vector.
    pub(super) fn run(
        &self,
        machine: &Machine,
        (images, batch): (&[f32], usize),
        (vectors, sight): (&mut Vectors, &mut Sight<'_>),
        workspaces: &mut [Workspace],
    ) {
        let group = self.group.min(batch.div_ceil(machine.team.size()));
        for workspace in &mut *workspaces {
            workspace.scratch.grow(self.scratch * group);
            workspace.conv.grow(self.workspace());
        }
        let (order, exit) = (vectors.order(), &self.values[self.exit]);
        let image = images.len() / batch;
        let (rows, stride) = vectors.entry(batch);
        if batch > 1 && !sight.is_open() {
            machine.team.split(Chunks::new(rows, stride * group), workspaces, |at, rows, workspace| {
                let Workspace { scratch, conv } = workspace;
                let images = &images[at * group * image..][..rows.len() / stride * image];
                let mut values = Values { program: self, scratch, images: rows.len() / stride };
                values.enter(images);
                for node in &self.nodes {
                    values.compute(machine, node, Hands::One(conv));
                }
                let results = values.get(self.exit).chunks_exact(exit.maps.len());
                for (result, row) in results.zip(rows.chunks_exact_mut(stride)) {
                    flatten(order, (exit.maps, result), row);
                }
            });
            return;
        }
        let Some(first) = workspaces.first_mut() else { return };
        let mut scratch = std::mem::take(&mut first.scratch);
        for (at, (image, row)) in images.chunks_exact(image).zip(rows.chunks_exact_mut(stride)).enumerate() {
            let mut values = Values { program: self, scratch: &mut scratch, images: 1 };
            values.enter(image);
            for node in &self.nodes {
                values.compute(machine, node, Hands::All(workspaces));
                if let Some(layer) = node.layer.filter(|_| sight.is_open()) {
                    sight.maps((layer, at), self.values[node.output].maps, values.get(node.output));
                }
            }
            flatten(order, (exit.maps, values.get(self.exit)), row);
        }
        if let Some(first) = workspaces.first_mut() {
            first.scratch = scratch;
        }
    }
}

/// A group's values.
struct Values<'a> {
    program: &'a MapsProgram,
    scratch: &'a mut [f32],
    images: usize,
}

impl Values<'_> {
    fn place(&self, value: usize) -> Range<usize> {
        let value = &self.program.values[value];
        let start = value.offset * self.images;
        start..start + value.maps.len() * self.images
    }

    fn get(&mut self, value: usize) -> &mut [f32] {
        let place = self.place(value);
        &mut self.scratch[place]
    }

    /// One value to read and another to write.
    fn pair(&mut self, read: usize, write: usize) -> (&[f32], &mut [f32]) {
        let (read, write) = (self.place(read), self.place(write));
        match self.scratch.get_disjoint_mut([read, write]) {
            Ok([read, write]) => (read, write),
            // Values that live at the same time have places of their own.
            Err(_) => unreachable!("two values in one place"),
        }
    }

    /// Brings images into the layout.
    fn enter(&mut self, images: &[f32]) {
        let maps = self.program.values[0].maps;
        let plain = images.chunks_exact(maps.channels * maps.plane());
        for (plain, blocked) in plain.zip(self.get(0).chunks_exact_mut(maps.len())) {
            maps.block(plain, blocked);
        }
    }

    fn compute(&mut self, machine: &Machine, node: &Node, hands: Hands<'_>) {
        let program = self.program;
        let tier = machine.tier;
        let (from, to) = (program.values[node.input].maps, program.values[node.output].maps);
        let (read, written) = (from.plane() * WIDTH, to.plane() * WIDTH);
        // Planes of sixteen channels are computed apart from each other.
        let planes = |hands: &Hands<'_>, output: &mut [f32], f: &(dyn Fn(usize, &mut [f32]) + Sync)| match hands {
            Hands::One(_) => f(0, output),
            Hands::All(_) => machine.team.each(Chunks::new(output, written), f),
        };
        match &node.op {
            Op::Conv(at) => {
                let layer = &program.convs[*at];
                let pair = self.pair(node.input, node.output);
                match hands {
                    Hands::One(workspace) => layer.conv.forward(tier, pair, layer.applied(), workspace),
                    Hands::All(workspaces) => {
                        layer.conv.forward_together((tier, &machine.team), pair, layer.applied(), workspaces);
                    }
                }
            }
            Op::Norm(at) => {
                let layer = &program.norms[*at];
                let (input, output) = self.pair(node.input, node.output);
                planes(&hands, output, &|plane, output| {
                    let [means, scale, shift] = [&layer.means, &layer.scale, &layer.shift].map(|all| &all[plane * WIDTH..]);
                    let input = &input[plane * read..][..output.len()];
                    tier.run(Apply { maps: to, input, output, means, scale, shift });
                });
            }
            Op::Rectify => planes(&hands, self.get(node.output), &|_, values| tier.run(Rectify { values })),
            Op::Activate(activation) => {
                let (input, output) = self.pair(node.input, node.output);
                planes(&hands, output, &|plane, output| {
                    tier.run(Activate { activation: *activation, input: &input[plane * read..][..output.len()], output });
                });
            }
            Op::Max(windows) => {
                let (input, output) = self.pair(node.input, node.output);
                planes(&hands, output, &|plane, output| {
                    let input = &input[plane * read..][..output.len() / written * read];
                    tier.run(Max { windows, rectify: false, input, output, winners: None });
                });
            }
            Op::Mean(windows) => {
                let (input, output) = self.pair(node.input, node.output);
                planes(&hands, output, &|plane, output| {
                    tier.run(Mean { windows, input: &input[plane * read..][..output.len() / written * read], output });
                });
            }
            Op::Add { other } => {
                let (input, output) = self.pair(node.input, node.output);
                output.copy_from_slice(input);
                let (from, to) = self.pair(*other, node.output);
                tier.run(Accumulate { from, to });
            }
            Op::Copy => {
                let (input, output) = self.pair(node.input, node.output);
                output.copy_from_slice(input);
            }
            Op::Same => {}
        }
    }
}
