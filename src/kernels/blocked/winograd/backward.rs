//! The backward pass, the exact adjoint of the forward one: both gradients from one transform of the output's.

use super::forward::{Product, multiply};
use super::transform::{self, Add};
use super::window::Window;
use super::{CHUNK, POINTS, Winograd};
use crate::kernels::blocked::blocks;
use crate::kernels::blocked::part::Output;
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};

/// Gradients of some images.
pub struct Backward<'a> {
    /// Sizes.
    pub winograd: &'a Winograd,
    /// What the forward pass read.
    pub input: &'a [f32],
    /// Gradient of what it wrote.
    pub gradient: &'a [f32],
    /// Filters by [`super::Pack`] with `adjoint`, and where the input's gradient goes; none where nobody wants it.
    pub to_input: Option<(&'a [f32], &'a mut [f32])>,
    /// [`Winograd::gradient`] floats, added to.
    pub to_filters: &'a mut [f32],
    /// [`Winograd::workspace`] floats.
    pub workspace: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, l: L) {
        let w = self.winograd;
        let (from, to) = (w.conv.input, w.conv.output);
        let images = self.input.len() / from.len();
        let (inputs, outputs) = (w.padded_inputs(), w.padded_outputs());
        assert!(self.input.len() == images * from.len() && self.gradient.len() == images * to.len(), "winograd: other images");
        assert!(self.to_filters.len() == w.gradient() && self.workspace.len() >= w.workspace(), "winograd: other sizes");
        if let Some((_, gradient)) = &mut self.to_input {
            assert!(gradient.len() == self.input.len(), "winograd: a gradient of another size");
            gradient.fill(0.0);
        }
        let (points, rest) = self.workspace.split_at_mut(POINTS * w.point(inputs));
        let (gradients, sums) = rest.split_at_mut(POINTS * w.point(outputs));
        let tiles = images * w.tiles();
        for first in (0..tiles).step_by(w.block) {
            let count = w.block.min(tiles - first);
            for tile in 0..count {
                let place = w.place(first + tile, (0, w.tiles()));
                let image = &self.gradient[place.image * to.len()..][..to.len()];
                for block in 0..blocks(to.channels) {
                    let points = (&mut gradients[tile * outputs + block * WIDTH..], w.point(outputs));
                    Window::new(to, block, place, 0).read(l, transform::OutputAdjoint, image, points);
                }
                let image = &self.input[place.image * from.len()..][..from.len()];
                for block in 0..blocks(from.channels) {
                    let points = (&mut points[tile * inputs + block * WIDTH..], w.point(inputs));
                    Window::new(from, block, place, w.conv.padding).read(l, transform::Input, image, points);
                }
            }
            if let Some((filters, gradient)) = &mut self.to_input {
                let written = blocks(from.channels);
                for chunk in (0..written).step_by(CHUNK) {
                    let columns = CHUNK.min(written - chunk);
                    let product = Product { points: gradients, count, read: to.channels, written, chunk: (chunk, columns) };
                    multiply(l, w, &product, (filters, sums));
                    for tile in 0..count {
                        let place = w.place(first + tile, (0, w.tiles()));
                        let image = &mut gradient[place.image * from.len()..][..from.len()];
                        for block in 0..columns {
                            let sums = (&sums[tile * columns * WIDTH + block * WIDTH..], w.point(columns * WIDTH));
                            let window = Window::new(from, chunk + block, place, w.conv.padding);
                            window.write(l, transform::InputAdjoint, sums, (&Output::new(image), 0, &Add));
                        }
                    }
                }
            }
            add_products(l, w, &Factors { points, gradients, count }, self.to_filters);
        }
    }
}

/// A block's inputs and gradients at the points.
struct Factors<'a> {
    points: &'a [f32],
    gradients: &'a [f32],
    count: usize,
}

/// Adds at each point: `to[point][input][output] += Σ points[point][tile][input] · gradients[point][tile][output]`.
#[inline(always)]
fn add_products<L: Lanes>(l: L, w: &Winograd, factors: &Factors<'_>, to: &mut [f32]) {
    let (inputs, outputs) = (w.padded_inputs(), w.padded_outputs());
    let (from, by) = (w.point(inputs), w.point(outputs));
    let rows = w.conv.input.channels;
    for (point, to) in to.chunks_exact_mut(rows * outputs).enumerate() {
        let mut tiles = Outer {
            points: &factors.points[point * from..][..from],
            gradients: &factors.gradients[point * by..][..by],
            to,
            sizes: (inputs, outputs, factors.count),
        };
        // SAFETY: `to` has `rows` rows of `outputs` floats, and `count` tiles are inside both factors.
        unsafe { sweep(l, Extent { rows, columns: outputs / WIDTH, again: false }, &mut tiles) };
    }
}

struct Outer<'a> {
    points: &'a [f32],
    gradients: &'a [f32],
    to: &'a mut [f32],
    sizes: (usize, usize, usize),
}

impl Tiles for Outer<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let (inputs, outputs, count) = self.sizes;
        // SAFETY: row + R input channels and column + C vectors of output channels are inside each of `count` tiles.
        unsafe {
            let operands = Operands {
                a: self.points.as_ptr().add(row),
                row: |r: usize| r,
                a_step: inputs,
                b: self.gradients.as_ptr().add(column * WIDTH),
                b_step: outputs,
                b_column: WIDTH,
            };
            let mut sums = [[l.zero(); C]; R];
            operands.accumulate(l, &mut sums, count);
            let at = self.to.as_mut_ptr().add(row * outputs + column * WIDTH);
            store(l, &sums, Target { at, row: outputs, column: WIDTH, add: true });
        }
    }
}
