//! Where values and gradients lie: each has memory from when it is first written to when it is last read, and not longer.
//!
//! A program is a line of moments: its nodes forward, then (in training) the same nodes backward. What is needed in one segment
//! only lies in the memory of the thread that computes the group; the rest in the batch's. Either way a place is the first gap
//! between what is alive at the same time.

use super::program::{Exit, Memory, Op, Place, Program, Purpose};
use crate::kernels::stripes::Region;

/// From the first moment something is needed to the last.
#[derive(Debug, Clone, Copy)]
struct Life {
    born: usize,
    dies: usize,
    /// Floats an image.
    len: usize,
}

impl Life {
    fn meets(&self, other: &Self) -> bool {
        self.born <= other.dies && other.born <= self.dies
    }
}

/// The lives of all values, or of all gradients.
struct Lives(Vec<Option<Life>>);

impl Lives {
    fn new(program: &Program) -> Self {
        Self(vec![None; program.values.len()])
    }

    /// Notes that `value` is needed at `moment`.
    fn needed(&mut self, program: &Program, value: usize, moment: usize) {
        let len = program.values[value].len();
        let life = self.0[value].get_or_insert(Life { born: moment, dies: moment, len });
        life.born = life.born.min(moment);
        life.dies = life.dies.max(moment);
    }
}

/// Finds everything its place.
pub(super) fn find(program: &mut Program, purpose: Purpose) {
    let training = purpose == Purpose::Training;
    let moments = Moments::new(program);
    let mut values = Lives::new(program);
    values.needed(program, 0, Moments::ENTRY);
    for (at, node) in program.nodes.iter().enumerate() {
        node.reads().chain(node.writes()).for_each(|value| values.needed(program, value, Moments::forward(at)));
        if training {
            node.remembers().into_iter().for_each(|value| values.needed(program, value, moments.backward(at)));
        }
    }
    for at in 0..program.exits.len() {
        let Exit { value, .. } = program.exits[at];
        // In training vectors are made when all nodes are done, else at the end of the segment that completes their maps.
        let completed = program.nodes.iter().rposition(|node| node.output == value).map_or(0, |node| program.segment_of(node));
        program.exits[at].segment = completed;
        values.needed(program, value, if training { moments.middle() } else { Moments::last_of(program, completed) });
    }
    program.memory = place(&values, &moments);
    if training {
        let gradients = gradients(program, &moments);
        program.gradients = place(&gradients, &moments);
        program.again = again(program);
    }
}

/// Finds out, node by node, whether the gradients of what it reads are there already when it goes backward, from a later reader.
fn again(program: &Program) -> Vec<[bool; 2]> {
    let mut written = vec![false; program.values.len()];
    program.exits.iter().for_each(|exit| written[exit.value] = true);
    let mut again = vec![[false; 2]; program.nodes.len()];
    for (node, again) in program.nodes.iter().zip(&mut again).rev() {
        let in_place = node.input == node.output && !matches!(node.op, Op::Measure(_));
        // A norm's first sweep writes the gradient for both.
        if in_place || matches!(node.op, Op::Normalize(_)) {
            continue;
        }
        for (value, again) in node.reads().zip(again) {
            *again = std::mem::replace(&mut written[value], true);
        }
    }
    again
}

/// The lives of the gradients that anyone needs.
fn gradients(program: &Program, moments: &Moments) -> Lives {
    let mut wanted = vec![false; program.values.len()];
    for node in &program.nodes {
        if node.learns() || node.reads().any(|value| wanted[value]) {
            wanted[node.output] = true;
        }
    }
    let mut lives = Lives::new(program);
    let mut needed = |value: usize, moment: usize| {
        if wanted[value] {
            lives.needed(program, value, moment);
        }
    };
    // The last segment begins its way back with the gradients of what the vectors were made of.
    program.exits.iter().for_each(|exit| needed(exit.value, moments.middle()));
    for (at, node) in program.nodes.iter().enumerate() {
        needed(node.output, moments.backward(at));
        if let Some(normalize) = program.normalizes(at) {
            // The first sweep's way back reads what the second sweep's left, and writes the gradient for both.
            needed(program.nodes[normalize].output, moments.backward(at));
        }
        if !matches!(node.op, Op::Normalize(_)) {
            node.reads().for_each(|value| needed(value, moments.backward(at)));
        }
    }
    lives
}

