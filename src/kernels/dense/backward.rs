//! The gradient of the input, and the update of the weights by theirs.

use std::ops::Range;

use super::Dense;
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::lengths::product;
use crate::kernels::sgd::Sgd;

/// Outputs whose gradients are multiplied before the next: what a tile reads of them stays in the nearest cache.
const CHUNK: usize = 64;

/// What happens to the weights.
pub struct Update<'a> {
    /// The rule.
    pub sgd: Sgd,
    /// These blocks' weights.
    pub weights: &'a mut [f32],
    /// These blocks' momentum.
    pub momentum: &'a mut [f32],
}

/// Some blocks of a layer's inputs.
pub struct Backward<'a> {
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
    /// The weights, read for the gradient before they move.
    pub update: Update<'a>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { dense, batch, gradient, input, mut to_input, update } = self;
        let panel = product([batch, WIDTH]);
        let weights = product([dense.outputs, WIDTH]);
        assert!(batch.is_multiple_of(WIDTH) && gradient.len() == product([dense.outputs, batch]), "dense: gradient");
        assert!(
            input.len() == product([dense.blocks, panel]) && to_input.as_ref().is_none_or(|to| to.len() == input.len()),
            "dense: inputs"
        );
        assert!(update.weights.len() == dense.weights() && update.momentum.len() == dense.weights(), "dense: weights");
        // Two blocks at a time, so that their weights are still cached when they move.
        for block in (0..dense.blocks).step_by(2) {
            let columns = 2.min(dense.blocks - block);
            let slice = block * weights..(block + columns) * weights;
            if let Some(to) = to_input.as_deref_mut() {
                let to = &mut to[block * panel..][..columns * panel];
                for first in (0..dense.outputs).step_by(CHUNK) {
                    let outputs = first..dense.outputs.min(first + CHUNK);
                    let mut tiles = Input { dense, batch, gradient, weights: &update.weights[slice.clone()], outputs, to };
                    // SAFETY: `to` has `columns` panels of `batch` rows.
                    unsafe { sweep(l, Extent { rows: batch, columns, again: false }, &mut tiles) };
                }
            }
            let mut tiles = Moves {
                dense,
                batch,
                gradient,
                input: &input[block * panel..][..columns * panel],
                sgd: update.sgd,
                weights: &mut update.weights[slice.clone()],
                momentum: &mut update.momentum[slice],
            };
            // SAFETY: the weights have `columns` blocks of `outputs` rows.
            unsafe { sweep(l, Extent { rows: dense.outputs, columns, again: false }, &mut tiles) };
        }
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

/// `w[output][input] -= …Σ dy[output][image] · x[image][input]`.
struct Moves<'a> {
    dense: Dense,
    batch: usize,
    gradient: &'a [f32],
    input: &'a [f32],
    sgd: Sgd,
    weights: &'a mut [f32],
    momentum: &'a mut [f32],
}

impl Tiles for Moves<'_> {
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
            // What is moved comes from afar while the gradient is computed.
            for (r, c) in (0..R).flat_map(|r| (0..C).map(move |c| (r, c))) {
                let place = ((column + c) * outputs + row + r) * WIDTH;
                l.prefetch(self.weights.as_ptr().add(place));
                l.prefetch(self.momentum.as_ptr().add(place));
            }
            operands.accumulate(l, &mut sums, self.batch);
            for (r, sums) in sums.into_iter().enumerate() {
                for (c, sum) in sums.into_iter().enumerate() {
                    let place = ((column + c) * outputs + row + r) * WIDTH;
                    step(l, &self.sgd, sum, (self.weights.as_mut_ptr().add(place), self.momentum.as_mut_ptr().add(place)));
                }
            }
        }
    }
}

/// Moves sixteen weights by their gradient, as `kernels::sgd` moves one.
///
/// # Safety
/// Both pointers are valid for reads and writes of sixteen floats.
#[inline(always)]
unsafe fn step<L: Lanes>(l: L, sgd: &Sgd, gradient: L::V, (weights, momentum): (*mut f32, *mut f32)) {
    // SAFETY: as the caller promises.
    unsafe {
        let (w, rate, kept) = (l.load(weights), l.splat(sgd.learning_rate), l.splat(sgd.momentum));
        let gradient = l.mul_add(l.splat(sgd.weight_decay), w, gradient);
        let mut by = gradient;
        if sgd.momentum != 0.0 {
            let moved = l.mul_add(kept, l.load(momentum), gradient);
            l.store(momentum, moved);
            by = if sgd.nesterov { l.mul_add(kept, moved, gradient) } else { moved };
        }
        l.store(weights, l.neg_mul_add(rate, by, w));
    }
}
