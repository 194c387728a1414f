//! Where a program is cut, and how many images go through each segment together.
//!
//! Winograd's products fill their registers with the tiles of several images where planes are small, but so many images of large
//! planes would not stay in the cache from one node to the next. Where the same number serves all nodes, there is one segment.

use super::program::{Op, Program, Segment};

/// What a group's values may take while a node is computed: about what one of a server's cores has of the last cache.
const BUDGET: usize = 16 << 20;

/// Cuts where a whole batch is needed at once, and where the number of images changes.
pub(super) fn cut(program: &Program) -> Vec<Segment> {
    let wanted: Vec<usize> = program.nodes.iter().map(|node| images_wanted(program, &node.op)).collect();
    let most = wanted.iter().copied().max().unwrap_or(1);
    // Whether so many images as any node wants go through this one.
    let fits: Vec<bool> = program
        .nodes
        .iter()
        .map(|node| {
            let floats: usize = node.reads().chain(node.writes()).map(|value| program.values[value].len()).sum();
            floats.saturating_mul(most * size_of::<f32>()) <= BUDGET
        })
        .collect();
    if program.nodes.is_empty() {
        return vec![Segment { nodes: 0..0, group: 1 }];
    }
    let mut segments = Vec::new();
    let mut start = 0;
    for at in 1..=program.nodes.len() {
        let end = program.nodes.get(at).is_none_or(|node| matches!(node.op, Op::Normalize(_)) && whole_batch(program, at));
        if end || fits[at] != fits[start] {
            let group = if fits[start] { most } else { wanted[start..at].iter().copied().max().unwrap_or(1) };
            segments.push(Segment { nodes: start..at, group });
            start = at;
        }
    }
    segments
}

/// Whether the node before `at` measures the whole batch.
fn whole_batch(program: &Program, at: usize) -> bool {
    matches!(program.nodes[at - 1].op, Op::Measure(_))
}

fn images_wanted(program: &Program, op: &Op) -> usize {
    match op {
        Op::Conv(at) => program.convs[*at].conv.images_at_a_time(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::compiled::Network;
    use crate::network::compiled::program::Purpose;
    use crate::network::{Architecture, infer, presets};

    fn segments(architecture: &Architecture, purpose: Purpose) -> Vec<Segment> {
        let layers = infer(architecture).unwrap();
        Program::new(Network { architecture, layers: &layers }, purpose).segments
    }

    #[test]
    fn small_planes_do_not_make_large_ones_go_through_many_at_a_time() {
        let resnet = Architecture::from_toml(include_str!("../../../tests/data/networks/resnet18.toml")).unwrap();
        let groups: Vec<usize> = segments(&resnet, Purpose::Evaluation).iter().map(|segment| segment.group).collect();
        assert!(groups.len() > 1 && groups[0] < groups[groups.len() - 1], "{groups:?}");
        let nodes: usize = segments(&resnet, Purpose::Training).iter().map(|segment| segment.nodes.len()).sum();
        assert_eq!(nodes, segments(&resnet, Purpose::Training).last().unwrap().nodes.end, "every node once");
    }

    #[test]
    fn a_network_whose_planes_are_small_is_one_segment_but_for_batch_norm() {
        for architecture in ["speedrun", "tutorial"].map(|name| presets::named(name).unwrap()) {
            assert_eq!(segments(&architecture, Purpose::Evaluation).len(), 1);
            let training = segments(&architecture, Purpose::Training);
            assert!(training.windows(2).all(|pair| pair[0].group == pair[1].group), "{training:?}");
        }
    }
}