impl Program {
    /// The node that normalises what the one at `at` measures, if it measures.
    pub(super) fn normalizes(&self, at: usize) -> Option<usize> {
        matches!(self.nodes[at].op, Op::Measure(_)).then_some(at + 1)
    }

    fn segment_of(&self, node: usize) -> usize {
        self.segments.partition_point(|segment| segment.nodes.end <= node)
    }
}

/// The line of moments, and which stretch of work each belongs to: segments forward, then segments backward.
struct Moments {
    stretch: Vec<usize>,
    nodes: usize,
    segments: usize,
}

impl Moments {
    fn new(program: &Program) -> Self {
        let (nodes, segments) = (program.nodes.len(), program.segments.len());
        let last = 2 * segments - 1;
        let forward = || (0..nodes).map(|node| program.segment_of(node));
        // Images enter with the first segment; where the vectors are belongs to the last segment's way back.
        let stretch =
            std::iter::once(0).chain(forward()).chain([segments]).chain(forward().rev().map(|segment| last - segment)).collect();
        Self { stretch, nodes, segments }
    }

    /// When images come in.
    const ENTRY: usize = 0;

    fn forward(node: usize) -> usize {
        1 + node
    }

    fn middle(&self) -> usize {
        1 + self.nodes
    }

    fn backward(&self, node: usize) -> usize {
        1 + 2 * self.nodes - node
    }

    /// The last moment of a segment's way forward.
    fn last_of(program: &Program, segment: usize) -> usize {
        program.segments[segment].nodes.end
    }

    /// The segment of a stretch.
    fn segment(&self, stretch: usize) -> usize {
        if stretch < self.segments { stretch } else { 2 * self.segments - 1 - stretch }
    }
}

fn place(lives: &Lives, moments: &Moments) -> Memory {
    let mut memory = Memory {
        places: vec![None; lives.0.len()],
        regions: vec![Vec::new(); 2 * moments.segments],
        batch: 0,
        thread: vec![0; moments.segments],
    };
    let mut order: Vec<(usize, Life)> = lives.0.iter().enumerate().filter_map(|(at, life)| Some((at, (*life)?))).collect();
    order.sort_by_key(|&(_, life)| life.born);
    // What has a place already, in the batch's memory (its life in stretches) and in each stretch's threads'.
    let mut batch: Vec<(Life, usize)> = Vec::new();
    let mut thread: Vec<Vec<(Life, usize)>> = vec![Vec::new(); 2 * moments.segments];
    for (value, life) in order {
        let (first, last) = (moments.stretch[life.born], moments.stretch[life.dies]);
        memory.places[value] = Some(if first == last {
            let offset = gap(&thread[first], life);
            thread[first].push((life, offset));
            let most = &mut memory.thread[moments.segment(first)];
            *most = (*most).max(offset + life.len);
            Place::Thread(offset)
        } else {
            let life = Life { born: first, dies: last, ..life };
            let region = Region { offset: gap(&batch, life), len: life.len };
            batch.push((life, region.offset));
            memory.batch = memory.batch.max(region.offset + region.len);
            (first..=last).for_each(|stretch| memory.regions[stretch].push(region));
            Place::Batch(region)
        });
    }
    memory.regions.iter_mut().for_each(|regions| regions.sort_unstable());
    memory
}

/// The first gap for something that lives so.
fn gap(placed: &[(Life, usize)], life: Life) -> usize {
    let mut taken: Vec<(usize, usize)> =
        placed.iter().filter(|(other, _)| other.meets(&life)).map(|(other, offset)| (*offset, other.len)).collect();
    taken.sort_unstable();
    let mut offset = 0;
    for (start, len) in taken {
        if offset + life.len <= start {
            break;
        }
        offset = offset.max(start + len);
    }
    offset
}
