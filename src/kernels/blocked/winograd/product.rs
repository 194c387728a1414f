//! The products at the 36 points, each a small matrix product: tiles times filters.

use std::ops::Range;

use super::{BLOCK, GROUP, GROUPS, PAIR, PLANE, POINT, POINTS};
use crate::kernels::blocked::blocks;
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Lanes, WIDTH};
use crate::kernels::lengths::product;

/// Floats from one block of channels to the next.
const APART: usize = GROUPS * PLANE;
/// Rows of the largest tile.
const TALLEST: usize = 8;
/// Channels whose products are summed before the next: a pair's filters of so many stay in the nearest cache while all tiles
/// pass.
const DEPTH: usize = 64;

/// A block's points times filters.
pub(super) struct Product<'a> {
    /// By [`Winograd::vectors`].
    pub(super) points: &'a [f32],
    /// Tiles that are used.
    pub(super) count: usize,
    /// Channels read.
    pub(super) read: usize,
    /// Blocks of channels that the filters have in all.
    pub(super) written: usize,
    /// Those to compute, from an even one on.
    pub(super) columns: Range<usize>,
}

/// Multiplies at each point: `sums[written][tile] = Σ points[read][tile] · filters[read][written]`; the first block of `sums` is
/// the first of the columns.
#[inline(always)]
pub(super) fn multiply<L: Lanes>(l: L, factors: &Product<'_>, (filters, sums): (&[f32], &mut [f32])) {
    let Product { points, count, read, written, ref columns } = *factors;
    let filter = product([read, written, WIDTH]);
    let pairs = columns.start.is_multiple_of(PAIR) && (columns.end == written || columns.end.is_multiple_of(PAIR));
    assert!(pairs && columns.end <= written && count <= BLOCK, "winograd: whole pairs of blocks");
    assert!(points.len() >= super::points(blocks(read)) && sums.len() >= super::points(columns.len()), "winograd: sizes");
    assert!(filters.len() >= product([POINTS, filter]), "winograd: filters");
    for (point, first) in (0..POINTS).flat_map(|point| (0..read).step_by(DEPTH).map(move |first| (point, first))) {
        let mut tiles = AtPoint {
            points: points[point * POINT..].as_ptr(),
            filters: filters[point * filter..][..filter].as_ptr(),
            sums: sums[point * POINT..].as_mut_ptr(),
            read,
            channels: first..read.min(first + DEPTH),
            first: columns.start,
            share: WIDTH.div_ceil(count.div_ceil(TALLEST)),
            pairs: columns.len().div_ceil(PAIR),
        };
        // SAFETY: `count` tiles of all channels read are inside `points`, as many of the columns inside `sums`.
        unsafe { sweep(l, Extent { rows: count, columns: columns.len(), again: false }, &mut tiles) };
    }
}

/// The product at one point.
struct AtPoint {
    points: *const f32,
    filters: *const f32,
    sums: *mut f32,
    read: usize,
    /// Channels that are read now; the first ones' products overwrite what is there.
    channels: Range<usize>,
    /// The first column's block of channels.
    first: usize,
    /// Pairs of columns, each of which calls for some of the next point's vectors.
    pairs: usize,
    /// Steps of sixteen whose next filters a tile calls for, while others call for the rest.
    share: usize,
}

impl Tiles for AtPoint {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        // `sweep`'s rows are multiples of their number from a multiple of it on, so they are in one group.
        let at = row / GROUP * PLANE + row % GROUP * WIDTH;
        // SAFETY: rows are tiles and columns blocks inside what `multiply` checked. Filters lie pair by pair, a last block without
        // partner alone; columns are whole pairs and perhaps that last one, and `sweep` gives pairs first.
        unsafe {
            let block = self.first + column;
            let b = self.filters.add(block * self.read * WIDTH);
            let mut sums = [[l.zero(); C]; R];
            for first in self.channels.clone().step_by(WIDTH) {
                let operands = Operands {
                    a: self.points.add(first / WIDTH * APART + at),
                    row: |r: usize| r * WIDTH,
                    a_step: 1,
                    b: b.add(first * C * WIDTH),
                    b_step: C * WIDTH,
                    b_column: WIDTH,
                };
                // The next pair's filters, and the next point's vectors.
                let next = b.wrapping_add((self.read + first + row / TALLEST * self.share) * C * WIDTH);
                (0..self.share * C).for_each(|vector| l.prefetch(next.wrapping_add(vector * WIDTH)));
                let next = operands.a.wrapping_add(POINT);
                (column / PAIR..R).step_by(self.pairs).for_each(|row| l.prefetch(next.wrapping_add(row * WIDTH)));
                operands.accumulate(l, &mut sums, WIDTH.min(self.channels.end - first));
            }
            let at = self.sums.add(column * APART + at);
            store(l, &sums, Target { at, row: WIDTH, column: APART, add: self.channels.start > 0 });
        }
    }
}
