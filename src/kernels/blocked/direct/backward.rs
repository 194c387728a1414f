//! The filters' gradient: for each tap and channel read, a sum over all output pixels.

use super::{Direct, Pair, Run};
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::lengths::product;

/// Gradient of the filters from some images. (The input's is a [`super::Forward`] of [`Direct::adjoint`].)
pub struct Backward<'a> {
    /// Sizes; of the forward pass.
    pub direct: &'a Direct,
    /// What the forward pass read.
    pub input: &'a [f32],
    /// Gradient of what it wrote.
    pub gradient: &'a [f32],
    /// [`Direct::filters`] floats, added to.
    pub to_filters: &'a mut [f32],
    /// [`Direct::workspace`] floats.
    pub workspace: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { direct: d, input, gradient, to_filters, workspace } = self;
        let images = input.len() / d.read.len();
        assert!(!d.adjoint && to_filters.len() == d.filters, "direct: the forward pass's filters");
        assert!(
            input.len() == images * d.read.len() && gradient.len() == product([images, d.written.len()]),
            "direct: other images"
        );
        let frame = &mut workspace[..d.workspace()];
        for (image, gradient) in input.chunks_exact(d.read.len()).zip(gradient.chunks_exact(d.written.len())) {
            d.embed(image, frame, &(0..d.written.height));
            for pair in &d.pairs {
                // Row by row, so that what all taps of a row read stays in the nearest cache.
                for row in 0..d.written.height {
                    add_row(l, &Line { d, pair, frame, gradient, row }, &mut *to_filters);
                }
            }
        }
    }
}

/// A row of output pixels.
#[derive(Clone, Copy)]
struct Line<'a> {
    d: &'a Direct,
    pair: &'a Pair,
    frame: &'a [f32],
    gradient: &'a [f32],
    row: usize,
}

#[inline(always)]
fn add_row<L: Lanes>(l: L, line: &Line<'_>, to_filters: &mut [f32]) {
    let Line { pair, .. } = *line;
    let mut to = &mut to_filters[pair.filters..];
    let mut runs = &pair.runs[..];
    while let Some(first) = runs.first() {
        // Runs of few channels would leave most of a tile empty: as many as fill one are taken together.
        let together = if first.count >= 8 { 1 } else { runs.iter().take_while(|run| run.count == first.count).count() };
        let rows = together * first.count;
        let (here, rest) = to.split_at_mut(rows * pair.columns * WIDTH);
        let mut tiles = Taps { line, runs: &runs[..together], to: here };
        // SAFETY: `here` has a row for each channel of these runs.
        unsafe { sweep(l, Extent { rows, columns: pair.columns, again: false }, &mut tiles) };
        (to, runs) = (rest, &runs[together..]);
    }
}

/// The gradients of some runs' filters.
struct Taps<'a> {
    line: &'a Line<'a>,
    runs: &'a [Run],
    to: &'a mut [f32],
}

impl Tiles for Taps<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let Line { d, pair, frame, gradient, row: y } = *self.line;
        debug_assert!(C == pair.columns && column == 0);
        let plane = d.written.plane() * WIDTH;
        let (width, step) = (d.written.width, d.step * d.pixel);
        let b = gradient[pair.block * plane + y * width * WIDTH..].as_ptr();
        let start = frame[y * d.step * d.frame.1 * d.pixel..].as_ptr();
        let mut sums = [[l.zero(); C]; R];
        // SAFETY: a run's offset and channels stay inside the frame for each of a row's `width` windows; the gradient has
        // `width` pixels in this row of each of the pair's C blocks; `to` has a row of C vectors for each channel.
        unsafe {
            if let [run] = self.runs {
                let a = start.add(run.offset + row);
                Operands { a, row: |r: usize| r, a_step: step, b, b_step: WIDTH, b_column: plane }.accumulate(l, &mut sums, width);
            } else {
                let count = self.runs[0].count;
                let offsets: [usize; R] = std::array::from_fn(|r| self.runs[(row + r) / count].offset + (row + r) % count);
                let offset = |r: usize| offsets[r];
                Operands { a: start, row: offset, a_step: step, b, b_step: WIDTH, b_column: plane }.accumulate(l, &mut sums, width);
            }
            let at = self.to.as_mut_ptr().add(row * C * WIDTH);
            store(l, &sums, Target { at, row: C * WIDTH, column: WIDTH, add: true });
        }
    }
}
