//! The backward pass, the exact adjoint of the forward one: both gradients from one transform of the output's.

use super::gradient::{Factors, gather};
use super::product::{Product, multiply};
use super::transform::{self, Add};
use super::window::{Leaving, Window};
use super::{BLOCK, Winograd, vectors};
use crate::kernels::blocked::blocks;
use crate::kernels::blocked::part::Output;
use crate::kernels::lanes::{Kernel, Lanes};
use crate::kernels::lengths::product;

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
    /// [`Winograd::gradient`] floats.
    pub to_filters: &'a mut [f32],
    /// Whether they are added to; else overwritten.
    pub add: bool,
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
        let (inputs, outputs) = (blocks(from.channels), blocks(to.channels));
        assert!(
            self.input.len() == images * from.len() && self.gradient.len() == product([images, to.len()]),
            "winograd: other images"
        );
        assert!(self.to_filters.len() == w.gradient() && self.workspace.len() >= w.workspace(), "winograd: other sizes");
        let wanted = self.to_input.as_ref().is_none_or(|(_, gradient)| gradient.len() == self.input.len());
        assert!(wanted, "winograd: a gradient of another size");
        let (points, rest) = self.workspace.split_at_mut(super::points(inputs));
        let (gradients, sums) = rest.split_at_mut(super::points(outputs));
        let tiles = images * w.tiles();
        for first in (0..tiles).step_by(BLOCK) {
            let count = BLOCK.min(tiles - first);
            let place = |tile: usize| w.place(first + tile, (0, w.tiles()));
            for tile in 0..count {
                let place = place(tile);
                let image = &self.gradient[place.image * to.len()..][..to.len()];
                for block in 0..outputs {
                    let points = &mut gradients[vectors(block, tile)..];
                    Window::new(to, block, place, 0).read(l, transform::OutputAdjoint, image, points);
                }
                let image = &self.input[place.image * from.len()..][..from.len()];
                for block in 0..inputs {
                    let points = &mut points[vectors(block, tile)..];
                    Window::new(from, block, place, w.conv.padding).read(l, transform::Input, image, points);
                }
            }
            if let Some((filters, gradient)) = &mut self.to_input {
                let product = Product { points: gradients, count, read: to.channels, written: inputs, columns: 0..inputs };
                multiply(l, &product, (filters, sums));
                for tile in 0..count {
                    let place = place(tile);
                    let image = &mut gradient[place.image * from.len()..][..from.len()];
                    if (first + tile).is_multiple_of(w.tiles()) {
                        image.fill(0.0);
                    }
                    for block in 0..inputs {
                        let window = Window::new(from, block, place, w.conv.padding);
                        let sums = &sums[vectors(block, tile)..];
                        let leaving = Leaving { output: &Output::new(image), start: 0, sink: &Add };
                        window.write(l, transform::InputAdjoint, sums, &leaving);
                    }
                }
            }
            let add = self.add || first > 0;
            gather(l, w, &Factors { points, gradients, count, add }, (sums, self.to_filters));
        }
    }
}
