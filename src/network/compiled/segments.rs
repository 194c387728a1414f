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
