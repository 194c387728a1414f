//! The forward pass: a block of tiles to the points, multiplied, and back.

use super::product::{Product, multiply};
use super::transform::{self, Plus, PlusRectified};
use super::window::{Leaving, Window};
use super::{BLOCK, PAIR, Place, STEP, Winograd, vectors};
use crate::kernels::blocked::blocks;
use crate::kernels::blocked::part::{Finish, Output, Part};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::lengths::product;

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
    /// Rows from a multiple of four on, blocks from an even one on.
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
        let (inputs, outputs) = (blocks(from.channels), blocks(to.channels));
        assert!(
            self.input.len() == images * from.len() && self.output.len() == product([images, to.len()]),
            "winograd: other images"
        );
        assert!(self.bias.len() == outputs * WIDTH && self.workspace.len() >= w.workspace(), "winograd: bias or workspace");
        assert!(part.rows.start.is_multiple_of(STEP) && part.blocks.start.is_multiple_of(PAIR), "winograd: whole tiles");
        let (points, sums) = self.workspace.split_at_mut(super::points(inputs));
        let an_image = part.rows.len().div_ceil(STEP) * w.columns;
        let tiles = images * an_image;
        for first in (0..tiles).step_by(BLOCK) {
            let count = BLOCK.min(tiles - first);
            let place = |tile: usize| w.place(first + tile, (part.rows.start, an_image));
            for tile in 0..count {
                let place = place(tile);
                let image = &self.input[place.image * from.len()..][..from.len()];
                for block in 0..inputs {
                    let points = &mut points[vectors(block, tile)..];
                    Window::new(from, block, place, w.conv.padding).read(l, transform::Input, image, points);
                }
            }
            let (read, written) = (from.channels, outputs);
            multiply(l, &Product { points, count, read, written, columns: part.blocks.clone() }, (self.filters, sums));
            for tile in 0..count {
                let place = place(tile);
                let start = place.image * to.len();
                for (column, block) in part.blocks.clone().enumerate() {
                    let bias = l.read(self.bias[block * WIDTH..].first_chunk().unwrap_or(&[0.0; WIDTH]));
                    let sums = &sums[vectors(column, tile)..];
                    let (plus, rectified) = (
                        &Leaving { output: &self.output, start, sink: &Plus(bias) },
                        &Leaving { output: &self.output, start, sink: &PlusRectified(bias) },
                    );
                    if finish.pool {
                        let place = Place { row: place.row / 2, column: place.column / 2, ..place };
                        let window = Window::new(to, block, place, 0);
                        if finish.rectify {
                            window.write_pooled(l, sums, rectified);
                        } else {
                            window.write_pooled(l, sums, plus);
                        }
                        continue;
                    }
                    let window = Window::new(to, block, place, 0);
                    if finish.rectify {
                        window.write(l, transform::Output, sums, rectified);
                    } else {
                        window.write(l, transform::Output, sums, plus);
                    }
                }
            }
        }
    }
}
