//! The forward pass: a block of tiles to the points, multiplied, and back.

use super::transform::{self, Plus, PlusRectified};
use super::window::Window;
use super::{CHUNK, POINTS, Place, STEP, Winograd};
use crate::kernels::blocked::blocks;
use crate::kernels::blocked::part::{Finish, Output, Part};
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};

/// Convolves a part of some images.
pub struct Forward<'a> {
    /// Sizes.
    pub winograd: &'a Winograd,
    /// Images in the blocked layout.
    pub input: &'a [f32],
    /// Filters by [`super::Pack`].
    pub filters: &'a [f32],
    /// One number a channel, filled up to a block with zeros.
    pub bias: &'a [f32],
    /// As many images in the blocked layout.
    pub output: Output<'a>,
    /// Rows from a multiple of four on, blocks from a multiple of four on.
    pub part: &'a Part,
    /// What happens to the result.
    pub finish: Finish,
    /// [`Winograd::workspace`] floats.
    pub workspace: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { winograd: w, part, finish, .. } = self;
        let (from, to) = (w.conv.input, finish.written(w.conv.output));
        let images = self.input.len() / from.len();
        let (inputs, outputs) = (w.padded_inputs(), blocks(to.channels));
        assert!(self.input.len() == images * from.len() && self.output.len() == images * to.len(), "winograd: other images");
        assert!(self.bias.len() == outputs * WIDTH && self.workspace.len() >= w.workspace(), "winograd: bias or workspace");
        assert!(part.rows.start.is_multiple_of(STEP) && part.blocks.start.is_multiple_of(CHUNK), "winograd: whole tiles");
        let (points, sums) = self.workspace.split_at_mut(POINTS * w.point(inputs));
        let an_image = part.rows.len().div_ceil(STEP) * w.columns;
        let tiles = images * an_image;
        let place = |tile: usize| w.place(tile, (part.rows.start, an_image));
        for first in (0..tiles).step_by(w.block) {
            let count = w.block.min(tiles - first);
            for tile in 0..count {
                let place = place(first + tile);
                let image = &self.input[place.image * from.len()..][..from.len()];
                for block in 0..blocks(from.channels) {
                    let points = (&mut points[tile * inputs + block * WIDTH..], w.point(inputs));
                    Window::new(from, block, place, w.conv.padding).read(l, transform::Input, image, points);
                }
            }
            for chunk in part.blocks.clone().step_by(CHUNK) {
                let columns = CHUNK.min(part.blocks.end - chunk);
                let product = Product { points, count, read: from.channels, written: outputs, chunk: (chunk, columns) };
                multiply(l, w, &product, (self.filters, sums));
                for tile in 0..count {
                    let place = place(first + tile);
                    let start = place.image * to.len();
                    for block in 0..columns {
                        let bias = l.read(self.bias[(chunk + block) * WIDTH..].first_chunk().unwrap_or(&[0.0; WIDTH]));
                        let sums = (&sums[tile * columns * WIDTH + block * WIDTH..], w.point(columns * WIDTH));
                        if finish.pool {
                            let place = Place { row: place.row / 2, column: place.column / 2, ..place };
                            let window = Window::new(to, chunk + block, place, 0);
                            window.write_pooled(l, sums, (bias, finish.rectify), (&self.output, start));
                            continue;
                        }
                        let window = Window::new(to, chunk + block, place, 0);
                        if finish.rectify {
                            window.write(l, transform::Output, sums, (&self.output, start, &PlusRectified(bias)));
                        } else {
                            window.write(l, transform::Output, sums, (&self.output, start, &Plus(bias)));
                        }
                    }
                }
            }
        }
    }
}

/// A block's points times filters.
pub(super) struct Product<'a> {
    /// Point × tile × channel.
    pub(super) points: &'a [f32],
    /// Tiles that are used.
    pub(super) count: usize,
    /// Channels read.
    pub(super) read: usize,
    /// Vectors of channels that the filters have in all.
    pub(super) written: usize,
    /// First vector to compute (even) and how many.
    pub(super) chunk: (usize, usize),
}

/// Multiplies at each point: `sums[point][tile][written] = Σ points[point][tile][read] · filters[point][read][written]`.
#[inline(always)]
pub(super) fn multiply<L: Lanes>(l: L, w: &Winograd, product: &Product<'_>, (filters, sums): (&[f32], &mut [f32])) {
    let Product { points, count, read, written, chunk: (first, columns) } = *product;
    let padded = blocks(read) * WIDTH;
    let filter = read * written * WIDTH;
    let (from, to) = (w.point(padded), w.point(columns * WIDTH));
    assert!(first.is_multiple_of(2) && first + columns <= written, "winograd: a chunk of whole pairs");
    assert!(points.len() >= POINTS * from && filters.len() >= POINTS * filter && sums.len() >= POINTS * to, "winograd: sizes");
    for point in 0..POINTS {
        let mut tiles = Point {
            points: &points[point * from..][..from],
            filters: &filters[point * filter..][..filter],
            sums: &mut sums[point * to..][..to],
            read,
            written,
            chunk: (first, columns),
        };
        // SAFETY: `count` tiles of `padded` channels are inside `from` floats, `columns` vectors of them inside `to`.
        unsafe { sweep(l, Extent { rows: count, columns, again: false }, &mut tiles) };
    }
}

struct Point<'a> {
    points: &'a [f32],
    filters: &'a [f32],
    sums: &'a mut [f32],
    read: usize,
    written: usize,
    chunk: (usize, usize),
}

impl Tiles for Point<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let padded = blocks(self.read) * WIDTH;
        let (first, columns) = self.chunk;
        // `sweep` gives pairs first, so a column is even, and single only where the last block has no partner in the
        // filters either (`chunk` holds whole pairs, but for the last).
        debug_assert!(C == 2 || first + column + 1 == self.written);
        // SAFETY: rows are tiles and columns vectors inside the slices, as `multiply` asserted; filters are packed pair by
        // pair, `read` steps of C vectors each.
        unsafe {
            let operands = Operands {
                a: self.points.as_ptr().add(row * padded),
                row: |r: usize| r * padded,
                a_step: 1,
                b: self.filters.as_ptr().add((first + column) * self.read * WIDTH),
                b_step: C * WIDTH,
                b_column: WIDTH,
            };
            let mut sums = [[l.zero(); C]; R];
            operands.accumulate(l, &mut sums, self.read);
            let at = self.sums.as_mut_ptr().add((row * columns + column) * WIDTH);
            store(l, &sums, Target { at, row: columns * WIDTH, column: WIDTH, add: false });
        }
    }
}
