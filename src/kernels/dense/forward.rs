//! `y = W·x + b` for a batch.

use super::Dense;
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::lengths::{product, sum};

/// Blocks of inputs that are multiplied before the next: their columns fill half of a nearest cache.
const CHUNK: usize = 4;

/// Some outputs of a batch.
pub struct Forward<'a> {
    /// Sizes.
    pub dense: Dense,
    /// All weights.
    pub weights: &'a [f32],
    /// A number an output of these; none is zeros.
    pub bias: Option<&'a [f32]>,
    /// Columns of the input.
    pub input: &'a [f32],
    /// Images, a multiple of sixteen.
    pub batch: usize,
    /// The first output to compute.
    pub first: usize,
    /// Columns of the outputs from there on.
    pub output: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { dense, batch, first, .. } = self;
        let rows = self.output.len() / batch;
        assert!(
            batch.is_multiple_of(WIDTH) && self.output.len() == rows * batch && sum([first, rows]) <= dense.outputs,
            "dense: outputs"
        );
        assert!(
            self.weights.len() == dense.weights() && self.input.len() == product([dense.blocks, WIDTH, batch]),
            "dense: inputs"
        );
        assert!(self.bias.is_none_or(|bias| bias.len() == rows), "dense: bias");
        for (row, output) in self.output.chunks_exact_mut(batch).enumerate() {
            output.fill(self.bias.map_or(0.0, |bias| bias[row]));
        }
        for chunk in (0..dense.blocks).step_by(CHUNK) {
            let blocks = chunk..dense.blocks.min(chunk + CHUNK);
            let mut tiles = Columns { input: self.input, weights: self.weights, dense, batch, first, blocks, output: self.output };
            // SAFETY: rows and columns are those of `output`, whose length was checked above with the others.
            unsafe { sweep(l, Extent { rows, columns: batch / WIDTH, again: false }, &mut tiles) };
        }
    }
}

struct Columns<'a> {
    input: &'a [f32],
    weights: &'a [f32],
    dense: Dense,
    batch: usize,
    first: usize,
    blocks: std::ops::Range<usize>,
    output: &'a mut [f32],
}

impl Tiles for Columns<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let mut sums = [[l.zero(); C]; R];
        // SAFETY: the run method checked that weights, columns and outputs have room for every row and column it sweeps.
        unsafe {
            for block in self.blocks.clone() {
                let operands = Operands {
                    a: self.weights.as_ptr().add(self.dense.place(self.first + row, block * WIDTH)),
                    row: |r: usize| r * WIDTH,
                    a_step: 1,
                    b: self.input.as_ptr().add(block * WIDTH * self.batch + column * WIDTH),
                    b_step: self.batch,
                    b_column: WIDTH,
                };
                operands.accumulate(l, &mut sums, WIDTH);
            }
            let at = self.output.as_mut_ptr().add(row * self.batch + column * WIDTH);
            store(l, &sums, Target { at, row: self.batch, column: WIDTH, add: true });
        }
    }
}
