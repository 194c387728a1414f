//! Images through the nodes that work on feature maps: groups of them side by side, or one with all threads on each node.

use super::Compiled;
use super::sight::Sight;
use super::vectors::flatten;
use crate::kernels::stripes::{Region, Share, Stripe, Stripes};
use crate::network::compiled::Machine;
use crate::network::compiled::forward::{Hands, Parameters, Pass, Workspace};
use crate::network::compiled::group::Group;
use crate::network::compiled::program::Program;

impl Compiled {
    /// From images to the first vectors.
    pub(super) fn maps(&mut self, machine: &Machine, images: &[f32], sight: &mut Sight<'_>, workspaces: &mut [Workspace]) {
        let Self { program, packed, batch: memory, vectors } = self;
        let program = &**program;
        let batch = images.len() / program.image_len();
        memory.grow(program.memory.batch * batch);
        let pass = Pass { program, parameters: &**packed, tier: machine.tier, seed: 0 };
        let together = batch > 1 && !sight.is_open();
        for (at, segment) in program.segments.iter().enumerate() {
            let most = if together { segment.group.min(batch.div_ceil(machine.team.size())) } else { 1 };
            for workspace in &mut *workspaces {
                workspace.scratch.grow(program.memory.thread[at] * most);
                workspace.conv.grow(program.workspace());
            }
            let share = Share { batch, images: most };
            let (entries, regions) = vectors.entries();
            let mut values = Stripes::new(memory, &program.memory.regions[at], share);
            let mut rows = Stripes::new(entries, regions, share);
            let way = Way { at, images, regions };
            if together {
                machine.team.split((values, rows), workspaces, |_, (values, mut rows), workspace| {
                    let Workspace { scratch, conv, .. } = workspace;
                    let mut group = way.enter(&pass, values, scratch);
                    for node in &program.nodes[segment.nodes.clone()] {
                        pass.compute(node, &mut group, Hands::One(conv), &mut []);
                    }
                    way.leave(program, &mut group, &mut rows);
                });
                continue;
            }
            let Some(first) = workspaces.first_mut() else { return };
            let mut scratch = std::mem::take(&mut first.scratch);
            for image in 0..batch {
                let mut group = way.enter(&pass, values.stripe(image), &mut scratch);
                for node in &program.nodes[segment.nodes.clone()] {
                    pass.compute(node, &mut group, Hands::All(&machine.team, workspaces), &mut []);
                    if let Some(layer) = node.layer.filter(|_| sight.is_open()) {
                        sight.maps(layer, image, program.values[node.output], group.get(node.output));
                    }
                }
                way.leave(program, &mut group, &mut rows.stripe(image));
            }
            if let Some(first) = workspaces.first_mut() {
                first.scratch = scratch;
            }
        }
    }
}

/// A segment, and what comes into the program and goes out of it there.
struct Way<'a> {
    at: usize,
    images: &'a [f32],
    /// Of the exits.
    regions: &'a [Region],
}

impl Way<'_> {
    /// Begins with a group; with the first segment images come in.
    fn enter<'g, P: Parameters>(&self, pass: &Pass<'g, P>, stripe: Stripe<'g>, scratch: &'g mut [f32]) -> Group<'g> {
        let program = pass.program;
        let images = stripe.images();
        let mut group = Group { memory: &program.memory, maps: &program.values, stripe, scratch, images: images.clone() };
        if self.at == 0 {
            let len = program.image_len();
            pass.enter(&self.images[images.start * len..images.end * len], &mut group);
        }
        group
    }

    /// Flattens what the segment completes.
    fn leave(&self, program: &Program, group: &mut Group<'_>, rows: &mut Stripe<'_>) {
        for (exit, &region) in program.exits.iter().zip(self.regions).filter(|(exit, _)| exit.segment == self.at) {
            let maps = program.values[exit.value];
            let [row] = rows.get(&group.images, [Some(region)]);
            // It was asked for.
            let Some(row) = row else { unreachable!("an exit has its part of the entries") };
            let rows = row.chunks_exact_mut(region.len);
            for (values, row) in group.get(exit.value).chunks_exact(maps.len()).zip(rows) {
                flatten(exit.order, maps, values, row);
            }
        }
    }
}
