//! Several images' vectors: each weight is read once for all of them.
//!
//! A block of inputs is multiplied with all panels before the next, so that the images' numbers stay in the second cache;
//! within it a chunk of one panel's weights stays in the first while all images pass by, and meanwhile the next chunk is
//! called for, a few lines with each tile.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::{CHUNK, PANEL, Task, Weight};
use crate::kernels::blocked::tile::{Extent, Operands, Target, Tiles, store, sweep};
use crate::kernels::lanes::{Kernel, Lanes, WIDTH};
use crate::kernels::lengths::{product, sum};

/// Inputs of a block.
const BLOCK: usize = 8 * CHUNK;
/// Images whose blocks stay in the second cache.
const BAND: usize = 128;
/// Inputs between which a tile calls for some of the next weights.
const FEW: usize = 4;
/// Floats between the weights that are multiplied and those that are called for, beside a chunk's.
const AHEAD: usize = 1024;
/// Bytes that come when one is called for.
const LINE: usize = 64;
/// Rows of the largest tile.
const TALLEST: usize = 6;

/// Panels' outputs of several images.
pub(super) struct Many<'a, W> {
    pub(super) task: Task<'a>,
    pub(super) weights: &'a [W],
    pub(super) rows: usize,
    /// Floats from one image's outputs to the next one's.
    pub(super) stride: usize,
}

impl<W: Weight> Kernel for Many<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Task { inputs, bias, rectify, input, stride, at } = self.task;
        let vectors = bias.len() / WIDTH;
        assert!(
            self.weights.len() == product([inputs, bias.len()]) && input.len() >= sum([product([self.rows - 1, stride]), inputs]),
            "dense: panels"
        );
        // SAFETY: the place has room for every row's vectors.
        let place = |row: usize, vector: usize| unsafe { at.add(row * self.stride + vector * WIDTH) };
        for (row, vector) in (0..self.rows).flat_map(|row| (0..vectors).map(move |vector| (row, vector))) {
            // SAFETY: the bias has as many vectors.
            unsafe { l.store(place(row, vector), l.load(bias.as_ptr().add(vector * WIDTH))) }
        }
        for first in (0..self.rows).step_by(BAND) {
            let band = first..self.rows.min(first + BAND);
            for block in (0..inputs).step_by(BLOCK) {
                for panel in (0..vectors).step_by(PANEL) {
                    for chunk in (block..inputs.min(block + BLOCK)).step_by(CHUNK) {
                        self.chunk(l, band.clone(), panel, chunk);
                    }
                }
            }
        }
        let rectified = if rectify { self.rows } else { 0 };
        for (row, vector) in (0..rectified).flat_map(|row| (0..vectors).map(move |vector| (row, vector))) {
            // SAFETY: as above.
            unsafe { l.store(place(row, vector), l.max(l.zero(), l.load(place(row, vector)))) }
        }
    }
}

impl<W: Weight> Many<'_, W> {
    /// Adds the chunk of inputs from `first` on times its weights of the panel that begins with vector `panel`.
    #[inline(always)]
    fn chunk<L: Lanes>(&self, l: L, band: Range<usize>, panel: usize, first: usize) {
        let Task { inputs, bias, input, stride, at, .. } = self.task;
        let columns = PANEL.min(bias.len() / WIDTH - panel);
        let steps = CHUNK.min(inputs - first);
        let weights = &self.weights[(panel * inputs + first * columns) * WIDTH..][..steps * columns * WIDTH];
        let mut floats = MaybeUninit::<[f32; CHUNK * PANEL * WIDTH]>::uninit();
        let floats: *mut f32 = floats.as_mut_ptr().cast();
        if !W::FLOATS {
            for (vector, from) in weights.as_chunks::<WIDTH>().0.iter().enumerate() {
                // SAFETY: an array of sixteen; a chunk has at most as many vectors as there is room for.
                unsafe { l.store(floats.add(vector * WIDTH), W::load(l, from.as_ptr())) };
            }
        }
        let mut tiles = Chunk {
            input: input[band.start * stride + first..].as_ptr(),
            read: stride,
            weights: if W::FLOATS { weights.as_ptr().cast() } else { floats },
            columns,
            steps,
            // SAFETY: rows of the band are inside the place.
            output: unsafe { at.add(band.start * self.stride + panel * WIDTH) },
            written: self.stride,
            next: weights.as_ptr_range().end.cast::<f32>().wrapping_add(AHEAD),
            lines: size_of_val(weights) / LINE,
            share: (size_of_val(weights) / LINE).div_ceil(band.len().div_ceil(TALLEST) * steps.div_ceil(FEW)),
        };
        // SAFETY: rows and columns are those of the outputs' place, and of inputs and weights as checked in `run`.
        unsafe {
            if L::WIDE && columns == PANEL {
                wide(l, band.len(), &mut tiles);
            } else {
                sweep(l, Extent { rows: band.len(), columns, again: false }, &mut tiles);
            }
        }
    }
}

