//! Filters to the 36 points: sixteen vectors at a time by way of a group that is cached, since at each point they lie far from
//! those of the next. And the order of their gradient.

use super::transform::{self, Lying, Whole, Write, square};
use super::window::TILE;
use super::{GROUP, PAIR, PLANE, POINT, POINTS, Winograd};
use crate::kernels::blocked::blocks;
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::lengths::product;

/// A filter of sixteen channels.
const LANES: Whole = Whole { row: 3 * WIDTH, column: WIDTH };

/// Transforms filters (`[out, in, 3, 3]`) to the points.
pub struct Pack<'a> {
    /// Sizes.
    pub winograd: &'a Winograd,
    /// `[out, in, 3, 3]`.
    pub weights: &'a [f32],
    /// Whether for the backward pass: output channels are read and input channels written.
    pub adjoint: bool,
    /// [`Winograd::filters`] floats: point × pair of blocks written × channel read × 32 (16 where the pair is one block).
    pub to: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::large_stack_arrays, reason = "39 KB of a thread's 2 MB; a step allocates nothing")]
    fn run<L: Lanes>(self, l: L) {
        let (inputs, outputs) = (self.winograd.conv.input.channels, self.winograd.conv.output.channels);
        let (read, written) = if self.adjoint { (outputs, inputs) } else { (inputs, outputs) };
        let point = product([read, blocks(written), WIDTH]);
        assert!(
            self.weights.len() == self.winograd.conv.weights() && self.to.len() >= product([POINTS, point]),
            "winograd: filters of another size"
        );
        let mut group = [0.0; PLANE];
        // Blocks go in pairs, each pair channel by channel; a last block without partner stands alone.
        for pair in (0..blocks(written)).step_by(PAIR) {
            let columns = PAIR.min(blocks(written) - pair);
            for first in (0..read).step_by(GROUP / columns) {
                let vectors = (GROUP / columns).min(read - first) * columns;
                for vector in 0..vectors {
                    let (from, block) = (first + vector / columns, pair + vector % columns);
                    let mut lanes = [[0.0; WIDTH]; 9];
                    for lane in 0..WIDTH.min(written - block * WIDTH) {
                        let to = block * WIDTH + lane;
                        let (output, input) = if self.adjoint { (from, to) } else { (to, from) };
                        let filter = &self.weights[(output * inputs + input) * 9..][..9];
                        for (vector, &w) in lanes.iter_mut().zip(filter) {
                            vector[lane] = w;
                        }
                    }
                    let from = Lying { base: lanes.as_ptr().cast(), places: &LANES };
                    let to = Lying { base: group[vector * WIDTH..].as_mut_ptr(), places: &TILE };
                    // SAFETY: `lanes` is 3 × 3 vectors; a group has room for all points of sixteen.
                    unsafe { square(l, transform::Filter, from, to, &Write) }
                }
                let place = (pair * read + first * columns) * WIDTH;
                for (to, from) in self.to.chunks_exact_mut(point).zip(group.chunks_exact(POINT)) {
                    to[place..][..vectors * WIDTH].copy_from_slice(&from[..vectors * WIDTH]);
                }
            }
        }
    }
}

/// Adds the filters' gradient as it is gathered to their gradient.
pub struct Unpack<'a> {
    /// Sizes.
    pub winograd: &'a Winograd,
    /// [`Winograd::gradient`] floats.
    pub gathered: &'a [f32],
    /// `[out, in, 3, 3]`, added to.
    pub weights: &'a mut [f32],
}

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let (inputs, padded) = (self.winograd.conv.input.channels, self.winograd.padded_outputs());
        assert!(self.gathered.len() == self.winograd.gradient(), "winograd: a gradient of another size");
        for (block, filters) in self.weights.chunks_mut(WIDTH * inputs * 9).enumerate() {
            for input in 0..inputs {
                let first = input * padded + block * WIDTH;
                let taps: [&[f32]; 9] = std::array::from_fn(|tap| &self.gathered[tap * inputs * padded + first..][..WIDTH]);
                for (lane, filter) in filters.chunks_exact_mut(inputs * 9).enumerate() {
                    for (w, tap) in filter[input * 9..][..9].iter_mut().zip(taps) {
                        *w += tap[lane];
                    }
                }
            }
        }
    }
}
