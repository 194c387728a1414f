//! The gradient of the input, what is done with that of the weights, and how long that is.

use std::ops::Range;

use super::Dense;
use super::apply::Apply;
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::lengths::product;

/// Outputs whose gradients are multiplied before the next: what a tile reads of them stays in the nearest cache.
const CHUNK: usize = 64;

/// Some blocks of a layer's inputs.
pub struct Backward<'a, A> {
    /// Sizes; of them, `blocks` is how many are given here.
    pub dense: Dense,
    /// Images, a multiple of sixteen.
    pub batch: usize,
    /// Columns of the output's gradient; 0 for images beyond the last.
    pub gradient: &'a [f32],
    /// Panels of the input.
    pub input: &'a [f32],
    /// Panels of its gradient, overwritten; none where nobody wants it.
    pub to_input: Option<&'a mut [f32]>,
    /// The weights, read for the input's gradient before anything is done with theirs.
    pub apply: A,
}

impl<A: Apply> Kernel for Backward<'_, A> {
    /// The sum of the squares of the weights' gradient; 0 where it is not computed.
    type Output = f64;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> f64 {
        let Self { dense, batch, gradient, input, mut to_input, mut apply } = self;
        let mut squares = 0.0;
        let panel = product([batch, WIDTH]);
        let weights = product([dense.outputs, WIDTH]);
        assert!(batch.is_multiple_of(WIDTH) && gradient.len() == product([dense.outputs, batch]), "dense: gradient");
        assert!(
            input.len() == product([dense.blocks, panel]) && to_input.as_ref().is_none_or(|to| to.len() == input.len()),
            "dense: inputs"
        );
        assert!(apply.weights().len() == dense.weights() && apply.fits(), "dense: weights");
        // Two blocks at a time, so that their weights are still cached when they move.
        for block in (0..dense.blocks).step_by(2) {
            let columns = 2.min(dense.blocks - block);
            let slice = block * weights..(block + columns) * weights;
            if let Some(to) = to_input.as_deref_mut() {
                let to = &mut to[block * panel..][..columns * panel];
                for first in (0..dense.outputs).step_by(CHUNK) {
                    let outputs = first..dense.outputs.min(first + CHUNK);
                    let mut tiles = Input { dense, batch, gradient, weights: &apply.weights()[slice.clone()], outputs, to };
                    // SAFETY: `to` has `columns` panels of `batch` rows.
                    unsafe { sweep(l, Extent { rows: batch, columns, again: false }, &mut tiles) };
                }
            }
            if !A::WANTED {
                continue;
            }
            let input = &input[block * panel..][..columns * panel];
            let mut tiles = Moves { dense, batch, gradient, input, first: slice.start, apply: &mut apply, squares: [0.0; WIDTH] };
            // SAFETY: the weights have `columns` blocks of `outputs` rows.
            unsafe { sweep(l, Extent { rows: dense.outputs, columns, again: false }, &mut tiles) };
            squares += tiles.squares.into_iter().map(f64::from).sum::<f64>();
        }
        squares
    }
}

/// `dx[image][input] = Σ dy[output][image] · w[output][input]`.
struct Input<'a> {
    dense: Dense,
    batch: usize,
    gradient: &'a [f32],
    weights: &'a [f32],
    /// Those summed now; the first overwrite what is there.
    outputs: Range<usize>,
    to: &'a mut [f32],
}

impl Tiles for Input<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let Dense { outputs, .. } = self.dense;
        // SAFETY: rows are images and columns blocks of what was checked in `Backward::run`.
        unsafe {
            let operands = Operands {
                a: self.gradient.as_ptr().add(self.outputs.start * self.batch + row),
                row: |r: usize| r,
                a_step: self.batch,
                b: self.weights.as_ptr().add((column * outputs + self.outputs.start) * WIDTH),
                b_step: WIDTH,
                b_column: outputs * WIDTH,
            };
            let mut sums = [[l.zero(); C]; R];
            operands.accumulate(l, &mut sums, self.outputs.len());
            let at = self.to.as_mut_ptr().add((column * self.batch + row) * WIDTH);
            store(l, &sums, Target { at, row: WIDTH, column: self.batch * WIDTH, add: self.outputs.start > 0 });
        }
    }
}

/// `dw[output][input] = Σ dy[output][image] · x[image][input]`, applied.
struct Moves<'a, A> {
    dense: Dense,
    batch: usize,
    gradient: &'a [f32],
    input: &'a [f32],
    /// Where these blocks' weights begin.
    first: usize,
    apply: &'a mut A,
    /// Sums of the gradients' squares.
    squares: [f32; WIDTH],
}

impl<A: Apply> Tiles for Moves<'_, A> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let Dense { outputs, .. } = self.dense;
        // SAFETY: rows are outputs and columns blocks of what was checked in `Backward::run`.
        unsafe {
            let operands = Operands {
                a: self.gradient.as_ptr().add(row * self.batch),
                row: |r: usize| r * self.batch,
                a_step: 1,
                b: self.input.as_ptr().add(column * self.batch * WIDTH),
                b_step: WIDTH,
                b_column: self.batch * WIDTH,
            };
            let mut sums = [[l.zero(); C]; R];
            let place = |r: usize, c: usize| self.first + ((column + c) * outputs + row + r) * WIDTH;
            // What is moved comes from afar while the gradient is computed.
            for (r, c) in (0..R).flat_map(|r| (0..C).map(move |c| (r, c))) {
                self.apply.prefetch(l, place(r, c));
            }
            operands.accumulate(l, &mut sums, self.batch);
            let mut squares = [l.zero(); C];
            for (r, sums) in sums.into_iter().enumerate() {
                for (c, sum) in sums.into_iter().enumerate() {
                    let place = self.first + ((column + c) * outputs + row + r) * WIDTH;
                    squares[c] = l.mul_add(sum, sum, squares[c]);
                    self.apply.apply(l, sum, place);
                }
            }
            let squares = squares.into_iter().fold(l.read(&self.squares), |all, squares| l.add(all, squares));
            l.write(&mut self.squares, squares);
        }
    }
}