/// Covers a whole panel with tiles of all its columns, so that weights are read in the order in which they lie.
///
/// # Safety
/// `tiles` can compute every tile of `rows` rows and a panel's columns.
#[inline(always)]
unsafe fn wide<L: Lanes>(l: L, rows: usize, tiles: &mut impl Tiles) {
    let mut row = 0;
    // SAFETY: every tile's rows lie inside.
    unsafe {
        while row + TALLEST <= rows && row + 8 != rows {
            tiles.tile::<L, TALLEST, PANEL>(l, row, 0);
            row += TALLEST;
        }
        while row + 4 <= rows {
            tiles.tile::<L, 4, PANEL>(l, row, 0);
            row += 4;
        }
        while row + 2 <= rows {
            tiles.tile::<L, 2, PANEL>(l, row, 0);
            row += 2;
        }
        if row < rows {
            tiles.tile::<L, 1, PANEL>(l, row, 0);
        }
    }
}

/// A chunk of inputs times one panel's weights of them.
struct Chunk {
    input: *const f32,
    /// From one row's inputs to the next one's.
    read: usize,
    weights: *const f32,
    columns: usize,
    steps: usize,
    output: *mut f32,
    /// From one row's outputs to the next one's.
    written: usize,
    /// Weights that will be needed next, as many lines of them as are not yet called for, and as many as are at a time.
    next: *const f32,
    lines: usize,
    share: usize,
}

impl Chunk {
    #[inline(always)]
    fn call<L: Lanes>(&mut self, l: L) {
        let share = self.share.min(self.lines);
        for _ in 0..share {
            l.prefetch(self.next);
            self.next = self.next.wrapping_add(LINE / size_of::<f32>());
        }
        self.lines -= share;
    }
}

impl Tiles for Chunk {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const R: usize, const C: usize>(&mut self, l: L, row: usize, column: usize) {
        let (read, b_step) = (self.read, self.columns * WIDTH);
        // SAFETY: whoever made this has rows of `steps` inputs and of `columns` vectors of outputs, and their weights.
        unsafe {
            let a = self.input.add(row * read);
            let b = self.weights.add(column * WIDTH);
            let mut sums = [[l.zero(); C]; R];
            let whole = self.steps / FEW * FEW;
            for first in (0..whole).step_by(FEW) {
                self.call(l);
                let (a, b) = (a.add(first), b.add(first * b_step));
                Operands { a, row: |r: usize| r * read, a_step: 1, b, b_step, b_column: WIDTH }.accumulate(l, &mut sums, FEW);
            }
            let (a, b) = (a.add(whole), b.add(whole * b_step));
            let rest = Operands { a, row: |r: usize| r * read, a_step: 1, b, b_step, b_column: WIDTH };
            rest.accumulate(l, &mut sums, self.steps - whole);
            let at = self.output.add(row * self.written + column * WIDTH);
            store(l, &sums, Target { at, row: self.written, column: WIDTH, add: true });
        }
    }
}
