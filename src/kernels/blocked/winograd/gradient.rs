//! The filters' gradient: at each point a product of tiles by tiles.
//!
//! A square of channels at a time, all its points, and back from the points at once: the gradient at the points, four times the
//! filters' size, is never in memory as a whole.

use super::transform::{self, Add, Lying, Whole, Write, square};
use super::{BLOCK, GROUP, GROUPS, PLANE, POINT, POINTS, Winograd};
use crate::kernels::blocked::blocks;
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Lanes, WIDTH};

/// Blocks of channels along each side of a square: few enough that its points stay in the second cache with what they are made of.
const SIDE: usize = 4;

/// A block's points of what went in and of the gradient of what came out.
pub(super) struct Factors<'a> {
    pub(super) points: &'a [f32],
    pub(super) gradients: &'a [f32],
    /// Tiles that are used.
    pub(super) count: usize,
    /// Whether the result is added to what is there.
    pub(super) add: bool,
}

/// Computes `Gᵀ (Σ points[tile][input] · gradients[tile][output]) G` into `to`, tap × input × output, by way of `sums`.
#[inline(always)]
pub(super) fn gather<L: Lanes>(l: L, w: &Winograd, factors: &Factors<'_>, (sums, to): (&mut [f32], &mut [f32])) {
    let Factors { points, gradients, count, add } = *factors;
    let (inputs, outputs) = (w.conv.input.channels, blocks(w.conv.output.channels));
    let tap = inputs * outputs * WIDTH;
    assert!(points.len() >= super::points(blocks(inputs)) && gradients.len() >= super::points(outputs), "winograd: sizes");
    assert!(to.len() == w.gradient() && count <= BLOCK, "winograd: a gradient of another size");
    for (first, column) in (0..inputs).step_by(SIDE * WIDTH).flat_map(|i| (0..outputs).step_by(SIDE).map(move |o| (i, o))) {
        let (rows, columns) = ((SIDE * WIDTH).min(inputs - first), SIDE.min(outputs - column));
        // The extra vector keeps the points from falling into the same few sets of the cache.
        let apart = (rows * columns + 1) * WIDTH;
        assert!(sums.len() >= POINTS * apart, "winograd: sums");
        for point in 0..POINTS {
            let mut tiles = Outer {
                points: points[first / WIDTH * GROUPS * PLANE + point * POINT..].as_ptr(),
                gradients: gradients[column * GROUPS * PLANE + point * POINT..].as_ptr(),
                to: sums[point * apart..].as_mut_ptr(),
                columns,
                count,
            };
            // SAFETY: a point's place has `rows` rows of `columns` vectors, and `count` tiles are inside both factors.
            unsafe { sweep(l, Extent { rows, columns, again: false }, &mut tiles) };
        }
        for vector in 0..rows * columns {
            let place = ((first + vector / columns) * outputs + column + vector % columns) * WIDTH;
            let from = Lying { base: sums[vector * WIDTH..].as_ptr(), places: &Whole { row: 6 * apart, column: apart } };
            let to = Lying { base: to[place..][..8 * tap + WIDTH].as_mut_ptr(), places: &Whole { row: 3 * tap, column: tap } };
            // SAFETY: the sums have all points of the vector; `to` was cut to end after the last of the nine taps.
            unsafe {
                if add {
                    square(l, transform::FilterAdjoint, from, to, &Add);
                } else {
                    square(l, transform::FilterAdjoint, from, to, &Write);
                }
            }
        }
    }
}

/// The product at one point.
struct Outer {
    points: *const f32,
    gradients: *const f32,
    to: *mut f32,
    columns: usize,
    count: usize,
}

impl Tiles for Outer {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        // SAFETY: row + R input channels (of one block, as tiles of `sweep` are) and column + C blocks of output channels are
        // inside each of `count` tiles.
        unsafe {
            let a = self.points.add(row / WIDTH * GROUPS * PLANE + row % WIDTH);
            let b = self.gradients.add(column * GROUPS * PLANE);
            let mut sums = [[l.zero(); C]; R];
            for (group, first) in (0..self.count).step_by(GROUP).enumerate() {
                let (a, b) = (a.add(group * PLANE), b.add(group * PLANE));
                let operands = Operands { a, row: |r: usize| r, a_step: WIDTH, b, b_step: WIDTH, b_column: GROUPS * PLANE };
                operands.accumulate(l, &mut sums, GROUP.min(self.count - first));
            }
            let at = self.to.add((row * self.columns + column) * WIDTH);
            store(l, &sums, Target { at, row: self.columns * WIDTH, column: WIDTH, add: false });
        }
    }
}
