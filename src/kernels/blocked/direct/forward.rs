//! The sums themselves.

use super::{Direct, Pair};
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};

/// Convolves some images.
pub struct Forward<'a> {
    /// Sizes and direction.
    pub direct: &'a Direct,
    /// Images in the blocked layout.
    pub input: &'a [f32],
    /// Filters by [`super::Pack`].
    pub filters: &'a [f32],
    /// One number a channel, filled up to a block with zeros; none is zeros.
    pub bias: Option<&'a [f32]>,
    /// As many images in the blocked layout.
    pub output: &'a mut [f32],
    /// [`Direct::workspace`] floats.
    pub workspace: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { direct: d, input, filters, bias, output, workspace } = self;
        let images = input.len() / d.read.len();
        assert!(input.len() == images * d.read.len() && output.len() == images * d.written.len(), "direct: other images");
        assert!(
            filters.len() == d.filters && bias.is_none_or(|b| b.len() * d.written.plane() == d.written.len()),
            "direct: filters, bias"
        );
        let frame = &mut workspace[..d.workspace()];
        let width = d.written.width;
        for (image, output) in input.chunks_exact(d.read.len()).zip(output.chunks_exact_mut(d.written.len())) {
            d.embed(image, frame);
            for pair in &d.pairs {
                let bias = bias.map(|b| &b[pair.block * WIDTH..][..pair.columns * WIDTH]);
                for row in 0..d.written.height {
                    let mut tiles = Line { d, pair, bias, filters, frame, output, row };
                    // SAFETY: `Line` computes any pixels of a row for the pair's blocks.
                    unsafe { sweep(l, Extent { rows: width, columns: pair.columns, again: true }, &mut tiles) };
                }
            }
        }
    }
}

/// One row of output pixels of one pair of blocks.
struct Line<'a> {
    d: &'a Direct,
    pair: &'a Pair,
    bias: Option<&'a [f32]>,
    filters: &'a [f32],
    frame: &'a [f32],
    output: &'a mut [f32],
    row: usize,
}

impl Tiles for Line<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let Direct { step, frame: (_, columns), written, .. } = *self.d;
        debug_assert!(C == self.pair.columns && column == 0);
        let mut sums: [[L::V; C]; R] = [std::array::from_fn(|c| match self.bias.and_then(|b| b[c * WIDTH..].first_chunk()) {
            Some(bias) => l.read(bias),
            None => l.zero(),
        }); R];
        let mut filters = self.filters[self.pair.filters..].as_ptr();
        let window = self.frame[(self.row * step * columns + row * step) * WIDTH..].as_ptr();
        for run in &self.pair.runs {
            // SAFETY: a run's offset and channels stay inside the frame for every window that starts at an output pixel, and
            // filters hold `count` steps of C vectors for each run in turn.
            unsafe {
                let a = window.add(run.offset);
                if step == 1 {
                    let row = |r: usize| r * WIDTH;
                    let operands = Operands { a, row, a_step: 1, b: filters, b_step: C * WIDTH, b_column: WIDTH };
                    operands.accumulate(l, &mut sums, run.count);
                } else {
                    let row = |r: usize| r * step * WIDTH;
                    let operands = Operands { a, row, a_step: 1, b: filters, b_step: C * WIDTH, b_column: WIDTH };
                    operands.accumulate(l, &mut sums, run.count);
                }
                filters = filters.add(run.count * C * WIDTH);
            }
        }
        let plane = written.plane() * WIDTH;
        let first = self.pair.block * plane + (self.row * written.width + row) * WIDTH;
        // SAFETY: R pixels from `row` on lie in this row of the output, and C blocks from the pair's first.
        unsafe { store(l, &sums, Target { at: self.output.as_mut_ptr().add(first), row: WIDTH, column: plane, add: false }) };
    }
}
