//! Filters to the 36 points, and their gradient back.

use super::transform::{self, Whole, Write, square};
use super::{POINTS, Winograd};
use crate::kernels::blocked::blocks;
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};

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
    fn run<L: Lanes>(self, l: L) {
        let (inputs, outputs) = (self.winograd.conv.input.channels, self.winograd.conv.output.channels);
        let (read, written) = if self.adjoint { (outputs, inputs) } else { (inputs, outputs) };
        let point = read * blocks(written) * WIDTH;
        assert!(self.weights.len() == inputs * outputs * 9 && self.to.len() >= POINTS * point, "winograd: filters of another size");
        for from in 0..read {
            for block in 0..blocks(written) {
                let mut lanes = [[0.0; WIDTH]; 9];
                for lane in 0..WIDTH.min(written - block * WIDTH) {
                    let to = block * WIDTH + lane;
                    let (output, input) = if self.adjoint { (from, to) } else { (to, from) };
                    let filter = &self.weights[(output * inputs + input) * 9..][..9];
                    for (vector, &w) in lanes.iter_mut().zip(filter) {
                        vector[lane] = w;
                    }
                }
                // Blocks go in pairs, each pair channel by channel; a last block without partner stands alone.
                let (pair, second) = (block / 2, block % 2);
                let columns = if pair * 2 + 1 < blocks(written) { 2 } else { 1 };
                let place = (pair * 2 * read + from * columns + second) * WIDTH;
                let to = &mut self.to[place..][..(POINTS - 1) * point + WIDTH];
                let from = (lanes.as_ptr().cast(), &Whole { row: 3 * WIDTH, column: WIDTH });
                let to = (to.as_mut_ptr(), &Whole { row: 6 * point, column: point });
                // SAFETY: `lanes` is 3 × 3 vectors; `to` was cut to end after the last of the 36 points.
                unsafe { square(l, transform::Filter, from, to, &Write) }
            }
        }
    }
}

/// Adds the filters' gradient at the points to their gradient.
pub struct Unpack<'a> {
    /// Sizes.
    pub winograd: &'a Winograd,
    /// [`Winograd::gradient`] floats.
    pub points: &'a [f32],
    /// `[out, in, 3, 3]`, added to.
    pub weights: &'a mut [f32],
}

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let (inputs, outputs) = (self.winograd.conv.input.channels, self.winograd.conv.output.channels);
        let padded = self.winograd.padded_outputs();
        assert!(self.points.len() == self.winograd.gradient(), "winograd: a gradient of another size");
        for input in 0..inputs {
            for block in 0..blocks(outputs) {
                let place = input * padded + block * WIDTH;
                let from = &self.points[place..][..(POINTS - 1) * inputs * padded + WIDTH];
                let from = (from.as_ptr(), &Whole { row: 6 * inputs * padded, column: inputs * padded });
                let mut lanes = [[0.0; WIDTH]; 9];
                let to = (lanes.as_mut_ptr().cast(), &Whole { row: 3 * WIDTH, column: WIDTH });
                // SAFETY: `from` was cut to end after the last of the 36 points; `lanes` is 3 × 3 vectors.
                unsafe { square(l, transform::FilterAdjoint, from, to, &Write) }
                for lane in 0..WIDTH.min(outputs - block * WIDTH) {
                    let filter = &mut self.weights[((block * WIDTH + lane) * inputs + input) * 9..][..9];
                    for (w, vector) in filter.iter_mut().zip(&lanes) {
                        *w += vector[lane];
                    }
                }
            }
        }
    }
}
